"""Fit the space in which clips are compared, and the curve from its cosines to probabilities."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audionet.evaluation.detection_metrics import detection_curve, equal_error_rate
from audionet.evaluation.metrics import rows_by_group
from audionet.models.bottleneck_cache import Rows
from audionet.models.fused_similarity import FusedSimilarity, side_by_side
from audionet.models.similarity import Similarity
from audionet.training.fitting.scatter import scatter_of, space_of

CHUNKS_COMPARED = 10  # of a recording
MOST_COMPARED = 2000  # in all
MOST_PARTS = 3  # that labels are left out in
FEWEST_LABELS = 3


def fit_space(bottlenecks: np.ndarray | Rows, label_ids: np.ndarray, which: np.ndarray) -> Similarity:
    """Fit a space on chunks, without the curve from cosines to odds; arguments as for `scatter_of`."""
    return space_of(scatter_of(bottlenecks, label_ids, which))


def fit_similarity(
    bottlenecks: np.ndarray | Rows, label_ids: np.ndarray, *, recordings: np.ndarray, views: np.ndarray
) -> Similarity | None:
    """Fit a space on all labels, and the curve from cosines to odds on labels left out.

    Bottlenecks, shape (n, dimension), are of chunks and of their augmented views. Each has a label id, int, shape (n,),
    a recording, shape (n,), and a view, int, shape (n,), 0 for a chunk as it is, else the number of the view.

    Returns None for fewer than three labels, or where no label has two recordings.
    """
    labels = np.unique(label_ids)
    if len(labels) < FEWEST_LABELS:
        return None
    compared, parts = _comparisons(label_ids, recordings, views)
    trials = Trials()
    for left_out in parts:
        space = fit_space(bottlenecks, label_ids, np.flatnonzero(~np.isin(label_ids, left_out)))
        rows = compared[np.isin(label_ids[compared], left_out)]
        trials.add(space.places(np.asarray(bottlenecks[rows])), label_ids[rows], recordings[rows])
    if not trials.by_chunk[True] or not trials.by_chunk[False]:
        return None
    space = fit_space(bottlenecks, label_ids, np.arange(len(label_ids)))
    return dataclasses.replace(space, **_meaning(trials))  # type: ignore[arg-type]


def fit_fused_similarity(
    tables: Sequence[np.ndarray | Rows],
    parts: Sequence[Similarity | None],
    label_ids: np.ndarray,
    *,
    recordings: np.ndarray,
    views: np.ndarray,
) -> FusedSimilarity | None:
    """Fit what the sum of several members' cosines means, over labels left out, as `fit_similarity` does for one.

    Each cosine counts by the reciprocal of its spread. `tables` are the members' bottlenecks of the same samples, and
    `parts` their spaces; None where one has none.
    """
    whole = [part for part in parts if part is not None]
    if len(whole) < len(tables):
        return None
    compared, left_out = _comparisons(label_ids, recordings, views)
    alone = [Trials() for _ in tables]
    places: list[tuple[np.ndarray, list[np.ndarray]]] = []
    for labels in left_out:
        rows = compared[np.isin(label_ids[compared], labels)]
        others = np.flatnonzero(~np.isin(label_ids, labels))
        of_members = [
            fit_space(table, label_ids, others).places(np.asarray(table[rows], np.float32)) for table in tables
        ]
        for trials, of_member in zip(alone, of_members, strict=True):
            trials.add(of_member, label_ids[rows], recordings[rows])
        places.append((rows, of_members))
    steepness = np.array([1 / max(float(np.std(one.by_chunk[True] + one.by_chunk[False])), 1e-6) for one in alone])
    weights = tuple((steepness / steepness.sum()).tolist())
    together = Trials()
    for rows, of_members in places:
        together.add(side_by_side(of_members, weights), label_ids[rows], recordings[rows])
    return FusedSimilarity(tuple(whole), weights, **_meaning(together))  # type: ignore[arg-type]


def _comparisons(
    label_ids: np.ndarray, recordings: np.ndarray, views: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the rows that are compared with each other, and the labels that are left out at a time."""
    labels = np.unique(label_ids)
    chunks = np.flatnonzero(views == 0)
    whole = rows_by_group([str(name) for name in recordings[chunks]])
    compared = chunks[np.sort(np.concatenate([of_it[:CHUNKS_COMPARED] for of_it in whole.values()])[:MOST_COMPARED])]
    parts = min(MOST_PARTS, len(labels) // 2 + 1)
    return compared, np.array_split(np.random.default_rng(0).permutation(labels), parts)


@dataclass(frozen=True)
class Trials:
    """Cosines of comparisons, by whether both sides are of the same label.

    They are of a chunk with a prototype made of another recording, or their means over the chunks of a recording.
    """

    by_chunk: dict[bool, list[float]] = dataclasses.field(default_factory=lambda: {True: [], False: []})
    by_recording: dict[bool, list[float]] = dataclasses.field(default_factory=lambda: {True: [], False: []})

    def add(self, places: np.ndarray, label_ids: np.ndarray, recordings: np.ndarray) -> None:
        """Compare every recording with a prototype of every other one.

        `places`, shape (n, dimension), are of chunks, each of length 1; the rest, shape (n,), is of the same chunks.
        """
        groups = rows_by_group([str(name) for name in recordings])
        for name, of_it in groups.items():
            prototype = places[of_it].mean(axis=0)
            cosines = places @ (prototype / max(float(np.linalg.norm(prototype)), 1e-9))
            for other, of_other in groups.items():
                if other != name:
                    is_same = bool(label_ids[of_it[0]] == label_ids[of_other[0]])
                    self.by_chunk[is_same].extend(cosines[of_other])
                    self.by_recording[is_same].append(float(cosines[of_other].mean()))


def _meaning(trials: Trials) -> dict[str, float]:
    """Return the curve from scores to odds, and how often it is wrong, by the scores of the same and of others.

    Source: J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    """
    from sklearn.linear_model import LogisticRegression  # a second, which only training should take

    same, other = np.array(trials.by_chunk[True]), np.array(trials.by_chunk[False])
    scores = np.concatenate([same, other])[:, None]
    curve = LogisticRegression(C=1e6, class_weight="balanced").fit(scores, np.arange(len(scores)) < len(same))
    slope, offset = float(curve.coef_[0, 0]), float(curve.intercept_[0])
    chunk_curve = detection_curve(same, other)
    recording_curve = detection_curve(np.array(trials.by_recording[True]), np.array(trials.by_recording[False]))
    assert chunk_curve is not None and recording_curve is not None  # there are scores of both kinds
    return {
        "slope": slope,
        "offset": offset,
        "trials": len(scores),
        "chunk_equal_error_rate": equal_error_rate(chunk_curve),
        "chunk_false_accept_rate": float((slope * other + offset >= 0).mean()),
        "chunk_false_reject_rate": float((slope * same + offset < 0).mean()),
        "equal_error_rate": equal_error_rate(recording_curve),
    }
