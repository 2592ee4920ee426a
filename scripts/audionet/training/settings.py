"""The settings of a training run. Each field is a command-line option too, with its default, help and check.

A setting outside its range raises InputError.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from audionet.cli import changed
from audionet.errors import check
from audionet.features.recipes import find_recipe
from audionet.models.backbones.settings import BackboneSettings


@dataclass(frozen=True)
class HeadSettings:
    """How the new top layer is trained."""

    head: Literal["auto", "lda", "ridge", "softmax", "prototypes"] = "auto"
    """How the top layer is trained. auto tries them all and keeps the best on validation."""
    how_many_training_steps: int = 500
    """Gradient steps, for softmax."""
    learning_rate: float = 0.01
    """Rate of those steps."""
    train_batch_size: int = 100
    """Pictures a step."""
    l2: float | None = None
    """Share that softmax weights lose at each step. By default chosen on validation."""
    hidden_units: int = 0
    """Outputs of a hidden layer before the softmax; 0 for none."""
    dropout: float = 0.5
    """Share of those outputs that is left out at each step."""
    mixup: float = 0.0
    """How far two examples are mixed into one, for softmax; 0 for not at all."""

    def __post_init__(self) -> None:
        for name in ("how_many_training_steps", "train_batch_size"):
            check(getattr(self, name) >= 1, f"--{name}: expected 1 or more, received {getattr(self, name)}.")
        check(self.learning_rate > 0, f"--learning_rate: expected more than 0, received {self.learning_rate}.")
        for name in ("hidden_units", "mixup"):
            check(getattr(self, name) >= 0, f"--{name}: expected 0 or more, received {getattr(self, name)}.")
        check(0 <= self.dropout < 1, f"--dropout: expected at least 0 and below 1, received {self.dropout}.")
        check(self.l2 is None or 0 <= self.l2 < 1, f"--l2: expected at least 0 and below 1, received {self.l2}.")


@dataclass(frozen=True)
class NetworkSettings:
    """How a whole network is trained, from scratch or from pretrained weights."""

    network: str | None = None
    """Train this whole network, not just a top layer: cnvrg, simple_audio, or an architecture from its weights."""
    fine_tune: int | Literal["all"] | None = None
    """After the top layer, train the network beneath it end to end too: all of it, or so many of its last layers."""
    epochs: int = 10
    """Rounds through the training pictures at most, for --network and --fine_tune."""
    steps_per_epoch: int | None = None
    """Gradient steps a round. By default as many as show each picture once."""
    network_batch_size: int = 32
    """Pictures a step."""
    network_rate: float | None = None
    """Rate of those steps. By default 0.001, and 0.00005 for --fine_tune."""
    optimizer: Literal["adam", "rmsprop"] = "adam"
    """What turns gradients into steps."""
    activation: Literal["relu", "elu", "gelu", "sigmoid", "silu", "tanh"] = "relu"
    """What follows each layer of cnvrg and simple_audio."""
    patience: int = 5
    """Rounds without a lower loss on validation after which training stops. The best weights are kept."""

    def __post_init__(self) -> None:
        for name in ("epochs", "network_batch_size", "patience"):
            check(getattr(self, name) >= 1, f"--{name}: expected 1 or more, received {getattr(self, name)}.")
        steps, rate = self.steps_per_epoch, self.network_rate
        check(steps is None or steps >= 1, f"--steps_per_epoch: expected 1 or more, received {steps}.")
        check(rate is None or rate > 0, f"--network_rate: expected more than 0, received {rate}.")
        layers = self.fine_tune
        check(not isinstance(layers, int) or layers >= 1, f"--fine_tune: expected all or 1 or more, received {layers}.")
        check(
            self.network is None or layers is None,
            "--network trains a whole network already; leave --fine_tune or --network away.",
        )


@dataclass(frozen=True)
class HoldoutSettings:
    """What is held out, and how training recordings are varied."""

    testing_percentage: float = 20
    """Share of each label's recordings held out for the final score, without --test_dir and --folds."""
    validation_percentage: float = 20
    """Share of each label's recordings held out for choosing settings."""
    test_dir: Path | None = None
    """Folder of other recordings or pictures, one subfolder a label, for the final score instead."""
    folds: int = 0
    """Hold every recording out once, in so many parts, for the final score instead; then train on all."""
    negatives: Path | None = None
    """Folder of recordings or pictures of none of the labels, at any depth, to learn what unknown is like."""
    group_by: str = "recording"
    """What the split never parts: recording, folder, fold, TABLE.csv:COLUMN, or a regular expression on the name."""
    random_seed: int = 0
    """Another seed, another split."""
    views: int = 4
    """Augmented views of each training picture, with noise, rooms and codecs. They cost time once and are cached."""

    def __post_init__(self) -> None:
        for name in ("testing_percentage", "validation_percentage"):
            check(0 <= getattr(self, name) < 100, f"--{name}: expected 0 to 99, received {getattr(self, name)}.")
        for name in ("test_dir", "negatives"):
            folder = getattr(self, name)
            check(folder is None or folder.is_dir(), f"--{name}: expected a folder, received {folder}.")
        check(self.folds == 0 or self.folds >= 2, f"--folds: expected 2 or more, or 0 for none, received {self.folds}.")
        check(not (self.folds and self.test_dir), "--folds and --test_dir exclude each other: choose one score.")
        total = self.testing_percentage + self.validation_percentage
        check(total < 100, f"--testing_percentage and --validation_percentage: {total} % leave nothing to train on.")
        check(0 <= self.views <= 100, f"--views: expected 0 to 100, received {self.views}.")

    @property
    def testing_share(self) -> float:
        """Percentage of each label's recordings that is held out of training for good."""
        return 0 if self.folds or self.test_dir else self.testing_percentage


@dataclass(frozen=True)
class TrainingSettings:
    """How a classifier is trained."""

    recipe: str | None = None  # that pictures must be drawn by, and that recordings are drawn by; None for any
    backbone: BackboneSettings = field(default_factory=BackboneSettings)
    holdout: HoldoutSettings = field(default_factory=HoldoutSettings)
    head: HeadSettings = field(default_factory=HeadSettings)
    whole: NetworkSettings = field(default_factory=NetworkSettings)

    @classmethod
    def of_recipe(cls, name: str) -> "TrainingSettings":
        """Return the settings that a recipe comes with, or raise InputError where no recipe has that name."""
        return changed(cls(recipe=name), find_recipe(name).training)
