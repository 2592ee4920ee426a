"""Two evaluations on the same recordings: which is better, by how much, and whether that may be chance."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field, InstanceOf, TypeAdapter, model_validator

from audionet.errors import InputError
from audionet.evaluation.intervals import group_weights, interval, json_interval, labels_of_groups, resampled
from audionet.evaluation.runs import find_run
from audionet.evaluation.scored_recording import numbered
from audionet.files import brief, printable
from audionet.json_files import parse_json, validated
from audionet.regular_files import read_regular
from audionet.wording import counted

EVALUATION_NAMES = ("evaluation.json", "metrics.json")
SIGNIFICANT = 0.05
FLIPS = 9_999


class _KnownRow(BaseModel, strict=True):
    """What a comparison reads of a recording that the classifier has a label for."""

    known: Literal[True]
    recording: InstanceOf[str]  # a file's name, which may hold what is no Unicode
    group: InstanceOf[str] = ""
    label: InstanceOf[str]
    right: bool
    chunks: Annotated[int, Field(ge=1, le=2**31)]
    chunks_right: Annotated[int, Field(ge=0, le=2**31)]

    @model_validator(mode="after")
    def _holds_together(self) -> "_KnownRow":
        if self.chunks_right > self.chunks:
            raise ValueError("more chunks are right than there are")
        return self


class _OtherRow(BaseModel, strict=True):
    known: Literal[False]


_ROWS = TypeAdapter(list[Annotated[_KnownRow | _OtherRow, Field(discriminator="known")]])


def read_evaluation(name: str, *, runs_dir: Path) -> dict[str, Any]:
    """Return an evaluation that lists its recordings.

    Args:
        name: a JSON file that `audionet evaluate` wrote, a folder with such a file or with a classifier, or the id of a
            run or its beginning.
        runs_dir: the folder of records.

    Raises:
        InputError: there is no such evaluation.
    """
    path = Path(name)
    files = [path / file for file in EVALUATION_NAMES] if path.is_dir() else [path]
    file = next((file for file in files if file.is_file()), None)
    found = _read_json(file) if file else find_run(runs_dir, name)
    if found is None:
        raise InputError(
            "--compare: expected a JSON file of audionet evaluate, a classifier folder or the id of a run, "
            f"received {printable(name)!r}. audionet runs lists the runs."
        )
    evaluation = found.get("scores", found)  # the record of a run has them there
    try:
        rows = validated(_ROWS, evaluation.get("recordings", []) if isinstance(evaluation, dict) else [])
    except ValueError as error:
        raise InputError(
            f"--compare: the recordings in {printable(name)} are not as audionet evaluate writes them ({error}). "
            "Make it anew with audionet evaluate --json FILE."
        ) from error
    if not any(row.known for row in rows):
        raise InputError(
            f"--compare: {printable(name)} lists no recordings with their answers. Make it anew with "
            "audionet evaluate --json FILE."
        )
    return dict(evaluation)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = parse_json(read_regular(path))
    except (OSError, ValueError) as error:
        raise InputError(f"--compare: {printable(path)} cannot be read as JSON ({brief(error)}).") from error
    return value if isinstance(value, dict) else {}


def compare_named(name_a: str, name_b: str, *, runs_dir: Path) -> dict[str, Any]:
    """Compare two evaluations as `compare` does, by their names as `read_evaluation` takes them."""
    return compare(read_evaluation(name_a, runs_dir=runs_dir), read_evaluation(name_b, runs_dir=runs_dir))


def compare(evaluation_a: Mapping[str, Any], evaluation_b: Mapping[str, Any], *, seed: int = 0) -> dict[str, Any]:
    """Compare two evaluations on the recordings that both have, with the same label.

    Returns:
        `recordings` and `groups`, how many both have; `only_a_has` and `only_b_has`, how many one has; and under
        `recording` and `chunk`: `accuracy_a`, `accuracy_b`, `difference` (B minus A), its `ci95` and `p_value`. That of
        recordings is `mcnemar`'s, with `only_a_right` and `only_b_right`; that of chunks is `sign_flip_p_value` of the
        groups' differences. And `words`.

    Raises:
        InputError: they have no recording in common.
    """
    rows_a, rows_b = (
        {(row["recording"], row["label"]): row for row in evaluation["recordings"] if row["known"]}
        for evaluation in (evaluation_a, evaluation_b)
    )
    common = [key for key in rows_a if key in rows_b]
    if not common:
        raise InputError(
            f"--compare: expected two evaluations on the same recordings, but none of A's {len(rows_a)} is among B's "
            f"{len(rows_b)}. Evaluate both classifiers on one folder."
        )
    right_a, right_b = (np.array([rows[key]["right"] for key in common]) for rows in (rows_a, rows_b))
    hits_a, hits_b = (np.array([rows[key]["chunks_right"] for key in common]) for rows in (rows_a, rows_b))
    chunks_a, chunks_b = (np.array([rows[key]["chunks"] for key in common]) for rows in (rows_a, rows_b))
    each = np.ones(len(common))
    groups = _common_groups([rows_a[key] for key in common], [rows_b[key] for key in common])
    only_a, only_b, p_value = mcnemar(right_a, right_b, groups)
    labels = np.unique([label for _, label in common], return_inverse=True)[1]
    # A group's recordings are drawn together, so that each has its group's weight.
    weights = group_weights(labels_of_groups(labels, groups), seed=seed)[:, groups]
    result: dict[str, Any] = {
        "recordings": len(common),
        "groups": len(np.unique(groups)),
        "only_a_has": len(rows_a) - len(common),
        "only_b_has": len(rows_b) - len(common),
        "recording": {
            **_difference(right_a, right_b, each, each, weights, groups),
            "only_a_right": only_a,
            "only_b_right": only_b,
            "p_value": p_value,
        },
        "chunk": {
            **_difference(hits_a, hits_b, chunks_a, chunks_b, weights, groups),
            "p_value": sign_flip_p_value(
                np.bincount(groups, hits_b * (chunks_a.sum() / chunks_b.sum()) - hits_a), seed=seed
            ),
        },
    }
    return result | {"words": _in_words(result)}


def _common_groups(rows_a: Sequence[Mapping[str, Any]], rows_b: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Return the group of each recording, of whichever evaluation has fewer groups: int, shape (recordings,)."""
    both = [numbered([row.get("group", row["recording"]) for row in rows]) for rows in (rows_a, rows_b)]
    return min(both, key=lambda groups: len(np.unique(groups)))


def _difference(
    right_a: np.ndarray,
    right_b: np.ndarray,
    rows_a: np.ndarray,
    rows_b: np.ndarray,
    weights: np.ndarray,
    groups: np.ndarray,
) -> dict[str, Any]:
    """Return both accuracies and their difference; A may have cut a recording into more chunks than B."""
    accuracy_a, accuracy_b = right_a.sum() / rows_a.sum(), right_b.sum() / rows_b.sum()
    drawn = paired_differences(right_a, right_b, rows_a, rows_b, weights=weights)
    return {
        "accuracy_a": float(accuracy_a),
        "accuracy_b": float(accuracy_b),
        "difference": float(accuracy_b - accuracy_a),
        "ci95": json_interval(interval(drawn), groups=len(np.unique(groups))),
    }


def _in_words(result: Mapping[str, Any]) -> str:
    recording, chunk = result["recording"], result["chunk"]
    common, only_a, only_b = result["recordings"], recording["only_a_right"], recording["only_b_right"]
    asides = [
        f"{result[key]} more {'was' if result[key] == 1 else 'were'} tested on {name} alone"
        for key, name in (("only_a_has", "A"), ("only_b_has", "B"))
        if result[key]
    ]
    aside = f" ({'; '.join(asides)})" if asides else ""
    beginning = f"On the {counted(common, 'recording')} that both were tested on{aside}, "
    right_a, right_b = (round(recording[key] * common) for key in ("accuracy_a", "accuracy_b"))
    if only_a + only_b == 0:
        verdict = f"A and B are right about the same {right_a}: there is no difference to be seen between them. "
    else:
        better = "B is better" if only_b > only_a else "A is better"
        scores = f"A is right about {right_a} and B about {right_b}, {_points(recording)}. "
        alone = f"Only A is right about {only_a}, only B about {only_b}: "
        test = f"McNemar's exact test {resampled(result)}, p = {recording['p_value']:.2g}"
        if recording["p_value"] < SIGNIFICANT:
            chance = f"{better}, and hardly by chance ({test}). "
        elif only_a == only_b:
            chance = "neither is better. "
        else:
            chance = f"that may well be chance ({test}). "
        verdict = scores + alone + chance
    by_chunk = f"By chunk it is {chunk['accuracy_a']:.1%} against {chunk['accuracy_b']:.1%}, {_points(chunk)}."
    return beginning + verdict + by_chunk


def _points(level: Mapping[str, Any]) -> str:
    words = f"{100 * level['difference']:+.1f} points"
    if level["ci95"] is None:
        return words
    low, high = (100 * value for value in level["ci95"])
    return f"{words} (95 % interval {low:+.1f} to {high:+.1f})"


def mcnemar(right_a: np.ndarray, right_b: np.ndarray, groups: np.ndarray | None = None) -> tuple[int, int, float]:
    """Compare two classifiers by the recordings that only one of them gets right; both bool, shape (n,).

    Were both equally good, each group's balance could as well be the other way round: all such ways are counted.
    Where each recording is a group of its own, that is McNemar's exact test.

    Args:
        right_a: whether A is right.
        right_b: whether B is.
        groups: int, shape (n,), the group of each recording, from 0; by default each is one of its own.

    Returns:
        How many only A gets right, how many only B does, and the probability that chance would divide them as
        unevenly.

    Source: Q. McNemar, Psychometrika 12 (1947); R. Fisher, "The Design of Experiments" (1935), for the groups.
    """
    right_a, right_b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    only_a, only_b = right_a & ~right_b, right_b & ~right_a
    balances = np.bincount(np.arange(len(right_a)) if groups is None else groups, only_b.astype(int) - only_a)
    # The probability of each sum that the balances can have, of either sign; the middle is that of 0.
    probabilities = np.ones(1)
    for balance in np.abs(balances[balances != 0]).astype(int):
        either = np.zeros(2 * balance + 1)
        either[[0, -1]] = 0.5
        probabilities = np.convolve(probabilities, either)
    middle = len(probabilities) // 2
    far = np.abs(np.arange(len(probabilities)) - middle) >= abs(int(balances.sum()))
    return int(only_a.sum()), int(only_b.sum()), min(1.0, float(probabilities[far].sum()))


def sign_flip_p_value(differences: np.ndarray, *, seed: int = 0) -> float:
    """Return the probability that chance would make paired differences, shape (n,), sum up to as much either way.

    Were both equally good, each difference could as well have the other sign: `FLIPS` such ways are drawn.

    Source: R. Fisher, "The Design of Experiments" (1935); B. Phipson and G. Smyth, "Permutation P-values Should Never
    Be Zero", SAGMB 9 (2010), for the observed way, which counts as one of them.
    """
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), (FLIPS, len(differences)))
    sums, observed = np.abs(signs @ differences), abs(float(differences.sum()))
    return float((1 + (sums >= observed - 1e-9).sum()) / (FLIPS + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values of several tests, each enlarged so that one below 0.05 is hardly by chance among all of them.

    Source: S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Statist. 6 (1979).
    """
    order = np.argsort(p_values, kind="stable")
    enlarged = np.asarray(p_values, float)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(enlarged), 1)
    return [float(one) for one in adjusted]


def paired_differences(
    right_a: np.ndarray, right_b: np.ndarray, rows_a: np.ndarray, rows_b: np.ndarray, *, weights: np.ndarray
) -> np.ndarray:
    """Return B's accuracy minus A's in each resample of the recordings that both were tested on.

    Args:
        right_a: shape (recordings,), how many rows of each A gets right.
        right_b: likewise.
        rows_a: shape (recordings,), how many rows A was asked about.
        rows_b: likewise.
        weights: shape (resamples, recordings), how often each was drawn.
    """
    differences: np.ndarray = weights @ right_b / (weights @ rows_b) - weights @ right_a / (weights @ rows_a)
    return differences
