"""Training a classifier's network and head, in one of three ways.

    a new head       backbone, bottlenecks, `model_selection.select_model`
    fine-tuned       the same, then `finetuning.fine_tune`; whichever does better on validation is kept
    a whole network  `finetuning.train_network`; its last layer is the head

Each way gives a network and a head, of which a classifier is made.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from audionet.console import log
from audionet.data.dataset import Dataset
from audionet.evaluation.test_set import find_test_sources
from audionet.models.backbones.architectures import find_architecture
from audionet.models.backbones.backbone import Backbone, loader_of
from audionet.models.backbones.taps import candidate_bottlenecks, union_of
from audionet.training.calibration import best_temperature
from audionet.training.dataloader import DataLoader
from audionet.training.finetuning import (
    NetworkTraining,
    TrainedNetwork,
    check_network,
    fine_tune,
    probe,
    train_network,
    validation_scores,
)
from audionet.training.model_selection import (
    Candidate,
    SelectedModel,
    head_before_fine_tuning,
    inner_folds,
    score_samples,
    select_model,
)
from audionet.training.openset_fitting import fit_open_set
from audionet.training.settings import HeadSettings, TrainingSettings
from audionet.training.training_data import TrainingData, gather_training_data


@dataclass(frozen=True)
class TrainedModel:
    """A network and a head."""

    data: TrainingData  # what they were trained on and are tested with, as the network sees it
    selected: SelectedModel  # the head, and how it was chosen
    backbone: Backbone  # read at the chosen bottleneck and nowhere else


def check_settings(settings: TrainingSettings) -> None:
    """Raise InputError before the long work, where there is no such network, architecture, bottleneck or test."""
    candidate_bottlenecks(find_architecture(settings.backbone.architecture), settings.backbone.bottleneck)
    if settings.whole.network:
        check_network(settings.whole.network)
    if settings.holdout.test_dir:
        find_test_sources(settings.holdout.test_dir, group_by=settings.holdout.group_by)


class Trainer:
    """From a data set to a classifier's network and head, as settings say; once, or once for each fold.

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
            architecture = find_architecture(wanted.architecture)
            self._bottlenecks = candidate_bottlenecks(architecture, wanted.bottleneck, of_sound=of_sound)
            self._load = loader_of(architecture, wanted, of_sound=of_sound)
            first = self._load(bottleneck=union_of(self._bottlenecks))
            log(first.sentence())
        self._height, self._width = first.height, first.width
        self.data = self._seen_by(first)
        """What can be trained on, and how it is split."""

    def train(self, data: TrainingData, *, summaries_dir: Path | None = None) -> TrainedModel:
        """Train on `self.data`, or on the same with other splits; curves for TensorBoard go to `summaries_dir`."""
        whole = self._settings.whole
        if whole.network:
            network = train_network(self._network_training(data, summaries_dir))
            return self._whole_network(network, data)
        selected = select_model(
            data,
            bottlenecks=self._bottlenecks,
            settings=self._settings.head,
            seed=self._settings.holdout.random_seed,
            summaries_dir=summaries_dir,
        )
        trained = TrainedModel(data, selected, self._load(bottleneck=selected.best.bottleneck))
        return trained if whole.fine_tune is None else self._fine_tuned(trained, summaries_dir)

    def _fine_tuned(self, trained: TrainedModel, summaries_dir: Path | None) -> TrainedModel:
        """Train the network beneath the head on too, and return whichever does better on validation."""
        data, selected = trained.data, trained.selected
        head = head_before_fine_tuning(data, selected, self._settings.head, self._settings.holdout.random_seed)
        network = fine_tune(self._network_training(data, summaries_dir), head, backbone=trained.backbone)
        tuned = self._whole_network(network, data)
        before = validation_scores(data, head, selected.best.bottleneck)
        after = validation_scores(tuned.data, network.head, tuned.selected.best.bottleneck)
        is_better = (after.accuracy, -after.log_loss) > (before.accuracy, -before.log_loss)
        log(
            f"On validation, before and after {network.name}: accuracy {before.accuracy:.1%} and {after.accuracy:.1%}, "
            f"log loss {before.log_loss:.3f} and {after.log_loss:.3f}. Kept: {'after' if is_better else 'before'}."
        )
        kept = tuned if is_better else trained
        candidates = (*selected.candidates, tuned.selected.best)
        return replace(kept, selected=replace(kept.selected, candidates=candidates))

    def _whole_network(self, network: TrainedNetwork, data: TrainingData) -> TrainedModel:
        seen = self._seen_by(network.backbone).with_splits(data.samples.splits)
        return TrainedModel(seen, selected_network(network, seen, self._settings.head), network.backbone)

    def _seen_by(self, backbone: Backbone) -> TrainingData:
        return gather_training_data(
            self._dataset, backbone, bottleneck_dir=self._bottleneck_dir, holdout=self._settings.holdout
        )

    def _network_training(self, data: TrainingData, summaries_dir: Path | None) -> NetworkTraining:
        holdout = self._settings.holdout
        loader = DataLoader.of(
            data, holdout, height=self._height, width=self._width, views_dir=self._bottleneck_dir / "views"
        )
        return NetworkTraining(
            labels=data.labels,
            loader=loader,
            settings=self._settings.whole,
            weights=self._settings.backbone.weights,
            seed=holdout.random_seed,
            folder=self._bottleneck_dir / "training",
            summaries_dir=summaries_dir,
        )


def selected_network(network: TrainedNetwork, data: TrainingData, settings: HeadSettings) -> SelectedModel:
    """Return a network that was trained whole as the model selected: its last layer is the head.

    It was trained on the whole training split, so that only validation recordings show how it does on others: they
    decide the temperature and the open-set detector.
    """
    (bottleneck,) = data.samples.slices
    head, temperature, open_set, accuracy = network.head, 1.0, None, None
    validation = data.select("validation")
    if len(validation):
        accuracy = validation_scores(data, network.head, bottleneck).accuracy
        known = score_samples(validation, network.head, bottleneck, folds=inner_folds(validation))
        clean = known.clean()
        temperature = best_temperature(clean.logits, clean.label_ids)
        head = network.head.with_temperature(temperature)
        unknown = score_samples(data.select("training", unknown=True), head, bottleneck)
        open_set = fit_open_set(
            known.with_temperature(temperature), unknown=unknown, false_accept_rate=settings.false_accept_rate
        )
    best = Candidate(bottleneck, network.name, 0.0, network.best_step, accuracy, network.curve)
    return SelectedModel(best, (best,), head, temperature, open_set)
