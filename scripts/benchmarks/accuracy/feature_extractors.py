"""From chunks to the vectors of networks, with a cache for each; a chunk is altered and drawn once for all of them."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from audionet.data.augmentation import ChunkFile
from audionet.data.dataset import Example
from audionet.errors import InputError
from audionet.features.extraction import NetworkInput
from audionet.files import sha256_of
from audionet.models.bottleneck_cache import BottleneckCache, bottlenecks_of, compute_all
from audionet.training.holdout import HoldoutPlan
from audionet.training.settings import HoldoutSettings
from audionet.training.training_data import MemberNetwork, TrainingData, gather_training_data, wav_of
from benchmarks.accuracy.test_conditions import ChunkVariant, as_inputs
from benchmarks.recording_holdout import TrainTestSplit


@dataclass(frozen=True)
class FeatureExtractor:
    """The way from chunks to vectors of several networks of different names, at least one."""

    networks: tuple[MemberNetwork, ...]
    bottleneck_dir: Path
    pool: Executor  # of processes, for `compute`

    @cached_property
    def caches(self) -> list[BottleneckCache]:
        """Return the cache of each network; opening one reads all that is in it."""
        return [BottleneckCache(self.bottleneck_dir, network.backbone) for network in self.networks]

    @property
    def _inputs(self) -> list[NetworkInput]:
        return [network.input for network in self.networks]

    def gather(self, split: TrainTestSplit, holdout: HoldoutSettings) -> TrainingData:
        """Return what retrain.py would train on."""
        return gather_training_data(
            split.dataset, *self.networks, bottleneck_dir=self.bottleneck_dir, holdout=holdout, previous=HoldoutPlan()
        )

    def vectors(self, items: Sequence[ChunkVariant]) -> dict[str, np.ndarray]:
        """Return the vectors of items by the name of the network, float16, shape (n, dimension).

        Raises:
            InputError: a chunk cannot be read.
        """
        # By name, since one network may look at differently drawn pictures of the same sound.
        keys = [[sha256_of(f"{one.name}/{item.key}".encode()) for item in items] for one in self.networks]
        tables, failures = compute_all(self.caches, keys, items, _Reader(self._inputs), in_processes=True)
        if failures:
            raise InputError(f"{next(iter(failures.values()))} Delete the folder of the benchmark and start again.")
        return {network.name: table for network, table in zip(self.networks, tables, strict=True)}

    def compute(self, items: Sequence[ChunkVariant], *, in_parallel: bool = True) -> dict[str, np.ndarray]:
        """Return vectors of items without the caches, to see how long it takes, on all cores or in one process."""
        prepare = partial(as_inputs, inputs=self._inputs)
        prepared = self.pool.map(prepare, items) if in_parallel else map(prepare, items)
        return {
            network.name: bottlenecks_of(network.backbone, np.stack(of_network))
            for network, of_network in zip(self.networks, zip(*prepared, strict=True), strict=True)
        }


@dataclass(frozen=True)
class _Reader:
    """Reads items for those networks, by number, that lack their vectors."""

    inputs: Sequence[NetworkInput]

    def __call__(self, item: ChunkVariant, wanted: Sequence[int]) -> list[np.ndarray]:
        return as_inputs(item, [self.inputs[number] for number in wanted])


def chunk_files(examples: Sequence[Example]) -> list[ChunkFile]:
    """Return the sound behind each picture."""
    return [ChunkFile(wav_of(example), example.seconds, example.sha256, example.label) for example in examples]
