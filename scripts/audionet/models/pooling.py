"""Pooling: the answers for a recording's chunks become one answer."""

from collections.abc import Sequence

import numpy as np

LEAST_WEIGHT = 1e-6  # of a chunk that is 60 dB below the loud ones


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return the logarithm of the softmax over the last axis, same shape."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def pool(log_probabilities: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Turn the answers for a recording's chunks into one answer: their geometric mean, made to sum to 1.

    From log probabilities, shape (chunks, labels), and how much each chunk counts, float, shape (chunks,), by default
    all alike, this makes probabilities, float64, shape (labels,).
    """
    mean = np.average(np.asarray(log_probabilities, np.float64), axis=0, weights=weights)
    return np.asarray(np.exp(log_softmax(mean)))


def loudness_weights(levels_dbfs: Sequence[float]) -> np.ndarray:
    """Return how much each chunk counts, by its power, up to that of the loud chunks: float64, above 0 and at most 1.

    A picture shows a gap as brightly as a voice, and a head that has never met a gap takes it for somebody. What is
    loud is told by the mean of the powers, each weighed by itself, so that any share of the recording may be a gap. Of
    at least one level, at least one counts 1.
    """
    levels = np.asarray(levels_dbfs, np.float64)
    powers = 10 ** ((levels - levels.max()) / 10)
    loud = np.square(powers).sum() / powers.sum()
    return np.asarray(np.clip(powers / loud, LEAST_WEIGHT, 1))
