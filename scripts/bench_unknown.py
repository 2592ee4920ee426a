"""Measure how well strangers are refused: some labels are held out altogether, and heard when training is over.

    python bench_unknown.py --audio_dir ../tf_files/data_audio
    python bench_unknown.py --audio_dir ~/speakers --held_out 4 --draws 6

Each subfolder is a label; there must be four or more. Everything is trained as retrain.py trains it by default.
"""

import sys
from dataclasses import dataclass

from audionet.cli import EXIT_FAILED, run_script
from audionet.errors import check
from benchmarks.options import FolderBenchOptions


@dataclass(frozen=True)
class BenchUnknownOptions(FolderBenchOptions):
    """The command line of bench_unknown.py."""

    held_out: int | None = None
    """How many labels to hold out altogether. By default a third."""
    draws: int = 6
    """How often, other labels each time."""
    architecture: str = "efficientnet_lite0"
    """Pretrained network."""

    def __post_init__(self) -> None:
        check(self.draws >= 1, f"--draws: expected 1 or more, received {self.draws}.")


def bench(options: BenchUnknownOptions) -> int:
    """Draw, train, score, print and write down; return 1 if any recording had to be set aside."""
    # NumPy and the networks, which --help should not wait for.
    from benchmarks import accuracy, open_set

    training = accuracy.DefaultTraining(options.architecture, options.random_seed)
    dataset, failures = accuracy.dataset_of(options.audio_dir, options.folder, group_by=options.group_by)
    held_out = max(1, len(dataset.labels) // 3) if options.held_out is None else options.held_out
    draws = open_set.draws_of(dataset.labels, held_out=held_out, count=options.draws, seed=options.random_seed)
    result = open_set.measure(
        dataset,
        draws,
        backbone=training.load(),
        choose=training.choose,
        bottleneck_dir=options.bottleneck_dir,
        holdout=options.holdout,
    )
    open_set.print_measured(result)
    options.write(options.folder, "unknown", result)
    return EXIT_FAILED if failures else 0


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run_script(bench, BenchUnknownOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
