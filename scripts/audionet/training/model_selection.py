"""Model selection: choose a bottleneck and a head on validation recordings, and train the head.

What is held out for testing takes no part in any choice. Validation recordings, clean and as augmented views, choose
the bottleneck, the head and the temperature; then the head is trained once more on training and validation recordings
together. What is tried first has served many sounds well, and a few recordings favour one way or another by chance:
another way is chosen only where it is better by more than a standard error.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from audionet.console import progress_bar, ticked
from audionet.evaluation.metrics import accuracy, log_loss
from audionet.files import sha256_of
from audionet.models.background import BackgroundSpace
from audionet.models.fused_similarity import FusedSimilarity
from audionet.models.head import Head
from audionet.models.openset import OpenSetDetector
from audionet.models.pooling import log_softmax
from audionet.models.similarity import Similarity
from audionet.training.fitting.calibration import (
    best_temperature,
    even_weights,
    fused,
    fusion_weights,
    scores_in_short,
    spread,
)
from audionet.training.fitting.comparison_space import ComparisonSpace
from audionet.training.fitting.head_trainers import TRAINERS
from audionet.training.fitting.openset_fitting import (
    ClipOdds,
    LeftOutLabels,
    ScoredClips,
    fit_open_set,
    parts_to_leave_out,
)
from audionet.training.fitting.sample_weights import evened_out
from audionet.training.head_fitting import HeadFitter, Refits
from audionet.training.progress import ValidationScore
from audionet.training.settings import HeadSettings
from audionet.training.tensorboard import LearningCurves, load_tensorboard
from audionet.training.training_data import Samples, TrainingData

L2_CANDIDATES = (0.0, 1e-3, 1e-2)
MOST_FOLDS = 3  # of training and validation recordings, to score them by heads not trained on them
PATIENCE_STEPS = 200  # without a lower loss on validation


@dataclass(frozen=True)
class Candidate:
    """One way to train, and how it did on validation."""

    bottleneck: str
    trainer: str
    l2: float  # weight decay, for softmax
    steps: int  # after how many steps it did best, for softmax
    validation_accuracy: float | None  # balanced over labels, the mean over clean pictures and views
    # By `steps`, the `accuracy` and the `log_loss` on validation, of equal lengths; of a whole network also those in
    # `training`.
    curve: dict[str, Any]
    network: str = ""  # the network's name, where there are several

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON; `network` only where there are several."""
        return {name: value for name, value in vars(self).items() if name != "network" or value}

    @property
    def has_curve(self) -> bool:
        """Whether it was trained in several steps."""
        return len(self.curve.get("steps", ())) > 1

    def learning_curve(self) -> dict[str, Any]:
        """Return as JSON its `name`, the `steps`, and by split the `accuracy` and the `log_loss` at each."""
        validation = {name: self.curve[name] for name in ("accuracy", "log_loss") if name in self.curve}
        splits = {"training": self.curve.get("training"), "validation": validation}
        return {
            "name": _way(self.trainer, self.l2, self.bottleneck, self.network),
            "steps": self.curve["steps"],
            **{split: values for split, values in splits.items() if values},
        }


@dataclass(frozen=True)
class SelectedMember:
    """The head that was selected for one network, calibrated to answer alone."""

    number: int  # of the network, as the data has them
    best: Candidate
    head: Head  # trained on training and validation recordings, its logits divided by the temperature
    temperature: float  # what calibrates probabilities on recordings that a head was not trained on
    open_set: OpenSetDetector | None  # None where a label has but one recording to train on
    weight: float = 1.0  # of its logits in the sum of all members' logits
    similarity: Similarity | None = None  # the space of its bottlenecks; None where there is too little to compare


@dataclass(frozen=True)
class SelectedModel:
    """The heads of a training run, and what else was tried."""

    members: tuple[SelectedMember, ...]  # of the first network, and of those that help it
    candidates: tuple[Candidate, ...]  # all ways tried, in order
    open_set: OpenSetDetector | None  # of the members' sum
    worth: tuple[dict[str, Any], ...] = ()  # of several networks: what each is worth, as `_worth` gives it
    similarity: Similarity | FusedSimilarity | None = None  # of all members

    @property
    def best(self) -> Candidate:
        """The way that the head of the first network was trained in."""
        return self.members[0].best

    def logits(self, data: TrainingData, *splits: str, views: bool = True, unknown: bool = False) -> np.ndarray:
        """Score the samples of some splits, as `TrainingData.select` does: float32, shape (n, labels)."""
        logits = []
        for member in self.members:
            samples = data.seen_by(member.number).select(*splits, views=views, unknown=unknown)
            logits.append(member.head.logits(samples.bottlenecks(member.best.bottleneck)) * np.float32(member.weight))
        return np.asarray(np.sum(logits, axis=0), np.float32)

    def odds(self, data: TrainingData, *splits: str, views: bool = True, unknown: bool = False) -> np.ndarray | None:
        """Return the log odds of the same samples with each label, float32; None where nothing goes by them."""
        if self.open_set is None or self.open_set.prototypes is None or self.similarity is None:
            return None
        tables = [
            data.seen_by(member.number)
            .select(*splits, views=views, unknown=unknown)
            .bottlenecks(member.best.bottleneck)
            for member in self.members
        ]
        bottlenecks = np.concatenate([table[:] for table in tables], axis=1)
        return self.similarity.log_odds(bottlenecks, self.open_set.prototypes)


def select_model(
    data: TrainingData,
    *,
    bottlenecks: Sequence[str],
    settings: HeadSettings,
    seed: int = 0,
    summaries_dir: Path | None = None,
    spaces: Sequence[BackgroundSpace] = (),
) -> SelectedModel:
    """Choose bottlenecks, trainers and members on validation, and train on training and validation recordings.

    `bottlenecks` are the names of the first network's to choose from, the preferred one first; all are parts of the
    data's. Learning curves for TensorBoard are written to `summaries_dir`. `spaces` are those of a background.
    """
    networks = [data.seen_by(number) for number in range(1 + len(data.others))]
    names = [bottlenecks, *(network.bottlenecks for network in data.networks[1:])]
    chosen = [
        _choose(network, of_network, settings, seed, summaries_dir, name=_name_of(data, number))
        for number, (network, of_network) in enumerate(zip(networks, names, strict=True))
    ]
    fitters = [_fitter_of(choice.best, settings, seed) for choice in chosen]
    samples = [network.select("training", "validation") for network in networks]
    refits = [Refits(fitter, of_network) for fitter, of_network in zip(fitters, samples, strict=True)]
    heads = [one.head() for one in refits]
    candidates = tuple(one for choice in chosen for one in choice.candidates)
    folds = inner_folds(samples[0])
    if folds is None:
        scored = [
            score_samples(of_network, head, fitter.bottleneck)
            for of_network, head, fitter in zip(samples, heads, fitters, strict=True)
        ]
        weights = even_weights(scored)
        compared = ComparisonSpace.fit(data, [(n, one.best.bottleneck) for n, one in enumerate(chosen)], spaces)
        members = [
            SelectedMember(number, choice.best, head, 1.0, None, float(weight / weights[0]), part)
            for number, (choice, head, weight, part) in enumerate(
                zip(chosen, heads, weights, compared.parts, strict=True)
            )
        ]
        return SelectedModel(tuple(members), candidates, None, similarity=compared.whole)
    unknown = [network.select("training", unknown=True) for network in networks]
    parts = [] if len(unknown[0]) else parts_to_leave_out(len(np.unique(samples[0].label_ids)))
    total = len(networks) * (int(folds.max()) + 1 + len(parts))
    with progress_bar(total=total, description="Thresholds", unit="heads") as bar:
        judged = [
            _Judged(
                known=score_out_of_fold(one, folds, bar),
                unknown=score_samples(of_none, head, one.fitter.bottleneck),
                left_out=tuple(_score_left_out(one, folds, part) for part in ticked(parts, bar)),
            )
            for one, of_none, head in zip(refits, unknown, heads, strict=True)
        ]
    weights = fusion_weights([one.known for one in judged])
    kept = np.flatnonzero(weights)
    compared = ComparisonSpace.fit(data, [(int(n), chosen[n].best.bottleneck) for n in kept], spaces)
    odds = compared.clip_odds(data, folds)
    in_order = odds.take(np.argsort(folds, kind="stable")) if odds else None
    rate = settings.false_accept_rate
    if len(kept) == 1:
        alone = [one.calibrated(rate, odds=in_order) for one in judged]
        together = alone[kept[0]]
    else:
        alone = [one.calibrated(rate) for one in judged]
        together = _summed(judged, weights).calibrated(rate, odds=in_order)
    members = [
        SelectedMember(
            number=int(number),
            best=chosen[number].best,
            head=heads[number].with_temperature(alone[number].temperature),
            temperature=alone[number].temperature,
            open_set=alone[number].open_set,
            weight=1.0 if len(kept) == 1 else float(weights[number] * alone[number].temperature / together.temperature),
            similarity=part,
        )
        for number, part in zip(kept, compared.parts, strict=True)
    ]
    return SelectedModel(
        members=tuple(members),
        candidates=candidates,
        open_set=together.open_set,
        worth=_worth(data, judged, weights) if len(networks) > 1 else (),
        similarity=compared.whole,
    )


@dataclass(frozen=True, eq=False)
class _Judged:
    """How heads of one way to train, or the sum of several, score what they were not trained on."""

    known: ScoredClips  # of the labels, fold by fold
    unknown: ScoredClips  # of none of them
    left_out: tuple[LeftOutLabels, ...]  # by heads that were not trained on these labels

    def calibrated(self, false_accept_rate: float, *, odds: ClipOdds | None = None) -> "_Calibrated":
        """Find the temperature, and the detector of unknown clips at that temperature; `odds` are of the same clips."""
        clean = self.known.clean()
        temperature = best_temperature(clean.logits, clean.label_ids)
        open_set = fit_open_set(
            self.known.with_temperature(temperature),
            unknown=self.unknown.with_temperature(temperature),
            left_out=[LeftOutLabels(part.label_ids, part.logits / temperature) for part in self.left_out],
            odds=odds,
            false_accept_rate=false_accept_rate,
        )
        return _Calibrated(temperature, open_set)


@dataclass(frozen=True)
class _Calibrated:
    temperature: float
    open_set: OpenSetDetector | None


def _summed(judged: Sequence[_Judged], weights: np.ndarray) -> _Judged:
    """Return how the weighted sum of several heads scores."""
    left_out = [
        LeftOutLabels(
            parts[0].label_ids,
            np.asarray(sum(weight * part.logits for weight, part in zip(weights, parts, strict=True)), np.float32),
        )
        for parts in zip(*(one.left_out for one in judged), strict=True)
    ]
    return _Judged(
        known=fused([one.known for one in judged], weights),
        unknown=fused([one.unknown for one in judged], weights),
        left_out=tuple(left_out),
    )


def _worth(data: TrainingData, judged: Sequence[_Judged], weights: np.ndarray) -> tuple[dict[str, Any], ...]:
    """Return for each network its name, its weight, and how chunks are answered by it alone and by all but it.

    Answers are those of heads that were not trained on the recording; a network of weight 0 is left out.
    """
    known = [one.known for one in judged]
    rows = []
    for number, network in enumerate(data.networks):
        others = np.where(np.arange(len(weights)) == number, 0.0, weights)
        without = fused(known, others) if others.any() else None
        rows.append(
            {
                "name": network.name,
                "weight": float(weights[number] * spread(known[number].logits)),
                "alone": scores_in_short(known[number]),
                "without": scores_in_short(without) if without else None,
                "with": scores_in_short(fused(known, weights)),
            }
        )
    return tuple(rows)


def _name_of(data: TrainingData, number: int) -> str:
    """Return the name of a network where there are several, for what is shown."""
    return data.networks[number].name if data.others else ""


@dataclass(frozen=True)
class _Choice:
    """The best way to train a head on one network's bottlenecks, and all that were tried."""

    best: Candidate
    candidates: tuple[Candidate, ...]


def _choose(
    data: TrainingData,
    bottlenecks: Sequence[str],
    settings: HeadSettings,
    seed: int,
    summaries_dir: Path | None,
    *,
    name: str,
) -> _Choice:
    """Choose a bottleneck and a trainer for one network on validation; `name` is its own, if there are several."""
    first, *others = TRAINERS if settings.head == "auto" else [settings.head]
    ways = [fitter for bottleneck in bottlenecks for fitter in _fitters(data, bottleneck, first, settings, seed)]
    more = [fitter for trainer in others for fitter in _fitters(data, bottlenecks[0], trainer, settings, seed)]
    with progress_bar(total=len(ways) + len(more), description="Choosing", unit="heads") as bar:
        if summaries_dir:
            load_tensorboard()
            bar.unpause()  # no head takes that long
        tried = [_try_on_validation(data, fitter, summaries_dir, bar, name) for fitter in ticked(ways, bar)]
        bottleneck = _best(tried).bottleneck
        more = [replace(fitter, bottleneck=bottleneck) for fitter in more]
        tried += [_try_on_validation(data, fitter, summaries_dir, bar, name) for fitter in ticked(more, bar)]
    return _Choice(_best(tried), tuple(one.candidate for one in tried))


def head_before_fine_tuning(data: TrainingData, selected: SelectedModel, settings: HeadSettings, seed: int = 0) -> Head:
    """Return the selected head, but trained on the training split alone, to train on from."""
    head = _fitter_of(selected.best, settings, seed).fit(data.select("training"))
    return head.with_temperature(selected.members[0].temperature)


def score_samples(samples: Samples, head: Head, bottleneck: str, *, folds: np.ndarray | None = None) -> ScoredClips:
    """Score samples by a head; they are in `folds`, as `inner_folds` gives them, or all in one."""
    logits = head.logits(samples.bottlenecks(bottleneck))
    folds = np.zeros(len(samples), int) if folds is None else folds
    return ScoredClips(logits, samples.recording_ids(), samples.label_ids, samples.views, folds)


@dataclass(frozen=True, eq=False)
class _Tried:
    """A candidate, and what each group of validation recordings adds to its accuracy; empty without validation."""

    candidate: Candidate
    group_accuracies: np.ndarray

    def is_surely_better(self, other: "_Tried") -> bool:
        """Whether it is better than another by more than a standard error of what lies between them."""
        gains = self.group_accuracies - other.group_accuracies
        return bool(gains.sum() > np.sqrt(np.square(gains).sum()))


def _fitter_of(best: Candidate, settings: HeadSettings, seed: int) -> HeadFitter:
    """Return the way to train that turned out best, by as many steps as it took."""
    chosen = replace(settings, l2=best.l2, how_many_training_steps=best.steps)
    return HeadFitter(best.bottleneck, best.trainer, chosen, seed)


def _way(trainer: str, l2: float, bottleneck: str, network: str) -> str:
    return f"{trainer}{f', L2 {l2:g},' if l2 else ''} on {f'{network} {bottleneck}'.strip()}"


def _fitters(data: TrainingData, bottleneck: str, trainer: str, settings: HeadSettings, seed: int) -> list[HeadFitter]:
    """Return the ways to train by one trainer: softmax with several weight decays, if validation is to choose one."""
    is_open = trainer == "softmax" and settings.l2 is None and len(data.select("validation", views=False))
    decays = L2_CANDIDATES if is_open else [settings.l2 or 0.0]
    return [HeadFitter(bottleneck, trainer, replace(settings, l2=l2), seed) for l2 in decays]


def _try_on_validation(
    data: TrainingData, fitter: HeadFitter, summaries_dir: Path | None, bar: tqdm, network: str
) -> _Tried:
    """Train on the training split, and return how that does on validation, which the bar shows meanwhile."""
    memory = data.samples.memory
    if memory is None or summaries_dir:
        return _trained_and_tried(data, fitter, summaries_dir, bar, network)
    samples = data.samples
    key = ("tried", *fitter.meaning(), memory.key(samples.table, samples.label_ids, samples.views, samples.splits))
    found: _Tried | None = memory.get(key)
    if found is None:
        began = memory.clock()
        found = _trained_and_tried(data, fitter, None, bar, network)
        memory.keep(key, found, since=began)
    return replace(found, candidate=replace(found.candidate, network=network))


def _trained_and_tried(
    data: TrainingData, fitter: HeadFitter, summaries_dir: Path | None, bar: tqdm, network: str
) -> _Tried:
    bottleneck, trainer, l2 = fitter.bottleneck, fitter.trainer, fitter.settings.l2 or 0.0
    validation = data.select("validation")
    with LearningCurves(summaries_dir, data, bottleneck, f"{network} {trainer} {l2}".strip()) as curves:
        if not len(validation):
            steps = fitter.settings.how_many_training_steps
            return _Tried(Candidate(bottleneck, trainer, l2, steps, None, {}, network), np.empty(0))
        way = _way(trainer, l2, bottleneck, network)
        stopping = _EarlyStopping(validation.clean(), bottleneck, curves, name=way, bar=bar)
        fitter.fit(data.select("training"), on_step=stopping.note)
    group_accuracies = _group_accuracies(validation, stopping.best_head, bottleneck)
    accuracy_of_all = float(group_accuracies.sum())
    return _Tried(
        Candidate(bottleneck, trainer, l2, stopping.best_step, accuracy_of_all, stopping.curve, network),
        group_accuracies,
    )


def _group_accuracies(samples: Samples, head: Head, bottleneck: str) -> np.ndarray:
    """Return what each group of recordings adds to the accuracy, shape (groups,).

    Their sum is the accuracy, balanced over labels, the mean over clean pictures and views.
    """
    weights = evened_out(samples.label_ids, samples.views)
    answers = head.logits(samples.bottlenecks(bottleneck)).argmax(axis=1)
    return np.bincount(samples.group_ids(), weights * (answers == samples.label_ids))


def _best(tried: Sequence[_Tried]) -> Candidate:
    """Return the first candidate that none behind it is surely better than."""
    best, *others = tried
    for other in others:
        best = other if other.is_surely_better(best) else best
    return best.candidate


def inner_folds(samples: Samples) -> np.ndarray | None:
    """Return a fold for each sample, to score it by a head that was not trained on its group: int, shape (n,).

    Groups are whole, and each label's are dealt out in turn. None where all groups of a label are in one fold.
    """
    groups = [example.group for example in samples.pictures()]
    groups_of: dict[int, set[str]] = {}
    for label_id, group in zip(samples.label_ids, groups, strict=True):
        groups_of.setdefault(int(label_id), set()).add(group)
    count = min(MOST_FOLDS, *map(len, groups_of.values()))
    fold_of: dict[str, int] = {}
    for names in groups_of.values():
        for place, group in enumerate(sorted(names, key=lambda name: sha256_of(os.fsencode(name)))):
            fold_of.setdefault(group, place % count)
    folds = np.array([fold_of[group] for group in groups])
    others = [np.unique(samples.label_ids[folds != fold]) for fold in np.unique(folds)]
    return folds if all(len(labels) == len(groups_of) for labels in others) else None


def score_out_of_fold(refits: Refits, folds: np.ndarray, bar: tqdm) -> ScoredClips:
    """Score samples by heads that were not trained on their fold, fold by fold."""
    samples, bottleneck = refits.samples, refits.fitter.bottleneck
    logits = [
        refits.head_without(folds == fold).logits(samples.take(folds == fold).bottlenecks(bottleneck))
        for fold in ticked(np.unique(folds), bar)
    ]
    scored = samples.take(np.argsort(folds, kind="stable"))
    return ScoredClips(
        np.concatenate(logits), scored.recording_ids(), scored.label_ids, scored.views, np.sort(folds, kind="stable")
    )


def _score_left_out(refits: Refits, folds: np.ndarray, label_ids: np.ndarray) -> LeftOutLabels:
    """Score the samples of some labels by a head that was trained on the others, fold by fold."""
    samples, bottleneck = refits.samples, refits.fitter.bottleneck
    is_out = np.isin(samples.label_ids, label_ids)
    head = refits.head_without(is_out)
    logits = [head.logits(samples.take(is_out & (folds == fold)).bottlenecks(bottleneck)) for fold in np.unique(folds)]
    return LeftOutLabels(label_ids, np.concatenate(logits))


class _EarlyStopping:
    """The best head so far, by its loss on validation, and whether it is time to stop."""

    def __init__(self, validation: Samples, bottleneck: str, curves: LearningCurves, *, name: str, bar: tqdm):
        self._bottlenecks = validation.bottlenecks(bottleneck)
        self._label_ids = validation.label_ids
        self._curves = curves
        self._name = name
        self._bar = bar
        self._best_loss = np.inf
        self.best_step = 1
        self.best_head: Head
        self.curve: dict[str, list[float]] = {"steps": [], "accuracy": [], "log_loss": []}

    def note(self, step: int, head: Head) -> bool:
        """Take note of the head after a step; return True when it has not become better for long."""
        self._curves.write(step, head)
        log_probabilities = log_softmax(head.logits(self._bottlenecks))
        loss = log_loss(self._label_ids, log_probabilities)
        share = accuracy(self._label_ids, log_probabilities.argmax(axis=1))
        self.curve["steps"].append(step)
        self.curve["log_loss"].append(loss)
        self.curve["accuracy"].append(share)
        ValidationScore(self._name, step, share, loss).show(self._bar)
        if loss < self._best_loss:
            self._best_loss, self.best_step, self.best_head = loss, step, head
        return step - self.best_step >= PATIENCE_STEPS
