"""Measure accuracy, the refusal of unknown labels, verification, diarization, recipes and speed.

    python bench.py accuracy --audio_dir ~/speakers --test '^04' --architectures efficientnet_lite0,inception_v3
    python bench.py accuracy --audio_dir ~/sounds --folds 5 --group_by '^[^_]+'
    python bench.py open-set --audio_dir ~/speakers --held_out 4 --draws 6
    python bench.py verification --audio_dir ~/speakers --held_out 4 --draws 3
    python bench.py diarization --audio_dir ~/speakers --test '^04' --seconds 10800 --held_out 3
    python bench.py recipes --audio_dir ~/speakers --test '^04' --recipes default,audionet,simple_audio
    python bench.py speed --full --steps draw --no_scaling

Each subfolder of --audio_dir is a label. Results go to tf_files/bench.
"""

import sys
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import OmitSubcommandPrefixes, subcommand

from audionet.cli import OmitArgPrefixes, run_script
from benchmarks.options import (
    AccuracyOptions,
    DiarizationOptions,
    OpenSetOptions,
    RecipesOptions,
    SpeedOptions,
    VerificationOptions,
)

Benchmark = (
    Annotated[AccuracyOptions, subcommand("accuracy")]
    | Annotated[OpenSetOptions, subcommand("open-set")]
    | Annotated[VerificationOptions, subcommand("verification")]
    | Annotated[DiarizationOptions, subcommand("diarization")]
    | Annotated[RecipesOptions, subcommand("recipes")]
    | Annotated[SpeedOptions, subcommand("speed")]
)


@dataclass(frozen=True)
class BenchOptions:
    """The command line of bench.py."""

    benchmark: OmitArgPrefixes[OmitSubcommandPrefixes[Benchmark]]


def bench(options: BenchOptions) -> int:
    """Run one benchmark, each of which imports NumPy and the networks, for which --help should not wait."""
    match options.benchmark:
        case AccuracyOptions() as chosen:
            from benchmarks.accuracy import benchmark

            return benchmark.run(chosen)
        case OpenSetOptions() as chosen:
            from benchmarks import open_set

            return open_set.run(chosen)
        case VerificationOptions() as chosen:
            from benchmarks import verification

            return verification.run(chosen)
        case DiarizationOptions() as chosen:
            from benchmarks import diarization

            return diarization.run(chosen)
        case RecipesOptions() as chosen:
            from benchmarks import recipe_comparison

            return recipe_comparison.run(chosen)
        case SpeedOptions() as chosen:
            from benchmarks.speed import benchmark as speed_benchmark

            return speed_benchmark.run(chosen)


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run_script(bench, BenchOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
