"""What a classifier answers for one file."""

from dataclasses import dataclass
from typing import Any

import numpy as np

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Answer:
    """What a classifier says of one file."""

    labels: tuple[str, ...]  # as in the classifier
    probabilities: np.ndarray  # float32, shape (labels,), of the whole file
    chunk_offsets_seconds: np.ndarray  # float32, shape (chunks,); a picture has one chunk at 0
    chunk_probabilities: np.ndarray  # float32, shape (chunks, labels)
    score: float | None = None  # the log likelihood ratio of the nearest label; None without an open-set detector
    threshold: float | None = None  # what the score must reach for the file to be taken as one of the labels
    left_out: tuple[str, ...] = ()  # names of the classifier's members that could not take the file

    @property
    def is_known(self) -> bool:
        """Whether the file may be of one of the labels at all."""
        return self.score is None or self.threshold is None or self.score >= self.threshold

    @property
    def label(self) -> str:
        """The likeliest label, or `unknown`."""
        return self.nearest_label if self.is_known else UNKNOWN

    @property
    def nearest_label(self) -> str:
        """The likeliest label, known or not."""
        return self.labels[int(self.probabilities.argmax())]

    @property
    def probability(self) -> float:
        """The probability of the likeliest label."""
        return float(self.probabilities.max())

    def doubt(self) -> str:
        """Return what a person should know before the list of labels: empty, or that the file seems to be of none.

        Of one label alone, which needs no list, it is the verdict and the score.
        """
        if len(self.labels) == 1 and self.score is not None:
            side = "at or above" if self.is_known else "below"
            return f": {self.label} (its score, {self.score:.1f}, is {side} {self.threshold:.1f})"
        if self.is_known:
            return ""
        return f": unknown (its score, {self.score:.1f}, is below {self.threshold:.1f}); nearest are"

    def to_json(self, top_k: int | None = None) -> dict[str, Any]:
        """Return the answer as JSON: `label`, `nearest`, `probability`, `labels`, `known`, `score` and `threshold`.

        If members of the classifier could not take the file, `left_out` has their names.
        """
        return {
            "label": self.label,
            "nearest": self.nearest_label,
            "probability": self.probability,
            "labels": self.ranked(top_k),
            "known": self.is_known,
            "score": self.score,
            "threshold": self.threshold,
            **({"left_out": list(self.left_out)} if self.left_out else {}),
        }

    def ranked(self, top_k: int | None = None) -> dict[str, float]:
        """Return probability by label, the likeliest first, `top_k` of them or all."""
        order = np.argsort(-self.probabilities, kind="stable")[:top_k]
        return {self.labels[number]: float(self.probabilities[number]) for number in order}
