"""Training: choose a bottleneck and a head on validation recordings, and train it.

What is held out for testing takes no part in any choice. Validation recordings, clean and as augmented views, choose
the bottleneck, the head and the temperature; then the head is trained once more on training and validation recordings
together. What is tried first has served many sounds well, and a few recordings favour one way or another by chance:
another way is chosen only where it is better by more than a standard error.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from audionet.evaluation.leakage import claimed_accuracy
from audionet.evaluation.metrics import accuracy, log_loss, rows_by_group
from audionet.files import sha256_of
from audionet.models.bottleneck_cache import Rows
from audionet.models.head import Head
from audionet.models.openset import OpenSet
from audionet.models.pooling import log_softmax
from audionet.training.calibration import best_temperature
from audionet.training.head_trainers import TRAINERS, OnStep, TrainingSet
from audionet.training.openset_fitting import Clips, fit_open_set
from audionet.training.settings import HeadSettings
from audionet.training.tensorboard import learning_curves
from audionet.training.training_data import TrainingData

L2_CANDIDATES = (0.0, 1e-3, 1e-2)
MOST_FOLDS = 3  # of training and validation recordings, to score them by heads not trained on them
PATIENCE_STEPS = 200  # without a lower loss on validation


@dataclass(frozen=True)
class Attempt:
    """One way to train, and how it did.

    Attributes:
        bottleneck: what the head was given.
        trainer: how it was trained.
        l2: weight decay, for softmax.
        steps: after how many steps it did best, for softmax.
        validation_accuracy: balanced over labels, the mean over clean pictures and views; None without validation.
        curve: by `steps`, the `accuracy` and the `log_loss` on validation while it was trained; of equal lengths. Of a
            whole network also those in `training`.
        temperature: what makes its probabilities honest on validation; 1 without.
    """

    bottleneck: str
    trainer: str
    l2: float
    steps: int
    validation_accuracy: float | None
    curve: dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """The head that a training run settled for, and what else was tried.

    Attributes:
        best: how it was trained.
        attempts: all ways tried, in order.
        head: trained on training and validation recordings, its logits divided by the temperature.
        temperature: what makes probabilities honest on recordings that a head was not trained on.
        open_set: what tells known clips from unknown ones, or None where a label has but one recording to train on.
        claimed_accuracy: the share of chunks that a split by chance would have claimed to be right; None of a whole
            network, which would have to be trained once more to tell.
    """

    best: Attempt
    attempts: tuple[Attempt, ...]
    head: Head
    temperature: float
    open_set: OpenSet | None
    claimed_accuracy: float | None


def select_model(
    material: TrainingData,
    *,
    candidates: Sequence[str],
    settings: HeadSettings,
    seed: int = 0,
    summaries_dir: Path | None = None,
) -> Choice:
    """Choose a bottleneck and a trainer on validation, and train on training and validation recordings.

    Args:
        material: bottlenecks and sides.
        candidates: bottlenecks to choose from, the preferred one first; all are parts of the material's.
        settings: of the head; its trainer may be left open.
        seed: of everything random.
        summaries_dir: where to write learning curves for TensorBoard.
    """
    attempt = partial(_attempts, material, settings=settings, seed=seed, summaries_dir=summaries_dir)
    first, *others = TRAINERS if settings.head == "auto" else [settings.head]
    scored = [one for candidate in candidates for one in attempt(bottleneck=candidate, trainer=first)]
    bottleneck = _best(scored).bottleneck
    scored += [one for trainer in others for one in attempt(bottleneck=bottleneck, trainer=trainer)]
    best = _best(scored)
    tried = tuple(one.attempt for one in scored)
    fit = partial(
        _fit,
        material,
        bottleneck=best.bottleneck,
        trainer=best.trainer,
        settings=replace(settings, l2=best.l2, how_many_training_steps=best.steps),
        seed=seed,
    )
    head = fit(material.rows_of(("training", "validation")))
    known = _out_of_fold(material, best.bottleneck, fit)
    temperature, open_set = 1.0, None
    if known is not None and known.numbers is not None:
        clean = known.as_they_are()
        temperature = best_temperature(clean.logits, known.numbers[known.views == 0])
        open_set = _fit_open_set(material, best.bottleneck, known, temperature, fit)
    claimed = _claimed_accuracy(material, best, fit, seed)
    return Choice(best, tried, head.cooled(temperature), temperature, open_set, claimed)


def head_before(material: TrainingData, choice: Choice, settings: HeadSettings, seed: int = 0) -> Head:
    """Return the head that validation chose, trained on the training side alone, to train on from."""
    best = choice.best
    fitted = replace(settings, l2=best.l2, how_many_training_steps=best.steps)
    training = material.rows["training"]
    head = _fit(material, training, bottleneck=best.bottleneck, trainer=best.trainer, settings=fitted, seed=seed)
    return head.cooled(choice.temperature)


@dataclass(frozen=True)
class _Scored:
    """An attempt, and what each group of validation recordings adds to its accuracy; empty without validation."""

    attempt: Attempt
    shares: np.ndarray

    def is_surely_better(self, other: "_Scored") -> bool:
        """Whether it is better than another by more than a standard error of what lies between them."""
        gains = self.shares - other.shares
        return gains.sum() > np.sqrt(np.square(gains).sum())


def _attempts(
    material: TrainingData,
    *,
    bottleneck: str,
    trainer: str,
    settings: HeadSettings,
    seed: int,
    summaries_dir: Path | None,
) -> Iterator[_Scored]:
    is_open = trainer == "softmax" and settings.l2 is None and len(material.rows["validation"])
    for l2 in L2_CANDIDATES if is_open else [settings.l2 or 0.0]:
        with learning_curves(summaries_dir, material, bottleneck, f"{trainer} {l2}") as draw_curves:
            yield _attempt(material, bottleneck, trainer, replace(settings, l2=l2), seed, draw_curves)


def _attempt(
    material: TrainingData, bottleneck: str, trainer: str, settings: HeadSettings, seed: int, draw_curves: OnStep
) -> _Scored:
    """Return how one way of training does on validation."""
    clean, numbers = material.take(("validation",), bottleneck=bottleneck)
    l2 = settings.l2 or 0.0
    if not len(numbers):
        return _Scored(Attempt(bottleneck, trainer, l2, settings.how_many_training_steps, None, {}), np.empty(0))
    progress = _Progress(clean, numbers, draw_curves)
    _fit(
        material,
        material.rows["training"],
        bottleneck=bottleneck,
        trainer=trainer,
        settings=settings,
        seed=seed,
        on_step=progress.note,
    )
    shares = _validation_shares(material, progress.best_head, bottleneck)
    curve: dict[str, list] = {"steps": progress.steps, "accuracy": progress.accuracies, "log_loss": progress.losses}
    return _Scored(Attempt(bottleneck, trainer, l2, progress.best_step, float(shares.sum()), curve), shares)


def _validation_shares(material: TrainingData, head: Head, bottleneck: str) -> np.ndarray:
    """Return what each group of validation recordings adds to the accuracy on validation.

    Their sum is the accuracy, balanced over labels, the mean over clean pictures and views.
    """
    rows, numbers = material.take(("validation",), bottleneck=bottleneck, views=True)
    owners, views = material.owners(("validation",))
    groups = np.unique([material.examples[row].group for row in owners], return_inverse=True)[1]
    kinds = [kind for kind in (views == 0, views > 0) if kind.any()]
    weights = np.zeros(len(numbers))
    for kind in kinds:
        labels, places, counts = np.unique(numbers[kind], return_inverse=True, return_counts=True)
        weights[kind] = 1 / (len(kinds) * len(labels) * counts[places])
    return np.bincount(groups, weights * (head.logits(rows).argmax(axis=1) == numbers))


def _best(tried: Sequence[_Scored]) -> Attempt:
    """Return the first attempt that none behind it is surely better than."""
    best, *others = tried
    for other in others:
        best = other if other.is_surely_better(best) else best
    return best.attempt


def _fit(
    material: TrainingData,
    rows: np.ndarray,
    *,
    bottleneck: str,
    trainer: str,
    settings: HeadSettings,
    seed: int,
    on_step: OnStep | None = None,
) -> Head:
    """Train a head on some examples and their views, for the labels that they have."""
    bottlenecks, numbers, is_view = material.take_for_training(rows, bottleneck=bottleneck)
    # A picture counts as much as all of its views together.
    shares = np.where(is_view, 1.0, max(1.0, is_view.sum() / max(1, (~is_view).sum())))
    labels, numbers = np.unique(numbers, return_inverse=True)
    examples = TrainingSet(bottlenecks, numbers, len(labels), shares)
    return TRAINERS[trainer](examples, settings, seed=seed, on_step=on_step)


def _out_of_fold(material: TrainingData, bottleneck: str, fit: Callable[[np.ndarray], Head]) -> Clips | None:
    """Score training and validation recordings, and their views, by heads that were not trained on them.

    Returns:
        Clips, or None where a label has but one group of recordings.
    """
    rows = material.rows_of(("training", "validation"))
    folds = _folds(material, rows)
    parts = []
    for fold in np.unique(folds):
        training, held = rows[folds != fold], rows[folds == fold]
        if len(np.unique(material.numbers[training])) < len(material.labels):
            return None
        bottlenecks, numbers, is_view = material.take_for_training(held, bottleneck=bottleneck)
        views = np.flatnonzero(np.isin(material.view_rows, held))
        examples = np.concatenate([held, material.view_rows[views]])
        view_numbers = np.zeros(len(numbers), int)
        view_numbers[is_view] = material.view_numbers[views] + 1
        parts.append((fit(training).logits(bottlenecks), examples, numbers, view_numbers))
    logits, examples, numbers, views = (np.concatenate(column) for column in zip(*parts, strict=True))
    recordings = np.unique([material.examples[row].recording for row in examples], return_inverse=True)[1]
    return Clips(logits, recordings, numbers, views)


def _folds(material: TrainingData, rows: np.ndarray) -> np.ndarray:
    """Return a fold for each row: groups are whole, and each label's are dealt out in turn."""
    groups_of = rows_by_group([f"{material.numbers[row]}" for row in rows])
    fold_of: dict[str, int] = {}
    groups = [[material.examples[rows[place]].group for place in places] for places in groups_of.values()]
    count = min(MOST_FOLDS, *(len(set(names)) for names in groups))
    for names in groups:
        for place, group in enumerate(sorted(set(names), key=lambda name: sha256_of(os.fsencode(name)))):
            fold_of.setdefault(group, place % count)
    return np.array([fold_of[material.examples[row].group] for row in rows])


def _fit_open_set(
    material: TrainingData, bottleneck: str, known: Clips, temperature: float, fit: Callable[[np.ndarray], Head]
) -> OpenSet | None:
    """Fit what tells known clips from unknown ones: on impostors if there are any, else on labels left out in turn."""
    rows = material.rows_of(("training", "validation"))
    impostors = None
    learned_from = material.impostor_rows["training"]
    if len(learned_from):
        strangers = material.take_impostors(learned_from, bottleneck=bottleneck)
        recordings = [material.impostor_examples[row].recording for row in learned_from]
        owners = np.unique(recordings, return_inverse=True)[1]
        impostors = Clips(fit(rows).logits(strangers) / temperature, owners)

    def logits_without(left_out: np.ndarray) -> np.ndarray:
        is_out = np.isin(material.numbers[rows], left_out)
        # In the order of `known`, which went through the folds, clean pictures before views.
        return np.concatenate([without.logits(part) for without, part in _parts_of(rows, is_out)]) / temperature

    def _parts_of(rows: np.ndarray, is_out: np.ndarray) -> Iterator[tuple[Head, Rows]]:
        without = fit(rows[~is_out])
        folds = _folds(material, rows)
        for fold in np.unique(folds):
            yield without, material.take_for_training(rows[is_out & (folds == fold)], bottleneck=bottleneck)[0]

    return fit_open_set(
        replace(known, logits=known.logits / temperature), impostors=impostors, logits_without=logits_without
    )


def _claimed_accuracy(material: TrainingData, best: Attempt, fit: Callable[[np.ndarray], Head], seed: int) -> float:
    """Return what a split chunk by chunk would have claimed, for as many chunks as are tested, or else a fifth."""
    tested = len(material.rows["testing"]) or len(material.examples) // 5

    def answers_of(training: np.ndarray, testing: np.ndarray) -> np.ndarray:
        labels = np.unique(material.numbers[training])
        table = Rows([(material.bottlenecks, testing)], material.columns_of(best.bottleneck))
        return labels[fit(training).logits(table).argmax(axis=1)]

    return claimed_accuracy(material.numbers, answers_of, tested=tested, rng=np.random.default_rng(seed))


class _Progress:
    """The best head so far, by its loss on validation, and when to stop hoping for a better one."""

    def __init__(self, bottlenecks: Rows, numbers: np.ndarray, draw_curves: OnStep):
        self._bottlenecks = bottlenecks
        self._numbers = numbers
        self._draw_curves = draw_curves
        self._best_loss = np.inf
        self.best_step = 1
        self.best_head: Head
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.accuracies: list[float] = []

    def note(self, step: int, head: Head) -> bool:
        """Take note of the head after a step; return True when it has not become better for long."""
        self._draw_curves(step, head)
        log_probabilities = log_softmax(head.logits(self._bottlenecks))
        loss = log_loss(self._numbers, log_probabilities)
        self.steps.append(step)
        self.losses.append(loss)
        self.accuracies.append(accuracy(self._numbers, log_probabilities.argmax(axis=1)))
        if loss < self._best_loss:
            self._best_loss, self.best_step, self.best_head = loss, step, head
        return step - self.best_step >= PATIENCE_STEPS
