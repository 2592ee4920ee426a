"""The final evaluation: how good a classifier is on recordings that training never saw.

They are held out once and for all; or each in turn, by a cross-validation, after which the classifier is trained on
all; or they are in a folder of their own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from audionet.audio.fingerprints import Fingerprint, SharedSound, shared_across
from audionet.console import progress_bar
from audionet.data.dataset import levels_of
from audionet.data.splits import SPLITS
from audionet.evaluation.evaluate import evaluate, evaluate_scored
from audionet.evaluation.leakage import LeakAudit, SplitComparison
from audionet.evaluation.metrics import rows_by_group
from audionet.evaluation.scored_recording import ScoredRecording
from audionet.evaluation.scoring import score_sources
from audionet.evaluation.test_set import Source, find_test_sources
from audionet.files import printable
from audionet.models.classifier import Classifier
from audionet.training.fitting.head_trainers import TRAINERS
from audionet.training.leak_audit import compare_splits
from audionet.training.learning_curve import learning_curve
from audionet.training.model_selection import SelectedModel
from audionet.training.settings import HoldoutSettings
from audionet.training.trainer import TrainedModel, Trainer
from audionet.training.training_data import Samples, TrainingData


@dataclass(frozen=True)
class FinalEvaluation:
    """What a classifier was tested on, and how it did."""

    on: str  # a few words, such as `recordings that training never saw`
    evaluation: dict[str, Any]  # as `evaluation.evaluate` gives it; empty if nothing was tested
    sources: tuple[Source, ...]
    shared: tuple[SharedSound, ...]  # sound that is in two splits
    compared: int  # how many recordings were searched for it
    comparison: SplitComparison | None = None  # of splits by chance and by group; None of a network trained whole
    curve: dict[str, Any] | None = None  # as `learning_curve` gives it; None of a network trained whole

    def leak_audit(self) -> LeakAudit:
        """Return the audit of the split."""
        chunk = self.evaluation.get("chunk", {})
        return LeakAudit(
            held_out_accuracy=chunk.get("accuracy"),
            comparison=self.comparison,
            chunks=chunk.get("n", 0),
            shared=self.shared,
            compared=self.compared,
        )


def evaluate_model(
    model: TrainedModel,
    classifier: Classifier,
    fingerprints: Mapping[str, Fingerprint],
    *,
    trainer: Trainer,
    holdout: HoldoutSettings,
) -> FinalEvaluation:
    """Evaluate a model, and the classifier made of it, on a test folder, by folds or on what was held out.

    `fingerprints` are by recording, of all that there is sound of. The trainer trains again for each fold. A test
    folder in which nothing can be scored raises InputError.
    """
    if holdout.test_dir:
        final = evaluate_test_dir(holdout.test_dir, classifier, group_by=holdout.group_by)
    elif holdout.folds:
        final = evaluate_folds(trainer, fingerprints, holdout=holdout)
    else:
        final = evaluate_held_out(model, fingerprints)
    best = model.selected.best
    if best.trainer not in TRAINERS:  # what a network trained whole gives depends on what it was trained on
        return final
    seen = [model.data.seen_by(one.number).select(*SPLITS, views=False) for one in model.selected.members]
    tables = [of.bottlenecks(one.best.bottleneck) for of, one in zip(seen, model.selected.members, strict=True)]
    return replace(
        final,
        comparison=compare_splits(seen[0], tables, seed=holdout.random_seed),
        curve=learning_curve(seen[0], tables, seed=holdout.random_seed),
    )


def evaluate_held_out(model: TrainedModel, fingerprints: Mapping[str, Fingerprint]) -> FinalEvaluation:
    """Evaluate a model on the testing split; `fingerprints` as for `evaluate_model`."""
    data = model.data
    scored = score_held_out(model.selected, data)
    return FinalEvaluation(
        on="recordings that training never saw",
        evaluation=evaluate(scored, data.labels) if scored else {},
        sources=_sources_of(data.select("testing", views=False)) + _sources_of(data.select("testing", unknown=True)),
        shared=_shared_between(split_of_recordings(data), fingerprints),
        compared=len(fingerprints),
    )


def cross_validate(trainer: Trainer, *, holdout: HoldoutSettings) -> list[ScoredRecording]:
    """Hold each fold out in turn, and choose and train anew without it; the data were gathered for these folds.

    Returns every recording, those of none of the labels included, as scored without its fold.
    """
    return [
        scored
        for model in models_of_folds(trainer, holdout=holdout)
        for scored in score_held_out(model.selected, model.data)
    ]


def models_of_folds(trainer: Trainer, *, holdout: HoldoutSettings) -> Iterator[TrainedModel]:
    """Yield for each fold the model that was chosen and trained without it; the data were gathered for these folds."""
    with progress_bar(total=holdout.folds, description="Testing", unit="folds") as bar:
        for fold in range(holdout.folds):
            yield trainer.train(trainer.data.without_fold(fold, holdout=holdout))
            bar.update()


def evaluate_folds(
    trainer: Trainer, fingerprints: Mapping[str, Fingerprint], *, holdout: HoldoutSettings
) -> FinalEvaluation:
    """Evaluate a way to train by a cross-validation; arguments as for `cross_validate` and `evaluate_model`."""
    data = trainer.data
    scored = cross_validate(trainer, holdout=holdout)
    pictures = data.select(*SPLITS, views=False)
    fold_of = {
        example.recording: f"fold {fold + 1}" for example, fold in zip(pictures.pictures(), pictures.folds, strict=True)
    }
    return FinalEvaluation(
        on=f"recordings that training never saw, each in one of {holdout.folds} folds",
        evaluation=evaluate(scored, data.labels),
        sources=_sources_of(pictures) + _sources_of(data.select(*SPLITS, unknown=True)),
        shared=_shared_between(fold_of, fingerprints),
        compared=len(fingerprints),
    )


def evaluate_test_dir(test_dir: Path, classifier: Classifier, *, group_by: str = "recording") -> FinalEvaluation:
    """Evaluate a classifier on a folder of other recordings or pictures; raise InputError if none can be scored."""
    sources = find_test_sources(test_dir, group_by=group_by)
    scored = score_sources(classifier, sources)
    return FinalEvaluation(
        on=f"the recordings in {printable(test_dir)}",
        evaluation=evaluate_scored(classifier, scored),
        sources=tuple(sources),
        shared=scored.shared,
        compared=len(scored.chunk_stats),
    )


def split_of_recordings(data: TrainingData) -> dict[str, str]:
    """Return the split of each recording of the labels, those for training first, those for testing last."""
    return {example.recording: split for split in SPLITS for example in data.select(split, views=False).pictures()}


def _shared_between(place_of: Mapping[str, str], fingerprints: Mapping[str, Fingerprint]) -> tuple[SharedSound, ...]:
    """Find sound that is in two splits or folds, by the split or the fold of each recording."""
    places: dict[str, dict[str, Fingerprint]] = {place: {} for place in sorted(set(place_of.values()))}
    for recording, fingerprint in fingerprints.items():
        places[place_of[recording]][recording] = fingerprint
    return shared_across(places)


def score_held_out(selected: SelectedModel, data: TrainingData) -> list[ScoredRecording]:
    """Score the recordings of the testing split, those of none of the labels included."""
    return [
        *_score_recordings(selected, data, views=False, unknown=False),
        *_score_recordings(selected, data, views=True, unknown=True),
    ]


def _score_recordings(
    selected: SelectedModel, data: TrainingData, *, views: bool, unknown: bool
) -> list[ScoredRecording]:
    logits = selected.logits(data, "testing", views=views, unknown=unknown)
    odds = selected.odds(data, "testing", views=views, unknown=unknown)
    examples = data.select("testing", views=views, unknown=unknown).pictures()
    return [
        ScoredRecording(
            recording=recording,
            label=examples[rows[0]].label,
            logits=logits[rows],
            offsets_seconds=tuple(examples[row].offset_seconds for row in rows),
            open_set=selected.open_set,
            levels_dbfs=levels_of([examples[row] for row in rows]),
            group=examples[rows[0]].group,
            odds=None if odds is None else odds[rows],
        )
        for recording, rows in rows_by_group([example.recording for example in examples]).items()
    ]


def _sources_of(samples: Samples) -> tuple[Source, ...]:
    examples = samples.pictures()
    return tuple(
        Source(
            recording=recording,
            label=examples[rows[0]].label,
            paths=tuple(examples[row].path for row in rows),
            offsets_seconds=tuple(examples[row].offset_seconds for row in rows),
        )
        for recording, rows in rows_by_group([example.recording for example in examples]).items()
    )
