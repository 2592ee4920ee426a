"""What a folder holds, in a form in which two runs can be compared, and how two such folders differ.

Everything is compared byte for byte, hidden files included, but for what follows. Paths that begin with the folder's
own are compared from there on, without the digest of a path that folders in bottlenecks/pictures have in their names.

    *.sqlite                    row by row, since pages depend on history; without times of change and inodes, and
                                without times of modification of files that the commands themselves wrote
    runs/*.json                 by what is in them, since names and seconds are times; repeated runs count once, and
                                runs with other settings may be there; likewise runs/*/report.html
    training_summaries/         not at all: each run adds curves, named by its time
    bottlenecks/<network>/*.npy picture by picture, since shards are as large as a run got; what other settings cached
                                may stay
"""

import hashlib
import json
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import numpy as np

Tree = Mapping[str, str]  # digest or content by path

NOT_COMPARED = ("training_summaries",)
TIMES_OF_RUNS = ("id", "started", "seconds")
PATH_DIGEST = re.compile(r"(bottlenecks/pictures/[^/\"]+)-[0-9a-f]{16}")
WHOLE = (".jpg", ".wav", ".npz", ".pb")
PART = "part of "  # what entries begin with that may stay from runs with other settings


def snapshot(folder: Path) -> dict[str, str]:
    """Return what a folder holds."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = _name(path, folder)
        if name.split("/")[0] in NOT_COMPARED:
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            found[name] = "neither a file nor a folder"
        elif path.is_dir():
            if path.parent.name != "runs":
                found[name] = "folder"
        elif path.suffix == ".sqlite":
            found |= _rows_of_tables(path, name, folder)
        elif path.suffix == ".npy":
            found |= _rows_of_shard(path, folder)
        elif path.suffix == ".json" and path.parent.name == "runs":
            found[f"{PART}{path.parent.relative_to(folder)}: {_run_record(path, folder)}"] = "run"
        elif path.parent.parent.name == "runs":
            found[f"{PART}{path.parent.parent.relative_to(folder)}: {_digest(path.read_bytes(), folder)}"] = "report"
        else:
            found[name] = _digest(path.read_bytes(), folder)
    return found


def whole_files(folder: Path) -> dict[str, str]:
    """Return the files that are written whole or not at all, but for hidden ones, as `snapshot` has them."""
    return {
        _name(path, folder): _digest(path.read_bytes(), folder)
        for path in folder.rglob("*")
        if path.suffix in WHOLE and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def differences(found: Tree, expected: Tree, *, may_hold: Tree | None = None) -> list[str]:
    """Return how two folders differ, in words; parts that are in `may_hold` may be there on top."""
    allowed = may_hold or {}
    told = []
    for name in sorted({*found, *expected}):
        if found.get(name) == expected.get(name):
            continue
        if name not in found:
            told.append(f"{name} is missing")
        elif name in expected:
            told.append(f"{name} differs")
        elif not (name.startswith(PART) and allowed.get(name) == found[name]):
            told.append(f"{name} should not be there")
    return told


def _name(path: Path, folder: Path) -> str:
    return PATH_DIGEST.sub(r"\1", str(path.relative_to(folder)))


def _digest(content: bytes, folder: Path) -> str:
    return hashlib.sha256(_without_paths(content.decode("latin-1"), folder).encode("latin-1")).hexdigest()


def _without_paths(text: str, folder: Path) -> str:
    return PATH_DIGEST.sub(r"\1", text.replace(str(folder), "."))


def _run_record(path: Path, folder: Path) -> str:
    if path.name == "audionet.json":
        return path.name
    record = json.loads(_without_paths(path.read_text(), folder))
    return json.dumps({name: value for name, value in record.items() if name not in TIMES_OF_RUNS}, sort_keys=True)


def _rows_of_tables(path: Path, name: str, folder: Path) -> dict[str, str]:
    """Return the rows of the tables that tell what was made or read of which file."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        tables = [table for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {}
        for table in tables:
            cursor = connection.execute(f"SELECT * FROM {table}")
            columns = [column for column, *_ in cursor.description]
            for values in cursor:
                row = {column: _plain(value, folder) for column, value in zip(columns, values, strict=True)}
                row.pop("ctime_ns", None)
                row.pop("inode", None)
                is_cache = path.name == "pictures.sqlite"  # of files that the commands wrote
                if is_cache:
                    row.pop("mtime_ns", None)
                found[f"{PART if is_cache else ''}{name}: {json.dumps(row, sort_keys=True)}"] = "row"
    connection.close()
    return found


def _plain(value: object, folder: Path) -> object:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    return _without_paths(value, folder) if isinstance(value, str) else value


def _rows_of_shard(path: Path, folder: Path) -> dict[str, str]:
    place = path.parent.relative_to(folder)
    shard = np.load(path, allow_pickle=False)
    return {
        f"{PART}{place}: {row['key'].tobytes().hex()}": hashlib.sha256(row["vector"].tobytes()).hexdigest()
        for row in shard
    }
