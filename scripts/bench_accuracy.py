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
from pathlib import Path

from audionet.files import printable
from audionet.options import EXIT_FAILED, check, run_script
from audionet.settings import HoldoutSettings

TF_FILES = Path(__file__).resolve().parent.parent / "tf_files"


@dataclass(frozen=True)
class BenchOptions:
    """The command line of bench_accuracy.py."""

    audio_dir: Path = TF_FILES / "data_audio"
    """Folder of recordings, one subfolder a label."""
    test: str | None = None
    """Hold out the recordings whose file name matches this regular expression, such as ^04."""
    folds: int = 5
    """Without --test: hold out every recording once, in as many trials."""
    group_by: str = "recording"
    """What is never parted: recording, folder, TABLE.csv:COLUMN, or a regular expression on the name."""
    architectures: str = "efficientnet_lite0"
    """Pretrained networks, with commas between."""
    peers: bool = True
    """Whether to compare with cepstra and with Resemblyzer."""
    random_seed: int = 0
    """Another seed, other folds and other noise."""
    output_dir: Path = TF_FILES / "bench"
    """Folder for tables, pictures and the cache. It is safe to delete."""

    def __post_init__(self) -> None:
        check(self.folds >= 2, f"--folds: expected 2 or more, received {self.folds}.")


def bench(options: BenchOptions) -> int:
    """Draw, train, score, print and write tables; return 1 if any recording had to be set aside."""
    # NumPy, SciPy and the networks, which --help should not wait for.
    from audionet.backbones import find_architecture
    from audionet.bench import benchmark, leaderboard
    from audionet.files import write_json, write_text
    from audionet.recipe import find_recipe
    from audionet.workers import process_pool

    architectures = [find_architecture(name.strip()).name for name in options.architectures.split(",")]
    folder = options.output_dir / options.audio_dir.resolve().name
    dataset, failures = benchmark.dataset_of(options.audio_dir, options.output_dir, group_by=options.group_by)
    if options.test is None:
        trials = benchmark.trials_by_fold(dataset, count=options.folds, seed=options.random_seed)
    else:
        trials = benchmark.trial_by_name(dataset, options.test)
    holdout = HoldoutSettings(random_seed=options.random_seed, group_by=options.group_by)
    with process_pool(os.cpu_count() or 1) as pool:
        systems = benchmark.systems_of(
            architectures,
            bottleneck_dir=options.output_dir / "bottlenecks",
            pool=pool,
            recipe=find_recipe("default"),
            views=holdout.views,
            with_peers=options.peers,
        )
        result = benchmark.benchmark(systems, trials, holdout=holdout)
    leaderboard.print_tables(result)
    write_json(
        folder / "accuracy.json", {**result, "options": {name: str(value) for name, value in vars(options).items()}}
    )
    write_text(folder / "accuracy.md", leaderboard.markdown(result))
    print(f"Tables: {printable(folder / 'accuracy.md')}")
    return EXIT_FAILED if failures else 0


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run_script(bench, BenchOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
