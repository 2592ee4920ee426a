"""Fit a background space on any folder of labels, and use one where a user's own labels are too few.

Many samples become their scatter within labels, in a few directions, and the scores of comparisons of labels left out.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from audionet.errors import InputError
from audionet.models.background import BackgroundSpace, Comparisons, NetworkKey, rounded
from audionet.models.bottleneck_cache import Rows
from audionet.training.fitting.comparisons import (
    MOST_PARTS,
    compare_recordings,
    compared_rows,
    joined,
    labels_left_out,
    with_fewer_pairs,
)
from audionet.training.fitting.scatter import Scatter, principal_directions, scatter_of, space_of

KEPT_DIRECTIONS = 200  # of the scatter; of the rest, the variance of each column is kept
MOST_ROWS = 4_800  # to measure the scatter on
FEWEST_LABELS = 6  # so that four can be fitted on while two are compared
MOST_PAIRS = 1_200  # of recordings of two labels whose comparisons are kept
MOST_COMBINED = 4  # parts of a bottleneck of which every combination may be read alone


def fit_background(
    bottlenecks: Rows,
    label_ids: np.ndarray,
    *,
    recordings: np.ndarray,
    views: np.ndarray,
    slices: Mapping[str, tuple[int, int]],
    key: NetworkKey,
    origin: str,
    licence: str,
) -> BackgroundSpace:
    """Fit a space on all labels, and compare recordings of labels left out in spaces of the others.

    Bottlenecks, shape (n, dimension), are of chunks and of their augmented views. Each has a label id, int, shape (n,),
    a recording, int, shape (n,), and a view, int, shape (n,), 0 for a chunk as it is, else the number of the view.

    Raises:
        InputError: labels are fewer than six, or have one recording each.
    """
    labels = np.unique(label_ids)
    counts = [len(np.unique(recordings[label_ids == label])) for label in labels]
    if len(labels) < FEWEST_LABELS or sum(count > 1 for count in counts) < MOST_PARTS:
        raise InputError(
            f"--audio_dir: expected {FEWEST_LABELS} labels or more with two recordings each, so that some can be left "
            f"out and compared, received {len(labels)} labels and {sum(counts)} recordings. Add others."
        )
    space = BackgroundSpace(
        key=key,
        slices=dict(slices),
        **_statistics(bottlenecks, label_ids, np.arange(len(label_ids))),
        comparisons={},
        labels=len(labels),
        recordings=sum(counts),
        origin=origin,
        licence=licence,
    )
    samples = _Samples(bottlenecks, label_ids, recordings, views)
    found = [_compare(space, samples, part) for part in labels_left_out(label_ids)]
    comparisons = {
        bottleneck: with_fewer_pairs(joined([one[bottleneck] for one in found]), MOST_PAIRS) for bottleneck in found[0]
    }
    return rounded(dataclasses.replace(space, comparisons=comparisons))


def scatter_of_background(space: BackgroundSpace) -> Scatter:
    """Return how chunks of a background lie around the mean of their label."""
    return Scatter(space.mean, space.scale, space.rows, float(space.rest.mean()), space.centres)


def are_of_the_same(spaces: Sequence[BackgroundSpace]) -> bool:
    """Whether spaces of several networks compared the same recordings, so that their cosines can be added up."""
    return all(
        space.origin == spaces[0].origin and np.array_equal(space.compared.pairs, spaces[0].compared.pairs)
        for space in spaces
    )


def readable_bottlenecks(slices: Mapping[str, tuple[int, int]]) -> list[str]:
    """Return every combination of the parts of a bottleneck, in the order of their columns; of many, all and each."""
    parts = sorted(slices, key=lambda part: slices[part])
    if len(parts) > MOST_COMBINED:
        return ["+".join(parts), *parts]
    return ["+".join(some) for count in range(len(parts), 0, -1) for some in combinations(parts, count)]


def _statistics(bottlenecks: Rows, label_ids: np.ndarray, which: np.ndarray) -> dict[str, Any]:
    """Return the scatter of some rows in few directions, by the names of the fields of `BackgroundSpace`."""
    scatter = scatter_of(bottlenecks, label_ids, which, most=MOST_ROWS)
    directions, variances = principal_directions(scatter.rows, KEPT_DIRECTIONS)
    rows = (directions * np.sqrt(variances)).T.astype(np.float32)
    rest = np.square(scatter.rows).sum(axis=0) - np.square(rows).sum(axis=0)
    return {
        "mean": scatter.mean,
        "scale": scatter.scale,
        "rows": rows,
        "rest": np.maximum(rest, 0),
        "centres": scatter.centres,
    }


@dataclass(frozen=True, eq=False)
class _Samples:
    """Chunks and views that a background is fitted on; fields as the arguments of `fit_background`."""

    bottlenecks: Rows
    label_ids: np.ndarray
    recordings: np.ndarray
    views: np.ndarray


def _compare(space: BackgroundSpace, samples: _Samples, left_out: np.ndarray) -> dict[str, Comparisons]:
    """Compare recordings of the labels left out in the space of the others, at every bottleneck that may be read."""
    others = np.flatnonzero(~np.isin(samples.label_ids, left_out))
    candidates = compared_rows(samples.recordings, samples.views)
    rows = candidates[np.isin(samples.label_ids[candidates], left_out)]
    whole = dataclasses.replace(space, **_statistics(samples.bottlenecks, samples.label_ids, others))
    table = np.asarray(samples.bottlenecks[rows], np.float32)
    found = {}
    for bottleneck in readable_bottlenecks(space.slices):
        part = dataclasses.replace(whole, comparisons={bottleneck: _NONE}).at(bottleneck)
        assert part is not None  # its parts are those of the space
        columns = np.concatenate([np.arange(*space.slices[name]) for name in bottleneck.split("+")])
        places = space_of(scatter_of_background(part)).places(table[:, columns])
        found[bottleneck] = compare_recordings(
            places, samples.label_ids[rows], samples.recordings[rows], views=samples.views[rows]
        )
    return found


_NONE = Comparisons(np.empty(0, np.float32), np.empty(0, bool), np.empty(0, int), 0.0)
