"""Draw which parts of a clip's spectrogram, or of a picture, an answer rests on.

    audionet explain voice.mp3 --output why.png
    audionet explain clips/ --output explanations/

Squares of the picture are hidden in turn. Red is what speaks for the label, blue what speaks against it.
"""

from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from audionet.cli import EXIT_FAILED, TF_FILES, OmitArgPrefixes, run_command
from audionet.console import log
from audionet.errors import AudioNetError, check
from audionet.files import printable
from audionet.inference.settings import ClipSettings
from audionet.models.backbones.settings import Engine
from audionet.outputs import check_outputs


@dataclass(frozen=True, kw_only=True)
class ExplainOptions:
    """The command line of audionet explain."""

    clips: OmitArgPrefixes[ClipSettings] = field(default_factory=ClipSettings)
    output: Path
    """Picture (.png) to write; for several clips a folder of them."""
    model: Path = TF_FILES / "retrained_model"
    """Classifier folder."""
    engine: Engine = "auto"
    """What runs the network. auto is TensorFlow where it has a GPU, and OpenVINO, which is faster, on a CPU."""

    def __post_init__(self) -> None:
        self.clips.check_named()


def explain_clips(options: ExplainOptions) -> int:
    """Write the explanation of every clip's answer as a picture, and return 1 if any clip failed."""
    # NumPy and more, which --help should not wait for.
    from audionet.inference.batch_scoring import find_clips, unique_name
    from audionet.inference.explain import explain, write_explanation
    from audionet.models.classifier import Classifier

    is_one_picture = options.output.suffix.lower() == ".png"
    check_outputs(**{"files" if is_one_picture else "folders": {"output": options.output}})
    classifier = Classifier.load(options.model, engine=options.engine, channel=options.clips.channel)
    clips = find_clips(options.clips.paths, from_file=options.clips.from_file)
    first_two = list(islice(clips, 2))
    check(
        not is_one_picture or len(first_two) < 2,
        f"--output: {printable(options.output)} is one picture; for several clips name a folder.",
    )
    failed = 0
    names: dict[str, Path] = {}
    for clip in chain(first_two, clips):
        picture = options.output if is_one_picture else options.output / f"{unique_name(clip, names)}.png"
        try:
            explanation = explain(classifier, clip)
        except AudioNetError as error:
            log(f"Set aside: {error}")
            failed += 1
            continue
        write_explanation(picture, explanation, name=clip.name)
        print(f"{printable(clip)}: {explanation.sentence()}")
    return EXIT_FAILED if failed else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(explain_clips, ExplainOptions, __doc__, argv)
