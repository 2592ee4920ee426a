import errno
import os

import numpy as np
import pytest
from conftest import FakeBackbone, names_below
from hypothesis import given
from hypothesis import strategies as st

from audionet.errors import PictureError
from audionet.files import read_mark, sha256_of
from audionet.models import bottleneck_cache
from audionet.models.bottleneck_cache import BottleneckCache, Rows, bottlenecks_of
from audionet.parallel import CRASHED


def key_of(item: int) -> str:
    return sha256_of(str(item).encode())


def picture_of(item: int) -> np.ndarray:
    return np.random.default_rng(item).integers(0, 256, (32, 32, 3), np.uint8)


def expected(items) -> np.ndarray:
    return bottlenecks_of(FakeBackbone(), np.stack([picture_of(item) for item in items]))


@pytest.fixture
def compute(tmp_path, backbone):
    """Open the cache as a new run does, and ask for the bottlenecks of some items."""

    def compute(items, read_picture=picture_of, **options):
        cache = BottleneckCache(tmp_path, backbone)
        return cache.compute([key_of(item) for item in items], list(items), read_picture, **options)

    return compute


@pytest.fixture
def folder(tmp_path, backbone):
    return tmp_path / f"fake-{backbone.digest}"


def test_bottlenecks_come_in_the_order_of_the_items(compute):
    vectors, failures = compute([3, 1, 2])
    assert np.array_equal(vectors, expected([3, 1, 2]))
    assert failures == {}


def test_nothing_is_computed_twice(compute, backbone):
    first, _ = compute(range(70))
    again, _ = compute(range(70), read_picture=lambda item: pytest.fail("read again"))
    assert np.array_equal(first, again)
    assert backbone.pictures_seen == 70


def test_only_what_is_new_is_computed(compute, backbone):
    compute(range(10))
    compute(range(15))
    assert backbone.pictures_seen == 15


def test_equal_pictures_are_computed_once(compute, backbone):
    vectors, _ = compute([7, 7, 8, 7])
    assert backbone.pictures_seen == 2
    assert np.array_equal(vectors, expected([7, 7, 8, 7]))


def test_no_items_give_an_empty_table(compute, backbone):
    vectors, failures = compute([])
    assert vectors.shape == (0, backbone.dimension)
    assert failures == {}


@given(st.lists(st.lists(st.integers(0, 60), max_size=40), max_size=4))
def test_any_sequence_of_questions_is_answered_rightly(tmp_path_factory, questions):
    folder = tmp_path_factory.mktemp("cache")
    for items in questions:
        vectors, _ = BottleneckCache(folder, FakeBackbone()).compute(list(map(key_of, items)), items, picture_of)
        assert np.array_equal(vectors, expected(items)) if items else len(vectors) == 0


def test_a_picture_that_cannot_be_read_fails_alone_wherever_it_stands(compute):
    def read(item):
        if item == 5:
            raise PictureError("five is torn")
        return picture_of(item)

    vectors, failures = compute([4, 5, 6, 5], read)
    assert failures == {1: "five is torn", 3: "five is torn"}
    assert not vectors[[1, 3]].any()
    assert np.array_equal(vectors[[0, 2]], expected([4, 6]))


def test_a_picture_that_failed_is_tried_again(compute, backbone):
    def refuse(item):
        raise PictureError("torn")

    compute([1], refuse)
    vectors, failures = compute([1])
    assert failures == {}
    assert np.array_equal(vectors, expected([1]))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: b"nonsense" * 100,
        lambda content: content.replace(b"'descr'", b"('descr"),
    ],
    ids=["cut in half", "empty", "one bit turned", "something else", "no dictionary"],
)
def test_a_damaged_entry_is_computed_again(compute, backbone, folder, damage):
    compute(range(10))
    for shard in folder.glob("*.npy"):
        shard.write_bytes(damage(shard.read_bytes()))
    vectors, _ = compute(range(10))
    assert np.array_equal(vectors, expected(range(10)))
    assert backbone.pictures_seen == 20


def test_another_network_shares_nothing(tmp_path, compute):
    compute(range(5))
    other = FakeBackbone(digest="fedcba9876543210")
    BottleneckCache(tmp_path, other).compute([key_of(1)], [1], picture_of)
    assert other.pictures_seen == 1


def test_an_entry_of_another_dimension_is_a_stranger(tmp_path, compute):
    compute(range(5))
    larger = FakeBackbone(height=64)
    vectors, _ = BottleneckCache(tmp_path, larger).compute(
        [key_of(1)], [1], lambda item: np.zeros((64, 32, 3), np.uint8)
    )
    assert vectors.shape == (1, 192)


def test_a_run_that_is_killed_loses_at_most_the_batch_under_way(compute, backbone):
    def stop_at_80(item):
        if item == 80:
            raise KeyboardInterrupt
        return picture_of(item)

    with pytest.raises(KeyboardInterrupt):
        compute(range(100), stop_at_80)
    compute(range(64), read_picture=lambda item: pytest.fail(f"{item} was lost"))


def test_a_full_disk_leaves_no_part_of_an_entry(compute, folder, monkeypatch):
    compute(range(5))
    before = names_below(folder)

    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", no_room)
    with pytest.raises(OSError, match="No space"):
        compute(range(10))
    assert names_below(folder) == before


def test_many_small_entries_become_few(compute, folder):
    for count in range(1, 12):
        compute(range(count * 3))
    assert len(list(folder.glob("*.npy"))) <= 2
    assert np.array_equal(compute(range(33))[0], expected(range(33)))


def test_merging_keeps_every_entry_when_one_is_full(compute, folder, monkeypatch):
    monkeypatch.setattr(bottleneck_cache, "SHARD_ROWS", 16)
    for count in (10, 20, 30, 45):
        compute(range(count))
    vectors, _ = compute(range(45), read_picture=lambda item: pytest.fail("read again"))
    assert np.array_equal(vectors, expected(range(45)))


def test_a_table_larger_than_memory_is_mapped_from_disk(compute, monkeypatch):
    monkeypatch.setattr(bottleneck_cache, "IN_MEMORY_BYTES", 1000)
    vectors, _ = compute(range(20))
    assert isinstance(vectors, np.memmap)
    assert np.array_equal(vectors, expected(range(20)))


def crash_at_five(item: int) -> np.ndarray:
    if item == 5:
        os._exit(1)
    return picture_of(item)


def test_a_process_that_crashes_costs_one_picture(compute):
    vectors, failures = compute(range(20), crash_at_five, in_processes=True)
    assert failures == {5: CRASHED}
    good = [item for item in range(20) if item != 5]
    assert np.array_equal(vectors[good], expected(good))


def test_two_trainings_may_share_a_network_and_merge_what_the_other_wrote(tmp_path, backbone):
    caches = [BottleneckCache(tmp_path, backbone) for _ in range(2)]
    for step in range(6):
        for number, cache in enumerate(caches):
            items = list(range(10 * step, 10 * step + 15 + number))
            vectors, _ = cache.compute(list(map(key_of, items)), items, picture_of)
            assert np.array_equal(vectors, expected(items))
            BottleneckCache(tmp_path, backbone).finish()  # as a third does


def test_a_full_disk_is_told_as_such(tiny_disk, backbone):
    cache = BottleneckCache(tiny_disk, backbone)
    (tiny_disk / "filler").write_bytes(bytes(256 * 1024 - 6 * 4096))
    with pytest.raises(OSError, match="No space left on device"):
        cache.compute(list(map(key_of, range(200))), list(range(200)), picture_of)


def test_a_table_that_the_disk_has_no_room_for_is_told_before_it_is_touched(tiny_disk, backbone, monkeypatch):
    monkeypatch.setattr(bottleneck_cache, "IN_MEMORY_BYTES", 1000)
    cache = BottleneckCache(tiny_disk, backbone)
    with pytest.raises(OSError, match="No space left on device"):
        cache.compute([key_of(1)] * 2000, [1] * 2000, picture_of)


def test_the_folders_are_marked_as_ours(tmp_path, compute, folder):
    compute([1])
    assert read_mark(tmp_path)["kind"] == read_mark(folder)["kind"] == "bottlenecks"


def test_values_that_float16_cannot_hold_are_held_at_its_border():
    vectors = bottlenecks_of(lambda _: np.array([[1e9, -1e9, 0.5]], np.float32), np.zeros((1, 1, 1, 3), np.uint8))
    assert vectors.tolist() == [[65504, -65504, 0.5]]


@given(st.lists(st.integers(0, 4), max_size=6), st.lists(st.integers(0, 2), max_size=6), st.data())
def test_rows_read_as_the_array_that_they_stand_for(first, second, data):
    one, two = np.arange(20.0).reshape(5, 4), 100 + np.arange(12.0).reshape(3, 4)
    taken = np.concatenate([np.array(first, int), np.array(second, int) + len(one)])
    rows = Rows(one, two).take(taken).take_columns([(3, 4), (0, 2)])
    whole = np.concatenate([one[np.array(first, int)], two[np.array(second, int)]])[:, [3, 0, 1]]
    which = data.draw(st.slices(len(whole)))
    assert rows.shape == whole.shape and len(rows) == len(whole)
    assert np.array_equal(rows[which], whole[which])


def test_rows_of_another_table_come_below():
    one, two = np.arange(20.0).reshape(5, 4), 100 + np.arange(12.0).reshape(3, 4)
    rows = Rows(one).take(np.array([4, 0])).append(two)
    assert np.array_equal(rows[:], np.concatenate([one[[4, 0]], two]))
