"""Add labels to a classifier by a few clips of each, without training; list or remove such labels.

    audionet enroll --label carol carol/*.mp3
    audionet enroll --audio_dir newcomers/
    audionet enroll --list
    audionet enroll --remove carol

Each recording of the label helps; half a minute in all is good. With --audio_dir, each subfolder is a label. The
trained labels keep their probabilities relative to each other.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from audionet.cli import EXIT_FAILED, TF_FILES, Paths, Positional, run_command
from audionet.console import log
from audionet.errors import check
from audionet.files import printable
from audionet.outputs import check_outputs
from audionet.ranges import between, check_ranges
from audionet.wording import counted, listed

FEW_CHUNKS = 5  # with fewer, a prototype says little about its label


@dataclass(frozen=True)
class EnrollOptions:
    """The command line of audionet enroll."""

    clips: Positional[Paths] = ()
    """Recordings or pictures of the label, or folders of them."""
    model: Path = TF_FILES / "retrained_model"
    """Classifier folder."""
    label: str | None = None
    """Name of the label to add."""
    audio_dir: Path | None = None
    """Folder of recordings instead, one subfolder a label; all of them are added."""
    remove: str | None = None
    """Name of a label to remove that was added before."""
    list: bool = False
    """List the labels that were added."""
    jobs: Annotated[int | None, between(1, 1_024)] = None
    """How many files to read side by side. By default one for each core."""

    def __post_init__(self) -> None:
        check_ranges(self)
        actions = sum([self.label is not None, self.audio_dir is not None, self.remove is not None, self.list])
        check(actions == 1, f"Expected one of --label, --audio_dir, --remove and --list, received {actions} of them.")
        check(
            bool(self.clips) == (self.label is not None),
            "--label needs clips, and clips need --label; --audio_dir needs no clips.",
        )


def enroll(options: EnrollOptions) -> int:
    """Add, remove or list."""
    # NumPy, OpenVINO and more, which --help should not wait for.
    from audionet.inference.clip_similarity import clip_files
    from audionet.inference.enrollment import enroll_clips, enroll_folder
    from audionet.models.classifier import Classifier
    from audionet.models.classifier_folder import remove_enrolled

    if not options.list:
        check_outputs(folders={"model": options.model})
    classifier = Classifier.load(options.model)
    if options.remove is not None:
        remove_enrolled(options.model, options.remove)
        print(f"Removed {printable(options.remove)}.")
        return 0
    if options.list:
        for label in classifier.enrolled:
            print(printable(label))
        return 0
    if options.label is not None:
        enrolled, failed = enroll_clips(classifier, options.label, clip_files(options.clips), jobs=options.jobs)
        labels = [enrolled]
    else:
        assert options.audio_dir  # as the options were checked
        labels, failed = enroll_folder(classifier, options.audio_dir, jobs=options.jobs)
    for one in labels:
        print(f"Enrolled {printable(one.label)} by {counted(one.chunks, 'chunk')} of {counted(one.clips, 'clip')}.")
    print(classifier.comparison_space().sentence())
    few = [printable(one.label) for one in labels if one.chunks < FEW_CHUNKS]
    if few:
        log(
            f"Few chunks, less than {FEW_CHUNKS}: {listed(few)}. Add clips of other days, and enroll again with all of "
            "them."
        )
    return EXIT_FAILED if failed else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(enroll, EnrollOptions, __doc__, argv)
