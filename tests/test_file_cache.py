import os

import pytest

from audionet.file_cache import FileCache, file_stamp

ENTRY = ("a.mp3", (10, 20), {"chunks": [0, 1]})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def recalled(path, context=""):
    with FileCache(path, context=context) as cache:
        return cache.items()


def test_what_is_put_is_there_in_the_next_run(path):
    with FileCache(path) as cache:
        cache.put([ENTRY])
    assert recalled(path) == {"a.mp3": ((10, 20), {"chunks": [0, 1]})}


def test_a_later_entry_takes_the_place_of_an_earlier_one(path):
    with FileCache(path) as cache:
        cache.put([ENTRY])
        cache.put([("a.mp3", (11, 21), "new")])
    assert recalled(path) == {"a.mp3": ((11, 21), "new")}


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
            cache.put([ENTRY, ("b.mp3", (1, 2), object())])
        assert cache.items() == {}


def test_a_path_may_hold_any_bytes(path):
    name = os.fsdecode(b"it's \"\n-\xff.mp3")
    with FileCache(path) as cache:
        cache.put([(name, (1, 2), None)])
    assert set(recalled(path)) == {name}


def fill_and_damage(path, damage):
    with FileCache(path) as cache:
        cache.put([(f"{number}.mp3", (1, 2), "x" * 500) for number in range(1000)])
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
    assert recalled(path)["a.mp3"] == ((10, 20), {"chunks": [0, 1]})


def test_a_stamp_changes_with_content_or_time(tmp_path):
    file = tmp_path / "a.mp3"
    file.write_bytes(b"one")
    before = file_stamp(file)
    os.utime(file, ns=(1, 1))
    assert file_stamp(file) != before
    assert file_stamp(file) == (3, 1)


def test_a_file_that_is_not_there_has_no_stamp(tmp_path):
    with pytest.raises(FileNotFoundError):
        file_stamp(tmp_path / "nowhere")
