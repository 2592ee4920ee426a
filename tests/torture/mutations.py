"""Strategies of hypothesis for files that were valid once: cut, altered, and with values that their kind may not hold.

Each strategy starts from content that is right, so that what is drawn gets past the first check of a reader, and leaves
it as it is now and then. An edit knows the structure where there is one: a value within JSON, a cell of a table, an
array of an archive. Checksums are made anew, since whoever alters a file on purpose does that too.
"""

import copy
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

MOST_EDITS = 3

LIMITS = (0, 1, -1, 2, 127, 128, 255, 256, 65_535, 2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63), 2**64)

NESTED = "[" * 20_000

HOSTILE_TEXTS = (
    *("", " ", "\0", "\n", "\r\n", "\x1b[2J\x1b]0;owned\x07", "\u202e", "\ud800", "\ufeff", "é" * 300, "x" * 70_000),
    *("../../outside", "/etc/passwd", "C:\\outside", "alice", "_unknown_", "unknown", "nan", "inf", "-1", "1e999"),
    *("=1+1", '"', "'", "\\", ",", "{}", "[]", "%s%n", "{0}", "${HOME}", "$(touch outside)", "`touch outside`"),
)

HOSTILE_VALUES = (
    *(None, True, False, [], {}, [[]], [None], {"": None}, {"\0": 1}, 0.5, -0.0, 1e308, -1e308, 5e-324),
    *(float("nan"), float("inf"), -float("inf"), 10**400),
    *(*LIMITS, *HOSTILE_TEXTS),
)

hostile_values = st.sampled_from(HOSTILE_VALUES)


@st.composite
def damaged(draw: st.DrawFn, valid: bytes, most_edits: int = MOST_EDITS) -> bytes:
    """Return content with up to `most_edits` of its bytes or runs of them cut, altered, repeated, moved or set."""
    content = bytearray(valid)
    for _ in range(draw(st.integers(0, most_edits))):
        # Headers matter most, and they are where files begin.
        where = draw(st.integers(0, min(len(content), 128)) | st.integers(0, len(content)))
        length = draw(st.integers(1, 16) | st.integers(1, max(1, len(content))))
        match draw(st.sampled_from(("cut", "flip", "write", "insert", "remove", "repeat", "number", "number"))):
            case "cut":
                del content[where:]
            case "flip" if where < len(content):
                content[where] ^= 1 << draw(st.integers(0, 7))
            case "write":
                new = draw(st.binary(min_size=1, max_size=16))
                content[where : where + len(new)] = new
            case "insert":
                content[where:where] = draw(st.binary(min_size=1, max_size=64))
            case "remove":
                del content[where : where + length]
            case "repeat":
                content[where:where] = content[where : where + length]
            case "number":
                content[where : where + 8] = draw(limit_bytes()) + content[where + 8 : where + 8]
    return bytes(content)


@st.composite
def limit_bytes(draw: st.DrawFn) -> bytes:
    """Return a number at a limit as 1, 2, 4 or 8 bytes, in either order."""
    size = draw(st.sampled_from((1, 2, 4, 8)))
    number = draw(st.sampled_from(LIMITS)) % 256**size
    return number.to_bytes(size, draw(st.sampled_from(("little", "big"))))


@st.composite
def altered_json(draw: st.DrawFn, valid: Any, most_edits: int = MOST_EDITS) -> Any:
    """Return a JSON value with some of the values within it replaced, removed, repeated or added."""
    holder = {"": copy.deepcopy(valid)}
    for _ in range(draw(st.integers(0, most_edits))):
        places = list(_places(holder))
        inside, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(("replace", "replace", "replace", "remove", "swap", "add", "wrap"))):
            case "remove" if inside is not holder:
                del inside[key]
            case "swap":
                other, other_key = draw(st.sampled_from(places))
                inside[key] = copy.deepcopy(other[other_key])
            case "add" if isinstance(inside[key], dict):
                inside[key][draw(st.sampled_from(("", "new", "__class__", "name", "format")))] = draw(hostile_values)
            case "add" if isinstance(inside[key], list):
                inside[key].append(draw(hostile_values))
            case "wrap":
                inside[key] = draw(st.sampled_from(([inside[key]], {"value": inside[key]}, str(inside[key]))))
            case _:
                inside[key] = copy.deepcopy(draw(hostile_values))
    return holder[""]


def _places(value: Any) -> Any:
    """Yield each place within lists and objects, as what holds it and its index or name."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


@st.composite
def json_files(draw: st.DrawFn, valid: Any) -> bytes:
    """Return a JSON file with altered values, or one that is damaged as text, or much too deep."""
    kind = draw(st.integers(0, 19))
    if kind == 0:
        return draw(st.sampled_from((NESTED, '{"a":' * 20_000, "9" * 5_000, "", "null", "\ufeff{}"))).encode()
    content = as_json(draw(altered_json(valid)))
    return draw(damaged(content)) if kind < 5 else content


def as_json(value: Any) -> bytes:
    """Return a JSON file; what cannot be part of one, such as half of a character, is written as it is."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


@st.composite
def altered_rows(draw: st.DrawFn, rows: list[list[str]]) -> list[list[str]]:
    """Return the rows of a table with some cells or rows replaced, removed, repeated or added."""
    rows = [list(row) for row in rows]
    for _ in range(draw(st.integers(0, MOST_EDITS))):
        number = draw(st.integers(0, max(0, len(rows) - 1)))
        row = rows[number] if rows else []
        column = draw(st.integers(0, max(0, len(row) - 1)))
        match draw(st.sampled_from(("cell", "cell", "cell", "remove", "repeat", "shorten", "lengthen", "empty"))):
            case "cell" if row:
                row[column] = draw(st.sampled_from(HOSTILE_TEXTS) | st.text(max_size=20))
            case "remove" if rows:
                del rows[number]
            case "repeat":
                rows.insert(number, list(row))
            case "shorten":
                del row[column:]
            case "lengthen":
                row += [draw(st.sampled_from(HOSTILE_TEXTS))] * draw(st.integers(1, 50))
            case "empty":
                rows = []
    return rows


@st.composite
def altered_array(draw: st.DrawFn, valid: np.ndarray) -> bytes:
    """Return an .npy file: of another type or shape, with values at limits, or whose header and content disagree."""
    array = valid
    kind = draw(st.sampled_from(("type", "shape", "values", "values", "header", "bytes", "none")))
    if kind == "type":
        array = _of_type(array, draw(st.sampled_from(("f8", "f2", "i8", "u1", "?", "c8", "U3", "S2", "V4", "M8[s]"))))
    elif kind == "shape":
        array = draw(st.sampled_from((array.reshape(-1), array[None], array[..., None], array[:0], array[:1], array.T)))
        array = np.array(0, array.dtype) if draw(st.integers(0, 5)) == 0 else array
    elif kind == "values" and array.size:
        array = array.copy()
        place = draw(st.integers(0, array.size - 1))
        with np.errstate(all="ignore"):
            array.reshape(-1)[place:] = np.array(draw(st.sampled_from((np.nan, np.inf, -np.inf, 0, -1, 1e38)))).astype(
                array.dtype
            )
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
    content = file.getvalue()
    if kind == "header":
        shape = str(array.shape).encode()
        new = str((draw(st.sampled_from(LIMITS)), *array.shape[1:])).encode()
        content = content.replace(shape, new, 1)
    return draw(damaged(content)) if kind == "bytes" else content


def _of_type(array: np.ndarray, dtype: str) -> np.ndarray:
    is_possible = array.dtype.kind in "biuf" and dtype[0] in "fiuc?"
    with np.errstate(all="ignore"):
        return array.astype(dtype) if is_possible else np.zeros(array.shape, dtype)


@st.composite
def npz_files(draw: st.DrawFn, valid: Mapping[str, np.ndarray]) -> bytes:
    """Return an .npz file, some of whose arrays are altered, missing, under another name, or are no arrays."""
    contents = {}
    touched = draw(st.sets(st.sampled_from(sorted(valid)), max_size=2))
    for name, array in valid.items():
        if name not in touched:
            contents[f"{name}.npy"] = npy_bytes(array)
        elif draw(st.integers(0, 3)):
            contents[f"{name}.npy"] = draw(altered_array(array))
    return draw(zip_files(contents))


def npy_bytes(array: np.ndarray) -> bytes:
    """Return an array as an .npy file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
    return file.getvalue()


@st.composite
def zip_files(draw: st.DrawFn, members: Mapping[str, bytes]) -> bytes:
    """Return a zip archive, perhaps with a member of zeros that is a thousand times as large as it is packed."""
    members = dict(members)
    kind = draw(st.integers(0, 11))
    if kind == 0 and members:
        members[draw(st.sampled_from(sorted(members)))] = draw(st.binary(max_size=64))
    elif kind == 1 and members:
        name = draw(st.sampled_from(sorted(members)))
        members[f"../{name}"] = members.pop(name)
    elif kind == 2 and members:
        name = draw(st.sampled_from(sorted(members)))
        members[name] += bytes(draw(st.sampled_from((1, 1 << 16, 1 << 26))))
    file = io.BytesIO()
    packing = draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) if kind != 2 else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(file, "w", packing, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return draw(damaged(file.getvalue())) if kind > 9 else file.getvalue()
