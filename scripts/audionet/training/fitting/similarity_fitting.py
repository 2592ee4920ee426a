"""Fit the space in which clips are compared, and the curve from its scores to probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from audionet.models.background import BackgroundSpace, Comparisons
from audionet.models.bottleneck_cache import Rows
from audionet.models.fused_similarity import FusedSimilarity
from audionet.models.similarity import Similarity
from audionet.training.fitting.background_fitting import are_of_the_same, scatter_of_background
from audionet.training.fitting.comparisons import (
    compare_recordings,
    compared_rows,
    joined,
    labels_left_out,
    meaning_of,
    weighted_sum,
)
from audionet.training.fitting.scatter import combined, scatter_of, space_of

FEWEST_LABELS = 3
FEWEST_WITH_BACKGROUND = 6  # labels, to measure on them what a background has measured on more
BACKGROUND_WORTH = 8  # recordings of one's own that count as much as a background


def fit_space(
    bottlenecks: np.ndarray | Rows,
    label_ids: np.ndarray,
    which: np.ndarray,
    *,
    recordings: np.ndarray | None = None,
    background: BackgroundSpace | None = None,
) -> Similarity:
    """Fit a space on chunks, without the curve from scores to odds; arguments as for `scatter_of`.

    With a background, the scatter is the weighted sum of both: the more `recordings` there are, the less of the
    background's.
    """
    own = scatter_of(bottlenecks, label_ids, which)
    if background is None or recordings is None:
        return space_of(own)
    count = len(np.unique(recordings[which]))
    return space_of(combined(own, scatter_of_background(background), share=count / (count + BACKGROUND_WORTH)))


def fit_similarity(
    bottlenecks: np.ndarray | Rows,
    label_ids: np.ndarray,
    *,
    recordings: np.ndarray,
    views: np.ndarray,
    background: BackgroundSpace | None = None,
) -> Similarity | None:
    """Fit a space on all labels, and the curve from scores to odds on labels left out, or on those of a background.

    Bottlenecks, shape (n, dimension), are of chunks and of their augmented views. Each has a label id, int, shape (n,),
    a recording, shape (n,), and a view, int, shape (n,), 0 for a chunk as it is, else the number of the view.

    Returns None where there is no background, and labels are fewer than three or none has two recordings.
    """
    samples = _Samples((bottlenecks,), label_ids, recordings, views, (background,))
    compared = samples.compare()
    is_of_background = background is not None and not compared
    if background is not None and not compared:
        compared = [background.compared]
    meaning = meaning_of(compared[0]) if compared else None
    if meaning is None:
        return None
    return replace(
        samples.space(0, np.arange(len(label_ids))),
        **meaning,  # type: ignore[arg-type]
        is_of_background=is_of_background,
        background=background.credit() if background else "",
        agreement=compared[0].agreement,
    )


def fit_fused_similarity(
    tables: Sequence[np.ndarray | Rows],
    parts: Sequence[Similarity | None],
    label_ids: np.ndarray,
    *,
    recordings: np.ndarray,
    views: np.ndarray,
    backgrounds: Sequence[BackgroundSpace | None] = (),
) -> FusedSimilarity | None:
    """Fit what the sum of several members' scores means, over the labels that `fit_similarity` takes for each.

    Each score counts by the reciprocal of its spread. `tables` are the members' bottlenecks of the same samples,
    `parts` their spaces and `backgrounds` what these rest on too; None where one has none.
    """
    whole = [part for part in parts if part is not None]
    if len(whole) < len(tables):
        return None
    samples = _Samples(tuple(tables), label_ids, recordings, views, tuple(backgrounds) or (None,) * len(tables))
    compared, is_of_background = samples.compare(), False
    spaces = [space for space in samples.backgrounds if space is not None]
    if not compared and len(spaces) == len(whole) and are_of_the_same(spaces):
        compared, is_of_background = [space.compared for space in spaces], True
    weights = _weights(compared)
    meaning = meaning_of(weighted_sum(compared, weights)) if compared else None
    if meaning is None:
        return None
    return FusedSimilarity(
        tuple(whole),
        weights,
        **meaning,  # type: ignore[arg-type]
        is_of_background=is_of_background,
        background=next((part.background for part in whole if part.background), ""),
    )


def space_of_backgrounds(spaces: Sequence[BackgroundSpace]) -> Similarity | FusedSimilarity | None:
    """Return the space of backgrounds alone, one for each network, where no labels of one's own are there.

    None where the recordings that they compared tell nothing, or, of several networks, are not the same.
    """
    parts = []
    for space in spaces:
        meaning = meaning_of(space.compared)
        if meaning is None:
            return None
        part = replace(space_of(scatter_of_background(space)), **meaning)  # type: ignore[arg-type]
        credit, agreement = space.credit(), space.compared.agreement
        parts.append(replace(part, is_of_background=True, background=credit, agreement=agreement))
    if len(parts) == 1:
        return parts[0]
    nothing = np.empty(0, int)
    tables = [np.empty((0, len(space.mean)), np.float16) for space in spaces]
    return fit_fused_similarity(tables, parts, nothing, recordings=nothing, views=nothing, backgrounds=list(spaces))


def _weights(compared: Sequence[Comparisons]) -> tuple[float, ...]:
    """Return the weight of each member's scores: the reciprocal of their spread, and all sum up to 1."""
    steepness = np.array([1 / max(float(one.scores.std()), 1e-9) for one in compared])
    return tuple((steepness / steepness.sum()).tolist())


@dataclass(frozen=True, eq=False)
class _Samples:
    """Chunks and views that spaces are fitted on, by the bottlenecks of one member or of several."""

    tables: tuple[np.ndarray | Rows, ...]
    label_ids: np.ndarray
    recordings: np.ndarray
    views: np.ndarray
    backgrounds: tuple[BackgroundSpace | None, ...]  # one for each table

    def space(self, number: int, which: np.ndarray) -> Similarity:
        """Return the space of one member, fitted on some rows."""
        background = self.backgrounds[number]
        return fit_space(self.tables[number], self.label_ids, which, recordings=self.recordings, background=background)

    def compare(self) -> list[Comparisons]:
        """Compare labels left out in each member's space of the others; nothing where labels are too few for that."""
        fewest = FEWEST_LABELS if None in self.backgrounds else FEWEST_WITH_BACKGROUND
        if len(np.unique(self.label_ids)) < fewest:
            return []
        candidates = compared_rows(self.recordings, self.views)
        found: list[list[Comparisons]] = [[] for _ in self.tables]
        for left_out in labels_left_out(self.label_ids):
            others = np.flatnonzero(~np.isin(self.label_ids, left_out))
            rows = candidates[np.isin(self.label_ids[candidates], left_out)]
            for number, table in enumerate(self.tables):
                places = self.space(number, others).places(np.asarray(table[rows], np.float32))
                found[number].append(
                    compare_recordings(places, self.label_ids[rows], self.recordings[rows], views=self.views[rows])
                )
        together = [joined(parts) for parts in found]
        return together if len(np.unique(together[0].is_same)) == 2 else []
