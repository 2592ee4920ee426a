"""Fit a head on one label alone: its one logit says how usual a chunk is, so that abnormal ones can be told.

How far a chunk's bottleneck lies from the mean of normal ones is measured in standard deviations: along each principal
direction in its own, and in all others, where normal chunks hardly differ, in one together, which is small. What is
odd shows there as much as along the principal ones.

Sources: P. Mahalanobis, "On the Generalised Distance in Statistics", 1936; M. Tipping and C. Bishop, "Probabilistic
Principal Component Analysis", Journal of the Royal Statistical Society B 61 (1999), for the variance of the others.
"""

import numpy as np

from audionet.models.head import Distance, Head
from audionet.training.fitting.head_trainers import TrainingSet
from audionet.training.fitting.scatter import principal_directions

NAME = "one_class"
SHRINKAGE = 0.3  # of variances, towards their mean over all directions
MOST_ROWS = 2_400  # to find directions on
MOST_DIRECTIONS = 64
SMALLEST_VARIANCE = 1e-6


def train_one_class(examples: TrainingSet) -> Head:
    """Fit a head whose one logit is minus the distance from the mean."""
    standardisation = examples.standardisation
    some = np.sort(np.random.default_rng(0).permutation(len(examples.label_ids))[:MOST_ROWS])
    counted = np.sqrt(examples.sample_weight[some] / examples.sample_weight[some].sum())
    rows = standardisation.standardised(examples.bottlenecks[some]) * counted[:, None].astype(np.float32)
    directions, variances = principal_directions(rows, MOST_DIRECTIONS)
    mean_variance = np.square(rows, dtype=np.float64).sum() / examples.dimension
    left_out = max(mean_variance - variances.sum() / examples.dimension, 0.0)
    of_others = max(SHRINKAGE * mean_variance + (1 - SHRINKAGE) * left_out, SMALLEST_VARIANCE)
    distance = Distance(
        mean=standardisation.mean,
        scale=(1 / (standardisation.scale * np.sqrt(of_others))).astype(np.float32),
        directions=directions.astype(np.float32),
        shares=(1 - of_others / (of_others + (1 - SHRINKAGE) * variances)).astype(np.float32),
    )
    return Head(np.full((1, 1), -1, np.float32), np.zeros(1, np.float32), distance)


def standardised(head: Head, *, mean: float, deviation: float) -> Head:
    """Return the head whose logit is 0 where it was `mean`, and 1 less where it was a `deviation` less."""
    scale = np.float32(1 / deviation)
    return Head(head.weights * scale, (head.biases - np.float32(mean)) * scale, head.hidden)
