"""The comparison space of a classifier, and how clips that it was not fitted on score there as known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audionet.models.background import BackgroundSpace, NetworkKey, find_space
from audionet.models.bottleneck_cache import Rows
from audionet.models.fused_similarity import FusedSimilarity
from audionet.models.similarity import Similarity
from audionet.training.fitting.openset_fitting import ClipOdds
from audionet.training.fitting.similarity_fitting import (
    ComparedSamples,
    background_odds,
    fit_fused_similarity,
    fit_similarity,
    label_prototypes,
    odds_out_of_fold,
)
from audionet.training.training_data import Samples, TrainingData

MOST_LABELS = 500  # of more, logits tell enough, and prototypes would outweigh all else that a classifier keeps
MOST_SCORED = 20_000  # chunks and views; whole recordings by chance where there are more


@dataclass(frozen=True, eq=False)
class ComparisonSpace:
    """The spaces of the members of a classifier, and that of all together."""

    samples: ComparedSamples
    chosen: tuple[tuple[int, str], ...]  # of each member, the number of its network and the bottleneck
    parts: tuple[Similarity | None, ...]  # None, as for the whole, where there is too little to compare
    whole: Similarity | FusedSimilarity | None

    @classmethod
    def fit(
        cls, data: TrainingData, chosen: Sequence[tuple[int, str]], spaces: Sequence[BackgroundSpace]
    ) -> "ComparisonSpace":
        """Fit the space of each network at a bottleneck, on training and validation recordings and a background."""
        samples = [data.seen_by(number).select("training", "validation") for number, _ in chosen]
        compared = ComparedSamples(
            _tables(samples, chosen),
            samples[0].label_ids,
            samples[0].recording_ids(),
            samples[0].views,
            tuple(_background(data, number, bottleneck, spaces) for number, bottleneck in chosen),
        )
        parts = tuple(fit_similarity(compared, number) for number in range(len(chosen)))
        return cls(compared, tuple(chosen), parts, fit_fused_similarity(compared, parts))

    def clip_odds(self, data: TrainingData, folds: np.ndarray) -> ClipOdds | None:
        """Score the recordings that it was fitted on by those in other folds, and unknown ones as they come.

        `folds`, int, are of the samples. None where there is no space, one label alone or very many, or a network has
        no background: how clips vary from day to day is not to be learnt from few labels, and known ones of another
        day were refused.
        """
        if None in self.samples.backgrounds:
            return None
        if self.whole is None or not 2 <= len(np.unique(self.samples.label_ids)) <= MOST_LABELS:
            return None
        unknown = [data.seen_by(number).select("training", unknown=True) for number, _ in self.chosen]
        prototypes = label_prototypes(self.samples, self.whole)
        tables = _tables(unknown, self.chosen)
        bottlenecks = np.concatenate([np.asarray(table[:], np.float32) for table in tables], axis=1)
        is_scored = _some_recordings(self.samples.recordings, self.samples.label_ids)
        return ClipOdds(
            is_scored=is_scored,
            known=odds_out_of_fold(self.samples, self.whole, folds, np.flatnonzero(is_scored)),
            unknown=self.whole.log_odds(bottlenecks, prototypes),
            of_background=background_odds(self.samples, self.whole, len(prototypes)),
            prototypes=prototypes,
        )


def _tables(samples: Sequence[Samples], chosen: Sequence[tuple[int, str]]) -> tuple[Rows, ...]:
    return tuple(of_one.bottlenecks(bottleneck) for of_one, (_, bottleneck) in zip(samples, chosen, strict=True))


def _background(
    data: TrainingData, number: int, bottleneck: str, spaces: Sequence[BackgroundSpace]
) -> BackgroundSpace | None:
    if not spaces:
        return None
    network = data.networks[number]
    return find_space(spaces, NetworkKey.of(network.backbone.describe(), network.input.recipe), bottleneck)


def _some_recordings(recordings: np.ndarray, label_ids: np.ndarray) -> np.ndarray:
    """Return which rows are of recordings that are scored: bool, shape (n,); every label has some."""
    names, firsts, counts = np.unique(recordings, return_index=True, return_counts=True)
    order = np.random.default_rng(0).permutation(len(names))
    of_label = np.unique(label_ids[firsts[order]], return_index=True)[1]  # the first of each label in this order
    order = np.concatenate([order[of_label], np.delete(order, of_label)])
    kept = names[order][np.cumsum(counts[order]) <= max(MOST_SCORED, counts[order[: len(of_label)]].sum())]
    return np.isin(recordings, kept)
