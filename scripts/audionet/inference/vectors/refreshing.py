"""Bring an index up to date: files that are new or have changed are computed, those that are gone are left out."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audionet.console import log
from audionet.errors import AudioNetError
from audionet.file_cache import FileStamp, file_stamp
from audionet.files import one_writer, printable
from audionet.inference.batch_scoring import side_by_side
from audionet.inference.vectors.clip_index import ClipIndex, IndexWriter
from audionet.inference.vectors.vector_source import FileVectors, VectorSource

CHUNKS_AT_ONCE = 512  # written together: a run that is stopped loses few more
WAIT_SECONDS = 60.0  # for another run that adds to the same index


@dataclass(frozen=True, eq=False)
class RefreshedIndex:
    """An index that holds all files asked for which can be read."""

    index: ClipIndex
    rows: np.ndarray  # int, shape (files,), of those asked for, in their order, each once
    paths: dict[int, Path]  # as they were asked for, by row
    failed: int  # files that cannot be read, which were logged


def refresh(
    folder: Path, source: VectorSource, files: Sequence[Path], *, option: str, jobs: int | None = None
) -> RefreshedIndex:
    """Add files to the index in a folder, those that it lacks or that have changed since, and open it.

    Files that it has, and that are no longer there, are marked as gone, whether they were asked for or not. `jobs` is
    how many are read side by side, by default one for each core.

    Raises:
        InputError: the folder holds something else, or another run writes to it.
    """
    stamps, paths, failed = _stamps_of(files)
    with one_writer(folder, option=option, wait_seconds=WAIT_SECONDS):
        writer = IndexWriter.open(folder, source, option=option)
        index = ClipIndex(folder, source.dimension)
        known = index.rows_by_path()
        lacking = [name for name, stamp in stamps.items() if name not in known or index.stamp(known[name]) != stamp]
        failed += _compute(writer, source, {paths[name]: (name, stamps[name]) for name in lacking}, jobs=jobs)
        writer.mark_gone(_gone(ClipIndex(folder, source.dimension), stamps))
        writer.tidy()
        index = ClipIndex(folder, source.dimension)
    known = index.rows_by_path()
    by_row = {known[name]: path for name, path in paths.items() if name in known}
    return RefreshedIndex(index, np.array(list(by_row), int), by_row, failed)


def _stamps_of(files: Sequence[Path]) -> tuple[dict[str, FileStamp], dict[str, Path], int]:
    """Return the stamp of each file and how it was asked for, by its resolved path, and how many cannot be read."""
    stamps: dict[str, FileStamp] = {}
    paths: dict[str, Path] = {}
    failed = 0
    for path in files:
        try:
            name = str(path.resolve())
            if name not in stamps:
                stamps[name], paths[name] = file_stamp(path), path
        except OSError as error:
            log(f"Set aside: {printable(path)} cannot be read ({error.strerror}).")
            failed += 1
    return stamps, paths, failed


def _compute(
    writer: IndexWriter, source: VectorSource, lacking: Mapping[Path, tuple[str, FileStamp]], *, jobs: int | None
) -> int:
    """Add the vectors of files, given by path the name and the stamp that they are to have; return how many failed."""
    found = side_by_side(
        source.vectors_of,
        lacking,
        recipe=source.embedder.recipe,
        description="Vectors",
        total=len(lacking),
        jobs=jobs,
    )
    failed = chunks = 0
    waiting: list[tuple[str, FileStamp, FileVectors]] = []
    for path, vectors in found:
        if isinstance(vectors, AudioNetError):
            log(f"Set aside: {vectors}")
            failed += 1
            continue
        waiting.append((*lacking[path], vectors))
        chunks += len(vectors.chunks)
        if chunks >= CHUNKS_AT_ONCE:
            writer.add(waiting)
            waiting, chunks = [], 0
    writer.add(waiting)
    return failed


def _gone(index: ClipIndex, stamps: Mapping[str, FileStamp]) -> list[int]:
    """Return the rows of files that have changed or are no longer there, and earlier rows of one path."""
    latest = index.rows_by_path()
    earlier = set(np.flatnonzero(index.files["is_gone"] == 0).tolist()) - set(latest.values())
    outdated = [
        row
        for name, row in latest.items()
        if (index.stamp(row) != stamps[name] if name in stamps else not os.path.exists(name))  # noqa: PTH110
    ]
    return [*sorted(earlier), *outdated]
