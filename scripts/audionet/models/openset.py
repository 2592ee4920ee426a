"""The open-set detector: decides whether a clip is of any of the labels, before the question of which.

A softmax divides all probability among the labels that it knows, whatever the input. The decision therefore rests on
the logits before the softmax, as in speaker verification: the score is the logarithm of the ratio of two likelihoods,
that of the nearest label and that of clips in general. Both are t distributions in the space of logits. A label's is as
wide as clips of one label vary; the general one is centred between the labels, and wider by as much as labels differ.
Clips that score below a threshold are unknown.

Of one label alone there is one logit, which says how usual a clip is (`one_class_fitting`): that is the score.

Few labels leave few logits, in which somebody else lies near one of them by chance. Where training finds that the
comparison space tells known and unknown clips better apart, a clip is scored there instead, as enrolled labels are: by
the log odds that it is of the nearest label, given that label's prototype.

The threshold is fitted on clips that the head was not trained on: known ones of recordings that were held out, and
unknown ones, or, where there are none, each label in turn, scored by a head that was trained without it. A mean over
more chunks varies less, so that each number of chunks has a threshold of its own.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from audionet.errors import InputError, check

SHRINKAGE = 0.3  # of the scatter within labels, towards a sphere
MOST_DIMENSIONS = 128  # of the space of labels: a thousand labels need no thousand
FEW_RECORDINGS = 16  # fewer do not show how differently one voice comes out on another day
BY_LOGITS, BY_ODDS = "logits", "odds"
DEGREES_OF_FREEDOM = 10  # of the t distributions: heavier tails than a normal distribution's, for outlying clips


@dataclass(frozen=True)
class Space:
    """Where labels lie among their logits, scaled so that clips of one label vary by 1 in every direction."""

    origin: np.ndarray  # float32, shape (labels,), the middle of the labels, in logits
    projection: np.ndarray  # float32, shape (labels, dimensions), from logits to this space
    centres: np.ndarray  # float32, shape (labels, dimensions)
    variances: np.ndarray  # float32, shape (dimensions,), how much the labels differ

    @classmethod
    def fit(cls, logits: np.ndarray, label_ids: np.ndarray) -> "Space":
        """Fit the distributions of the labels and of clips in general.

        Logits, shape (n, labels), are of clips that the head was not trained on; each label id, int, shape (n,), is
        there at least once. One logit is taken as it is.

        Source: S. Ioffe, "Probabilistic Linear Discriminant Analysis", ECCV 2006, with the tails of P. Kenny, "Bayesian
        Speaker Verification with Heavy-Tailed Priors", Odyssey 2010.
        """
        logits = np.asarray(logits, np.float64)
        count = logits.shape[1]
        if count == 1:
            zero = np.zeros(1, np.float32)
            return cls(zero, np.ones((1, 1), np.float32), zero[None], zero)
        centres = np.stack([logits[label_ids == label_id].mean(axis=0) for label_id in range(count)])
        deviations = logits - centres[label_ids]
        scatter = deviations.T @ deviations / len(logits)
        sphere = max(np.trace(scatter) / count, 1e-12) * np.eye(count)
        whitening = np.linalg.cholesky(np.linalg.inv((1 - SHRINKAGE) * scatter + SHRINKAGE * sphere))
        origin = centres.mean(axis=0)
        white = (centres - origin) @ whitening
        variances, directions = np.linalg.eigh(white.T @ white / count)
        kept = np.flatnonzero(variances > 1e-6 * max(variances[-1], 1e-12))[-MOST_DIMENSIONS:]
        fields = (origin, whitening @ directions[:, kept], white @ directions[:, kept], variances[kept])
        return cls(*(field.astype(np.float32) for field in fields))

    def score(self, logits: np.ndarray) -> np.ndarray:
        """Return the log likelihood ratio of each clip's nearest label to clips in general: shape (n,).

        Logits, shape (n, labels), are of chunks, or their means over the chunks of a recording.
        """
        return np.asarray(self.claims(logits).max(axis=1))

    def places(self, logits: np.ndarray) -> np.ndarray:
        """Return where clips lie, float64, shape (n, dimensions); logits as for `claims`."""
        known = np.asarray(logits, np.float64)[:, : len(self.origin)]
        return np.asarray((known - self.origin) @ self.projection)

    def claims(self, logits: np.ndarray) -> np.ndarray:
        """Return the log likelihood ratio of each label to clips in general, for each clip: shape (n, labels).

        In `logits`, as for `score`, what lies behind the labels that the space knows was enrolled later, and left out.
        """
        places = self.places(logits)
        if len(self.origin) == 1:
            return places
        lengths = np.square(places).sum(axis=1, keepdims=True)
        distances = lengths - 2 * places @ self.centres.T + np.square(self.centres, dtype=np.float64).sum(axis=1)
        general = (np.square(places) / (1 + self.variances)).sum(axis=1, keepdims=True)
        weight = (DEGREES_OF_FREEDOM + len(self.variances)) / 2
        likelihoods = (np.log1p(np.maximum(value, 0) / DEGREES_OF_FREEDOM) for value in (general, distances))
        return np.asarray(weight * np.subtract(*likelihoods))


@dataclass(frozen=True)
class OperatingPoint:
    """Thresholds at one rate of false accepts; fields are those of `OpenSetDetector`."""

    stated_rate: float
    thresholds: tuple[float, ...]
    chunk_false_accept_rate: float | None
    chunk_false_reject_rate: float
    false_accept_rate: float | None
    false_reject_rate: float

    def fields(self) -> dict[str, Any]:
        """Return what a detector has of it, by field."""
        return {**vars(self), "thresholds": np.array(self.thresholds)}


@dataclass(frozen=True)
class OpenSetDetector:
    """Accepts known clips and rejects unknown ones, by a score and a threshold for each number of chunks."""

    space: Space
    chunk_counts: np.ndarray  # int, shape (m,), ascending from 1: the numbers of chunks that thresholds were fitted for
    thresholds: np.ndarray  # shape (m,): what a clip of so many chunks must score to be accepted
    stated_rate: float  # the share of unknown clips that may be accepted
    fitted_on: str  # `impostors`, `left-out labels` or `known recordings alone`
    unknown_recordings: int  # how many recordings of unknown clips the threshold rests on
    chunk_false_accept_rate: float | None  # the share of their chunks that it accepts; None where there are none
    chunk_false_reject_rate: float  # the share of chunks of held-out recordings of known labels that it rejects
    false_accept_rate: float | None  # by recording
    false_reject_rate: float  # by recording
    known_recordings: int = 0  # how many of known labels the threshold rests on; 0 where an earlier version fitted it
    operating_points: tuple[OperatingPoint, ...] = ()  # to choose from; none where nothing unknown was there to fit on
    stated_false_reject_rate: float | None = None  # what the threshold of one label keeps, where nothing was unknown
    scored_by: str = BY_LOGITS  # what chunks are scored by: their logits, or the log odds of the comparison space
    prototypes: np.ndarray | None = None  # float32, shape (labels, dimension), in that space; None where it is logits

    def at_rate(self, false_accept_rate: float) -> "OpenSetDetector":
        """Return the detector at another rate of false accepts, as if it had been fitted at that.

        Raises:
            InputError: it was not fitted at that rate.
        """
        for point in self.operating_points:
            if point.stated_rate == false_accept_rate:
                return dataclasses.replace(self, **point.fields())
        if self.stated_false_reject_rate is not None:
            raise InputError(
                "--false_accept_rate: the threshold of this classifier was fitted on its one label alone, to refuse "
                f"{100 * self.stated_false_reject_rate:g}% of it; how much else it accepts nobody knows. Train it "
                "again with another --false_reject_rate, or with --negatives."
            )
        check(
            bool(self.operating_points),
            "--false_accept_rate: this classifier has one threshold alone, since it was trained by an earlier version "
            "or without anything unknown. Train it again, on three labels or more, or with --negatives.",
        )
        rates = ", ".join(f"{point.stated_rate:g}" for point in self.operating_points)
        raise InputError(f"--false_accept_rate: expected one of {rates}, received {false_accept_rate:g}.")

    def evidence(self, logits: np.ndarray, odds: np.ndarray | None = None) -> np.ndarray:
        """Return what chunks are scored and averaged by: float64, shape (n, labels).

        Of trained labels it is their logits or, if they are scored so, their log odds in the comparison space; of
        enrolled ones always their log odds. Logits, shape (n, labels), are as `Classifier.logits` gives them, `odds`,
        shape (n, trained labels), those of the clips with `prototypes`.
        """
        trained, enrolled = np.split(np.asarray(logits, np.float64), [len(self.space.origin)], axis=1)
        of_enrolled = enrolled - np.logaddexp.reduce(trained, axis=1, keepdims=True)
        if self.scored_by == BY_ODDS:
            assert odds is not None  # whoever has the detector has the space
            return np.hstack([odds.astype(np.float64), of_enrolled])
        return np.hstack([trained, of_enrolled])

    def claims(self, evidence: np.ndarray, chunks: float | np.ndarray = 1) -> np.ndarray:
        """Return the log likelihood ratio of each label to clips in general, for each clip: shape (n, labels).

        An enrolled label is scored by its own log odds. They count from the threshold on, so that one threshold serves
        all labels. The evidence, shape (n, labels), is of chunks, or means over the chunks of a clip; `chunks` says how
        many, or how many chunks' worth of weights, a clip has, as one number or shape (n,).
        """
        trained, enrolled = np.split(evidence, [len(self.space.origin)], axis=1)
        of_trained = trained if self.scored_by == BY_ODDS else self.space.claims(trained)
        return np.hstack([of_trained, enrolled + np.reshape(self._thresholds(chunks), (-1, 1))])

    def chunk_scores(self, evidence: np.ndarray) -> np.ndarray:
        """Score each chunk by its evidence, shape (chunks, labels), as a clip of its own: shape (chunks,)."""
        return np.asarray(self.claims(evidence).max(axis=1))

    def score(self, evidence: np.ndarray, weights: np.ndarray | None = None) -> float:
        """Score one clip by its chunks' evidence, shape (chunks, labels), and how much each counts, 1 at most."""
        mean = np.average(evidence, axis=0, weights=weights)
        return float(self.claims(mean[None], _worth(evidence, weights)).max())

    def threshold(self, chunks: float) -> float:
        """Return what a clip of so many chunks, or chunks' worth of weights, must score to be accepted."""
        return float(self._thresholds(chunks))

    def _thresholds(self, chunks: float | np.ndarray) -> np.ndarray:
        return np.asarray(np.interp(np.log2(chunks), np.log2(self.chunk_counts), self.thresholds))

    def accepts(self, evidence: np.ndarray, weights: np.ndarray | None = None) -> bool:
        """Tell whether a clip, by its chunks' evidence and their weights as for `score`, is of a known label."""
        return self.score(evidence, weights) >= self.threshold(_worth(evidence, weights))

    def sentence(self) -> str:
        """Return one sentence for the screen and the report: how the threshold came about and what to expect of it."""
        known = (
            f"{self.false_reject_rate:.1%} of known recordings and {self.chunk_false_reject_rate:.1%} of known chunks"
        )
        few = (
            f" It rests on {self.known_recordings} known recordings, which is few: what they leave open is accepted."
            if 0 < self.known_recordings < FEW_RECORDINGS
            else ""
        )
        if self.stated_false_reject_rate is not None:
            return (
                f"Unknown clips are refused by a threshold meant to refuse {100 * self.stated_false_reject_rate:g}% of "
                f"the next known ones; of {self.known_recordings} recordings, each scored by others, it refused "
                f"{self.false_reject_rate:.1%} ({self.chunk_false_reject_rate:.1%} of chunks). How many unknown ones "
                f"it lets pass cannot be told, since there were none.{few}"
            )
        if self.false_accept_rate is None:
            return (
                f"Unknown clips are refused by a threshold that refuses {known}; how many unknown ones it lets pass "
                f"cannot be told, since there were no impostors, and no labels were left out to stand for some.{few}"
            )
        return (
            f"Unknown clips are refused by a threshold fitted on {self.fitted_on} to let {100 * self.stated_rate:g}% "
            f"pass; of {self.unknown_recordings} recordings it let {self.false_accept_rate:.1%} pass "
            f"({self.chunk_false_accept_rate:.1%} of their chunks), and it refused {known}.{few}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything but the arrays of `space` and `prototypes`, in a form that JSON can hold."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del fields["space"], fields["operating_points"], fields["prototypes"]
        if self.scored_by == BY_LOGITS:
            del fields["scored_by"]  # as in what earlier versions saved
        if self.stated_false_reject_rate is None:
            del fields["stated_false_reject_rate"]  # as in what earlier versions saved
        points = [dataclasses.asdict(point) for point in self.operating_points]
        return {
            **fields,
            "chunk_counts": self.chunk_counts.tolist(),
            "thresholds": self.thresholds.tolist(),
            **({"operating_points": points} if points else {}),  # so that what was saved without stays the same
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of `space` and, if there are any, `prototypes`, by names that begin with `open_set_`."""
        named = {f"open_set_{field.name}": getattr(self.space, field.name) for field in dataclasses.fields(Space)}
        return named if self.prototypes is None else {**named, "open_set_prototypes": self.prototypes}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "OpenSetDetector":
        """Rebuild what `to_json` and `arrays` gave."""
        space = Space(*(arrays[f"open_set_{field.name}"] for field in dataclasses.fields(Space)))
        counts, thresholds = np.array(value["chunk_counts"]), np.array(value["thresholds"], np.float64)
        points = tuple(
            OperatingPoint(**{**point, "thresholds": tuple(point["thresholds"])})
            for point in value.get("operating_points", ())
        )
        prototypes = arrays["open_set_prototypes"] if value.get("scored_by") == BY_ODDS else None
        arrays_of = {"space": space, "chunk_counts": counts, "thresholds": thresholds, "prototypes": prototypes}
        return cls(**{**value, **arrays_of, "operating_points": points})


def _worth(evidence: np.ndarray, weights: np.ndarray | None) -> float:
    """Return how many chunks a clip is worth."""
    return float(len(evidence) if weights is None else weights.sum())
