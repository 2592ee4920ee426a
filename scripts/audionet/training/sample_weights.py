"""How much each sample counts in training: a picture as much as all of its views together, labels all alike."""

import numpy as np


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
