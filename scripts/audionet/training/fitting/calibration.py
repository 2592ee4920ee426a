"""Calibration and fusion: the temperature of a head's logits, and how much each of several heads counts in their sum.

Source: N. Brümmer et al., "Fusion of Heterogeneous Speaker Recognition Systems in the STBU Submission", IEEE TASLP
2007, for late fusion by weights that are fitted on other clips than the heads were trained on.
"""

from collections.abc import Sequence

import numpy as np

from audionet.models.pooling import log_softmax
from audionet.training.fitting.openset_fitting import ScoredClips

SHARES = (0.5, 1.0, 2.0)  # of a member's weight: those that it may be taken in at, and be brought to later


def best_temperature(logits: np.ndarray, label_ids: np.ndarray) -> float:
    """Return the divisor of logits, shape (n, labels), under which the true labels, int, shape (n,), are likeliest.

    Answers that are all right would ask for endless confidence. The true labels are therefore taken to be wrong once in
    n + 2 times, which is what n right answers out of n leave room for. The examples must not have been trained on.

    Source: C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017; the room for error is that of
    J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    """
    from scipy.optimize import minimize_scalar  # a fifth of a second, which only training should take

    count, labels = logits.shape
    targets = np.full((count, labels), 1 / (count + 2) / (labels - 1))
    targets[np.arange(count), label_ids] = (count + 1) / (count + 2)

    def loss(log_temperature: float) -> float:
        return float(-(targets * log_softmax(logits / np.exp(log_temperature))).sum(axis=1).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(50)), method="bounded").x))


def spread(logits: np.ndarray) -> float:
    """Return by how much the logits of a chunk, shape (n, labels), differ from their mean: a standard deviation."""
    return max(float((logits - logits.mean(axis=1, keepdims=True)).std()), 1e-6)


def even_weights(members: Sequence[ScoredClips]) -> np.ndarray:
    """Return the weights under which the logits of all heads have the same spread: float64, shape (members,)."""
    return np.array([1 / spread(clips.logits) for clips in members])


def fused(members: Sequence[ScoredClips], weights: np.ndarray) -> ScoredClips:
    """Return the same clips with the sum of several heads' logits; a head of weight 0 takes no part."""
    logits = sum(weight * clips.logits for clips, weight in zip(members, weights, strict=True) if weight)
    return members[0].with_logits(np.asarray(logits, np.float32))


def fusion_weights(members: Sequence[ScoredClips]) -> np.ndarray:
    """Return how much the logits of each head count in their sum: float64, shape (members,), 0 or more.

    Logits are over their spread, so that none speaks louder than another by nature. The first head is there; of the
    others the one that helps most, at half, the same or double weight, is taken in, and again, as long as the log loss
    becomes less by more than a standard error over recordings. In the end each weight is halved or doubled by the same
    rule. Half is tried at once, and not only where the same weight helps: a head that knows less than the first would
    be left out then, or let in at too much, by chance.

    Args:
        members: the same clips as each head scores them, of the labels, by heads that were not trained on their folds.
    """
    even = even_weights(members)
    numbers = np.arange(len(members))
    weights: np.ndarray = even * (numbers == 0)
    losses = recording_losses(fused(members, weights))
    while left := np.flatnonzero(weights == 0).tolist():
        tried = [weights + share * even * (numbers == number) for number in left for share in SHARES]
        outcomes = [recording_losses(fused(members, one)) for one in tried]
        best = int(np.argmin([one.sum() for one in outcomes]))
        if not is_surely_less(outcomes[best], losses):
            break
        weights, losses = tried[best], outcomes[best]
    return _tuned(members, weights, losses) if np.count_nonzero(weights) > 1 else weights


def _tuned(members: Sequence[ScoredClips], weights: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Return the weights with half or double of one where that is surely better."""
    for number in np.flatnonzero(weights):
        for share in SHARES:
            tried = np.where(np.arange(len(weights)) == number, weights * share, weights)
            outcome = recording_losses(fused(members, tried))
            if is_surely_less(outcome, losses):
                weights, losses = tried, outcome
    return weights


def is_surely_less(losses: np.ndarray, than: np.ndarray) -> bool:
    """Whether losses, shape (recordings,), sum up to less than others by more than a standard error."""
    gains = than - losses
    return bool(gains.sum() > np.sqrt(np.square(gains).sum()))


def recording_losses(clips: ScoredClips) -> np.ndarray:
    """Return what each recording adds to the log loss at the best temperature, float64, shape (recordings,).

    Labels count alike, and clips as they are as much as all of their augmented views together.
    """
    log_probabilities = log_softmax(clips.logits / best_temperature(clips.logits, clips.label_ids))
    losses = -log_probabilities[np.arange(len(clips.label_ids)), clips.label_ids]
    _, recordings = np.unique(clips.recording_ids, return_inverse=True)
    return np.bincount(recordings, clips.balanced_weights() * losses)


def scores_in_short(clips: ScoredClips) -> dict[str, float]:
    """Return as JSON the share of chunks that are answered right, views included, and the log loss; see above."""
    right = clips.logits.argmax(axis=1) == clips.label_ids
    return {
        "accuracy": float(clips.balanced_weights() @ right),
        "log_loss": float(recording_losses(clips).sum()),
    }
