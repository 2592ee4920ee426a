"""Scatter within labels, and the space that it makes: what varies within every label counts for less in it.

Directions in which labels lie apart count for more than those in which no label was seen to differ.
"""

from dataclasses import dataclass

import numpy as np

from audionet.models.bottleneck_cache import Rows
from audionet.models.similarity import Similarity
from audionet.training.fitting.head_trainers import mean_and_deviation

SHRINKAGE = 0.4  # of the scatter within labels, towards a sphere
GAIN = 1.5  # of directions in which labels lie apart, beside those in which none was seen to differ
MOST_ROWS = 2_400  # to measure the scatter on
MOST_DIRECTIONS = 256  # of the scatter; along the others it is taken to be the same
SMALLEST_BEYOND = 1e-3  # of a direction of length 1, the part that others do not cover; less is rounding
OVERSAMPLES = 10  # directions more than are wanted, to find these exactly enough
SMALLEST = 1e-6  # of the largest variance; less is rounding


@dataclass(frozen=True, eq=False)
class Scatter:
    """How chunks lie around the mean of their label, and where these means are.

    The covariance within labels, of standardised bottlenecks, is `rows.T @ rows` plus `rest` on its diagonal.
    """

    mean: np.ndarray  # float32, shape (dimension,), of bottlenecks
    scale: np.ndarray  # float32, shape (dimension,), their standard deviation
    rows: np.ndarray  # float32, shape (n, dimension)
    rest: float
    centres: np.ndarray  # float32, shape (labels, dimension), the mean of each label, standardised


def scatter_of(
    bottlenecks: np.ndarray | Rows, label_ids: np.ndarray, which: np.ndarray, *, most: int = MOST_ROWS
) -> Scatter:
    """Measure the scatter of some chunks within their labels.

    Args:
        bottlenecks: shape (n, dimension), of chunks and of their augmented views.
        label_ids: int, shape (n,).
        which: the row numbers to measure it on.
        most: of these are taken, by chance where there are more.
    """
    some = np.sort(np.random.default_rng(0).permutation(which)[:most])
    rows, labels = np.asarray(bottlenecks[some], np.float32), label_ids[some]
    mean, scale = mean_and_deviation(rows)
    standard = (rows - mean) / scale
    centres = np.stack([standard[labels == label].mean(axis=0) for label in np.unique(labels)])
    standard -= centres[np.unique(labels, return_inverse=True)[1]]
    return Scatter(mean, scale, standard / np.sqrt(len(standard), dtype=np.float32), 0.0, centres)


def combined(own: Scatter, background: Scatter, *, share: float) -> Scatter:
    """Return the weighted sum of two scatters; the first contributes `share`, 0 to 1, and the other the rest."""
    scale = np.sqrt(share * own.scale**2 + (1 - share) * background.scale**2)
    rows = [
        part.rows * (part.scale / scale) * np.sqrt(weight, dtype=np.float32)
        for part, weight in ((own, share), (background, 1 - share))
    ]
    rest = share * own.rest + (1 - share) * background.rest
    mean = share * own.mean + (1 - share) * background.mean
    centres = [(part.centres * part.scale + part.mean - mean) / scale for part in (own, background)]
    return Scatter(mean, scale, np.concatenate(rows), rest, np.concatenate(centres))


def space_of(scatter: Scatter) -> Similarity:
    """Return the space that a scatter makes, without the curve from cosines to odds.

    Sources: A. Hatch et al., "Within-Class Covariance Normalization for SVM-based Speaker Recognition", Interspeech
    2006; S. Ioffe, "Probabilistic Linear Discriminant Analysis", ECCV 2006, for directions that tell labels apart.
    """
    dimension = scatter.rows.shape[1]
    directions, variances = principal_directions(scatter.rows, MOST_DIRECTIONS)
    left_out = max(float(np.square(scatter.rows, dtype=np.float64).sum()) - variances.sum(), 0.0) / dimension
    sphere = SHRINKAGE * (variances.sum() / dimension + left_out + scatter.rest)
    sphere += (1 - SHRINKAGE) * (left_out + scatter.rest)
    sphere = max(sphere, 1e-12)
    losses = 1 - np.sqrt(sphere / (sphere + (1 - SHRINKAGE) * variances))
    directions, losses = _with_gain(directions, losses, scatter.centres)
    # At the precision that a classifier keeps, so that what is measured is what is served.
    kept = directions.astype(np.float16).astype(np.float32)
    return Similarity(scatter.mean, scatter.scale, kept, losses.astype(np.float32))


def principal_directions(rows: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the directions in which `rows.T @ rows` is largest, shape (dimension, k), orthonormal, and the variances.

    There are at most `most`; of many, the last ones are approximate, found from a start by chance that is always the
    same.
    """
    from sklearn.utils.extmath import randomized_range_finder  # a second, which only training should take

    basis = None
    if most < min(rows.shape) // 2:
        is_wide = len(rows) < rows.shape[1]
        basis = randomized_range_finder(rows.T if is_wide else rows, size=most + OVERSAMPLES, n_iter=3, random_state=0)
        rows = rows @ basis if is_wide else basis.T @ rows
        basis = basis if is_wide else None
    # The inner products of rows, or of columns if these are fewer, have the same variances and are much smaller.
    is_wide = len(rows) < rows.shape[1]
    products = (rows @ rows.T if is_wide else rows.T @ rows).astype(np.float64)
    variances, vectors = (found[..., ::-1][..., :most] for found in np.linalg.eigh(products))
    kept = variances > SMALLEST * max(variances[0], SMALLEST)
    variances, vectors = variances[kept], vectors[:, kept]
    directions = rows.T @ (vectors / np.sqrt(variances)) if is_wide else vectors
    return np.asarray(directions if basis is None else basis @ directions, np.float32), variances


def _with_gain(directions: np.ndarray, losses: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return directions and losses of a space in which those directions count for more that labels lie apart in.

    One map after the other is no longer symmetric. Angles after it are those after the symmetric map with the same
    square, which directions and losses describe; a loss is below 0 where the direction gains.
    """
    apart = centres - centres.mean(axis=0)
    between, _ = principal_directions(_less(apart, directions, losses), len(centres))
    beyond = _beyond(_beyond(between, directions), directions)  # twice, for what rounding left
    more, lengths, _ = np.linalg.svd(beyond, full_matrices=False)
    basis = np.concatenate([directions, more[:, lengths > SMALLEST_BEYOND]], axis=1)
    mapped = _less(basis.T, directions, losses)
    mapped += (GAIN - 1) * (mapped @ between) @ between.T
    squares, mixes = np.linalg.eigh((mapped @ mapped.T).astype(np.float64))
    return basis @ mixes, 1 - np.sqrt(np.maximum(squares, 0))


def _beyond(vectors: np.ndarray, directions: np.ndarray) -> np.ndarray:
    return np.asarray(vectors - directions @ (directions.T @ vectors))


def _less(rows: np.ndarray, directions: np.ndarray, losses: np.ndarray) -> np.ndarray:
    return np.asarray(rows - (rows @ directions * losses) @ directions.T)
