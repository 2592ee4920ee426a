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
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from tqdm import tqdm

from audionet.console import progress_bar
from audionet.distributed import cluster
from audionet.errors import PictureError
from audionet.files import mark_folder, read_mark, sha256_of, whole_file
from audionet.models.array_files import DAMAGED_HEADER
from audionet.parallel import run_groups

BATCH_SIZE = 32
SHARD_ROWS = 4096
IN_GROUP = 8  # pictures that a process reads at a time
KEY_BYTES = 32
SOUND = "sound"  # stands for what a network that listens is given, in keys
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
    def tables(self) -> tuple[np.ndarray, ...]:
        """The tables that rows are of, whole."""
        return self._tables

    @property
    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """The table that each row is of, and its place there: both int, shape (n,)."""
        return self._table_of, self._row_of

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
        """Return the bottlenecks of items by this backbone alone; see `compute_all`."""
        (vectors,), failures = compute_all([self], [keys], items, _Single(read_picture), in_processes=in_processes)
        return vectors, failures

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def add(self, keys: Sequence[bytes], inputs: Sequence[np.ndarray]) -> None:
        """Compute and keep the bottlenecks of some inputs; `finish` is to be called at the end."""
        if keys:
            self.store(keys, bottlenecks_of(self._backbone, np.stack(inputs)))

    @property
    def backbone(self) -> PictureReader:
        """What computes the bottlenecks."""
        return self._backbone

    def store(self, keys: Sequence[bytes], vectors: np.ndarray) -> None:
        """Keep bottlenecks that were computed elsewhere, float16, shape (n, dimension); `finish` is for the end."""
        if keys:
            self._write_shard(keys, vectors)

    def gather(self, keys: Sequence[bytes]) -> np.ndarray:
        """Return bottlenecks by key: float16, shape (n, dimension), zero where there are none."""
        vectors = _table(len(keys), self._backbone.dimension, self._folder)
        by_shard: dict[Path, tuple[list[int], list[int]]] = {}
        for position, key in enumerate(keys):
            if key in self._places:
                path, row = self._places[key]
                targets, rows = by_shard.setdefault(path, ([], []))
                targets.append(position)
                rows.append(row)
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

    def _write_shard(self, keys: Sequence[bytes], vectors: np.ndarray) -> None:
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

    def finish(self) -> None:
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


def key_of(content: str, drawn: str | None) -> str:
    """Return the key, a SHA-256 in hexadecimal, of a picture by that of its content, and by what a network is given.

    `drawn` is None for the picture as it is, `SOUND`, or the digest of the recipe by which its sound is drawn instead.
    """
    return content if drawn is None else sha256_of(f"{drawn}/{content}".encode())


def keys_of_shard(path: Path, *, verify: bool) -> set[bytes] | None:
    """Return the keys of a file of bottlenecks; None where it is none, or `verify` finds that it was changed."""
    try:
        shard = np.load(path, mmap_mode="r", allow_pickle=False)
        keys = shard["key"]
    except (OSError, EOFError, IndexError, *DAMAGED_HEADER):
        return None
    if verify and path.name != _shard_name(shard):
        return None
    return {key.tobytes() for key in keys}


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


def compute_all(
    caches: Sequence[BottleneckCache],
    keys: Sequence[Sequence[str]],
    items: Sequence[Item],
    read: Callable[[Item, tuple[int, ...]], Sequence[np.ndarray]],
    *,
    in_processes: bool = False,
) -> tuple[list[np.ndarray], dict[int, str]]:
    """Return the bottlenecks of items by several backbones, computing those that their caches lack.

    Each item has for each cache a key, a SHA-256 in hexadecimal, which stands for the content of what that backbone is
    given of it. `read` takes an item and which backbones, by number, are to be given it, and returns an array for each:
    pictures, uint8, shape (height, width, 3), or sounds; or raises PictureError. Items are read ahead while the
    networks work: by threads, or by processes, of which a crash costs one item.

    Returns for each cache float16 of shape (n, dimension), where the rows of failures are zero; and the reason by
    position for each item that cannot be read.
    """
    known_as = [[bytes.fromhex(key) for key in of_cache] for of_cache in keys]
    positions: dict[tuple[bytes, ...], list[int]] = {}
    for position, of_item in enumerate(zip(*known_as, strict=True)):
        positions.setdefault(of_item, []).append(position)
    lacking = {of_item: _lacking(caches, of_item) for of_item in positions}
    tasks = [_Task(of_item, wanted, items[positions[of_item][0]]) for of_item, wanted in lacking.items() if wanted]
    failures: dict[int, str] = {}
    if tasks:
        _fill(caches, tasks, read, positions, failures, in_processes=in_processes)
    return [cache.gather(of_cache) for cache, of_cache in zip(caches, known_as, strict=True)], failures


@dataclass(frozen=True)
class _Task:
    """An item that some caches lack."""

    keys: tuple[bytes, ...]  # one for each cache
    wanted: tuple[int, ...]  # the numbers of the caches that lack it
    item: Any


@dataclass(frozen=True)
class _Single:
    """Reads items for one backbone."""

    read: Callable[[Any], np.ndarray]

    def __call__(self, item: Any, _: tuple[int, ...]) -> list[np.ndarray]:
        return [self.read(item)]


def _lacking(caches: Sequence[BottleneckCache], keys: Sequence[bytes]) -> tuple[int, ...]:
    return tuple(number for number, key in enumerate(keys) if key not in caches[number])


def _fill(
    caches: Sequence[BottleneckCache],
    tasks: Sequence[_Task],
    read: Callable[[Item, tuple[int, ...]], Sequence[np.ndarray]],
    positions: dict[tuple[bytes, ...], list[int]],
    failures: dict[int, str],
    *,
    in_processes: bool,
) -> None:
    with progress_bar(total=len(tasks), description="Bottlenecks", unit="pictures") as bar:
        if cluster.is_connected():
            tasks = _filled_on_cluster(caches, tasks, read, positions, failures, bar)
            in_processes = True  # one of those that are left crashed a process
        with closing(_read_ahead(read, tasks, in_processes=in_processes)) as found:
            while batch := list(islice(found, BATCH_SIZE)):
                inputs = _by_cache(len(caches), batch, positions, failures)
                for cache, (keys, arrays) in zip(caches, inputs, strict=True):
                    cache.add(keys, arrays)
                bar.update(len(batch))
    for cache in caches:
        cache.finish()


def _by_cache(
    count: int,
    batch: Sequence[tuple[_Task, Sequence[np.ndarray] | str]],
    positions: dict[tuple[bytes, ...], list[int]],
    failures: dict[int, str],
) -> list[tuple[list[bytes], list[np.ndarray]]]:
    """Return the keys and the arrays of items for each of so many caches, and add to `failures` what has none."""
    found: list[tuple[list[bytes], list[np.ndarray]]] = [([], []) for _ in range(count)]
    for task, of_item in batch:
        if isinstance(of_item, str):
            failures.update(dict.fromkeys(positions[task.keys], of_item))
            continue
        for number, one in zip(task.wanted, of_item, strict=True):
            found[number][0].append(task.keys[number])
            found[number][1].append(one)
    return found


@dataclass(frozen=True, eq=False)
class _Embedding:
    """Reads items and computes their bottlenecks, where both are done by the same process."""

    backbones: tuple[PictureReader, ...]
    read: Callable[[Any, tuple[int, ...]], Sequence[np.ndarray]]

    def of_batch(self, tasks: Sequence[_Task]) -> list[list[np.ndarray] | str]:
        """Return for each item its bottleneck by each backbone that is wanted, or the reason why there is none."""
        found = [(task, _inputs_or_reason(self.read, task)) for task in tasks]
        vectors: list[list[np.ndarray] | str] = [one if isinstance(one, str) else [] for _, one in found]
        for number, backbone in enumerate(self.backbones):
            rows = [
                row for row, task in enumerate(tasks) if number in task.wanted and not isinstance(found[row][1], str)
            ]
            if rows:
                inputs = [found[row][1][tasks[row].wanted.index(number)] for row in rows]
                for row, vector in zip(rows, bottlenecks_of(backbone, np.stack(inputs)), strict=True):
                    vectors[row].append(vector)  # type: ignore[union-attr]
        return vectors


def _filled_on_cluster(
    caches: Sequence[BottleneckCache],
    tasks: Sequence[_Task],
    read: Callable[[Item, tuple[int, ...]], Sequence[np.ndarray]],
    positions: dict[tuple[bytes, ...], list[int]],
    failures: dict[int, str],
    bar: tqdm,
) -> list[_Task]:
    """Let a cluster read items and compute bottlenecks; return those among which one crashed a process again and again.

    Batches come back in order, so that the files of the cache are those that one machine writes.
    """
    embedding = _Embedding(tuple(cache.backbone for cache in caches), read)
    batches = [[tasks[start : start + BATCH_SIZE]] for start in range(0, len(tasks), BATCH_SIZE)]
    left: list[_Task] = []
    for group in run_groups(embedding.of_batch, batches, jobs=None, in_order=True, holds_network=True):
        for batch, found in group:
            if isinstance(found, str):
                left += batch
                continue
            by_cache = _by_cache(len(caches), list(zip(batch, found, strict=True)), positions, failures)
            for cache, (keys, vectors) in zip(caches, by_cache, strict=True):
                cache.store(keys, np.array(vectors))
            bar.update(len(batch))
    return left


def _read_ahead(
    read: Callable[[Item, tuple[int, ...]], Sequence[np.ndarray]], tasks: Sequence[_Task], *, in_processes: bool
) -> Generator[tuple[_Task, Sequence[np.ndarray] | str], None, None]:
    """Yield each task with its inputs or with a reason, in order, with a few batches always under way."""
    read_or_explain = functools.partial(_inputs_or_reason, read)
    if in_processes:
        groups = (tasks[start : start + IN_GROUP] for start in range(0, len(tasks), IN_GROUP))
        for group in run_groups(read_or_explain, groups, jobs=None, in_order=True):
            yield from group
        return
    waiting = iter(tasks)
    threads = ThreadPoolExecutor()
    try:
        under_way = deque((task, threads.submit(read_or_explain, task)) for task in islice(waiting, 3 * BATCH_SIZE))
        while under_way:
            task, future = under_way.popleft()
            under_way.extend((task, threads.submit(read_or_explain, task)) for task in islice(waiting, 1))
            yield task, future.result()
    finally:
        threads.shutdown(cancel_futures=True)


def _inputs_or_reason(
    read: Callable[[Item, tuple[int, ...]], Sequence[np.ndarray]], task: _Task
) -> Sequence[np.ndarray] | str:
    try:
        return read(task.item, task.wanted)
    except PictureError as error:
        return str(error)
