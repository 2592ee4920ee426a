"""Compare networks with classic ways and with a speaker encoder, on recordings that they were not trained on.

    python bench_accuracy.py --audio_dir ../tf_files/data_audio
    python bench_accuracy.py --audio_dir ~/speakers --test '^04' --architectures efficientnet_lite0,inception_v3
    python bench_accuracy.py --audio_dir ~/sounds --folds 5 --group_by '^[^_]+'

Each subfolder is a label. Networks are trained as retrain.py trains them by default. What is held out is heard clean
and under noises, codecs and rooms. The speaker encoder is Resemblyzer, where it is installed: pip install -r
tests/requirements-bench.txt.
"""

import os
import sys
from dataclasses import dataclass

from audionet.cli import EXIT_FAILED, run_script
from audionet.errors import check
from benchmarks.options import FolderBenchOptions


@dataclass(frozen=True)
class BenchAccuracyOptions(FolderBenchOptions):
    """The command line of bench_accuracy.py."""

    test: str | None = None
    """Hold out the recordings whose file name matches this regular expression, such as ^04."""
    folds: int = 5
    """Without --test: hold out every recording once, in as many trials."""
    architectures: str = "efficientnet_lite0"
    """Pretrained networks, with commas between."""
    peers: bool = True
    """Whether to compare with cepstra and with Resemblyzer."""

    def __post_init__(self) -> None:
        check(self.folds >= 2, f"--folds: expected 2 or more, received {self.folds}.")


def bench(options: BenchAccuracyOptions) -> int:
    """Draw, train, score, print and write tables; return 1 if any recording had to be set aside."""
    # NumPy, SciPy and the networks, which --help should not wait for.
    from audionet.features.recipes import find_recipe
    from audionet.models.backbones.architectures import find_architecture
    from audionet.parallel import process_pool
    from audionet.tables import markdown, print_tables
    from benchmarks import accuracy, accuracy_tables

    architectures = [find_architecture(name.strip()).name for name in options.architectures.split(",")]
    dataset, failures = accuracy.dataset_of(options.audio_dir, options.folder, group_by=options.group_by)
    if options.test is None:
        trials = accuracy.trials_by_fold(dataset, count=options.folds, seed=options.random_seed)
    else:
        trials = accuracy.trial_by_name(dataset, options.test)
    with process_pool(os.cpu_count() or 1) as pool:
        systems = accuracy.systems_of(
            architectures,
            bottleneck_dir=options.bottleneck_dir,
            pool=pool,
            recipe=find_recipe("default"),
            views=options.holdout.views,
            with_peers=options.peers,
        )
        result = accuracy.benchmark(systems, trials, holdout=options.holdout)
    tables, introduction = accuracy_tables.tables(result), accuracy_tables.introduction(result)
    print_tables(tables, introduction)
    options.write(options.folder, "accuracy", result, markdown(tables, introduction))
    return EXIT_FAILED if failures else 0


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run_script(bench, BenchAccuracyOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
