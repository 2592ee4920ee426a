"""What the page and its clients ask of a file: a label, a look at it, the sound in it. Each runs in a process apart.

Arguments and results are plain values, since they travel between processes.
"""

import base64
import functools
import io
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from audionet.app.overview import RATE_HZ, Overview
from audionet.app.sandbox import Task
from audionet.audio import decoding
from audionet.audio.chunks import SHORTEST_SECONDS, SILENCE_PEAK
from audionet.audio.writing import write_wav
from audionet.errors import AudioNetError
from audionet.features.image_io import encode_jpg, read_picture
from audionet.files import printable, whole_folder
from audionet.inference.enrollment import enrol
from audionet.inference.explain import explain, write_explanation
from audionet.inference.timeline import HOP_SECONDS, Span, make_timeline
from audionet.models.classifier import ABOUT_NAME, Classifier

KEPT_RATE_HZ = 48_000  # of clips that are taught: more than any recipe asks for
LOADED_CLASSIFIERS = 3
MOST_HOPS = 600  # five minutes at the finest
SHOWN_PIXELS = 640


class TooLongError(AudioNetError):
    """A recording is longer than it may be."""


def predict(*, model: str, path: str, most_seconds: float, with_look: bool) -> dict:
    """Label a recording or a picture.

    Args:
        model: folder of the classifier.
        path: of the file; its suffix tells what it is.
        most_seconds: what a recording may be long.
        with_look: whether to add what it looks like.

    Returns:
        dict: `Answer.to_json`, with `kind` and, of a recording, its `seconds`; and with the look, of a recording,
        `loudness`, `spectrogram` and `spans`, of a picture `picture`.

    Raises:
        AudioNetError: the file cannot be read, is silent or too long, or the classifier cannot use it.
    """
    classifier = _classifier(model)
    if decoding.is_recording(Path(path)):
        glance = _listen(path, most_seconds)
        answer = classifier.score_recording(path)
        found = {**answer.to_json(), "kind": "recording", "seconds": round(glance.seconds, 3)}
        return found | (_look_at_sound(classifier, path, glance) if with_look else {})
    answer = classifier.score_picture(path)
    return {**answer.to_json(), "kind": "picture", "seconds": None} | (_look_at_picture(path) if with_look else {})


def keep_sound(*, path: str, target: str, most_seconds: float, rate_hz: int = KEPT_RATE_HZ) -> float:
    """Write the sound of a recording as plain wav, for a player or for training, and return its seconds.

    Raises:
        AudioNetError: the recording cannot be decoded, is silent or too long.
    """
    _listen(path, most_seconds)
    blocks = list(decoding.read_blocks(Path(path), sample_rate_hz=rate_hz))
    samples = np.concatenate(blocks)
    write_wav(Path(target), samples, sample_rate_hz=rate_hz)
    return round(len(samples) / rate_hz, 3)


def explain_answer(*, model: str, path: str, name: str, most_seconds: float) -> dict:
    """Say and show which part of a recording or a picture speaks for its answer.

    Args:
        model: folder of the classifier.
        path: of the file; its suffix tells what it is.
        name: what to call the file.
        most_seconds: what a recording may be long.

    Returns:
        dict: `label` that is explained, its `probability`, a `sentence` that says where, and a `picture` that shows it.

    Raises:
        AudioNetError: the file cannot be read, is silent or too long, or the classifier cannot use it.
    """
    classifier = _classifier(model)
    if decoding.is_recording(Path(path)):
        _listen(path, most_seconds)
    explanation = explain(classifier, Path(path))
    shown = Path(path).with_name("explanation.png")
    write_explanation(shown, explanation, name=name)
    return {
        "label": explanation.label,
        "probability": explanation.probability,
        "sentence": explanation.sentence(),
        "picture": _url("image/png", shown.read_bytes()),
    }


def add_label(*, model: str, target: str, label: str, clips: list[str]) -> int:
    """Copy a classifier and add a label to the copy by a few clips, without training; return how many chunks it has.

    Args:
        model: folder of the classifier.
        target: folder for the copy, which appears whole or not at all.
        label: its name.
        clips: recordings of it.

    Raises:
        AudioNetError: the classifier cannot take one on, has it already, or a clip cannot be read.
    """
    with whole_folder(Path(target)) as scratch:
        shutil.copytree(model, scratch, dirs_exist_ok=True)
        return enrol(scratch, Classifier.load(scratch), label, [Path(clip) for clip in clips])


def warm_up(*, model: str) -> None:
    """Load a classifier, so that the first file need not wait for that.

    Raises:
        AudioNetError: there is no classifier in the folder.
    """
    _classifier(model).logits([np.zeros((224, 224, 3), np.uint8)])


TASKS: dict[str, Task] = {
    "predict": predict,
    "add_label": add_label,
    "explain": explain_answer,
    "keep_sound": keep_sound,
    "warm_up": warm_up,
}


def _listen(path: str, most_seconds: float) -> Overview:
    glance = Overview()
    for block in _up_to(decoding.read_blocks(Path(path), sample_rate_hz=RATE_HZ), most_seconds, path):
        glance.add(block)
    if glance.seconds < SHORTEST_SECONDS or glance.loudness().max() < SILENCE_PEAK:
        raise decoding.RecordingError(
            f"{printable(Path(path).name)} is silent or empty. Check the microphone, or send another file."
        )
    return glance


def _up_to(blocks: Iterator[np.ndarray], most_seconds: float, path: str) -> Iterator[np.ndarray]:
    samples = 0
    for block in blocks:
        samples += len(block)
        if samples > most_seconds * RATE_HZ:
            raise TooLongError(
                f"{printable(Path(path).name)} is longer than {most_seconds:.0f} s. Cut it, or start the page with a "
                "higher --max_seconds."
            )
        yield block


def _look_at_sound(classifier: Classifier, path: str, glance: Overview) -> dict:
    return {
        "loudness": [round(float(peak), 3) for peak in glance.loudness()],
        "spectrogram": _png_url(glance.spectrogram()),
        "spans": [asdict(span) for span in _spans(classifier, path, glance)],
    }


def _spans(classifier: Classifier, path: str, glance: Overview) -> tuple[Span, ...]:
    """Return who is heard when; less often where the recording is long, and nothing where all is too short to tell."""
    try:
        hop_seconds = max(HOP_SECONDS, glance.seconds / MOST_HOPS)
        return make_timeline(classifier, Path(path), hop_seconds=hop_seconds).spans
    except decoding.RecordingError:
        return ()


def _look_at_picture(path: str) -> dict:
    image = Image.fromarray(read_picture(path))
    image.thumbnail((SHOWN_PIXELS, SHOWN_PIXELS))
    return {"picture": _url("image/jpeg", encode_jpg(np.asarray(image), quality=85))}


def _png_url(levels: np.ndarray) -> str:
    """Return a data URL of a picture of levels, uint8, shape (rows, columns), in colours from black to white."""
    from matplotlib import colormaps  # half a second, for the colours alone

    palette = np.round(255 * colormaps["magma"](np.arange(256))[:, :3]).astype(np.uint8)
    image = Image.fromarray(levels, "P")
    image.putpalette(palette.tobytes())
    file = io.BytesIO()
    image.save(file, "PNG")
    return _url("image/png", file.getvalue())


def _url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _classifier(folder: str) -> Classifier:
    """Return the classifier in a folder, loaded again only when another has taken its place."""
    try:
        changed = os.stat(Path(folder) / ABOUT_NAME).st_mtime_ns
    except OSError:
        changed = 0
    return _loaded(folder, changed)


@functools.lru_cache(maxsize=LOADED_CLASSIFIERS)
def _loaded(folder: str, changed: int) -> Classifier:
    return Classifier.load(folder)
