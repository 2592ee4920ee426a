"""How well strangers are refused: labels are held out altogether, and heard by a classifier that never knew of them.

    all labels -> draws: which are held out -> trained on the others -> known and unknown recordings, told apart

The rival is what is done for want of anything better: a clip counts as unknown if no label has a probability of one
half. Beside it stands what the temperature does to the probabilities of the known ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from audionet.console import progress_bar
from audionet.data.dataset import UNKNOWN_LABEL, Dataset
from audionet.errors import InputError
from audionet.evaluation.detection import auroc, detection_curve, equal_error_rate
from audionet.evaluation.evaluate import ScoredRecording, evaluate
from audionet.files import sha256_of
from audionet.models.backbones.backbone import Backbone
from audionet.models.pooling import log_softmax, pool
from audionet.tables import print_table
from audionet.training.cross_validation import score_held_out
from audionet.training.model_selection import Choice
from audionet.training.settings import HoldoutSettings
from audionet.training.training_data import TrainingData, gather_training_data

LEAST_PROBABILITY = 0.5  # of the rival, for a clip to count as known
FEWEST_KNOWN = 3  # labels, so that the threshold is fitted as it is by default
JUDGES = ("score", "probability")
LEVELS = ("chunk", "recording")
RATES = ("auroc", "eer", "false_accept_rate", "false_reject_rate")


@dataclass(frozen=True)
class Draw:
    """One choice of labels to hold out: by name, which are unknown and which are trained on."""

    name: str
    unknown: tuple[str, ...]
    known: tuple[str, ...]


def draws_of(labels: Sequence[str], *, held_out: int, count: int, seed: int = 0) -> list[Draw]:
    """Choose labels to hold out, each about as often as any other.

    Args:
        labels: all there are.
        held_out: how many at a time.
        count: how many draws.
        seed: another seed, other draws.

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
    for number in range(count):
        while len(dict.fromkeys(order)) < held_out:
            order += [str(label) for label in rng.permutation(list(labels))]
        unknown = tuple(dict.fromkeys(order))[:held_out]
        for label in unknown:
            order.remove(label)
        known = tuple(label for label in labels if label not in unknown)
        draws.append(Draw(f"draw {number + 1}", tuple(sorted(unknown)), known))
    return draws


def measure(
    dataset: Dataset,
    draws: Sequence[Draw],
    *,
    backbone: Backbone,
    choose: Callable[[TrainingData], Choice],
    bottleneck_dir: Path,
    holdout: HoldoutSettings,
) -> dict:
    """Train on the known labels of every draw, and score recordings of both kinds that training never heard.

    Args:
        dataset: all labels.
        draws: at least one.
        backbone: the network, read at every tap that may be chosen.
        choose: chooses and trains.
        bottleneck_dir: the cache.
        holdout: what is held out of the known labels.

    Returns:
        dict: `draws`, a list of `held_out`, `stated_rate`, `temperature`, `accuracy` by level, `ece` and `log_loss` of
        chunks with `before` and `after` the temperature, and by judge, `score` or `probability`, and level `auroc`,
        `eer`, `false_accept_rate` and `false_reject_rate`; `mean` of these over the draws; `n_known` and `n_unknown`,
        recordings in all draws.
    """
    collect = partial(gather_training_data, backbone=backbone, bottleneck_dir=bottleneck_dir, holdout=holdout)
    found = []
    with progress_bar(total=len(draws), description="Training", unit="draws") as bar:
        for draw in draws:
            material = material_of(dataset, draw, collect)
            found.append(_measured(draw, material, choose(material)))
            bar.update()
    return {
        "labels": list(dataset.labels),
        "n_known": sum(one.pop("n_known") for one in found),
        "n_unknown": sum(one.pop("n_unknown") for one in found),
        "draws": found,
        "mean": _mean([{key: value for key, value in one.items() if key != "held_out"} for one in found]),
    }


def material_of(dataset: Dataset, draw: Draw, collect: Callable[[Dataset], TrainingData]) -> TrainingData:
    """Return what there is to train on, the labels held out as impostors all of whom are for testing."""
    known = tuple(example for example in dataset.examples if example.label in draw.known)
    unknown = tuple(
        replace(example, label=UNKNOWN_LABEL) for example in dataset.examples if example.label in draw.unknown
    )
    # The split is remembered by the folder's name, and each draw has a split of its own.
    folder = dataset.folder / sha256_of("/".join(draw.unknown).encode("utf-8", "surrogateescape"))[:16]
    material = collect(replace(dataset, folder=folder, labels=draw.known, examples=known, impostors=unknown))
    everyone = np.arange(len(material.impostor_examples))
    return replace(material, impostor_rows={"training": everyone[:0], "validation": everyone[:0], "testing": everyone})


def _measured(draw: Draw, material: TrainingData, choice: Choice) -> dict:
    scored = score_held_out(choice, material)
    evaluation = evaluate(scored, material.labels)
    warm = evaluate([replace(one, logits=one.logits * choice.temperature) for one in scored], material.labels)
    is_known = np.array([one.label != UNKNOWN_LABEL for one in scored])
    return {
        "held_out": list(draw.unknown),
        "n_known": int(is_known.sum()),
        "n_unknown": int((~is_known).sum()),
        "stated_rate": evaluation["open_set"]["stated_rate"],
        "temperature": choice.temperature,
        "accuracy": {level: evaluation[level]["accuracy"] for level in LEVELS},
        "ece": {"before": warm["calibration"]["ece"], "after": evaluation["calibration"]["ece"]},
        "log_loss": {"before": warm["chunk"]["log_loss"], "after": evaluation["chunk"]["log_loss"]},
        "score": {
            "chunk": {name: evaluation["open_set"]["chunk"][name] for name in RATES},
            "recording": {name: evaluation["open_set"][name] for name in RATES},
        },
        "probability": {level: _by_probability(scored, is_known, level) for level in LEVELS},
    }


def _by_probability(scored: Sequence[ScoredRecording], is_known: np.ndarray, level: str) -> dict[str, float]:
    """Return how the rival does."""
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


def _mean(values: Sequence) -> object:
    """Return the mean of numbers, or of what is under each key."""
    if isinstance(values[0], Mapping):
        return {key: _mean([value[key] for value in values]) for key in values[0]}
    return float(np.mean(values))


def print_measured(result: Mapping) -> None:
    """Print what `measure` found to stdout."""
    mean, draws = result["mean"], result["draws"]
    headings = [f"{judge}, {level}s" for judge in ("threshold", "softmax above one half") for level in LEVELS]
    rows = [
        [name, *(_with_range(mean, draws, judge, level, key) for judge in JUDGES for level in LEVELS)]
        for key, name in zip(RATES, ("AUROC", "equal error rate", "unknown accepted", "known refused"), strict=True)
    ]
    print_table(["", *headings], rows, title="Known or unknown", numbers=headings)
    rows = [
        [name, *(f"{mean[key][when]:.3f}" for when in ("before", "after"))]
        for key, name in (("ece", "calibration error"), ("log_loss", "log loss"))
    ]
    print_table(["of known chunks", "before", "after the temperature"], rows)
    print(
        f"Means over {len(draws)} draws of {len(draws[0]['held_out'])} of {len(result['labels'])} labels held out "
        f"altogether, and the lowest and highest in brackets; {result['n_known']} recordings of known labels and "
        f"{result['n_unknown']} of unknown ones. The threshold was fitted to let {mean['stated_rate']:.0%} of unknown "
        f"clips pass. Known ones: {mean['accuracy']['chunk']:.1%} of chunks and {mean['accuracy']['recording']:.1%} of "
        "recordings right."
    )


def _with_range(mean: Mapping, draws: Sequence[Mapping], judge: str, level: str, key: str) -> str:
    values = [draw[judge][level][key] for draw in draws]
    return f"{mean[judge][level][key]:.3f} ({min(values):.2f}-{max(values):.2f})"
