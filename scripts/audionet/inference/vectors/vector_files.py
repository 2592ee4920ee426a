"""Vectors of an index as files: npy with a CSV beside it that says what each row is of, CSV, or Parquet.

    file, start_seconds, end_seconds      of each row; of a whole file from 0 to the end of its sound
    v0, v1, ...                           in CSV: the vector
    vector                                in Parquet: the vector, a list of fixed length

Rows are written a block at a time, so that memory does not grow with how many there are.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from audionet.files import whole_file
from audionet.inference.vectors.refreshing import RefreshedIndex
from audionet.outputs import PARQUET

By = Literal["chunk", "recording"]

SUFFIXES = (".npy", ".csv", PARQUET)
COLUMNS = ("file", "start_seconds", "end_seconds")
ROWS_AT_ONCE = 1_024


@dataclass(frozen=True, eq=False)
class VectorRows:
    """Some rows of the table: what they are of, and their vectors."""

    files: list[str]
    starts: np.ndarray  # float32, shape (rows,), in seconds
    ends: np.ndarray  # float32, shape (rows,)
    vectors: np.ndarray  # float32, shape (rows, dimension)


def write_vectors(path: Path, found: RefreshedIndex, *, by: By) -> int:
    """Write a row for each chunk, or for each recording, of the files that were asked for, in their order.

    The format is that of the suffix. Returns how many rows there are.
    """
    match path.suffix.lower():
        case ".npy":
            return _write_npy(path, found, by)
        case ".csv":
            return _write_csv(path, found, by, with_vectors=True)
        case _:
            return _write_parquet(path, found, by)


def rows_of(found: RefreshedIndex, by: By) -> Iterator[VectorRows]:
    """Yield the rows of the table, some at a time."""
    index = found.index
    if by == "recording":
        for start in range(0, len(found.rows), ROWS_AT_ONCE):
            rows = found.rows[start : start + ROWS_AT_ONCE]
            last = index.files["first"][rows] + index.files["chunks"][rows] - 1
            names = [str(found.paths[int(row)]) for row in rows]
            vectors = index.of_files.vectors[rows].astype(np.float32)
            yield VectorRows(names, np.zeros(len(rows), np.float32), index.chunks["end"][last], vectors)
        return
    for row in found.rows.tolist():
        chunks = index.chunks_of(row)
        for start in range(chunks.start, chunks.stop, ROWS_AT_ONCE):
            some = slice(start, min(start + ROWS_AT_ONCE, chunks.stop))
            of_chunks = index.chunks[some]
            vectors = index.of_chunks.vectors[some].astype(np.float32)
            yield VectorRows([str(found.paths[row])] * len(of_chunks), of_chunks["start"], of_chunks["end"], vectors)


def count_rows(found: RefreshedIndex, by: By) -> int:
    """Return how many rows the table has."""
    return len(found.rows) if by == "recording" else int(found.index.files["chunks"][found.rows].sum())


def _write_npy(path: Path, found: RefreshedIndex, by: By) -> int:
    """Write float32, shape (rows, dimension), and what the rows are of as a CSV beside it."""
    shape = (count_rows(found, by), found.index.dimension)
    with whole_file(path) as scratch, open(scratch, "wb") as file:
        about = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(file, about)
        for rows in rows_of(found, by):
            file.write(rows.vectors.astype("<f4").tobytes())
    return _write_csv(path.with_suffix(".csv"), found, by, with_vectors=False)


def _write_csv(path: Path, found: RefreshedIndex, by: By, *, with_vectors: bool) -> int:
    count = 0
    with (
        whole_file(path) as scratch,
        open(scratch, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*COLUMNS, *(f"v{column}" for column in range(found.index.dimension * with_vectors))])
        for rows in rows_of(found, by):
            numbers = rows.vectors if with_vectors else np.empty((len(rows.files), 0), np.float32)
            for name, start, end, vector in zip(rows.files, rows.starts, rows.ends, numbers, strict=True):
                table.writerow([name, f"{start:g}", f"{end:g}", *(f"{number:.6g}" for number in vector.tolist())])
            count += len(rows.files)
    return count


def _write_parquet(path: Path, found: RefreshedIndex, by: By) -> int:
    import pyarrow as pa  # an optional library
    import pyarrow.parquet as pq

    dimension, count = found.index.dimension, 0
    of_vector = pa.list_(pa.float32(), dimension)
    schema = pa.schema([("file", pa.string()), *((name, pa.float32()) for name in COLUMNS[1:]), ("vector", of_vector)])
    with whole_file(path) as scratch, pq.ParquetWriter(scratch, schema) as writer:
        for rows in rows_of(found, by):
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.vectors.ravel()), dimension)
            names = [name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for name in rows.files]
            columns = [names, pa.array(rows.starts), pa.array(rows.ends), vectors]
            writer.write_table(pa.Table.from_arrays([pa.array(names), *columns[1:]], schema=schema))
            count += len(rows.files)
    return count
