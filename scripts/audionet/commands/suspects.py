"""List recordings whose label is likely wrong, and take down what you decide about them.

    audionet suspects --audio_dir recordings/ --csv suspects.csv
    audionet suspects --audio_dir recordings/ --csv suspects.csv --report suspects.html
    audionet suspects --audio_dir recordings/ --verdicts suspects.csv

The list begins with the likeliest mistake. Write keep, relabel or leave out into its column verdict; to relabel, the
column suggested has the right label. --verdicts takes that down in audionet_verdicts.csv beside the label folders.
Training obeys that; recordings are never touched.
"""

from dataclasses import dataclass, field
from pathlib import Path

from audionet.cli import (
    EXIT_FAILED,
    TF_FILES,
    OmitArgPrefixes,
    run_command,
    short_path,
    typed_command,
)
from audionet.console import log
from audionet.errors import check
from audionet.files import printable, write_text
from audionet.models.backbones.settings import BackboneSettings
from audionet.outputs import check_outputs

MOST_SHOWN = 20
MOST_CLIPS = 60  # of a page, which holds their sound


@dataclass(frozen=True)
class SuspectsOptions:
    """The command line of audionet suspects."""

    audio_dir: Path = TF_FILES / "data_audio"
    """Folder of recordings, one subfolder a label."""
    csv: Path | None = None
    """File to write the list to: recording, label, suggested, score, why, verdict."""
    report: Path | None = None
    """HTML file to write a page to, with a player and a picture of each of the likeliest."""
    verdicts: Path | None = None
    """Such a list with verdicts, to take down beside the recordings instead."""
    group_by: str = "recording"
    """What is judged without each other: recording, folder, TABLE.csv:COLUMN, or a regular expression on the name."""
    bottleneck_dir: Path = TF_FILES / "bottlenecks"
    """Folder of the cache. It is safe to delete."""
    backbone: OmitArgPrefixes[BackboneSettings] = field(default_factory=BackboneSettings)

    def __post_init__(self) -> None:
        check(
            self.verdicts is None or (self.csv is None and self.report is None),
            "--verdicts takes verdicts down; leave --csv and --report away, or list again afterwards.",
        )


def suspects(options: SuspectsOptions) -> int:
    """List suspects or take verdicts down; return 1 if a recording or a row had to be set aside."""
    check_outputs(
        files={"csv": options.csv, "report": options.report},
        folders={"bottleneck_dir": options.bottleneck_dir, "model_dir": options.backbone.model_dir},
    )
    return _take_down(options) if options.verdicts else _list(options)


def _take_down(options: SuspectsOptions) -> int:
    from audionet.data.verdicts import (
        VERDICTS_NAME,
        add_verdicts,
        read_table,
        verdicts_of,
    )
    from audionet.wording import counted

    assert options.verdicts is not None  # as was asked
    check(
        options.audio_dir.is_dir(),
        f"--audio_dir: expected a folder, received {printable(options.audio_dir)}.",
    )
    faults: list[str] = []
    verdicts = verdicts_of(read_table(options.verdicts, option="--verdicts"), faults)
    gone = [name for name in verdicts if not (options.audio_dir / name).is_file()]
    faults += [f"{printable(name)}: it is not below {printable(options.audio_dir)}" for name in gone]
    for fault in faults:
        log(f"Set aside: {fault}")
    taken = {name: one for name, one in verdicts.items() if name not in gone}
    if taken:
        total = add_verdicts(options.audio_dir, taken)
        print(f"{counted(len(taken), 'verdict')} taken down, {total} in all: {options.audio_dir / VERDICTS_NAME}")
        print(f"Training obeys them: {typed_command('train')} --image_dir {printable(short_path(options.audio_dir))}")
    else:
        log("No verdict was taken down: write keep, relabel or leave out into the column verdict.")
    return EXIT_FAILED if faults else 0


def _list(options: SuspectsOptions) -> int:
    from audionet.data.verdicts import read_verdicts  # NumPy and the networks, which --help should not wait for
    from audionet.experiments.suspects import csv_of, judge_folder
    from audionet.reports.suspects_page import suspects_page
    from audionet.tables import print_table
    from audionet.wording import counted

    verdicts, faults = read_verdicts(options.audio_dir)
    judged = judge_folder(
        options.audio_dir, options.backbone, group_by=options.group_by, bottleneck_dir=options.bottleneck_dir
    )
    for fault in faults:
        log(f"Note: {fault}.")
    if judged.lonely:
        log(f"Not judged, since a label needs two recordings: {', '.join(map(printable, judged.lonely))}.")
    likely = [one for one in judged.suspects if one.is_likely and one.recording not in verdicts]
    rows = [(*map(printable, (one.recording, one.label, one.suggested)), f"{one.score:.2f}", one.why) for one in likely]
    if rows:
        print_table(("recording", "label", "suggested", "score", "why"), rows[:MOST_SHOWN], numbers=("score",))
    besides = f", besides {len(verdicts)} with a verdict" if verdicts else ""
    print(f"{counted(len(likely), 'recording')} of {len(judged.suspects)} may have a wrong label{besides}.")
    if options.csv:
        write_text(options.csv, csv_of(judged.suspects, verdicts))
        print(f"List: {printable(short_path(options.csv))}")
    if options.report:
        shown = judged.suspects[: max(len(likely) + len(verdicts), MOST_SHOWN)][:MOST_CLIPS]
        given = {name: one.verdict for name, one in verdicts.items()}
        page = suspects_page(
            [(one.recording, one.label, one.suggested, one.score, one.why) for one in shown],
            judged.clips_of(shown),
            given,
            title=options.audio_dir.resolve().name,
            count=f"{counted(len(likely), 'recording')} of {len(judged.suspects)} may have a wrong label{besides}.",
        )
        write_text(options.report, page)
        print(f"Page: {printable(short_path(options.report))}")
    return EXIT_FAILED if judged.failures else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(suspects, SuspectsOptions, __doc__, argv)
