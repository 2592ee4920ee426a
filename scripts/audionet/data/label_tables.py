"""Tables of labels: which label is heard when, in which recording.

    spans.csv           path,start,end,label and, where wanted, split, group and weight
    a.selections.txt    a selection table of Raven, of a.wav or of the files in its column `Begin File`
    a.txt               a label track of Audacity, of a.wav
    a.rttm              RTTM, which names recordings without their suffix

A row that cannot be used is named and left out; the others are taken.
"""

import csv
import math
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from audionet.audio import decoding
from audionet.data.listed_clips import Clip, plain
from audionet.errors import InputError
from audionet.files import brief, files_below, printable, walk_files
from audionet.regular_files import read_regular
from audionet.wording import counted

SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".rttm"})
DELIMITERS = (",", ";", "\t")
RAVEN_START, RAVEN_END = "begin time (s)", "end time (s)"
RAVEN_LABELS = ("label", "annotation", "species", "common name", "class", "call type", "type", "tag", "code")
AUDACITY_LINE = re.compile(r"\d+(?:[.,]\d+)?\t\d+(?:[.,]\d+)?(?:\t.*)?")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "path": ("path", "file", "filename", "file_name", "recording"),
    "start": ("start", "start_seconds", "start_time", "begin", "onset"),
    "end": ("end", "end_seconds", "end_time", "offset"),
    "label": ("label", "class", "category", "species"),
    "split": ("split", "subset"),
    "group": ("group",),
    "weight": ("weight",),
}
"""What the columns of a table in CSV may be called, in any letter case."""
SPLIT_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("training", "train"), "training"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("testing", "test", "eval"), "testing"),
    "": "",
}
SPARE_SECONDS = 0.05  # that a time may lie beyond the end: tables are rounded, and codecs add or take a little


@dataclass
class LabelTable:
    """The clips that tables name."""

    clips: list[Clip] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)  # reason by table and line, for each row that was left out
    notes: list[str] = field(default_factory=list)  # sentences about rows that were taken all the same


@dataclass(frozen=True)
class _Row:
    """A row of a table, as it says it."""

    line: int
    start: str
    end: str
    label: str
    path: str = ""  # empty where the table's own name tells
    split: str = ""
    group: str = ""
    weight: str = ""
    is_repeated: bool = False  # a second view of what was listed before


def read_labels(labels: Path, audio_dir: Path) -> LabelTable:
    """Return the clips that a table, or all tables below a folder, name among the recordings below `audio_dir`.

    Recordings are named from `audio_dir` or from the table's folder, or by their file's name alone where there is but
    one of it. They need not be there.

    Raises:
        InputError: there is no such file or folder, it is no table of labels, or no row of it can be used.
    """
    if not labels.exists():
        raise InputError(f"--labels: expected a table of labels or a folder of them, but {printable(labels)} is none.")
    table = LabelTable()
    recordings = _Recordings(audio_dir)
    is_folder = labels.is_dir()
    paths = [path for path in walk_files(labels) if path.suffix.lower() in SUFFIXES] if is_folder else [labels]
    for path in paths:
        try:
            rows, note = _read_rows(path)
        except _NotATableError as error:
            if not is_folder:
                raise InputError(f"--labels: {printable(path)} {error}.") from error
            table.notes.append(f"{printable(path)} is passed over: it {error}.")
            continue
        table.notes += [note] if note else []
        _add_clips(table, rows, path, recordings, called=os.path.relpath(path, labels) if is_folder else path.name)
    if not table.clips:
        first = next((f" {where}: {reason}." for where, reason in table.faults.items()), "")
        raise InputError(f"--labels: {printable(labels)} names no clip that can be cut.{first}")
    _leave_out_torn_groups(table)
    table.notes += [*_spellings(table.clips), *_overlaps(table.clips)]
    return table


class _NotATableError(Exception):
    """A file that is no table of labels; its text says why, as what follows the file's name."""


def _read_rows(path: Path) -> tuple[list[_Row], str]:
    """Return the rows of a table, and a note on how it was read if there is something to say."""
    try:
        content = read_regular(path)
    except OSError as error:
        raise _NotATableError(f"cannot be read ({error.strerror})") from error
    text, note = _decoded(content, path)
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    if path.suffix.lower() == ".rttm" or first.startswith(("SPEAKER ", "SPKR-INFO ", ";;")):
        return list(_rttm_rows(lines)), note
    if RAVEN_START in first.casefold() and "\t" in first:
        return list(_raven_rows(lines)), note
    if AUDACITY_LINE.fullmatch(first):
        return list(_audacity_rows(lines)), note
    return list(_csv_rows(text, first)), note


def _decoded(content: bytes, path: Path) -> tuple[str, str]:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace"), ""
    try:
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return content.decode("latin-1"), f"{printable(path)} is not in UTF-8; it is read as Latin-1."


def _csv_rows(text: str, first: str) -> Iterator[_Row]:
    delimiter = max(DELIMITERS, key=first.count)
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter, restval="")
    named = {name: str(name or "").strip().casefold() for name in reader.fieldnames or []}
    columns = {
        ours: next((name for alias in aliases for name, said in named.items() if said == alias), None)
        for ours, aliases in COLUMNS.items()
    }
    if columns["path"] is None or columns["label"] is None:
        raise _NotATableError(
            "is no table of labels: expected columns path and label, and start, end, split, group and weight where "
            f"wanted; or a selection table of Raven, a label track of Audacity, or RTTM; received {brief(first)!r}"
        )
    try:
        for row in reader:
            values = {ours: (row[name] or "").strip() for ours, name in columns.items() if name is not None}
            if delimiter == ";":  # where commas are decimal
                values |= {name: values.get(name, "").replace(",", ".") for name in ("start", "end", "weight")}
            yield _Row(**{"line": reader.line_num, "start": "", "end": "", **values})  # type: ignore[arg-type]
    except csv.Error as error:
        raise _NotATableError(f"cannot be read as a table ({error})") from error


def _raven_rows(lines: Sequence[str]) -> Iterator[_Row]:
    reader = csv.DictReader(lines, delimiter="\t", restval="", quoting=csv.QUOTE_NONE)
    named = {str(name).strip().casefold(): name for name in reader.fieldnames or []}
    label = next((named[alias] for alias in RAVEN_LABELS if alias in named), None)
    if label is None or RAVEN_END not in named:
        raise _NotATableError(
            f"is a selection table without labels: expected the column {RAVEN_END!r} and one of "
            f"{', '.join(RAVEN_LABELS)}, received {brief(', '.join(named))}"
        )
    path = next((named[name] for name in ("begin path", "begin file") if name in named), None)
    seen = set()
    for row in reader:
        start, end = row[named[RAVEN_START]].strip(), row[named[RAVEN_END]].strip()
        # In a sequence of files, times run on, and the offset is from the beginning of the file.
        if "file offset (s)" in named and (begin := row[named["file offset (s)"]].strip()):
            start, end = begin, _shifted(end, by=start, to=begin)
        key = (row.get(named.get("selection", ""), ""), start, end, row[label])
        # A selection has a row for each view of it, the waveform and the spectrogram.
        yield _Row(
            line=reader.line_num,
            start=start,
            end=end,
            label=row[label].strip(),
            path=row[path].strip() if path else "",
            is_repeated=bool(key[0]) and key in seen,
        )
        seen.add(key)


def _shifted(end: str, *, by: str, to: str) -> str:
    try:
        return repr(float(end) - float(by) + float(to))
    except ValueError:
        return end


def _audacity_rows(lines: Sequence[str]) -> Iterator[_Row]:
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("\\"):  # which is followed by frequencies
            start, end, label = [*line.split("\t"), "", ""][:3]
            yield _Row(number, start.replace(",", "."), end.replace(",", "."), label.strip())


def _rttm_rows(lines: Sequence[str]) -> Iterator[_Row]:
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":  # other kinds of lines are about other things
            continue
        name, start, seconds, label = ([*fields, *[""] * 8][place] for place in (1, 3, 4, 7))
        try:
            end = repr(float(start) + float(seconds))
        except ValueError:
            end = seconds
        yield _Row(number, start, end, label, path=name)


class _Recordings:
    """The recordings below a folder, to be found by what tables call them."""

    def __init__(self, audio_dir: Path):
        self.audio_dir = audio_dir
        self._by_name: dict[str, list[Path]] | None = None

    def find(self, name: str, table: Path) -> Path:
        """Return where a recording is, or would be; raise ValueError where several may be meant."""
        for folder in (self.audio_dir, table.parent):
            if (folder / name).is_file():
                return folder / name
        found = self._named(Path(name).name)
        if len(found) > 1:
            beside = [path for path in found if path.parent == table.parent]
            found = beside if len(beside) == 1 else found
        if len(found) > 1:
            raise ValueError(f"{name!r} may be {found[0]} or {found[1]}; name its folder too")
        return found[0] if found else self.audio_dir / name

    def of_table(self, table: Path) -> Path:
        """Return the recording that a table is about by its own name; raise ValueError where there is none."""
        name = table.name
        while "." in name:
            name = name.rpartition(".")[0]
            found = self._named(name)
            beside = [path for path in found if path.parent == table.parent] or found
            if len(beside) == 1:
                return beside[0]
        raise ValueError(f"no recording is called as the table, such as {table.name.partition('.')[0]}.wav")

    def _named(self, name: str) -> list[Path]:
        if self._by_name is None:
            self._by_name = defaultdict(list)
            for path in files_below(self.audio_dir, wanted=decoding.is_recording).values():
                for each in {path.name, path.stem}:
                    self._by_name[each].append(path)
        return self._by_name.get(name, [])


def _add_clips(table: LabelTable, rows: Iterable[_Row], path: Path, recordings: _Recordings, *, called: str) -> None:
    lengths: dict[Path, float | None] = {}
    known = {clip.recording for clip in table.clips}
    for row in rows:
        if row.is_repeated:
            continue
        try:
            clip = _clip_of(row, path, recordings)
            if clip.source not in lengths:
                form = decoding.form_of(clip.source)
                lengths[clip.source] = form[1] if form else None
            clip = _within(clip, lengths[clip.source], table.notes, where=f"{printable(called)}, line {row.line}")
            if clip.recording in known:
                raise ValueError("the same times and label are in a row above")
        except ValueError as error:
            table.faults[f"{called}, line {row.line}"] = printable(error)
            continue
        known.add(clip.recording)
        table.clips.append(clip)


def _clip_of(row: _Row, table: Path, recordings: _Recordings) -> Clip:
    """Return the clip that a row names; raise ValueError where it names none."""
    if not row.label or row.label.startswith(".") or set("/\\\0") & set(row.label):
        raise ValueError(f"expected a label that a folder can be called by, received {row.label[:100]!r}")
    if ".." in Path(row.path).parts or "\0" in row.path:
        raise ValueError(f"expected a recording below {recordings.audio_dir}, received {row.path!r}")
    source = recordings.find(row.path, table) if row.path else recordings.of_table(table)
    split = SPLIT_NAMES.get(row.split.casefold())
    if split is None:
        raise ValueError(f"split: expected training, validation or testing, received {row.split!r}")
    start, end = _seconds(row.start, "start") or 0.0, _seconds(row.end, "end")
    if end is not None and end <= start:
        raise ValueError(f"it ends at {end:g} s, and begins at {start:g} s; the end comes later")
    weight = float(row.weight) if row.weight else 1.0
    if not 0 < weight < math.inf:
        raise ValueError(f"weight: expected a number above 0, received {row.weight}")
    name = os.path.relpath(source, recordings.audio_dir)
    name = str(Path(*Path(source).parts[1:])) if name.startswith("..") else name
    return Clip(source, name, row.label, start, end, split=split, group=row.group or name, weight=weight)


def _seconds(text: str, column: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError as error:
        raise ValueError(f"{column}: expected seconds, received {text[:40]!r}") from error
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{column}: expected seconds from the beginning, received {text}")
    return seconds


def _within(clip: Clip, length: float | None, notes: list[str], *, where: str) -> Clip:
    """Return a clip that ends where its recording does, if not before; raise ValueError where it begins later."""
    if length is None:
        return clip
    if clip.start_seconds >= length:
        raise ValueError(f"it begins at {clip.start_seconds:g} s, and the recording ends at {length:.3f} s")
    if clip.end_seconds is None or clip.end_seconds <= length:
        return clip
    if clip.end_seconds > length + SPARE_SECONDS:
        notes.append(
            f"{where}: it ends at {clip.end_seconds:g} s, and {printable(clip.name)} at {length:.3f} s; it is cut."
        )
    return clip.until(round(length, 6))


def _leave_out_torn_groups(table: LabelTable) -> None:
    """Leave out clips that are in another split than the first of their group that is in any."""
    split_of: dict[str, str] = {}
    for clip in table.clips:
        if clip.split:
            split_of.setdefault(clip.group, clip.split)
    torn = {clip.recording for clip in table.clips if clip.split and clip.split != split_of[clip.group]}
    for clip in table.clips:
        if clip.recording in torn:
            # By another name than its own, which would keep the pictures that it had.
            table.faults[f"{clip.name} from {plain(clip.start_seconds)} s, {clip.label}"] = (
                f"it is in {clip.split}, and others of its group, {printable(clip.group)}, are in "
                f"{split_of[clip.group]}; a group is in one split"
            )
    table.clips = [clip for clip in table.clips if clip.recording not in torn]


def _spellings(clips: Iterable[Clip]) -> list[str]:
    by_letters: dict[str, dict[str, int]] = defaultdict(dict)
    for clip in clips:
        letters = "".join(filter(str.isalnum, clip.label.casefold()))
        by_letters[letters][clip.label] = by_letters[letters].get(clip.label, 0) + 1
    doubtful = [spelled for letters, spelled in by_letters.items() if letters and len(spelled) > 1]
    named = [" and ".join(f"{printable(label)} ({count})" for label, count in spelled.items()) for spelled in doubtful]
    return [
        f"Labels {names} differ in spelling alone, and count as labels of their own. If they are one, spell them alike."
        for names in named
    ]


def _overlaps(clips: Iterable[Clip]) -> list[str]:
    by_source: dict[Path, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_source[clip.source].append(clip)
    pairs = []
    for of_one in by_source.values():
        ordered = sorted(of_one, key=_start)
        latest = ordered[0]
        for clip in ordered[1:]:
            if clip.start_seconds < latest.stop:
                pairs.append((latest, clip))
            latest = max(latest, clip, key=_stop)
    if not pairs:
        return []
    first, second = pairs[0]
    return [
        f"{counted(len(pairs), 'clip')} overlap another in time, such as {printable(first.recording)} and "
        f"{printable(second.recording)}: the sound they share is in both."
    ]


def _start(clip: Clip) -> float:
    return clip.start_seconds


def _stop(clip: Clip) -> float:
    return clip.stop


def unlabelled_clips(clips: Sequence[Clip], *, least_seconds: float, label: str) -> list[Clip]:
    """Return what lies between the clips of each recording, and before and behind them, as clips of a label.

    What is shorter than `least_seconds` is passed over, as are recordings that are not there, those of which a clip is
    the whole, and what is behind the last clip of those whose header does not tell their length.
    """
    by_source: dict[Path, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_source[clip.source].append(clip)
    found = []
    for source, of_one in by_source.items():
        if not source.is_file():
            continue
        form = decoding.form_of(source)
        end = 0.0
        ends = [(clip.start_seconds, clip.stop) for clip in sorted(of_one, key=_start)]
        length = form[1] if form else 0.0
        for begin, stop in [*ends, (length, length)]:
            if begin - end >= least_seconds:
                found.append(of_one[0].another(label, round(end, 6), round(begin, 6)))
            end = max(end, stop)
    return found
