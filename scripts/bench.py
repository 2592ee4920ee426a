"""Measure accuracy, unknown labels, verification, diarization, search, label suspects, recipes, clusters and speed.

    python bench.py accuracy --audio_dir ~/speakers --test '^04' --architectures efficientnet_lite0,inception_v3
    python bench.py accuracy --audio_dir ~/sounds --folds 5 --group_by '^[^_]+' --committees 'pair; trio'
    python bench.py open-set --audio_dir ~/speakers --held_out 4 --draws 6
    python bench.py open-set --audio_dir ~/machines --one_class
    python bench.py verification --audio_dir ~/speakers --held_out 4 --draws 3
    python bench.py diarization --audio_dir ~/speakers --test '^04' --seconds 10800 --held_out 3
    python bench.py diarization --audio_dir ~/speakers --speakers 2,4,8 --seconds 600
    python bench.py search --chunks 1000000 --labels 1000
    python bench.py suspects --audio_dir ~/speakers --share 0.05 --trials 10
    python bench.py learning-curve --audio_dir ~/sounds --group_by '^[^_]+'
    python bench.py recipes --audio_dir ~/speakers --test '^04' --recipes default,audionet,simple_audio
    python bench.py cluster --hours 1000000 --cores 16 --node_price 0.5
    python bench.py speed --full --steps draw --no_scaling

Each subfolder of --audio_dir is a label. Results go to tf_files/bench. What each subcommand runs is in benchmarks/.
"""

import sys
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import OmitSubcommandPrefixes, subcommand

from audionet.cli import OmitArgPrefixes, run_command
from benchmarks.options import (
    AccuracyOptions,
    ClusterOptions,
    DiarizationOptions,
    LearningCurveOptions,
    OpenSetOptions,
    RecipesOptions,
    ReviewOptions,
    SearchOptions,
    SpeedOptions,
    SuspectsOptions,
    VerificationOptions,
)

Benchmark = (
    Annotated[AccuracyOptions, subcommand("accuracy")]
    | Annotated[OpenSetOptions, subcommand("open-set")]
    | Annotated[VerificationOptions, subcommand("verification")]
    | Annotated[DiarizationOptions, subcommand("diarization")]
    | Annotated[SearchOptions, subcommand("search")]
    | Annotated[SuspectsOptions, subcommand("suspects")]
    | Annotated[ReviewOptions, subcommand("review")]
    | Annotated[LearningCurveOptions, subcommand("learning-curve")]
    | Annotated[RecipesOptions, subcommand("recipes")]
    | Annotated[ClusterOptions, subcommand("cluster")]
    | Annotated[SpeedOptions, subcommand("speed")]
)


@dataclass(frozen=True)
class BenchOptions:
    """The command line of bench.py."""

    benchmark: OmitArgPrefixes[OmitSubcommandPrefixes[Benchmark]]


def bench(options: BenchOptions) -> int:
    """Run one benchmark."""
    # NumPy, SciPy and the networks, which --help should not wait for.
    from benchmarks import (
        cluster,
        diarization,
        label_suspects,
        learning_curves,
        open_set,
        recipe_comparison,
        review,
        search,
        speaker_counting,
        verification,
    )
    from benchmarks.accuracy import benchmark as accuracy
    from benchmarks.speed import benchmark as speed

    match options.benchmark:
        case AccuracyOptions():
            return accuracy.run(options.benchmark)
        case OpenSetOptions():
            return open_set.run(options.benchmark)
        case VerificationOptions():
            return verification.run(options.benchmark)
        case DiarizationOptions():
            has_names = not options.benchmark.counts
            return diarization.run(options.benchmark) if has_names else speaker_counting.run(options.benchmark)
        case SearchOptions():
            return search.run(options.benchmark)
        case SuspectsOptions():
            return label_suspects.run(options.benchmark)
        case ReviewOptions():
            return review.run(options.benchmark)
        case LearningCurveOptions():
            return learning_curves.run(options.benchmark)
        case RecipesOptions():
            return recipe_comparison.run(options.benchmark)
        case ClusterOptions():
            return cluster.run(options.benchmark)
        case SpeedOptions():
            return speed.run(options.benchmark)


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run_command(bench, BenchOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
