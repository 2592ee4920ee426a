"""What the routes ask of a file, each task run by the sandboxed worker: predict, explain, convert, add a label.

Tasks are functions of this module's top level; arguments and results are pickled on their way between the processes.
"""

import base64
import csv
import functools
import io
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from audionet.app.overview import VOICES, Band, Overview
from audionet.app.sandbox import report_progress
from audionet.app.schemas import LiveAnswer, Prediction, Reason, SpanOfSound
from audionet.audio import decoding
from audionet.audio.chunks import SHORTEST_SECONDS, SILENCE_PEAK
from audionet.audio.writing import write_wav
from audionet.errors import AudioNetError, RecordingError
from audionet.features.image_io import encode_jpg, read_picture
from audionet.features.recipes import Recipe
from audionet.files import one_writer, printable, whole_folder
from audionet.inference.explain import explain, write_explanation
from audionet.inference.prediction_file import SPAN_COLUMNS, span_rows
from audionet.inference.streaming import StreamSmoother
from audionet.inference.timelines.timeline_formats import WRITERS
from audionet.models.classifier import Classifier
from audionet.models.classifier_folder import ADDING_SECONDS, folder_version
from audionet.models.timelines.timeline import HOP_SECONDS, Timeline

CLIP_RATE_HZ = 48_000  # of clips that are kept, at least: more than any recipe for what people hear asks for
LOADED_CLASSIFIERS = 3
LIVE_SESSIONS = 32
LIVE_HOP_SECONDS = 0.5  # between the windows that the page sends
READ_SHARE = 0.05  # of the work on a recording, to decode it
MOST_HOPS = 600  # five minutes at the finest
SHOWN_PIXELS = 640


class TooLongError(AudioNetError):
    """A recording is longer than it may be."""


def predict(*, model: Path, path: Path, name: str, most_seconds: float, look: bool) -> Prediction:
    """Label a file, which the answer calls `name`, with the classifier in a folder; the suffix tells what the file is.

    With `look`, add what it looks like: of a recording, `loudness`, `spectrogram` and `spans`, of a picture, `picture`.

    Raises:
        AudioNetError: the file cannot be read, is silent or too long, or the classifier cannot use it.
    """
    classifier = _classifier(model)
    if not decoding.is_recording(path):
        answer = classifier.score_picture(path)
        prediction = Prediction(**answer.to_json(), kind="picture", seconds=None, file=name)
        if look:
            prediction.picture = _thumbnail_url(path)
        return prediction
    overview = _overview_of(path, most_seconds, recipe=classifier.recipe_for(path))
    progress = _Progress(READ_SHARE, 0.5 if look else 1.0, overview.seconds)
    answer = classifier.score_recording(path, on_seconds=progress.report)
    prediction = Prediction(**answer.to_json(), kind="recording", seconds=round(overview.seconds, 3), file=name)
    if look:
        prediction.loudness = [round(float(peak), 3) for peak in overview.loudness()]
        prediction.spectrogram = _png_url(overview.spectrogram())
        timeline = _timeline(classifier, path, overview)
        prediction.spans = [SpanOfSound(**asdict(span)) for span in timeline.spans]
        prediction.hertz = overview.band.heights()
        prediction.tables = _tables(timeline, name, classifier)
    return prediction


def live_answer(*, model: Path, path: Path, session: str) -> LiveAnswer:
    """Return what is heard in a window of a stream, a file as long as a chunk; windows of a session follow each other.

    Raises:
        AudioNetError: the file cannot be read, or the classifier is one of pictures.
    """
    classifier = _classifier(model)
    recipe = classifier.recipe_for("The sound")
    blocks = decoding.read_blocks(path, sample_rate_hz=recipe.sample_rate_hz)
    samples = np.concatenate([*blocks, np.empty(0, np.float32)])[-recipe.chunk_samples :]
    smoother = _smoother(session, model, folder_version(model))
    if not len(samples) or np.abs(samples).max() < SILENCE_PEAK:
        smoother.restart()
        return LiveAnswer(label="", nearest="", probability=0.0, seconds=recipe.chunk_seconds, score=None)
    label, nearest, probability = smoother.answer(samples)
    score = smoother.score if classifier.has_one_class else None
    return LiveAnswer(label=label, nearest=nearest, probability=probability, seconds=recipe.chunk_seconds, score=score)


def convert_to_wav(*, path: Path, target: Path, most_seconds: float) -> None:
    """Write the sound of a recording as plain wav, for a player or for training.

    Raises:
        AudioNetError: the recording cannot be decoded, is silent or too long.
    """
    _overview_of(path, most_seconds)
    form = decoding.form_of(path)
    rate_hz = max(CLIP_RATE_HZ, form[0] if form else 0)
    blocks = list(decoding.read_blocks(path, sample_rate_hz=rate_hz))
    write_wav(target, np.concatenate(blocks), sample_rate_hz=rate_hz)


def explain_answer(*, model: Path, path: Path, name: str, most_seconds: float) -> Reason:
    """Say and show which part of a file speaks for its answer; arguments and errors are those of `predict`."""
    classifier = _classifier(model)
    if decoding.is_recording(path):
        _overview_of(path, most_seconds, recipe=classifier.recipe_for(path))
    explanation = explain(classifier, path)
    shown = path.with_name("explanation.png")
    write_explanation(shown, explanation, name=name)
    return Reason(
        label=explanation.label,
        probability=explanation.probability,
        sentence=explanation.sentence(),
        picture=_data_url("image/png", shown.read_bytes()),
    )


def add_label(*, model: Path, target: Path, label: str, clips: Sequence[Path]) -> int:
    """Copy a classifier and add a label to the copy by a few clips, without training; return how many chunks it has.

    The copy appears whole or not at all.

    Raises:
        AudioNetError: the classifier cannot take one on, has it already, or a clip cannot be read.
    """
    with whole_folder(target) as scratch:
        with one_writer(model, option="--model", wait_seconds=ADDING_SECONDS):  # so that it is not replaced meanwhile
            shutil.copytree(model, scratch, dirs_exist_ok=True)
        return Classifier.load(scratch).enroll(label, clips)


def warm_up(*, model: Path) -> None:
    """Load a classifier, so that the first file need not wait for that; raise AudioNetError if there is none."""
    _classifier(model).warm_up()


def _band_of(path: Path) -> Band:
    """Return all that a recording holds where it is sampled faster than what people hear needs, else that of voices."""
    form = decoding.form_of(path)
    return Band(form[0], 0, form[0] / 2) if form and form[0] > CLIP_RATE_HZ else VOICES


def _overview_of(path: Path, most_seconds: float, *, recipe: Recipe | None = None) -> Overview:
    """Return what a recording looks like in the band and the channel of a recipe."""
    overview = Overview(Band.of(recipe) if recipe else _band_of(path))
    channel = recipe.channel if recipe else "mean"
    for block in decoding.read_blocks(path, sample_rate_hz=overview.band.sample_rate_hz, channel=channel):
        overview.add(block)
        if overview.seconds > most_seconds:
            raise TooLongError(
                f"{printable(path.name)} is longer than {most_seconds:.0f} s. Cut it, or start the page with a "
                "higher --max_seconds."
            )
    if overview.seconds < SHORTEST_SECONDS or overview.loudness().max() < SILENCE_PEAK:
        raise RecordingError(f"{printable(path.name)} is silent or empty. Check the microphone, or send another file.")
    return overview


@dataclass(frozen=True)
class _Progress:
    """Reports a stage of a task, from a share of it to another, by how much of a recording is done."""

    start: float
    end: float
    seconds: float

    def report(self, done_seconds: float) -> None:
        report_progress(self.start + (self.end - self.start) * done_seconds / self.seconds)


def _timeline(classifier: Classifier, path: Path, overview: Overview) -> Timeline:
    """Return the timeline, with fewer hops where the recording is long; empty where it is too short for a chunk."""
    progress = _Progress(0.5, 1.0, overview.seconds)
    try:
        hop_seconds = max(HOP_SECONDS, overview.seconds / MOST_HOPS)
        return classifier.timeline(path, hop_seconds=hop_seconds, on_seconds=progress.report)
    except RecordingError:
        return Timeline(path, overview.seconds, ())


def _tables(timeline: Timeline, name: str, classifier: Classifier) -> dict[str, str]:
    """Return a timeline as files for other programs hold it, by format; `name` is the recording's."""
    named = replace(timeline, path=Path(name))
    recipe = classifier.recipe_for(name)
    table = io.StringIO()
    rows = csv.DictWriter(table, SPAN_COLUMNS, restval="", lineterminator="\n")
    rows.writeheader()
    rows.writerows(span_rows(Path(name), timeline.spans, model=classifier.fingerprint))
    return {"csv": table.getvalue(), **{kind: write(named, recipe) for kind, (_, write) in WRITERS.items()}}


def _thumbnail_url(path: Path) -> str:
    image = Image.fromarray(read_picture(path))
    image.thumbnail((SHOWN_PIXELS, SHOWN_PIXELS))
    return _data_url("image/jpeg", encode_jpg(np.asarray(image), quality=85))


def _png_url(levels: np.ndarray) -> str:
    """Return a data URL of a picture of levels, uint8, shape (rows, columns), in colours from black to white."""
    from matplotlib import colormaps  # half a second, for the colours alone

    palette = np.round(255 * colormaps["magma"](np.arange(256))[:, :3]).astype(np.uint8)
    image = Image.fromarray(levels, "P")
    image.putpalette(palette.tobytes())
    file = io.BytesIO()
    image.save(file, "PNG")
    return _data_url("image/png", file.getvalue())


def _data_url(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _classifier(folder: Path) -> Classifier:
    """Return the classifier in a folder, loaded again only when another has taken its place or a label was added."""
    return _loaded(folder, folder_version(folder))


@functools.lru_cache(maxsize=LIVE_SESSIONS)
def _smoother(session: str, model: Path, version: tuple[int, ...]) -> StreamSmoother:
    """Return what the windows of a session have left; a new one where it was long ago or the classifier has changed."""
    return StreamSmoother(_loaded(model, version), hop_seconds=LIVE_HOP_SECONDS)


@functools.lru_cache(maxsize=LOADED_CLASSIFIERS)
def _loaded(folder: Path, version: tuple[int, ...]) -> Classifier:
    return Classifier.load(folder)
