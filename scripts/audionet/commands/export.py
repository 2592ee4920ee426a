"""Write a classifier in a format of another runtime: waveform in, label probabilities out.

    audionet export --format onnx --output voices.onnx
    audionet export --format tflite_int8 --output voices.tflite --audio_dir recordings/
    audionet export --format saved_model --input picture --output voices_saved_model

The export is opened by its own runtime and compared with the classifier on recordings that were held out. It is kept
only if its answers agree. The formats: saved_model, keras, graph, tflite, tflite_int8, onnx and openvino; saved_model
and openvino are folders. tflite and onnx need pip install './scripts[export]'.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from audionet.cli import EXIT_FAILED, TF_FILES, run_command
from audionet.console import log
from audionet.errors import check
from audionet.files import printable
from audionet.outputs import check_outputs
from audionet.wording import named_list


@dataclass(frozen=True)
class ExportOptions:
    """The command line of audionet export."""

    format: Literal["saved_model", "keras", "graph", "tflite", "tflite_int8", "onnx", "openvino"]
    """What to write."""
    output: Path
    """File to write, which gets the format's suffix if it has none; or for saved_model and openvino the folder."""
    model: Path = TF_FILES / "retrained_model"
    """Classifier folder."""
    input: Literal["waveform", "picture"] = "waveform"
    """What it takes: one chunk of sound, mono at the recipe's rate, or its picture, 0 to 1."""
    audio_dir: Path | None = None
    """Folder of recordings to compare on, one subfolder a label. By default what the classifier was trained on."""
    image_dir: Path | None = None
    """Folder of pictures instead, for --input picture."""

    def __post_init__(self) -> None:
        check(self.audio_dir is None or self.image_dir is None, "--audio_dir and --image_dir: expected one of them.")
        check(self.image_dir is None or self.input == "picture", "--image_dir needs --input picture.")


def export(options: ExportOptions) -> int:
    """Export, compare the export with the classifier, and print the comparison."""
    # NumPy, OpenVINO and more, which --help should not wait for.
    from audionet.evaluation import test_set
    from audionet.evaluation.runs import trained_on
    from audionet.export.export import export_classifier, exported, with_suffix
    from audionet.export.formats import FORMATS
    from audionet.export.parity import find_parity_clips
    from audionet.models.classifier import Classifier
    from audionet.models.classifier_folder import read_enrolled
    from audionet.tables import print_table

    is_folder = options.format in ("saved_model", "openvino")
    output = with_suffix(options.output, options.format)
    check_outputs(**{"replaced" if is_folder else "files": {"output": output}})
    classifier = Classifier.load(options.model, with_enrolled=False)  # an export holds what was trained
    sources = test_set.find_sources(audio_dir=options.audio_dir, image_dir=options.image_dir, negatives=None)
    if not sources:
        runs_dirs = (TF_FILES / "runs", options.model.parent / "runs")
        sources = test_set.find_either(trained_on(options.model, runs_dirs, option="--audio_dir"))
    clips = find_parity_clips(classifier, sources)
    if not clips.held_out:
        log("All of these recordings had a part in training, so that accuracies are too good to be true.")
    result = export_classifier(
        classifier,
        output,
        format_name=options.format,
        input_kind=options.input,
        clips=clips,
    )
    columns = ("", "chunks right", "recordings right")
    print_table(columns, result.rows(), numbers=columns[1:])
    print(result.sentence())
    kept = {member.name for member in exported(classifier, FORMATS[options.format], input_kind=options.input).members}
    if left_out := [member.name for member in classifier.members if member.name not in kept]:
        print(f"It answers without {named_list('member', left_out)}: {options.format} holds none that listens.")
    if enrolled := read_enrolled(options.model):
        print(f"It leaves out what was enrolled: {', '.join(map(printable, enrolled))}. Train on them to have them in.")
    print(f"{1000 * result.seconds_a_chunk:.1f} ms a chunk. Export: {printable(output)}")
    return EXIT_FAILED if clips.failed else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(export, ExportOptions, __doc__, argv)
