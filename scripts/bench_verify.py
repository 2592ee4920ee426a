"""Measure how well clips of labels that nobody trained on are told apart, beside a speaker encoder.

    python bench_verify.py --audio_dir ../tf_files/data_audio
    python bench_verify.py --audio_dir ~/speakers --held_out 4 --draws 3

Each subfolder is a label. Everything is trained as retrain.py trains it by default, on the labels that are not left
out. For the encoder, which hears the very same chunks: pip install -r tests/requirements-bench.txt.
"""

import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from audionet.files import printable
from audionet.options import EXIT_FAILED, check, run_script

TF_FILES = Path(__file__).resolve().parent.parent / "tf_files"


@dataclass(frozen=True)
class BenchOptions:
    """The command line of bench_verify.py."""

    audio_dir: Path = TF_FILES / "data_audio"
    """Folder of recordings, one subfolder a label, five labels or more."""
    held_out: int | None = None
    """How many labels to leave out altogether. By default a third, and two at least."""
    draws: int | None = None
    """How often, other labels each time. By default until each was left out."""
    peers: bool = True
    """Compare with a speaker encoder, where it is installed."""
    group_by: str = "recording"
    """What is never parted: recording, folder, TABLE.csv:COLUMN, or a regular expression on the name."""
    architecture: str = "efficientnet_lite0"
    """Pretrained network."""
    random_seed: int = 0
    """Another seed, other draws."""
    output_dir: Path = TF_FILES / "bench"
    """Folder for tables, pictures and the cache. It is safe to delete."""

    def __post_init__(self) -> None:
        check(self.draws is None or self.draws >= 1, f"--draws: expected 1 or more, received {self.draws}.")
        check(self.held_out is None or self.held_out >= 2, f"--held_out: expected 2 or more, received {self.held_out}.")


def bench(options: BenchOptions) -> int:
    """Draw, train, compare, print and write down; return 1 if any recording had to be set aside."""
    # NumPy and the networks, which --help should not wait for.
    from audionet import training
    from audionet.backbones import candidate_bottlenecks, loader_of, union_of
    from audionet.bench import benchmark, strangers, verification
    from audionet.files import write_json
    from audionet.settings import BackboneSettings, HeadSettings, HoldoutSettings
    from audionet.workers import process_pool

    candidates = candidate_bottlenecks(options.architecture)
    dataset, failures = benchmark.dataset_of(options.audio_dir, options.output_dir, group_by=options.group_by)
    held_out = options.held_out or max(2, len(dataset.labels) // 3)
    draws = options.draws or -(-len(dataset.labels) // held_out)
    bottleneck_dir = options.output_dir / "bottlenecks"
    load = loader_of(BackboneSettings(architecture=options.architecture), of_sound=True)
    with process_pool(os.cpu_count() or 1) as pool:
        result = verification.measure(
            dataset,
            strangers.draws_of(dataset.labels, held_out=held_out, count=draws, seed=options.random_seed),
            backbone=load(bottleneck=union_of(candidates)),
            choose=partial(training.choose, candidates=candidates, settings=HeadSettings(), seed=options.random_seed),
            bottleneck_dir=bottleneck_dir,
            holdout=HoldoutSettings(random_seed=options.random_seed, group_by=options.group_by),
            peers=benchmark.encoders(bottleneck_dir, pool, dataset.recipe) if options.peers else {},
        )
    verification.print_measured(result)
    path = options.output_dir / options.audio_dir.resolve().name / "verify.json"
    write_json(path, {**result, "options": {name: str(value) for name, value in vars(options).items()}})
    print(f"Written: {printable(path)}")
    return EXIT_FAILED if failures else 0


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run_script(bench, BenchOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
