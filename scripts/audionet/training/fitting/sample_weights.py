"""How much each sample counts in training: a picture as much as all of its views together, labels all alike."""

from collections.abc import Mapping, Sequence

import numpy as np

from audionet.training.settings import parse_label_weights


def picture_weights(views: np.ndarray) -> np.ndarray:
    """Return the weights by which pictures as they are count as much as all augmented views together: float64, (n,).

    `views` is int, shape (n,), 0 for a picture as it is, else the number of the view.
    """
    is_view = np.asarray(views) > 0
    return np.where(is_view, 1.0, max(1.0, is_view.sum() / max(1, (~is_view).sum())))


def balanced_weights(weights: np.ndarray, label_ids: np.ndarray) -> np.ndarray:
    """Scale weights so that the samples of every label together count as much as those of any other.

    Weights are above 0, shape (n,), as are the int label ids; the result is float64, shape (n,), with a sum of n.
    """
    labels, label_ids = np.unique(label_ids, return_inverse=True)
    of_labels = np.bincount(label_ids, weights, len(labels))
    return weights * (len(weights) / max(1, len(labels)) / of_labels)[label_ids]


def label_shares(text: str, labels: Sequence[str], label_ids: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """Return how much each label counts, float64, shape (labels,), with a sum of 1; None where all count alike.

    Args:
        text: as `--label_weights` has it.
        labels: their names, in the order of the ids.
        label_ids: int, shape (n,), each in 0..labels - 1.
        weights: of the samples, float, shape (n,), before labels are weighed.
    """
    if text == "balanced":
        return None
    given: Mapping[str, float] = parse_label_weights(text)
    if given:
        counts = np.array([given.get(label, 1.0) for label in labels])
    else:
        counts = np.bincount(label_ids, weights, len(labels))
    return np.asarray(counts / counts.sum())


def weighed(weights: np.ndarray, label_ids: np.ndarray, shares: np.ndarray | None) -> np.ndarray:
    """Scale weights so that each label's samples together have its share of them, or all alike: float64, sum n."""
    balanced = balanced_weights(weights, label_ids)
    return balanced if shares is None else balanced * (shares * len(shares))[label_ids]


def evened_out(label_ids: np.ndarray, views: np.ndarray) -> np.ndarray:
    """Return weights with a sum of 1 by which labels count alike, and pictures as much as all of their views together.

    Both are int, shape (n,), as the result is float64; `views` is 0 for a picture as it is.
    """
    is_view = views > 0
    kinds = [kind for kind in (~is_view, is_view) if kind.any()]
    weights = np.zeros(len(views))
    for kind in kinds:
        labels, places, counts = np.unique(label_ids[kind], return_inverse=True, return_counts=True)
        weights[kind] = 1 / (len(kinds) * len(labels) * counts[places])
    return weights
