"""Add a label to a classifier by a few clips, without training; list or remove such labels.

    audionet enroll --label carol carol/*.mp3
    audionet enroll --list
    audionet enroll --remove carol

Each recording of the label helps; half a minute in all is good. The trained labels keep their probabilities relative to
each other.
"""

from dataclasses import dataclass
from pathlib import Path

from audionet.cli import EXIT_FAILED, TF_FILES, Positional, run_command
from audionet.console import log
from audionet.errors import check
from audionet.files import printable
from audionet.outputs import check_outputs

FEW_CHUNKS = 5  # with fewer, a prototype says little about its label


@dataclass(frozen=True)
class EnrollOptions:
    """The command line of audionet enroll."""

    clips: Positional[tuple[Path, ...]] = ()
    """Recordings or pictures of the label, or folders of them."""
    model: Path = TF_FILES / "retrained_model"
    """Classifier folder."""
    label: str | None = None
    """Name of the label to add."""
    remove: str | None = None
    """Name of a label to remove that was added before."""
    list: bool = False
    """List the labels that were added."""

    def __post_init__(self) -> None:
        actions = sum([self.label is not None, self.remove is not None, self.list])
        check(actions == 1, f"Expected one of --label, --remove and --list, received {actions} of them.")
        check(bool(self.clips) == (self.label is not None), "--label needs clips, and clips need --label.")


def enroll(options: EnrollOptions) -> int:
    """Add, remove or list."""
    # NumPy, OpenVINO and more, which --help should not wait for.
    from audionet.inference.clip_similarity import clip_files, enroll_clips
    from audionet.models.classifier import Classifier
    from audionet.models.classifier_folder import remove_enrolled

    if not options.list:
        check_outputs(folders={"model": options.model})
    failed = 0
    classifier = Classifier.load(options.model)
    if options.label is not None:
        chunks, failed = enroll_clips(classifier, options.label, clip_files(options.clips))
        print(f"Enrolled {printable(options.label)} by {chunks} chunks. {classifier.comparison_space().sentence()}")
        if chunks < FEW_CHUNKS:
            log(f"{chunks} chunks are few; add clips of other days, and enroll the label again with all of them.")
    elif options.remove is not None:
        remove_enrolled(options.model, options.remove)
        print(f"Removed {printable(options.remove)}.")
    else:
        for label in classifier.enrolled:
            print(printable(label))
    return EXIT_FAILED if failed else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(enroll, EnrollOptions, __doc__, argv)
