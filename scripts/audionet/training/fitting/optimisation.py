"""What gradient descent minimises, and by which steps: the loss, the rate over time and over layers, the average.

At its defaults everything is as Keras has it.

Source of the focal loss: T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017. Of label smoothing:
C. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016. Of the schedule:
I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017. Of rates by layer and
of stages: J. Howard and S. Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audionet.training.settings import HeadSettings, NetworkSettings

if TYPE_CHECKING:
    import keras

STAGES = 3  # of training: the last layer, the upper half of what is trained, and all of it


def scheduled_rate(rate: float, settings: HeadSettings, *, steps: int) -> Any:
    """Return the rate of so many steps, a number or a schedule of Keras, as settings let it rise and fall."""
    if settings.rate_schedule == "constant" and not settings.warmup:
        return rate
    import keras  # imported by now

    rising = round(settings.warmup * steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if rising else rate,
        decay_steps=max(1, steps - rising),
        alpha=0.0 if settings.rate_schedule == "cosine" else 1.0,
        warmup_target=rate if rising else None,
        warmup_steps=rising,
    )


def loss_of_probabilities(settings: HeadSettings) -> Any:
    """Return the loss of a softmax, whose targets are shares of each label."""
    if not settings.focal and not settings.label_smoothing:
        return "categorical_crossentropy"
    import keras  # imported by now

    if not settings.focal:
        return keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing)
    return keras.losses.CategoricalFocalCrossentropy(
        alpha=1.0, gamma=settings.focal, label_smoothing=settings.label_smoothing
    )


def loss_of_logits(settings: HeadSettings, *, label_count: int) -> Any:
    """Return the loss of a network's last layer, whose targets are the ids of labels."""
    import keras  # imported by now

    if not settings.focal and not settings.label_smoothing:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    class OfLabelIds(keras.losses.Loss):  # type: ignore[misc]
        """The same loss as for a softmax."""

        def call(self, y_true: Any, y_pred: Any) -> Any:
            targets = keras.ops.one_hot(keras.ops.cast(keras.ops.reshape(y_true, (-1,)), "int32"), label_count)
            return keras.losses.categorical_focal_crossentropy(
                targets,
                y_pred,
                alpha=1.0,
                gamma=settings.focal,
                from_logits=True,
                label_smoothing=settings.label_smoothing,
            )

    return OfLabelIds()


@dataclass(frozen=True)
class LayerRates:
    """For each variable that is trained, its rate as a share of the last layer's, and the step from which it moves."""

    shares: tuple[float, ...]
    first_steps: tuple[int, ...]

    @classmethod
    def of(cls, layers: Sequence[int], settings: NetworkSettings, *, steps: int) -> "LayerRates | None":
        """Return the rates of variables, or None where all have the same and move from the beginning.

        Args:
            layers: the number of the layer that each variable is of, counted from the input.
            settings: how rates fall towards the input, and whether there are stages.
            steps: of the whole training.
        """
        if settings.rate_decay == 1 and not settings.staged:
            return None
        order = sorted(set(layers), reverse=True)
        depth_of = {layer: depth for depth, layer in enumerate(order)}  # 0 for the last layer
        first = [0 if not depth else 1 if depth <= len(order) // 2 else 2 for depth in range(len(order))]
        return cls(
            shares=tuple(settings.rate_decay ** depth_of[layer] for layer in layers),
            first_steps=tuple(first[depth_of[layer]] * steps // STAGES if settings.staged else 0 for layer in layers),
        )


def optimizer_of(settings: NetworkSettings, rate: Any, layers: LayerRates | None) -> "keras.Optimizer":
    """Return what trains a network, with an average of its weights where settings ask for one."""
    import keras  # imported by now

    kind = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[settings.optimizer]
    averaged = {"use_ema": True, "ema_momentum": settings.weight_averaging} if settings.weight_averaging else {}
    if layers is None:
        return kind(rate, **averaged)
    shares, first_steps = layers.shares, layers.first_steps

    class ByLayer(kind):  # type: ignore[valid-type,misc]
        """The same, with a rate of its own for each variable."""

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            number = self._get_variable_index(variable)
            is_moving = keras.ops.cast(self.iterations >= first_steps[number], learning_rate.dtype)
            super().update_step(gradient, variable, learning_rate * shares[number] * is_moving)

    return ByLayer(rate, **averaged)
