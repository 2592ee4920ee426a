"""The head: a softmax layer on bottlenecks, with a hidden layer before it if wanted.

Every way of training ends in weights and biases, so that scoring and exports need not know which it was.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audionet.models.bottleneck_cache import Rows
from audionet.models.pooling import log_softmax

ROWS_AT_ONCE = 4096  # tables may be larger than memory, so they are converted to float32 piece by piece


@dataclass(frozen=True)
class Head:
    """A softmax layer."""

    weights: np.ndarray  # float32, shape (dimension, labels)
    biases: np.ndarray  # float32, shape (labels,)
    hidden: "Head | None" = None  # a layer whose outputs, where above 0, this one takes in place of the bottlenecks

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
