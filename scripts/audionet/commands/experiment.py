"""Try many ways to draw and to train on the same recordings, and say which are better.

    audionet experiment grid.toml --audio_dir recordings/
    audionet experiment grid.toml --audio_dir recordings/ --learning_curve
    audionet experiment grid.toml --audio_dir recordings/ --search 20

The grid is a file of options of audionet data and audionet train; each list gives one cell for each of its values:

    picture = ["log_mel", "pcen"]
    head = ["lda", "softmax"]
    folds = 5

All cells are scored on the same folds of the same recordings. Typed again after it was ended, it goes on.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from audionet.cli import EXIT_FAILED, TF_FILES, Positional, run_command, short_path
from audionet.console import log
from audionet.distributed.cluster import connected
from audionet.errors import check
from audionet.files import printable, write_json, write_text
from audionet.outputs import check_outputs
from audionet.ranges import between, check_ranges

if TYPE_CHECKING:
    from audionet.experiments.cells import GridRunner
    from audionet.experiments.grid import Grid


@dataclass(frozen=True)
class ExperimentOptions:
    """The command line of audionet experiment."""

    grid: Positional[Path | None] = None
    """TOML file of options, each with a value or a list of values."""
    audio_dir: Path = TF_FILES / "data_audio"
    """Folder of recordings, one subfolder a label."""
    compare_by: Literal["chunk", "recording"] = "chunk"
    """What the paired tests compare: answers to chunks, resampled by recording, or answers to recordings."""
    learning_curve: bool = False
    """Say too what twice as many recordings would give, by training the baseline's heads on ever larger parts."""
    search: Annotated[int | None, between(2, 10_000)] = None
    """Instead of scoring all cells, let Optuna try so many on validation in each fold, and test the best there."""
    cluster: str | None = None
    """Ray cluster that draws and computes bottlenecks: auto, local, or an address such as ray://host:10001."""
    output_dir: Path = TF_FILES / "experiment"
    """Folder for the table, the page, and what came of each cell."""
    bottleneck_dir: Path = TF_FILES / "bottlenecks"
    """Folder of the cache that all cells share. It is safe to delete."""

    def __post_init__(self) -> None:
        check_ranges(self)
        check(self.grid is not None, "Expected a TOML file of options, such as grid.toml, received none.")


def experiment(options: ExperimentOptions) -> int:
    """Run the cells, print and write what came of them; return 1 if a cell or a recording failed."""
    from audionet.experiments.cells import GridRunner  # NumPy and the networks, which --help should not wait for
    from audionet.experiments.grid import read_grid

    check_outputs(folders={"output_dir": options.output_dir, "bottleneck_dir": options.bottleneck_dir})
    assert options.grid is not None  # as was checked
    grid = read_grid(options.grid)
    for cell in grid.cells:
        for name in cell.same_as:
            log(f"Note: {name} means the same as {cell.name}, which stands for both.")
    with connected(options.cluster, folders=[options.audio_dir, options.bottleneck_dir]):
        runner = GridRunner(
            grid, options.audio_dir, bottleneck_dir=options.bottleneck_dir, results_dir=options.output_dir / "cells"
        )
        if options.search is not None:
            return _search(options, runner)
        return _score_all(options, grid, runner)


def _search(options: ExperimentOptions, runner: "GridRunner") -> int:
    from audionet.tables import print_table  # and what it draws with, as above

    assert options.grid is not None and options.search is not None  # as was asked
    found = runner.search(options.search)
    rows = [
        (str(one["fold"] + 1), printable(one["cell"]), f"{one['validation_accuracy']:.1%}", str(one["tried"]))
        for one in found["chosen"]
    ]
    print_table(("fold", "chosen", "on validation", "tried"), rows, numbers=("on validation", "tried"))
    for sentence in found["verdict"]:
        print(sentence)
    path = options.output_dir / f"{options.grid.stem}_search.json"
    write_json(path, found)
    print(f"Written: {printable(short_path(path))}")
    return EXIT_FAILED if runner.unreadable else 0


def _score_all(options: ExperimentOptions, grid: "Grid", runner: "GridRunner") -> int:
    from audionet.experiments.summary import csv_of, rows_of, summarise  # and what pages are made with, as above
    from audionet.reports.experiment_page import experiment_page
    from audionet.reports.sections.learning_curve import sentences_of
    from audionet.tables import print_table

    assert options.grid is not None  # as was checked
    summary = summarise(grid, runner.run(), level=options.compare_by)
    columns, rows = rows_of(summary)
    print_table(columns, rows, title=f"Scored in {runner.holdout.folds} folds", numbers=columns[len(grid.varied) :])
    for sentence in summary["verdict"]:
        print(sentence)
    if options.learning_curve:
        summary["learning_curve"] = runner.learning_curve()
        for sentence in sentences_of(summary["learning_curve"]):
            print(sentence)
    for name, reason in summary["failures"].items():
        log(f"Failed: {name}: {reason}")
    stem = options.output_dir / options.grid.stem
    write_json(stem.with_suffix(".json"), summary)
    write_text(stem.with_suffix(".csv"), csv_of(summary))
    page = experiment_page(summary, columns, rows, title=options.grid.stem, folds=runner.holdout.folds)
    write_text(stem.with_suffix(".html"), page)
    print(f"Page: {printable(short_path(stem.with_suffix('.html')))}, with .csv and .json beside it")
    return EXIT_FAILED if summary["failures"] or summary["unreadable"] else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(experiment, ExperimentOptions, __doc__, argv)
