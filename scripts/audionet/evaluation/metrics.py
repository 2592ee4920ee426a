"""Arrays in, numbers out: how good answers are, and how sure one may be of it.

    answers         accuracy, balanced_accuracy, macro_f1, label_scores, top_k_accuracy, log_loss, confusion
    confidence      reliability, calibration_error
    detection       detection_curve, auroc, equal_error_rate, least_cost, verification_trials
    intervals       RecordingSums, recording_weights, interval
    comparison      mcnemar, paired_differences

The chunks of a recording resemble each other, so that their number overstates how much was tested. Intervals are
therefore drawn by resampling whole recordings.

A number that cannot be computed from what there is comes back as None, never as NaN; scores that are NaN are refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audionet.errors import InputError

CONFIDENCE = 0.95
RESAMPLES = 2_000  # the ends of a 95 % interval then rest on fifty each
STRATIFY_FROM = 5  # recordings a label; resampling fewer within each label would understate how they vary
CORRELATION_WITHIN = 0.2  # of mistakes in one recording: assumed where there is no mistake to estimate it from
MOST_BINS = 15
ROWS_A_BIN = 20  # a bin of fewer is mostly chance, which would count as miscalibration
LEAST_PROBABILITY = 1e-12  # keeps one impossible answer from making the log loss infinite

# NIST's costs for speaker recognition since 2010: impostors are common, and either mistake costs 1.
TARGET_PRIOR = 0.01


def check_scores(scores: np.ndarray, *, name: str = "scores") -> None:
    """Refuse scores that are not numbers.

    Raises:
        InputError: a score is NaN.
    """
    bad = np.isnan(scores).any(axis=tuple(range(1, np.ndim(scores))))
    if bad.any():
        raise InputError(
            f"{name}: expected numbers, but {int(bad.sum())} of {len(bad)} rows hold NaN, the first of them row "
            f"{int(bad.argmax())}. The classifier is damaged or was trained on damaged bottlenecks; train it again."
        )


# Answers


def accuracy(numbers: np.ndarray, answers: np.ndarray) -> float:
    """Return the share of answers that are right.

    Args:
        numbers: int, shape (n,), the true labels.
        answers: int, shape (n,).
    """
    return float(np.mean(np.asarray(numbers) == np.asarray(answers)))


def balanced_accuracy(numbers: np.ndarray, answers: np.ndarray) -> float:
    """Return the mean over true labels of the share of answers that are right, so that no label counts more."""
    numbers = np.asarray(numbers)
    right = numbers == np.asarray(answers)
    return float(np.mean([right[numbers == number].mean() for number in np.unique(numbers)]))


def macro_f1(numbers: np.ndarray, answers: np.ndarray) -> float:
    """Return the mean over labels, those that are true or answered at least once, of their F1 score."""
    count = int(max(np.max(numbers), np.max(answers))) + 1
    return float(np.nanmean(label_scores(numbers, answers, count).f1))


@dataclass(frozen=True)
class LabelScores:
    """Scores of each label; a number that has nothing to rest on is NaN.

    Attributes:
        precision: share of the answers with this label that are right; NaN if it was never answered.
        recall: share of the examples of this label that are answered right; NaN if there are none.
        f1: their harmonic mean; NaN if the label is neither true nor answered.
        support: int, how many examples there are.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray


def label_scores(numbers: np.ndarray, answers: np.ndarray, label_count: int) -> LabelScores:
    """Return precision, recall, F1 and support of each label, each of shape (labels,)."""
    numbers, answers = np.asarray(numbers), np.asarray(answers)
    right = np.bincount(numbers[numbers == answers], minlength=label_count)
    support = np.bincount(numbers, minlength=label_count)
    answered = np.bincount(answers, minlength=label_count)
    return LabelScores(
        precision=_share(right, answered),
        recall=_share(right, support),
        f1=_share(2 * right, support + answered),
        support=support,
    )


def top_k_accuracy(numbers: np.ndarray, scores: np.ndarray, *, k: int) -> float:
    """Return the share of examples whose true label is among the `k` with the highest scores.

    Args:
        numbers: int, shape (n,).
        scores: shape (n, labels).
        k: how many guesses there are.
    """
    return float(np.mean(_is_in_top(numbers, scores, k)))


def log_loss(numbers: np.ndarray, log_probabilities: np.ndarray) -> float:
    """Return the mean of minus the logarithm of the true label's probability.

    Args:
        numbers: int, shape (n,).
        log_probabilities: shape (n, labels).
    """
    return float(np.mean(_losses(numbers, log_probabilities)))


def confusion(numbers: np.ndarray, answers: np.ndarray, label_count: int) -> np.ndarray:
    """Return int64 counts, shape (labels, labels): true label by row, answer by column."""
    counts = np.zeros((label_count, label_count), np.int64)
    np.add.at(counts, (numbers, answers), 1)
    return counts


def rows_by_group(groups: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the row numbers of each group, groups in order of first appearance."""
    rows: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    return {group: np.array(numbers) for group, numbers in rows.items()}


# Confidence


@dataclass(frozen=True)
class Bin:
    """Answers of about the same confidence.

    Attributes:
        low: the least confidence among them.
        high: the greatest.
        confidence: their mean probability.
        accuracy: the share of them that is right; the same as `confidence` if the classifier is calibrated.
        n: how many there are.
    """

    low: float
    high: float
    confidence: float
    accuracy: float
    n: int


def reliability(confidences: np.ndarray, right: np.ndarray, *, bins: int | None = None) -> list[Bin]:
    """Sort answers by their confidence and cut them into bins of equally many, for a reliability diagram.

    Bins of equal width would leave all but one nearly empty, since most answers are confident.

    Args:
        confidences: shape (n,), the probability of each answer.
        right: bool, shape (n,), whether it is right.
        bins: how many; by default up to 15, so that each holds 20 answers or more.
    """
    count = bins or min(MOST_BINS, max(1, len(confidences) // ROWS_A_BIN))
    order = np.argsort(confidences, kind="stable")
    return [
        Bin(
            low=float(confidences[rows[0]]),
            high=float(confidences[rows[-1]]),
            confidence=float(np.mean(confidences[rows], dtype=np.float64)),
            accuracy=float(np.mean(np.asarray(right)[rows])),
            n=len(rows),
        )
        for rows in np.array_split(order, count)
        if len(rows)
    ]


def calibration_error(table: Sequence[Bin]) -> float | None:
    """Return the expected calibration error: the mean distance of confidence from accuracy, by bin.

    Args:
        table: what `reliability` returned; None comes back for an empty one.

    Source: M. Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015, with bins of
    equal mass as in K. Nguyen and B. O'Connor, EMNLP 2015.
    """
    total = sum(row.n for row in table)
    return sum(row.n * abs(row.confidence - row.accuracy) for row in table) / total if total else None


# Detection


@dataclass(frozen=True)
class DetectionCurve:
    """What each threshold would accept. A clip is accepted when its score is at or above the threshold.

    Attributes:
        thresholds: ascending, shape (n,): every score there is, and infinity.
        false_accepts: the share of unknown clips accepted, falling from 1 to 0.
        false_rejects: the share of known clips rejected, rising from 0 to 1.
    """

    thresholds: np.ndarray
    false_accepts: np.ndarray
    false_rejects: np.ndarray


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
    known, unknown = np.asarray(known, np.float64), np.asarray(unknown, np.float64)
    check_scores(known, name="known scores")
    check_scores(unknown, name="unknown scores")
    if not (_has_any(known, known_weights) and _has_any(unknown, unknown_weights)):
        return None
    thresholds, places = np.unique(np.concatenate([known, unknown]), return_inverse=True)
    rejected = [
        np.concatenate([[0], np.bincount(where, weights, len(thresholds)).cumsum()])
        for where, weights in ((places[: len(known)], known_weights), (places[len(known) :], unknown_weights))
    ]
    return DetectionCurve(
        thresholds=np.append(thresholds, np.inf),
        false_accepts=1 - rejected[1] / rejected[1][-1],
        false_rejects=rejected[0] / rejected[0][-1],
    )


def auroc(curve: DetectionCurve) -> float:
    """Return the probability that a known clip scores above an unknown one, where a tie counts half."""
    accepts = 1 - curve.false_rejects
    return float(np.sum((accepts[:-1] + accepts[1:]) / 2 * -np.diff(curve.false_accepts)))


def equal_error_rate(curve: DetectionCurve) -> float:
    """Return the rate at which both mistakes are equally frequent, between two thresholds by a straight line."""
    gap = curve.false_rejects - curve.false_accepts  # rises from -1 to 1
    after = int(np.argmax(gap >= 0))
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    before_rate, after_rate = curve.false_rejects[after - 1], curve.false_rejects[after]
    return float(before_rate + share * (after_rate - before_rate))


def least_cost(
    curve: DetectionCurve, *, target_prior: float = TARGET_PRIOR, miss_cost: float = 1, false_accept_cost: float = 1
) -> float:
    """Return minDCF: the cost of mistakes at the best threshold, where 1 is that of not listening at all.

    Args:
        curve: the rates of mistakes.
        target_prior: how many of all clips are known.
        miss_cost: of rejecting a known clip.
        false_accept_cost: of accepting an unknown one.

    Source: NIST, "The 2010 NIST Speaker Recognition Evaluation Plan".
    """
    miss, false_accept = miss_cost * target_prior, false_accept_cost * (1 - target_prior)
    costs = miss * curve.false_rejects + false_accept * curve.false_accepts
    return float(costs.min() / min(miss, false_accept))


def verification_trials(numbers: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Let every clip claim every label, as in speaker verification.

    Args:
        numbers: int, shape (n,), the true labels; -1 for a clip of none of them.
        scores: shape (n, labels).

    Returns:
        The scores of true claims and those of false claims.
    """
    numbers = np.asarray(numbers)
    is_true = numbers[:, None] == np.arange(scores.shape[1])
    return scores[is_true], scores[~is_true]


# Intervals


class RecordingSums:
    """Sums over the rows of each recording, from which the scores of any resample of recordings follow.

    Args:
        numbers: int, shape (n,), the true labels.
        log_probabilities: shape (n, labels).
        recordings: int, shape (n,), the recording of each row, 0 to recordings - 1.

    Raises:
        InputError: a score is NaN.
    """

    def __init__(self, numbers: np.ndarray, log_probabilities: np.ndarray, recordings: np.ndarray):
        check_scores(log_probabilities, name="log probabilities")
        self._numbers = np.asarray(numbers)
        self._log_probabilities = log_probabilities
        self._recordings = recordings
        self.count = int(recordings.max()) + 1 if len(recordings) else 0
        answers = log_probabilities.argmax(axis=1)
        right = self._numbers == answers
        self.rows = self._sum(np.ones(len(right)))
        self.right = self._sum(right)
        self.labels = np.zeros(self.count, np.int64)
        self.labels[recordings] = self._numbers
        label_count = log_probabilities.shape[1]
        self._true = self._by_label(self._numbers, np.ones(len(right)), label_count)
        self._answered = self._by_label(answers, np.ones(len(right)), label_count)
        self._both = self._by_label(answers, right, label_count)

    def accuracy(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the accuracy of each resample.

        Args:
            weights: shape (resamples, recordings), how often each recording was drawn; by default each once.

        Returns:
            shape (resamples,).
        """
        weights = self._weights(weights)
        return weights @ self.right / (weights @ self.rows)

    def balanced_accuracy(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the mean recall of each resample's labels; `weights` as for `accuracy`."""
        weights = self._weights(weights)
        return np.nanmean(_share(weights @ self._both, weights @ self._true), axis=1)

    def macro_f1(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the mean F1 score of each resample's labels; `weights` as for `accuracy`."""
        weights = self._weights(weights)
        return np.nanmean(_share(2 * (weights @ self._both), weights @ self._true + weights @ self._answered), axis=1)

    def log_loss(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the log loss of each resample; `weights` as for `accuracy`."""
        return self._mean(_losses(self._numbers, self._log_probabilities), weights)

    def top_k_accuracy(self, k: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the top-k accuracy of each resample; `weights` as for `accuracy`."""
        return self._mean(_is_in_top(self._numbers, self._log_probabilities, k), weights)

    def _mean(self, values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        weights = self._weights(weights)
        return weights @ self._sum(values) / (weights @ self.rows)

    def _weights(self, weights: np.ndarray | None) -> np.ndarray:
        return np.ones((1, self.count)) if weights is None else np.asarray(weights, np.float64)

    def _sum(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self._recordings, values, self.count)

    def _by_label(self, labels: np.ndarray, values: np.ndarray, label_count: int) -> np.ndarray:
        cells = self._recordings * label_count + labels
        return np.bincount(cells, values, self.count * label_count).reshape(self.count, label_count)


def recording_weights(labels: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Draw as many recordings as there are, with replacement, again and again.

    Where every label has five recordings or more, each label's are drawn from its own, so that every resample has the
    labels in their proportions. With fewer, that would understate how scores vary, and all are drawn from all.

    Args:
        labels: int, shape (recordings,).
        resamples: how many times.
        seed: the same seed, the same draw.

    Returns:
        int64, shape (resamples, recordings): how often each recording was drawn.
    """
    rng = np.random.default_rng(seed)
    labels = np.asarray(labels)
    strata = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    if any(len(stratum) < STRATIFY_FROM for stratum in strata):
        strata = [np.arange(len(labels))]
    weights = np.zeros((resamples, len(labels)), np.int64)
    for stratum in strata:
        weights[:, stratum] = rng.multinomial(len(stratum), np.full(len(stratum), 1 / len(stratum)), size=resamples)
    return weights


def interval(values: np.ndarray) -> tuple[float, float] | None:
    """Return the middle 95 % of a score's resamples, or None where fewer than two thirds of them have the score."""
    known = values[~np.isnan(values)]
    if len(known) < 2 / 3 * len(values) or not len(known):
        return None
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def share_interval(share: float, values: np.ndarray, *, rows: int, recordings: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a share of right answers.

    When all answers are right, or all wrong, every resample is alike and would claim certainty. Then the exact binomial
    interval is given: 12 right of 12 recordings leave room for 0.735. The chunks of a recording err together, so that
    they count for less than as many recordings.

    Args:
        share: of all rows.
        values: of each resample.
        rows: how many answers there are.
        recordings: how many recordings they belong to.

    Source: C. Clopper and E. Pearson, Biometrika 26 (1934); L. Kish, "Survey Sampling" (1965), for the effect of rows
    that belong together.
    """
    drawn = interval(values)
    if drawn is None or drawn[0] < drawn[1] or 0 < share < 1:
        return drawn
    independent_rows = rows / (1 + (rows / recordings - 1) * CORRELATION_WITHIN)
    room = 1 - ((1 - CONFIDENCE) / 2) ** (1 / independent_rows)
    return (1 - room, 1.0) if share == 1 else (0.0, room)


# Comparison


def mcnemar(right_a: np.ndarray, right_b: np.ndarray) -> tuple[int, int, float]:
    """Compare two classifiers on the same recordings by those that only one of them gets right.

    Args:
        right_a: bool, shape (n,), whether A is right.
        right_b: likewise.

    Returns:
        How many only A gets right, how many only B does, and the probability that chance would divide them as
        unevenly, by the exact test.

    Source: Q. McNemar, Psychometrika 12 (1947).
    """
    from scipy.stats import binomtest  # half a second, which only evaluation should take

    right_a, right_b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    p_value = float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    return only_a, only_b, p_value


def paired_differences(
    right_a: np.ndarray, right_b: np.ndarray, rows_a: np.ndarray, rows_b: np.ndarray, *, weights: np.ndarray
) -> np.ndarray:
    """Return B's accuracy minus A's in each resample of the recordings that both were tested on.

    Args:
        right_a: shape (recordings,), how many rows of each A gets right.
        right_b: likewise.
        rows_a: shape (recordings,), how many rows A was asked about.
        rows_b: likewise.
        weights: what `recording_weights` drew.
    """
    return weights @ right_b / (weights @ rows_b) - weights @ right_a / (weights @ rows_a)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide, with NaN where there is nothing to divide by."""
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)


def _losses(numbers: np.ndarray, log_probabilities: np.ndarray) -> np.ndarray:
    true = log_probabilities[np.arange(len(numbers)), numbers]
    return -np.maximum(true, np.log(LEAST_PROBABILITY)).astype(np.float64)


def _is_in_top(numbers: np.ndarray, scores: np.ndarray, k: int) -> np.ndarray:
    """Tell where fewer than `k` labels beat the true one; labels before it win ties, as they do for argmax."""
    numbers = np.asarray(numbers)
    true = scores[np.arange(len(numbers)), numbers][:, None]
    before = np.arange(scores.shape[1]) < numbers[:, None]
    return ((scores > true) | ((scores == true) & before)).sum(axis=1) < k


def _has_any(scores: np.ndarray, weights: np.ndarray | None) -> bool:
    return len(scores) > 0 and (weights is None or bool(np.sum(weights) > 0))
