"""Heads that are the solution of an equation: discriminant analysis, ridge regression and prototypes.

Each needs the mean of every label, and the first two a covariance. A training set computes them of its rows; moments
that were added up over shards or folds serve as well.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from audionet.models.head import Head
from audionet.training.fitting.moments import Moments

LDA_SHRINKAGE = 0.5
RIDGE_SHRINKAGE = 0.5
RIDGE_SHARPNESS = 10.0  # the logit of a perfect fit
PROTOTYPE_SHARPNESS = 10.0  # the logit of a cosine of 1


@dataclass(frozen=True, eq=False)
class Standardisation:
    """What brings the columns of bottlenecks to mean 0 and deviation 1."""

    mean: np.ndarray  # float32, shape (dimension,)
    scale: np.ndarray  # the same, above 0

    @classmethod
    def of(cls, moments: Moments) -> "Standardisation":
        """Return that of the rows that moments were taken of."""
        return cls(*moments.mean_and_deviation())

    def standardised(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Return standardised bottlenecks, float32, of the same shape (n, dimension)."""
        return np.asarray((np.asarray(bottlenecks, np.float32) - self.mean) / self.scale)

    def head(self, weights: np.ndarray, biases: np.ndarray) -> Head:
        """Return the head for bottlenecks as they are that has these weights for standardised ones."""
        weights = weights / self.scale[:, None]
        return Head(weights.astype(np.float32), (biases - self.mean @ weights).astype(np.float32))


class LabelledRows(Protocol):
    """What a closed form needs of the rows that it is solved for."""

    @property
    def standardisation(self) -> Standardisation:
        """How their columns are standardised."""

    @property
    def centres(self) -> np.ndarray:
        """The mean standardised bottleneck of each label, float32, shape (labels, dimension)."""

    def shrunk_inverse_times(
        self, directions: np.ndarray, *, middles: np.ndarray, balanced: bool, shrinkage: float
    ) -> np.ndarray:
        """Return the inverse of a shrunk covariance times some directions, float32, both of shape (dimension, labels).

        The covariance is that of the standardised bottlenecks around `middles`, shape (labels, dimension), shrunk by 0
        to 1 towards a multiple of the identity of the same trace. If it is `balanced`, every label's rows together
        count as much as any other's.
        """


@dataclass(frozen=True, eq=False)
class SummedRows:
    """Rows of which the moments alone are known, whose products were taken where a covariance is wanted."""

    moments: Moments
    balanced: Moments | None = None  # by weights with which every label counts alike, for ridge regression

    @cached_property
    def standardisation(self) -> Standardisation:
        """As `LabelledRows` has it."""
        return Standardisation.of(self.moments)

    @cached_property
    def centres(self) -> np.ndarray:
        """As `LabelledRows` has it."""
        return self.standardisation.standardised(self.moments.centres())

    def shrunk_inverse_times(
        self, directions: np.ndarray, *, middles: np.ndarray, balanced: bool, shrinkage: float
    ) -> np.ndarray:
        """As `LabelledRows` has it."""
        moments = self.balanced if balanced else self.moments
        assert moments is not None  # whoever asks for a balanced covariance has taken its moments
        return inverse_of_moments_times(directions, moments, self.standardisation, middles=middles, shrinkage=shrinkage)


def inverse_of_moments_times(
    directions: np.ndarray, moments: Moments, space: Standardisation, *, middles: np.ndarray, shrinkage: float
) -> np.ndarray:
    """Return what `LabelledRows.shrunk_inverse_times` does, by products that were taken of the rows."""
    scatter = moments.scatter(middles * space.scale.astype(np.float64) + space.mean)
    covariance = (scatter / moments.weight / np.outer(space.scale, space.scale)).astype(np.float32)
    ridge = np.float32(max(shrinkage * float(np.trace(covariance, dtype=np.float64)) / len(covariance), 1e-6))
    covariance *= np.float32(1 - shrinkage)
    covariance[np.diag_indices(len(covariance))] += ridge
    return solved(covariance, directions)


def solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve a symmetric positive definite system of equations, whose matrix is written over, float32.

    `scipy.linalg.solve` gives the same, and estimates the condition too, which takes twice the time of the solution.

    Raises:
        numpy.linalg.LinAlgError: the matrix is not positive definite.
    """
    from scipy.linalg.lapack import sposv  # a tenth of a second, which only training should take

    _, solution, fault = sposv(matrix.T, right, overwrite_a=True)  # transposed, as LAPACK counts by columns
    if fault:
        raise np.linalg.LinAlgError(f"expected a positive definite matrix, received one that fails at row {fault}")
    return np.asarray(solution)


def lda_head(rows: LabelledRows) -> Head:
    """Return the head of linear discriminant analysis.

    What varies within every label alike is made to count less. The covariance within labels is shrunk half way towards
    a multiple of the identity. Estimates of the best shrinkage, such as Ledoit and Wolf's, take the chunks of a
    recording for independent, find hardly any shrinkage necessary, and do worse with the next recording. All labels are
    taken to be equally likely, so that a label with more recordings gets no head start.

    Source: J. Friedman, "Regularized Discriminant Analysis", Journal of the American Statistical Association 84 (1989).
    """
    centres = rows.centres
    weights = rows.shrunk_inverse_times(centres.T, middles=centres, balanced=False, shrinkage=LDA_SHRINKAGE)
    return rows.standardisation.head(weights, -0.5 * np.einsum("ld,dl->l", centres, weights))


def ridge_head(rows: LabelledRows) -> Head:
    """Return the head of ridge regression of the labels, every label with the same total weight.

    Unlike in discriminant analysis, what varies between labels is held down as well, which is better for kinds of sound
    in noise and worse for voices.

    Source: A. Hoerl and R. Kennard, "Ridge Regression: Biased Estimation for Nonorthogonal Problems", Technometrics 12
    (1970).
    """
    centres = rows.centres
    middle = centres.mean(axis=0)
    weights = RIDGE_SHARPNESS * rows.shrunk_inverse_times(
        (centres - middle).T / len(centres),
        middles=np.broadcast_to(middle, centres.shape),
        balanced=True,
        shrinkage=RIDGE_SHRINKAGE,
    )
    return rows.standardisation.head(weights, -middle @ weights)


def prototype_head(rows: LabelledRows) -> Head:
    """Return the head that compares with the mean of each label by the cosine of the angle.

    Source: J. Snell et al., "Prototypical Networks for Few-shot Learning", NeurIPS 2017.
    """
    # Angles are taken at the middle of the labels. The length of a bottleneck is the same for all of them, so that it
    # decides nothing; the typical one stands for it.
    centres = rows.centres
    middle = centres.mean(axis=0)
    arms = centres - middle
    directions = arms / np.maximum(np.linalg.norm(arms, axis=1, keepdims=True), 1e-6)
    weights = PROTOTYPE_SHARPNESS / np.sqrt(centres.shape[1]) * directions.T
    return rows.standardisation.head(weights, -middle @ weights)
