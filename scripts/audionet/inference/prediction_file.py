"""Answers as rows of a file: JSON lines, CSV or Parquet, by the suffix. Each file's rows are written at once.

A run that was stopped, by hand or by a full disk, leaves whole rows, and `resume` goes on behind them: what has an
answer is passed over, and what failed is tried again. Parquet cannot be appended to; its rows are collected in JSON
lines beside it, and turned into the one file at the end.

    file               the clip as it was named, or `-`
    label              the answer: a label, or `unknown`
    known              whether the clip is of any label at all
    nearest            the likeliest label, known or not
    probability        of the likeliest label
    score, threshold   how much likelier it is of its nearest label than of anybody, as a logarithm, and what the score
                       must reach for the clip to be known; empty where that is not known
    chunks             how many chunks of the recording were scored; 1 for a picture
    model              fingerprint of the classifier
    error              why there is no answer; empty where there is one
    labels             in JSON lines: probability by label, the likeliest first
    label_2, probability_2 and so on   the same in CSV and Parquet, as far as `top_k`

A timeline has one row a span; `timeline.Span` says what its columns mean.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import IO, Any

from audionet.console import log
from audionet.errors import AudioNetError, InputError
from audionet.failpoints import failpoint
from audionet.files import brief, printable, whole_file
from audionet.json_files import parse_json
from audionet.models.answer import Answer
from audionet.models.timelines.timeline import Span
from audionet.outputs import PARQUET, check_suffix
from audionet.scratch import is_at, take_lock

Row = Mapping[str, Any]

SUFFIXES = (".jsonl", ".csv", PARQUET)
ROWS_AT_ONCE = 10_000
NUMBERS = frozenset({"probability", "score", "threshold", "start_seconds", "end_seconds"})


def answer_row(clip: Path, answer: Answer | AudioNetError, *, model: str | None, top_k: int) -> dict[str, Any]:
    """Return one clip's row for JSON lines, or that of the reason why it has no answer."""
    row: dict[str, Any] = {"file": str(clip)}
    if isinstance(answer, AudioNetError):
        return row | {"model": model, "error": str(answer)}
    return row | answer.to_json(top_k) | {"chunks": len(answer.chunk_offsets_seconds), "model": model}


def answer_columns(top_k: int) -> list[str]:
    """Return the columns of a table of clips."""
    others = [f"{name}_{place}" for place in range(2, top_k + 1) for name in ("label", "probability")]
    first = ["file", "label", "known", "nearest", "probability", "score", "threshold", "chunks", "model", "error"]
    return first + others


SPAN_COLUMNS = (
    *("file", "start_seconds", "end_seconds", "kind", "label", "nearest", "probability", "score", "model", "error"),
)


def span_rows(clip: Path, spans: Iterable[Span] | AudioNetError, *, model: str) -> list[dict[str, Any]]:
    """Return the rows of one recording's timeline, or that of the reason why it has none."""
    if isinstance(spans, AudioNetError):
        return [{"file": str(clip), "model": model, "error": str(spans)}]
    return [{"file": str(clip), **asdict(span), "model": model} for span in spans]


def flat(row: Row) -> dict[str, Any]:
    """Return a row of JSON lines as one of a table: labels by place instead of by name."""
    flattened = {name: value for name, value in row.items() if name != "labels"}
    for place, (label, probability) in enumerate(row.get("labels", {}).items(), start=1):
        if place > 1:
            flattened |= {f"label_{place}": label, f"probability_{place}": probability}
    return flattened


class PredictionFile:
    """A file that rows are added to, as a context manager.

    Args:
        path: where to; its suffix gives the format.
        columns: of a table.
        model: fingerprint of the classifier that all rows must be of.
        resume: whether to go on with what the file holds.
        spans: whether a file may have several rows; the last one's are then written again.

    Attributes:
        written: how many clips have got their rows.
        failed: how many of them have no answer.

    Raises:
        InputError: the suffix is none of `SUFFIXES`, the file is there and is not to be gone on with, or it holds
            answers of another classifier or other columns.
    """

    def __init__(self, path: Path, *, columns: Sequence[str], model: str | None, resume: bool, spans: bool = False):
        self._path = path
        self._columns = list(columns)
        self._model = model
        self._is_parquet = path.suffix.lower() == PARQUET
        check_suffix(path, SUFFIXES)
        self._journal = path.with_name(f"{path.name}.part.jsonl") if self._is_parquet else path
        self._is_csv = self._journal.suffix.lower() == ".csv"
        self._done: set[int] = set()
        self.written = self.failed = 0
        begun = [one for one in dict.fromkeys((self._path, self._journal)) if one.exists()]
        if begun and not resume:
            raise InputError(
                f"--output: {printable(begun[0])} is there already. Go on with it by --resume, or name another file."
            )
        self._journal.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as begun_files:
            for one in begun:
                self._hold(begun_files.enter_context(open(one, "rb")), one)
            if any(one.stat().st_size for one in begun):
                self._take_up(spans)
        self._file = open(self._journal, "ab", buffering=0)  # noqa: SIM115 - closed by __exit__
        self._hold(self._file, self._journal)
        if self._is_csv and not self._file.tell():
            self._append(self._csv([self._columns]))

    def _hold(self, file: IO[bytes], path: Path) -> None:
        """Keep others from writing to a file until it is closed."""
        with suppress(BlockingIOError):
            take_lock(file.fileno())
            if is_at(file.fileno(), path):
                return
        file.close()
        raise InputError(
            f"--output: another run writes to {printable(self._path)}. Wait for its end, or name another file."
        )

    def __enter__(self) -> "PredictionFile":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._file.close()
        if kind is None and self._is_parquet:
            self._write_parquet()

    def __contains__(self, clip: Path) -> bool:
        """Tell whether the file holds an answer for a clip."""
        return hash(str(clip)) in self._done

    @property
    def held(self) -> int:
        """How many clips the file held an answer for when it was taken up."""
        return len(self._done)

    def write(self, rows: Sequence[Row]) -> None:
        """Add the rows of one clip, all of them or, where the disk is full, none; log why it has no answer."""
        self._write_rows(rows)
        self.written += 1
        for error in [row["error"] for row in rows if row.get("error")]:
            log(f"Set aside: {error}")
            self.failed += 1

    def log_summary(self) -> None:
        """Log how many clips were labelled, set aside and labelled before."""
        before = f"; {self.held} {'was' if self.held == 1 else 'were'} labelled before" if self.held else ""
        log(f"{self.written} files: {self.written - self.failed} labelled, {self.failed} set aside{before}.")

    def _write_rows(self, rows: Iterable[Row]) -> None:
        if self._is_csv:
            self._append(self._csv([_cell(flat(row).get(name)) for name in self._columns] for row in rows))
        else:
            self._append("".join(json.dumps(row) + "\n" for row in rows).encode())

    def _append(self, content: bytes) -> None:
        failpoint("add rows to a file")
        whole = self._file.tell()
        try:
            view = memoryview(content)
            while len(view):
                view = view[self._file.write(view) :]
        except OSError as error:
            self._file.truncate(whole)
            error.filename = str(self._journal)
            raise

    def _csv(self, rows: Iterable[Sequence[Any]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().encode("utf-8", "surrogateescape")

    def _take_up(self, spans: bool) -> None:
        """Keep the whole rows of answers, and drop a torn one and those of failures."""
        source = self._journal if self._journal.exists() else self._path
        kept = self._kept(self._rows_of(source), spans)
        with whole_file(self._journal) as scratch, open(scratch, "wb") as target:
            if self._is_csv:
                target.write(self._csv([self._columns]))
            for row in kept:
                self._done.add(hash(row["file"]))
                target.write(
                    self._csv([[row.get(name) for name in self._columns]])
                    if self._is_csv
                    else json.dumps(row).encode() + b"\n"
                )

    def _kept(self, rows: Iterator[dict[str, Any]], spans: bool) -> Iterator[dict[str, Any]]:
        of_one: list[dict[str, Any]] = []
        for row in rows:
            if row.get("model") not in (self._model, "" if self._model is None else self._model):
                raise InputError(
                    f"--output: {printable(self._path)} holds answers of another classifier, "
                    f"{brief(row.get('model'))}; this one is {self._model}. Name another file."
                )
            if row.get("error"):
                continue
            if of_one and of_one[0]["file"] != row["file"]:
                yield from of_one
                of_one.clear()
            of_one.append(row)
        if not spans:  # else nobody knows whether these are all of its spans
            yield from of_one

    def _rows_of(self, source: Path) -> Iterator[dict[str, Any]]:
        if source.suffix.lower() == PARQUET:
            yield from _parquet_rows(source)
        elif self._is_csv:
            yield from self._csv_rows(source)
        else:
            yield from _json_rows(source)

    def _csv_rows(self, source: Path) -> Iterator[dict[str, Any]]:
        rows = _whole_csv_rows(source)
        header = next(rows, self._columns)
        if header != self._columns:
            raise InputError(
                f"--output: {printable(source)} has the columns {brief(', '.join(header))}; expected "
                f"{', '.join(self._columns)}. Name another file."
            )
        yield from (dict(zip(header, row, strict=False)) for row in rows)

    def _write_parquet(self) -> None:
        import pyarrow as pa  # an optional library
        import pyarrow.parquet as pq

        schema = pa.schema([(name, _arrow_type(pa, name)) for name in self._columns])
        with whole_file(self._path) as scratch, pq.ParquetWriter(scratch, schema) as writer:
            rows = map(flat, self._rows_of(self._journal))
            while some := list(islice(rows, ROWS_AT_ONCE)):
                tabled = [{name: _unicode(row.get(name)) for name in self._columns} for row in some]
                try:
                    writer.write_table(pa.Table.from_pylist(tabled, schema))
                except (pa.ArrowException, OverflowError) as error:
                    raise InputError(
                        f"--output: {printable(self._journal)} holds what is no answer or span ({brief(error)}). Name "
                        "another file."
                    ) from error
        self._journal.unlink()


def _whole_csv_rows(source: Path) -> Iterator[list[str]]:
    """Yield the rows of a table but for a last one that was torn."""
    with open(source, newline="", encoding="utf-8", errors="surrogateescape") as text:
        ahead: list[str] | None = None
        try:
            for row in csv.reader(text, strict=True):
                if ahead is not None:
                    yield ahead
                ahead = row
            is_whole = _ends_a_line(source)
        except csv.Error:  # the last one was torn within quotes, so that the one before is whole
            is_whole = True
        if ahead is not None and is_whole:
            yield ahead


def _json_rows(source: Path) -> Iterator[dict[str, Any]]:
    with open(source, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                return  # it was torn
            try:
                row = parse_json(line)
            except ValueError:
                row = None
            if not _is_row(row):
                raise InputError(
                    f"--output: line {number} of {printable(source)} is no answer or span. Name another file."
                )
            yield row


def _parquet_rows(source: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa  # an optional library
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source) as table:
            for batch in table.iter_batches(ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    if not _is_row(row):
                        raise InputError(
                            f"--output: {printable(source)} has rows that are no answers or spans. Name another file."
                        )
                    yield row
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"--output: {printable(source)} cannot be read as Parquet ({brief(error)}). Name another file."
        ) from error


def _is_row(row: object) -> bool:
    """Tell whether a value is a row as far as going on with its file relies on that."""
    return isinstance(row, dict) and isinstance(row.get("file"), str) and isinstance(row.get("labels", {}), dict)


def _arrow_type(pa: Any, column: str) -> Any:
    if column == "known":
        return pa.bool_()
    if column == "chunks":
        return pa.int64()
    return pa.float64() if column in NUMBERS or column.startswith("probability_") else pa.string()


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _unicode(value: Any) -> Any:
    """Return a text with those bytes spelled out that are no characters, which Parquet does not hold."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _ends_a_line(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
