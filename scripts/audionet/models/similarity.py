"""Similarity: whether two clips are of the same label, also of labels that no head was trained on.

Chunks of one label differ from each other in words, rooms and microphones. What varies so counts for less, and what
tells labels apart for more: bottlenecks are whitened by the scatter within labels, views included, stretched along the
directions in which labels lie apart, and compared by the cosine of their angle. A clip is compared
chunk by chunk with the mean of another; the mean of these cosines is the score, and a logistic curve makes it a
probability.

The curve is fitted on labels left out: the space is fitted on the other labels, and recordings of those left out are
compared with each other, never with themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

ARRAYS = ("mean", "scale", "directions", "losses")


@dataclass(frozen=True)
class Similarity:
    """A space in which clips of one label lie in one direction, and what an angle in it means.

    The logarithm of the odds that two clips are of one label, where both cases are as likely, is `slope` times the
    score plus `offset`.
    """

    mean: np.ndarray  # float32, shape (dimension,), of bottlenecks
    scale: np.ndarray  # float32, shape (dimension,), their standard deviation
    directions: np.ndarray  # float32, shape (dimension, directions), orthonormal, in which chunks of a label vary most
    losses: np.ndarray  # float32, shape (directions,), the share of each that is taken away; below 0 where it gains
    slope: float = 0.0
    offset: float = 0.0
    trials: int = 0  # how many comparisons of a chunk with a recording these rest on
    chunk_equal_error_rate: float = 0.0  # where a chunk is taken for another's, and not for its own, equally often
    chunk_false_accept_rate: float = 0.0  # of chunks of another label, the share whose probability is half or more
    chunk_false_reject_rate: float = 0.0  # of chunks of the same label, the share whose probability is below half
    equal_error_rate: float = 0.0  # as for chunks, by whole recordings

    def places(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Return where chunks lie, float32, shape (n, dimension), each of length 1."""
        standard = (np.asarray(bottlenecks, np.float32) - self.mean) / self.scale
        white = standard - (standard @ self.directions * self.losses) @ self.directions.T
        return np.asarray(white / np.maximum(np.linalg.norm(white, axis=1, keepdims=True), 1e-9))

    def mean_place(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Return the mean of where some chunks lie, float32, shape (dimension,); the shorter, the less they agree."""
        return np.asarray(self.places(bottlenecks).mean(axis=0))

    def prototype(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Return the direction of the mean of some chunks, float32, shape (dimension,), of length 1."""
        mean = self.mean_place(bottlenecks)
        return mean / _length(mean)

    def log_odds(self, bottlenecks: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
        """Return the logarithm of the odds that chunks are of a prototype's label, shape (n, prototypes).

        Bottlenecks are of shape (n, dimension), prototypes of shape (prototypes, dimension).
        """
        return np.asarray((self.slope * (self.places(bottlenecks) @ prototypes.T) + self.offset).astype(np.float32))

    def probability(self, first: np.ndarray, second: np.ndarray) -> float:
        """Return how likely two clips, by the mean places of their chunks, are of one label, if it is as likely as not.

        Neither comes first: the chunks of each are compared with the prototype of the other, and a mean of both is
        taken.
        """
        return float(1 / (1 + np.exp(-self.clip_log_odds(first[None], second[None])[0, 0])))

    def clip_log_odds(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the logarithm of the odds of `probability` for clips of two sets, float64, shape (n, m).

        The mean places of their chunks are of shape (n, dimension) and (m, dimension).
        """
        return np.asarray(self.slope * clip_cosines(first, second) + self.offset)

    def sentence(self) -> str:
        """Return one sentence for the screen: how often a verdict is wrong, and how that is known."""
        return (
            f"From 50 % on it counts as the same. By that, {self.chunk_false_accept_rate:.1%} of chunks of other "
            f"labels pass and {self.chunk_false_reject_rate:.1%} of the same are refused (equal error rate "
            f"{self.chunk_equal_error_rate:.1%}, by whole recordings {self.equal_error_rate:.1%}), as measured by "
            f"{self.trials} comparisons of labels that were left out."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the numbers but not the arrays, in a form that JSON can hold."""
        return {name: value for name, value in vars(self).items() if name not in ARRAYS}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays, by names that begin with `similarity_`; directions as float16, which they fit into."""
        named = {f"similarity_{name}": getattr(self, name) for name in ARRAYS}
        return named | {"similarity_directions": self.directions.astype(np.float16)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "Similarity":
        """Rebuild what `to_json` and `arrays` gave."""
        fields: dict[str, Any] = {name: arrays[f"similarity_{name}"].astype(np.float32) for name in ARRAYS}
        return cls(**fields, **value)


def clip_cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the mean cosine of each clip's chunks with the prototype of the other, float64, shape (n, m).

    The mean places of their chunks are of shape (n, dimension) and (m, dimension).
    """
    inverse = [1 / np.maximum(np.linalg.norm(places, axis=1).astype(np.float64), 1e-9) for places in (first, second)]
    cosines: np.ndarray = (first @ second.T).astype(np.float64) * (inverse[0][:, None] + inverse[1]) / 2
    return cosines


def _length(vector: np.ndarray) -> float:
    return max(float(np.linalg.norm(vector)), 1e-9)
