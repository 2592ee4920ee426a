"""Export a classifier: write it, open it by its own runtime, compare its answers, and keep it only if they agree."""

import errno
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal

from audionet.console import silence_native_stderr
from audionet.errors import AudioNetError, ExportError, InputError
from audionet.export.formats import FORMATS, ExportContent, ExportFormat, check_packages
from audionet.export.frozen_graph import picture_graph, picture_size, waveform_graph
from audionet.export.parity import Parity, ParityClips, compare, inputs_of
from audionet.files import mark_folder, printable, read_mark, whole_file, whole_folder
from audionet.models.classifier import Classifier

KIND = "export"
InputKind = Literal["waveform", "picture"]


def describe(classifier: Classifier, *, input_kind: InputKind) -> dict[str, Any]:
    """Return what every export says of itself, as JSON.

    Returns:
        `input`, `waveform` or `picture`, with `sample_rate_hz` and `chunk_samples`, or `height` and `width`;
        `labels`, in the order of the outputs; `recipe`; `backbone` with its weights and their licence; `fingerprint`,
        which stands for the classifier; `temperature`, which is in the probabilities already.
    """
    recipe, backbone = classifier.recipe, classifier.members[0].backbone
    height, width = picture_size(classifier)
    sound = {"sample_rate_hz": recipe.sample_rate_hz, "chunk_samples": recipe.chunk_samples} if recipe else {}
    about = {
        "input": input_kind,
        **(sound if input_kind == "waveform" else {"height": height, "width": width}),
        "labels": list(classifier.labels),
        **({"members": [member.name for member in classifier.members]} if len(classifier.members) > 1 else {}),
        "recipe": recipe.to_json() if recipe else None,
        "backbone": {name: backbone.get(name) for name in ("architecture", "bottleneck", "fingerprint", "weights")},
        "fingerprint": classifier.fingerprint,
        "temperature": classifier.about.get("training", {}).get("temperature"),
    }
    as_json: dict[str, Any] = json.loads(json.dumps(about))  # lists for tuples, as in the export
    return as_json


def export_classifier(
    classifier: Classifier,
    output: Path,
    *,
    format_name: str,
    input_kind: InputKind,
    clips: ParityClips,
) -> Parity:
    """Write an export that answers as the classifier does, or none.

    Args:
        classifier: what to export.
        output: the file, or for some formats the folder, to write.
        format_name: out of `FORMATS`.
        input_kind: what it is fed.
        clips: what to compare on, held out if there is any; and what to calibrate on, for formats that are calibrated.

    Raises:
        InputError: the output has another suffix or is somebody else's, a package is missing, the drawing is not to be
            had in a graph, or there is nothing to calibrate on.
        ExportError: its answers differ from the classifier's by more than is tolerated.
    """
    export_format = FORMATS[format_name]
    check_packages(format_name)
    check_output(output, export_format, format_name)
    if export_format.is_calibrated and not clips.trained_on:
        raise InputError(
            f"--format {format_name} is calibrated on recordings that the classifier was trained on, and none of those "
            "given is one. Name the folder that it was trained on by --audio_dir or --image_dir."
        )
    takes_sound = input_kind == "waveform"
    classifier = exported(classifier, export_format, input_kind=input_kind)
    with silence_native_stderr():
        make_graph = waveform_graph if takes_sound else picture_graph
        graph = make_graph(classifier, batch=1 if export_format.one_chunk else None)
    about = describe(classifier, input_kind=input_kind)
    compared = clips.held_out or clips.trained_on
    inputs = inputs_of(compared, classifier, takes_sound=takes_sound)
    examples = inputs_of(clips.trained_on, classifier, takes_sound=takes_sound) if export_format.is_calibrated else []
    with _placed(output, export_format, about) as scratch, _quiet():
        with _FullDiskAsOsError(scratch, needed_bytes=graph.ByteSize()):
            export_format.write(ExportContent(graph, about, examples), scratch)
        opened = export_format.open(scratch)
        if opened.about != about:
            raise ExportError(f"{printable(output)} was not kept, since its description did not come back whole.")
        parity = compare(classifier, compared, inputs, opened.run, export_format.tolerance)
        parity.check()
    return parity


def exported(classifier: Classifier, export_format: ExportFormat, *, input_kind: InputKind) -> Classifier:
    """Return what an export holds of a classifier: all of its members, or the one that looks at pictures alone.

    Pictures are no sound, some formats have no operations for networks that listen, none resamples, and none holds
    what only OpenVINO runs.
    """
    listening = [one for one in classifier.inputs if one.is_sound]
    at_rate = all(one.recipe is not None and one.sample_rate_hz == one.recipe.sample_rate_hz for one in listening)
    can_hold = at_rate and (export_format.holds_listeners or not listening)
    holds_all = input_kind == "waveform" and can_hold and all(one.is_exportable for one in classifier.members)
    return classifier if holds_all else classifier.for_pictures()


def with_suffix(output: Path, format_name: str) -> Path:
    """Return where an export goes: a name without the suffix of its format or of another gets it."""
    suffix = FORMATS[format_name].suffix
    if output.suffix.lower() in {export_format.suffix for export_format in FORMATS.values()} - {""}:
        return output
    return output.with_name(output.name + suffix)


def check_output(output: Path, export_format: ExportFormat, name: str) -> None:
    """Raise unless an export may be written there.

    Raises:
        InputError: it has another suffix than its format, or is a folder that holds something else.
    """
    if export_format.suffix and output.suffix.lower() != export_format.suffix:
        raise InputError(
            f"--output: expected a name that ends in {export_format.suffix} for --format {name}, received {output}."
        )
    is_ours = (read_mark(output) or {}).get("kind") == KIND
    is_empty = output.is_dir() and not any(output.iterdir())
    if (
        output.exists()
        and not is_empty
        and (output.is_dir() != (not export_format.suffix) or (output.is_dir() and not is_ours))
    ):
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


class _FullDiskAsOsError(AbstractContextManager["_FullDiskAsOsError"]):
    """Raise OSError for a full disk, where converters have errors of their own that do not say so."""

    def __init__(self, path: Path, *, needed_bytes: int):
        self._path, self._needed_bytes = path, needed_bytes

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        is_theirs = isinstance(error, Exception) and not isinstance(error, (AudioNetError, OSError))
        if is_theirs and shutil.disk_usage(self._path.parent).free < self._needed_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path)) from error


@contextmanager
def _placed(output: Path, export_format: ExportFormat, about: dict[str, Any]) -> Iterator[Path]:
    """Yield a path to write to, which takes its place only when the block ends well."""
    if export_format.suffix:
        with whole_file(output) as file:
            yield file
        return
    with whole_folder(output) as folder:
        mark_folder(folder, KIND, about=about)
        yield folder
