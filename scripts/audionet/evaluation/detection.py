"""Detection: known or unknown, same or other, at every threshold."""

from dataclasses import dataclass

import numpy as np

from audionet.evaluation.metrics import (
    _has_any,
    check_scores,
)

# NIST's costs for speaker recognition since 2010: impostors are common, and either mistake costs 1.
TARGET_PRIOR = 0.01


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
