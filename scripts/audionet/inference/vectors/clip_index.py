"""The index: vectors of files and of their chunks on disk, mapped into memory, so that a search reads few of them.

    index/names             paths of files, one behind the other
          chunks            of each chunk its file, where it starts and where it ends
          chunk_vectors     float16, shape (chunks, dimension)
          chunk_near        float32, shape (chunks, near dimensions): the same of length 1 and projected, to find what
                            is worth comparing
          file_vectors, file_near     the same of whole files
          files             of each file its stamp, its path and its chunks; written last

Rows are added at the end; what has no row in `files` is cut off by the next writer, so that a run that was stopped
leaves whole files. A file that has changed gets new rows, and its old ones are marked as gone. Where most are gone, the
index is written anew.
"""

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audionet.errors import InputError
from audionet.failpoints import failpoint
from audionet.file_cache import FileStamp
from audionet.files import mark_folder, printable, read_mark, whole_folder
from audionet.inference.vectors.vector_source import FileVectors, VectorSource
from audionet.models.timelines.speaker_clustering import Projection

FORMAT = 1
KIND = "vectors"
NEAR = 128  # dimensions; what is near by these is compared in all
ROWS_AT_ONCE = 8_192
GONE_SHARE = 0.5  # of all chunks, from which the index is written anew

STAMP = ("size", "mtime_ns", "ctime_ns", "inode")
FILE = np.dtype([(name, "<i8") for name in (*STAMP, "name", "name_bytes", "first", "chunks", "is_gone")])
CHUNK = np.dtype([("file", "<i8"), ("start", "<f4"), ("end", "<f4")])


@dataclass(frozen=True, eq=False)
class IndexedVectors:
    """Vectors, mapped into memory, with what finds those that are near."""

    vectors: np.ndarray  # float16, shape (n, dimension)
    near: np.ndarray  # float32, shape (n, near dimensions)

    def nearest(self, query: np.ndarray, *, count: int, among: np.ndarray) -> np.ndarray:
        """Return rows that a query, float32, shape (dimension,), is nearest to, at most so many: int, ascending.

        `among`, bool, shape (n,), says which come into question. The cosine decides, in fewer dimensions, where it is
        off by about 0.09: many more should be asked for than are wanted.
        """
        if among.sum() <= count:
            return np.flatnonzero(among)
        cosines = self.near @ nearness(query[None])[0]
        cosines[~among] = -np.inf
        return np.asarray(np.sort(np.argpartition(-cosines, count)[:count]))


def nearness(vectors: np.ndarray) -> np.ndarray:
    """Return vectors, shape (n, dimension), of length 1 and projected: float32, shape (n, near dimensions)."""
    vectors = vectors.astype(np.float32)
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return _projection(vectors.shape[1])(vectors / lengths).astype(np.float32)


@functools.cache
def _projection(dimension: int) -> Projection:
    """Return a projection that keeps its directions, which are of one dimension."""
    return Projection(min(NEAR, dimension))


class ClipIndex:
    """An index as it was when it was opened; it may be read while another run adds to it."""

    def __init__(self, folder: Path, dimension: int):
        self.folder = folder
        self.dimension = dimension
        self._tables = _tables(dimension)
        sizes = {name: _rows_in(folder / name, dtype) for name, dtype in self._tables.items()}
        self.files = _mapped(folder / "files", FILE, self._whole_files(sizes))
        """Of each file its row, dtype `FILE`, shape (files,)."""
        chunks = int(self.files["chunks"].sum())
        self._names = _mapped(folder / "names", self._tables["names"], int(self.files["name_bytes"].sum()))
        self.chunks = _mapped(folder / "chunks", CHUNK, chunks)
        """Of each chunk its row, dtype `CHUNK`, shape (chunks,)."""
        self.of_chunks = self._vectors("chunk", chunks)
        self.of_files = self._vectors("file", len(self.files))

    @classmethod
    def open(cls, folder: Path, source: VectorSource, *, option: str = "--index") -> "ClipIndex":
        """Open the index of a source's vectors.

        Raises:
            InputError: there is none, or it is of other vectors.
        """
        check_index(folder, source, option=option)
        if read_mark(folder) is None:
            raise InputError(f"{option}: {printable(folder)} holds no index. Name the folders to search by --among.")
        return cls(folder, source.dimension)

    def path(self, row: int) -> Path:
        """Return the path of a file."""
        first, count = int(self.files["name"][row]), int(self.files["name_bytes"][row])
        return Path(os.fsdecode(self._names[first : first + count].tobytes()))

    def chunks_of(self, row: int) -> slice:
        """Return the rows of a file's chunks."""
        first = int(self.files["first"][row])
        return slice(first, first + int(self.files["chunks"][row]))

    def rows_by_path(self) -> dict[str, int]:
        """Return the row of every file that is not gone, by its path."""
        return {str(self.path(int(row))): int(row) for row in np.flatnonzero(self.files["is_gone"] == 0)}

    def stamp(self, row: int) -> FileStamp:
        """Return what a file was like when its vectors were computed."""
        size, mtime_ns, ctime_ns, inode = (int(self.files[name][row]) for name in STAMP)
        return size, mtime_ns, ctime_ns, inode

    def _whole_files(self, sizes: Mapping[str, int]) -> int:
        """Return how many of the first files have all their rows in every table, given the rows of each table."""
        files = _mapped(self.folder / "files", FILE, sizes["files"])
        has_all = np.arange(1, len(files) + 1) <= min(sizes["file_vectors"], sizes["file_near"])
        has_all &= files["name"] + files["name_bytes"] <= sizes["names"]
        chunks = min(sizes[name] for name in ("chunks", "chunk_vectors", "chunk_near"))
        has_all &= files["first"] + files["chunks"] <= chunks
        return int(np.argmin(np.append(has_all, False)))

    def stored(self, row: int) -> tuple[str, FileStamp, FileVectors]:
        """Return a file as `IndexWriter.add` took it."""
        chunks = self.chunks_of(row)
        starts, ends = self.chunks["start"][chunks], self.chunks["end"][chunks]
        vectors = FileVectors(starts, ends, self.of_chunks.vectors[chunks], self.of_files.vectors[row])
        return str(self.path(row)), self.stamp(row), vectors

    def _vectors(self, of: str, rows: int) -> IndexedVectors:
        names = (f"{of}_vectors", f"{of}_near")
        return IndexedVectors(*(_mapped(self.folder / name, self._tables[name], rows) for name in names))


def check_index(folder: Path, source: VectorSource, *, option: str) -> None:
    """Raise InputError where a folder holds something that is not the index of a source's vectors."""
    mark = read_mark(folder)
    if mark is None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(
                f"{option}: expected an index or a new folder, but {printable(folder)} holds something else. Name "
                "another folder."
            )
        return
    if mark["kind"] != KIND or mark.get("format") != FORMAT:
        raise InputError(
            f"{option}: expected an index or a new folder, but {printable(folder)} holds {printable(mark['kind'])} of "
            "another kind or version. Name another folder."
        )
    if mark.get("digest") != source.digest:
        raise InputError(
            f"{option}: {printable(folder)} is the index of another network or another training "
            f"({printable(mark.get('of'))}); this one is {source.sentence()}. Name another folder, or remove it and it "
            "is made anew."
        )


class IndexWriter:
    """Adds files to an index and marks some as gone; the folder is to be held with `files.one_writer`."""

    def __init__(self, folder: Path, dimension: int):
        self.folder, self._dimension = folder, dimension
        index = ClipIndex(folder, dimension)
        self._files, self._chunks = len(index.files), len(index.chunks)
        self._name_bytes = int(index.files["name_bytes"].sum())
        self._cut_off_rest()

    @classmethod
    def open(cls, folder: Path, source: VectorSource, *, option: str) -> "IndexWriter":
        """Open the index of a source's vectors, which is made if it is not there; errors are as for `check_index`."""
        check_index(folder, source, option=option)
        if read_mark(folder) is None:
            mark_folder(folder, KIND, format=FORMAT, digest=source.digest, of=source.sentence())
        return cls(folder, source.dimension)

    def add(self, files: Sequence[tuple[str, FileStamp, FileVectors]]) -> None:
        """Add files by their paths, with their stamps and vectors, all or, where the disk is full, none."""
        if not files:
            return
        names = [os.fsencode(name) for name, _, _ in files]
        counts = [len(found.chunks) for _, _, found in files]
        rows, chunks = np.zeros(len(files), FILE), np.empty(sum(counts), CHUNK)
        rows["chunks"], rows["name_bytes"] = counts, [len(name) for name in names]
        rows["first"] = self._chunks + np.cumsum([0, *counts[:-1]])
        rows["name"] = self._name_bytes + np.cumsum([0, *rows["name_bytes"][:-1]])
        for number, name in enumerate(STAMP):
            rows[name] = [stamp[number] for _, stamp, _ in files]
        chunks["file"] = np.repeat(self._files + np.arange(len(files)), counts)
        chunks["start"] = np.concatenate([found.starts for _, _, found in files])
        chunks["end"] = np.concatenate([found.ends for _, _, found in files])
        chunk_vectors = np.concatenate([found.chunks for _, _, found in files])
        file_vectors = np.stack([found.whole for _, _, found in files])
        contents = {
            "names": b"".join(names),
            "chunks": chunks.tobytes(),
            "chunk_vectors": chunk_vectors.tobytes(),
            "chunk_near": nearness(chunk_vectors).tobytes(),
            "file_vectors": file_vectors.tobytes(),
            "file_near": nearness(file_vectors).tobytes(),
            "files": rows.tobytes(),
        }
        for name, content in contents.items():
            failpoint("add to an index")
            with open(self.folder / name, "ab") as table:
                table.write(content)
        self._files, self._chunks = self._files + len(files), self._chunks + sum(counts)
        self._name_bytes += sum(map(len, names))

    def mark_gone(self, rows: Sequence[int]) -> None:
        """Mark files as gone, by their rows."""
        if rows:
            files = np.memmap(self.folder / "files", FILE, "r+")
            files["is_gone"][np.asarray(rows)] = 1
            files.flush()

    def tidy(self) -> None:
        """Write the index anew, without files that are gone, if these are most of it."""
        index = ClipIndex(self.folder, self._dimension)
        is_kept = index.files["is_gone"] == 0
        if index.files["chunks"][~is_kept].sum() <= GONE_SHARE * len(index.chunks):
            return
        mark = {name: value for name, value in (read_mark(self.folder) or {}).items() if name != "kind"}
        with whole_folder(self.folder) as scratch:
            mark_folder(scratch, KIND, **mark)
            writer = IndexWriter(scratch, self._dimension)
            for row in np.flatnonzero(is_kept):
                writer.add([index.stored(int(row))])

    def _cut_off_rest(self) -> None:
        """Cut off what a run that was stopped left without a row in `files`."""
        rows = {"names": self._name_bytes, "files": self._files}
        for name, dtype in _tables(self._dimension).items():
            wanted = rows.get(name, self._chunks if name.startswith("chunk") else self._files) * dtype.itemsize
            path = self.folder / name
            if not path.exists() or path.stat().st_size != wanted:
                with open(path, "ab") as table:
                    table.truncate(wanted)


def _tables(dimension: int) -> dict[str, np.dtype]:
    """Return what a row of each table is, `files` last."""
    near = min(NEAR, dimension)
    vectors = {"vectors": np.dtype((np.float16, (dimension,))), "near": np.dtype((np.float32, (near,)))}
    of_both = {f"{of}_{name}": dtype for of in ("chunk", "file") for name, dtype in vectors.items()}
    return {"names": np.dtype(np.uint8), "chunks": CHUNK, **of_both, "files": FILE}


def _rows_in(path: Path, dtype: np.dtype) -> int:
    """Return how many whole rows a table has; 0 if it is not there."""
    try:
        return path.stat().st_size // dtype.itemsize
    except FileNotFoundError:
        return 0


def _mapped(path: Path, dtype: np.dtype, rows: int) -> np.ndarray:
    """Return the first rows of a table, mapped into memory."""
    if not rows:
        return np.empty(0, dtype)
    return np.memmap(path, dtype, "r", shape=(rows,))
