"""Detection: known against unknown clips, and true against false claims of a label, at every threshold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from audionet.evaluation.intervals import group_weights, json_interval, share_interval
from audionet.evaluation.metrics import check_scores
from audionet.evaluation.scored_recording import ScoredRecording, group_ids
from audionet.models.openset import OpenSetDetector
from audionet.models.pooling import log_softmax

# NIST's costs for speaker recognition since 2010: true claims are rare, or very rare, and either mistake costs 1.
TARGET_PRIOR = 0.01
RARE_TARGET_PRIOR = 0.001
MOST_FALSE_ALARMS = 0.1  # share of known clips refused, up to which the partial area is taken
CURVE_POINTS = 200
CURVE_RESAMPLES = 500  # each of which goes through all clips again
MOST_FALSE_CLAIMS = 1_000_000  # a thousand labels make thousands of claims a recording


@dataclass(frozen=True)
class DetectionCurve:
    """What each threshold would accept. A clip is accepted when its score is at or above the threshold."""

    thresholds: np.ndarray  # ascending, shape (n,): every score there is, and infinity
    false_accepts: np.ndarray  # the share of unknown clips accepted, falling from 1 to 0
    false_rejects: np.ndarray  # the share of known clips rejected, rising from 0 to 1


def detection_curve(
    known: np.ndarray,
    unknown: np.ndarray,
    *,
    known_weights: np.ndarray | None = None,
    unknown_weights: np.ndarray | None = None,
) -> DetectionCurve | None:
    """Return the rates of both mistakes at every threshold, or None where one kind of clip is missing.

    Args:
        known: scores that should be accepted, shape (n,).
        unknown: scores that should be rejected, shape (m,).
        known_weights: how often each counts, by default once.
        unknown_weights: likewise.

    Raises:
        InputError: a score is NaN.
    """
    return RankedScores(known, unknown).curve(known_weights, unknown_weights)


class RankedScores:
    """Scores that are sorted once, for the curves of many weights; arguments and errors as for `detection_curve`."""

    def __init__(self, known: np.ndarray, unknown: np.ndarray):
        known, unknown = np.asarray(known, np.float64), np.asarray(unknown, np.float64)
        check_scores(known, name="known scores")
        check_scores(unknown, name="unknown scores")
        self._thresholds, places = np.unique(np.concatenate([known, unknown]), return_inverse=True)
        self._known, self._unknown = np.split(places, [len(known)])

    def curve(
        self, known_weights: np.ndarray | None = None, unknown_weights: np.ndarray | None = None
    ) -> DetectionCurve | None:
        """Return the curve where scores count as often as their weights say, by default once each."""
        if not (_has_any(self._known, known_weights) and _has_any(self._unknown, unknown_weights)):
            return None
        rejected = [
            np.concatenate([[0], np.bincount(where, weights, len(self._thresholds)).cumsum()])
            for where, weights in ((self._known, known_weights), (self._unknown, unknown_weights))
        ]
        return DetectionCurve(
            thresholds=np.append(self._thresholds, np.inf),
            false_accepts=1 - rejected[1] / rejected[1][-1],
            false_rejects=rejected[0] / rejected[0][-1],
        )


def auroc(curve: DetectionCurve) -> float:
    """Return the probability that a known clip scores above an unknown one, where a tie counts half."""
    accepts = 1 - curve.false_rejects
    return float(np.sum((accepts[:-1] + accepts[1:]) / 2 * -np.diff(curve.false_accepts)))


def partial_auroc(curve: DetectionCurve) -> float:
    """Return the area under the ROC curve where few known clips are refused, scaled: 1 is best, 0.5 is by chance.

    Sources: D. McClish, "Analyzing a Portion of the ROC Curve", Medical Decision Making 9 (1989), with the share of
    false alarms of DCASE's challenges on machine condition monitoring.
    """
    detected = 1 - curve.false_accepts  # rises with the share of known clips refused
    behind = int(np.searchsorted(curve.false_rejects, MOST_FALSE_ALARMS, side="right"))
    last = np.interp(MOST_FALSE_ALARMS, curve.false_rejects[behind - 1 : behind + 1], detected[behind - 1 : behind + 1])
    heights, places = np.append(detected[:behind], last), np.append(curve.false_rejects[:behind], MOST_FALSE_ALARMS)
    area = np.sum((heights[:-1] + heights[1:]) / 2 * np.diff(places))
    by_chance = MOST_FALSE_ALARMS**2 / 2
    return float((1 + (area - by_chance) / (MOST_FALSE_ALARMS - by_chance)) / 2)


def equal_error_rate(curve: DetectionCurve) -> float:
    """Return the rate at which both mistakes are equally frequent, between two thresholds by a straight line."""
    gap = curve.false_rejects - curve.false_accepts  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    before_rate, after_rate = curve.false_rejects[after - 1], curve.false_rejects[after]
    return float(before_rate + share * (after_rate - before_rate))


def least_cost(curve: DetectionCurve, *, target_prior: float = TARGET_PRIOR) -> float:
    """Return minDCF: the cost of mistakes at the best threshold, where 1 is that of accepting or rejecting everything.

    The share `target_prior` of claims, half at most, is taken to be true.

    Source: NIST, "The 2010 NIST Speaker Recognition Evaluation Plan", and that of 2012 for both shares.
    """
    costs = target_prior * curve.false_rejects + (1 - target_prior) * curve.false_accepts
    return float(costs.min() / target_prior)


def verification_trials(label_ids: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Let every clip claim every label, as in speaker verification.

    Args:
        label_ids: int, shape (n,), the true labels; -1 for a clip of none of them.
        scores: shape (n, labels), of which those of true claims and those of false claims are returned.
    """
    is_true = np.asarray(label_ids)[:, None] == np.arange(scores.shape[1])
    return scores[is_true], scores[~is_true]


def open_set_scores(
    known: Sequence[ScoredRecording], unknown: Sequence[ScoredRecording], *, seed: int, not_computed: dict[str, str]
) -> dict[str, Any]:
    """Return `open_set` of an evaluation, as `evaluate` documents it: known against unknown recordings, and chunks.

    Either kind of recording may be missing; `not_computed` gets the reason for each number that cannot be computed.
    """
    open_set = [*known, *unknown][0].open_set
    if open_set is None:
        not_computed["open_set.false_reject_rate"] = "the classifier has no threshold for unknown clips"
    if not unknown:
        not_computed["open_set.auroc"] = (
            "no recording is of an unknown label; give some by --negatives, or in a folder named _unknown_"
        )
    if not known:
        not_computed["open_set.auroc"] = "no recording is of a label that the classifier knows"
    return {
        "score": "likelihood ratio" if open_set else "log probability",
        **_stated(open_set),
        **_open_set_level(known, unknown, seed, by_chunk=False),
        "chunk": _open_set_level(known, unknown, seed, by_chunk=True),
    }


def _stated(open_set: OpenSetDetector | None) -> dict[str, float | None]:
    """Return the rate that the threshold was fitted for, of one kind of mistake or of the other."""
    if open_set and open_set.stated_false_reject_rate is not None:
        return {"stated_rate": None, "stated_false_reject_rate": open_set.stated_false_reject_rate}
    return {"stated_rate": open_set.stated_rate if open_set else None}


def open_set_score(recording: ScoredRecording) -> float:
    """Return the score of a recording as a whole, which its open-set detector compares with a threshold."""
    (clips,) = _clips_by_open_set([recording], by_chunk=False)
    return float(clips.scores()[0])


def verification_scores(
    known: Sequence[ScoredRecording],
    unknown: Sequence[ScoredRecording],
    label_ids: Mapping[str, int],
    *,
    not_computed: dict[str, str],
) -> dict[str, Any]:
    """Return `verification` of an evaluation, as `evaluate` documents it; unknown clips make false claims only.

    `label_ids` are the columns of the logits; `not_computed` gets the reason for each number that cannot be computed.
    """
    recordings = [*known, *unknown]
    result = {}
    for level in ("recording", "chunk"):
        counts = [len(one.logits) if level == "chunk" else 1 for one in recordings]
        true = np.repeat([label_ids.get(one.label, -1) for one in recordings], counts)
        clips = _clips_by_open_set(recordings, by_chunk=level == "chunk")
        targets, others = verification_trials(true, np.concatenate([one.claims() for one in clips]))
        if len(others) > MOST_FALSE_CLAIMS:
            others = np.random.default_rng(0).choice(others, MOST_FALSE_CLAIMS, replace=False)
        curve = detection_curve(targets, others)
        result[level] = _curve_scores(curve, n_target=len(targets), n_nontarget=len(others))
    if result["recording"]["auroc"] is None:
        not_computed["verification.auroc"] = "claims need a recording of a known label, and a second label"
    return {**result["recording"], "chunk": result["chunk"]}


@dataclass(frozen=True)
class _Clips:
    """Chunks, or recordings as a whole, that belong to one open-set detector, or to none."""

    open_set: OpenSetDetector | None
    evidence: np.ndarray  # float64, shape (clips, labels): what the detector makes of logits, or logits
    chunk_counts: np.ndarray  # float64, shape (clips,), how many chunks each counts as

    def scores(self) -> np.ndarray:
        """Score each clip as known: by likelihood ratio, or without a detector by the answer's log probability."""
        best: np.ndarray = (self.claims() if self.open_set else log_softmax(self.evidence)).max(axis=1)
        return best

    def claims(self) -> np.ndarray:
        """Score each clip's claim of each label, shape (clips, labels)."""
        if self.open_set:
            return self.open_set.claims(self.evidence, self.chunk_counts)
        return _log_odds(self.evidence)


def _clips_by_open_set(recordings: Sequence[ScoredRecording], *, by_chunk: bool) -> Iterator[_Clips]:
    """Yield the recordings' chunks, or their means, in order; neighbours with the same detector together."""
    for _, of_one in groupby(recordings, key=lambda one: id(one.open_set)):
        group = list(of_one)
        open_set = group[0].open_set
        chunks = [one.evidence for one in group]
        if by_chunk:
            rows = np.concatenate(chunks)
            yield _Clips(open_set, rows, np.ones(len(rows)))
        else:
            means = [np.average(rows, axis=0, weights=one.weights) for one, rows in zip(group, chunks, strict=True)]
            yield _Clips(open_set, np.stack(means), np.array([one.weights.sum() for one in group]))


@dataclass(frozen=True)
class _Detected:
    """Known or unknown clips: score and group of each, and which are accepted, empty without a threshold."""

    scores: np.ndarray
    owners: np.ndarray
    accepted: np.ndarray
    groups: int

    @classmethod
    def of(cls, recordings: Sequence[ScoredRecording], *, by_chunk: bool) -> "_Detected":
        if not recordings:
            return cls(np.empty(0), np.empty(0, int), np.empty(0, bool), 0)
        counts = [len(one.logits) if by_chunk else 1 for one in recordings]
        groups = group_ids(recordings)
        owners, group_count = np.repeat(groups, counts), int(groups.max()) + 1
        scores = np.concatenate([clips.scores() for clips in _clips_by_open_set(recordings, by_chunk=by_chunk)])
        if recordings[0].open_set is None:
            return cls(scores, owners, np.empty(0, bool), group_count)
        thresholds = [
            one.open_set.threshold(1 if by_chunk else one.weights.sum()) for one in recordings if one.open_set
        ]
        return cls(scores, owners, scores >= np.repeat(thresholds, counts), group_count)

    def draws(self, seed: int) -> np.ndarray:
        return group_weights(np.zeros(self.groups, int), seed=seed)

    def rate(self, wrong: np.ndarray, draws: np.ndarray, name: str) -> dict[str, Any]:
        """Return the share of clips that are `wrong`, and its interval by group."""
        if not len(wrong):
            return {name: None, f"{name}_ci95": None}
        share = float(wrong.mean())
        sums = np.bincount(self.owners, wrong, self.groups), np.bincount(self.owners, minlength=self.groups)
        drawn = share_interval(share, draws @ sums[0] / (draws @ sums[1]), rows=len(wrong), groups=self.groups)
        return {name: share, f"{name}_ci95": json_interval(drawn, groups=self.groups)}


def _open_set_level(
    known_recordings: Sequence[ScoredRecording],
    unknown_recordings: Sequence[ScoredRecording],
    seed: int,
    *,
    by_chunk: bool,
) -> dict[str, Any]:
    """Return how well known and unknown clips are told apart; at either level intervals are by group."""
    known, unknown = (_Detected.of(each, by_chunk=by_chunk) for each in (known_recordings, unknown_recordings))
    known_draws, unknown_draws = known.draws(seed), unknown.draws(seed)
    ranked = RankedScores(known.scores, unknown.scores)
    result = _curve_scores(ranked.curve(), n_known=len(known.scores), n_unknown=len(unknown.scores))
    resampled = [
        ranked.curve(known_draw[known.owners], unknown_draw[unknown.owners])
        for known_draw, unknown_draw in zip(known_draws[:CURVE_RESAMPLES], unknown_draws[:CURVE_RESAMPLES], strict=True)
    ]
    rows = min(len(known.scores), len(unknown.scores))
    groups = min(known.groups, unknown.groups)
    for name, score in (("auroc", auroc), ("eer", equal_error_rate)):
        values = np.array([score(curve) for curve in resampled if curve])
        drawn = share_interval(result[name], values, rows=rows, groups=groups)
        result[f"{name}_ci95"] = json_interval(drawn, groups=groups)
    return {
        **result,
        **unknown.rate(unknown.accepted, unknown_draws, "false_accept_rate"),
        **known.rate(~known.accepted, known_draws, "false_reject_rate"),
    }


def _log_odds(logits: np.ndarray) -> np.ndarray:
    log_probabilities = log_softmax(logits).clip(max=-1e-12)
    log_odds: np.ndarray = log_probabilities - np.log(-np.expm1(log_probabilities))
    return log_odds


def _curve_scores(curve: DetectionCurve | None, **sizes: int) -> dict[str, Any]:
    if curve is None:
        return {
            "auroc": None,
            "pauc": None,
            "eer": None,
            "min_dcf": None,
            "p_target": TARGET_PRIOR,
            **sizes,
            "det": None,
        }
    return {
        "auroc": auroc(curve),
        "pauc": partial_auroc(curve),
        "eer": equal_error_rate(curve),
        "min_dcf": least_cost(curve),
        "p_target": TARGET_PRIOR,
        **sizes,
        "det": curve_points(curve),
    }


def curve_points(curve: DetectionCurve) -> dict[str, list[float]]:
    """Return points of a curve for a plot: those nearest to an even spread over both rates; without infinity."""
    thresholds = np.minimum(curve.thresholds, np.nextafter(curve.thresholds[-2], np.inf))
    progress = curve.false_rejects - curve.false_accepts  # rises from -1 to 1
    wanted = np.searchsorted(progress, np.linspace(-1, 1, CURVE_POINTS)).clip(max=len(progress) - 1)
    rows = np.unique(np.concatenate([[0], wanted, [len(progress) - 1]]))
    fields = {"thresholds": thresholds, "false_accepts": curve.false_accepts, "false_rejects": curve.false_rejects}
    return {name: np.round(values[rows], 6).tolist() for name, values in fields.items()}


def _has_any(scores: np.ndarray, weights: np.ndarray | None) -> bool:
    return len(scores) > 0 and (weights is None or bool(np.sum(weights) > 0))
