"""Similarity: whether two clips are of the same label, also of labels that no head was trained on.

Chunks of one label differ from each other in words, rooms and microphones. What varies so counts for less, and what
tells labels apart for more: bottlenecks are whitened by the scatter within labels, views included, stretched along the
directions in which labels lie apart, and brought to length 1. The inner product of two such places is the cosine of
their angle. A clip is compared chunk by chunk with the mean of another; the mean of these cosines, corrected for how
few chunks that other one has, is the score, and a logistic curve makes it a probability.

The curve is fitted on labels left out: the space is fitted on the other labels, and recordings of those left out,
half of them altered by noise, rooms and codecs, are compared with each other, never with themselves. Where labels are
too few for that, it is that of a background of other labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

ARRAYS = ("mean", "scale", "directions", "losses")
CHUNKS_COMPARED = 10  # of a recording, to fit the curves on
OF_CHUNKS, OF_CLIPS = 1 + 1 / CHUNKS_COMPARED, 2 / CHUNKS_COMPARED  # how much of a score's variance is by chance


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
    is_of_background: bool = False  # whether these comparisons are of recordings of the background
    agreement: float = 0.0  # the mean cosine of two chunks of one recording; 0 in classifiers of earlier versions
    clip_slope: float = 0.0  # as slope and offset, for two clips of ten chunks each
    clip_offset: float = 0.0
    background: str = ""  # what the space owes to others: a sentence on whose recordings, and their licence

    def places(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Return where chunks lie, float32, shape (n, dimension), each of length 1."""
        standard = (np.asarray(bottlenecks, np.float32) - self.mean) / self.scale
        white = standard - (standard @ self.directions * self.losses) @ self.directions.T
        return np.asarray(white / np.maximum(np.linalg.norm(white, axis=1, keepdims=True), 1e-9))

    def mean_place(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Return what a clip is compared by, given its chunks: float32, shape (dimension,), as `clip_log_odds` has it.

        It is the direction of the mean of their places, of a length that makes up for how few they are.
        """
        if not self.agreement:
            return np.asarray(self.places(bottlenecks).mean(axis=0))
        return np.asarray(self.prototype(bottlenecks) * np.float32(self.agreement**0.25))

    def prototype(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Return what single chunks are compared with, given some chunks of a label: float32, shape (dimension,).

        It is the direction of the mean of their places. The mean of few lies farther from where the mean of many would
        be, so that its cosine with other chunks is smaller: its length makes up for this.
        """
        return self.prototype_of(self.places(bottlenecks).mean(axis=0), len(bottlenecks))

    def prototype_of(self, mean: np.ndarray, chunks: int) -> np.ndarray:
        """Return the same, given the mean place, shape (dimension,), of so many chunks."""
        length = length_of_mean(self.agreement, chunks) if self.agreement else 1.0
        return np.asarray(mean * np.float32(length / max(float(np.linalg.norm(mean)), 1e-9)))

    def refitted(self, spaces: Sequence["Similarity"]) -> "Similarity":
        """Return what scores mean in another space, the only one of `spaces`, as if they meant the same."""
        return replace(self, **{name: getattr(spaces[0], name) for name in ARRAYS})

    def log_odds(self, bottlenecks: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
        """Return the logarithm of the odds that chunks are of a prototype's label, shape (n, prototypes).

        Bottlenecks are of shape (n, dimension), prototypes of shape (prototypes, dimension).
        """
        return self.log_odds_of_places(self.places(bottlenecks), prototypes)

    def log_odds_of_places(self, places: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
        """Return the same, given where chunks lie, shape (n, dimension)."""
        return np.asarray((self.slope * (places @ prototypes.T) + self.offset).astype(np.float32))

    def probability(self, first: np.ndarray, second: np.ndarray) -> float:
        """Return how likely two clips, by the mean places of their chunks, are of one label, if it is as likely as not.

        Neither comes first: the chunks of each are compared with the prototype of the other.
        """
        return float(1 / (1 + np.exp(-self.clip_log_odds(first[None], second[None])[0, 0])))

    def clip_log_odds(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the logarithm of the odds of `probability` for clips of two sets, float64, shape (n, m).

        The mean places of their chunks are of shape (n, dimension) and (m, dimension).
        """
        if not self.agreement:
            return np.asarray(self.slope * clip_cosines(first, second) + self.offset)
        counts = self.chunks_behind(first), self.chunks_behind(second)
        return odds_of_clips((first @ second.T).astype(np.float64), *counts, self)

    def chunks_behind(self, mean_places: np.ndarray) -> np.ndarray:
        """Return of how many chunks mean places are, by their lengths: float64, shape (n,), 1 or more."""
        squares = np.square(mean_places, dtype=np.float64).sum(axis=1) / np.sqrt(self.agreement)
        return np.asarray((1 - self.agreement) / self.agreement / np.maximum(squares - 1, 1e-6)).clip(1, None)

    def sentence(self) -> str:
        """Return one sentence for the screen: how often a verdict is wrong, and how that is known."""
        whose = "labels that were left out"
        if self.is_of_background:
            whose = (
                "labels of the background, left out of it in turn, as those trained are too few to tell; sounds of "
                "another kind have other rates"
            )
        return (
            f"From 50 % on it counts as the same. By that, {self.chunk_false_accept_rate:.1%} of chunks of other "
            f"labels pass and {self.chunk_false_reject_rate:.1%} of the same are refused (equal error rate "
            f"{self.chunk_equal_error_rate:.1%}, by whole recordings {self.equal_error_rate:.1%}), as measured by "
            f"{self.trials} comparisons of {whose}."
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


class Curves(Protocol):
    """What `odds_of_clips` needs of a space: its curves for a chunk and a clip, and for two clips."""

    @property
    def slope(self) -> float:
        """For a chunk and a clip."""

    @property
    def offset(self) -> float:
        """For a chunk and a clip."""

    @property
    def clip_slope(self) -> float:
        """For two clips."""

    @property
    def clip_offset(self) -> float:
        """For two clips."""


def odds_of_clips(scores: np.ndarray, first: np.ndarray, second: np.ndarray, curves: Curves) -> np.ndarray:
    """Return the logarithm of the odds of scores, shape (n, m), of clips of so many chunks, shape (n,) and (m,).

    The more chunks, the less the score varies by chance, and the steeper the curve: both its threshold and what it
    takes for one unit of the odds lie between those of a chunk and a clip, and those of two clips.
    """
    if min(curves.slope, curves.clip_slope) <= 0:
        return np.asarray(curves.slope * scores + curves.offset)
    by_chance = 1 / first[:, None] + 1 / second
    share = np.clip((by_chance - OF_CLIPS) / (OF_CHUNKS - OF_CLIPS), 0, 1)
    unit = share / curves.slope + (1 - share) / curves.clip_slope
    threshold = -share * curves.offset / curves.slope - (1 - share) * curves.clip_offset / curves.clip_slope
    return np.asarray((scores - threshold) / unit)


def length_of_mean(agreement: float, chunks: int) -> float:
    """Return how long the mean of the places of so many chunks is, beside that of the mean of very many."""
    return float(np.sqrt(1 + (1 - agreement) / (agreement * chunks)))


def clip_cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the mean cosine of each clip's chunks with the prototype of the other, float64, shape (n, m).

    The mean places of their chunks are of shape (n, dimension) and (m, dimension).
    """
    inverse = [1 / np.maximum(np.linalg.norm(places, axis=1).astype(np.float64), 1e-9) for places in (first, second)]
    cosines: np.ndarray = (first @ second.T).astype(np.float64) * (inverse[0][:, None] + inverse[1]) / 2
    return cosines
