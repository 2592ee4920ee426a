"""A course: from pictures to a choice of network and head, be it a new top layer, a whole network, or one fine-tuned.

a top layer      backbone, bottlenecks, `training.choose`
fine-tuned       the same, then `endtoend.fine_tune`; whichever does better on validation is kept
a whole network  `endtoend.train_network`; its last layer is the head
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from audionet.console import log
from audionet.data.dataset import Dataset
from audionet.models.backbones.backbone import Backbone, loader_of
from audionet.models.backbones.settings import BackboneSettings
from audionet.models.backbones.taps import candidate_bottlenecks, union_of
from audionet.models.head import Head
from audionet.training.calibration import best_temperature
from audionet.training.dataloader import DataLoader
from audionet.training.finetuning import (
    TrainedNetwork,
    check_network,
    fine_tune,
    probe,
    train_network,
    validation_scores,
)
from audionet.training.model_selection import Attempt, Choice, head_before, select_model
from audionet.training.openset_fitting import Clips, fit_open_set
from audionet.training.settings import HeadSettings, HoldoutSettings, NetworkSettings
from audionet.training.training_data import TrainingData, gather_training_data


@dataclass(frozen=True)
class TrainingSettings:
    """How a classifier is trained: which backbone, head and whole network, and what is held out."""

    backbone: BackboneSettings = field(default_factory=BackboneSettings)
    head: HeadSettings = field(default_factory=HeadSettings)
    whole: NetworkSettings = field(default_factory=NetworkSettings)
    holdout: HoldoutSettings = field(default_factory=HoldoutSettings)


@dataclass(frozen=True)
class TrainedModel:
    """What a course came to.

    Attributes:
        material: what it was trained and is scored on, as its backbone sees it.
        choice: the head, and how it was chosen.
        backbone: the network that a classifier is served with.
    """

    material: TrainingData
    choice: Choice
    backbone: Backbone


def check_settings(settings: TrainingSettings) -> None:
    """Raise early, before the long work, where there is no such network, tap or weights to train on.

    Raises:
        InputError: an unknown network, architecture or bottleneck.
    """
    candidate_bottlenecks(settings.backbone.architecture, settings.backbone.bottleneck)
    if settings.whole.network:
        check_network(settings.whole.network)


class Trainer:
    """From a data set to a classifier's network and head, as settings say; once, or once for each fold.

    Args:
        dataset: the pictures.
        settings: how.
        bottleneck_dir: the cache.

    Raises:
        InputError: too few pictures, or settings that cannot work with them.
        WeightsError: no source delivers the weights.
    """

    def __init__(self, dataset: Dataset, settings: TrainingSettings, *, bottleneck_dir: Path):
        self._dataset, self._settings, self._bottleneck_dir = dataset, settings, bottleneck_dir
        wanted, of_sound = settings.backbone, dataset.recipe is not None
        if settings.whole.network:
            first = probe(settings.whole.network, wanted.image_size, of_sound=of_sound)
        else:
            self._candidates = candidate_bottlenecks(wanted.architecture, wanted.bottleneck, of_sound=of_sound)
            self._load = loader_of(wanted, of_sound=of_sound)
            first = self._load(bottleneck=union_of(self._candidates))
            log(first.sentence())
        self._size = {"height": first.height, "width": first.width}
        self.material = self._seen_by(first)
        """What can be learned from, and its sides."""

    def learn(self, material: TrainingData, *, summaries_dir: Path | None = None) -> TrainedModel:
        """Train on the material, or on the same with other sides.

        Args:
            material: of this course.
            summaries_dir: where to write learning curves for TensorBoard.
        """
        whole = self._settings.whole
        if whole.network:
            network = train_network(material, self._lesson(material), **self._options(summaries_dir))
            seen = self._seen_by(network.backbone, material)
            return TrainedModel(seen, settle(network, seen), network.backbone)
        choice = select_model(
            material,
            candidates=self._candidates,
            settings=self._settings.head,
            seed=self._settings.holdout.random_seed,
            summaries_dir=summaries_dir,
        )
        learned = TrainedModel(material, choice, self._load(bottleneck=choice.best.bottleneck))
        return learned if whole.fine_tune is None else self._fine_tuned(learned, summaries_dir)

    def _fine_tuned(self, learned: TrainedModel, summaries_dir: Path | None) -> TrainedModel:
        """Train on from what was learned, and return whichever does better on validation."""
        material, choice = learned.material, learned.choice
        head = head_before(material, choice, self._settings.head, self._settings.holdout.random_seed)
        network = fine_tune(
            material, self._lesson(material), head, backbone=learned.backbone, **self._options(summaries_dir)
        )
        seen = self._seen_by(network.backbone, material)
        before = validation_scores(material, head, choice.best.bottleneck)
        after = validation_scores(seen, network.head, *seen.slices)
        is_better = (after[0], -after[1]) > (before[0], -before[1])
        log(
            f"On validation, before and after {network.name}: accuracy {before[0]:.1%} and {after[0]:.1%}, log loss "
            f"{before[1]:.3f} and {after[1]:.3f}. Kept: {'after' if is_better else 'before'}."
        )
        if is_better:
            return TrainedModel(seen, settle(network, seen, choice.attempts), network.backbone)
        return replace(learned, choice=replace(choice, attempts=(*choice.attempts, _attempt_of(network, seen))))

    def _seen_by(self, backbone: Backbone, like: TrainingData | None = None) -> TrainingData:
        """Return the pictures as a network sees them, on the same sides as `like` if it is given."""
        material = gather_training_data(
            self._dataset, backbone, bottleneck_dir=self._bottleneck_dir, holdout=self._settings.holdout
        )
        return replace(material, rows=like.rows, impostor_rows=like.impostor_rows) if like else material

    def _lesson(self, material: TrainingData) -> DataLoader:
        return DataLoader.of(material, self._settings.holdout, **self._size, views_dir=self._bottleneck_dir / "views")

    def _options(self, summaries_dir: Path | None) -> dict[str, Any]:
        return {
            "settings": self._settings.whole,
            "weights": self._settings.backbone.weights,
            "seed": self._settings.holdout.random_seed,
            "folder": self._bottleneck_dir / "training",
            "summaries_dir": summaries_dir,
        }


def settle(network: TrainedNetwork, material: TrainingData, tried: Sequence[Attempt] = ()) -> Choice:
    """Take a network that was trained whole as it is: its head stays, and validation makes its answers honest.

    It has learned from the whole training side, so that only validation recordings show how it does on others.

    Args:
        network: the network.
        material: as it sees it.
        tried: what was tried before.
    """
    head = network.head
    (bottleneck,) = material.slices
    attempt = _attempt_of(network, material)
    temperature, open_set = 1.0, None
    if len(material.rows["validation"]):
        bottlenecks, numbers = material.take(("validation",), bottleneck=bottleneck, views=True)
        owners, views = material.owners(("validation",))
        recordings = np.unique([material.examples[row].recording for row in owners], return_inverse=True)[1]
        known = Clips(head.logits(bottlenecks), recordings, numbers, views)
        temperature = best_temperature(known.as_they_are().logits, numbers[views == 0])
        head = head.cooled(temperature)
        open_set = fit_open_set(
            replace(known, logits=known.logits / temperature), impostors=_impostors(material, bottleneck, head)
        )
    return Choice(attempt, (*tried, attempt), head, temperature, open_set, None)


def _attempt_of(network: TrainedNetwork, material: TrainingData) -> Attempt:
    (bottleneck,) = material.slices
    has_validation = len(material.rows["validation"]) > 0
    accuracy = validation_scores(material, network.head, bottleneck)[0] if has_validation else None
    return Attempt(bottleneck, network.name, 0.0, network.best_step, accuracy, network.curve)


def _impostors(material: TrainingData, bottleneck: str, head: Head) -> Clips | None:
    learned_from = material.impostor_rows["training"]
    if not len(learned_from):
        return None
    strangers = material.take_impostors(learned_from, bottleneck=bottleneck)
    recordings = [material.impostor_examples[row].recording for row in learned_from]
    return Clips(head.logits(strangers), np.unique(recordings, return_inverse=True)[1])
