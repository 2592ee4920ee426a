"""Fit the open-set detector: how the logits of each label are distributed, and the thresholds for unknown clips."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from audionet.models.openset import BY_ODDS, FEW_RECORDINGS, OpenSetDetector, OperatingPoint, Space
from audionet.training.fitting.sample_weights import evened_out
from audionet.training.settings import FALSE_ACCEPT_RATE, FALSE_REJECT_RATE

OPERATING_RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # of false accepts, to choose from later

# Where labels are alike, keeping unknown clips out may cost too much: of the next known ones so many may be refused at
# the default rate of false accepts. At half that rate twice as many may be, but never more than half.
FALSE_REJECTS_ALLOWED = 0.2
MOST_FALSE_REJECTS = 0.5

# Log odds are taken at up to so many times the rate. Kinds of sound, of which half pass either way, lose by them: a
# quarter of the known recordings was refused, and 7 % by logits.
RELENTED = 1.5

SPARED_SHARE = 0.02  # of known clips that a threshold may reject when it moves up into the gap below the others
GAP_SHARE = 0.5  # how far up it moves: unknown clips of another day score higher, but known ones score lower

# Labels are left out a quarter at a time, each of which costs a head. Leaving out one at a time costs more and promises
# too much: 9.6 % of the chunks of other voices passed instead of the 5 % stated, against 6.7 % by quarters.
MOST_PARTS = 4
IMPOSTORS = "impostors"
FEWEST_LABELS = 3  # of which one can be left out, and two remain to choose between
LARGEST_POOL = 64  # chunks; more hardly change a mean


@dataclass(frozen=True, eq=False)
class ScoredClips:
    """Chunks that a head has scored."""

    logits: np.ndarray  # shape (n, labels)
    recording_ids: np.ndarray  # int, shape (n,), which chunks belong together, in their order of time
    label_ids: np.ndarray  # int, shape (n,), the true labels; of unknown clips they mean nothing
    views: np.ndarray  # int, shape (n,), the augmented view that each is a chunk of, 0 for the recording as it is
    folds: np.ndarray  # int, shape (n,), the fold of each recording: at least two of every label, or one of all

    def by_recording(self) -> list[np.ndarray]:
        """Return the logits of each recording, and of each view of it."""
        order = np.lexsort((self.views, self.recording_ids))  # stable, so that chunks stay in order
        keys = np.stack([self.recording_ids, self.views])[:, order]
        starts = np.flatnonzero(np.any(np.diff(keys, axis=1), axis=0)) + 1
        return np.split(self.logits[order], starts) if len(order) else []

    def pooled(self, chunks: int) -> np.ndarray:
        """Return the mean logits of every `chunks` chunks in a row, shape (m, labels); a shorter rest is left out."""
        wholes = [rows[: len(rows) // chunks * chunks] for rows in self.by_recording()]
        means = [rows.reshape(-1, chunks, rows.shape[1]).mean(axis=1, dtype=np.float64) for rows in wholes]
        return np.concatenate(means) if means else np.empty((0, self.logits.shape[1]))

    def clean(self) -> "ScoredClips":
        """Leave the augmented views out."""
        return self.take(self.views == 0)

    def with_temperature(self, temperature: float) -> "ScoredClips":
        """Return the same with logits divided by a temperature."""
        return self.with_logits(self.logits / temperature)

    def with_logits(self, logits: np.ndarray) -> "ScoredClips":
        """Return the same chunks as another head scores them."""
        return dataclasses.replace(self, logits=logits)

    def balanced_weights(self) -> np.ndarray:
        """Return how much each chunk counts, float64, shape (n,), as `evened_out` has it."""
        return evened_out(self.label_ids, self.views)

    def take(self, rows: np.ndarray) -> "ScoredClips":
        """Return some of the chunks, by their row numbers or by a mask."""
        columns = {field.name: getattr(self, field.name)[rows] for field in dataclasses.fields(self)}
        return ScoredClips(**columns)


@dataclass(frozen=True, eq=False)
class LeftOutLabels:
    """Labels that stand for unknown ones, scored by a head that was trained on all others."""

    label_ids: np.ndarray  # int, ascending or not, of the labels left out
    logits: np.ndarray  # shape (chunks, labels - left out), of the known chunks that have these labels, in their order


@dataclass(frozen=True, eq=False)
class ClipOdds:
    """The log odds of clips in the comparison space, as `odds_out_of_fold` has them."""

    is_scored: np.ndarray  # bool, shape (n,), which of the known clips are scored
    known: np.ndarray  # float32, shape (scored, labels)
    unknown: np.ndarray  # float32, shape (unknown clips, labels), of none of the labels
    of_background: Sequence[np.ndarray]  # of recordings of other labels, the highest of each chunk, shape (chunks,)
    prototypes: np.ndarray  # float32, shape (labels, dimension), of all recordings

    def take(self, rows: np.ndarray) -> "ClipOdds":
        """Return the same with the known clips in another order, by their row numbers."""
        places = np.cumsum(self.is_scored) - 1
        is_scored = self.is_scored[rows]
        return dataclasses.replace(self, is_scored=is_scored, known=self.known[places[rows[is_scored]]])


class HighestOdds:
    """Scores clips by the highest of their log odds, as `Space` does by their logits."""

    @staticmethod
    def score(odds: np.ndarray) -> np.ndarray:
        """Return the highest log odds of each clip, shape (n,), given those of each label, shape (n, labels)."""
        return np.asarray(odds.max(axis=1))


class Scorer(Protocol):
    """What gives clips a score, by their logits or what else stands for them."""

    def score(self, logits: np.ndarray) -> np.ndarray:
        """Return the score of each clip, shape (n,), the higher the likelier it is known."""


def parts_to_leave_out(label_count: int) -> list[np.ndarray]:
    """Return the label ids to leave out in turn, some labels at a time; none where labels are too few."""
    if label_count < FEWEST_LABELS:
        return []
    # Neighbours by name, such as two sessions of a voice, are left out together no more often than by chance.
    order = np.random.default_rng(0).permutation(label_count)
    return np.array_split(order, min(MOST_PARTS, label_count))


def fit_open_set(
    known: ScoredClips,
    *,
    unknown: ScoredClips | None = None,
    left_out: Sequence[LeftOutLabels] = (),
    odds: ClipOdds | None = None,
    false_accept_rate: float = FALSE_ACCEPT_RATE,
    false_reject_rate: float = FALSE_REJECT_RATE,
) -> OpenSetDetector | None:
    """Fit a threshold at a stated rate of false accepts, or return None where some label has no chunk in `known`.

    How a label's clips lie is learnt from the known clips too, so that they are scored fold by fold, in the space of
    the other folds. In a space that was fitted on them they lie nearer to their label than the next clip will.

    With log odds, clips are scored by these where they tell known and unknown ones better apart, and well enough to
    keep the rate.

    Args:
        known: chunks of every label, scored by a head that was not trained on their recordings; and of their augmented
            views, if noisy clips are to be accepted too.
        unknown: chunks of none of the labels, scored by such a head; the best there is, if there are any.
        left_out: for each of `parts_to_leave_out` how a head scores that was trained without it; used if there is
            nothing unknown.
        odds: of the same clips, where there is a space in which they compare.
        false_accept_rate: the share of unknown recordings that may be accepted.
        false_reject_rate: the share of known clips that may be refused, where there is one label and nothing unknown.
    """
    label_count = known.logits.shape[1]
    if len(np.unique(known.label_ids)) < label_count:
        return None
    space = Space.fit(known.logits, known.label_ids)
    judged = _by_logits(known, space, unknown=unknown, left_out=left_out)
    is_known_alone = label_count == 1 and not judged.unknown
    fields: dict[str, Any] = {}
    fit = _fit_by_odds(known, odds, judged, unknown=unknown, false_accept_rate=false_accept_rate) if odds else None
    if fit and odds:
        judged = fit.judged
        fields = {"scored_by": BY_ODDS, "prototypes": odds.prototypes}
    else:
        allowed = FALSE_REJECTS_ALLOWED if judged.unknown else FALSE_REJECT_RATE
        fit = _ThresholdFit(judged, false_reject_rate if is_known_alone else allowed)
    rates = sorted({*OPERATING_RATES, false_accept_rate}) if judged.unknown else [false_accept_rate]
    points = {rate: fit.operating_point(rate) for rate in rates}
    chosen = points[false_accept_rate]
    return OpenSetDetector(
        space=space,
        chunk_counts=fit.counts,
        fitted_on=judged.fitted_on,
        unknown_recordings=_count_recordings(judged.unknown),
        known_recordings=_count_recordings(judged.known),
        operating_points=tuple(points.values()) if judged.unknown else (),
        stated_false_reject_rate=false_reject_rate if is_known_alone else None,
        **chosen.fields(),
        **fields,
    )


@dataclass(frozen=True, eq=False)
class _JudgedClips:
    """Known and unknown clips, each with what scores it, which it took no part in."""

    known: Sequence[tuple[Scorer, ScoredClips]]
    unknown: Sequence[tuple[Scorer, ScoredClips]]
    fitted_on: str

    def ranking_losses(self) -> np.ndarray:
        """Return what each recording, known or unknown, adds to 1 less the area under ROC, views left out.

        Shape (recordings,); a recording of a label that is left out is known and unknown, and counts once.
        """
        known, unknown = (
            [(space.score(clips.logits), clips.recording_ids) for space, clips in clean_parts]
            for clean_parts in (
                [(space, clips.clean()) for space, clips in part] for part in (self.known, self.unknown)
            )
        )
        scores = [np.concatenate([of_part for of_part, _ in part]) for part in (known, unknown)]
        owners = [np.concatenate([ids for _, ids in part]) for part in (known, unknown)]
        ranked = [np.sort(one) for one in scores]
        above = len(scores[1]) - np.searchsorted(ranked[1], scores[0], side="left")  # unknown ones, ties included
        below = np.searchsorted(ranked[0], scores[1], side="right")
        size = int(max(ids.max() for ids in owners)) + 1
        losses = [np.bincount(ids, wrong, size) for ids, wrong in zip(owners, (above, below), strict=True)]
        return np.asarray((losses[0] + losses[1]) / (2 * len(scores[0]) * len(scores[1])))


def _is_surely_better(one: _JudgedClips, other: _JudgedClips) -> bool:
    """Whether clips are told apart better, by more than a standard error over recordings."""
    gains = other.ranking_losses() - one.ranking_losses()
    return bool(gains.sum() > np.sqrt(np.square(gains).sum()))


def _fit_by_odds(
    known: ScoredClips,
    odds: ClipOdds,
    by_logits: _JudgedClips,
    *,
    unknown: ScoredClips | None,
    false_accept_rate: float,
) -> "_ThresholdFit | None":
    """Return what thresholds of log odds are fitted on, or None where clips are to be scored by their logits."""
    by_odds = _by_odds(known, odds, unknown=unknown)
    if by_logits.unknown and not _is_surely_better(by_odds, by_logits):
        return None
    fit = _ThresholdFit(_with_background(by_odds, odds), FALSE_REJECTS_ALLOWED)
    return fit if not by_logits.unknown or fit.keeps(false_accept_rate) else None


def _by_logits(
    known: ScoredClips, space: Space, *, unknown: ScoredClips | None, left_out: Sequence[LeftOutLabels]
) -> _JudgedClips:
    """Score clips by their logits: known ones fold by fold, unknown ones, or in turn each part of the labels."""
    scored_known = _by_spaces_of_others(known, space)
    if unknown is not None and len(unknown.logits):
        return _JudgedClips(scored_known, [(space, unknown)], IMPOSTORS)
    scored_unknown = [_space_without(known, part) for part in left_out]
    return _JudgedClips(scored_known, scored_unknown, "left-out labels" if left_out else "known recordings alone")


def _by_odds(known: ScoredClips, odds: ClipOdds, *, unknown: ScoredClips | None) -> _JudgedClips:
    """Score clips by their log odds: known ones, unknown ones, or each clip as if its own label were not there."""
    scorer, scored = HighestOdds(), known.take(odds.is_scored)
    scored_known = [(scorer, scored.with_logits(odds.known))]
    if unknown is not None and len(unknown.logits):
        return _JudgedClips(scored_known, [(scorer, unknown.with_logits(odds.unknown))], IMPOSTORS)
    is_other = scored.label_ids[:, None] != np.arange(odds.known.shape[1])
    strangers = scored.with_logits(odds.known[is_other].reshape(len(odds.known), -1)).clean()
    return _JudgedClips(scored_known, [(scorer, strangers)], "left-out labels")


def _with_background(judged: _JudgedClips, odds: ClipOdds) -> _JudgedClips:
    """Return clips with those of a background as unknown ones beside labels that were left out, if there are any."""
    if not odds.of_background or judged.fitted_on == IMPOSTORS:
        return judged
    lengths = [len(one) for one in odds.of_background]
    start = 1 + max(int(clips.recording_ids.max()) for _, clips in judged.known)
    nothing = np.zeros(sum(lengths), int)
    clips = ScoredClips(
        np.concatenate(odds.of_background)[:, None],
        np.repeat(np.arange(len(lengths)) + start, lengths),
        *(nothing, nothing, nothing),
    )
    unknown = [*judged.unknown, (HighestOdds(), clips)]
    return _JudgedClips(judged.known, unknown, f"{judged.fitted_on} and labels of the background")


def _by_spaces_of_others(known: ScoredClips, space: Space) -> list[tuple[Scorer, ScoredClips]]:
    """Return the clips of each fold with the space of the other folds, or all with `space` where there is one fold."""
    if len(np.unique(known.folds)) < 2:
        return [(space, known)]
    parts: list[tuple[Scorer, ScoredClips]] = []
    for fold in np.unique(known.folds):
        others = known.take(known.folds != fold)
        parts.append((Space.fit(others.logits, others.label_ids), known.take(known.folds == fold)))
    return parts


def _space_without(known: ScoredClips, part: LeftOutLabels) -> tuple[Scorer, ScoredClips]:
    """Return the space of the labels that were not left out, and the others' clips, which are unknown there.

    Their augmented views are left out: noise makes them score lower than the clips themselves, and the rate is one of
    clips as they come. Counted among them, views let half as many unknown clips again pass.
    """
    kept = np.setdiff1d(np.arange(known.logits.shape[1]), part.label_ids)
    is_unknown = np.isin(known.label_ids, part.label_ids)
    space = Space.fit(known.logits[~is_unknown][:, kept], np.searchsorted(kept, known.label_ids[~is_unknown]))
    return space, dataclasses.replace(known.take(is_unknown), logits=part.logits).clean()


def _chunk_counts(clips: Sequence[ScoredClips]) -> np.ndarray:
    """Return 1, 2, 4 and so on, as far as every kind of clip has recordings of that length."""
    longest = min(max(map(len, kind.by_recording())) for kind in clips)
    return 2 ** np.arange(int(np.log2(min(longest, LARGEST_POOL))) + 1)


class _ThresholdFit:
    """What thresholds are fitted on: the scores of clips of each number of chunks, and of whole recordings.

    Labels left out only stand for unknown ones: where keeping the rate for them would refuse too many known clips, the
    threshold may relent, and `OpenSetDetector` says how many it lets pass.
    """

    def __init__(self, judged: _JudgedClips, false_reject_rate: float):
        self.judged = judged
        known, unknown = judged.known, judged.unknown
        self.counts = counts = _chunk_counts([clips for _, clips in (*known, *unknown)])
        self._may_relent, self._false_reject_rate = judged.fitted_on != IMPOSTORS, false_reject_rate
        self._recordings = _count_recordings(known)
        clean = [(space, clips.clean()) for space, clips in known]
        self._clean = [_pooled_scores(clean, chunks) for chunks in counts]
        # Few recordings do not show how a voice varies; what is known in noise is then spared too.
        is_few = self._recordings < FEW_RECORDINGS
        self._spared = [
            float(np.quantile(_pooled_scores(known, chunks) if is_few else of_clean, SPARED_SHARE))
            for chunks, of_clean in zip(counts, self._clean, strict=True)
        ]
        self._unknown = [np.sort(_pooled_scores(unknown, chunks)) for chunks in counts] if unknown else []
        self._known_clips = _ClipScores.of(known)
        self._unknown_clips = _ClipScores.of(unknown) if unknown else None

    def keeps(self, false_accept_rate: float) -> bool:
        """Tell whether so few unknown clips are accepted, where the threshold relents hardly or not at all."""
        point = self.operating_point(false_accept_rate)
        accepted = max(point.chunk_false_accept_rate or 0.0, point.false_accept_rate or 0.0)
        return accepted <= RELENTED * false_accept_rate

    def operating_point(self, false_accept_rate: float) -> OperatingPoint:
        """Return the thresholds at a rate, and how often they are wrong about the clips that they are fitted on."""
        thresholds = np.array([self._threshold(place, false_accept_rate) for place in range(len(self.counts))])
        chunks, recordings = self._known_clips.accepted(self.counts, thresholds)
        unknown = self._unknown_clips
        accepted = unknown.accepted(self.counts, thresholds) if unknown else (None, None)
        return OperatingPoint(
            stated_rate=false_accept_rate,
            thresholds=tuple(thresholds.tolist()),
            chunk_false_accept_rate=accepted[0],
            chunk_false_reject_rate=1 - chunks,
            false_accept_rate=accepted[1],
            false_reject_rate=1 - recordings,
        )

    def _threshold(self, place: int, false_accept_rate: float) -> float:
        """Return the threshold that so many unknown clips pass; where known ones lie far above it, some way up to them.

        Next time's unknown clips are others. With n to judge by, the quantile is therefore taken as if there were one
        more, which passes everything (conformal prediction: V. Vovk et al., 2005).
        """
        least = self._least_of_next(self._clean[place], false_accept_rate)
        if not self._unknown:
            return least
        scores = self._unknown[place]
        row = min(int(np.ceil((len(scores) + 1) * (1 - false_accept_rate))), len(scores)) - 1
        passed = float(np.nextafter(scores[row], np.inf))
        wanted = passed + GAP_SHARE * max(self._spared[place] - passed, 0)
        return min(wanted, least) if self._may_relent else wanted

    def _least_of_next(self, scores: np.ndarray, false_accept_rate: float) -> float:
        """Return what the next known clip scores at least, but for a rate: the fewer recordings, the less.

        Clips of one recording are alike, so that recordings are counted. Scores are of shape (n,).

        Source: the prediction interval of a normal distribution whose mean and deviation are estimated, such as in
        G. Hahn and W. Meeker, "Statistical Intervals", 1991.
        """
        from scipy.special import stdtrit  # a fifth of a second, which only training should take

        if self._recordings < 2 or len(scores) < 2:
            return float(scores.min())
        # Without unknown clips nobody knows what a stricter threshold would bring.
        share = self._false_reject_rate * (FALSE_ACCEPT_RATE / false_accept_rate if self._unknown else 1)
        deviations = stdtrit(self._recordings - 1, 1 - min(share, MOST_FALSE_REJECTS))
        deviations *= np.sqrt(1 + 1 / self._recordings)
        return float(scores.mean() - deviations * scores.std(ddof=1))


def _pooled_scores(parts: Sequence[tuple[Scorer, ScoredClips]], chunks: int) -> np.ndarray:
    return np.concatenate([space.score(clips.pooled(chunks)) for space, clips in parts])


def _count_recordings(parts: Sequence[tuple[Scorer, ScoredClips]]) -> int:
    return sum(len(np.unique(clips.recording_ids)) for _, clips in parts)


@dataclass(frozen=True, eq=False)
class _ClipScores:
    """The scores of clips of one kind, their views left out."""

    chunks: np.ndarray  # shape (n,)
    recordings: np.ndarray  # shape (m,)
    lengths: np.ndarray  # int, shape (m,), how many chunks each recording has

    @classmethod
    def of(cls, parts: Sequence[tuple[Scorer, ScoredClips]]) -> "_ClipScores":
        chunks, recordings, lengths = [], [], []
        for space, clips in parts:
            clean = clips.clean()
            wholes = clean.by_recording()
            chunks.append(space.score(clean.logits))
            recordings.append(space.score(np.stack([rows.mean(axis=0, dtype=np.float64) for rows in wholes])))
            lengths += [len(rows) for rows in wholes]
        return cls(np.concatenate(chunks), np.concatenate(recordings), np.array(lengths))

    def accepted(self, counts: np.ndarray, thresholds: np.ndarray) -> tuple[float, float]:
        """Return the shares of chunks and of recordings that reach the thresholds for these numbers of chunks."""
        for_recordings = np.interp(np.log2(self.lengths), np.log2(counts), thresholds)
        return float((self.chunks >= thresholds[0]).mean()), float((self.recordings >= for_recordings).mean())
