"""Caches, marks and memories of splits, as the fuzzer makes and reads them."""

import hashlib
import json
import os
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from conftest import FakeBackbone
from hypothesis import strategies as st

from audionet.data.dataset import read_dataset
from audionet.data.preprocessing import _place_of
from audionet.files import MARK_NAME, label_folders, mark_folder, read_mark
from audionet.models.bottleneck_cache import BottleneckCache
from audionet.training.holdout import HoldoutPlan, SplitMemory
from audionet.training.settings import HoldoutSettings
from torture.fuzzed_media import about_picture, picture_folder
from torture.mutations import (
    altered_array,
    as_json,
    damaged,
    json_files,
    npy_bytes,
)
from torture.reader import Files, Reader

CACHE = ".cache/pictures.sqlite"


def database(rows: list[tuple[Any, ...]], *, table: str = "files") -> bytes:
    """Return an SQLite file with rows of a cache, of whatever types."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cache.sqlite"
        connection = sqlite3.connect(path)
        connection.execute(
            f"CREATE TABLE {table} (path BLOB PRIMARY KEY, context, size, mtime_ns, value) WITHOUT ROWID"
        )
        connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?, ?, ?)", rows)
        connection.commit()
        connection.close()
        return path.read_bytes()


cells = st.sampled_from((None, 0, -1, 2**63 - 1, 0.5, "", "x", b"\xff", "{}", "[]", "null", "[" * 5_000))


@st.composite
def picture_caches(draw: st.DrawFn) -> Files:
    """Draw folders of pictures, and rows of a cache that say something odd; `read_cached` sets paths and stamps."""
    value = {"sha256": "0" * 64, **about_picture("alice/0.wav")}
    rows = []
    for name in picture_folder():
        row: list[Any] = [f"@{name}", "_nohash_", "@size", "@mtime", json.dumps(value)]
        match draw(st.integers(0, 3)):
            case 0:
                row[draw(st.integers(0, 4))] = draw(cells)
            case 1:
                row[4] = draw(json_files(value)).decode("utf-8", "replace")
        rows.append(row)
    content = as_json([[cell.hex() if isinstance(cell, bytes) else cell for cell in row] for row in rows])
    return picture_folder() | {"rows.json": content, "damage": draw(st.binary(max_size=4))}


def read_cached(folder: Path) -> None:
    """Read a folder of pictures by an odd cache: each picture is there, or the cache is started anew."""
    rows = json.loads((folder / "rows.json").read_bytes())
    for row in rows:
        if isinstance(row[0], str) and row[0].startswith("@"):
            path = folder / row[0][1:]
            row[0] = os.fsencode(os.path.abspath(path))
            row[2:4] = [
                {"@size": path.stat().st_size, "@mtime": path.stat().st_mtime_ns}.get(cell, cell)
                if isinstance(cell, str)
                else cell
                for cell in row[2:4]
            ]
    content = database([tuple(row) for row in rows if row[0] is not None])
    damage = (folder / "damage").read_bytes()
    if len(damage) == 4:
        place = int.from_bytes(damage[:3], "little") % len(content)
        content = content[:place] + damage[3:] + content[place + 1 :]
    (folder / ".cache").mkdir()
    (folder / CACHE).write_bytes(content)
    dataset = read_dataset(folder, folder / CACHE)
    assert len(dataset.examples) + len(dataset.failures) == len(picture_folder()), "a picture is lost"
    again = read_dataset(folder, folder / CACHE)
    assert dataset.examples == again.examples, "it reads something else the second time"


def make_picture_cache() -> Reader:
    """Return the reader of the cache of pictures."""
    valid = picture_folder() | {"rows.json": b"[]", "damage": b""}
    return Reader("picture_cache", valid, picture_caches(), read_cached)


KEYS = [hashlib.sha256(bytes([number])).hexdigest() for number in range(4)]
FOLDER = f"{FakeBackbone().architecture}-{FakeBackbone().digest}"


def shard() -> np.ndarray:
    """Return the bottlenecks of the first two pictures, as the cache keeps them."""
    row = np.dtype([("key", np.uint8, 32), ("vector", np.float16, FakeBackbone().dimension)])
    rows = np.zeros(2, row)
    for number in range(2):
        rows["key"][number] = np.frombuffer(bytes.fromhex(KEYS[number]), np.uint8)
        rows["vector"][number] = FakeBackbone()(picture_of(KEYS[number])[None])[0]
    return rows


def picture_of(key: str) -> np.ndarray:
    """Return the picture that a key stands for."""
    return np.full((32, 32, 3), int(key[:2], 16), np.uint8)


def shard_name(content: np.ndarray) -> str:
    """Return the name of a shard, which says what it holds."""
    return f"{len(content)}-{hashlib.sha256(np.ascontiguousarray(content).tobytes()).hexdigest()[:16]}.npy"


@st.composite
def shards(draw: st.DrawFn) -> Files:
    """Draw shards that are damaged, of another type, or cut."""
    content = shard()
    name = shard_name(content)
    match draw(st.integers(0, 4)):
        case 0:
            return {f"{FOLDER}/{name}": npy_bytes(content)}
        case 1:
            other = np.zeros(draw(st.integers(0, 3)), draw(st.sampled_from(("f4", "u1", "S3"))))
            return {f"{FOLDER}/{shard_name(other)}": npy_bytes(other)}
        case 2:
            return {f"{FOLDER}/{name}": draw(altered_array(np.zeros((2, 3), np.float32)))}
        case _:
            return {f"{FOLDER}/{name}": draw(damaged(npy_bytes(content)))}


def compute(folder: Path) -> None:
    """Compute bottlenecks by a cache: whatever it holds, they are those of the network."""
    backbone = FakeBackbone()
    vectors, failures = BottleneckCache(folder, backbone).compute(KEYS, KEYS, picture_of)
    expected = np.stack([backbone(picture_of(key)[None])[0] for key in KEYS]).astype(np.float16)
    assert not failures and np.array_equal(vectors, expected), "other bottlenecks than the network's"


def make_shard() -> Reader:
    """Return the reader of bottlenecks."""
    valid = {f"{FOLDER}/{shard_name(shard())}": npy_bytes(shard())}
    return Reader("bottleneck_shard", valid, shards(), compute)


def mark_of(folder: Path) -> dict[str, Any]:
    """Return a mark as preprocessing writes it."""
    mark_folder(folder, "pictures", audio_dir="/audio", recipe=about_picture("")["recipe"])
    return dict(read_mark(folder) or {})


@st.composite
def marks(draw: st.DrawFn) -> Files:
    """Draw folders of ours with odd marks."""
    with tempfile.TemporaryDirectory() as scratch:
        mark = mark_of(Path(scratch))
    mark["audio_dir"] = "@audio"
    return {
        f"data_image/{MARK_NAME}": draw(json_files(mark)),
        "data_audio/alice/a.wav": b"",
        "data_audio/bob/b.wav": b"",
    }


def read_marks(folder: Path) -> None:
    """Read marks as those do who look for labels and for the place of pictures."""
    path = folder / "data_image" / MARK_NAME
    path.write_bytes(path.read_bytes().replace(b"@audio", os.fsencode(folder.resolve() / "data_audio")))
    mark = read_mark(folder / "data_image")
    assert mark is not None and "kind" in mark, "a mark that is not taken for one"
    assert [one.name for one in label_folders(folder / "data_audio", option="--audio_dir")] == ["alice", "bob"], (
        "labels"
    )
    _place_of(folder / "data_audio", None, folder / "cache")


def make_mark() -> Reader:
    """Return the reader of marks."""
    valid = {
        f"data_image/{MARK_NAME}": as_json({"kind": "pictures", "audio_dir": "@audio"}),
        "data_audio/alice/a.wav": b"",
        "data_audio/bob/b.wav": b"",
    }
    return Reader("mark", valid, marks(), read_marks)


PLAN = HoldoutPlan(known={"a.wav": "training", "b.wav": "testing"}, unknown={"c.wav": "testing"}, folds={"a.wav": 0})


def saved_plan() -> Any:
    """Return what the memory of splits holds after a run."""
    with tempfile.TemporaryDirectory() as scratch:
        memory = SplitMemory.of(Path(scratch), HoldoutSettings(), bottleneck_dir=Path(scratch) / "cache")
        memory.save(PLAN)
        return json.loads(memory.beside.read_bytes())


@st.composite
def split_files(draw: st.DrawFn) -> Files:
    """Draw memories of splits."""
    return {"audionet_splits.json": draw(json_files(saved_plan()))}


def remember_splits(folder: Path) -> None:
    """Read the memory of splits and add to it."""
    memory = SplitMemory.of(folder, HoldoutSettings(), bottleneck_dir=folder / "cache")
    plan = memory.read()
    assert set(plan.known.values()) <= {"training", "validation", "testing"}, "a split that is none"
    memory.save(HoldoutPlan(known={"new.wav": "training"}))
    assert memory.read().known == {**plan.known, "new.wav": "training"}, "a group moved or is lost"


def make_splits() -> Reader:
    """Return the reader of splits."""
    return Reader("splits", {"audionet_splits.json": as_json(saved_plan())}, split_files(), remember_splits)
