"""One label alone: a classifier that tells how unusual a clip is, trained on normal recordings.

There is nothing to choose by, since nothing abnormal is known: each network is read at its preferred bottleneck. A
member's logit is in standard deviations of held-out chunks around their mean, members count alike in the sum, and so
does the sum. The threshold is that of the open-set detector, by recordings that a head was not trained on.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from audionet.console import progress_bar
from audionet.errors import InputError
from audionet.models.background import BackgroundSpace
from audionet.models.openset import OpenSetDetector
from audionet.training.fitting.comparison_space import ComparisonSpace
from audionet.training.fitting.one_class_fitting import NAME, standardised
from audionet.training.fitting.openset_fitting import ScoredClips, fit_open_set
from audionet.training.head_fitting import HeadFitter, Refits
from audionet.training.model_selection import (
    Candidate,
    SelectedMember,
    SelectedModel,
    inner_folds,
    score_out_of_fold,
    score_samples,
)
from audionet.training.settings import HeadSettings
from audionet.training.training_data import TrainingData

SMALLEST_DEVIATION = 1e-6


def select_one_class(
    data: TrainingData,
    *,
    bottlenecks: Sequence[str],
    settings: HeadSettings,
    spaces: Sequence[BackgroundSpace] = (),
) -> SelectedModel:
    """Fit a head of each network on the training and validation recordings of one label.

    `bottlenecks` are the first network's to choose from, the preferred one first; `spaces` are those of a background.

    Raises:
        InputError: there is but one recording.
    """
    networks = [data.seen_by(number) for number in range(1 + len(data.others))]
    preferred = [bottlenecks[0], *(network.bottlenecks[0] for network in data.networks[1:])]
    samples = [network.select("training", "validation") for network in networks]
    folds = inner_folds(samples[0])
    if folds is None:
        raise InputError(
            f"One label alone, {data.labels[0]}, needs two recordings or more to train on, so that one can show how "
            "much normal ones differ. Add recordings, or another label."
        )
    members, known, unknown = [], [], []
    with progress_bar(total=len(networks) * (int(folds.max()) + 1), description="Thresholds", unit="heads") as bar:
        for number, (network, of_network, name) in enumerate(zip(networks, samples, preferred, strict=True)):
            shown = data.networks[number].name if data.others else ""
            best = Candidate(name, NAME, 0.0, 1, None, {}, shown)
            refits = Refits(HeadFitter(name, NAME, settings, 0), of_network)
            scored = score_out_of_fold(refits, folds, bar)
            mean, deviation = _mean_and_deviation(scored)
            head = standardised(refits.head(), mean=mean, deviation=deviation)
            known.append(scored.with_logits((scored.logits - mean) / deviation))
            unknown.append(score_samples(network.select("training", unknown=True), head, name))
            open_set = _fitted(known[-1], unknown[-1], settings)
            members.append(SelectedMember(number, best, head, deviation, open_set))
    candidates = tuple(member.best for member in members)
    compared = ComparisonSpace.fit(data, list(enumerate(preferred)), spaces)
    members = [replace(member, similarity=part) for member, part in zip(members, compared.parts, strict=True)]
    if len(members) == 1:
        return SelectedModel((members[0],), candidates, members[0].open_set, similarity=compared.whole)
    weight = 1 / _mean_and_deviation(_summed(known, 1.0))[1]
    return SelectedModel(
        members=tuple(replace(member, weight=weight) for member in members),
        candidates=candidates,
        open_set=_fitted(_summed(known, weight), _summed(unknown, weight), settings),
        similarity=compared.whole,
    )


def _fitted(known: ScoredClips, unknown: ScoredClips, settings: HeadSettings) -> OpenSetDetector | None:
    return fit_open_set(
        known,
        unknown=unknown,
        false_accept_rate=settings.false_accept_rate,
        false_reject_rate=settings.false_reject_rate,
    )


def _mean_and_deviation(clips: ScoredClips) -> tuple[float, float]:
    """Return the mean and the standard deviation of the one logit of chunks as they are."""
    logits = np.asarray(clips.clean().logits, np.float64)
    return float(logits.mean()), max(float(logits.std()), SMALLEST_DEVIATION)


def _summed(members: Sequence[ScoredClips], weight: float) -> ScoredClips:
    return members[0].with_logits(np.asarray(sum(one.logits for one in members) * weight, np.float32))
