"""What accuracy is compared between: networks, trained by default and in the classic way, and baselines."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from audionet.console import log
from audionet.data.augmentation import ChunkFile
from audionet.features.recipes import find_recipe
from audionet.models.backbones.architectures import find_architecture
from audionet.models.backbones.backbone import Backbone, loader_of
from audionet.models.backbones.settings import BackboneSettings
from audionet.models.backbones.taps import candidate_bottlenecks, union_of
from audionet.models.bottleneck_cache import Rows
from audionet.models.head import Head
from audionet.training.model_selection import select_model
from audionet.training.settings import HeadSettings, HoldoutSettings
from audionet.training.training_data import TrainingData
from benchmarks.accuracy.baselines import SPEAKER_ENCODER, Cepstra, Resemblyzer, missing_encoder, train_regression
from benchmarks.accuracy.feature_extractors import FeatureExtractor, PictureFeatureExtractor, SoundFeatureExtractor
from benchmarks.accuracy.test_conditions import apply_condition
from benchmarks.options import AccuracyOptions
from benchmarks.recording_holdout import TrainTestSplit


@dataclass(frozen=True)
class System:
    """One way to classify chunks."""

    name: str
    extractor: FeatureExtractor
    views: int  # how many of the augmented views it is trained on

    def train(self, split: TrainTestSplit, holdout: HoldoutSettings) -> "TrainedSystem":
        """Train on what a split leaves to train on."""
        training_data = with_views(self.extractor.gather(split, holdout), self.views)
        start = time.perf_counter()
        head, choice = self.train_head(training_data)
        seconds = time.perf_counter() - start
        return TrainedSystem(self, split, head, choice, samples=len(training_data.samples), head_seconds=seconds)

    def train_head(self, training_data: TrainingData) -> tuple[Head, dict[str, Any]]:
        """Return a head, and how it was chosen, as JSON: its `trainer`, the `bottleneck` that it takes, and more."""
        raise NotImplementedError

    def serving_extractor(self, bottleneck: str) -> FeatureExtractor:
        """Return the extractor as a classifier would have it, cut off behind the bottleneck that was chosen."""
        return self.extractor


@dataclass(frozen=True)
class TrainedSystem:
    """A system, what it was trained on, the head, how that was chosen, and what training took."""

    system: System
    split: TrainTestSplit
    head: Head
    choice: dict[str, Any]
    samples: int
    head_seconds: float

    def logits(self, chunks: Sequence[ChunkFile], condition: str, *, seed: int) -> np.ndarray:
        """Return the logits of chunks under a condition, shape (n, labels)."""
        extractor = self.system.extractor
        vectors = extractor.vectors(apply_condition(chunks, condition, seed=seed, recipe=self.split.recipe))
        columns = [extractor.slices[part] for part in self.choice["bottleneck"].split("+")]
        return self.head.logits(Rows(vectors).take_columns(columns))


@dataclass(frozen=True)
class NetworkSystem(System):
    """A network that is trained as retrain.py trains it."""

    extractor: PictureFeatureExtractor  # of the network, read at every candidate
    load: Callable[..., Backbone]  # loads the network, read at the bottleneck given
    candidates: Sequence[str]  # bottlenecks to choose from
    settings: HeadSettings

    def train_head(self, training_data: TrainingData) -> tuple[Head, dict[str, Any]]:
        """Choose the bottleneck and train a head."""
        selected = select_model(training_data, bottlenecks=self.candidates, settings=self.settings)
        attempts = [asdict(attempt) for attempt in selected.candidates]
        return selected.members[0].head, {**asdict(selected.best), "attempts": attempts}

    def serving_extractor(self, bottleneck: str) -> FeatureExtractor:
        """Return the network, cut off behind the bottleneck."""
        return self.extractor.with_model(self.load(bottleneck=bottleneck))


@dataclass(frozen=True)
class RegressionSystem(System):
    """A logistic regression on vectors, standardised or as they are."""

    standardised: bool

    def train_head(self, training_data: TrainingData) -> tuple[Head, dict[str, Any]]:
        """Train the regression."""
        (bottleneck,) = training_data.samples.slices
        head = train_regression(training_data, bottleneck=bottleneck, standardised=self.standardised)
        return head, {"trainer": "regression", "bottleneck": bottleneck}


def systems_of(architectures: Sequence[str], options: AccuracyOptions, pool: Executor) -> list[System]:
    """Return each architecture as retrain.py would train it and in the classic way, and what they are compared with.

    The baselines are cepstra and the speaker encoder, the latter where it is installed.
    """
    bottleneck_dir, views = options.bottleneck_dir, options.holdout.views
    systems = [system for name in architectures for system in _networks(name, bottleneck_dir, pool, views)]
    if not options.baselines:
        return systems
    cepstra = SoundFeatureExtractor(Cepstra(find_recipe("default")), bottleneck_dir, pool)
    systems.append(RegressionSystem("MFCC", cepstra, views=0, standardised=True))
    if missing := missing_encoder():
        log(missing)
        return systems
    encoder = SoundFeatureExtractor(Resemblyzer(), bottleneck_dir, pool)
    return [
        *systems,
        RegressionSystem(SPEAKER_ENCODER, encoder, views=1, standardised=False),
        RegressionSystem(f"{SPEAKER_ENCODER}, {views} views", encoder, views=views, standardised=False),
    ]


def _networks(name: str, bottleneck_dir: Path, pool: Executor, views: int) -> list[System]:
    architecture, settings = find_architecture(name), BackboneSettings(architecture=name)
    candidates = candidate_bottlenecks(architecture)
    load, load_classic = (loader_of(architecture, settings, of_sound=of_sound) for of_sound in (True, False))
    extractor = classic = PictureFeatureExtractor(
        load(bottleneck=union_of([*candidates, "classic"])), bottleneck_dir, pool
    )
    log(extractor.model.sentence())
    if (extractor.model.height, extractor.model.width) != (architecture.image_size,) * 2:
        classic = extractor.with_model(load_classic(bottleneck="classic"))
    softmax = HeadSettings(head="softmax")
    return [
        NetworkSystem(name, extractor, views, load, candidates, HeadSettings()),
        NetworkSystem(f"{name}, classic", classic, 0, load_classic, ["classic"], softmax),
    ]


def with_views(training_data: TrainingData, count: int) -> TrainingData:
    """Keep the first views of each picture."""
    samples = training_data.samples
    return replace(training_data, samples=samples.take(samples.views <= count))
