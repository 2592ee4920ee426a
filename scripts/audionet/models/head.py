"""The head: a softmax layer on bottlenecks, with a hidden layer before it if wanted.

Every way of training ends in weights and biases, so that scoring and exports need not know which it was. Of one label
alone, what the layer is given is how far a bottleneck lies from those that are normal.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audionet.models.bottleneck_cache import Rows
from audionet.models.pooling import log_softmax

ROWS_AT_ONCE = 4096  # tables may be larger than memory, so they are converted to float32 piece by piece


@dataclass(frozen=True)
class Distance:
    """Mahalanobis' distance from a mean, where variances along some directions are known, and all others are alike."""

    mean: np.ndarray  # float32, shape (dimension,), of bottlenecks
    scale: np.ndarray  # float32, shape (dimension,), above 0, by which what is left over has a variance of 1
    directions: np.ndarray  # float32, shape (dimension, directions), orthonormal, of bottlenecks so scaled
    shares: np.ndarray  # float32, shape (directions,), by how much a square along each counts less, 1 at most

    def logits(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Map float32 bottlenecks of shape (n, dimension) to distances: float32, shape (n, 1), 0 or more."""
        places = (bottlenecks - self.mean) * self.scale
        squares = np.square(places).sum(axis=1) - np.square(places @ self.directions) @ self.shares
        return np.asarray(np.sqrt(np.maximum(squares, 0))[:, None], np.float32)


@dataclass(frozen=True)
class Head:
    """A softmax layer."""

    weights: np.ndarray  # float32, shape (dimension, labels)
    biases: np.ndarray  # float32, shape (labels,)
    hidden: "Head | Distance | None" = None  # whose outputs, where above 0, this one takes instead of the bottlenecks

    def logits(self, bottlenecks: np.ndarray | Rows) -> np.ndarray:
        """Map bottlenecks of shape (n, dimension), of any float dtype, to float32 logits of shape (n, labels)."""
        logits = np.empty((len(bottlenecks), len(self.biases)), np.float32)
        for rows, block in row_blocks(bottlenecks):
            inputs = np.maximum(self.hidden.logits(block), 0) if self.hidden else block
            logits[rows] = inputs @ self.weights + self.biases
        return logits

    def probabilities(self, bottlenecks: np.ndarray | Rows) -> np.ndarray:
        """Map bottlenecks of shape (n, dimension) to float32 probabilities of shape (n, labels)."""
        return np.asarray(np.exp(log_softmax(self.logits(bottlenecks))))

    def with_temperature(self, temperature: float) -> "Head":
        """Return the head whose logits are divided by `temperature`, which must be above 0."""
        return Head(self.weights / np.float32(temperature), self.biases / np.float32(temperature), self.hidden)


def row_blocks(bottlenecks: np.ndarray | Rows) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield bottlenecks as float32, some rows at a time."""
    for start in range(0, len(bottlenecks), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        yield rows, np.asarray(bottlenecks[rows], np.float32)
