"""Measure how well clips of labels that nobody trained on are told apart, beside a speaker encoder.

    python bench_verify.py --audio_dir ../tf_files/data_audio
    python bench_verify.py --audio_dir ~/speakers --held_out 4 --draws 3

Each subfolder is a label; there must be five or more. Everything is trained as retrain.py trains it by default, on the
labels that are not left out. For the encoder, which hears the very same chunks: pip install -r
tests/requirements-bench.txt.
"""

import os
import sys
from dataclasses import dataclass

from audionet.cli import EXIT_FAILED, run_script
from audionet.errors import check
from benchmarks.options import FolderBenchOptions


@dataclass(frozen=True)
class BenchVerifyOptions(FolderBenchOptions):
    """The command line of bench_verify.py."""

    held_out: int | None = None
    """How many labels to leave out altogether. By default a third, and two at least."""
    draws: int | None = None
    """How often, other labels each time. By default until each was left out."""
    peers: bool = True
    """Compare with a speaker encoder, where it is installed."""
    architecture: str = "efficientnet_lite0"
    """Pretrained network."""

    def __post_init__(self) -> None:
        check(self.draws is None or self.draws >= 1, f"--draws: expected 1 or more, received {self.draws}.")
        check(self.held_out is None or self.held_out >= 2, f"--held_out: expected 2 or more, received {self.held_out}.")


def bench(options: BenchVerifyOptions) -> int:
    """Draw, train, compare, print and write down; return 1 if any recording had to be set aside."""
    # NumPy and the networks, which --help should not wait for.
    from audionet.parallel import process_pool
    from benchmarks import accuracy, open_set, verification

    training = accuracy.DefaultTraining(options.architecture, options.random_seed)
    dataset, failures = accuracy.dataset_of(options.audio_dir, options.folder, group_by=options.group_by)
    held_out = options.held_out or max(2, len(dataset.labels) // 3)
    draws = options.draws or -(-len(dataset.labels) // held_out)
    with process_pool(os.cpu_count() or 1) as pool:
        result = verification.measure(
            dataset,
            open_set.draws_of(dataset.labels, held_out=held_out, count=draws, seed=options.random_seed),
            backbone=training.load(),
            choose=training.choose,
            bottleneck_dir=options.bottleneck_dir,
            holdout=options.holdout,
            peers=accuracy.encoders(options.bottleneck_dir, pool, dataset.recipe) if options.peers else {},
        )
    verification.print_measured(result)
    options.write(options.folder, "verify", result)
    return EXIT_FAILED if failures else 0


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run_script(bench, BenchVerifyOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
