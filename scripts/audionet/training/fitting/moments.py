"""Statistics of bottlenecks that add up: counts, sums and products by which LDA, ridge and prototypes are trained.

Those of all rows are the sum of those of any parts of them, in any order. A part may be one shard of many, so that
heads are trained in one pass over more rows than memory holds; or a fold, whose statistics are subtracted, so that
the head for the other folds needs no second pass.
"""

from dataclasses import dataclass, replace

import numpy as np

from audionet.models.bottleneck_cache import Rows
from audionet.models.head import row_blocks


@dataclass(frozen=True, eq=False)
class Moments:
    """Weighted counts, sums and products of some rows, taken around an origin; all float64.

    Only moments of the same labels and around the same origin can be added. The origin decides rounding alone: products
    of float32 are summed up, whose error is that of distances from it.
    """

    origin: np.ndarray  # float32, shape (dimension,)
    counts: np.ndarray  # shape (labels,), the weight of each label's rows
    totals: np.ndarray  # shape (labels, dimension), the weighted sum of each label's rows
    squares: np.ndarray  # shape (dimension,), the weighted sum of squares of all rows
    products: np.ndarray | None  # shape (dimension, dimension), the weighted sum of outer products; None if not asked

    @classmethod
    def of(
        cls,
        bottlenecks: np.ndarray | Rows,
        label_ids: np.ndarray,
        label_count: int,
        *,
        origin: np.ndarray,
        weights: np.ndarray | None = None,
        with_products: bool,
    ) -> "Moments":
        """Take the moments of rows, some at a time.

        Args:
            bottlenecks: float, shape (n, dimension); they may be larger than memory.
            label_ids: int, shape (n,), each in 0..label_count - 1.
            label_count: how many labels there are, of which some may have no row.
            origin: float32, shape (dimension,), such as `origin_of` gives it; of parts that are to be added the same.
            weights: how much each row counts, float, shape (n,), at least 0; by default all alike.
            with_products: whether products are taken, which costs most of the time.
        """
        dimension = bottlenecks.shape[1]
        weights = np.ones(len(label_ids)) if weights is None else np.asarray(weights, np.float64)
        totals = np.zeros((label_count, dimension))
        squares = np.zeros(dimension)
        products = np.zeros((dimension, dimension)) if with_products else None
        for rows, block in row_blocks(bottlenecks):
            moved = block - origin
            weighted = moved * weights[rows, None]
            _add_by_label(totals, weighted, label_ids[rows])
            squares += np.einsum("nd,nd->d", weighted, moved)
            if products is not None:
                moved *= np.sqrt(weights[rows, None]).astype(np.float32)
                products += moved.T @ moved
        return cls(
            origin=np.asarray(origin, np.float32),
            counts=np.bincount(label_ids, weights, minlength=label_count),
            totals=totals,
            squares=squares,
            products=products,
        )

    def __add__(self, other: "Moments") -> "Moments":
        return self._joined(other, 1.0)

    def __sub__(self, other: "Moments") -> "Moments":
        """Return the moments without some of the rows."""
        return self._joined(other, -1.0)

    def _joined(self, other: "Moments", sign: float) -> "Moments":
        if not np.array_equal(self.origin, other.origin) or len(self.counts) != len(other.counts):
            raise ValueError("expected moments of the same labels and around the same origin")
        products = None
        if self.products is not None and other.products is not None:
            products = self.products + sign * other.products
        return Moments(
            self.origin,
            self.counts + sign * other.counts,
            self.totals + sign * other.totals,
            self.squares + sign * other.squares,
            products,
        )

    def scaled(self, factor: float) -> "Moments":
        """Return the moments of the same rows with weights that are all a factor larger."""
        products = None if self.products is None else factor * self.products
        return Moments(self.origin, factor * self.counts, factor * self.totals, factor * self.squares, products)

    def take_labels(self, label_ids: np.ndarray) -> "Moments":
        """Return the moments for some labels, numbered in this order; the others have no rows."""
        return replace(self, counts=self.counts[label_ids], totals=self.totals[label_ids])

    @property
    def weight(self) -> float:
        """The sum of all weights."""
        return float(self.counts.sum())

    def mean_and_deviation(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and the standard deviation of each column, float32; a constant column has deviation 1."""
        moved = self.totals.sum(axis=0) / self.weight
        deviation = np.sqrt(np.maximum(self.squares / self.weight - moved**2, 0))
        mean = (moved + self.origin).astype(np.float32)
        rounding = 1e-6 * np.maximum(1, np.abs(moved))
        return mean, np.where(deviation > rounding, deviation, 1).astype(np.float32)

    def centres(self) -> np.ndarray:
        """Return the mean of each label's rows: float64, shape (labels, dimension)."""
        return np.asarray(self.totals / self.counts[:, None] + self.origin)

    def scatter(self, middles: np.ndarray) -> np.ndarray:
        """Return the weighted sum of outer products of rows less the middle of their label, float64, shape (d, d).

        `middles` are of shape (labels, dimension). Products must have been taken.
        """
        assert self.products is not None
        moved = middles - self.origin
        crossed = self.totals.T @ moved
        return np.asarray(self.products - crossed - crossed.T + (moved.T * self.counts) @ moved)


def origin_of(bottlenecks: np.ndarray | Rows) -> np.ndarray:
    """Return an origin to take moments around, near their mean: float32, shape (dimension,)."""
    _, block = next(row_blocks(bottlenecks))
    return np.asarray(block.mean(axis=0, dtype=np.float64), np.float32)


def _add_by_label(totals: np.ndarray, rows: np.ndarray, label_ids: np.ndarray) -> None:
    """Add rows, float64, shape (n, dimension), to the totals of their labels."""
    from scipy.sparse import csr_array  # a tenth of a second, which only training should take

    # A matrix with a 1 for the label of each row adds up without copying the rows in another order.
    order = np.argsort(label_ids, kind="stable")
    ends = np.searchsorted(label_ids[order], np.arange(len(totals) + 1))
    totals += csr_array((np.ones(len(rows)), order, ends), shape=(len(totals), len(rows))) @ rows
