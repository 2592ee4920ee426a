"""Comparisons of chunks with recordings of labels that a space was not fitted on, and what they say of its scores."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from audionet.evaluation.detection_metrics import detection_curve, equal_error_rate
from audionet.models.background import Comparisons
from audionet.models.similarity import CHUNKS_COMPARED, length_of_mean

MOST_COMPARED = 2_000  # chunks in all, and as many views
LEAST_AGREEMENT = 0.01  # of chunks of one recording, so that no correction is without bounds
MOST_PARTS = 3  # that labels are left out in


def compared_rows(recordings: np.ndarray, views: np.ndarray) -> np.ndarray:
    """Return the row numbers of ten chunks of each recording as they are, and of ten of its augmented views.

    Recordings, int or str, and views, int, 0 for a chunk as it is, are of shape (n,). Views are of all kinds.
    """
    found = []
    for of_kind in (np.flatnonzero(views == 0), np.flatnonzero(views > 0)):
        rows = [of_kind[recordings[of_kind] == one] for one in np.unique(recordings)]
        some = [of_it[np.linspace(0, len(of_it) - 1, min(len(of_it), CHUNKS_COMPARED)).astype(int)] for of_it in rows]
        found.append(np.sort(np.concatenate(some))[:MOST_COMPARED])
    return np.concatenate(found)


def labels_left_out(label_ids: np.ndarray) -> list[np.ndarray]:
    """Return the labels that are left out and compared at a time, while the space is fitted on the others."""
    labels = np.unique(label_ids)
    return np.array_split(np.random.default_rng(0).permutation(labels), min(MOST_PARTS, len(labels) // 2 + 1))


def compare_recordings(
    places: np.ndarray, label_ids: np.ndarray, recordings: np.ndarray, *, views: np.ndarray | None = None
) -> Comparisons:
    """Compare chunks and their views with every other recording, by its chunks as they are.

    `places`, shape (n, dimension), are each of length 1; the rest, shape (n,), is of the same chunks and views.
    """
    is_enrolled = np.ones(len(places), bool) if views is None else views == 0
    names, owners = np.unique(recordings, return_inverse=True)
    means = np.stack([places[(owners == number) & is_enrolled].mean(axis=0) for number in range(len(names))])
    counts = np.bincount(owners, is_enrolled, minlength=len(names))
    lengths = np.maximum(np.linalg.norm(means, axis=1), 1e-9)
    agreement = _agreement(lengths, counts)
    corrections = np.array([length_of_mean(agreement, int(count)) for count in counts])
    label_of = np.array([label_ids[owners == number][0] for number in range(len(names))])
    is_other = owners[:, None] != np.arange(len(names))
    return Comparisons(
        (places @ means.T * (corrections / lengths))[is_other].astype(np.float32),
        (label_ids[:, None] == label_of)[is_other],
        ((2 * owners + ~is_enrolled)[:, None] * len(names) + np.arange(len(names)))[is_other],
        agreement,
    )


def _agreement(lengths: np.ndarray, counts: np.ndarray) -> float:
    """Return the mean cosine of two chunks of one recording, by how long the mean of its places is, of how many."""
    several = counts > 1
    if not several.any():
        return 1.0
    count = counts[several]
    cosines = (count * lengths[several] ** 2 - 1) / (count - 1)
    return float(np.clip(cosines.mean(), LEAST_AGREEMENT, 1))


def joined(parts: Sequence[Comparisons]) -> Comparisons:
    """Return several comparisons, at least one, as one; pairs of recordings get numbers of their own."""
    starts = np.cumsum([0, *(int(part.pairs.max(initial=-1)) + 1 for part in parts[:-1])])
    return Comparisons(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.is_same for part in parts]),
        np.concatenate([part.pairs + start for part, start in zip(parts, starts, strict=True)]),
        float(np.mean([part.agreement for part in parts])),
    )


def with_fewer_pairs(compared: Comparisons, most: int) -> Comparisons:
    """Return the comparisons of all pairs of recordings of one label, and of `most` pairs of two, taken by chance."""
    of_two = np.unique(compared.pairs[~compared.is_same])
    kept = np.random.default_rng(0).permutation(of_two)[:most]
    rows = compared.is_same | np.isin(compared.pairs, kept)
    return replace(compared, **{name: getattr(compared, name)[rows] for name in ("scores", "is_same", "pairs")})


def weighted_sum(parts: Sequence[Comparisons], weights: Sequence[float]) -> Comparisons:
    """Return the same comparisons by several members: their scores are added up, each with its weight."""
    scores = np.sum([weight * part.scores for part, weight in zip(parts, weights, strict=True)], axis=0)
    return Comparisons(scores, parts[0].is_same, parts[0].pairs, 0.0)


def by_recording(compared: Comparisons) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean score of each pair of recordings, and whether both are of one label, each of shape (pairs,)."""
    pairs = np.unique(compared.pairs, return_inverse=True)[1]
    counts = np.bincount(pairs)
    return np.bincount(pairs, compared.scores) / counts, np.bincount(pairs, compared.is_same) > 0


def meaning_of(compared: Comparisons) -> dict[str, float] | None:
    """Return the curve from scores to odds, and how often it is wrong; None if nothing is the same or another.

    The names are those of the fields of `Similarity`.
    """
    same, other = compared.scores[compared.is_same], compared.scores[~compared.is_same]
    curve_of_chunks = detection_curve(same, other)
    means, are_same = by_recording(compared)
    curve_of_recordings = detection_curve(means[are_same], means[~are_same])
    if curve_of_chunks is None or curve_of_recordings is None:
        return None
    slope, offset = _curve(same, other)
    clip_slope, clip_offset = _curve(means[are_same], means[~are_same])
    return {
        "slope": slope,
        "offset": offset,
        "clip_slope": clip_slope,
        "clip_offset": clip_offset,
        "trials": len(compared.scores),
        "chunk_equal_error_rate": equal_error_rate(curve_of_chunks),
        "chunk_false_accept_rate": float((slope * other + offset >= 0).mean()),
        "chunk_false_reject_rate": float((slope * same + offset < 0).mean()),
        "equal_error_rate": equal_error_rate(curve_of_recordings),
    }


def _curve(same: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return slope and offset of the logistic curve from scores to odds, where both cases are as likely.

    Targets are a little less than sure, so that scores which do not overlap give no curve of any steepness.

    Source: J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    """
    from sklearn.linear_model import LogisticRegression  # a second, which only training should take

    scores = np.concatenate([same, other])
    spread = max(float(scores.std()), 1e-9)  # in units of which the regression's weak penalty means the same for all
    doubts = np.concatenate([np.full(len(one), 1 / (len(one) + 2)) for one in (same, other)])
    balance = np.concatenate([np.full(len(one), 0.5 / len(one)) for one in (same, other)]) * len(scores)
    is_same = np.arange(len(scores)) < len(same)
    curve = LogisticRegression(C=1e6).fit(
        np.tile(scores[:, None] / spread, (2, 1)),
        np.concatenate([is_same, ~is_same]),
        sample_weight=np.concatenate([balance * (1 - doubts), balance * doubts]),
    )
    return float(curve.coef_[0, 0]) / spread, float(curve.intercept_[0])
