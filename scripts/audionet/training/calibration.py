"""Calibration: the temperature under which probabilities are those of being right."""

import numpy as np

from audionet.models.pooling import log_softmax


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
