"""Cross-validation: each fold scored by a head that was chosen and trained without it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from audionet.console import progress_bar
from audionet.data.dataset import Example, levels_of
from audionet.evaluation.evaluate import ScoredRecording
from audionet.evaluation.metrics import rows_by_group
from audionet.training.model_selection import Choice
from audionet.training.settings import HoldoutSettings
from audionet.training.trainer import TrainedModel
from audionet.training.training_data import TrainingData, without_fold


@dataclass(frozen=True)
class CrossValidation:
    """Every recording, scored by a head that was chosen and trained without its fold.

    Attributes:
        folds: how many there were.
        scored: the recordings, those of no label included.
        claimed_accuracy: the share of chunks that splits by chance would have claimed to be right.
    """

    folds: int
    scored: list[ScoredRecording]
    claimed_accuracy: float | None


def cross_validate(
    material: TrainingData, learn: Callable[[TrainingData], TrainedModel], holdout: HoldoutSettings
) -> CrossValidation | None:
    """Hold each fold out in turn, and choose and train anew without it.

    Args:
        material: as `gather` gave it for these folds.
        learn: chooses and trains.
        holdout: how many folds, and what of the rest is for validation.

    Returns:
        CrossValidation, or None if no folds are wanted.
    """
    if not holdout.folds:
        return None
    scored: list[ScoredRecording] = []
    claims, chunks = [], []
    with progress_bar(total=holdout.folds, description="Testing", unit="folds") as bar:
        for fold in range(holdout.folds):
            part = without_fold(material, fold, holdout=holdout)
            learned = learn(part)
            scored += score_held_out(learned.choice, learned.material)
            claims.append(learned.choice.claimed_accuracy)
            chunks.append(len(part.rows["testing"]))
            bar.update()
    claimed = None if None in claims else float(np.average(np.array(claims, float), weights=chunks))
    return CrossValidation(holdout.folds, scored, claimed)


def score_held_out(choice: Choice, material: TrainingData) -> list[ScoredRecording]:
    """Score the recordings of the testing side, those of no label included."""
    bottleneck = choice.best.bottleneck
    rows = material.rows["testing"]
    scored = []
    if len(rows):
        logits = choice.head.logits(material.take(("testing",), bottleneck=bottleneck)[0])
        scored += _by_recording(choice, logits, [material.examples[row] for row in rows])
    strangers = material.impostor_rows["testing"]
    if len(strangers):
        logits = choice.head.logits(material.take_impostors(strangers, bottleneck=bottleneck))
        scored += _by_recording(choice, logits, [material.impostor_examples[row] for row in strangers])
    return scored


def _by_recording(choice: Choice, logits: np.ndarray, examples: Sequence[Example]) -> list[ScoredRecording]:
    return [
        ScoredRecording(
            recording=recording,
            label=examples[of_it[0]].label,
            logits=logits[of_it],
            offsets_seconds=tuple(examples[row].offset_seconds for row in of_it),
            open_set=choice.open_set,
            levels_dbfs=levels_of([examples[row] for row in of_it]),
        )
        for recording, of_it in rows_by_group([example.recording for example in examples]).items()
    ]
