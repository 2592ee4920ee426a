"""Export a classifier: write it, open it by its own runtime, compare its answers, and keep it only if they agree."""

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

from audionet.console import silence_native_stderr
from audionet.errors import ExportError, InputError
from audionet.export.formats import FORMATS, Format, Written, check_packages
from audionet.export.frozen_graph import picture_graph, picture_size, waveform_graph
from audionet.export.parity import Clip, Parity, compare, inputs_of
from audionet.files import mark_folder, printable, read_mark, whole_file, whole_folder
from audionet.models.classifier import Classifier

KIND = "export"
Input = Literal["waveform", "picture"]


def describe(classifier: Classifier, *, takes: Input) -> dict:
    """Return what every export says of itself, as JSON.

    Returns:
        dict: `input`, `waveform` or `picture`, with `sample_rate_hz` and `chunk_samples`, or `height` and `width`;
        `labels`, in the order of the outputs; `recipe`; `backbone` with its weights and their licence; `fingerprint`,
        which stands for the classifier; `temperature`, which is in the probabilities already.
    """
    recipe, backbone = classifier.recipe, classifier.about["backbone"]
    height, width = picture_size(classifier)
    sound = {"sample_rate_hz": recipe.sample_rate_hz, "chunk_samples": recipe.chunk_samples} if recipe else {}
    about = {
        "input": takes,
        **(sound if takes == "waveform" else {"height": height, "width": width}),
        "labels": list(classifier.labels),
        "recipe": recipe.to_json() if recipe else None,
        "backbone": {name: backbone.get(name) for name in ("architecture", "bottleneck", "fingerprint", "weights")},
        "fingerprint": classifier.fingerprint,
        "temperature": classifier.about.get("training", {}).get("temperature"),
    }
    return json.loads(json.dumps(about))  # lists where there were tuples, as whoever reads it will have it


def export(
    classifier: Classifier,
    output: Path,
    *,
    format_name: str,
    takes: Input,
    held_out: Sequence[Clip],
    trained_on: Sequence[Clip],
) -> Parity:
    """Write an export that answers as the classifier does, or none.

    Args:
        classifier: what to export.
        output: the file, or for some formats the folder, to write.
        format_name: out of `FORMATS`.
        takes: what it is fed.
        held_out: what to compare on; `trained_on` if there is nothing else.
        trained_on: what to calibrate on, for formats that are calibrated.

    Raises:
        InputError: the output has another suffix or is somebody else's, a package is missing, the drawing is not to be
            had in a graph, or there is nothing to calibrate on.
        ExportError: its answers differ from the classifier's by more than is tolerated.
    """
    row = FORMATS[format_name]
    check_packages(format_name)
    check_output(output, row, format_name)
    if row.is_calibrated and not trained_on:
        raise InputError(
            f"--format {format_name} is calibrated on recordings that the classifier was trained on, and none of those "
            "given is one. Name the folder that it was trained on by --audio_dir or --image_dir."
        )
    batch = 1 if row.one_chunk else None
    with silence_native_stderr():
        graph = (waveform_graph if takes == "waveform" else picture_graph)(classifier, batch=batch)
    about = describe(classifier, takes=takes)
    height, width = picture_size(classifier)
    feed = partial(inputs_of, classifier=classifier, takes_sound=takes == "waveform", height=height, width=width)
    clips = held_out or trained_on
    inputs, examples = feed(clips), feed(trained_on) if row.is_calibrated else []
    with _placed(output, row, about) as scratch, _quiet():
        row.write(Written(graph, about, examples), scratch)
        found, run = row.open(scratch)
        if found != about:
            raise ExportError(f"{printable(output)} was not kept, since its description did not come back whole.")
        parity = compare(classifier, clips, inputs, run, row.tolerance)
        parity.check()
    return parity


def check_output(output: Path, row: Format, name: str) -> None:
    """Raise unless an export may be written there.

    Raises:
        InputError: it has another suffix than its format, or is a folder that holds something else.
    """
    if row.suffix and output.suffix.lower() != row.suffix:
        raise InputError(f"--output: expected a name that ends in {row.suffix} for --format {name}, received {output}.")
    is_ours = (read_mark(output) or {}).get("kind") == KIND
    is_empty = output.is_dir() and not any(output.iterdir())
    if output.exists() and not is_empty and (output.is_dir() != (not row.suffix) or (output.is_dir() and not is_ours)):
        raise InputError(
            f"--output: expected a new name or an earlier export, but {printable(output)} is something else. Choose "
            "another name."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep converters and runtimes from talking of their plans and of each other's."""
    with warnings.catch_warnings(), silence_native_stderr():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _placed(output: Path, row: Format, about: dict) -> Iterator[Path]:
    """Yield a path to write to, which takes its place only when the block ends well."""
    if row.suffix:
        with whole_file(output) as file:
            yield file
        return
    with whole_folder(output) as folder:
        mark_folder(folder, KIND, about=about)
        yield folder
