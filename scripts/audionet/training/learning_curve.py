"""Learning curves: what accuracy more recordings a label, or more labels, would have, by subsets that grow.

Heads are trained on 1, 2, 4 ... groups of recordings of each label, or all of a label that has fewer, by folds, on
bottlenecks that are there already, and score the recordings of the fold. The head is discriminant analysis, whose
scores need no more than inner products of chunks, so that hundreds of heads take seconds; what a head of another kind
would gain by more data is much the same.

Errors fall with the number of recordings by a power law, which is fitted to them and says what twice as many would
give.

Source: C. Cortes et al., "Learning Curves: Asymptotic Values and Rate of Convergence", NIPS 1993; J. Hestness et al.,
"Deep Learning Scaling is Predictable, Empirically", arXiv:1712.00409.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from audionet.console import progress_bar
from audionet.evaluation.intervals import group_weights, interval, json_interval, labels_of_groups, share_interval
from audionet.models.bottleneck_cache import Rows
from audionet.models.pooling import log_softmax
from audionet.training.fitting.calibration import spread
from audionet.training.leak_audit import folds_of_groups, inner_products, lda_scores, thinned
from audionet.training.training_data import Samples

DRAWS = 4  # of subsets
MOST_FOLDS = 4
MOST_CHUNKS = 1_200  # of all; they need not be many, as those of a recording are alike
LEVELS = ("chunk", "recording")


def learning_curve(samples: Samples, tables: Sequence[Rows], *, seed: int = 0) -> dict[str, Any] | None:
    """Return the learning curve of heads on some bottlenecks as JSON.

    Args:
        samples: of the labels, all splits, without augmented views.
        tables: for each member what its head is trained on, of the same samples.
        seed: of what is drawn.

    Returns:
        dict: `groups`, the number of groups a label that the largest subset has; `recordings`, a list of points with
        `size`, the groups a label, and by level `accuracy` and `ci95`; `labels`, likewise with the number of labels as
        `size`; and by level in `forecast` the `size`, `accuracy` and `ci95` of twice as many groups. None where a label
        has fewer than two groups, so that nothing can be held out, or there is one label alone.
    """
    rng = np.random.default_rng(seed)
    some = thinned(samples.label_ids, samples.group_ids(), rng, most=MOST_CHUNKS)
    samples = samples.take(some)
    label_ids, groups = (np.unique(ids, return_inverse=True)[1] for ids in (samples.label_ids, samples.group_ids()))
    per_label = [len(np.unique(groups[label_ids == label])) for label in np.unique(label_ids)]
    folds = min([MOST_FOLDS, *per_label])
    if folds < 2 or len(per_label) < 2:
        return None
    products = [(inner_products(table), table.shape[1]) for table in (table.take(some) for table in tables)]
    chunks = _Chunks(products, label_ids, groups, samples.recording_ids())
    usual = int(np.median(per_label))
    sizes = _growing(1, usual - -(-usual // folds))
    label_sizes = _growing(2, len(per_label))
    right = {size: np.zeros((2, len(samples))) for size in sizes}
    right_of_labels = {size: np.zeros((3, len(samples))) for size in label_sizes[:-1]}
    with progress_bar(total=DRAWS * folds, description="Learning curve", unit="folds") as bar:
        for _ in range(DRAWS):
            fold_of = folds_of_groups(label_ids, groups, folds, rng)
            ranks = rng.permutation(int(groups.max()) + 1)  # those of one label are taken in this order
            for fold in range(folds):
                tested = fold_of == fold
                for size in sizes:
                    training = ~tested & (_rank_outside(ranks, label_ids, groups, tested) < size)
                    right[size][:, tested] += chunks.right(training, tested)
                for size in right_of_labels:
                    chosen = np.isin(label_ids, rng.choice(len(per_label), size, replace=False))
                    right_of_labels[size][:2, tested & chosen] += chunks.right(~tested & chosen, tested & chosen)
                    right_of_labels[size][2, tested & chosen] += 1
                bar.update()
    every = np.full(len(samples), float(DRAWS))
    weights = group_weights(labels_of_groups(label_ids, groups), seed=seed)
    points = [_Point(size, chunks.sums(right[size], every), weights) for size in sizes]
    of_labels = [
        _Point(size, chunks.sums(one[:2], one[2]), weights) for size, one in right_of_labels.items() if one[2].any()
    ]
    of_labels.append(_Point(len(per_label), chunks.sums(right[sizes[-1]], every), weights))
    return {
        "groups": sizes[-1],
        "recordings": [one.to_json() for one in points],
        "labels": [one.to_json() for one in of_labels],
        "forecast": {level: _forecast(points, number) for number, level in enumerate(LEVELS)},
    }


def _growing(first: int, last: int) -> list[int]:
    """Return sizes from the first to the last, each twice the one before."""
    sizes = [first]
    while sizes[-1] * 2 < last:
        sizes.append(sizes[-1] * 2)
    return [*sizes, last] if last > sizes[-1] else sizes[:1]


class _Chunks:
    """The chunks that heads are trained on and score."""

    def __init__(
        self,
        products: Sequence[tuple[np.ndarray, int]],
        label_ids: np.ndarray,
        groups: np.ndarray,
        recordings: np.ndarray,
    ):
        self._products, self._label_ids, self._groups, self._recordings = products, label_ids, groups, recordings

    def right(self, training: np.ndarray, tested: np.ndarray) -> np.ndarray:
        """Return which of the tested rows are right, and which are of a recording that is: bool, shape (2, tested).

        Both `training` and `tested` are bool, shape (n,). What is of a label that is not trained on is not right.
        """
        right = np.zeros((2, len(self._groups)), bool)
        known = np.isin(self._label_ids, self._label_ids[training])
        rows = np.flatnonzero((training | tested) & known)
        labels, label_ids = np.unique(self._label_ids[rows], return_inverse=True)
        scored = tested[rows]
        if len(labels) < 2 or not scored.any():
            return right[:, tested]
        scores = [
            lda_scores(one[np.ix_(rows, rows)], label_ids, training[rows], dimension=dimension)
            for one, dimension in self._products
        ]
        summed = np.sum([one / spread(one) for one in scores], axis=0)[scored]
        recording_ids = np.unique(self._recordings[rows][scored], return_inverse=True)[1]
        pooled = np.zeros((recording_ids.max() + 1, len(labels)))
        np.add.at(pooled, recording_ids, log_softmax(summed))
        answers = [summed.argmax(axis=1), pooled.argmax(axis=1)[recording_ids]]
        right[:, rows[scored]] = [one == label_ids[scored] for one in answers]
        return right[:, tested]

    def sums(self, right: np.ndarray, counted: np.ndarray) -> np.ndarray:
        """Return by level and group how many are right and how many there are: float, shape (2, 2, groups).

        Args:
            right: by level, how often each row is right, shape (2, n).
            counted: how often each row was tested, shape (n,).
        """
        a_recording = 1 / np.bincount(self._recordings)[self._recordings]
        weights = [np.ones(len(self._groups)), a_recording]
        return np.array(
            [
                [np.bincount(self._groups, one * weight) for one in (of_level, counted)]
                for of_level, weight in zip(right, weights, strict=True)
            ]
        )


class _Point:
    """The accuracy of heads trained on subsets of one size, and of resamples of what was tested."""

    def __init__(self, size: int, sums: np.ndarray, weights: np.ndarray):
        self.size = size
        self.accuracies = sums[:, 0].sum(axis=1) / sums[:, 1].sum(axis=1)
        resampled = sums @ weights.T  # (levels, right or all, resamples)
        with np.errstate(invalid="ignore", divide="ignore"):
            self.drawn = resampled[:, 0] / resampled[:, 1]
        self.tested = sums.sum(axis=2)[:, 1] / DRAWS  # chunks and recordings
        self.groups = int((sums[0, 1] > 0).sum())

    def to_json(self) -> dict[str, Any]:
        """Return `size` and by level `accuracy` and `ci95`."""
        levels = {
            level: {"accuracy": float(self.accuracies[number]), "ci95": self._interval(number)}
            for number, level in enumerate(LEVELS)
        }
        return {"size": self.size, **levels}

    def _interval(self, number: int) -> list[float] | None:
        rows = max(1, round(self.tested[number]))
        drawn = share_interval(float(self.accuracies[number]), self.drawn[number], rows=rows, groups=self.groups)
        return json_interval(drawn, groups=self.groups)


def _forecast(points: Sequence[_Point], level: int) -> dict[str, Any] | None:
    """Return the accuracy of twice as many groups a label by a power law; None with fewer than two sizes."""
    if len(points) < 2:
        return None
    sizes = np.array([one.size for one in points])
    tested = points[-1].tested[level]
    size = 2 * points[-1].size
    drawn = np.array([power_law(sizes, 1 - one, tested=tested, at=size) for one in _columns(points, level)])
    accuracies = np.array([one.accuracies[level] for one in points])
    error = power_law(sizes, 1 - accuracies, tested=tested, at=size)
    # A resample without any mistake would claim certainty; there is room for one in so many as were tested.
    room = share_interval(1.0, np.ones(2), rows=max(1, round(tested)), groups=points[-1].groups)
    found = interval(1 - drawn)
    if found is None or room is None:
        return None
    low = min(found[0], room[0] if error < 1 - room[0] else 1.0)
    return {"size": size, "accuracy": float(1 - error), "ci95": [low, max(found[1], float(1 - error))]}


def _columns(points: Sequence[_Point], level: int) -> np.ndarray:
    """Return the accuracies of each resample by size, shape (resamples, sizes), without those that lack some."""
    drawn = np.stack([one.drawn[level] for one in points], axis=1)
    return np.asarray(drawn[~np.isnan(drawn).any(axis=1)])


def power_law(sizes: np.ndarray, errors: np.ndarray, *, tested: float, at: float) -> float:
    """Return the error at a size by a power law, a * size ** -b with b of 0 or more, fitted to errors at others.

    Args:
        sizes: shape (sizes,), two or more.
        errors: shape (sizes,), shares in 0..1.
        tested: how many each error is a share of, by which it is kept from 0.
        at: the size.
    """
    smoothed = (errors * tested + 0.5) / (tested + 1)
    # The variance of the logarithm of a share of n, so that errors that rest on few mistakes count for less.
    weights = smoothed * tested / (1 - smoothed + 1e-9)
    x, y = np.log(sizes), np.log(smoothed)
    mean_x, mean_y = np.average(x, weights=weights), np.average(y, weights=weights)
    slope = np.average((x - mean_x) * (y - mean_y), weights=weights) / np.average((x - mean_x) ** 2, weights=weights)
    log_error = mean_y + min(0.0, slope) * (np.log(at) - mean_x)
    error = (np.exp(log_error) * (tested + 1) - 0.5) / tested
    return float(np.clip(error, 0, 1))


def _rank_outside(ranks: np.ndarray, label_ids: np.ndarray, groups: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Return for each row the place of its group among those of its label that are not tested: int, shape (n,)."""
    places = np.full(len(groups), len(ranks))
    for label in np.unique(label_ids):
        rows = np.flatnonzero((label_ids == label) & ~tested)
        names, of_row = np.unique(groups[rows], return_inverse=True)
        places[rows] = np.argsort(np.argsort(ranks[names]))[of_row]
    return places
