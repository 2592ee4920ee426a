"""How well clips of labels held out of training are told to be of the same label or of two.

    all labels -> draws: which are held out -> the space is fitted on the others -> clips of those held out, compared

Every recording of a label held out is enrolled by itself, and every other one of those held out is compared with it,
chunk by chunk and as a whole, so that no recording is compared with a prototype that it had a part in. A speaker
encoder, which was trained on thousands of other voices, is given the very same comparisons.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from audionet.cli import EXIT_FAILED
from audionet.data.dataset import Dataset, Example
from audionet.data.splits import SPLITS
from audionet.errors import InputError
from audionet.evaluation.detection_metrics import auroc, detection_curve, equal_error_rate
from audionet.parallel import process_pool
from audionet.tables import print_table
from audionet.training.fitting.comparisons import by_recording, compare_recordings
from audionet.training.fitting.similarity_fitting import fit_space
from audionet.training.training_data import TrainingData
from benchmarks.accuracy.feature_extractors import speaker_encoders
from benchmarks.default_training import DefaultTraining
from benchmarks.label_holdout import Draw, draws_of, mean_of, train_draws, with_range
from benchmarks.options import VerificationOptions
from benchmarks.recording_holdout import dataset_of

LEVELS = ("chunk", "recording")


def run(options: VerificationOptions) -> int:
    """Draw, train, compare, print and write the result; return 1 if any recording had to be set aside."""
    dataset, failures = dataset_of(options.audio_dir, options.folder, group_by=options.group_by)
    held_out = options.held_out or max(2, len(dataset.labels) // 3)
    count = options.draws or -(-len(dataset.labels) // held_out)
    draws = draws_of(dataset.labels, held_out=held_out, count=count, seed=options.random_seed)
    training = DefaultTraining.of(options)
    with process_pool(os.cpu_count() or 1) as pool:
        encoders = speaker_encoders(options.bottleneck_dir, pool, dataset.recipe) if options.baselines else {}
        result = measure(dataset, draws, training, encoders)
    print_result(result)
    options.write(options.folder / "verify.json", result)
    return EXIT_FAILED if failures else 0


def measure(
    dataset: Dataset,
    draws: Sequence[Draw],
    training: DefaultTraining,
    encoders: Mapping[str, Callable[[Sequence[Example]], np.ndarray]],
) -> dict[str, Any]:
    """Compare the recordings of the labels that each draw holds out.

    The encoders, by name, give vectors of chunks, shape (n, dimension), which are compared by their cosine.

    Returns:
        dict: `labels`; `draws`, a list of `left_out`, `bottleneck`, `n_same` and `n_other` by level, `chunk` or
        `recording`, and `systems`; `mean` of these over the draws. `systems` has by name and level `eer` and `auroc`.

    Raises:
        InputError: a draw holds out nothing that could be the same or another.
    """
    label_of = {example.recording: example.label for example in dataset.examples}
    found = []
    for draw, training_data, selected in train_draws(dataset, draws, training):
        unknown = training_data.select(*SPLITS, unknown=True).pictures()
        embeddings = {"AudioNet": _embed_unknown(training_data, selected.best.bottleneck)}
        embeddings |= {name: _unit(encode(unknown)) for name, encode in encoders.items()}
        labels = np.array([label_of[example.recording] for example in unknown])
        recordings = np.array([example.recording for example in unknown])
        found.append(
            {
                "left_out": list(draw.unknown),
                "bottleneck": selected.best.bottleneck,
                **_compared(embeddings, labels, recordings),
            }
        )
    return {"labels": list(dataset.labels), "draws": found, "mean": mean_of([one["systems"] for one in found])}


def _embed_unknown(training_data: TrainingData, bottleneck: str) -> np.ndarray:
    """Return where the chunks of labels held out lie in a space that is fitted on the others, as in training."""
    known = training_data.select("training", "validation")
    space = fit_space(known.bottlenecks(bottleneck), known.label_ids, np.arange(len(known)))
    return space.places(training_data.select(*SPLITS, unknown=True).bottlenecks(bottleneck)[:])


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float32)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))


def _compared(embeddings: Mapping[str, np.ndarray], labels: np.ndarray, recordings: np.ndarray) -> dict[str, Any]:
    """Return how many comparisons there are, and how each system does."""
    systems = {}
    for name, of_system in embeddings.items():
        compared = compare_recordings(of_system, labels, recordings)
        by_level = dict(zip(LEVELS, ((compared.scores, compared.is_same), by_recording(compared)), strict=True))
        systems[name] = {level: _rates(scores, is_same) for level, (scores, is_same) in by_level.items()}
    counts = {
        key: {level: int((is_same == wanted).sum()) for level, (_, is_same) in by_level.items()}
        for key, wanted in (("n_same", True), ("n_other", False))
    }
    return {**counts, "systems": systems}


def _rates(scores: np.ndarray, is_same: np.ndarray) -> dict[str, float]:
    curve = detection_curve(scores[is_same], scores[~is_same])
    if curve is None:
        raise InputError(
            "--held_out: labels held out are compared with each other, and here nothing is the same or "
            "nothing is another. Hold out two labels or more, with two recordings each."
        )
    return {"eer": equal_error_rate(curve), "auroc": auroc(curve)}


def print_result(result: Mapping[str, Any]) -> None:
    """Print what `measure` found to stdout."""
    draws = result["draws"]
    columns = [(name, level) for name in result["mean"] for level in LEVELS]
    headings = [f"{name}, {level}s" for name, level in columns]
    rows = [
        [words, *(with_range([draw["systems"][name][level][rate] for draw in draws]) for name, level in columns)]
        for rate, words in (("eer", "equal error rate"), ("auroc", "AUROC"))
    ]
    print_table(["", *headings], rows, title="The same or another", numbers=headings)
    counts = {
        (key, level): sum(draw[key][level] for draw in draws) for key in ("n_same", "n_other") for level in LEVELS
    }
    print(
        f"Means over {len(draws)} draws of {len(draws[0]['left_out'])} of {len(result['labels'])} labels held out "
        f"altogether, and the lowest and highest in brackets; by whole recordings {counts['n_same', 'recording']} "
        f"comparisons of the same label and {counts['n_other', 'recording']} of others, by chunk "
        f"{counts['n_same', 'chunk']} and {counts['n_other', 'chunk']}. Each rests on one recording that is enrolled."
    )
