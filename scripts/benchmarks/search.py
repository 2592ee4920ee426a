"""How long a search takes among many stored chunks and many enrolled labels, beside comparing with each in turn.

    made vectors of many labels -> index -> what is nearest to some of them, by the index and by brute force

The vectors are random: those of a label lie around a direction of its own, as far apart as chunks of voices do.
"""

import shutil
import timeit
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from audionet.console import progress_bar
from audionet.file_cache import FileStamp
from audionet.inference.vectors.clip_index import ClipIndex, IndexWriter
from audionet.inference.vectors.similar_clips import COMPARED, ClipSearch
from audionet.inference.vectors.vector_source import FileVectors
from audionet.models.similarity import Similarity
from benchmarks.options import SearchOptions

SHARED = 0.35  # squared cosine of a chunk with the direction of its label, about that of voices
CHUNKS_AT_ONCE = 10_000
QUERIES = 10
FORCED = 3  # of them are compared with every vector, which takes long
WANTED = 10
ENROLLED_CHUNKS = 30  # of a clip that is scored
DIRECTIONS = 256


def run(options: SearchOptions) -> int:
    """Make vectors, search them, print and write how long it took."""
    folder = options.output_dir / "search"
    shutil.rmtree(folder / "index", ignore_errors=True)
    rng = np.random.default_rng(options.random_seed)
    labels = _of_length_one(rng.standard_normal((options.labels, options.dimension), np.float32))
    write_index(folder / "index", labels, options, rng)
    result = measure(folder / "index", labels, options, rng)
    if not options.keep:
        shutil.rmtree(folder / "index")
    row = [f"{result[name]:.3f} s" for name in ("opened", "search", "brute_force")]
    table = (
        [
            "opened and first search",
            "search",
            "each in turn",
            "ratio",
            f"of the {WANTED} best found",
            "enrolled labels",
        ],
        [[*row, f"{result['ratio']:.0f}", f"{result['recall']:.1%}", f"{result['enrolled']:.3f} s"]],
    )
    about = (
        f"{options.chunks} chunks of {options.labels} labels, {options.dimension} numbers each; medians of {QUERIES} "
        f"searches. Enrolled labels: the odds of {ENROLLED_CHUNKS} chunks with {options.labels} labels."
    )
    options.write(folder / "search.json", result, {"Search": table}, about)
    return 0


def write_index(folder: Path, labels: np.ndarray, options: SearchOptions, rng: np.random.Generator) -> None:
    """Write an index of files of one label each."""
    writer = IndexWriter.open(folder, _Made(options.dimension), option="--output_dir")  # type: ignore[arg-type]
    number = 0
    with progress_bar(total=options.chunks, description="Vectors", unit="chunks") as bar:
        for places in made_places(labels, options, rng):
            of_files = np.split(places, range(options.chunks_a_file, len(places), options.chunks_a_file))
            writer.add([_made_file(number + place, of_file) for place, of_file in enumerate(of_files)])
            number += len(of_files)
            bar.update(len(places))


def _made_file(number: int, places: np.ndarray) -> tuple[str, FileStamp, FileVectors]:
    starts = 2 * np.arange(len(places), dtype=np.float32)
    whole = places.mean(axis=0, dtype=np.float32).astype(np.float16)
    return f"/made/{number}.wav", (0, 0, 0, 0), FileVectors(starts, starts + 2, places, whole)


def made_places(labels: np.ndarray, options: SearchOptions, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield chunks, float16, shape (chunks, dimension), of one file behind the other, each of a random label.

    What varies within labels is drawn once for some chunks, and turned otherwise for the next ones.
    """
    noise = _of_length_one(rng.standard_normal((CHUNKS_AT_ONCE, options.dimension), np.float32))
    for start in range(0, options.chunks, CHUNKS_AT_ONCE):
        count = min(CHUNKS_AT_ONCE, options.chunks - start)
        of_file = rng.integers(len(labels), size=-(-count // options.chunks_a_file))
        signs = rng.choice(np.array([-1, 1], np.float32), options.dimension)
        turned = noise[:count, rng.permutation(options.dimension)] * signs
        places = np.sqrt(SHARED) * labels[np.repeat(of_file, options.chunks_a_file)[:count]]
        yield _of_length_one(places + np.sqrt(1 - SHARED) * turned).astype(np.float16)


def measure(folder: Path, labels: np.ndarray, options: SearchOptions, rng: np.random.Generator) -> dict[str, Any]:
    """Return seconds, the ratio of brute force to a search, and the share of the best that a search finds."""
    space = _space(options.dimension)
    queries = labels[rng.integers(len(labels), size=QUERIES)]
    begun = timeit.default_timer()
    index = ClipIndex(folder, options.dimension)
    _search(index, space, queries[0]).similar_places(WANTED)
    opened = timeit.default_timer() - begun
    seconds: list[float] = []
    by_force: list[float] = []
    found: list[float] = []
    for query in queries:
        begun = timeit.default_timer()
        _search(index, space, query).similar_places(WANTED)
        seconds.append(timeit.default_timer() - begun)
        if len(by_force) == FORCED:
            continue
        near = index.of_chunks.nearest(query, count=COMPARED, among=np.ones(len(index.chunks), bool))
        begun = timeit.default_timer()
        best = best_by_force(index.of_chunks.vectors, query)
        by_force.append(timeit.default_timer() - begun)
        found.append(np.isin(best, near).mean())
    chunks = rng.standard_normal((ENROLLED_CHUNKS, options.dimension), np.float32)
    enrolled = timeit.repeat(lambda: space.log_odds(chunks, labels), number=1, repeat=QUERIES)
    return {
        "opened": opened,
        "search": float(np.median(seconds)),
        "brute_force": float(np.median(by_force)),
        "ratio": float(np.median(by_force) / np.median(seconds)),
        "recall": float(np.mean(found)),
        "enrolled": float(np.median(enrolled)),
    }


def best_by_force(vectors: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return the rows of the vectors that a query is nearest to, by comparing it with each."""
    blocks = range(0, len(vectors), CHUNKS_AT_ONCE)
    scores = np.concatenate([vectors[start : start + CHUNKS_AT_ONCE].astype(np.float32) @ query for start in blocks])
    return np.asarray(np.argpartition(-scores, WANTED)[:WANTED])


def _search(index: ClipIndex, space: Similarity, query: np.ndarray) -> ClipSearch:
    return ClipSearch(index, space, query, query, index.files["is_gone"] == 0)


def _space(dimension: int) -> Similarity:
    kept = min(DIRECTIONS, dimension)
    directions = np.linalg.qr(np.random.default_rng(0).standard_normal((dimension, kept)))[0].astype(np.float32)
    ones = np.ones(dimension, np.float32)
    return Similarity(0 * ones, ones, directions, np.zeros(kept, np.float32), slope=20.0, offset=-6.0)


def _of_length_one(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


class _Made:
    """Vectors of no network, as `VectorSource` describes those of one."""

    digest = "made"

    def __init__(self, dimension: int):
        self.dimension = dimension

    def sentence(self) -> str:
        return "made vectors"
