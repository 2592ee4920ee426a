"""Searching a grid: in each outer fold a few cells are tried on validation, and the best is tested on the fold.

What is tested took no part in any choice of that fold: neither of the cells that were tried, nor of the one that was
chosen. So the score is that of the whole way to choose, on recordings that no choice has seen; cells that are picked
from a table of scores have no such score.

Source of the nested folds: S. Varma and R. Simon, "Bias in error estimation when using cross-validation for model
selection", BMC Bioinformatics 7 (2006). Of the sampler: J. Bergstra et al., "Algorithms for Hyper-Parameter
Optimization", NeurIPS 2011, as Optuna has it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audionet.errors import InputError
from audionet.evaluation.scored_recording import ScoredRecording
from audionet.experiments.grid import Grid
from audionet.training.final_evaluation import score_held_out
from audionet.training.settings import HoldoutSettings
from audionet.training.trainer import Trainer
from audionet.training.training_data import TrainingData


@dataclass(frozen=True)
class ChosenCell:
    """The cell that was best on validation in one outer fold."""

    fold: int
    cell: str  # its name
    validation_accuracy: float  # the share of validation chunks that it named right
    tried: int  # how many different cells were tried


def choose(
    grid: Grid, trainers: Mapping[str, Trainer], fold: int, *, holdout: HoldoutSettings, trials: int
) -> tuple[ChosenCell, list[ScoredRecording]]:
    """Choose a cell for one outer fold, and score the fold by it.

    Args:
        grid: whose cells are tried.
        trainers: by the name of each cell, with data gathered for the same folds.
        fold: the outer one, which is tested.
        holdout: how these folds came about.
        trials: how many times a cell is suggested; one that was tried before is not trained again.

    Raises:
        InputError: Optuna is not installed, or nothing is left for validation.
    """
    optuna = load_optuna()
    by_options = {_values(cell.options, grid): cell for cell in grid.cells}
    choices = {name: sorted({str(cell.options[name]) for cell in grid.cells}) for name in grid.varied}
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=holdout.random_seed))
    found: dict[str, float] = {}
    for _ in range(trials):
        trial = study.ask()
        suggested = tuple(trial.suggest_categorical(name, choices[name]) for name in grid.varied)
        cell = by_options.get(suggested)
        if cell is None:  # it means the same as another
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        if cell.name not in found:
            found[cell.name] = validation_accuracy(trainers[cell.name], fold, holdout=holdout)
        study.tell(trial, found[cell.name])
    if not found:  # all that was suggested meant the same as others
        cell = grid.cells[0]
        found[cell.name] = validation_accuracy(trainers[cell.name], fold, holdout=holdout)
    best = max(found, key=lambda name: found[name])  # of equals the first that was tried
    trainer = trainers[best]
    model = trainer.train(trainer.data.without_fold(fold, holdout=holdout))
    return ChosenCell(fold, best, found[best], len(found)), score_held_out(model.selected, model.data)


def validation_accuracy(trainer: Trainer, fold: int, *, holdout: HoldoutSettings) -> float:
    """Return the share of a fold's validation chunks that a cell names right, trained on its training split alone.

    What a cell chooses on validation itself is at its default here, or validation would choose what it is to judge.

    Raises:
        InputError: nothing is left for validation.
    """
    data = validated_instead(trainer.data.without_fold(fold, holdout=holdout))
    model = trainer.train(data)
    scored = [one for one in score_held_out(model.selected, model.data) if one.label in data.labels]
    if not scored:
        raise InputError("--search: expected recordings for validation, received none. Raise validation_percentage.")
    right = [data.labels[answer] == one.label for one in scored for answer in one.logits.argmax(axis=1)]
    return float(np.mean(right))


def validated_instead(data: TrainingData) -> TrainingData:
    """Return the same samples with validation recordings to be tested, and what is tested left out."""
    splits = data.samples.splits
    return data.with_splits(np.where(splits == "testing", "", np.where(splits == "validation", "testing", splits)))


def load_optuna() -> Any:
    """Return the package Optuna, which few need.

    Raises:
        InputError: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise InputError("--search: Optuna is not installed. Type: pip install './scripts[search]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def sentences_of(chosen: Sequence[ChosenCell], evaluation: Mapping[str, Any]) -> list[str]:
    """Return what came of a search."""
    chunk, recording = evaluation["chunk"], evaluation["recording"]
    low, high = chunk["ci95"] or (0.0, 1.0)
    names = [one.cell for one in chosen]
    most = max(set(names), key=names.count)
    return [
        f"Chosen on validation in each of {len(chosen)} folds: {chunk['accuracy']:.1%} of chunks ({low:.0%} to "
        f"{high:.0%}) and {recording['accuracy']:.1%} of recordings right, which no choice has seen.",
        f"Chosen the most often, in {names.count(most)} of {len(names)} folds: {most}.",
    ]


def _values(options: Mapping[str, Any], grid: Grid) -> tuple[str, ...]:
    return tuple(str(options[name]) for name in grid.varied)
