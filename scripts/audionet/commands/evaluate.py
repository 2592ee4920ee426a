"""Score a classifier on recordings that it was not trained on, or compare two.

    audionet evaluate --audio_dir recordings/
    audionet evaluate --audio_dir recordings/ --negatives others/ --json a.json --report a.html
    audionet evaluate --audio_dir recordings/ --sweep
    audionet evaluate --audio_dir recordings/ --fail_below chunk.accuracy=0.9 recording.ci95.low=0.8
    audionet evaluate --compare a.json b.json

Each subfolder is a label. One that the classifier does not know, such as _unknown_, counts as unknown.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from audionet.cli import EXIT_BELOW_LIMIT, EXIT_FAILED, TF_FILES, run_command, short_path
from audionet.console import log
from audionet.distributed.cluster import connected
from audionet.errors import check
from audionet.evaluation.limits import faults_of, parse_limits
from audionet.files import printable
from audionet.outputs import check_outputs
from audionet.ranges import between, check_ranges


@dataclass(frozen=True)
class EvaluateOptions:
    """The command line of audionet evaluate."""

    model: Path = TF_FILES / "retrained_model"
    """Classifier folder."""
    audio_dir: Path | None = None
    """Folder of recordings, one subfolder a label."""
    image_dir: Path | None = None
    """Folder of pictures instead, one subfolder a label."""
    negatives: Path | None = None
    """Folder of recordings of none of the labels: other voices, noise, music."""
    group_by: str = "recording"
    """What intervals take together: recording, folder, fold, TABLE.csv:COLUMN, or a regular expression on the name."""
    false_accept_rate: Annotated[float | None, between(0.0001, 0.5)] = None
    """Share of unknown sound that may be given a label: 0.01, for example. By default that of training."""
    exclude_training: bool = False
    """Leave out recordings that had a part in training, found by their content."""
    sweep: bool = False
    """Score again under noise, codecs, rooms and more, 40 s of each recording."""
    compare: tuple[str, str] | None = None
    """Two evaluations to compare instead: JSON files, classifier folders or ids of runs."""
    json: Path | None = None
    """File to write the evaluation to."""
    report: Path | None = None
    """HTML file to write a report to, with plots, and the worst mistakes with their sound."""
    runs_dir: Path = TF_FILES / "runs"
    """Folder of records of runs."""
    cluster: str | None = None
    """Ray cluster that does the work: auto, local, or an address such as ray://host:10001. By default this machine."""
    fail_below: tuple[str, ...] = ()
    """Numbers of the JSON below which the command ends with status 3: chunk.accuracy=0.9 recording.ci95.low=0.8."""
    jobs: Annotated[int | None, between(1, 1_024)] = None
    """How many processes to use. By default one a core."""

    def __post_init__(self) -> None:
        check_ranges(self)
        parse_limits(self.fail_below)
        check(not (self.fail_below and self.compare), "--fail_below is about one evaluation; leave --compare away.")
        given = [name for name in ("audio_dir", "image_dir", "compare") if getattr(self, name) is not None]
        check(
            len(given) == 1, f"Expected one of --audio_dir, --image_dir and --compare, received {len(given)} of them."
        )
        check(not self.sweep or bool(self.audio_dir), "--sweep needs recordings; name them by --audio_dir.")


def evaluate(options: EvaluateOptions) -> int:
    """Score or compare, print and write down; return 1 if any recording had to be set aside."""
    from audionet import api  # NumPy, OpenVINO and more, which --help should not wait for
    from audionet.evaluation import comparison
    from audionet.files import write_json
    from audionet.reports import evaluation_tables

    if options.compare:
        check_outputs(files={"json": options.json})
        comparison_found = comparison.compare_named(*options.compare, runs_dir=options.runs_dir)
        print(comparison_found["words"])
        if options.json:
            write_json(options.json, comparison_found)
        return 0
    folders = [folder for folder in (options.audio_dir, options.image_dir, options.negatives) if folder]
    with connected(options.cluster, folders=folders):
        evaluation = api.evaluate(
            options.model,
            audio_dir=options.audio_dir,
            image_dir=options.image_dir,
            negatives=options.negatives,
            group_by=options.group_by,
            false_accept_rate=options.false_accept_rate,
            exclude_training=options.exclude_training,
            sweep=options.sweep,
            json=options.json,
            report=options.report,
            runs_dir=options.runs_dir,
            jobs=options.jobs,
        )
    evaluation_tables.print_evaluation(evaluation)
    if options.report:
        print(f"Report: {printable(short_path(options.report))}")
    faults = faults_of(evaluation, parse_limits(options.fail_below))
    for fault in faults:
        log(f"Failed: {fault}.")
    return EXIT_BELOW_LIMIT if faults else EXIT_FAILED if evaluation["failures"] else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(evaluate, EvaluateOptions, __doc__, argv)
