"""How often the forecast of a learning curve, made from half of the recordings, holds what all of them give."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from audionet.cli import EXIT_FAILED
from audionet.data.dataset import Dataset
from audionet.data.splits import SPLITS
from audionet.training.learning_curve import learning_curve
from audionet.training.training_data import Samples
from benchmarks.default_training import gather_all
from benchmarks.options import LearningCurveOptions
from benchmarks.recording_holdout import dataset_of

LEVELS = ("chunk", "recording")
INTRODUCTION = (
    "Half of each label's groups are drawn by chance, again and again. Forecasts are of twice as many as the half has "
    "to train on; full results are of all recordings, interpolated at that number."
)


def run(options: LearningCurveOptions) -> int:
    """Forecast, compare, print and write the result; return 1 if any recording had to be set aside."""
    dataset, failures = dataset_of(options.audio_dir, options.folder, group_by=options.group_by)
    trials = measure(dataset, options)
    tables = {"Forecasts from half of the recordings": table_of(trials)}
    options.write(options.folder / "learning_curve.json", {"trials": trials}, tables, INTRODUCTION)
    return EXIT_FAILED if failures else 0


def measure(dataset: Dataset, options: LearningCurveOptions) -> list[dict[str, Any]]:
    """Return for each trial by level `forecast` and `full`, accuracies, and `ci95` of the forecast."""
    data = gather_all(dataset, options)
    seen = [data.seen_by(number).select(*SPLITS, views=False) for number in range(1 + len(data.others))]
    names = [network.bottlenecks[0] for network in data.networks]
    trials = []
    for trial in range(options.trials):
        rng = np.random.default_rng([options.random_seed, trial])
        half = half_of(seen[0], rng)
        found = learning_curve(
            seen[0].take(half),
            [one.take(half).bottlenecks(name) for one, name in zip(seen, names, strict=True)],
            seed=trial,
        )
        full = learning_curve(
            seen[0], [one.bottlenecks(name) for one, name in zip(seen, names, strict=True)], seed=trial
        )
        assert found is not None and full is not None  # there are more than two groups a label
        trials.append({level: _compared(found["forecast"][level], full, level) for level in LEVELS})
    return trials


def _compared(forecast: Mapping[str, Any], full: Mapping[str, Any], level: str) -> dict[str, Any]:
    sizes = [point["size"] for point in full["recordings"]]
    accuracies = [point[level]["accuracy"] for point in full["recordings"]]
    reached = float(np.interp(np.log(forecast["size"]), np.log(sizes), accuracies))
    return {"forecast": forecast["accuracy"], "ci95": forecast["ci95"], "full": reached, "size": forecast["size"]}


def half_of(samples: Samples, rng: np.random.Generator) -> np.ndarray:
    """Return which samples are of one half of each label's groups, drawn by chance: bool, shape (n,)."""
    groups = samples.group_ids()
    chosen: set[int] = set()
    for label in np.unique(samples.label_ids):
        of_label = np.unique(groups[samples.label_ids == label])
        chosen |= set(rng.choice(of_label, max(2, len(of_label) // 2), replace=False).tolist())
    return np.isin(groups, sorted(chosen))


def table_of(trials: list[dict[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the headings and the rows of the table of the trials."""
    rows: list[tuple[str, ...]] = []
    for level in LEVELS:
        of_level = [trial[level] for trial in trials]
        held = sum(one["ci95"][0] <= one["full"] <= one["ci95"][1] for one in of_level)
        width = np.mean([one["ci95"][1] - one["ci95"][0] for one in of_level])
        off = np.mean([one["forecast"] - one["full"] for one in of_level])
        rows.append((level, f"{held} of {len(trials)}", f"{100 * width:.1f}", f"{100 * off:+.1f}"))
    return ("level", "within the interval", "its width, points", "forecast above the result, points"), rows
