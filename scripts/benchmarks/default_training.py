"""Training as retrain.py does it by default, for the benchmarks that measure what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from audionet.data.dataset import Dataset
from audionet.models.backbones.backbone import Backbone
from audionet.models.backbones.settings import BackboneSettings
from audionet.models.background import BackgroundSpace
from audionet.models.classifier import Classifier
from audionet.training.fitting.view_selection import with_useful_views
from audionet.training.holdout import HoldoutPlan
from audionet.training.model_selection import SelectedModel, select_model
from audionet.training.one_class import select_one_class
from audionet.training.settings import HeadSettings, HoldoutSettings, TrainingSettings
from audionet.training.trainer import TrainedModel, Trainer, candidate_members, fit_spaces
from audionet.training.training_data import MemberNetwork, TrainingData, gather_training_data
from audionet.training.training_run import build_classifier
from benchmarks.options import (
    ClassifierBenchmarkOptions,
    LearningCurveOptions,
    OpenSetOptions,
    ReviewOptions,
    SuspectsOptions,
)
from benchmarks.recording_holdout import dataset_of


@dataclass(frozen=True)
class DefaultTraining:
    """Everything that training takes but the recordings."""

    networks: tuple[Backbone | MemberNetwork, ...]  # read at every candidate
    candidates: tuple[str, ...]  # bottlenecks of the first to choose from, the preferred one first
    bottleneck_dir: Path
    holdout: HoldoutSettings
    head: HeadSettings = field(default_factory=HeadSettings)
    spaces: tuple[BackgroundSpace, ...] = ()  # of a background

    @classmethod
    def of(cls, options: OpenSetOptions, dataset: Dataset) -> "DefaultTraining":
        """Return the training of a benchmark on a data set, with the members and the background that it names."""
        settings = TrainingSettings(backbone=BackboneSettings(options.architecture, members=options.members))
        members = candidate_members(dataset, settings)
        spaces: tuple[BackgroundSpace, ...] = ()
        if options.background_dir:
            folder = options.output_dir / options.background_dir.resolve().name
            other, _ = dataset_of(options.background_dir, folder, group_by=options.group_by)
            named = {"origin": options.background_dir.name, "licence": "not stated"}
            spaces = fit_spaces(other, settings, bottleneck_dir=options.bottleneck_dir, **named)
        networks = tuple(member.network for member in members)
        return cls(networks, networks[0].bottlenecks, options.bottleneck_dir, options.holdout, spaces=spaces)

    def gather(self, dataset: Dataset) -> TrainingData:
        """Split a data set, or a part of one, and compute its bottlenecks."""
        return gather_training_data(
            dataset, *self.networks, bottleneck_dir=self.bottleneck_dir, holdout=self.holdout, previous=HoldoutPlan()
        )

    def select(self, training_data: TrainingData) -> SelectedModel:
        """Select bottleneck and head on validation, and train the head; or fit one to one label alone."""
        training_data = with_useful_views(
            training_data, bottlenecks=self.candidates, settings=self.head, seed=self.holdout.random_seed
        )
        if len(training_data.labels) == 1:
            return select_one_class(training_data, bottlenecks=self.candidates, settings=self.head, spaces=self.spaces)
        return select_model(
            training_data,
            bottlenecks=self.candidates,
            settings=self.head,
            seed=self.holdout.random_seed,
            spaces=self.spaces,
        )


def gather_all(dataset: Dataset, options: SuspectsOptions | ReviewOptions | LearningCurveOptions) -> TrainingData:
    """Compute the bottlenecks of all recordings, none held out and no views, for the members that the options name."""
    holdout = replace(options.holdout, testing_percentage=0, validation_percentage=0, views=0)
    settings = TrainingSettings(backbone=BackboneSettings(members=options.members), holdout=holdout)
    return Trainer(dataset, settings, bottleneck_dir=options.bottleneck_dir, previous=HoldoutPlan()).data


def train_without(
    dataset: Dataset, unknown: Sequence[str], options: ClassifierBenchmarkOptions, *, members: str
) -> Classifier:
    """Train on all recordings of all labels but the unknown ones, with the members that training chooses among.

    There is no background, which may be of the very labels that are left out.
    """
    examples = tuple(example for example in dataset.examples if example.label not in unknown)
    labels = tuple(label for label in dataset.labels if label not in unknown)
    known = replace(dataset, examples=examples, labels=labels)
    settings = TrainingSettings(
        backbone=BackboneSettings(architecture=options.architecture, members=members),
        holdout=replace(options.holdout, testing_percentage=0),
    )
    candidates = candidate_members(known, settings)
    training_data = gather_training_data(
        known,
        *(one.network for one in candidates),
        bottleneck_dir=options.bottleneck_dir,
        holdout=settings.holdout,
        previous=HoldoutPlan(),
    )
    training_data = with_useful_views(
        training_data, bottlenecks=candidates[0].network.bottlenecks, settings=settings.head, seed=options.random_seed
    )
    selected = select_model(
        training_data,
        bottlenecks=candidates[0].network.bottlenecks,
        settings=settings.head,
        seed=options.random_seed,
    )
    networks = tuple(candidates[one.number].load(bottleneck=one.best.bottleneck) for one in selected.members)
    return build_classifier(TrainedModel(training_data, selected, networks), {})
