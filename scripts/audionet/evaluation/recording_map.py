"""A map of recordings by what they are taken for.

Labels stand on a circle, those that are taken for each other side by side, and draw each recording towards themselves
by how likely they are: a sure one lies at its label, a doubtful one in between.

Source: P. Hoffman et al., DNA visual and analytic data mining (RadViz), IEEE Visualization 1997.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from audionet.evaluation.scored_recording import ScoredRecording
from audionet.models.pooling import log_softmax

FEWEST_LABELS = 3  # two make a line
MOST_LABELS = 30  # more names than fit round a circle
SPREAD_SHARES = 0.9  # of the likeliest label, in the median: else all would lie on the circle, one upon the other
TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 16.0)


def map_recordings(scored: Sequence[ScoredRecording], labels: Sequence[str]) -> dict[str, Any] | None:
    """Return `labels` in their order round the circle, from the right and counter-clockwise, and `positions`.

    The positions, (x, y) in -1..1 each, are in the order of the recordings. Logits must be finite. None for fewer
    labels than three or more than thirty.
    """
    if not FEWEST_LABELS <= len(labels) <= MOST_LABELS:
        return None
    log_probabilities = np.stack([np.average(log_softmax(one.logits), axis=0, weights=one.weights) for one in scored])
    order = _similar_side_by_side(log_probabilities)
    angles = np.empty(len(labels))
    angles[order] = 2 * np.pi * np.arange(len(labels)) / len(labels)
    positions = _spread_shares(log_probabilities) @ np.column_stack([np.cos(angles), np.sin(angles)])
    return {"labels": [labels[label_id] for label_id in order], "positions": positions.round(3).tolist()}


def _similar_side_by_side(log_probabilities: np.ndarray) -> list[int]:
    """Return label ids in an order in which those whose probabilities rise and fall together are neighbours."""
    from scipy.cluster import hierarchy  # a tenth of a second
    from scipy.spatial.distance import squareform

    centred = log_probabilities - log_probabilities.mean(axis=0)
    norms = np.maximum(np.linalg.norm(centred, axis=0), 1e-12)
    distances = np.clip(1 - (centred / norms).T @ (centred / norms), 0, 2)
    np.fill_diagonal(distances, 0)
    tree = hierarchy.linkage(squareform(distances, checks=False), "average", optimal_ordering=True)
    return [int(label_id) for label_id in hierarchy.leaves_list(tree)]


def _spread_shares(log_probabilities: np.ndarray) -> np.ndarray:
    """Return probabilities, shape (recordings, labels), made less sure until they can be told apart on a map."""
    for temperature in TEMPERATURES:
        shares: np.ndarray = np.exp(log_softmax(log_probabilities / temperature))
        if np.median(shares.max(axis=1)) <= SPREAD_SHARES:
            break
    return shares
