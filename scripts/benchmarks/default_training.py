"""Training as retrain.py does it by default, for the benchmarks that measure what comes of it."""

from dataclasses import dataclass, field
from pathlib import Path

from audionet.data.dataset import Dataset
from audionet.models.backbones.backbone import Backbone, loader_of
from audionet.models.backbones.settings import BackboneSettings
from audionet.models.backbones.taps import candidate_bottlenecks, union_of
from audionet.training.model_selection import SelectedModel, select_model
from audionet.training.settings import HeadSettings, HoldoutSettings
from audionet.training.training_data import TrainingData, gather_training_data


@dataclass(frozen=True)
class DefaultTraining:
    """Everything that training takes but the recordings.

    Attributes:
        backbone: the network, read at every candidate.
        candidates: bottlenecks to choose from, the preferred one first.
        bottleneck_dir: the cache.
        holdout: what is held out of training, and the seed.
        head: the settings of the head.
    """

    backbone: Backbone
    candidates: tuple[str, ...]
    bottleneck_dir: Path
    holdout: HoldoutSettings
    head: HeadSettings = field(default_factory=HeadSettings)

    @classmethod
    def of(cls, architecture: str, *, bottleneck_dir: Path, holdout: HoldoutSettings) -> "DefaultTraining":
        """Return the training of a pretrained network."""
        candidates = candidate_bottlenecks(architecture)
        return cls(load_network(architecture, union_of(candidates)), candidates, bottleneck_dir, holdout)

    def gather(self, dataset: Dataset) -> TrainingData:
        """Split a data set and compute its bottlenecks."""
        return gather_training_data(dataset, self.backbone, bottleneck_dir=self.bottleneck_dir, holdout=self.holdout)

    def select(self, training_data: TrainingData) -> SelectedModel:
        """Select bottleneck and head on validation, and train the head."""
        return select_model(
            training_data, bottlenecks=self.candidates, settings=self.head, seed=self.holdout.random_seed
        )


def load_network(architecture: str, bottleneck: str) -> Backbone:
    """Load a pretrained network as it is used for pictures of sound, read at a bottleneck."""
    return loader_of(BackboneSettings(architecture=architecture), of_sound=True)(bottleneck=bottleneck)
