"""Recipes side by side: each draws, trains and scores as its name says, and all are tested on the same recordings.

What is tested is chosen once, by groups of recordings, and no recipe sees it before. Everything else is the recipe's
own: its pictures, its network, its training.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from audionet.cli import changed
from audionet.console import log
from audionet.data.dataset import Dataset, Example, levels_of
from audionet.data.splits import assign_splits
from audionet.evaluation.closed_set import accuracies
from audionet.evaluation.scored_recording import ScoredRecording
from audionet.features.recipes import Recipe, find_recipe
from audionet.models.classifier import Classifier
from audionet.tables import Table
from audionet.training.settings import TrainingSettings
from audionet.training.trainer import TrainedModel, Trainer
from audionet.training.training_run import members_of
from benchmarks import synthetic_speech
from benchmarks.options import RecipesOptions
from benchmarks.recording_holdout import dataset_of, groups_by_name

QUIETEST = 1e-30  # a probability, whose logarithm is finite
COLUMNS = ("recipe", "clips right", "chunks right", "chunk s", "training s", "size MB", "ms a clip", "chosen")


def run(options: RecipesOptions) -> int:
    """Compare the recipes, print the table and write it."""
    audio_dir = options.audio_dir or options.output_dir / "spoken" / "words"
    if options.audio_dir is None:
        synthetic_speech.speak_words(
            audio_dir, speakers=options.speakers, takes=options.takes, seed=options.random_seed
        )
    result = compare(audio_dir, options)
    path = options.output_dir / audio_dir.resolve().name / "recipes.json"
    options.write(path, result, tables(result), introduction(result))
    return 0


def compare(audio_dir: Path, options: RecipesOptions) -> dict[str, Any]:
    """Draw, train and score by each recipe; pictures and caches are made anew, so that times are honest.

    Returns:
        dict: `labels`, `recordings` tested, `trained_on`, and `recipes`: of each its `name`, `chunk` and `recording`
        with `n`, `accuracy` and `ci95`, `chunk_seconds`, `training_seconds`, `size_bytes`, `seconds_per_recording`
        and `chosen`.

    Raises:
        InputError: too few recordings.
    """
    tested: frozenset[str] | None = None
    rows: list[dict[str, Any]] = []
    labels: tuple[str, ...] = ()
    count = 0
    folder = options.output_dir / "recipes"
    for recipe in map(find_recipe, options.names):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=f"{recipe.name}-") as scratch:
            start = time.perf_counter()
            dataset, _ = dataset_of(audio_dir, Path(scratch), group_by=options.group_by, recipe=recipe)
            if tested is None:
                tested = _held_out(dataset, options.test, options.random_seed)
            known = tuple(example for example in dataset.examples if example.recording not in tested)
            trainer = Trainer(
                replace(dataset, examples=known),
                _settings(recipe, group_by=options.group_by, seed=options.random_seed),
                bottleneck_dir=Path(scratch) / "bottlenecks",
            )
            trained = trainer.train(trainer.data)
            seconds = time.perf_counter() - start
            labels, count = dataset.labels, len({example.recording for example in known})
            rows.append(_row(recipe, trained, seconds, dataset, tested, audio_dir))
            log("  ".join(_cells(rows[-1])))
    return {"labels": list(labels), "trained_on": count, "recordings": len(tested or ()), "recipes": rows}


def tables(result: Mapping[str, Any]) -> dict[str, Table]:
    """Return the table of a result of `compare` by its title."""
    return {"Recipes": (COLUMNS, [_cells(row) for row in result["recipes"]])}


def introduction(result: Mapping[str, Any]) -> str:
    """Return what must be known to read the table."""
    return (
        f"{len(result['labels'])} labels, {result['trained_on']} recordings trained on, {result['recordings']} others "
        "tested. In brackets: 95 % interval, by bootstrap over recordings. Chunks of different lengths do not compare. "
        "Training: from sounds to a classifier. ms a clip: from a sound file to its label, one by one."
    )


def _held_out(dataset: Dataset, test: str | None, seed: int) -> frozenset[str]:
    if test is None:
        splits = assign_splits(dataset.examples, testing_percentage=20, validation_percentage=20, seed=seed)
        groups = {group for group, split_name in splits.items() if split_name == "testing"}
    else:
        groups = groups_by_name(dataset, test)
    return frozenset(example.recording for example in dataset.examples if example.group in groups)


def _settings(recipe: Recipe, *, group_by: str, seed: int) -> TrainingSettings:
    """Return the recipe's own, but that nothing is held out for testing: that was done for all of them."""
    settings = changed(TrainingSettings(), recipe.training)
    holdout = replace(settings.holdout, testing_percentage=0, folds=0, group_by=group_by, random_seed=seed)
    return replace(settings, holdout=holdout)


def _row(
    recipe: Recipe, trained: TrainedModel, seconds: float, dataset: Dataset, tested: frozenset[str], audio_dir: Path
) -> dict[str, Any]:
    training_data, best = trained.data, trained.selected.best
    classifier = Classifier(
        labels=training_data.labels,
        members=members_of(trained),
        about={},
        open_set=trained.selected.open_set,
        similarity=trained.selected.similarity,
    )
    chunks: dict[str, list[Example]] = defaultdict(list)
    for example in dataset.examples:
        if example.recording in tested:
            chunks[example.recording].append(example)
    scored, times = [], []
    classifier.score(audio_dir / next(iter(chunks)))  # once for nothing, as the network is compiled
    for recording, of_it in chunks.items():
        start = time.perf_counter()
        answer = classifier.score(audio_dir / recording)
        times.append(time.perf_counter() - start)
        logits = np.log(np.maximum(answer.chunk_probabilities, QUIETEST))
        levels = levels_of(sorted(of_it, key=lambda chunk: chunk.offset_seconds))
        first = of_it[0]
        scored.append(ScoredRecording(recording, first.label, logits, levels_dbfs=levels, group=first.group))
    return {
        "name": recipe.name,
        **accuracies(scored, training_data.labels),
        "chunk_seconds": recipe.chunk_seconds,
        "training_seconds": seconds,
        "size_bytes": _size(classifier),
        "seconds_per_recording": float(np.median(times)),
        "chosen": f"{best.trainer} on {trained.backbones[0].architecture} {trained.backbones[0].bottleneck}",
    }


def _size(classifier: Classifier) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        classifier.save(Path(scratch))
        return sum(path.stat().st_size for path in Path(scratch).iterdir())


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [
        row["name"],
        *(_with_interval(row[level]) for level in ("recording", "chunk")),
        f"{row['chunk_seconds']:g}",
        f"{row['training_seconds']:.0f}",
        f"{row['size_bytes'] / 1e6:.1f}",
        f"{1000 * row['seconds_per_recording']:.0f}",
        row["chosen"],
    ]


def _with_interval(score: Mapping[str, Any]) -> str:
    low, high = score["ci95"] or (0.0, 1.0)
    return f"{score['accuracy']:.1%} ({low:.0%}-{high:.0%})"
