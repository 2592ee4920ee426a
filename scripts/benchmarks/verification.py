"""How well clips of labels that nobody trained on are told apart: whether two are of the same one.

    all labels -> draws: which are left out -> the space is fitted on the others -> clips of those left out, compared

Every recording of a label left out is enrolled by itself, and every other one of those left out is compared with it,
chunk by chunk and as a whole, so that no recording is compared with a prototype that it had a part in. A speaker
encoder, which was trained on thousands of other voices, is given the very same comparisons.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from audionet.console import progress_bar
from audionet.data.dataset import Dataset, Example
from audionet.errors import InputError
from audionet.evaluation.detection import auroc, detection_curve, equal_error_rate
from audionet.models.backbones.backbone import Backbone
from audionet.tables import print_table
from audionet.training.model_selection import Choice
from audionet.training.settings import HoldoutSettings
from audionet.training.similarity_fitting import Trials, fit_space
from audionet.training.training_data import TrainingData, gather_training_data
from benchmarks.open_set import Draw, material_of

OURS = "AudioNet"
LEVELS = ("chunk", "recording")
RATES = ("eer", "auroc")


def measure(
    dataset: Dataset,
    draws: Sequence[Draw],
    *,
    backbone: Backbone,
    choose: Callable[[TrainingData], Choice],
    bottleneck_dir: Path,
    holdout: HoldoutSettings,
    peers: Mapping[str, Callable[[Sequence[Example]], np.ndarray]] | None = None,
) -> dict:
    """Compare the recordings of the labels that each draw leaves out.

    Args:
        dataset: all labels.
        draws: at least one.
        backbone: the network, read at every tap that may be chosen.
        choose: chooses the bottleneck, as in training.
        bottleneck_dir: the cache.
        holdout: what is held out of the other labels.
        peers: by name, what gives vectors of chunks, shape (n, dimension), to be compared by their cosine.

    Returns:
        dict: `labels`; `draws`, a list of `left_out`, `bottleneck`, `n_same` and `n_other` by level, `chunk` or
        `recording`, and `systems`; `mean` of these over the draws. `systems` has by name and level `eer` and `auroc`.

    Raises:
        InputError: a draw leaves out nothing that could be the same or another.
    """
    collect = partial(gather_training_data, backbone=backbone, bottleneck_dir=bottleneck_dir, holdout=holdout)
    label_of = {example.recording: example.label for example in dataset.examples}
    found = []
    with progress_bar(total=len(draws), description="Comparing", unit="draws") as bar:
        for draw in draws:
            material = material_of(dataset, draw, collect)
            bottleneck = choose(material).best.bottleneck
            heard = material.impostor_examples
            places = {OURS: _places(material, bottleneck)}
            places |= {name: _unit(vectors_of(heard)) for name, vectors_of in (peers or {}).items()}
            labels = np.array([label_of[example.recording] for example in heard])
            recordings = np.array([example.recording for example in heard])
            found.append(
                {"left_out": list(draw.unknown), "bottleneck": bottleneck, **_told(places, labels, recordings)}
            )
            bar.update()
    systems = {
        name: {
            level: {rate: float(np.mean([one["systems"][name][level][rate] for one in found])) for rate in RATES}
            for level in LEVELS
        }
        for name in found[0]["systems"]
    }
    return {"labels": list(dataset.labels), "draws": found, "mean": systems}


def _places(material: TrainingData, bottleneck: str) -> np.ndarray:
    """Return where the chunks of labels left out lie in a space that is fitted on the others, as in training."""
    rows, numbers, _ = material.take_for_training(material.rows_of(("training", "validation")), bottleneck=bottleneck)
    space = fit_space(rows, numbers, np.arange(len(numbers)))
    everyone = np.arange(len(material.impostor_examples))
    return space.places(material.take_impostors(everyone, bottleneck=bottleneck)[everyone])


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def _told(places: Mapping[str, np.ndarray], labels: np.ndarray, recordings: np.ndarray) -> dict:
    """Return how many comparisons there are, and how each system does."""
    systems = {}
    for name, of_system in places.items():
        trials = Trials()
        trials.add(of_system, labels, recordings)
        by_level = dict(zip(LEVELS, (trials.by_chunk, trials.by_recording), strict=True))
        systems[name] = {level: _rates(cosines) for level, cosines in by_level.items()}
    counts = {
        key: {level: len(cosines[is_same]) for level, cosines in by_level.items()}
        for key, is_same in (("n_same", True), ("n_other", False))
    }
    return {**counts, "systems": systems}


def _rates(cosines: Mapping[bool, Sequence[float]]) -> dict[str, float]:
    curve = detection_curve(np.array(cosines[True]), np.array(cosines[False]))
    if curve is None:
        raise InputError(
            "--held_out: labels that are left out are compared with each other, and here nothing is the same or "
            "nothing is another. Leave out two labels or more, with two recordings each."
        )
    return {"eer": equal_error_rate(curve), "auroc": auroc(curve)}


def print_measured(result: Mapping) -> None:
    """Print what `measure` found to stdout."""
    draws, mean = result["draws"], result["mean"]
    headings = [f"{name}, {level}s" for name in mean for level in LEVELS]
    rows = [
        [words, *(_with_range(result, name, level, rate) for name in mean for level in LEVELS)]
        for rate, words in zip(RATES, ("equal error rate", "AUROC"), strict=True)
    ]
    print_table(["", *headings], rows, title="The same or another", numbers=headings)
    counts = {
        (key, level): sum(draw[key][level] for draw in draws) for key in ("n_same", "n_other") for level in LEVELS
    }
    print(
        f"Means over {len(draws)} draws of {len(draws[0]['left_out'])} of {len(result['labels'])} labels left out "
        f"altogether, and the lowest and highest in brackets; by whole recordings {counts['n_same', 'recording']} "
        f"comparisons of the same label and {counts['n_other', 'recording']} of others, by chunk "
        f"{counts['n_same', 'chunk']} and {counts['n_other', 'chunk']}. Each rests on one recording that is enrolled."
    )


def _with_range(result: Mapping, name: str, level: str, rate: str) -> str:
    values = [draw["systems"][name][level][rate] for draw in result["draws"]]
    return f"{result['mean'][name][level][rate]:.3f} ({min(values):.3f}-{max(values):.3f})"
