"""Fit the space in which clips are compared, and the curve from its scores to probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from audionet.errors import InputError
from audionet.files import printable
from audionet.models.background import BackgroundSpace, Comparisons, NetworkKey, find_space, read_background
from audionet.models.bottleneck_cache import Rows
from audionet.models.fused_similarity import FusedSimilarity
from audionet.models.member import Network
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
ROWS_AT_ONCE = 2_048


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


def fit_similarity(samples: "ComparedSamples", number: int = 0) -> Similarity | None:
    """Fit the space of one member on all labels, and what its scores mean on labels left out, or on a background's.

    Returns None where there is no background, and labels are fewer than three or none has two recordings.
    """
    background = samples.backgrounds[number]
    fewest = FEWEST_LABELS if background is None else FEWEST_WITH_BACKGROUND
    compared = samples.compared[number] if samples.can_compare(fewest) else None
    is_of_background = background is not None and compared is None
    if background is not None and compared is None:
        compared = background.compared
    meaning = meaning_of(compared) if compared else None
    if compared is None or meaning is None:
        return None
    return replace(
        samples.space(number, np.arange(len(samples.label_ids))),
        **meaning,  # type: ignore[arg-type]
        is_of_background=is_of_background,
        background=background.credit() if background else "",
        agreement=compared.agreement,
    )


def fit_fused_similarity(
    samples: "ComparedSamples", parts: Sequence[Similarity | None]
) -> Similarity | FusedSimilarity | None:
    """Fit what the sum of the members' scores means, given the space of each; that of one alone is the whole.

    Each score counts by the reciprocal of its spread. None where a member has no space.
    """
    whole = [part for part in parts if part is not None]
    if len(whole) < len(samples.tables):
        return None
    if len(whole) == 1:
        return whole[0]
    compared, is_of_background = samples.compared_for_all()
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
    nothing = np.empty(0, int)
    tables = tuple(np.empty((0, len(space.mean)), np.float16) for space in spaces)
    return fit_fused_similarity(ComparedSamples(tables, nothing, nothing, nothing, tuple(spaces)), parts)


def label_prototypes(samples: "ComparedSamples", space: Similarity | FusedSimilarity) -> np.ndarray:
    """Return the prototype of each label by all of its chunks as they are: float32, shape (labels, dimension).

    At the precision that a classifier keeps, so that what is measured is what is served.
    """
    sums, counts = _summed_places(samples, space, np.zeros(len(samples.label_ids), int))
    found = [space.prototype_of(total / count, count) for (total,), (count,) in zip(sums, counts, strict=True)]
    return np.stack(found).astype(np.float16).astype(np.float32)


def odds_out_of_fold(
    samples: "ComparedSamples", space: Similarity | FusedSimilarity, folds: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Return the log odds of some chunks with every label: float32, shape (rows, labels), labels in ascending order.

    Prototypes are of recordings in other folds, `folds` being int, shape (n,), and the space is one that a chunk's own
    label took no part in, so that the odds with the other labels are those of somebody unknown.
    """
    labels, label_ids = np.unique(samples.label_ids, return_inverse=True)
    odds = np.empty((len(rows), len(labels)), np.float32)
    for left_out, spaces in samples.without_labels:
        refitted = space.refitted(spaces)
        sums, counts = _summed_places(samples, refitted, folds)
        is_out = np.isin(labels, left_out)[label_ids[rows]]
        for fold in np.unique(folds):
            means = (sums.sum(axis=1) - sums[:, fold]), (counts.sum(axis=1) - counts[:, fold])
            prototypes = np.stack(
                [refitted.prototype_of(total / count, count) for total, count in zip(*means, strict=True)]
            )
            of_fold = np.flatnonzero(is_out & (folds[rows] == fold))
            for some in np.array_split(of_fold, len(of_fold) // ROWS_AT_ONCE + 1):
                odds[some] = refitted.log_odds(samples.bottlenecks(rows[some]), prototypes)
    return odds


def background_odds(samples: "ComparedSamples", space: Similarity | FusedSimilarity, labels: int) -> list[np.ndarray]:
    """Return the highest log odds of a background's chunks with so many others' recordings: by recording, (chunks,).

    Each is compared with as many as there are labels, by chance. Empty where a space does not rest on a background.
    """
    if not space.is_of_background:
        return []
    compared, _ = samples.compared_for_all()
    scores = compared[0].scores
    if isinstance(space, FusedSimilarity):
        scores = weighted_sum(compared, space.weights).scores
    odds, is_same = space.slope * scores + space.offset, compared[0].is_same
    order = np.argsort(compared[0].pairs, kind="stable")
    starts = np.flatnonzero(np.diff(compared[0].pairs[order])) + 1
    pairs = [rows for rows in np.split(order, starts) if not is_same[rows[0]]]
    chosen = np.random.default_rng(0).permutation(len(pairs))[: len(pairs) // labels * labels].reshape(-1, labels)
    found = []
    for some in chosen:
        length = min(len(pairs[number]) for number in some)
        found.append(np.max([odds[pairs[number][:length]] for number in some], axis=0))
    return found


def _summed_places(
    samples: "ComparedSamples", space: Similarity | FusedSimilarity, folds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of the places of each label's chunks as they are, by fold, and how many these are.

    They are float32, shape (labels, folds, dimension), and int, shape (labels, folds).
    """
    labels, label_ids = np.unique(samples.label_ids, return_inverse=True)
    shape = len(labels), int(folds.max()) + 1
    sums, counts = np.zeros((*shape, samples.dimension), np.float32), np.zeros(shape, int)
    clean = np.flatnonzero(samples.views == 0)
    for rows in np.array_split(clean, len(clean) // ROWS_AT_ONCE + 1):
        places = space.places(samples.bottlenecks(rows))
        for label_id, fold in np.unique(np.stack([label_ids[rows], folds[rows]]), axis=1).T:
            is_own = (label_ids[rows] == label_id) & (folds[rows] == fold)
            sums[label_id, fold] += places[is_own].sum(axis=0)
            counts[label_id, fold] += is_own.sum()
    return sums, counts


def space_for_networks(networks: Sequence[Network], path: Path) -> Similarity | FusedSimilarity:
    """Return the space in which pretrained networks compare clips, by a file that audionet background wrote.

    Raises:
        InputError: there is no such file, or it has nothing for one of the networks.
    """
    available = read_background(path)
    spaces = []
    for network in networks:
        key, bottleneck = NetworkKey.of(network.backbone, network.recipe), network.backbone["bottleneck"]
        space = find_space(available, key, bottleneck)
        if space is None:
            raise InputError(
                f"--background: expected one for {key.words()}, read at {bottleneck}, but {printable(path)} is for "
                f"{' and '.join(one.key.words() for one in available)}. Make one with audionet background, or leave it "
                "away."
            )
        spaces.append(space)
    found = space_of_backgrounds(spaces)
    if found is None:
        raise InputError(f"--background: {printable(path)} compared other recordings by each network. Make it again.")
    return found


def _weights(compared: Sequence[Comparisons]) -> tuple[float, ...]:
    """Return the weight of each member's scores: the reciprocal of their spread, and all sum up to 1."""
    steepness = np.array([1 / max(float(one.scores.std()), 1e-9) for one in compared])
    return tuple((steepness / steepness.sum()).tolist())


@dataclass(frozen=True, eq=False)
class ComparedSamples:
    """Chunks and views that spaces are fitted on, by the bottlenecks of one member or of several."""

    tables: tuple[np.ndarray | Rows, ...]  # the members' bottlenecks of the same samples, each of shape (n, dimension)
    label_ids: np.ndarray  # int, shape (n,)
    recordings: np.ndarray  # shape (n,)
    views: np.ndarray  # int, shape (n,), 0 for a chunk as it is, else the number of the view
    backgrounds: tuple[BackgroundSpace | None, ...]  # one for each table; None where there is none

    @property
    def dimension(self) -> int:
        """The length of all members' bottlenecks side by side."""
        return sum(table.shape[1] for table in self.tables)

    def bottlenecks(self, rows: np.ndarray) -> np.ndarray:
        """Return those of some rows side by side: float32, shape (rows, dimension)."""
        return np.concatenate([np.asarray(table[rows], np.float32) for table in self.tables], axis=1)

    def space(self, number: int, which: np.ndarray) -> Similarity:
        """Return the space of one member, fitted on some rows."""
        background = self.backgrounds[number]
        return fit_space(self.tables[number], self.label_ids, which, recordings=self.recordings, background=background)

    @cached_property
    def without_labels(self) -> list[tuple[np.ndarray, list[Similarity]]]:
        """The labels that are left out at a time, and the members' spaces of the others, of two labels or more."""
        found = []
        for left_out in labels_left_out(self.label_ids):
            others = np.flatnonzero(~np.isin(self.label_ids, left_out))
            found.append((left_out, [self.space(number, others) for number in range(len(self.tables))]))
        return found

    def can_compare(self, fewest: int) -> bool:
        """Whether there are so many labels, and recordings of the same one among them."""
        return len(np.unique(self.label_ids)) >= fewest and len(np.unique(self.compared[0].is_same)) == 2

    @cached_property
    def compared(self) -> list[Comparisons]:
        """Comparisons of labels left out, in each member's space of the others."""
        candidates = compared_rows(self.recordings, self.views)
        found: list[list[Comparisons]] = [[] for _ in self.tables]
        for left_out, spaces in self.without_labels:
            rows = candidates[np.isin(self.label_ids[candidates], left_out)]
            for number, (table, space) in enumerate(zip(self.tables, spaces, strict=True)):
                places = space.places(np.asarray(table[rows], np.float32))
                found[number].append(
                    compare_recordings(places, self.label_ids[rows], self.recordings[rows], views=self.views[rows])
                )
        return [joined(parts) for parts in found]

    def compared_for_all(self) -> tuple[Sequence[Comparisons], bool]:
        """Return comparisons by each member, of the same recordings, and whether they are a background's."""
        if self.can_compare(FEWEST_LABELS if None in self.backgrounds else FEWEST_WITH_BACKGROUND):
            return self.compared, False
        spaces = [space for space in self.backgrounds if space is not None]
        if len(spaces) == len(self.tables) and are_of_the_same(spaces):
            return [space.compared for space in spaces], True
        return [], False
