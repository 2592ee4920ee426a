"""Same or not: how alike two clips sound, also of labels that no head was trained on.

Chunks of one label differ from each other in many ways: words, rooms, microphones. Where they do, bottlenecks count for
less here: they are whitened by the scatter within labels, views included, and compared by the cosine of their angle. A
clip is compared chunk by chunk with the mean of another; the mean of these cosines is the score, and a logistic curve
makes it a probability.

What a score means is learned from labels left out: the space is fitted on the other labels, and recordings of those
left out are compared with each other, never with themselves.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audionet.evaluation.metrics import detection_curve, equal_error_rate, rows_by_group
from audionet.models.bottleneck_cache import Rows
from audionet.models.head import moments

SHRINKAGE = 0.1  # of the scatter within labels, towards a sphere
MOST_ROWS = 800  # to fit the scatter on
MOST_DIRECTIONS = 128  # of the scatter; along the others it is taken to be the same
CHUNKS_COMPARED = 10  # of a recording
MOST_COMPARED = 2000  # in all
MOST_PARTS = 3  # that labels are left out in
FEWEST_LABELS = 3
ARRAYS = ("mean", "scale", "directions", "losses")


@dataclass(frozen=True)
class Similarity:
    """A space in which clips of one label lie in one direction, and what an angle in it means.

    Attributes:
        mean: float32, shape (dimension,), of bottlenecks.
        scale: float32, shape (dimension,), their standard deviation.
        directions: float32, shape (dimension, directions), orthonormal, in which chunks of one label vary most.
        losses: float32, shape (directions,), the share of each direction that is taken away.
        slope: of the logarithm of the odds that two clips are of one label, by score, where both cases are as likely.
        offset: the same at a score of 0.
        trials: how many comparisons of a chunk with a recording that rests on.
        chunk_equal_error_rate: the rate at which a chunk is taken for another's, and not for its own, equally often.
        chunk_false_accept_rate: of chunks of another label, the share whose probability is half or more.
        chunk_false_reject_rate: of chunks of the same label, the share whose probability is below half.
        equal_error_rate: as for chunks, by whole recordings.
    """

    mean: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    losses: np.ndarray
    slope: float = 0.0
    offset: float = 0.0
    trials: int = 0
    chunk_equal_error_rate: float = 0.0
    chunk_false_accept_rate: float = 0.0
    chunk_false_reject_rate: float = 0.0
    equal_error_rate: float = 0.0

    def places(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Return where chunks lie, float32, shape (n, dimension), each of length 1."""
        standard = (np.asarray(bottlenecks, np.float32) - self.mean) / self.scale
        white = standard - (standard @ self.directions * self.losses) @ self.directions.T
        return white / np.maximum(np.linalg.norm(white, axis=1, keepdims=True), 1e-9)

    def mean_place(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Return the mean of where some chunks lie, float32, shape (dimension,); the shorter, the less they agree."""
        return self.places(bottlenecks).mean(axis=0)

    def prototype(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Return the direction of the mean of some chunks, float32, shape (dimension,), of length 1."""
        mean = self.mean_place(bottlenecks)
        return mean / _length(mean)

    def log_odds(self, bottlenecks: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
        """Return the logarithm of the odds that chunks are of a prototype's label, shape (n, prototypes).

        Args:
            bottlenecks: shape (n, dimension).
            prototypes: shape (prototypes, dimension).
        """
        return (self.slope * (self.places(bottlenecks) @ prototypes.T) + self.offset).astype(np.float32)

    def probability(self, first: np.ndarray, second: np.ndarray) -> float:
        """Return how likely two clips, by the mean places of their chunks, are of one label, if it is as likely as not.

        Neither comes first: the chunks of each are compared with the prototype of the other, and a mean of both is
        taken.
        """
        cosine = float(first @ second) * (1 / _length(first) + 1 / _length(second)) / 2
        return float(1 / (1 + np.exp(-(self.slope * cosine + self.offset))))

    def sentence(self) -> str:
        """Return one sentence for the screen: how often a verdict is wrong, and how that is known."""
        return (
            f"From 50 % on it counts as the same. By that, {self.chunk_false_accept_rate:.1%} of chunks of other "
            f"labels pass and {self.chunk_false_reject_rate:.1%} of the same are refused (equal error rate "
            f"{self.chunk_equal_error_rate:.1%}, by whole recordings {self.equal_error_rate:.1%}), as measured by "
            f"{self.trials} comparisons of labels that were left out."
        )

    def to_json(self) -> dict:
        """Return the numbers but not the arrays, in a form that JSON can hold."""
        return {name: value for name, value in vars(self).items() if name not in ARRAYS}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays, by names that begin with `similarity_`."""
        return {f"similarity_{name}": getattr(self, name) for name in ARRAYS}

    @classmethod
    def from_json(cls, value: Mapping, arrays: Mapping[str, np.ndarray]) -> "Similarity":
        """Rebuild what `to_json` and `arrays` gave."""
        fields: dict[str, Any] = {name: arrays[f"similarity_{name}"] for name in ARRAYS}
        return cls(**fields, **value)


def _length(vector: np.ndarray) -> float:
    return max(float(np.linalg.norm(vector)), 1e-9)


def fit_space(bottlenecks: np.ndarray | Rows, numbers: np.ndarray, which: np.ndarray) -> Similarity:
    """Fit a space on chunks, without what an angle in it means.

    Args:
        bottlenecks: shape (n, dimension), of chunks and of their views.
        numbers: int, shape (n,), their labels.
        which: the rows to fit it on; of many, some are taken by chance.

    Source: A. Hatch et al., "Within-Class Covariance Normalization for SVM-based Speaker Recognition", Interspeech
    2006.
    """
    some = np.sort(np.random.default_rng(0).permutation(which)[:MOST_ROWS])
    rows, labels = np.asarray(bottlenecks[some], np.float32), numbers[some]
    mean, scale = moments(rows)
    standard = (rows - mean) / scale
    for number in np.unique(labels):
        standard[labels == number] -= standard[labels == number].mean(axis=0)
    count, dimension = standard.shape
    variances, mixes = np.linalg.eigh(standard @ standard.T / count)
    kept = np.flatnonzero(variances > 1e-6 * max(variances[-1], 1e-12))[-MOST_DIRECTIONS:]
    directions = standard.T @ mixes[:, kept] / np.sqrt(variances[kept] * count)
    sphere = SHRINKAGE * variances.sum() / dimension
    losses = 1 - np.sqrt(sphere / (sphere + (1 - SHRINKAGE) * variances[kept]))
    return Similarity(mean, scale, directions.astype(np.float32), losses.astype(np.float32))


def fit_similarity(
    bottlenecks: np.ndarray | Rows,
    numbers: np.ndarray,
    *,
    chunks: np.ndarray | Rows,
    chunk_numbers: np.ndarray,
    recordings: np.ndarray,
) -> Similarity | None:
    """Fit a space on all labels, and learn what its angles mean from labels left out.

    Args:
        bottlenecks: shape (n, dimension), of chunks and of their views.
        numbers: int, shape (n,), their labels.
        chunks: shape (m, dimension), of chunks as they are.
        chunk_numbers: int, shape (m,), their labels.
        recordings: shape (m,), the recording of each.

    Returns:
        Similarity, or None for fewer than three labels, or where no label has two recordings.
    """
    labels = np.unique(chunk_numbers)
    if len(labels) < FEWEST_LABELS:
        return None
    whole = rows_by_group([str(name) for name in recordings])
    compared = np.sort(np.concatenate([of_it[:CHUNKS_COMPARED] for of_it in whole.values()])[:MOST_COMPARED])
    trials = Trials()
    for left_out in np.array_split(np.random.default_rng(0).permutation(labels), min(MOST_PARTS, len(labels) // 2 + 1)):
        space = fit_space(bottlenecks, numbers, np.flatnonzero(~np.isin(numbers, left_out)))
        rows = compared[np.isin(chunk_numbers[compared], left_out)]
        places = space.places(np.asarray(chunks[rows]))
        trials.add(places, chunk_numbers[rows], recordings[rows])
    if not trials.by_chunk[True] or not trials.by_chunk[False]:
        return None
    space = fit_space(bottlenecks, numbers, np.arange(len(numbers)))
    return dataclasses.replace(space, **_meaning(trials))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Trials:
    """Cosines of comparisons, by whether both sides are of the same label.

    Attributes:
        by_chunk: of a chunk with a prototype made of another recording.
        by_recording: their means over the chunks of a recording.
    """

    by_chunk: dict[bool, list[float]] = dataclasses.field(default_factory=lambda: {True: [], False: []})
    by_recording: dict[bool, list[float]] = dataclasses.field(default_factory=lambda: {True: [], False: []})

    def add(self, places: np.ndarray, numbers: np.ndarray, recordings: np.ndarray) -> None:
        """Compare every recording with a prototype of every other one.

        Args:
            places: shape (n, dimension), of chunks, each of length 1.
            numbers: shape (n,), their labels.
            recordings: shape (n,), the recording of each.
        """
        groups = rows_by_group([str(name) for name in recordings])
        for name, of_it in groups.items():
            prototype = places[of_it].mean(axis=0)
            cosines = places @ (prototype / max(float(np.linalg.norm(prototype)), 1e-9))
            for other, of_other in groups.items():
                if other != name:
                    is_same = bool(numbers[of_it[0]] == numbers[of_other[0]])
                    self.by_chunk[is_same].extend(cosines[of_other])
                    self.by_recording[is_same].append(float(cosines[of_other].mean()))


def _meaning(trials: Trials) -> dict[str, float]:
    """Return the curve from scores to odds, and how often it is wrong, by the scores of the same and of others.

    Source: J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    """
    from sklearn.linear_model import LogisticRegression  # a second, which only training should take

    same, other = np.array(trials.by_chunk[True]), np.array(trials.by_chunk[False])
    scores = np.concatenate([same, other])[:, None]
    curve = LogisticRegression(C=1e6, class_weight="balanced").fit(scores, np.arange(len(scores)) < len(same))
    slope, offset = float(curve.coef_[0, 0]), float(curve.intercept_[0])
    chunk_curve = detection_curve(same, other)
    recording_curve = detection_curve(np.array(trials.by_recording[True]), np.array(trials.by_recording[False]))
    assert chunk_curve is not None and recording_curve is not None  # there are scores of both kinds
    return {
        "slope": slope,
        "offset": offset,
        "trials": len(scores),
        "chunk_equal_error_rate": equal_error_rate(chunk_curve),
        "chunk_false_accept_rate": float((slope * other + offset >= 0).mean()),
        "chunk_false_reject_rate": float((slope * same + offset < 0).mean()),
        "equal_error_rate": equal_error_rate(recording_curve),
    }
