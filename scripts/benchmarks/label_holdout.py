"""Labels held out of training altogether, others in each draw: their clips are unknown to what was trained.

    all labels -> draws: which labels are held out -> trained on the others

Open-set detection and verification are measured on such draws.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from audionet.console import progress_bar
from audionet.data.dataset import Dataset
from audionet.errors import InputError
from audionet.files import UNKNOWN_LABEL
from audionet.training.model_selection import SelectedModel
from audionet.training.training_data import TrainingData
from benchmarks.default_training import DefaultTraining

FEWEST_KNOWN = 2  # labels to tell apart


@dataclass(frozen=True)
class Draw:
    """One choice of labels to hold out: which are unknown and which are trained on."""

    unknown: tuple[str, ...]
    known: tuple[str, ...]


def draws_of(labels: Sequence[str], *, held_out: int, count: int, seed: int = 0) -> list[Draw]:
    """Choose `held_out` labels to hold out in each of `count` draws, each label about as often as any other.

    Raises:
        InputError: too few labels would be left.
    """
    if held_out < 1 or len(labels) - held_out < FEWEST_KNOWN:
        raise InputError(
            f"--held_out: expected 1 to {len(labels) - FEWEST_KNOWN} of {len(labels)} labels, received {held_out}; "
            f"{FEWEST_KNOWN} must be left to train on."
        )
    rng = np.random.default_rng(seed)
    order: list[str] = []
    draws = []
    for _ in range(count):
        while len(dict.fromkeys(order)) < held_out:
            order += [str(label) for label in rng.permutation(list(labels))]
        unknown = tuple(dict.fromkeys(order))[:held_out]
        for label in unknown:
            order.remove(label)
        draws.append(Draw(tuple(sorted(unknown)), tuple(label for label in labels if label not in unknown)))
    return draws


def train_draws(
    dataset: Dataset, draws: Sequence[Draw], training: DefaultTraining
) -> Iterator[tuple[Draw, TrainingData, SelectedModel]]:
    """Train on the known labels of each draw, and yield what it was trained on, and what was selected."""
    with progress_bar(total=len(draws), description="Training", unit="draws") as bar:
        for draw in draws:
            training_data = _gather(dataset, draw, training)
            yield draw, training_data, training.select(training_data)
            bar.update()


def _gather(dataset: Dataset, draw: Draw, training: DefaultTraining) -> TrainingData:
    """Return what there is to train on, the unknown labels among it, all of which are for testing."""
    known = tuple(example for example in dataset.examples if example.label in draw.known)
    unknown = tuple(
        replace(example, label=UNKNOWN_LABEL) for example in dataset.examples if example.label in draw.unknown
    )
    gathered = training.gather(replace(dataset, labels=draw.known, examples=known, unknown=unknown))
    return gathered.with_splits(np.where(gathered.samples.is_unknown, "testing", gathered.samples.splits))


def mean_of(results: Sequence[Any]) -> Any:
    """Return the mean of numbers, or of what is under each key."""
    if isinstance(results[0], Mapping):
        return {key: mean_of([result[key] for result in results]) for key in results[0]}
    return float(np.mean(results))


def with_range(values: Sequence[float]) -> str:
    """Return the mean of the values of all draws, and the lowest and the highest in brackets."""
    return f"{np.mean(values):.3f} ({min(values):.3f}-{max(values):.3f})"
