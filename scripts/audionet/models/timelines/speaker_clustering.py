"""Who speaks when, of voices that nobody trained on: turns are clustered into speakers, and hops given to these.

    chunks every hop -> places in the comparison space, projected -> turns -> clusters -> likeliest path -> clusters ...

A turn is a stretch of chunks that are alike. What two turns have in common is the inner product of their mean places,
over the lengths of what the chunks of each have in common with each other: 1 for one speaker, however varied a voice
is, and less for two. Turns, and then clusters, are joined by average linkage as long as they agree; little sound leaves
doubt, which speaks for joining. In between, each hop is given to the speaker whose prototype is nearest to the chunks
that cover it, so that clusters become pure and their means exact. One speaker at a time: where two speak at once, the
louder one has the turn.

Chunks with a pause in them are like each other, whoever speaks, and take no part where others cover a hop.

The thresholds were chosen on made conversations of one to twelve voices, in spaces that were fitted on four to fourteen
others. `numbers.md` has what came of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from audionet.models.timelines import change_points
from audionet.models.timelines.timeline import STEP_SECONDS, SWITCH_COST, ScoredChunks, likeliest_path, over_hops, runs

PROJECTED = 1024  # dimensions that are kept of places
TURN_DIMENSIONS = 8  # in which the places of a recording differ most, to find its turns in
MOST_TURNS = 2_000  # clustered at a time: their agreements are as many as their number squared
ROWS_AT_ONCE = 4_096
SOUNDING_SHARE = 0.75  # of a chunk that is not a pause
PAUSED_WEIGHT = 0.02  # of chunks with more of a pause, where nothing else covers a hop
LEAST_COMMON = 0.05  # squared length of what the chunks of one speaker have in common
TURNS_AGREE, TURNS_DOUBT = 0.95, 0.2  # from which agreement on turns are joined, and how much one chunk leaves open
SPEAKERS_AGREE, SPEAKERS_DOUBT = 0.8, 0.25
FEWEST_CHUNKS = 2.5  # of a speaker, one behind the other
FEWEST_SHARE = 0.1  # of the chunks of a recording, if it is short
CONTRAST = 40.0  # how much likelier, as a logarithm, a speaker is for each unit of the cosine with the prototype
MOST_ROUNDS = 6


@dataclass(frozen=True, eq=False)
class PlacedChunks:
    """The chunks of a recording, one every hop, in the comparison space; silent ones are left out."""

    places: np.ndarray  # float16, shape (chunks, dimensions), as `Projection` gives them, of at least one
    first_hops: np.ndarray  # int, shape (chunks,), ascending, the hop that each begins with
    is_clean: np.ndarray  # bool, shape (chunks,), whether it is without a pause
    hops: int  # of the recording
    hops_a_chunk: int
    hop_seconds: float

    @classmethod
    def of(cls, scored: ScoredChunks, places: np.ndarray, is_silent: np.ndarray) -> "PlacedChunks":
        """Tell which chunks are mostly without a pause; all, if none is.

        `is_silent`, bool, shape (steps,), tells which of every `STEP_SECONDS` belong to a pause.
        """
        sounding = np.concatenate([[0], np.cumsum(~is_silent)])
        steps_a_hop = scored.hop_seconds / STEP_SECONDS
        starts = np.round(scored.first_hops * steps_a_hop).astype(int).clip(max=len(is_silent))
        ends = (starts + round(scored.hops_a_chunk * steps_a_hop)).clip(max=len(is_silent))
        is_clean = sounding[ends] - sounding[starts] >= SOUNDING_SHARE * np.maximum(ends - starts, 1)
        if not is_clean.any():
            is_clean[:] = True
        return cls(places, scored.first_hops, is_clean, scored.hops, scored.hops_a_chunk, scored.hop_seconds)

    @property
    def middles(self) -> np.ndarray:
        """The hop in the middle of each chunk, int, shape (chunks,)."""
        return np.asarray(np.minimum(self.first_hops + self.hops_a_chunk // 2, self.hops - 1))

    def worth(self, rows: int) -> float:
        """Return how many chunks, one behind the other, so many overlapping ones are worth; 0 for none."""
        return 1 + (rows - 1) / self.hops_a_chunk if rows else 0.0

    def mean(self, rows: np.ndarray) -> np.ndarray:
        """Return the mean place of some chunks, by their row numbers: float32, shape (dimensions,)."""
        return np.asarray(self.places[rows].mean(axis=0, dtype=np.float32))

    def prototypes(self, speaker_of: np.ndarray, speakers: np.ndarray) -> np.ndarray:
        """Return the direction of the mean of each speaker's chunks, clean ones if there are any.

        `speaker_of`, int, is of shape (chunks,), `speakers`, int, of shape (n,); the result of shape (n, dimensions).
        """
        clean = [np.flatnonzero(self.is_clean & (speaker_of == one)) for one in speakers]
        rows = [
            some if len(some) else np.flatnonzero(speaker_of == one) for some, one in zip(clean, speakers, strict=True)
        ]
        means = np.stack([self.mean(some) for some in rows])
        return np.asarray(means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9))

    def products(self, vectors: np.ndarray) -> np.ndarray:
        """Return the inner products of all places with vectors, shape (n, dimensions): float32, shape (chunks, n)."""
        return np.concatenate([block @ vectors.T for block in blocks_of(self.places)])


class Projection:
    """Brings places, of any dimension, to so many dimensions or fewer, in which their angles are nearly the same.

    Source: W. Johnson and J. Lindenstrauss, "Extensions of Lipschitz Mappings into a Hilbert Space", 1984. The
    directions are random, and always the same ones.
    """

    def __init__(self, dimensions: int = PROJECTED) -> None:
        self._dimensions = dimensions
        self._directions: np.ndarray | None = None

    def __call__(self, places: np.ndarray) -> np.ndarray:
        """Project places, shape (n, dimension): float16, shape (n, dimensions)."""
        dimension = places.shape[1]
        if dimension <= self._dimensions:
            return places.astype(np.float16)
        if self._directions is None:
            directions = np.random.default_rng(0).standard_normal((dimension, self._dimensions), np.float32)
            self._directions = directions / np.sqrt(self._dimensions, dtype=np.float32)
        return np.asarray((places @ self._directions).astype(np.float16))


def blocks_of(table: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of a float16 table as float32, some at a time."""
    for start in range(0, len(table), ROWS_AT_ONCE):
        yield table[start : start + ROWS_AT_ONCE].astype(np.float32)


def find_speakers(chunks: PlacedChunks, *, speakers: int | None) -> np.ndarray:
    """Return who speaks in each hop, int, shape (hops,), numbered from 0 in the order in which they begin.

    `speakers` says how many there are, 1 or more; None counts them. There may be fewer where the sound has no more.
    """
    speaker_of = _clustered_turns(chunks, speakers)
    for _ in range(MOST_ROUNDS):
        path = _likeliest_speakers(chunks, speaker_of, _large_enough(chunks, speaker_of, speakers))
        joined = _joined_speakers(chunks, path[chunks.middles], speakers)
        is_settled = len(runs(joined)) == len(runs(speaker_of)) and _is_same_division(joined, speaker_of)
        speaker_of = joined
        if is_settled:
            break
    path = _likeliest_speakers(chunks, speaker_of, np.unique(speaker_of))
    while len(heard := np.unique(path[chunks.middles])) < len(np.unique(path)):  # some have not half a chunk
        path = _likeliest_speakers(chunks, speaker_of, heard)
    _, firsts, numbers = np.unique(path, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(firsts))[numbers])


def _clustered_turns(chunks: PlacedChunks, speakers: int | None) -> np.ndarray:
    """Return a first division of the chunks among speakers, rather too many: int, shape (chunks,)."""
    clean = np.flatnonzero(chunks.is_clean)
    turns = _turns(chunks, clean)
    middles = [inner_rows(np.arange(first, behind), chunks.hops_a_chunk) for first, behind in turns]
    means = np.stack([chunks.mean(clean[rows]) for rows in middles])
    worth = np.array([chunks.worth(len(rows)) for rows in middles])
    clusters = np.empty(len(turns), int)
    count = 0
    for start in range(0, len(turns), MOST_TURNS):
        some = slice(start, start + MOST_TURNS)
        agreement = agreements(means[some], worth[some], doubt=TURNS_DOUBT)
        clusters[some] = count + linked(agreement, TURNS_AGREE, least=speakers or 1)
        count = clusters[some].max() + 1
    lengths = [behind - first for first, behind in turns]
    # A chunk with a pause goes with the clean one before it.
    before = np.maximum(np.searchsorted(clean, np.arange(len(chunks.places)), side="right") - 1, 0)
    return np.asarray(np.repeat(clusters, lengths)[before])


def _turns(chunks: PlacedChunks, clean: np.ndarray) -> list[tuple[int, int]]:
    """Return (first, behind the last) of each stretch of clean chunks that are alike, by their numbers among these."""
    centre = chunks.mean(clean)
    scatter = np.zeros((len(centre), len(centre)), np.float32)
    for block in blocks_of(chunks.places[clean]):
        scatter += (block - centre).T @ (block - centre)
    directions = np.linalg.eigh(scatter)[1][:, -TURN_DIMENSIONS:].T
    places = chunks.products(directions)[clean]
    scaled = change_points.in_units_of_noise(
        places, chunks.first_hops[clean], hops_a_chunk=chunks.hops_a_chunk, limits=(1e-6, np.inf)
    )
    return change_points.stretches(scaled, hops_a_chunk=chunks.hops_a_chunk)


def inner_rows(rows: np.ndarray, hops_a_chunk: int) -> np.ndarray:
    """Return those of a run of chunks that do not reach into its neighbours, or the one in the middle."""
    half = hops_a_chunk // 2
    inner = rows[half : len(rows) - half]
    return inner if len(inner) else rows[len(rows) // 2 :][:1]


def agreements(means: np.ndarray, worth: np.ndarray, *, doubt: float) -> np.ndarray:
    """Return how far groups of chunks agree, shape (n, n): about 1 for one speaker, less for two, more where in doubt.

    `means`, shape (n, dimensions), are of their places, each of length 1, and `worth`, shape (n,), is how many chunks
    each group has. Of a mean's squared length, what the chunks do not have in common is one part in as many.
    """
    products = means @ means.T
    common = (worth * np.diag(products) - 1) / np.maximum(worth - 1, 0.3)
    lengths = np.sqrt(np.maximum(common, LEAST_COMMON))
    open_to_doubt = doubt * np.sqrt(1 / worth[:, None] + 1 / worth)
    return np.asarray(np.clip(products / np.outer(lengths, lengths) + open_to_doubt, -1, 1.5))


def linked(agreement: np.ndarray, threshold: float, *, least: int = 1, most: int | None = None) -> np.ndarray:
    """Cluster by average linkage what agrees by a threshold: int, shape (n,), clusters numbered from 0.

    There are `least` clusters or more, as far as there is so much to cluster, and `most` at most.
    """
    from scipy.cluster.hierarchy import fcluster, linkage  # half a second, which only clustering should take
    from scipy.spatial.distance import squareform

    if len(agreement) == 1:
        return np.zeros(1, int)
    distances = agreement.max() - agreement
    np.fill_diagonal(distances, 0)
    tree = linkage(squareform((distances + distances.T) / 2, checks=False), "average")
    clusters = fcluster(tree, agreement.max() - threshold, "distance")
    wanted = np.clip(clusters.max(), least, most)
    if wanted != clusters.max():
        clusters = fcluster(tree, wanted, "maxclust")
    return np.asarray(clusters - 1)


def _large_enough(chunks: PlacedChunks, speaker_of: np.ndarray, speakers: int | None) -> np.ndarray:
    """Return those speakers who have enough clean sound, or as many of the largest as there must be."""
    found, rows = np.unique(speaker_of[chunks.is_clean], return_counts=True)
    fewest = min(FEWEST_CHUNKS, FEWEST_SHARE * chunks.is_clean.sum() / chunks.hops_a_chunk)
    count = max(int((rows / chunks.hops_a_chunk >= fewest).sum()), speakers or 1)
    return found[np.argsort(-rows, kind="stable")[:count]]


def _likeliest_speakers(chunks: PlacedChunks, speaker_of: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return the likeliest of the speakers that are kept in each hop, by their prototypes: int, shape (hops,)."""
    products = chunks.products(chunks.prototypes(speaker_of, kept))
    weights = np.where(chunks.is_clean, 1.0, PAUSED_WEIGHT)[:, None]
    sums, totals = (
        over_hops(np.add, values, chunks.first_hops, hops=chunks.hops, hops_a_chunk=chunks.hops_a_chunk)
        for values in (CONTRAST * products * weights, weights)
    )
    path = likeliest_path(sums / np.maximum(totals, 1e-9), switch_cost=SWITCH_COST / chunks.hop_seconds)
    return np.asarray(kept[path])


def _joined_speakers(chunks: PlacedChunks, speaker_of: np.ndarray, speakers: int | None) -> np.ndarray:
    """Join speakers who agree, by the chunks within their turns: int, shape (chunks,), numbered from 0."""
    within = np.zeros(len(speaker_of), bool)
    for first, behind in runs(speaker_of):
        within[inner_rows(np.arange(first, behind), chunks.hops_a_chunk)] = True
    found, numbers = np.unique(speaker_of, return_inverse=True)
    groups = [np.flatnonzero(within & chunks.is_clean & (speaker_of == one)) for one in found]
    means = np.stack(
        [chunks.mean(rows if len(rows) else np.flatnonzero(numbers == n)) for n, rows in enumerate(groups)]
    )
    worth = np.maximum([chunks.worth(len(rows)) for rows in groups], 1.0)
    agreement = agreements(means, worth, doubt=SPEAKERS_DOUBT)
    return np.asarray(linked(agreement, SPEAKERS_AGREE, least=speakers or 1, most=speakers)[numbers])


def _is_same_division(first: np.ndarray, second: np.ndarray) -> bool:
    pairs = np.unique(np.stack([first, second]), axis=1).shape[1]
    return bool(pairs == len(np.unique(first)) == len(np.unique(second)))
