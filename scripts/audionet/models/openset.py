"""Known or unknown: whether a clip is of any label at all, before the question of which.

A softmax divides all its belief among the labels it knows, whatever it hears. The question is therefore put to the
logits before the softmax, as in speaker verification: is this clip likelier to come from the nearest label, or from
anybody at all? Both are clouds in the space of logits. A label's is as wide as clips of one label vary; anybody's is
centred between the labels and wider by as much as labels differ. The score is the logarithm of the ratio of the two
likelihoods; clips that score below a threshold are unknown.

The threshold is fitted on clips that the head was not trained on: known ones from recordings that were held out, and
unknown ones, which are impostors if there are any, or else each label in turn, scored by a head that was trained
without it. More chunks make a surer answer, so that each number of chunks has a threshold of its own.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

FALSE_ACCEPT_RATE = 0.05
MOST_REFUSED = 0.1  # of known clips: where labels are alike, the stated rate of false accepts may cost too much to keep
# Fewer do not show how differently one voice comes out on another day: what is known in noise is then spared too, and
# three deviations are kept from the mean.
FEW_RECORDINGS = 16
SPARED_SHARE = 0.02  # of known clips that a threshold may reject when it moves up into the gap below the others
GAP_SHARE = 0.5  # how far up it moves: unknown clips of another day score higher, but known ones score lower
SHRINKAGE = 0.3  # of the scatter within labels, towards a sphere
MOST_DIMENSIONS = 128  # of the space of labels: a thousand labels need no thousand
DEGREES_OF_FREEDOM = 10  # of the clouds: tails heavier than a normal cloud's, since some clips are odd
# Labels are left out a quarter at a time, each of which costs a head. Leaving out one at a time costs more and promises
# too much: 9.6 % of the chunks of unheard voices passed instead of the 5 % stated, against 6.7 % by quarters.
MOST_PARTS = 4
FEWEST_LABELS = 3  # of which one can be left out, and two remain to choose between
LARGEST_POOL = 64  # chunks; more hardly change a mean


@dataclass(frozen=True)
class Clips:
    """Chunks that a head has scored.

    Attributes:
        logits: shape (n, labels).
        recordings: int, shape (n,), which chunks belong together, in their order of time.
        numbers: int, shape (n,), the true labels; None for unknown clips.
        views: int, shape (n,), which augmented view of its recording each is a chunk of, 0 for the recording as it is;
            None if all are as they are.
    """

    logits: np.ndarray
    recordings: np.ndarray
    numbers: np.ndarray | None = None
    views: np.ndarray | None = None

    def by_recording(self) -> list[np.ndarray]:
        """Return the logits of each recording, and of each view of it."""
        views = np.zeros(len(self.logits), int) if self.views is None else self.views
        order = np.lexsort((views, self.recordings))  # stable, so that chunks stay in order
        keys = np.stack([self.recordings, views])[:, order]
        starts = np.flatnonzero(np.any(np.diff(keys, axis=1), axis=0)) + 1
        return np.split(self.logits[order], starts) if len(order) else []

    def pooled(self, chunks: int) -> np.ndarray:
        """Return the mean logits of every `chunks` chunks in a row, shape (m, labels); a shorter rest is left out."""
        wholes = [rows[: len(rows) // chunks * chunks] for rows in self.by_recording()]
        means = [rows.reshape(-1, chunks, rows.shape[1]).mean(axis=1, dtype=np.float64) for rows in wholes]
        return np.concatenate(means) if means else np.empty((0, self.logits.shape[1]))

    def as_they_are(self) -> "Clips":
        """Leave the views out."""
        return self if self.views is None else self.take(self.views == 0)

    def take(self, rows: np.ndarray) -> "Clips":
        """Return some of the chunks."""
        numbers, views = (None if values is None else values[rows] for values in (self.numbers, self.views))
        return Clips(self.logits[rows], self.recordings[rows], numbers, views)


@dataclass(frozen=True)
class Space:
    """Where labels lie among their logits, scaled so that clips of one label vary by 1 in every direction.

    Attributes:
        origin: float32, shape (labels,), the middle of the labels, in logits.
        projection: float32, shape (labels, dimensions), from logits to this space.
        centres: float32, shape (labels, dimensions).
        variances: float32, shape (dimensions,), how much the labels differ.
    """

    origin: np.ndarray
    projection: np.ndarray
    centres: np.ndarray
    variances: np.ndarray

    @classmethod
    def fit(cls, logits: np.ndarray, numbers: np.ndarray) -> "Space":
        """Find the labels' clouds.

        Args:
            logits: shape (n, labels), of clips that the head was not trained on.
            numbers: int, shape (n,), their labels, each there at least once.

        Source: S. Ioffe, "Probabilistic Linear Discriminant Analysis", ECCV 2006, with the tails of P. Kenny, "Bayesian
        Speaker Verification with Heavy-Tailed Priors", Odyssey 2010.
        """
        logits = np.asarray(logits, np.float64)
        count = logits.shape[1]
        centres = np.stack([logits[numbers == number].mean(axis=0) for number in range(count)])
        deviations = logits - centres[numbers]
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
        """Return how much likelier each clip is of its nearest label than of anybody, as a logarithm: shape (n,).

        Args:
            logits: shape (n, labels), of chunks, or their means over the chunks of a recording.
        """
        return self.claims(logits).max(axis=1)

    def claims(self, logits: np.ndarray) -> np.ndarray:
        """Return how much likelier each clip is of each label than of anybody: shape (n, labels).

        Args:
            logits: as for `score`; what lies behind the labels that the space knows was enrolled later, and left out.
        """
        known = np.asarray(logits, np.float64)[:, : len(self.origin)]
        places = (known - self.origin) @ self.projection
        lengths = np.square(places).sum(axis=1, keepdims=True)
        distances = lengths - 2 * places @ self.centres.T + np.square(self.centres, dtype=np.float64).sum(axis=1)
        strangeness = (np.square(places) / (1 + self.variances)).sum(axis=1, keepdims=True)
        weight = (DEGREES_OF_FREEDOM + len(self.variances)) / 2
        likelihoods = (np.log1p(np.maximum(value, 0) / DEGREES_OF_FREEDOM) for value in (strangeness, distances))
        return weight * np.subtract(*likelihoods)


@dataclass(frozen=True)
class OpenSet:
    """Tells known clips from unknown ones.

    Attributes:
        space: where the labels lie.
        chunk_counts: int, shape (m,), ascending from 1: the numbers of chunks that thresholds were fitted for.
        thresholds: shape (m,): what a clip of so many chunks must score to be accepted.
        stated_rate: the share of unknown clips that may be accepted.
        fitted_on: `impostors`, `left-out labels` or `known recordings alone`.
        unknown_recordings: how many recordings of unknown clips the threshold rests on.
        chunk_false_accept_rate: as measured on those, by chunk; None where there are none.
        chunk_false_reject_rate: as measured on held-out recordings of known labels.
        false_accept_rate: the same by recording.
        false_reject_rate: the same by recording.
    """

    space: Space
    chunk_counts: np.ndarray
    thresholds: np.ndarray
    stated_rate: float
    fitted_on: str
    unknown_recordings: int
    chunk_false_accept_rate: float | None
    chunk_false_reject_rate: float
    false_accept_rate: float | None
    false_reject_rate: float

    def evidence(self, logits: np.ndarray) -> np.ndarray:
        """Return what chunks may be averaged by: the logits of trained labels, and the log odds of enrolled ones.

        Args:
            logits: shape (n, labels), as `Classifier.logits` gives them.

        Returns:
            float64, the same shape.
        """
        trained, enrolled = np.split(np.asarray(logits, np.float64), [len(self.space.origin)], axis=1)
        return np.hstack([trained, enrolled - np.logaddexp.reduce(trained, axis=1, keepdims=True)])

    def claims(self, evidence: np.ndarray, chunks: float | np.ndarray = 1) -> np.ndarray:
        """Return how much likelier each clip is of each label than of anybody: shape (n, labels).

        An enrolled label is told from strangers by its own odds. They count from the threshold on, so that one
        threshold serves all labels.

        Args:
            evidence: shape (n, labels), of chunks, or means over the chunks of a clip.
            chunks: how many, or how many chunks' worth of weights, a clip has; one number or shape (n,).
        """
        from_threshold = evidence[:, len(self.space.origin) :] + np.reshape(self._thresholds(chunks), (-1, 1))
        return np.hstack([self.space.claims(evidence), from_threshold])

    def chunk_scores(self, logits: np.ndarray) -> np.ndarray:
        """Score each chunk by its logits, shape (chunks, labels), as a clip of its own: shape (chunks,)."""
        return self.claims(self.evidence(logits)).max(axis=1)

    def score(self, logits: np.ndarray, weights: np.ndarray | None = None) -> float:
        """Score one clip by its chunks' logits, shape (chunks, labels), and how much each counts, 1 at most."""
        mean = np.average(self.evidence(logits), axis=0, weights=weights)
        return float(self.claims(mean[None], _worth(logits, weights)).max())

    def threshold(self, chunks: float) -> float:
        """Return what a clip of so many chunks, or chunks' worth of weights, must score to be accepted."""
        return float(self._thresholds(chunks))

    def _thresholds(self, chunks: float | np.ndarray) -> np.ndarray:
        return np.asarray(np.interp(np.log2(chunks), np.log2(self.chunk_counts), self.thresholds))

    def accepts(self, logits: np.ndarray, weights: np.ndarray | None = None) -> bool:
        """Tell whether a clip, by its chunks' logits and their weights as for `score`, is of a known label."""
        return self.score(logits, weights) >= self.threshold(_worth(logits, weights))

    def sentence(self) -> str:
        """Return one sentence for the screen and the report: how the threshold came about and what to expect of it."""
        known = (
            f"{self.false_reject_rate:.1%} of known recordings and {self.chunk_false_reject_rate:.1%} of known chunks"
        )
        if self.false_accept_rate is None:
            return (
                f"Unknown clips are refused by a threshold that refuses {known}; how many unknown ones it lets pass "
                "cannot be told, since there were no impostors, and no labels were left out to stand for some."
            )
        return (
            f"Unknown clips are refused by a threshold fitted on {self.fitted_on} to let {self.stated_rate:.0%} pass; "
            f"of {self.unknown_recordings} recordings it let {self.false_accept_rate:.1%} pass "
            f"({self.chunk_false_accept_rate:.1%} of their chunks), and it refused {known}."
        )

    def to_json(self) -> dict:
        """Return everything but the arrays of `space`, in a form that JSON can hold."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del fields["space"]
        return fields | {"chunk_counts": self.chunk_counts.tolist(), "thresholds": self.thresholds.tolist()}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of `space`, by names that begin with `open_set_`."""
        return {f"open_set_{field.name}": getattr(self.space, field.name) for field in dataclasses.fields(Space)}

    @classmethod
    def from_json(cls, value: Mapping, arrays: Mapping[str, np.ndarray]) -> "OpenSet":
        """Rebuild what `to_json` and `arrays` gave."""
        space = Space(*(arrays[f"open_set_{field.name}"] for field in dataclasses.fields(Space)))
        counts, thresholds = np.array(value["chunk_counts"]), np.array(value["thresholds"], np.float64)
        return cls(**{**value, "space": space, "chunk_counts": counts, "thresholds": thresholds})


def _worth(logits: np.ndarray, weights: np.ndarray | None) -> float:
    """Return how many chunks a clip is worth."""
    return float(len(logits) if weights is None else weights.sum())


def fit_open_set(
    known: Clips,
    *,
    impostors: Clips | None = None,
    logits_without: Callable[[np.ndarray], np.ndarray] | None = None,
    false_accept_rate: float = FALSE_ACCEPT_RATE,
) -> OpenSet | None:
    """Fit a threshold at a stated rate of false accepts.

    Args:
        known: chunks of every label, scored by a head that was not trained on their recordings; and of their augmented
            views, if noisy clips are to be accepted too.
        impostors: chunks of none of the labels, scored by such a head; the best there is, if there are any.
        logits_without: given some label numbers, trains a head on all others and returns its logits for the chunks of
            `known` that have these labels, in their order: shape (chunks, labels - left out). Called a few times, if
            there are no impostors.
        false_accept_rate: the share of unknown recordings that may be accepted.

    Returns:
        OpenSet, or None where some label has no chunk among the known ones.
    """
    label_count = known.logits.shape[1]
    if known.numbers is None or len(np.unique(known.numbers)) < label_count or label_count < 2:
        return None
    space = Space.fit(known.logits, known.numbers)
    unknown: list[tuple[Space, Clips]]
    if impostors is not None and len(impostors.logits):
        fitted_on, unknown = "impostors", [(space, impostors)]
    elif logits_without is not None and label_count >= FEWEST_LABELS:
        fitted_on, unknown = (
            "left-out labels",
            list(_left_out(known, known.numbers, logits_without)),
        )
    else:
        fitted_on, unknown = "known recordings alone", []
    counts = _chunk_counts([known, *(clips for _, clips in unknown)])
    may_relent = fitted_on != "impostors"
    thresholds = np.array(
        [_threshold_for(chunks, space, known, unknown, false_accept_rate, may_relent=may_relent) for chunks in counts]
    )
    draft = OpenSet(
        space=space,
        chunk_counts=counts,
        thresholds=thresholds,
        stated_rate=false_accept_rate,
        fitted_on=fitted_on,
        unknown_recordings=sum(len(np.unique(clips.recordings)) for _, clips in unknown),
        chunk_false_accept_rate=None,
        chunk_false_reject_rate=0.0,
        false_accept_rate=None,
        false_reject_rate=0.0,
    )
    return _measured(draft, known, unknown)


def _left_out(
    known: Clips, numbers: np.ndarray, logits_without: Callable[[np.ndarray], np.ndarray]
) -> Iterator[tuple[Space, Clips]]:
    """Yield the labels, a few at a time, as clips that are unknown in the space of the others."""
    label_count = known.logits.shape[1]
    # Neighbours by name, such as two sessions of a voice, are left out together no more often than by chance.
    order = np.random.default_rng(0).permutation(label_count)
    for left_out in np.array_split(order, min(MOST_PARTS, label_count)):
        kept = np.setdiff1d(np.arange(label_count), left_out)
        is_unknown = np.isin(numbers, left_out)
        space = Space.fit(known.logits[~is_unknown][:, kept], np.searchsorted(kept, numbers[~is_unknown]))
        strangers = dataclasses.replace(
            known.take(is_unknown), logits=np.asarray(logits_without(left_out)), numbers=None
        )
        yield space, strangers


def _chunk_counts(clips: Sequence[Clips]) -> np.ndarray:
    """Return 1, 2, 4 and so on, as far as every kind of clip has recordings of that length."""
    longest = min(max(map(len, kind.by_recording())) for kind in clips)
    return 2 ** np.arange(int(np.log2(min(longest, LARGEST_POOL))) + 1)


def _threshold_for(
    chunks: int,
    space: Space,
    known: Clips,
    unknown: Sequence[tuple[Space, Clips]],
    false_accept_rate: float,
    *,
    may_relent: bool,
) -> float:
    """Return the threshold that so many unknown clips pass; where known ones lie far above it, some way up to them.

    Labels left out are no real strangers: where keeping the rate for them would refuse too many known clips, the
    threshold may relent, and `OpenSet` says how many it lets pass.

    Next time's unknown clips are others. With n to judge by, the quantile is therefore taken as if there were one more,
    which passes everything (conformal prediction: V. Vovk et al., 2005).
    """
    known_scores = space.score(known.pooled(chunks))
    clean_scores = space.score(known.as_they_are().pooled(chunks))
    are_few = len(np.unique(known.recordings)) < FEW_RECORDINGS
    spared = float(np.quantile(known_scores if are_few else clean_scores, SPARED_SHARE))
    unknown_scores = [part.score(clips.pooled(chunks)) for part, clips in unknown]
    if not unknown_scores:
        return float(np.quantile(known_scores, false_accept_rate))
    scores = np.sort(np.concatenate(unknown_scores))
    place = min(int(np.ceil((len(scores) + 1) * (1 - false_accept_rate))), len(scores)) - 1
    passed = float(np.nextafter(scores[place], np.inf))
    wanted = passed + GAP_SHARE * max(spared - passed, 0)
    if not may_relent:
        return wanted
    relented = min(wanted, max(float(np.quantile(clean_scores, MOST_REFUSED)), spared))
    return min(relented, float(clean_scores.mean() - 3 * clean_scores.std())) if are_few else relented


def _measured(draft: OpenSet, known: Clips, unknown: Sequence[tuple[Space, Clips]]) -> OpenSet:
    """Fill in how often the threshold was wrong about the clips that it was fitted on, their views left out."""
    known = known.as_they_are()
    unknown = [(space, clips.as_they_are()) for space, clips in unknown]

    def accepts(space: Space, clips: Sequence[np.ndarray]) -> list[bool]:
        part = dataclasses.replace(draft, space=space)
        return [part.accepts(logits) for logits in clips]

    known_by_chunk = draft.space.score(known.logits) >= draft.threshold(1)
    unknown_by_chunk = [space.score(clips.logits) >= draft.threshold(1) for space, clips in unknown]
    unknown_by_recording = [accepted for space, clips in unknown for accepted in accepts(space, clips.by_recording())]
    return dataclasses.replace(
        draft,
        chunk_false_reject_rate=float(1 - known_by_chunk.mean()),
        false_reject_rate=float(1 - np.mean(accepts(draft.space, known.by_recording()))),
        chunk_false_accept_rate=float(np.concatenate(unknown_by_chunk).mean()) if unknown else None,
        false_accept_rate=float(np.mean(unknown_by_recording)) if unknown else None,
    )
