"""How long systems take to train, and how many chunks they classify in a second."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from audionet.data.augmentation import plan_views
from benchmarks.accuracy.feature_extractors import FeatureExtractor, chunk_files
from benchmarks.accuracy.systems import TrainedSystem
from benchmarks.accuracy.test_conditions import ChunkVariant, apply_condition

TIMED_ITEMS = 32
TIMED_ROUNDS = 3


def measure_times(systems: Sequence[TrainedSystem]) -> dict[str, dict[str, float]]:
    """Time systems in turn, so that a machine that is busy for a while is busy for all; the first round only warms up.

    Returns:
        dict: by name, the medians of `training_seconds`, of `chunks_per_second` in batches, and of
        `single_chunks_per_second` one by one.
    """
    served = [trained.system.serving_extractor(trained.choice["bottleneck"]) for trained in systems]
    rounds = [
        [_times(trained, extractor) for trained, extractor in zip(systems, served, strict=True)]
        for _ in range(TIMED_ROUNDS + 1)
    ][1:]
    return {
        trained.system.name: {
            name: float(np.median([of_round[place][name] for of_round in rounds])) for name in rounds[0][place]
        }
        for place, trained in enumerate(systems)
    }


def _times(trained: TrainedSystem, served: FeatureExtractor) -> dict[str, float]:
    recipe = trained.split.recipe
    sample = chunk_files(trained.split.tested[:TIMED_ITEMS])
    clean = apply_condition(sample, "clean", seed=0, recipe=recipe)
    planned = plan_views(sample, count=trained.system.views, seed=0, recipe=recipe)
    views: Sequence[ChunkVariant] = [view for of_one in planned for view in of_one][:TIMED_ITEMS] or clean

    def classify(batch_size: int) -> None:
        for start in range(0, len(clean), batch_size):
            trained.head.logits(served.compute(clean[start : start + batch_size], in_parallel=False))

    seconds_per_view = _seconds(lambda: trained.system.extractor.compute(views)) / len(views)
    return {
        "training_seconds": trained.head_seconds + seconds_per_view * trained.samples,
        "chunks_per_second": len(clean) / _seconds(lambda: classify(TIMED_ITEMS)),
        "single_chunks_per_second": len(clean) / _seconds(lambda: classify(1)),
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
