"""List the recorded runs, the newest last: what was trained on what, and the scores.

    audionet runs
    audionet runs --last 5
    audionet runs --wide
    audionet runs --json | tail -1

Compare two of them with audionet evaluate --compare RUN_A RUN_B.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from audionet.cli import EXIT_FAILED, TF_FILES, run_command
from audionet.console import log
from audionet.files import printable
from audionet.ranges import between, check_ranges


@dataclass(frozen=True)
class RunsOptions:
    """The command line of audionet runs."""

    runs_dir: Path = TF_FILES / "runs"
    """Folder of records."""
    last: Annotated[int | None, between(1, 1_000_000)] = None
    """How many to list, the newest. By default all."""
    wide: bool = False
    """Print all columns, however wide: the network, the head, sizes and seconds too."""
    json: bool = False
    """Print one JSON object a line instead of a table."""

    def __post_init__(self) -> None:
        check_ranges(self)


def list_runs(options: RunsOptions) -> int:
    """Print the records, and return 1 if a file among them is none."""
    from audionet.evaluation import runs  # which --help need not wait for
    from audionet.tables import print_table

    records, failures = runs.read_runs(options.runs_dir)
    for name, reason in failures.items():
        log(f"Set aside: {printable(name)}: {reason}")
    records = records[-options.last :] if options.last else records
    if options.json:
        for record in records:
            print(json.dumps(record))
    elif records:
        columns = runs.WIDE_COLUMNS if options.wide else runs.COLUMNS
        numbers = ("right", "refused", "no threshold", "chunks", "labels", "recordings in all", "seconds")
        rows = runs.rows_of(records, wide=options.wide)
        print_table(columns, rows, title="Recordings named right and refused as unknown, by run", numbers=numbers)
    else:
        log(f"No run is recorded in {printable(options.runs_dir)} yet. Record one: make train.")
    return EXIT_FAILED if failures else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(list_runs, RunsOptions, __doc__, argv)
