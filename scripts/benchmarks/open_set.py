"""How well unknown clips are refused: labels are held out altogether, and scored by a classifier not trained on them.

Or all labels but one are, each in turn, which measures what a classifier of one label makes of everything else.

The baseline is what is done for want of anything better: a clip counts as unknown if no label has a probability of one
half.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from audionet.cli import EXIT_FAILED
from audionet.data.dataset import Dataset
from audionet.evaluation.detection_metrics import auroc, detection_curve, equal_error_rate
from audionet.evaluation.evaluate import evaluate
from audionet.evaluation.scored_recording import ScoredRecording
from audionet.files import UNKNOWN_LABEL, printable
from audionet.models.openset import BY_ODDS
from audionet.models.pooling import log_softmax, pool
from audionet.tables import print_table
from audionet.training.final_evaluation import score_held_out
from audionet.training.model_selection import SelectedModel
from audionet.training.training_data import TrainingData
from benchmarks.default_training import DefaultTraining
from benchmarks.label_holdout import Draw, draws_of, mean_of, train_draws, with_range
from benchmarks.options import OpenSetOptions
from benchmarks.recording_holdout import dataset_of

LEAST_PROBABILITY = 0.5  # of the baseline, for a clip to count as known
DETECTORS = ("score", "probability")
LEVELS = ("chunk", "recording")
RATES = ("auroc", "eer", "false_accept_rate", "false_reject_rate")
NOT_NUMBERS = ("held_out", "scored_by")
ONE_CLASS_RATES = ("auroc", "pauc", "false_accept_rate", "false_reject_rate")


def run(options: OpenSetOptions) -> int:
    """Draw, train, score, print and write the result; return 1 if any recording had to be set aside."""
    dataset, failures = dataset_of(options.audio_dir, options.folder, group_by=options.group_by)
    if options.one_class:
        result = measure_one_class(dataset, DefaultTraining.of(options, dataset))
        print_one_class(result)
        options.write(options.folder / "one_class.json", result)
        return EXIT_FAILED if failures else 0
    held_out = max(1, len(dataset.labels) // 3) if options.held_out is None else options.held_out
    draws = draws_of(dataset.labels, held_out=held_out, count=options.draws, seed=options.random_seed)
    result = measure(dataset, draws, DefaultTraining.of(options, dataset))
    print_result(result)
    options.write(options.folder / "unknown.json", result)
    return EXIT_FAILED if failures else 0


def measure(dataset: Dataset, draws: Sequence[Draw], training: DefaultTraining) -> dict[str, Any]:
    """Train on the known labels of every draw, and score recordings of both kinds that were held out.

    Returns:
        dict: `draws`, a list of `held_out`, `scored_by`, `stated_rate`, `accuracy` by level, and by detector, `score`
        or `probability`, and level `auroc`, `eer`, `false_accept_rate` and `false_reject_rate`; `mean` of these over
        the draws; `n_known` and `n_unknown`, recordings in all draws.
    """
    found = [_measured(*trained) for trained in train_draws(dataset, draws, training)]
    return {
        "labels": list(dataset.labels),
        "n_known": sum(one.pop("n_known") for one in found),
        "n_unknown": sum(one.pop("n_unknown") for one in found),
        "draws": found,
        "mean": mean_of([{key: value for key, value in one.items() if key not in NOT_NUMBERS} for one in found]),
    }


def measure_one_class(dataset: Dataset, training: DefaultTraining) -> dict[str, Any]:
    """Train on each label alone, and score its recordings that were held out, and those of all others.

    Returns:
        dict: `labels`, a list of `label`, and by level, `chunk` or `recording`, `auroc`, `pauc`, `false_accept_rate`
        and `false_reject_rate`; `mean` of these over the labels; and the `stated_false_reject_rate`.
    """
    labels = dataset.labels
    draws = [Draw(tuple(other for other in labels if other != label), (label,)) for label in labels]
    rows = []
    for draw, data, selected in train_draws(dataset, draws, training):
        open_set = evaluate(score_held_out(selected, data), data.labels)["open_set"]
        levels = {"chunk": open_set["chunk"], "recording": open_set}
        found = {level: {name: value[name] for name in ONE_CLASS_RATES} for level, value in levels.items()}
        rows.append({"label": draw.known[0], **found})
    return {
        "labels": rows,
        "mean": mean_of([{level: row[level] for level in LEVELS} for row in rows]),
        "stated_false_reject_rate": training.head.false_reject_rate,
    }


def print_one_class(result: Mapping[str, Any]) -> None:
    """Print what `measure_one_class` found to stdout."""
    names = ("AUROC", "partial AUROC", "unknown accepted", "known refused")
    headings = [f"{name}, {level}s" for name in names for level in LEVELS]
    rows = [
        [name, *(f"{found[level][rate]:.3f}" for rate in ONE_CLASS_RATES for level in LEVELS)]
        for name, found in [*((printable(row["label"]), row) for row in result["labels"]), ("mean", result["mean"])]
    ]
    print_table(["", *headings], rows, title="One label alone, all others unknown", numbers=headings)
    print(
        "The threshold was fitted on the label alone, to refuse "
        f"{100 * result['stated_false_reject_rate']:g}% of its next clips."
    )


def _measured(draw: Draw, training_data: TrainingData, selected: SelectedModel) -> dict[str, Any]:
    scored = score_held_out(selected, training_data)
    evaluation = evaluate(scored, training_data.labels)
    is_known = np.array([one.label != UNKNOWN_LABEL for one in scored])
    return {
        "held_out": list(draw.unknown),
        "scored_by": selected.open_set.scored_by if selected.open_set else "",
        "n_known": int(is_known.sum()),
        "n_unknown": int((~is_known).sum()),
        "stated_rate": evaluation["open_set"]["stated_rate"],
        "accuracy": {level: evaluation[level]["accuracy"] for level in LEVELS},
        "score": {
            "chunk": {name: evaluation["open_set"]["chunk"][name] for name in RATES},
            "recording": {name: evaluation["open_set"][name] for name in RATES},
        },
        "probability": {level: _by_probability(scored, is_known, level) for level in LEVELS},
    }


def _by_probability(scored: Sequence[ScoredRecording], is_known: np.ndarray, level: str) -> dict[str, float]:
    log_probabilities = [log_softmax(one.logits) for one in scored]
    if level == "recording":
        pooled = [pool(rows, one.weights) for rows, one in zip(log_probabilities, scored, strict=True)]
        likeliest = np.array([of_one.max() for of_one in pooled])
    else:
        likeliest = np.concatenate([np.exp(of_one.max(axis=1)) for of_one in log_probabilities])
        is_known = np.repeat(is_known, [len(of_one) for of_one in log_probabilities])
    curve = detection_curve(likeliest[is_known], likeliest[~is_known])
    assert curve is not None  # there are clips of both kinds
    accepted = likeliest >= LEAST_PROBABILITY
    return {
        "auroc": auroc(curve),
        "eer": equal_error_rate(curve),
        "false_accept_rate": float(accepted[~is_known].mean()),
        "false_reject_rate": float((~accepted[is_known]).mean()),
    }


def print_result(result: Mapping[str, Any]) -> None:
    """Print what `measure` found to stdout."""
    mean, draws = result["mean"], result["draws"]
    headings = [f"{detector}, {level}s" for detector in ("threshold", "softmax above one half") for level in LEVELS]
    rows = [
        [name, *(with_range([draw[by][level][key] for draw in draws]) for by in DETECTORS for level in LEVELS)]
        for key, name in zip(RATES, ("AUROC", "equal error rate", "unknown accepted", "known refused"), strict=True)
    ]
    print_table(["", *headings], rows, title="Known or unknown", numbers=headings)
    print(
        f"Means over {len(draws)} draws of {len(draws[0]['held_out'])} of {len(result['labels'])} labels held out "
        f"altogether, and the lowest and highest in brackets; {result['n_known']} recordings of known labels and "
        f"{result['n_unknown']} of unknown ones. The threshold was fitted to let {100 * mean['stated_rate']:g}% of "
        f"unknown clips pass. Known ones: {mean['accuracy']['chunk']:.1%} of chunks and "
        f"{mean['accuracy']['recording']:.1%} of recordings right. By log odds in the comparison space "
        f"{sum(draw['scored_by'] == BY_ODDS for draw in draws)} times."
    )
