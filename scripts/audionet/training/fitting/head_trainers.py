"""Ways to train a head: discriminant analysis, ridge regression, softmax and prototypes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from audionet.console import silence_native_stderr
from audionet.models.bottleneck_cache import Rows
from audionet.models.head import Head, row_blocks
from audionet.training.fitting.sample_weights import balanced_weights
from audionet.training.settings import HeadSettings

LDA_SHRINKAGE = 0.5
RIDGE_SHRINKAGE = 0.5
RIDGE_SHARPNESS = 10.0  # the logit of a perfect fit
STEPS_BETWEEN_CALLS = 10
PROTOTYPE_SHARPNESS = 10.0  # the logit of a cosine of 1

OnStep = Callable[[int, Head], bool | None]


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What a head is trained on."""

    bottlenecks: np.ndarray | Rows  # float, shape (n, dimension), which may be larger than memory
    label_ids: np.ndarray  # int, shape (n,), each in 0..label_count - 1 and each label there at least once
    label_count: int
    weights: np.ndarray | None = None  # float, shape (n,), how much each row counts, by default all alike

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
        """The same, with every label's rows together counting as much as any other's."""
        return balanced_weights(self.sample_weight, self.label_ids)

    @cached_property
    def mean_and_deviation(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of each column, by which bottlenecks are standardised."""
        return mean_and_deviation(self.bottlenecks, self.sample_weight)

    @cached_property
    def centres(self) -> np.ndarray:
        """The mean standardised bottleneck of each label, float32, shape (labels, dimension)."""
        totals = np.zeros((self.label_count, self.dimension))
        for rows, block in self.blocks():
            memberships = np.zeros((self.label_count, len(block)), np.float32)
            memberships[self.label_ids[rows], np.arange(len(block))] = self.sample_weight[rows]
            totals += memberships @ block
        counts = np.bincount(self.label_ids, self.sample_weight, minlength=self.label_count)
        return (totals / counts[:, None]).astype(np.float32)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield standardised bottlenecks, some rows at a time."""
        for rows, block in row_blocks(self.bottlenecks):
            yield rows, self.standardised(block)

    def standardised(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Bring the columns of some bottlenecks to mean 0 and deviation 1."""
        mean, scale = self.mean_and_deviation
        return np.asarray((np.asarray(bottlenecks, np.float32) - mean) / scale)

    def head(self, weights: np.ndarray, biases: np.ndarray) -> Head:
        """Return the head for bottlenecks as they are that has these weights for standardised ones."""
        mean, scale = self.mean_and_deviation
        weights = weights / scale[:, None]
        return Head(weights.astype(np.float32), (biases - mean @ weights).astype(np.float32))


def train_lda(examples: TrainingSet, settings: HeadSettings, *, seed: int = 0, on_step: OnStep | None = None) -> Head:
    """Fit linear discriminant analysis in closed form: what varies within every label alike is made to count less.

    The covariance within labels is shrunk half way towards a multiple of the identity. Estimates of the best shrinkage,
    such as Ledoit and Wolf's, take the chunks of a recording for independent, find hardly any shrinkage necessary, and
    do worse with the next recording. All labels are taken to be equally likely, so that a label with more recordings
    gets no head start. Settings and seed decide nothing.

    Source: J. Friedman, "Regularized Discriminant Analysis", Journal of the American Statistical Association 84 (1989).
    """
    centres = examples.centres
    weights = _shrunk_inverse_times(
        centres.T, examples, sample_weight=examples.sample_weight, middles=centres, shrinkage=LDA_SHRINKAGE
    )
    return _finished(examples.head(weights, -0.5 * np.einsum("ld,dl->l", centres, weights)), on_step)


def train_ridge(examples: TrainingSet, settings: HeadSettings, *, seed: int = 0, on_step: OnStep | None = None) -> Head:
    """Fit ridge regression of the labels in closed form, every label with the same total weight.

    Unlike in discriminant analysis, what varies between labels is held down as well, which is better for kinds of sound
    in noise and worse for voices. Settings and seed decide nothing.

    Source: A. Hoerl and R. Kennard, "Ridge Regression: Biased Estimation for Nonorthogonal Problems", Technometrics 12
    (1970).
    """
    middle = examples.centres.mean(axis=0)
    weights = RIDGE_SHARPNESS * _shrunk_inverse_times(
        (examples.centres - middle).T / examples.label_count,
        examples,
        sample_weight=examples.balanced_weight,
        middles=np.broadcast_to(middle, examples.centres.shape),
        shrinkage=RIDGE_SHRINKAGE,
    )
    return _finished(examples.head(weights, -middle @ weights), on_step)


def train_prototypes(
    examples: TrainingSet, settings: HeadSettings, *, seed: int = 0, on_step: OnStep | None = None
) -> Head:
    """Compare with the mean of each label by the cosine of the angle: for a handful of clips a label.

    Settings and seed decide nothing.

    Source: J. Snell et al., "Prototypical Networks for Few-shot Learning", NeurIPS 2017.
    """
    # Angles are taken at the middle of the labels. The length of a bottleneck is the same for all of them, so that it
    # decides nothing; the typical one stands for it.
    middle = examples.centres.mean(axis=0)
    arms = examples.centres - middle
    directions = arms / np.maximum(np.linalg.norm(arms, axis=1, keepdims=True), 1e-6)
    weights = PROTOTYPE_SHARPNESS / np.sqrt(examples.dimension) * directions.T
    return _finished(examples.head(weights, -middle @ weights), on_step)


def _shrunk_inverse_times(
    directions: np.ndarray, examples: TrainingSet, *, sample_weight: np.ndarray, middles: np.ndarray, shrinkage: float
) -> np.ndarray:
    """Return the inverse of a shrunk covariance times some directions, float32, both of shape (dimension, labels).

    The covariance is that of the standardised bottlenecks around `middles`, shape (labels, dimension), shrunk by 0 to 1
    towards a multiple of the identity of the same trace. With fewer rows than columns it is not formed: by the identity
    of Woodbury, a system of the size of n serves as well. Memory does not grow with n beyond the smaller of n and
    dimension, squared.
    """
    from scipy.linalg import solve  # a tenth of a second, which only training should take

    count, dimension = examples.bottlenecks.shape
    few = count < dimension
    size = count if few else dimension
    gram = np.zeros((size, size), np.float32)
    deviations = np.empty((count if few else 0, dimension), np.float32)
    trace = 0.0
    for rows, block in examples.blocks():
        deviation = (block - middles[examples.label_ids[rows]]) * np.sqrt(sample_weight[rows, None]).astype(np.float32)
        trace += float(np.square(deviation).sum(dtype=np.float64))
        if few:
            deviations[rows] = deviation
        else:
            gram += deviation.T @ deviation
    ridge = np.float32(max(shrinkage * trace / count / dimension, 1e-6))
    scatter_share = np.float32((1 - shrinkage) / count)
    if not few:
        covariance = scatter_share * gram
        covariance[np.diag_indices(size)] += ridge
        return np.asarray(solve(covariance, directions, assume_a="pos", overwrite_a=True))
    gram = deviations @ deviations.T
    gram[np.diag_indices(size)] += ridge / scatter_share
    inner = solve(gram, deviations @ directions, assume_a="pos", overwrite_a=True)
    return np.asarray((directions - deviations.T @ inner) / ridge)


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
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=(settings.l2 or 0.0) / rate), loss="categorical_crossentropy"
    )
    targets = np.eye(examples.label_count, dtype=np.float32)

    def current_head() -> Head:
        (weights, biases), *after = (layer.get_weights() for layer in layers)
        head = examples.head(weights.astype(np.float64), biases)
        return Head(after[0][0], after[0][1], hidden=head) if after else head

    steps = settings.how_many_training_steps
    for step, rows in enumerate(_random_batches(rng, count, settings.train_batch_size, steps), start=1):
        batch = examples.standardised(examples.bottlenecks[rows])
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
