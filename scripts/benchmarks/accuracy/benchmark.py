"""Networks trained as retrain.py trains them, beside the classic way and a speaker encoder, by test condition.

    audio_dir -> pictures -> splits: what is trained on, what is held out -> systems -> accuracy by condition

Recordings held out are scored clean and under every one of the test conditions; all systems are given the very same
samples. Nothing is tuned to a folder: each system chooses on validation recordings among those that it is trained on.
"""

import os
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from audionet.cli import EXIT_FAILED
from audionet.data.dataset import levels_of
from audionet.evaluation.evaluate import ScoredRecording, accuracies
from audionet.features.recipes import find_recipe
from audionet.models.backbones.architectures import find_architecture
from audionet.parallel import process_pool
from audionet.tables import markdown, print_tables
from audionet.training.settings import HoldoutSettings
from benchmarks.accuracy import accuracy_tables
from benchmarks.accuracy.baselines import SPEAKER_ENCODER
from benchmarks.accuracy.feature_extractors import FeatureExtractor, chunk_files
from benchmarks.accuracy.system_times import SystemTimer, measure_times
from benchmarks.accuracy.systems import System, TrainedSystem, systems_of
from benchmarks.accuracy.test_conditions import SUMMED_CONDITIONS, apply_condition, available_conditions
from benchmarks.options import AccuracyOptions
from benchmarks.recording_holdout import TrainTestSplit, dataset_of, split_by_name, splits_by_fold


def run(options: AccuracyOptions) -> int:
    """Draw, train, score, print and write tables; return 1 if any recording had to be set aside."""
    architectures = [find_architecture(name.strip()).name for name in options.architectures.split(",")]
    dataset, failures = dataset_of(options.audio_dir, options.folder, group_by=options.group_by)
    if options.test is None:
        splits = splits_by_fold(dataset, count=options.folds, seed=options.random_seed)
    else:
        splits = [split_by_name(dataset, options.test)]
    with process_pool(os.cpu_count() or 1) as pool:
        systems = systems_of(
            architectures,
            bottleneck_dir=options.bottleneck_dir,
            pool=pool,
            recipe=find_recipe("default"),
            views=options.holdout.views,
            baselines=options.baselines,
        )
        result = measure(systems, splits, holdout=options.holdout)
    tables, introduction = accuracy_tables.tables(result), accuracy_tables.introduction(result)
    print_tables(tables, introduction)
    options.write(options.folder, "accuracy", result, markdown(tables, introduction))
    return EXIT_FAILED if failures else 0


def measure(systems: Sequence[System], splits: Sequence[TrainTestSplit], *, holdout: HoldoutSettings) -> dict[str, Any]:
    """Train every system on every split, score it under every condition, and time it.

    Args:
        systems: what to compare, at least one.
        splits: what to hold out, at least one.
        holdout: as in training; nothing more is held out for testing.

    Returns:
        dict: `labels`, `trials`, names of the splits, `recordings`, `chunks`; `conditions`; `peer`, the speaker
        encoder; `peer_conditions`, whose errors are summed; `skipped`, the reason by name of those that cannot be made;
        and `systems`, a list of `name`, `choices` by split, `conditions`: `chunk` and `recording` with `n`, `accuracy`
        and `ci95` by name; `errors`, the sum, `behind`: the conditions under which it is behind the speaker encoder,
        and what `measure_times` gives.
    """
    holdout = replace(holdout, testing_percentage=0)
    conditions, skipped = available_conditions()
    scores: dict[str, dict[str, list[ScoredRecording]]] = {system.name: defaultdict(list) for system in systems}
    choices: dict[str, dict[str, Any]] = {system.name: {} for system in systems}
    timers: dict[str, SystemTimer] = {}
    for split in splits:
        for system in systems:
            training_data = system.gather(split, holdout)
            start = time.perf_counter()
            trained = system.train(training_data)
            seconds = time.perf_counter() - start
            choices[system.name][split.name] = trained.choice
            for condition in conditions:
                scores[system.name][condition] += _score(
                    system.extractor, trained, split, condition, holdout.random_seed
                )
            count = len(training_data.examples) + len(training_data.view_rows)
            served = system.serving_extractor(trained.bottleneck)
            timers[system.name] = SystemTimer(system, trained, served, split, count, seconds)
    times = measure_times(list(timers.values()))
    labels = splits[0].dataset.labels
    accuracy = {
        name: {condition: accuracies(scored, labels) for condition, scored in by_condition.items()}
        for name, by_condition in scores.items()
    }
    return {
        "labels": list(labels),
        "trials": [split.name for split in splits],
        "recordings": len({example.recording for split in splits for example in split.tested}),
        "chunks": sum(len(split.tested) for split in splits),
        "conditions": list(conditions),
        "peer_conditions": [name for name in SUMMED_CONDITIONS if name in conditions],
        "skipped": skipped,
        "peer": SPEAKER_ENCODER,
        "systems": [
            {
                "name": system.name,
                "choices": choices[system.name],
                "conditions": accuracy[system.name],
                "errors": _errors(accuracy[system.name]),
                "behind": _behind(accuracy[system.name], accuracy.get(SPEAKER_ENCODER, {})),
                **times[system.name],
            }
            for system in systems
        ],
    }


def _score(
    extractor: FeatureExtractor, trained: TrainedSystem, split: TrainTestSplit, condition: str, seed: int
) -> list[ScoredRecording]:
    items = apply_condition(chunk_files(split.tested), condition, seed=seed, recipe=split.recipe)
    logits = trained.logits(extractor.vectors(items), extractor.slices)
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, example in enumerate(split.tested):
        rows[example.recording, example.label].append(row)
    return [
        ScoredRecording(recording, label, logits[of_one], levels_dbfs=levels_of([split.tested[row] for row in of_one]))
        for (recording, label), of_one in rows.items()
    ]


def _errors(by_condition: Mapping[str, Any]) -> float:
    return sum(1 - float(by_condition[name]["chunk"]["accuracy"]) for name in SUMMED_CONDITIONS if name in by_condition)


def _behind(by_condition: Mapping[str, Any], of_encoder: Mapping[str, Any]) -> list[str]:
    return [
        condition
        for condition, scores in of_encoder.items()
        if by_condition[condition]["chunk"]["accuracy"] < scores["chunk"]["accuracy"]
    ]
