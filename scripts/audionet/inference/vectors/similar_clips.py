"""Files, or places in files, that sound most like a clip, out of an index.

What is near by few dimensions is compared in all of them, so that of a million chunks few are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audionet.errors import ClassifierError, InputError
from audionet.file_cache import file_stamp
from audionet.files import printable
from audionet.inference.vectors.clip_index import STAMP, ClipIndex
from audionet.inference.vectors.vector_source import VectorSource
from audionet.models.fused_similarity import FusedSimilarity
from audionet.models.similarity import Similarity

COMPARED = 1_024  # files or chunks that are near, at least
COMPARED_FOR_EACH = 20  # of those that are shown, at least
GROWN_AT_ONCE = 32  # chunks that a place is tried to be longer by


@dataclass(frozen=True)
class Neighbour:
    """A file, or a place in one, and how likely it is of the same label as the clip asked for."""

    path: Path
    probability: float
    start_seconds: float = 0.0
    end_seconds: float | None = None  # None for the whole file


@dataclass(frozen=True, eq=False)
class ClipSearch:
    """A search of an index for what is like one clip."""

    index: ClipIndex
    space: Similarity | FusedSimilarity
    asked: np.ndarray  # float32, shape (dimension,), as `Similarity.mean_place` gives it
    prototype: np.ndarray  # float32, shape (dimension,), as `Similarity.prototype` gives it
    files: np.ndarray  # bool, shape (files,), which come into question

    @classmethod
    def of(cls, index: ClipIndex, source: VectorSource, clip: Path, *, rows: np.ndarray | None = None) -> "ClipSearch":
        """Search among files by their rows, by default all; the clip itself, whatever its name, is passed over.

        Raises:
            ClassifierError: the vectors are in no comparison space.
            InputError, RecordingError, PictureError: the clip cannot be read.
        """
        if source.space is None:
            raise ClassifierError("These vectors are in no comparison space; search by those of a classifier.")
        bottlenecks = source.embedder.embed(clip).bottlenecks
        files = np.zeros(len(index.files), bool)
        files[slice(None) if rows is None else rows] = True
        files &= index.files["is_gone"] == 0
        try:
            stamp = file_stamp(clip)
        except OSError as error:
            raise InputError(f"{printable(clip)} cannot be read ({error.strerror}).") from error
        files &= ~np.logical_and.reduce([index.files[name] == value for name, value in zip(STAMP, stamp, strict=True)])
        return cls(
            index, source.space, source.space.mean_place(bottlenecks), source.space.prototype(bottlenecks), files
        )

    def similar_files(self, count: int, *, paths: Mapping[int, Path] | None = None) -> list[Neighbour]:
        """Return as many files at most, the most alike first, by the names that `paths` has for their rows."""
        rows = self.index.of_files.nearest(self.asked, count=_compared(count), among=self.files)
        found = self.index.of_files.vectors[rows].astype(np.float32)
        odds = self.space.clip_log_odds(self.asked[None], found)[0]
        best = np.argsort(-odds, kind="stable")[:count]
        return [Neighbour(self._path(int(rows[one]), paths), _probability(odds[one])) for one in best]

    def similar_places(self, count: int, *, paths: Mapping[int, Path] | None = None) -> list[Neighbour]:
        """Return as many places in files at most, the most alike first.

        A place is a chunk, with those before and behind it as long as they are likelier of the same label than not. Its
        probability is that of the geometric mean of its chunks' odds.
        """
        among = self.files[self.index.chunks["file"]]
        rows = self.index.of_chunks.nearest(self.prototype, count=_compared(count), among=among)
        odds = self._odds(rows)
        taken: set[int] = set()
        found = []
        for one in np.argsort(-odds, kind="stable"):
            row = int(rows[one])
            if row not in taken:
                place, mean_odds = self._grown(row, float(odds[one]))
                taken.update(place)
                found.append((mean_odds, place))
            if len(found) == 2 * count:  # the mean of a long place is below its best chunk
                break
        found.sort(key=lambda one: -one[0])
        return [self._place(place, mean_odds, paths) for mean_odds, place in found[:count]]

    def _odds(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return the logarithm of the odds that chunks are of the label asked for."""
        places = self.index.of_chunks.vectors[rows].astype(np.float32)
        return np.asarray(self.space.slope * (places @ self.prototype) + self.space.offset)

    def _grown(self, row: int, odds: float) -> tuple[range, float]:
        """Return the rows of the place around a chunk, and the mean of their odds."""
        if odds < 0:
            return range(row, row + 1), odds
        of_file = self.index.chunks_of(int(self.index.chunks["file"][row]))
        behind = self._alike(row + 1, of_file.stop, step=1)
        before = self._alike(row - 1, of_file.start - 1, step=-1)
        all_odds = [odds, *behind, *before]
        return range(row - len(before), row + 1 + len(behind)), float(np.mean(all_odds))

    def _alike(self, first: int, end: int, *, step: int) -> list[float]:
        """Return the odds of chunks from the first one on, forwards or backwards, as long as they are the same."""
        found: list[float] = []
        while (end - first) * step > 0:
            behind = first + step * min(GROWN_AT_ONCE, (end - first) * step)
            rows = np.arange(first, behind, step)
            odds = self._odds(rows)
            alike = int(np.argmin(np.append(odds >= 0, False)))
            found += odds[:alike].tolist()
            if alike < len(rows):
                break
            first = behind
        return found

    def _place(self, rows: range, odds: float, paths: Mapping[int, Path] | None) -> Neighbour:
        chunks = self.index.chunks[rows.start : rows.stop]
        path = self._path(int(chunks["file"][0]), paths)
        return Neighbour(path, _probability(odds), float(chunks["start"][0]), float(chunks["end"][-1]))

    def _path(self, row: int, paths: Mapping[int, Path] | None) -> Path:
        return (paths or {}).get(row) or self.index.path(row)


def _compared(count: int) -> int:
    return max(COMPARED, COMPARED_FOR_EACH * count)


def _probability(odds: float) -> float:
    return float(1 / (1 + np.exp(-float(odds))))
