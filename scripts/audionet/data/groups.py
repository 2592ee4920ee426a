"""Groups: recordings that must be in one split, such as those of a speaker, a session or a site."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

from audionet.errors import InputError
from audionet.files import brief, printable
from audionet.regular_files import open_regular

NO_HASH = "_nohash_"


def group_rule(group_by: str) -> Callable[[str], str]:
    """Return the function from a recording's name, such as `alice/monday.mp3`, to the group it belongs to.

    Args:
        group_by: `recording`, or what precedes _nohash_ in its name; or `folder`, the folder that the recording is in;
            or `fold`, the folder below the label's, as published data sets have folds; or `TABLE.csv:COLUMN`, a column
            of a table whose first column names recordings, with or without their label; or else a regular expression,
            whose first group, or whole match, in the file's name is the group, such as `^[^_]+`.

    Raises:
        InputError: the table or its column is not there, or the regular expression is wrong. The function raises it for
            a recording that the table lacks or the expression does not match.
    """
    if group_by == "recording":
        return _speaker_or_recording
    if group_by == "fold":
        return _fold_of
    if group_by == "folder":
        return lambda recording: str(Path(recording).parent)
    table, colon, column = group_by.rpartition(":")
    if colon and table.lower().endswith(".csv"):
        return _table_rule(Path(table), column)
    try:
        expression = re.compile(group_by)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(
            f"--group_by: expected recording, folder, TABLE.csv:COLUMN or a regular expression, received {group_by!r} "
            f"({error})."
        ) from error

    def matched(recording: str) -> str:
        match = expression.search(Path(recording).name)
        if match is None:
            raise InputError(f"--group_by: {group_by!r} does not match the name of {printable(recording)}.")
        return match.group(1) if expression.groups else match.group()

    return matched


def _speaker_or_recording(recording: str) -> str:
    """Return the speaker that `xxxx_nohash_n.wav` names, who says other labels too, or else the recording."""
    speaker, separator, _ = Path(recording).name.rpartition(NO_HASH)
    return speaker if separator else recording


def _fold_of(recording: str) -> str:
    parts = Path(recording).parts
    if len(parts) < 3:
        raise InputError(
            f"--group_by: expected {printable(recording)} in a fold, such as label/fold1/name.wav or as UrbanSound8K "
            "and ESC-50 are published, received none. Leave the option away, or group by something else."
        )
    return parts[1]


def _table_rule(path: Path, column: str) -> Callable[[str], str]:
    try:
        with io.TextIOWrapper(open_regular(path), newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            names = rows.fieldnames or []
            if column not in names[1:]:
                raise InputError(
                    f"--group_by: {printable(path)} has no column {column!r} behind its first; expected one of "
                    f"{brief(', '.join(names[1:])) or 'some, and there is none'}."
                )
            groups = {row[names[0]]: row[column] for row in rows if row[column] is not None}
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"--group_by: {printable(path)} cannot be read as a table ({brief(error)}).") from error

    def looked_up(recording: str) -> str:
        for name in (recording, Path(recording).name, Path(recording).stem):
            if name in groups:
                return groups[name]
        raise InputError(f"--group_by: {printable(path)} has no row for {printable(recording)}.")

    return looked_up
