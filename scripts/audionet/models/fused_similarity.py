"""Similarity by several members: each compares clips in a space of its own, and their cosines are added up.

A chunk's place is those in the spaces of all members side by side, each as long as the root of its weight, so that the
inner product of two is the weighted sum of their cosines.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audionet.models.similarity import Similarity, clip_cosines, odds_of_clips


@dataclass(frozen=True)
class FusedSimilarity:
    """The spaces of several members, and what the sum of their cosines means; fields are those of `Similarity`."""

    parts: tuple[Similarity, ...]  # one for each member
    weights: tuple[float, ...]  # of their cosines; they sum up to 1
    slope: float = 0.0
    offset: float = 0.0
    trials: int = 0
    chunk_equal_error_rate: float = 0.0
    chunk_false_accept_rate: float = 0.0
    chunk_false_reject_rate: float = 0.0
    equal_error_rate: float = 0.0
    is_of_background: bool = False
    background: str = ""
    clip_slope: float = 0.0
    clip_offset: float = 0.0

    def places(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Return where chunks lie, float32, shape (n, dimension), each of length 1."""
        places = [part.places(columns) for part, columns in zip(self.parts, self._split(bottlenecks), strict=True)]
        return side_by_side(places, self.weights)

    def mean_place(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Return what a clip is compared by, given its chunks: float32, shape (dimension,)."""
        if not self._are_corrected:
            return np.asarray(self.places(bottlenecks).mean(axis=0))
        means = [
            part.mean_place(columns)[None] for part, columns in zip(self.parts, self._split(bottlenecks), strict=True)
        ]
        return np.asarray(side_by_side(means, self.weights)[0])

    def prototype(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Return what single chunks are compared with, given some chunks of a label: float32, shape (dimension,)."""
        directions = [
            part.prototype(columns)[None] for part, columns in zip(self.parts, self._split(bottlenecks), strict=True)
        ]
        return np.asarray(side_by_side(directions, self.weights)[0])

    def prototype_of(self, mean: np.ndarray, chunks: int) -> np.ndarray:
        """Return the same, given the mean place, shape (dimension,), of so many chunks."""
        directions = [
            part.prototype_of(columns, chunks)[None]
            for part, columns in zip(self.parts, self._split(mean), strict=True)
        ]
        return np.asarray(side_by_side(directions, self.weights)[0])

    def refitted(self, spaces: Sequence[Similarity]) -> "FusedSimilarity":
        """Return what scores mean in other spaces, one for each member, as if they meant the same."""
        parts = tuple(part.refitted([space]) for part, space in zip(self.parts, spaces, strict=True))
        return dataclasses.replace(self, parts=parts)

    def log_odds(self, bottlenecks: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
        """Return the logarithm of the odds that chunks are of a prototype's label, shape (n, prototypes)."""
        return self.log_odds_of_places(self.places(bottlenecks), prototypes)

    def log_odds_of_places(self, places: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
        """Return the same, given where chunks lie, shape (n, dimension)."""
        return np.asarray((self.slope * (places @ prototypes.T) + self.offset).astype(np.float32))

    def probability(self, first: np.ndarray, second: np.ndarray) -> float:
        """Return how likely two clips, by the mean places of their chunks, are of one label, if it is as likely as not.

        Neither comes first, as for `Similarity.probability`.
        """
        return float(1 / (1 + np.exp(-self.clip_log_odds(first[None], second[None])[0, 0])))

    def clip_log_odds(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the logarithm of the odds of `probability` for clips of two sets, as `Similarity.clip_log_odds`."""
        if self._are_corrected:
            counts = [self.parts[0].chunks_behind(places) for places in self._first_of(first, second)]
            return odds_of_clips((first @ second.T).astype(np.float64), counts[0], counts[1], self)
        cosines = [
            np.sqrt(weight) * clip_cosines(one, other)
            for weight, one, other in zip(self.weights, self._split(first), self._split(second), strict=True)
        ]
        return np.asarray(self.slope * np.sum(cosines, axis=0) + self.offset)

    def sentence(self) -> str:
        """Return one sentence for the screen: how often a verdict is wrong, and how that is known."""
        return Similarity.sentence(self)  # type: ignore[arg-type]  # it has all numbers that are told

    def to_json(self) -> dict[str, Any]:
        """Return the numbers but not the spaces, which are the members', in a form that JSON can hold."""
        numbers = {name: value for name, value in vars(self).items() if name != "parts"}
        return {**numbers, "weights": list(self.weights)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], parts: Sequence[Similarity]) -> "FusedSimilarity":
        """Rebuild what `to_json` gave, with the members' spaces."""
        return cls(tuple(parts), **{**value, "weights": tuple(value["weights"])})

    def _first_of(self, *mean_places: np.ndarray) -> list[np.ndarray]:
        """Return mean places in the space of the first member alone."""
        return [self._split(places)[0] / np.sqrt(self.weights[0]) for places in mean_places]

    @property
    def _are_corrected(self) -> bool:
        """Whether mean places have a length that makes up for how few chunks they are of."""
        return all(part.agreement for part in self.parts)

    def _split(self, columns: np.ndarray) -> list[np.ndarray]:
        """Return the columns of each member, or of a place."""
        return np.split(columns, np.cumsum([len(part.mean) for part in self.parts])[:-1], axis=-1)


def side_by_side(places: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Return places, float32, each of shape (n, dimension), as one, each as long as the root of its weight."""
    scaled = [place * np.sqrt(weight, dtype=np.float32) for place, weight in zip(places, weights, strict=True)]
    return np.asarray(np.concatenate(scaled, axis=1), np.float32)
