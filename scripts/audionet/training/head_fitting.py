"""Train a head on samples in one way, and again without some of them, as folds and labels left out need it."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from audionet.models.head import Head
from audionet.training.fitting.closed_forms import SummedRows, lda_head, prototype_head
from audionet.training.fitting.head_trainers import TRAINERS, OnStep, TrainingSet, with_shares
from audionet.training.fitting.moments import Moments, origin_of
from audionet.training.fitting.one_class_fitting import NAME as ONE_CLASS
from audionet.training.fitting.one_class_fitting import train_one_class
from audionet.training.fitting.sample_weights import label_shares, picture_weights
from audionet.training.settings import HeadSettings
from audionet.training.training_data import Samples

SUBTRACTED = {"lda": lda_head, "prototypes": prototype_head}
"""What heads are solved by out of moments; ridge weighs labels anew for each fold, which no subtraction does."""


@dataclass(frozen=True)
class HeadFitter:
    """A way to train a head on any samples."""

    bottleneck: str  # which parts of the bottlenecks the head is given, joined by `+`
    trainer: str  # one of `TRAINERS`, or `ONE_CLASS`
    settings: HeadSettings
    seed: int

    def fit(self, samples: Samples, *, on_step: OnStep | None = None) -> Head:
        """Train a head for the labels that the samples have, in ascending order of their ids."""
        memory = samples.memory
        if memory is None or (on_step and self.trainer == "softmax"):  # whoever asks wants to be called at each step
            return self._fitted(samples, on_step)
        key = (*self.meaning(), memory.key(samples.table, samples.label_ids, samples.views, samples.weights()))
        head: Head | None = memory.get(key)
        if head is None:
            began = memory.clock()
            head = self._fitted(samples, None)
            memory.keep(key, head, since=began)
        if on_step:
            on_step(1, head)
        return head

    def shares(self, samples: Samples) -> np.ndarray | None:
        """Return how much each label of the samples counts, as `label_shares` gives it."""
        _, first, ids = np.unique(samples.label_ids, return_index=True, return_inverse=True)
        labels = [samples.examples[samples.example_ids[row]].label for row in first]
        weights = picture_weights(samples.views) * samples.weights()
        return label_shares(self.settings.label_weights, labels, ids, weights)

    def meaning(self) -> tuple[Hashable, ...]:
        """Return what decides which head comes of given samples; ways that differ in what has no effect share it."""
        decisive = (self.settings.of_training(), self.seed) if self.trainer == "softmax" else ()
        return self.bottleneck, self.trainer, self.settings.label_weights, *decisive

    def _fitted(self, samples: Samples, on_step: OnStep | None) -> Head:
        labels, label_ids = np.unique(samples.label_ids, return_inverse=True)
        weights = picture_weights(samples.views) * samples.weights()
        training_set = TrainingSet(
            samples.bottlenecks(self.bottleneck), label_ids, len(labels), weights, self.shares(samples)
        )
        if self.trainer == ONE_CLASS:
            return train_one_class(training_set)
        return TRAINERS[self.trainer](training_set, self.settings, seed=self.seed, on_step=on_step)


@dataclass(frozen=True, eq=False)
class Refits:
    """Heads of one way to train, on some samples and on all but some of them.

    Where rows are many and the way allows it, what is left out is subtracted from the moments of all, so that the
    others are not read again; the head is the same within rounding.
    """

    fitter: HeadFitter
    samples: Samples

    def head(self) -> Head:
        """Train on all samples."""
        return self.fitter.fit(self.samples)

    def head_without(self, is_out: np.ndarray) -> Head:
        """Train on all samples but some, which are given by a mask, for the labels that the others have."""
        samples, memory = self.samples, self.samples.memory
        if memory is None:
            return self._without(is_out)
        parts = samples.label_ids, samples.views, samples.weights(), is_out
        key = (*self.fitter.meaning(), "without", memory.key(samples.table, *parts))
        head: Head | None = memory.get(key)
        if head is None:
            began = memory.clock()
            head = self._without(is_out)
            memory.keep(key, head, since=began)
        return head

    def _without(self, is_out: np.ndarray) -> Head:
        closed_form = SUBTRACTED.get(self.fitter.trainer)
        dimension = self.samples.bottlenecks(self.fitter.bottleneck).shape[1]
        kept = self.samples.take(~is_out)
        # For so few, no products are formed; and moments are of samples that count alike.
        if closed_form is None or len(kept) < dimension or (self.samples.weights() != 1).any():
            return self.fitter.fit(kept)
        by_kind = [
            of_all - self._moments(is_out & of_kind) for of_all, of_kind in zip(self._all, self._kinds, strict=True)
        ]
        weights = picture_weights(kept.views)
        clean, views = by_kind
        summed = clean.scaled(float(weights[kept.views == 0].max(initial=1.0))) + views
        head = closed_form(SummedRows(summed.take_labels(np.unique(kept.label_ids))))
        return with_shares(head, self.fitter.shares(kept)) if self.fitter.trainer == "lda" else head

    @cached_property
    def _kinds(self) -> tuple[np.ndarray, np.ndarray]:
        """Which samples are pictures as they are, and which are augmented views: they weigh differently."""
        return self.samples.views == 0, self.samples.views > 0

    @cached_property
    def _all(self) -> tuple[Moments, Moments]:
        clean, views = (self._moments(of_kind) for of_kind in self._kinds)
        return clean, views

    @cached_property
    def _origin(self) -> np.ndarray:
        return origin_of(self.samples.bottlenecks(self.fitter.bottleneck))

    def _moments(self, rows: np.ndarray) -> Moments:
        samples = self.samples.take(rows)
        return Moments.of(
            samples.bottlenecks(self.fitter.bottleneck),
            samples.label_ids,
            int(self.samples.label_ids.max()) + 1,
            origin=self._origin,
            with_products=self.fitter.trainer == "lda",
        )
