"""The cache: what a backbone gave for a picture is computed once and kept.

    bottleneck_dir/efficientnet_lite0-1f3a.../       one folder for each backbone, weights and taps
        4096-9c41d0c2b7e61a55.npy                    a shard: keys and vectors of up to 4096 pictures

A key is a hash of content, so nothing is ever stale. A shard appears whole or not at all and is named after the hash of
its own bytes: one that was cut or altered no longer matches its name, is removed, and its pictures are computed again.
Several trainings may therefore share the cache and write to it at once, without a lock.
"""

import copy
import functools
import hashlib
import io
import os
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from audionet.console import progress_bar
from audionet.errors import PictureError
from audionet.files import mark_folder, read_mark, whole_file
from audionet.models.array_files import DAMAGED_HEADER
from audionet.parallel import run_groups

BATCH_SIZE = 32
SHARD_ROWS = 4096
IN_GROUP = 8  # pictures that a process reads at a time
KEY_BYTES = 32
IN_MEMORY_BYTES = 2**26  # larger tables are mapped from a scratch file, so that memory does not grow with them

Item = TypeVar("Item")


class PictureReader(Protocol):
    """What this module needs of a backbone: pictures in, vectors out."""

    @property
    def architecture(self) -> str:
        """The network's name."""

    @property
    def digest(self) -> str:
        """What stands for the network, its weights and its taps."""

    @property
    def dimension(self) -> int:
        """How long a vector is."""

    def __call__(self, inputs: np.ndarray, /) -> np.ndarray:
        """Map uint8 pictures (n, height, width, 3), or float32 sounds (n, samples), to float32 (n, dimension)."""


def bottlenecks_of(backbone: Callable[[np.ndarray], np.ndarray], pictures: np.ndarray) -> np.ndarray:
    """Return the bottlenecks of pictures, at the precision that the cache keeps, in training and in scoring alike.

    Pictures are uint8, shape (n, height, width, 3), bottlenecks float16, shape (n, dimension).
    """
    largest = np.finfo(np.float16).max
    return np.asarray(np.clip(backbone(pictures), -largest, largest).astype(np.float16))


class Rows:
    """Rows of several tables, one below the other, and some of their columns; they are read when asked for.

    It stands for an array of shape (n, dimension): it has `shape` and a length, and a slice or an array of row numbers
    gives those rows. There is at least one table, and all are of the same width.
    """

    def __init__(self, *tables: np.ndarray):
        self._tables = tables
        self._table_of = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        self._row_of = np.concatenate([np.arange(len(table)) for table in tables])
        self._columns: Sequence[tuple[int, int]] = [(0, tables[0].shape[1])]

    def take(self, rows: np.ndarray) -> "Rows":
        """Return some of the rows, by their numbers or by a mask, without reading them."""
        taken = copy.copy(self)
        taken._table_of, taken._row_of = self._table_of[rows], self._row_of[rows]
        return taken

    def take_columns(self, columns: Sequence[tuple[int, int]]) -> "Rows":
        """Return some columns of the tables, as (first, behind the last) pairs, without reading them."""
        taken = copy.copy(self)
        taken._columns = columns
        return taken

    def append(self, table: np.ndarray) -> "Rows":
        """Return these rows with those of another table of the same width below them."""
        joined = copy.copy(self)
        joined._tables = (*self._tables, table)
        joined._table_of = np.concatenate([self._table_of, np.full(len(table), len(self._tables))])
        joined._row_of = np.concatenate([self._row_of, np.arange(len(table))])
        return joined

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows and columns there are."""
        return len(self._row_of), sum(behind - first for first, behind in self._columns)

    def __len__(self) -> int:
        return len(self._row_of)

    def __getitem__(self, which: slice | np.ndarray) -> np.ndarray:
        table_of, row_of = self._table_of[which], self._row_of[which]
        found = np.empty((len(row_of), self.shape[1]), self._tables[0].dtype)
        for number, table in enumerate(self._tables):
            here = np.flatnonzero(table_of == number)
            start = 0
            for first, behind in self._columns:
                found[here, start : start + behind - first] = table[row_of[here], first:behind]
                start += behind - first
        return found


class BottleneckCache:
    """The bottlenecks of one backbone on disk, in a folder of its own within `bottleneck_dir`."""

    def __init__(self, bottleneck_dir: Path, backbone: PictureReader):
        self._backbone = backbone
        self._folder = bottleneck_dir / f"{backbone.architecture}-{backbone.digest}"
        self._row = np.dtype([("key", np.uint8, KEY_BYTES), ("vector", np.float16, backbone.dimension)])
        for folder in (bottleneck_dir, self._folder):
            if read_mark(folder) is None:
                mark_folder(folder, "bottlenecks")
        self._shards: dict[Path, np.ndarray] = {}
        self._places: dict[bytes, tuple[Path, int]] = {}
        with ThreadPoolExecutor() as pool:
            paths = sorted(self._folder.glob("*.npy"))
            for path, shard in zip(paths, pool.map(self._checked_shard, paths), strict=True):
                self._take_in(path, shard)

    def compute(
        self,
        keys: Sequence[str],
        items: Sequence[Item],
        read_picture: Callable[[Item], np.ndarray],
        *,
        in_processes: bool = False,
    ) -> tuple[np.ndarray, dict[int, str]]:
        """Return the bottlenecks of items, computing those that are not cached.

        Each item has a key, a SHA-256 in hexadecimal, which stands for the content of its picture: uint8, shape
        (height, width, 3), which `read_picture` gives, or raises PictureError. Pictures are read ahead while the
        network works: by threads, or by processes, of which a crash costs one picture.

        Returns float16 of shape (n, dimension), where the rows of failures are zero; and the reason by position for
        each item whose picture cannot be read.
        """
        positions: dict[bytes, list[int]] = {}
        for position, key in enumerate(keys):
            positions.setdefault(bytes.fromhex(key), []).append(position)
        missing = {key: where for key, where in positions.items() if key not in self._places}
        failures = self._fill(missing, items, read_picture, in_processes) if missing else {}
        return self._gather(positions, len(keys)), failures

    def _fill(
        self,
        missing: dict[bytes, list[int]],
        items: Sequence[Item],
        read_picture: Callable[[Item], np.ndarray],
        in_processes: bool,
    ) -> dict[int, str]:
        failures: dict[int, str] = {}
        keyed_items = [(key, items[where[0]]) for key, where in missing.items()]
        with (
            closing(_read_ahead(read_picture, keyed_items, in_processes=in_processes)) as pictures,
            progress_bar(total=len(missing), description="Bottlenecks", unit="pictures") as bar,
        ):
            while batch := list(islice(pictures, BATCH_SIZE)):
                good = [(key, picture) for key, picture in batch if isinstance(picture, np.ndarray)]
                for key, reason in batch:
                    if isinstance(reason, str):
                        failures.update(dict.fromkeys(missing[key], reason))
                if good:
                    vectors = bottlenecks_of(self._backbone, np.stack([picture for _, picture in good]))
                    self._write_shard([key for key, _ in good], vectors)
                bar.update(len(batch))
        self._merge_small_shards()
        return failures

    def _gather(self, positions: dict[bytes, list[int]], count: int) -> np.ndarray:
        vectors = _table(count, self._backbone.dimension, self._folder)
        by_shard: dict[Path, tuple[list[int], list[int]]] = {}
        for key, where in positions.items():
            if key in self._places:
                path, row = self._places[key]
                targets, rows = by_shard.setdefault(path, ([], []))
                targets.extend(where)
                rows.extend([row] * len(where))
        for path, (targets, rows) in by_shard.items():
            vectors[targets] = self._shards[path]["vector"][rows]
        return vectors

    def _checked_shard(self, path: Path) -> np.ndarray | None:
        """Return a shard, or None if its bytes are not those that it was named after, or it cannot be read."""
        shard: np.ndarray | None = None
        try:
            shard = np.load(path, mmap_mode="r", allow_pickle=False)
        except OSError:  # merged with others by another training, or of a disk or rights that may be back
            return None
        except (EOFError, *DAMAGED_HEADER):
            shard = None
        if shard is None or shard.dtype != self._row or path.name != _shard_name(shard):
            path.unlink(missing_ok=True)
            return None
        return shard

    def _take_in(self, path: Path, shard: np.ndarray | None) -> None:
        if shard is not None:
            self._shards[path] = shard
            self._places.update((key.tobytes(), (path, row)) for row, key in enumerate(shard["key"]))

    def _write_shard(self, keys: list[bytes], vectors: np.ndarray) -> None:
        shard = np.empty(len(keys), self._row)
        shard["key"] = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES)
        shard["vector"] = vectors
        self._save(shard)

    def _save(self, shard: np.ndarray) -> None:
        path = self._folder / _shard_name(shard)
        content = io.BytesIO()  # written by us, because NumPy does not say that a disk is full
        np.save(content, shard, allow_pickle=False)
        with whole_file(path) as scratch:
            scratch.write_bytes(content.getbuffer())
            # Mapped before others know of it: another training of this network may merge it with others at any moment.
            mapped = np.load(scratch, mmap_mode="r", allow_pickle=False)
        self._take_in(path, mapped)

    def _merge_small_shards(self) -> None:
        """Replace the shards of single batches by larger ones, which open faster."""
        small = [path for path, shard in self._shards.items() if len(shard) < SHARD_ROWS]
        while len(small) > 1:
            chosen: list[Path] = []
            rows = 0
            while small and (not chosen or rows + len(self._shards[small[-1]]) <= SHARD_ROWS):
                chosen.append(small.pop())
                rows += len(self._shards[chosen[-1]])
            if len(chosen) > 1:
                self._save(np.concatenate([self._shards[path] for path in chosen]))
                for path in chosen:
                    del self._shards[path]
                    path.unlink(missing_ok=True)


def _shard_name(shard: np.ndarray) -> str:
    return f"{len(shard)}-{hashlib.sha256(np.ascontiguousarray(shard).view(np.uint8).data).hexdigest()[:16]}.npy"


def kept_rows(table: np.ndarray, rows: Sequence[int]) -> np.ndarray:
    """Return some rows of a table, ascending, moved to its beginning, so that one larger than memory is not copied."""
    if len(rows) == len(table):
        return table
    for start in range(0, len(rows), SHARD_ROWS):
        block = rows[start : start + SHARD_ROWS]
        table[start : start + len(block)] = table[block]
    return table[: len(rows)]


def _table(rows: int, columns: int, folder: Path) -> np.ndarray:
    """Return a float16 table of zeros: in memory, or mapped from a file in a folder that is gone once it is closed."""
    if rows * columns * np.dtype(np.float16).itemsize <= IN_MEMORY_BYTES:
        return np.zeros((rows, columns), np.float16)
    with tempfile.TemporaryFile(dir=folder) as file:  # where the cache is there is room; /tmp may be in memory
        if hasattr(os, "posix_fallocate"):  # a page that the disk has no room for would kill the process
            os.posix_fallocate(file.fileno(), 0, rows * columns * np.dtype(np.float16).itemsize)
        return np.memmap(file, np.float16, "w+", shape=(rows, columns))


def _read_ahead(
    read_picture: Callable[[Item], np.ndarray], keyed_items: Sequence[tuple[bytes, Item]], *, in_processes: bool
) -> Generator[tuple[bytes, np.ndarray | str], None, None]:
    """Yield key and picture, or key and reason, in order, with a few batches always under way."""
    read = functools.partial(_picture_or_reason, read_picture)
    if in_processes:
        groups = (keyed_items[start : start + IN_GROUP] for start in range(0, len(keyed_items), IN_GROUP))
        for group in run_groups(read, groups, jobs=None, in_order=True):
            yield from ((key, picture) for (key, _), picture in group)
        return
    waiting = iter(keyed_items)
    threads = ThreadPoolExecutor()
    try:
        under_way = deque((item[0], threads.submit(read, item)) for item in islice(waiting, 3 * BATCH_SIZE))
        while under_way:
            key, future = under_way.popleft()
            under_way.extend((item[0], threads.submit(read, item)) for item in islice(waiting, 1))
            yield key, future.result()
    finally:
        threads.shutdown(cancel_futures=True)


def _picture_or_reason(read_picture: Callable[[Item], np.ndarray], keyed_item: tuple[bytes, Item]) -> np.ndarray | str:
    try:
        return read_picture(keyed_item[1])
    except PictureError as error:
        return str(error)
