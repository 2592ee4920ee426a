"""Measure how well strangers are refused: some labels are held out altogether, and heard when training is over.

    python bench_unknown.py --audio_dir ../tf_files/data_audio
    python bench_unknown.py --audio_dir ~/speakers --held_out 4 --draws 6

Each subfolder is a label. Everything is trained as retrain.py trains it by default.
"""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from audionet.files import printable
from audionet.options import EXIT_FAILED, check, run_script
from audionet.settings import BackboneSettings, HeadSettings, HoldoutSettings

TF_FILES = Path(__file__).resolve().parent.parent / "tf_files"


@dataclass(frozen=True)
class BenchOptions:
    """The command line of bench_unknown.py."""

    audio_dir: Path = TF_FILES / "data_audio"
    """Folder of recordings, one subfolder a label, four labels or more."""
    held_out: int | None = None
    """How many labels to hold out altogether. By default a third."""
    draws: int = 6
    """How often, other labels each time."""
    group_by: str = "recording"
    """What is never parted: recording, folder, TABLE.csv:COLUMN, or a regular expression on the name."""
    architecture: str = "efficientnet_lite0"
    """Pretrained network."""
    random_seed: int = 0
    """Another seed, other draws."""
    output_dir: Path = TF_FILES / "bench"
    """Folder for tables, pictures and the cache. It is safe to delete."""

    def __post_init__(self) -> None:
        check(self.draws >= 1, f"--draws: expected 1 or more, received {self.draws}.")


def bench(options: BenchOptions) -> int:
    """Draw, train, score, print and write down; return 1 if any recording had to be set aside."""
    # NumPy and the networks, which --help should not wait for.
    from audionet import training
    from audionet.backbones import candidate_bottlenecks, loader_of, union_of
    from audionet.bench import benchmark, strangers
    from audionet.files import write_json

    candidates = candidate_bottlenecks(options.architecture)
    dataset, failures = benchmark.dataset_of(options.audio_dir, options.output_dir, group_by=options.group_by)
    held_out = max(1, len(dataset.labels) // 3) if options.held_out is None else options.held_out
    draws = strangers.draws_of(dataset.labels, held_out=held_out, count=options.draws, seed=options.random_seed)
    load = loader_of(BackboneSettings(architecture=options.architecture), of_sound=True)
    result = strangers.measure(
        dataset,
        draws,
        backbone=load(bottleneck=union_of(candidates)),
        choose=partial(training.choose, candidates=candidates, settings=HeadSettings(), seed=options.random_seed),
        bottleneck_dir=options.output_dir / "bottlenecks",
        holdout=HoldoutSettings(random_seed=options.random_seed, group_by=options.group_by),
    )
    strangers.print_measured(result)
    path = options.output_dir / options.audio_dir.resolve().name / "unknown.json"
    write_json(path, {**result, "options": {name: str(value) for name, value in vars(options).items()}})
    print(f"Written: {printable(path)}")
    return EXIT_FAILED if failures else 0


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run_script(bench, BenchOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
