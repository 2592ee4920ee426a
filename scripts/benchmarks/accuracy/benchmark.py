"""Networks trained as retrain.py trains them, beside the classic way and a speaker encoder, by test condition.

    audio_dir -> pictures -> splits: what is trained on, what is held out -> systems -> accuracy by condition

Recordings held out are scored clean and under every one of the test conditions; all systems are given the very same
samples, which are made once for all networks. Nothing is tuned to a folder: each system chooses on validation
recordings among those that it is trained on.
"""

import os
import timeit
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from audionet.cli import EXIT_FAILED
from audionet.data.augmentation import plan_views
from audionet.data.dataset import Example, levels_of
from audionet.evaluation.closed_set import accuracies
from audionet.evaluation.scored_recording import ScoredRecording
from audionet.features.recipes import find_recipe
from audionet.models.backbones.architectures import find_architecture
from audionet.parallel import process_pool
from audionet.training.settings import HoldoutSettings
from benchmarks.accuracy import accuracy_tables
from benchmarks.accuracy.baselines import SPEAKER_ENCODER
from benchmarks.accuracy.feature_extractors import FeatureExtractor, chunk_files
from benchmarks.accuracy.systems import System, TrainedSystem, networks_of, systems_of
from benchmarks.accuracy.test_conditions import SUMMED_CONDITIONS, ChunkVariant, apply_condition, available_conditions
from benchmarks.options import AccuracyOptions
from benchmarks.recording_holdout import TrainTestSplit, dataset_of, split_by_name, splits_by_fold

TIMED_ITEMS = 32
TIMED_ROUNDS = 3


def run(options: AccuracyOptions) -> int:
    """Draw, train, score, print and write tables; return 1 if any recording had to be set aside."""
    for name in options.architecture_names:
        find_architecture(name)
    recipe = find_recipe("default", chunk_seconds=options.chunk_seconds)
    dataset, failures = dataset_of(options.audio_dir, options.folder, group_by=options.group_by, recipe=recipe)
    if options.test is None:
        splits = splits_by_fold(dataset, count=options.folds, seed=options.random_seed)
    else:
        splits = [split_by_name(dataset, options.test)]
    systems = systems_of(options, dataset)
    with process_pool(os.cpu_count() or 1) as pool:
        extractor = FeatureExtractor(networks_of(systems), options.bottleneck_dir, pool)
        result = measure(systems, extractor, splits, holdout=options.holdout)
    path = options.folder / "accuracy.json"
    options.write(path, result, accuracy_tables.tables(result), accuracy_tables.introduction(result))
    return EXIT_FAILED if failures else 0


def measure(
    systems: Sequence[System],
    extractor: FeatureExtractor,
    splits: Sequence[TrainTestSplit],
    *,
    holdout: HoldoutSettings,
) -> dict[str, Any]:
    """Train every system on every split, score it under every condition, and time it.

    Args:
        systems: what is compared.
        extractor: of all of their networks.
        splits: what is trained on and what is held out.
        holdout: which of what is trained on is for validation, and how it is varied.

    Returns:
        dict: `labels`, `trials`, names of the splits, `recordings`, `chunks`; `conditions`; `peers`, names of the
        speaker encoder's systems, those that there are; `peer_conditions`, whose errors are summed; `skipped`, the
        reason by name of those that cannot be made; and `systems`, a list of `name`, `choices` by split, `conditions`:
        `chunk` and `recording` with `n`, `accuracy` and `ci95` by name; `errors`, the sum, `behind`: by peer the
        conditions under which it is behind, `megabytes`, and what `measure_times` gives.
    """
    holdout = replace(holdout, testing_percentage=0)
    conditions, skipped = available_conditions()
    choices: dict[str, dict[str, Any]] = {system.name: {} for system in systems}
    scored: dict[str, dict[str, list[ScoredRecording]]] = {system.name: defaultdict(list) for system in systems}
    trained: dict[str, TrainedSystem] = {}
    for split in splits:
        data = extractor.gather(split, holdout)
        trained = {system.name: system.train(data) for system in systems}
        for name, one in trained.items():
            choices[name][split.name] = one.choice()
        chunks = chunk_files(split.tested)
        for condition in conditions:
            altered = apply_condition(chunks, condition, seed=holdout.random_seed, recipe=split.recipe)
            vectors = extractor.vectors(altered)
            for name, one in trained.items():
                scored[name][condition] += _scored(split.tested, one.logits(one.networks, vectors))
    times = measure_times(list(trained.values()), splits[-1], extractor)
    labels = splits[0].dataset.labels
    accuracy = {
        name: {condition: accuracies(of_one, labels) for condition, of_one in by_condition.items()}
        for name, by_condition in scored.items()
    }
    peers = [system.name for system in systems if system.name.startswith(SPEAKER_ENCODER)]
    return {
        "labels": list(labels),
        "trials": [split.name for split in splits],
        "recordings": len({example.recording for split in splits for example in split.tested}),
        "chunks": sum(len(split.tested) for split in splits),
        "conditions": conditions,
        "peer_conditions": [name for name in SUMMED_CONDITIONS if name in conditions],
        "skipped": skipped,
        "peers": peers,
        "systems": [
            {
                "name": name,
                "choices": choices[name],
                "conditions": by_condition,
                "errors": _errors(by_condition),
                "behind": {peer: _behind(by_condition, accuracy[peer]) for peer in peers},
                "megabytes": trained[name].megabytes,
                **times[name],
            }
            for name, by_condition in accuracy.items()
        ],
    }


def _scored(examples: Sequence[Example], logits: np.ndarray) -> list[ScoredRecording]:
    """Return recordings with the logits of their chunks, which have those of `examples`, shape (n, labels)."""
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, example in enumerate(examples):
        rows[example.recording, example.label].append(row)
    return [
        ScoredRecording(
            recording,
            label,
            logits[of_one],
            levels_dbfs=levels_of([examples[row] for row in of_one]),
            group=examples[of_one[0]].group,
        )
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


def measure_times(
    systems: Sequence[TrainedSystem], split: TrainTestSplit, extractor: FeatureExtractor
) -> dict[str, dict[str, float]]:
    """Time systems in turn, so that a machine that is busy for a while is busy for all; the first round only warms up.

    Returns:
        dict: by name, the medians of `training_seconds`, of `views_per_second` in training, on all cores, of
        `chunks_per_second` in batches, and of `single_chunks_per_second` one by one.
    """
    served = [replace(extractor, networks=trained.serving_networks) for trained in systems]
    rounds = [
        [_times(trained, split, extractor, of_one) for trained, of_one in zip(systems, served, strict=True)]
        for _ in range(TIMED_ROUNDS + 1)
    ][1:]
    return {
        trained.system.name: {
            name: float(np.median([of_round[place][name] for of_round in rounds])) for name in rounds[0][place]
        }
        for place, trained in enumerate(systems)
    }


def _times(
    trained: TrainedSystem, split: TrainTestSplit, extractor: FeatureExtractor, served: FeatureExtractor
) -> dict[str, float]:
    sample = chunk_files(split.tested[:TIMED_ITEMS])
    clean = apply_condition(sample, "clean", seed=0, recipe=split.recipe)
    planned = plan_views(sample, count=trained.system.views, seed=0, recipe=split.recipe)
    views: Sequence[ChunkVariant] = [view for of_one in planned for view in of_one][:TIMED_ITEMS] or clean
    trains = replace(extractor, networks=trained.system.networks)

    def classify(batch_size: int) -> None:
        for start in range(0, len(clean), batch_size):
            vectors = served.compute(clean[start : start + batch_size], in_parallel=False)
            trained.logits(served.networks, vectors)

    seconds_per_view = timeit.timeit(lambda: trains.compute(views), number=1) / len(views)
    return {
        "training_seconds": trained.head_seconds + seconds_per_view * trained.samples,
        "views_per_second": 1 / seconds_per_view,
        "chunks_per_second": len(clean) / timeit.timeit(lambda: classify(TIMED_ITEMS), number=1),
        "single_chunks_per_second": len(clean) / timeit.timeit(lambda: classify(1), number=1),
    }
