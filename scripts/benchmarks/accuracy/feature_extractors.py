"""From a chunk to a vector, by way of a picture or of its samples, with a cache for all."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from audionet.console import log
from audionet.data.augmentation import ChunkFile, plan_views
from audionet.data.dataset import Example
from audionet.data.splits import assign_splits
from audionet.errors import InputError
from audionet.features.recipes import Recipe
from audionet.models.bottleneck_cache import BottleneckCache, Rows, bottlenecks_of
from audionet.training.settings import HoldoutSettings
from audionet.training.training_data import Samples, TrainingData, gather_training_data
from benchmarks.accuracy.baselines import SPEAKER_ENCODER, Resemblyzer, missing_encoder
from benchmarks.accuracy.test_conditions import ChunkVariant, apply_condition, as_picture, as_sound
from benchmarks.recording_holdout import TrainTestSplit


class FeatureExtractor:
    """A way from a chunk to a vector, with a cache: processes prepare what the model takes, pictures or sounds."""

    prepare: Callable[[ChunkVariant], np.ndarray]

    def __init__(self, model: Any, bottleneck_dir: Path, pool: Executor):
        self.model = model
        self._bottleneck_dir = bottleneck_dir
        self._pool = pool

    @property
    def slices(self) -> Mapping[str, tuple[int, int]]:
        """First column and the one behind the last, by part of the vector; without parts all are one."""
        all_of_it: Mapping[str, tuple[int, int]] = {self.model.architecture: (0, self.model.dimension)}
        return getattr(self.model, "slices", all_of_it)

    @cached_property
    def cache(self) -> BottleneckCache:
        """Return the cache; opening it reads all that is in it."""
        return BottleneckCache(self._bottleneck_dir, self.model)

    def gather(self, split: TrainTestSplit, holdout: HoldoutSettings) -> TrainingData:
        """Return what there is to train on."""
        raise NotImplementedError

    def vectors(self, items: Sequence[ChunkVariant]) -> np.ndarray:
        """Return the vectors of items, float16, shape (n, dimension).

        Raises:
            InputError: a chunk cannot be read.
        """
        vectors, failures = self.cache.compute([item.key for item in items], items, self.prepare, in_processes=True)
        if failures:
            raise InputError(f"{next(iter(failures.values()))} Delete the folder of the benchmark and start again.")
        return vectors

    def compute(self, items: Sequence[ChunkVariant], *, in_parallel: bool = True) -> np.ndarray:
        """Return the vectors of items without the cache, to see how long it takes, on all cores or in one process."""
        prepared = self._pool.map(self.prepare, items) if in_parallel else map(self.prepare, items)
        return bottlenecks_of(self.model, np.stack(list(prepared)))


class PictureFeatureExtractor(FeatureExtractor):
    """A network that takes pictures."""

    def __init__(self, model: Any, bottleneck_dir: Path, pool: Executor):
        super().__init__(model, bottleneck_dir, pool)
        self.prepare = partial(as_picture, height=model.height, width=model.width)

    def gather(self, split: TrainTestSplit, holdout: HoldoutSettings) -> TrainingData:
        """Return what retrain.py would train on."""
        return gather_training_data(
            split.dataset, self.model, bottleneck_dir=self._bottleneck_dir, holdout=holdout, remembered=False
        )

    def with_model(self, model: Any) -> "PictureFeatureExtractor":
        """Return another network with the same cache."""
        return PictureFeatureExtractor(model, self._bottleneck_dir, self._pool)


class SoundFeatureExtractor(FeatureExtractor):
    """A model that takes samples."""

    prepare = staticmethod(as_sound)

    def gather(self, split: TrainTestSplit, holdout: HoldoutSettings) -> TrainingData:
        """Return the same chunks and views in the same splits as `gather_training_data` would."""
        dataset, recipe = split.dataset, split.recipe
        split_of = assign_splits(
            dataset.examples,
            testing_percentage=holdout.testing_percentage,
            validation_percentage=holdout.validation_percentage,
            seed=holdout.random_seed,
        )
        chunks = chunk_files(dataset.examples)
        planned = plan_views(chunks, count=holdout.views, seed=holdout.random_seed, recipe=recipe)
        pictures = Samples.of_pictures(
            dataset.examples,
            labels=dataset.labels,
            splits=[split_of[example.group] for example in dataset.examples],
            folds=[0] * len(chunks),
            table=Rows(self.vectors(apply_condition(chunks, "clean", seed=0, recipe=recipe))),
            slices=dict(self.slices),
        )
        samples = pictures.with_views(
            np.repeat(np.arange(len(chunks)), holdout.views),
            np.tile(np.arange(holdout.views) + 1, len(chunks)),
            self.vectors([view for views in planned for view in views]),
        )
        return TrainingData(labels=dataset.labels, recipe=recipe, samples=samples, failures={})


def chunk_files(examples: Sequence[Example]) -> list[ChunkFile]:
    """Return the sound behind each picture."""
    return [
        ChunkFile(example.path.with_suffix(".wav"), example.seconds, example.sha256, example.label)
        for example in examples
    ]


def speaker_encoders(
    bottleneck_dir: Path, pool: Executor, recipe: Recipe | None
) -> dict[str, Callable[[Sequence[Example]], np.ndarray]]:
    """Return what gives vectors of pictures' sounds by encoders that were made to tell voices apart, if installed."""
    if missing := missing_encoder():
        log(missing)
        return {}
    assert recipe is not None  # the pictures were drawn of recordings
    encoder = SoundFeatureExtractor(Resemblyzer(), bottleneck_dir, pool)

    def encode(examples: Sequence[Example]) -> np.ndarray:
        return encoder.vectors(apply_condition(chunk_files(examples), "clean", seed=0, recipe=recipe))

    return {SPEAKER_ENCODER: encode}
