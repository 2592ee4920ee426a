import os
import sqlite3

import pytest
from conftest import names_below, run_python

from audionet.errors import InputError
from audionet.file_cache import FileCache, file_stamp

STAMP, LATER = (10, 20, 30, 40), (11, 21, 31, 41)
ENTRY = ("a.mp3", STAMP, {"chunks": [0, 1]})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def recalled(path, context=""):
    with FileCache(path, context=context) as cache:
        return cache.items()


def test_what_is_put_is_there_in_the_next_run(path):
    with FileCache(path) as cache:
        cache.put([ENTRY])
    assert recalled(path) == {"a.mp3": (STAMP, {"chunks": [0, 1]})}


def test_a_later_entry_takes_the_place_of_an_earlier_one(path):
    with FileCache(path) as cache:
        cache.put([ENTRY])
        cache.put([("a.mp3", LATER, "new")])
    assert recalled(path) == {"a.mp3": (LATER, "new")}


def test_an_entry_of_another_context_has_a_path_and_no_value(path):
    with FileCache(path, context="old recipe") as cache:
        cache.put([ENTRY])
    with FileCache(path, context="new recipe") as cache:
        assert cache.items() == {}
        assert cache.paths() == {"a.mp3"}


def test_what_is_forgotten_is_gone(path):
    with FileCache(path) as cache:
        cache.put([ENTRY])
        cache.remove(["a.mp3"])
    assert recalled(path) == {}


def test_an_entry_is_kept_though_the_run_is_killed_right_after(path):
    cache = FileCache(path)
    cache.put([ENTRY])
    assert "a.mp3" in recalled(path)  # the first one was never closed
    cache.close()


def test_entries_are_put_together_or_not_at_all(path):
    with FileCache(path) as cache:
        with pytest.raises(TypeError, match="not JSON serializable"):
            cache.put([ENTRY, ("b.mp3", STAMP, object())])
        assert cache.items() == {}


def test_a_path_may_hold_any_bytes(path):
    name = os.fsdecode(b"it's \"\n-\xff.mp3")
    with FileCache(path) as cache:
        cache.put([(name, STAMP, None)])
    assert set(recalled(path)) == {name}


def fill_and_damage(path, damage):
    with FileCache(path) as cache:
        cache.put([(f"{number}.mp3", STAMP, "x" * 500) for number in range(1000)])
    content = path.read_bytes()
    path.write_bytes(damage(content))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"not a database at all, " * 100,
        lambda content: content[:4096] + os.urandom(4096) + content[8192:],
        lambda content: b"",
    ],
    ids=["cut in half", "something else", "a page overwritten", "empty"],
)
def test_a_damaged_cache_is_started_anew(path, damage):
    fill_and_damage(path, damage)
    with FileCache(path) as cache:
        cache.items()
        cache.put([ENTRY])
    assert recalled(path)["a.mp3"] == (STAMP, {"chunks": [0, 1]})


def test_a_stamp_changes_with_content_though_size_and_time_stay(tmp_path):
    file = tmp_path / "a.mp3"
    file.write_bytes(b"one")
    before = file_stamp(file)
    time_ns = file.stat().st_mtime_ns
    for replace in (lambda: file.write_bytes(b"two"), lambda: (tmp_path / "b").write_bytes(b"two")):
        replace()
        if (tmp_path / "b").exists():
            os.replace(tmp_path / "b", file)
        os.utime(file, ns=(time_ns, time_ns))
        assert file_stamp(file)[:2] == before[:2] and file_stamp(file) != before
        before = file_stamp(file)


def test_a_file_that_is_not_there_has_no_stamp(tmp_path):
    with pytest.raises(FileNotFoundError):
        file_stamp(tmp_path / "nowhere")


def test_what_is_no_regular_file_has_no_stamp_and_is_called_what_it_is(tmp_path):
    os.mkfifo(tmp_path / "a.mp3")
    for path, kind in ((tmp_path / "a.mp3", "it is a pipe"), (tmp_path, "it is a folder")):
        with pytest.raises(OSError, match=kind):
            file_stamp(path)


def test_a_cache_of_an_earlier_version_keeps_its_values_which_are_out_of_date(path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE files (path BLOB PRIMARY KEY, context TEXT NOT NULL, size INTEGER NOT NULL, "
            "mtime_ns INTEGER NOT NULL, value TEXT NOT NULL) WITHOUT ROWID"
        )
        connection.execute("INSERT INTO files VALUES (?, '', 10, 20, '[1]')", (b"a.mp3",))
    connection.close()
    with FileCache(path) as cache:
        assert cache.values() == {"a.mp3": [1]}
        assert cache.items() == {"a.mp3": ((10, 20, 0, 0), [1])}
        cache.put([ENTRY])
    assert recalled(path) == {"a.mp3": (STAMP, {"chunks": [0, 1]})}


@pytest.mark.parametrize(
    "row",
    [
        "x'62', '', 1, 2, 'not json', 3, 4",
        "x'62', '', 1, 2, x'ff', 3, 4",
        "x'62', '', 'one', 2, '[]', 3, 4",
        "x'62', '', 1, 2, '" + "[" * 100_000 + "', 3, 4",
        "7, '', 1, 2, '[]', 3, 4",
    ],
    ids=["not JSON", "bytes", "a stamp in words", "too deep", "a number for a path"],
)
def test_an_odd_row_is_as_good_as_none(path, row):
    with FileCache(path) as cache:
        cache.put([ENTRY])
    with sqlite3.connect(path) as connection:
        connection.execute(f"INSERT INTO files VALUES ({row})")
    connection.close()
    assert set(recalled(path)) == {"a.mp3"}
    with FileCache(path) as cache:
        cache.remove(cache.paths())
        assert cache.items() == {}


def test_a_file_of_another_schema_is_started_anew(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE files (name TEXT)")
    connection.close()
    with FileCache(path) as cache:
        cache.put([ENTRY])
    assert set(recalled(path)) == {"a.mp3"}


def test_a_folder_in_its_place_is_named(path):
    path.mkdir()
    with pytest.raises(InputError, match=r"ledger\.sqlite: expected a cache .* remove it"):
        FileCache(path)


def test_a_cache_is_one_file_alone_whatever_is_open(path):
    with FileCache(path) as cache, FileCache(path) as other:
        cache.put([ENTRY])
        assert set(other.items()) == {"a.mp3"}
        assert names_below(path.parent) == {"ledger.sqlite"}


def test_a_full_disk_is_told_with_the_name_and_keeps_what_was_there(tiny_disk):
    path = tiny_disk / "ledger.sqlite"
    with FileCache(path) as cache:
        cache.put([ENTRY])
        with pytest.raises(OSError, match=r"No space left on device: .*ledger\.sqlite"):
            cache.put([(f"{number}", STAMP, "x" * 500) for number in range(1000)])
    assert set(recalled(path)) == {"a.mp3"}


@pytest.mark.parametrize("pages", range(0, 24, 3))
def test_a_disk_without_room_for_some_pages_kills_nobody(tiny_disk, pages):
    (tiny_disk / "filler").write_bytes(bytes(256 * 1024 - 4096 * pages))
    fill = (
        "import sys; from pathlib import Path; from audionet.file_cache import FileCache\n"
        "cache = FileCache(Path(sys.argv[1]))\n"
        "while True: cache.put([(str(n), (n, 0, 0, 0), 'x' * 200) for n in range(len(cache.paths()) + 20)])"
    )
    done = run_python("-c", fill, tiny_disk / "ledger.sqlite")
    assert done.returncode == 1
    assert "No space left on device: " in done.stderr.splitlines()[-1]
