"""What a classifier answers to one recording, the input of every evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audionet.evaluation.metrics import LEAST_PROBABILITY
from audionet.models.openset import OpenSetDetector
from audionet.models.pooling import log_softmax, loudness_weights, pool


@dataclass(frozen=True)
class ScoredRecording:
    """The logits of the chunks of one recording."""

    recording: str  # its name, such as `alice/monday.mp3`
    label: str  # its folder, which the classifier need not know
    logits: np.ndarray  # float32, shape (chunks, labels), one chunk or more
    offsets_seconds: tuple[float, ...] = ()  # where in the recording each chunk begins; empty if that is not known
    in_training: int = 0  # how many of its chunks the classifier was trained on, roughly
    open_set: OpenSetDetector | None = None  # the detector of unknown clips that belongs to these logits
    levels_dbfs: tuple[float, ...] = ()  # how loud each chunk is, so that gaps count less; empty if that is not known
    group: str = ""  # what it was kept together with, by default the recording alone
    odds: np.ndarray | None = None  # float32, shape (chunks, trained labels), where the detector goes by them

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.recording)

    @property
    def evidence(self) -> np.ndarray:
        """What chunks are scored as known by, float64, shape (chunks, labels): by the detector, or the logits."""
        return self.open_set.evidence(self.logits, self.odds) if self.open_set else self.logits.astype(np.float64)

    @property
    def weights(self) -> np.ndarray:
        """How much each chunk counts, shape (chunks,), as the classifier weighs them."""
        return loudness_weights(self.levels_dbfs) if self.levels_dbfs else np.ones(len(self.logits))

    @property
    def is_accepted(self) -> bool:
        """Whether the recording as a whole is taken as one of the labels, as `Classifier.score` decides it."""
        return self.open_set is None or self.open_set.accepts(self.evidence, self.weights)

    @property
    def pooled(self) -> np.ndarray:
        """Log probabilities of the recording as a whole, shape (labels,), as the classifier pools them."""
        pooled: np.ndarray = np.log(np.maximum(pool(log_softmax(self.logits), self.weights), LEAST_PROBABILITY))
        return pooled


def group_ids(recordings: Sequence[ScoredRecording]) -> np.ndarray:
    """Return the same number for recordings of the same group, from 0 as they come: int, shape (n,)."""
    return numbered([one.group for one in recordings])


def numbered(names: Sequence[str]) -> np.ndarray:
    """Return the same number for the same name, from 0 as they come: int, shape (n,)."""
    number_of = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([number_of[name] for name in names], int)
