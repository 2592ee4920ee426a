"""Ways to train a head: discriminant analysis, ridge regression, softmax and prototypes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from audionet.console import silence_native_stderr
from audionet.models.bottleneck_cache import Rows
from audionet.models.head import Head, row_blocks
from audionet.training.fitting.closed_forms import (
    Standardisation,
    inverse_of_moments_times,
    lda_head,
    prototype_head,
    ridge_head,
    solved,
)
from audionet.training.fitting.moments import Moments, origin_of
from audionet.training.fitting.optimisation import loss_of_probabilities, scheduled_rate
from audionet.training.fitting.sample_weights import weighed
from audionet.training.settings import HeadSettings

STEPS_BETWEEN_CALLS = 10

OnStep = Callable[[int, Head], bool | None]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What a head is trained on."""

    bottlenecks: np.ndarray | Rows  # float, shape (n, dimension), which may be larger than memory
    label_ids: np.ndarray  # int, shape (n,), each in 0..label_count - 1 and each label there at least once
    label_count: int
    weights: np.ndarray | None = None  # float, shape (n,), how much each row counts, by default all alike
    shares: np.ndarray | None = None  # float, shape (labels,), how much each label counts, by default all alike

    @property
    def dimension(self) -> int:
        """Length of a bottleneck."""
        return int(self.bottlenecks.shape[1])

    @cached_property
    def sample_weight(self) -> np.ndarray:
        """How much each row counts, float64, shape (n,), with a sum of n."""
        given = np.ones(len(self.label_ids)) if self.weights is None else np.asarray(self.weights, np.float64)
        return np.asarray(given * len(self.label_ids) / given.sum())

    @cached_property
    def balanced_weight(self) -> np.ndarray:
        """The same, with every label's rows together counting as much as any other's, or as its share says."""
        return weighed(self.sample_weight, self.label_ids, self.shares)

    @cached_property
    def moments(self) -> Moments:
        """Counts, sums and squares of the rows."""
        return self._moments(self.sample_weight, with_products=False)

    @cached_property
    def standardisation(self) -> Standardisation:
        """How the columns are brought to mean 0 and deviation 1."""
        return Standardisation.of(self.moments)

    @cached_property
    def centres(self) -> np.ndarray:
        """The mean standardised bottleneck of each label, float32, shape (labels, dimension)."""
        return self.standardisation.standardised(self.moments.centres())

    def shrunk_inverse_times(
        self, directions: np.ndarray, *, middles: np.ndarray, balanced: bool, shrinkage: float
    ) -> np.ndarray:
        """Return the inverse of a shrunk covariance times some directions, as `closed_forms.LabelledRows` has it.

        With fewer rows than columns the covariance is not formed: by the identity of Woodbury, a system of the size of
        n serves as well. Memory does not grow with n beyond the smaller of n and dimension, squared.
        """
        sample_weight = self.balanced_weight if balanced else self.sample_weight
        if len(self.label_ids) >= self.dimension:
            moments = self._moments(sample_weight, with_products=True)
            return inverse_of_moments_times(
                directions, moments, self.standardisation, middles=middles, shrinkage=shrinkage
            )
        return self._inverse_of_rows_times(directions, sample_weight, middles, shrinkage)

    def _inverse_of_rows_times(
        self, directions: np.ndarray, sample_weight: np.ndarray, middles: np.ndarray, shrinkage: float
    ) -> np.ndarray:
        count, dimension = self.bottlenecks.shape
        rows = self.standardisation.standardised(np.asarray(self.bottlenecks[:]))
        deviations = (rows - middles[self.label_ids]) * np.sqrt(sample_weight[:, None]).astype(np.float32)
        trace = float(np.square(deviations).sum(dtype=np.float64))
        ridge = np.float32(max(shrinkage * trace / count / dimension, 1e-6))
        gram = deviations @ deviations.T
        gram[np.diag_indices(count)] += ridge / np.float32((1 - shrinkage) / count)
        inner = solved(gram, deviations @ directions)
        return np.asarray((directions - deviations.T @ inner) / ridge)

    def _moments(self, weights: np.ndarray, *, with_products: bool) -> Moments:
        return Moments.of(
            self.bottlenecks,
            self.label_ids,
            self.label_count,
            origin=origin_of(self.bottlenecks),
            weights=weights,
            with_products=with_products,
        )


def train_lda(examples: TrainingSet, settings: HeadSettings, *, seed: int = 0, on_step: OnStep | None = None) -> Head:
    """Fit linear discriminant analysis, as `lda_head` does; settings and seed decide nothing."""
    return _finished(with_shares(lda_head(examples), examples.shares), on_step)


def with_shares(head: Head, shares: np.ndarray | None) -> Head:
    """Return a head that takes labels to be as likely as their shares, shape (labels,), instead of all alike."""
    if shares is None:
        return head
    return replace(head, biases=(head.biases + np.log(shares * len(shares))).astype(np.float32))


def train_ridge(examples: TrainingSet, settings: HeadSettings, *, seed: int = 0, on_step: OnStep | None = None) -> Head:
    """Fit ridge regression, as `ridge_head` does; settings and seed decide nothing."""
    return _finished(ridge_head(examples), on_step)


def train_prototypes(
    examples: TrainingSet, settings: HeadSettings, *, seed: int = 0, on_step: OnStep | None = None
) -> Head:
    """Compare with the mean of each label, for a handful of clips a label; settings and seed decide nothing."""
    return _finished(prototype_head(examples), on_step)


def train_softmax(
    examples: TrainingSet, settings: HeadSettings, *, seed: int = 0, on_step: OnStep | None = None
) -> Head:
    """Train by gradient descent on the cross-entropy, every label with the same total weight.

    `on_step` is called with the step's number and the head so far, every now and then; it stops the training by True.

    Source of mixup: H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """
    with silence_native_stderr():
        import keras  # several seconds, which only this trainer should take

    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    count, dimension = examples.bottlenecks.shape
    layers = [keras.layers.Dense(settings.hidden_units, activation="relu")] if settings.hidden_units else []
    start = "glorot_uniform" if settings.hidden_units else "zeros"
    layers.append(keras.layers.Dense(examples.label_count, activation="softmax", kernel_initializer=start))
    dropout = [keras.layers.Dropout(settings.dropout)] if settings.hidden_units else []
    model = keras.Sequential([keras.Input((dimension,)), *layers[:-1], *dropout, layers[-1]])
    # Steps over a thousand standardised features add up: the rate is meant per feature.
    rate = settings.learning_rate / np.sqrt(dimension)
    scheduled = scheduled_rate(rate, settings, steps=settings.how_many_training_steps)
    optimizer = keras.optimizers.AdamW(scheduled, weight_decay=(settings.l2 or 0.0) / rate)
    model.compile(optimizer, loss=loss_of_probabilities(settings))
    targets = np.eye(examples.label_count, dtype=np.float32)

    def current_head() -> Head:
        (weights, biases), *after = (layer.get_weights() for layer in layers)
        head = examples.standardisation.head(weights.astype(np.float64), biases)
        return Head(after[0][0], after[0][1], hidden=head) if after else head

    steps = settings.how_many_training_steps
    for step, rows in enumerate(_random_batches(rng, count, settings.train_batch_size, steps), start=1):
        batch = examples.standardisation.standardised(examples.bottlenecks[rows])
        truth, weight = targets[examples.label_ids[rows]], examples.balanced_weight[rows]
        if settings.mixup:
            first = np.float32(rng.beta(settings.mixup, settings.mixup))
            partner = rng.permutation(len(rows))
            batch = first * batch + (1 - first) * batch[partner]
            truth = first * truth + (1 - first) * truth[partner]
            weight = first * weight + (1 - first) * weight[partner]
        model.train_on_batch(batch, truth, sample_weight=weight)
        is_due = step % STEPS_BETWEEN_CALLS == 0 or step == steps
        if on_step and is_due and on_step(step, current_head()):
            break
    return current_head()


TRAINERS = {"lda": train_lda, "ridge": train_ridge, "softmax": train_softmax, "prototypes": train_prototypes}
"""By name; the first is tried first, and of equals on validation the first is kept."""


def mean_and_deviation(
    bottlenecks: np.ndarray | Rows, sample_weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the standard deviation of each column, float32; a constant column has deviation 1.

    `sample_weight` is float, shape (n,): how much each row counts, by default all alike.
    """
    counted = np.ones(len(bottlenecks)) if sample_weight is None else sample_weight
    total = np.zeros(bottlenecks.shape[1])
    squares = np.zeros(bottlenecks.shape[1])
    for rows, block in row_blocks(bottlenecks):
        block = block.astype(np.float64)
        total += counted[rows] @ block
        squares += counted[rows] @ np.square(block)
    mean = total / counted.sum()
    deviation = np.sqrt(np.maximum(squares / counted.sum() - mean**2, 0))
    return mean.astype(np.float32), np.where(deviation > 1e-6, deviation, 1).astype(np.float32)


def _finished(head: Head, on_step: OnStep | None) -> Head:
    if on_step:
        on_step(1, head)
    return head


def _random_batches(rng: np.random.Generator, count: int, batch_size: int, steps: int) -> Iterator[np.ndarray]:
    """Yield `steps` batches of row numbers; each row comes up once before any comes up again."""
    order = rng.permutation(count)
    start = 0
    for _ in range(steps):
        if start >= count:
            order, start = rng.permutation(count), 0
        yield np.sort(order[start : start + batch_size])
        start += batch_size
