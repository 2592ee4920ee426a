"""Confidence intervals that take the chunks of a recording, and the recordings of a group, together."""

from collections.abc import Mapping

import numpy as np

from audionet.evaluation.metrics import check_scores, divide, losses
from audionet.wording import counted

CONFIDENCE = 0.95
RESAMPLES = 2_000  # the ends of a 95 % interval then rest on fifty each
STRATIFY_FROM = 5  # groups a label; resampling fewer within each label would understate how they vary
CORRELATION_WITHIN = 0.2  # of mistakes in one group: assumed where there is no mistake to estimate it from


class GroupSums:
    """Sums over the rows of each group, from which the scores of any resample of groups follow.

    A group is a recording, or several that were kept together, such as those of a session.

    Args:
        label_ids: int, shape (n,), the true labels.
        log_probabilities: shape (n, labels).
        groups: int, shape (n,), the group of each row, 0 to groups - 1.

    Raises:
        InputError: a score is NaN.
    """

    def __init__(self, label_ids: np.ndarray, log_probabilities: np.ndarray, groups: np.ndarray):
        check_scores(log_probabilities, name="log probabilities")
        self._label_ids = np.asarray(label_ids)
        self.row_count = len(self._label_ids)
        self._log_probabilities = log_probabilities
        self._groups = groups
        self.count = int(groups.max()) + 1 if len(groups) else 0
        answers = log_probabilities.argmax(axis=1)
        right = self._label_ids == answers
        self._right = right
        self._rows = self._sum(np.ones(len(right)))
        label_count = log_probabilities.shape[1]
        self._true = self._by_label(self._label_ids, np.ones(len(right)), label_count)
        self._answered = self._by_label(answers, np.ones(len(right)), label_count)
        self._both = self._by_label(answers, right, label_count)

    def accuracy(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the accuracy of each resample.

        Args:
            weights: shape (resamples, groups), how often each group was drawn; by default each once.

        Returns:
            shape (resamples,).
        """
        return self._mean(self._right, weights)

    def share(self, is_counted: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the share of each resample's rows that are counted, bool, shape (n,); `weights` as for `accuracy`."""
        return self._mean(is_counted, weights)

    def balanced_accuracy(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the mean recall of each resample's labels; `weights` as for `accuracy`."""
        weights = self._weights(weights)
        recalls = divide(weights @ self._both, weights @ self._true)
        return np.asarray(np.nanmean(recalls, axis=1))

    def macro_f1(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the mean F1 score of each resample's labels; `weights` as for `accuracy`."""
        weights = self._weights(weights)
        f1s = divide(2 * (weights @ self._both), weights @ self._true + weights @ self._answered)
        return np.asarray(np.nanmean(f1s, axis=1))

    def log_loss(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the log loss of each resample; `weights` as for `accuracy`."""
        return self._mean(losses(self._label_ids, self._log_probabilities), weights)

    def top_k_accuracy(self, k: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Return the top-k accuracy of each resample; `weights` as for `accuracy`."""
        return self._mean(_is_in_top(self._label_ids, self._log_probabilities, k), weights)

    def share_interval(self, share: float, values: np.ndarray) -> list[float] | None:
        """Return `share_interval` of a score of these rows, for JSON."""
        drawn = share_interval(share, values, rows=self.row_count, groups=self.count)
        return json_interval(drawn, groups=self.count)

    def _mean(self, values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        weights = self._weights(weights)
        means: np.ndarray = weights @ self._sum(values) / (weights @ self._rows)
        return means

    def _weights(self, weights: np.ndarray | None) -> np.ndarray:
        return np.ones((1, self.count)) if weights is None else np.asarray(weights, np.float64)

    def _sum(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self._groups, values, self.count)

    def _by_label(self, labels: np.ndarray, values: np.ndarray, label_count: int) -> np.ndarray:
        cells = self._groups * label_count + labels
        return np.bincount(cells, values, self.count * label_count).reshape(self.count, label_count)


def labels_of_groups(label_ids: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the label of each group, int, shape (groups,); all -1 where a group has recordings of several labels.

    Both `label_ids` and `groups`, from 0, are int, shape (recordings,).
    """
    pairs = np.unique(np.stack([groups, label_ids], axis=1), axis=0)
    count = int(groups.max()) + 1
    return pairs[:, 1] if len(pairs) == count else np.full(count, -1)


def group_weights(labels: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Draw as many groups as there are, with replacement, again and again.

    Where every label has five groups or more, each label's are drawn from its own, so that every resample has the
    labels in their proportions. With fewer, that would understate how scores vary, and all are drawn from all.

    Args:
        labels: int, shape (groups,), as `labels_of_groups` returns them.
        resamples: how many times.
        seed: the same seed, the same draw.

    Returns:
        int64, shape (resamples, groups): how often each group was drawn.
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


def json_interval(interval: tuple[float, float] | None, *, groups: int) -> list[float] | None:
    """Return an interval for JSON, or None where there are fewer than two groups to draw from."""
    return list(interval) if interval and groups > 1 else None


def share_interval(share: float, values: np.ndarray, *, rows: int, groups: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a share of right answers.

    When all answers are right, or all wrong, every resample is alike and would claim certainty. Then the exact binomial
    interval is given: 12 right of 12 recordings leave room for 0.735. The rows of a group err together, so that they
    count for less than as many groups.

    Args:
        share: of all rows.
        values: of each resample.
        rows: how many answers there are.
        groups: how many groups they belong to.

    Source: C. Clopper and E. Pearson, Biometrika 26 (1934); L. Kish, "Survey Sampling" (1965), for the effect of rows
    that belong together.
    """
    drawn = interval(values)
    if drawn is None or drawn[0] < drawn[1] or 0 < share < 1:
        return drawn
    independent_rows = rows / (1 + (rows / groups - 1) * CORRELATION_WITHIN)
    room = 1 - ((1 - CONFIDENCE) / 2) ** (1 / independent_rows)
    return (1 - room, 1.0) if share == 1 else (0.0, room)


def resampled(data: Mapping[str, int]) -> str:
    """Return what the intervals of an evaluation rest on, by its `data`: `over 12 recordings`, or `over 5 groups`."""
    recordings = data["recordings"]
    groups = data.get("groups", recordings)
    return f"over {counted(recordings, 'recording') if groups == recordings else counted(groups, 'group')}"


def _is_in_top(label_ids: np.ndarray, scores: np.ndarray, k: int) -> np.ndarray:
    """Tell where fewer than `k` labels beat the true one; labels before it win ties, as they do for argmax."""
    true = scores[np.arange(len(label_ids)), label_ids][:, None]
    before = np.arange(scores.shape[1]) < label_ids[:, None]
    beating: np.ndarray = ((scores > true) | ((scores == true) & before)).sum(axis=1)
    return beating < k
