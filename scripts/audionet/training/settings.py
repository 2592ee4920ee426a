"""The settings of a training run. Each field is a command-line option too, with its default, help and check.

A setting outside its range raises InputError.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from audionet.cli import changed
from audionet.errors import check
from audionet.features.recipes import find_recipe
from audionet.models.backbones.settings import BackboneSettings
from audionet.ranges import between, check_ranges

FALSE_ACCEPT_RATE = 0.05
FALSE_REJECT_RATE = 0.05
MOST_WEIGHT = 1e6


def parse_label_weights(text: str) -> dict[str, float]:
    """Return the weights that are given by label; none for `balanced` and `none`.

    Raises:
        InputError: it is none of these.
    """
    if text in ("balanced", "none"):
        return {}
    found = {}
    for part in text.split(","):
        label, _, weight = part.rpartition("=")
        is_number = re.fullmatch(r"\s*\d+(\.\d+)?\s*", weight, re.ASCII)
        check(
            bool(label.strip()) and is_number is not None and 0 < float(weight) <= MOST_WEIGHT,
            f"--label_weights: expected balanced, none, or labels with weights above 0 and up to {MOST_WEIGHT:g}, such "
            f"as alice=2,bob=0.5, received {text!r}.",
        )
        found[label.strip()] = float(weight)
    return found


@dataclass(frozen=True)
class HeadSettings:
    """How the new top layer is trained, and how much unknown sound it may take for known."""

    head: Literal["auto", "lda", "ridge", "softmax", "prototypes"] = "auto"
    """How the top layer is trained. auto tries them all and keeps the best on validation."""
    how_many_training_steps: Annotated[int, between(1, 10_000_000)] = 500
    """Gradient steps, for softmax."""
    learning_rate: Annotated[float, between(1e-9, 100)] = 0.01
    """Rate of those steps."""
    train_batch_size: Annotated[int, between(1, 1_000_000)] = 100
    """Pictures a step."""
    l2: Annotated[float | None, between(0, 0.999)] = None
    """Share that softmax weights lose at each step. By default chosen on validation."""
    hidden_units: Annotated[int, between(0, 65_536)] = 0
    """Outputs of a hidden layer before the softmax; 0 for none."""
    dropout: Annotated[float, between(0, 0.99)] = 0.5
    """Share of those outputs that is left out at each step."""
    mixup: Annotated[float, between(0, 100)] = 0.0
    """How far two examples are mixed into one, for softmax; 0 for not at all."""
    label_weights: str = "balanced"
    """How much each label counts: balanced for all alike, none for each as much as it has pictures, or the weights of
    some beside 1 for the others, such as alice=2,bob=0.5."""
    label_smoothing: Annotated[float, between(0, 0.9)] = 0.0
    """Share of each target that is spread over all labels, for softmax and whole networks."""
    focal: Annotated[float, between(0, 10)] = 0.0
    """How much less pictures count that are told well, for softmax and whole networks: the gamma of the focal loss."""
    rate_schedule: Literal["constant", "cosine"] = "constant"
    """What becomes of the rate of softmax and whole networks: it stays, or falls to nothing along a cosine."""
    warmup: Annotated[float, between(0, 0.9)] = 0.0
    """Share of the steps in which that rate rises from nothing first."""
    false_accept_rate: Annotated[float, between(0.0001, 0.5)] = FALSE_ACCEPT_RATE
    """Share of unknown sound that may be given a label; the lower, the more of the known is refused."""
    false_reject_rate: Annotated[float, between(0.0001, 0.5)] = FALSE_REJECT_RATE
    """Share of known sound that may be refused (false alarms), where there is one label and nothing unknown."""

    def __post_init__(self) -> None:
        check_ranges(self)
        parse_label_weights(self.label_weights)

    def of_training(self) -> tuple[Any, ...]:
        """Return what decides how softmax is trained, apart from the thresholds that are set afterwards."""
        others = ("head", "false_accept_rate", "false_reject_rate")
        return tuple(value for name, value in vars(self).items() if name not in others)


@dataclass(frozen=True)
class NetworkSettings:
    """How a whole network is trained, from scratch or from pretrained weights."""

    network: str | None = None
    """Train this whole network, not just a top layer: cnvrg, simple_audio, or an architecture from its weights."""
    fine_tune: Annotated[int | Literal["all"] | None, between(1, 10_000)] = None
    """After the top layer, train the network beneath it end to end too: all of it, or so many of its last layers."""
    epochs: Annotated[int, between(1, 100_000)] = 10
    """Rounds through the training pictures at most, for --network and --fine_tune."""
    steps_per_epoch: Annotated[int | None, between(1, 10_000_000)] = None
    """Gradient steps a round. By default as many as show each picture once."""
    network_batch_size: Annotated[int, between(1, 65_536)] = 32
    """Pictures a step."""
    network_rate: Annotated[float | None, between(1e-9, 10)] = None
    """Rate of those steps. By default 0.001, and 0.00005 for --fine_tune."""
    optimizer: Literal["adam", "rmsprop"] = "adam"
    """What turns gradients into steps."""
    activation: Literal["relu", "elu", "gelu", "sigmoid", "silu", "tanh"] = "relu"
    """What follows each layer of cnvrg and simple_audio."""
    patience: Annotated[int, between(1, 100_000)] = 5
    """Rounds without a lower loss on validation after which training stops. The best weights are kept."""
    weight_averaging: Annotated[float, between(0, 0.99999)] = 0.0
    """Share that a running average of the weights keeps at each step, such as 0.99; it is what is kept. 0 for none."""
    staged: bool = False
    """Train the last layer alone for a third of the steps, the upper half of the layers for another, then all."""
    rate_decay: Annotated[float, between(0.01, 1)] = 1.0
    """Rate of each layer as a share of that of the layer behind it, so that those near the input change less."""

    def __post_init__(self) -> None:
        check_ranges(self)
        check(
            self.network is None or self.fine_tune is None,
            "--network trains a whole network already; leave --fine_tune or --network away.",
        )


@dataclass(frozen=True)
class HoldoutSettings:
    """What is held out, and how training recordings are varied."""

    testing_percentage: Annotated[float, between(0, 99)] = 20
    """Share of each label's recordings held out for the final score, without --test_dir and --folds."""
    validation_percentage: Annotated[float, between(0, 99)] = 20
    """Share of each label's recordings held out for choosing settings."""
    test_dir: Path | None = None
    """Folder of other recordings or pictures, one subfolder a label, for the final score instead."""
    folds: Annotated[int, between(0, 1_000)] = 0
    """Hold every recording out once, in so many parts, for the final score instead; then train on all."""
    negatives: Path | None = None
    """Folder of recordings or pictures of none of the labels, at any depth, to learn what unknown is like."""
    group_by: str = "recording"
    """What the split never parts: recording, folder, fold, TABLE.csv:COLUMN, or a regular expression on the name."""
    random_seed: Annotated[int, between(0, 2**32 - 1)] = 0
    """Another seed, another split."""
    views: Annotated[int, between(0, 100)] = 4
    """Augmented views of each training picture, with noise, rooms and codecs. They cost time once and are cached."""

    def __post_init__(self) -> None:
        check_ranges(self)
        for name in ("test_dir", "negatives"):
            folder = getattr(self, name)
            check(folder is None or folder.is_dir(), f"--{name}: expected a folder, received {folder}.")
        check(self.folds != 1, "--folds: expected 2 or more, or 0 for none, received 1.")
        check(not (self.folds and self.test_dir), "--folds and --test_dir exclude each other: choose one score.")
        total = self.testing_percentage + self.validation_percentage
        check(total < 100, f"--testing_percentage and --validation_percentage: {total} % leave nothing to train on.")

    @property
    def testing_share(self) -> float:
        """Percentage of each label's recordings that is held out of training for good."""
        return 0 if self.folds or self.test_dir else self.testing_percentage


@dataclass(frozen=True)
class ComparisonSettings:
    """How clips of labels that were not trained are compared."""

    background: Literal["auto", "none"] | Path = "auto"
    """File of audionet background: how clips of one label vary, from labels of others, where yours are too few to tell.
    auto is the one of voices that comes along, where it fits the network and the recipe; none does without."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a classifier is trained."""

    recipe: str | None = None  # that pictures must be drawn by, and that recordings are drawn by; None for any
    backbone: BackboneSettings = field(default_factory=BackboneSettings)
    holdout: HoldoutSettings = field(default_factory=HoldoutSettings)
    head: HeadSettings = field(default_factory=HeadSettings)
    whole: NetworkSettings = field(default_factory=NetworkSettings)
    comparison: ComparisonSettings = field(default_factory=ComparisonSettings)

    @classmethod
    def of_recipe(cls, name: str) -> "TrainingSettings":
        """Return the settings that a recipe comes with, or raise InputError where no recipe has that name."""
        return changed(cls(recipe=name), find_recipe(name).training)
