"""Cross-validation: each fold scored by a head that was chosen and trained without it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from audionet.console import progress_bar
from audionet.evaluation.evaluate import ScoredRecording
from audionet.training.holdout import HoldoutSettings
from audionet.training.trainer import Graduate
from audionet.training.training_data import Material, without_fold
from audionet.training.training_run import score_held_out


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
    material: Material, learn: Callable[[Material], Graduate], holdout: HoldoutSettings
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
