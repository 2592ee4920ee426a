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
    served = [system.system.serving_extractor(system.choice["bottleneck"]) for system in systems]
    rounds = [
        [_times(system, extractor) for system, extractor in zip(systems, served, strict=True)]
        for _ in range(TIMED_ROUNDS + 1)
    ][1:]
    return {
        system.system.name: {
            name: float(np.median([of_round[place][name] for of_round in rounds])) for name in rounds[0][place]
        }
        for place, system in enumerate(systems)
    }


def _times(system: TrainedSystem, served: FeatureExtractor) -> dict[str, float]:
    recipe = system.split.recipe
    sample = chunk_files(system.split.tested[:TIMED_ITEMS])
    clean = apply_condition(sample, "clean", seed=0, recipe=recipe)
    planned = plan_views(sample, count=system.system.views, seed=0, recipe=recipe)
    views: Sequence[ChunkVariant] = [view for of_one in planned for view in of_one][:TIMED_ITEMS] or clean

    def classify(batch_size: int) -> None:
        for start in range(0, len(clean), batch_size):
            system.head.logits(served.compute(clean[start : start + batch_size], in_parallel=False))

    seconds_per_view = _seconds(lambda: system.system.extractor.compute(views)) / len(views)
    return {
        "training_seconds": system.head_seconds + seconds_per_view * system.samples,
        "chunks_per_second": len(clean) / _seconds(lambda: classify(TIMED_ITEMS)),
        "single_chunks_per_second": len(clean) / _seconds(lambda: classify(1)),
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
