"""Scores of answers and of confidences: arrays in, numbers out.

The chunks of a recording resemble each other, so that their number overstates how much was tested. Intervals are
therefore drawn by resampling whole recordings.

A number that cannot be computed from what there is comes back as None, never as NaN; scores that are NaN are refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audionet.errors import InputError

MOST_BINS = 15
ROWS_A_BIN = 20  # a bin of fewer is mostly chance, which would count as miscalibration
LEAST_PROBABILITY = 1e-12  # keeps one impossible answer from making the log loss infinite


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


def accuracy(label_ids: np.ndarray, answers: np.ndarray) -> float:
    """Return the share of answers, int, shape (n,), that are the true labels."""
    return float(np.mean(np.asarray(label_ids) == np.asarray(answers)))


def balanced_accuracy(label_ids: np.ndarray, answers: np.ndarray) -> float:
    """Return the mean over true labels of the share of answers that are right, so that no label counts more."""
    label_ids = np.asarray(label_ids)
    right = label_ids == np.asarray(answers)
    return float(np.mean([right[label_ids == label_id].mean() for label_id in np.unique(label_ids)]))


@dataclass(frozen=True)
class LabelScores:
    """Scores of each label; a number that has nothing to rest on is NaN."""

    precision: np.ndarray  # share of the answers with this label that are right; NaN if it was never answered
    recall: np.ndarray  # share of the examples of this label that are answered right; NaN if there are none
    f1: np.ndarray  # the harmonic mean of both; NaN if the label is neither true nor answered
    support: np.ndarray  # int, how many examples there are


def label_scores(label_ids: np.ndarray, answers: np.ndarray, label_count: int) -> LabelScores:
    """Return precision, recall, F1 and support of each label, each of shape (labels,)."""
    label_ids, answers = np.asarray(label_ids), np.asarray(answers)
    right = np.bincount(label_ids[label_ids == answers], minlength=label_count)
    support = np.bincount(label_ids, minlength=label_count)
    answered = np.bincount(answers, minlength=label_count)
    return LabelScores(
        precision=divide(right, answered),
        recall=divide(right, support),
        f1=divide(2 * right, support + answered),
        support=support,
    )


def log_loss(label_ids: np.ndarray, log_probabilities: np.ndarray) -> float:
    """Return the mean of minus the logarithm of the true label's probability.

    Args:
        label_ids: int, shape (n,).
        log_probabilities: shape (n, labels).
    """
    return float(np.mean(losses(label_ids, log_probabilities)))


def confusion(label_ids: np.ndarray, answers: np.ndarray, label_count: int) -> np.ndarray:
    """Return int64 counts, shape (labels, labels): true label by row, answer by column."""
    counts = np.zeros((label_count, label_count), np.int64)
    np.add.at(counts, (label_ids, answers), 1)
    return counts


def rows_by_group(groups: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the row numbers of each group, groups in order of first appearance."""
    rows: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    return {group: np.array(of_group) for group, of_group in rows.items()}


@dataclass(frozen=True)
class Bin:
    """Answers of about the same confidence."""

    low: float  # the least confidence among them
    high: float  # the greatest
    confidence: float  # their mean probability
    accuracy: float  # the share of them that is right; the same as `confidence` if the classifier is calibrated
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
    """Return the expected calibration error: the mean distance of confidence from accuracy, or None without bins.

    Source: M. Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015, with bins of
    equal mass as in K. Nguyen and B. O'Connor, EMNLP 2015.
    """
    total = sum(row.n for row in table)
    return sum(row.n * abs(row.confidence - row.accuracy) for row in table) / total if total else None


def divide(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return `part / whole`, float64 of the shape of `whole`, with NaN where there is nothing to divide by."""
    shares = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=shares, where=np.asarray(whole) > 0)
    return shares


def losses(label_ids: np.ndarray, log_probabilities: np.ndarray) -> np.ndarray:
    """Return minus the log probability of each row's true label, float64, shape (n,), none of them infinite."""
    true = log_probabilities[np.arange(len(label_ids)), label_ids]
    log_likelihoods: np.ndarray = np.maximum(true, np.log(LEAST_PROBABILITY))
    return -log_likelihoods.astype(np.float64)
