"""How long systems take to train, and how many chunks they classify in a second."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from audionet.data.augmentation import ChunkFile, plan_views
from benchmarks.accuracy.feature_extractors import FeatureExtractor, chunk_files
from benchmarks.accuracy.systems import System, TrainedSystem
from benchmarks.accuracy.test_conditions import Item, apply_condition
from benchmarks.recording_holdout import TrainTestSplit

TIMED_ITEMS = 32
TIMED_ROUNDS = 3


@dataclass(frozen=True)
class SystemTimer:
    """Times a system as it was trained and would be served.

    Attributes:
        system: what is timed.
        trained: its head.
        served: what gives vectors to the head.
        split: whose recordings held out are taken.
        vectors: how many it was trained on.
        head_seconds: how long training the head took.
    """

    system: System
    trained: TrainedSystem
    served: FeatureExtractor
    split: TrainTestSplit
    vectors: int
    head_seconds: float

    def measure(self) -> dict[str, float]:
        """Return `training_seconds`, `chunks_per_second` in batches and `single_chunks_per_second` one by one."""
        return {
            "training_seconds": self.training_seconds(),
            "chunks_per_second": self.chunks_per_second(TIMED_ITEMS),
            "single_chunks_per_second": self.chunks_per_second(1),
        }

    def training_seconds(self) -> float:
        """Return how long training takes from sounds to a head, on all cores, by a sample of it."""
        planned = plan_views(self._sample, count=self.system.views, seed=0, recipe=self.split.recipe)
        views = [view for of_one in planned for view in of_one][:TIMED_ITEMS]
        items: Sequence[Item] = views or self._clean()
        return self.head_seconds + _seconds(lambda: self.system.extractor.compute(items)) / len(items) * self.vectors

    def chunks_per_second(self, batch_size: int) -> float:
        """Return how many chunks one process classifies in a second, from sound to answer."""
        items = self._clean()

        def classify() -> None:
            for start in range(0, len(items), batch_size):
                vectors = self.served.compute(items[start : start + batch_size], in_parallel=False)
                self.trained.head.logits(vectors)

        return len(items) / _seconds(classify)

    @property
    def _sample(self) -> list[ChunkFile]:
        return chunk_files(self.split.tested[:TIMED_ITEMS])

    def _clean(self) -> Sequence[Item]:
        return apply_condition(self._sample, "clean", seed=0, recipe=self.split.recipe)


def measure_times(timers: Sequence[SystemTimer]) -> dict[str, dict[str, float]]:
    """Take turns, so that a machine that is busy for a while is busy for all; the first round only warms up.

    Returns:
        dict: by system, the medians of what `SystemTimer.measure` gives.
    """
    rounds = [[timer.measure() for timer in timers] for _ in range(TIMED_ROUNDS + 1)][1:]
    return {
        timer.system.name: {
            name: float(np.median([of_round[place][name] for of_round in rounds])) for name in rounds[0][place]
        }
        for place, timer in enumerate(timers)
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
