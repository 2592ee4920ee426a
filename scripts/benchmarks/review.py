"""How many labels it takes to come near the full accuracy, by what `audionet review` picks and by chance."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from audionet.cli import EXIT_FAILED
from audionet.data.dataset import Dataset
from audionet.data.splits import SPLITS
from audionet.experiments.review import Recordings, doubt_of, pick
from benchmarks.default_training import gather_all
from benchmarks.options import ReviewOptions
from benchmarks.recording_holdout import dataset_of

TESTED = 3  # one of so many recordings of each label is tested
NEAR = 0.95  # of the full accuracy
HEADINGS = ("trials", "to label", "full accuracy", "labels to reach 95 % of it, picked", "by chance", "ratio")
INTRODUCTION = (
    "A third of each label's recordings is tested; the others have no label at first, and are labelled some at a time, "
    "picked as `review` does or by chance. Accuracies are of tested recordings, means over trials."
)


def run(options: ReviewOptions) -> int:
    """Simulate, print and write the result; return 1 if any recording had to be set aside."""
    dataset, failures = dataset_of(options.audio_dir, options.folder, group_by=options.group_by)
    result = measure(dataset, options)
    options.write(options.folder / "review.json", result, {"Labels needed": table_of(result)}, INTRODUCTION)
    return EXIT_FAILED if failures else 0


def measure(dataset: Dataset, options: ReviewOptions) -> dict[str, Any]:
    """Return `pool`, how many recordings can be labelled, `sizes`, and the mean accuracies `picked` and `chance`."""
    data = gather_all(dataset, options)
    seen = [data.seen_by(number).select(*SPLITS, views=False) for number in range(1 + len(data.others))]
    recordings = Recordings.of(seen, [network.bottlenecks[0] for network in data.networks])
    label_ids = np.array([seen[0].label_ids[rows[0]] for rows in recordings.rows.values()])
    curves: dict[str, list[list[float]]] = {"picked": [], "chance": []}
    sizes: list[int] = []
    for trial in range(options.trials):
        is_tested = tested(label_ids, np.random.default_rng([options.random_seed, trial]))
        for way, found in curves.items():
            sizes, accuracies = simulate(recordings, label_ids, is_tested, way=way, step=options.step, seed=trial)
            found.append(accuracies)
    means = {way: np.mean(found, axis=0).tolist() for way, found in curves.items()}
    return {"trials": options.trials, "pool": sizes[-1], "sizes": sizes, **means}


def tested(label_ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return which recordings are tested, some of each label drawn by chance: bool, shape (recordings,)."""
    is_tested = np.zeros(len(label_ids), bool)
    for label in np.unique(label_ids):
        rows = np.flatnonzero(label_ids == label)
        is_tested[rng.permutation(rows)[: max(1, len(rows) // TESTED)]] = True
    return is_tested


def simulate(
    recordings: Recordings, label_ids: np.ndarray, is_tested: np.ndarray, *, way: str, step: int, seed: int
) -> tuple[list[int], list[float]]:
    """Return how many had a label after each round, and the share of tested recordings that were named right then."""
    rng = np.random.default_rng(seed)
    known = np.full(len(label_ids), -1)
    probabilities: np.ndarray | None = None
    sizes, accuracies = [], []
    while (is_open := (known < 0) & ~is_tested).any():
        if way == "chance":
            chosen = rng.permutation(np.flatnonzero(is_open))[:step].tolist()
        else:
            chosen = pick(
                recordings.vectors,
                is_labelled=known >= 0,
                doubt=doubt_of(probabilities, len(known)),
                is_open=is_open,
                count=step,
                seed=seed,
            )
        known[chosen] = label_ids[chosen]
        probabilities = recordings.probabilities(known, seed=seed)
        labels = np.unique(known[known >= 0])
        answers = labels[probabilities.argmax(axis=1)] if probabilities is not None else np.full(len(known), labels[0])
        sizes.append(int((known >= 0).sum()))
        accuracies.append(float((answers == label_ids)[is_tested].mean()))
    return sizes, accuracies


def needed(result: Mapping[str, Any], way: str) -> int:
    """Return how many labels it takes until the accuracy is near the full one."""
    full = result["chance"][-1]
    return int(next(size for size, share in zip(result["sizes"], result[way], strict=True) if share >= NEAR * full))


def table_of(result: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the headings and the row of the table of a result."""
    picked, chance = needed(result, "picked"), needed(result, "chance")
    row = (str(result["trials"]), str(result["pool"]), f"{result['chance'][-1]:.1%}", str(picked), str(chance))
    return HEADINGS, [(*row, f"{picked / chance:.2f}")]
