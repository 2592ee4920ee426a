"""Say which recordings without a label to listen to next, and make those that you name training data.

    audionet review unlabelled/ --audio_dir recordings/ --csv review.csv --report review.html
    audionet review unlabelled/ --audio_dir recordings/ --verdicts review.csv

Picked are recordings of which the networks are unsure, and that are unlike each other and unlike those with a label.
Write keep into the column verdict where the suggested label is right; or relabel, with the right one in the column
suggested; or leave out. --verdicts copies them to the label's folder; the recordings themselves are never touched.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from audionet.cli import EXIT_FAILED, TF_FILES, OmitArgPrefixes, Positional, run_command, short_path, typed_command
from audionet.console import log
from audionet.errors import check
from audionet.files import printable, write_text
from audionet.models.backbones.settings import BackboneSettings
from audionet.outputs import check_outputs
from audionet.ranges import between, check_ranges


@dataclass(frozen=True)
class ReviewOptions:
    """The command line of audionet review."""

    folder: Positional[Path | None] = None
    """Folder of recordings without a label, at any depth."""
    audio_dir: Path = TF_FILES / "data_audio"
    """Folder of those that have one, one subfolder a label, two labels or more."""
    count: Annotated[int, between(1, 10_000)] = 20
    """How many to pick."""
    csv: Path | None = None
    """File to write the picks to: recording, suggested, probability, why, verdict."""
    report: Path | None = None
    """HTML file to write a page to, with a player and a picture of each pick, and the score over rounds."""
    verdicts: Path | None = None
    """Such a list with verdicts, to take down instead."""
    bottleneck_dir: Path = TF_FILES / "bottlenecks"
    """Folder of the cache. It is safe to delete."""
    backbone: OmitArgPrefixes[BackboneSettings] = field(default_factory=BackboneSettings)

    def __post_init__(self) -> None:
        check_ranges(self)
        check(self.folder is not None, "Expected a folder of recordings without a label, received none.")
        check(
            self.verdicts is None or (self.csv is None and self.report is None),
            "--verdicts takes verdicts down; leave --csv and --report away, or review again afterwards.",
        )


def review(options: ReviewOptions) -> int:
    """Pick recordings or take verdicts down; return 1 if a recording or a row had to be set aside."""
    check_outputs(
        files={"csv": options.csv, "report": options.report},
        folders={"bottleneck_dir": options.bottleneck_dir, "model_dir": options.backbone.model_dir},
    )
    assert options.folder is not None  # as was checked
    for name, place in (("FOLDER", options.folder), ("--audio_dir", options.audio_dir)):
        check(place.is_dir(), f"{name}: expected a folder, received {printable(place)}.")
    return _take_down(options, options.folder) if options.verdicts else _pick(options, options.folder)


def _take_down(options: ReviewOptions, folder: Path) -> int:
    from audionet.data.verdicts import read_table  # NumPy, which --help should not wait for
    from audionet.experiments.review import take_verdicts
    from audionet.wording import counted

    assert options.verdicts is not None  # as was asked
    faults: list[str] = []
    taken = take_verdicts(folder, options.audio_dir, read_table(options.verdicts, option="--verdicts"), faults)
    for fault in faults:
        log(f"Set aside: {fault}")
    print(f"{counted(taken, 'verdict')} taken down. What got a label was copied to {printable(options.audio_dir)}.")
    print(f"Train on it: {typed_command('train')} --image_dir {printable(short_path(options.audio_dir))}")
    return EXIT_FAILED if faults else 0


def _pick(options: ReviewOptions, folder: Path) -> int:
    from audionet.experiments.review import add_round, csv_of, review_folder  # NumPy and the networks, as above
    from audionet.reports.review_page import review_page
    from audionet.tables import print_table
    from audionet.wording import counted

    found = review_folder(
        folder, options.audio_dir, options.backbone, count=options.count, bottleneck_dir=options.bottleneck_dir
    )
    rounds = add_round(folder, found)
    rows = [
        (printable(one.recording), printable(one.suggested), f"{one.probability:.0%}", one.why) for one in found.picks
    ]
    if rows:
        print_table(("recording", "suggested", "probability", "why"), rows, numbers=("probability",))
    summary = (
        f"{counted(found.labelled, 'recording')} with a label, of which {found.accuracy:.0%} are told by the others. "
        f"{counted(found.left, 'recording')} without a verdict, of which {len(found.picks)} are picked."
    )
    print(summary)
    if options.csv:
        write_text(options.csv, csv_of(found.picks))
        print(f"List: {printable(short_path(options.csv))}")
    if options.report:
        page = review_page(
            [(one.recording, one.suggested, one.probability, one.why) for one in found.picks],
            found.clips,
            rounds,
            title=folder.resolve().name,
            summary=summary,
        )
        write_text(options.report, page)
        print(f"Page: {printable(short_path(options.report))}")
    return EXIT_FAILED if found.failures else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(review, ReviewOptions, __doc__, argv)
