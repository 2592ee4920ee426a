"""View selection: whether augmented views that help some recordings and harm others are trained on."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from audionet.console import progress_bar
from audionet.training.fitting.calibration import even_weights, fused
from audionet.training.fitting.head_trainers import TRAINERS
from audionet.training.head_fitting import HeadFitter, Refits
from audionet.training.model_selection import inner_folds, score_out_of_fold
from audionet.training.settings import HeadSettings
from audionet.training.training_data import TrainingData


def with_useful_views(
    data: TrainingData, *, bottlenecks: Sequence[str], settings: HeadSettings, seed: int = 0
) -> TrainingData:
    """Leave the optional views out, unless heads that are trained on them as well are right more often.

    Heads of all networks, at the preferred bottleneck of each, answer together for training and validation recordings
    that they were not trained on, as they are and as all other views. `bottlenecks` are the first network's to choose
    from, the preferred one first.
    """
    without = data.without_optional_views()
    if not data.optional_views or len(data.labels) == 1:
        return without
    names = [bottlenecks[0], *(network.bottlenecks[0] for network in data.networks[1:])]
    trainer = next(iter(TRAINERS)) if settings.head == "auto" else settings.head
    fitters = [HeadFitter(name, trainer, replace(settings, l2=settings.l2 or 0.0), seed) for name in names]
    accuracies = [_accuracy(tried, fitters, data.optional_views) for tried in (without, data)]
    return data if accuracies[1] > accuracies[0] else without


def _accuracy(data: TrainingData, fitters: Sequence[HeadFitter], optional_views: Sequence[int]) -> float:
    """Return how often the sum of heads is right of recordings left out, balanced; 0 where none can be."""
    samples = [data.seen_by(number).select("training", "validation") for number in range(len(fitters))]
    folds = inner_folds(samples[0])
    if folds is None:
        return 0.0
    with progress_bar(total=len(fitters) * (int(folds.max()) + 1), description="Views", unit="heads") as bar:
        scored = [
            score_out_of_fold(Refits(fitter, of_network), folds, bar)
            for fitter, of_network in zip(fitters, samples, strict=True)
        ]
    together = fused(scored, even_weights(scored))
    judged = together.take(~np.isin(together.views, optional_views))
    return float(judged.balanced_weights() @ (judged.logits.argmax(axis=1) == judged.label_ids))
