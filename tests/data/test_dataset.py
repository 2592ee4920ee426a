import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from audionet.data.dataset import read_dataset
from audionet.errors import InputError
from audionet.features.image_io import encode_jpg
from audionet.features.recipes import find_recipe
from audionet.files import mark_folder, sha256_of


def write_picture(path: Path, *, seed: int = 0, about: dict | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    path.write_bytes(encode_jpg(picture, quality=92, about=about))
    return path


@pytest.fixture
def image_dir(tmp_path) -> Path:
    """Two labels of ordinary pictures."""
    for label in ("cats", "dogs"):
        for index in range(3):
            write_picture(tmp_path / "images" / label / f"{index}.jpg", seed=index)
    return tmp_path / "images"


@pytest.fixture
def read(tmp_path, image_dir):
    return lambda: read_dataset(image_dir, tmp_path / "ledger.sqlite")


def test_labels_and_pictures_are_sorted_and_hashed(image_dir, read):
    dataset = read()
    assert dataset.labels == ("cats", "dogs")
    assert [example.path for example in dataset.examples] == sorted(image_dir.rglob("*.jpg"))
    assert dataset.examples[0].sha256 == sha256_of((image_dir / "cats/0.jpg").read_bytes())


def test_ordinary_pictures_have_no_recipe_and_are_recordings_of_their_own(read):
    dataset = read()
    assert dataset.recipe is None
    assert [example.recording for example in dataset.examples[:3]] == ["cats/0.jpg", "cats/1.jpg", "cats/2.jpg"]


def test_what_precedes_nohash_belongs_together(image_dir, read):
    for index in range(2):
        write_picture(image_dir / "cats" / f"tom_nohash_{index}.jpg")
    assert sum(example.recording == "cats/tom" for example in read().examples) == 2


def test_pictures_of_sound_tell_their_recording_and_recipe(drawn, tmp_path):
    dataset = read_dataset(drawn, tmp_path / "ledger.sqlite")
    assert dataset.recipe == find_recipe("default")
    assert {example.recording for example in dataset.examples if example.label == "bob"} == {
        f"bob/{index}.mp3" for index in range(5)
    }
    assert {example.offset_seconds for example in dataset.examples} == {0.0, 2.0}


def test_a_second_reading_opens_no_picture(image_dir, read, monkeypatch):
    first = read()
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read again"))
    assert read() == first


def test_a_changed_picture_is_read_again(image_dir, read):
    before = read().examples[0].sha256
    write_picture(image_dir / "cats/0.jpg", seed=99)
    os.utime(image_dir / "cats/0.jpg", ns=(1, 1))
    assert read().examples[0].sha256 != before


@pytest.mark.parametrize("label", ["Ünïcode", "a_b", "a b", "line\nbreak", os.fsdecode(b"b\xff")])
def test_a_label_is_kept_to_the_letter(image_dir, read, label):
    shutil.copytree(image_dir / "cats", image_dir / label)
    assert label in read().labels


def test_a_picture_that_cannot_be_opened_is_set_aside_by_name(image_dir, read):
    (image_dir / "cats" / "gone.jpg").symlink_to("nowhere")
    (image_dir / "cats" / "loop.jpg").symlink_to("loop.jpg")
    dataset = read()
    assert {Path(name).name for name in dataset.failures} == {"gone.jpg", "loop.jpg"}
    assert len(dataset.examples) == 6


def test_our_own_folders_among_the_labels_are_no_labels(image_dir, read):
    mark_folder(image_dir / "bottlenecks", "bottlenecks")
    write_picture(image_dir / "bottlenecks" / "x.jpg")
    assert read().labels == ("cats", "dogs")


def test_no_label_folder_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"--image_dir: .* has no label folder"):
        read_dataset(tmp_path / "empty", tmp_path / "ledger.sqlite")


def test_one_label_alone_is_read(image_dir, read):
    shutil.rmtree(image_dir / "dogs")
    assert read().labels == ("cats",)


def test_an_empty_label_folder_is_an_error_that_names_it(image_dir, read):
    (image_dir / "birds").mkdir()
    with pytest.raises(InputError, match="no picture for label birds"):
        read()


def test_folders_without_any_picture_say_how_to_make_some(tmp_path):
    (tmp_path / "images" / "cats").mkdir(parents=True)
    with pytest.raises(InputError, match=r"holds no picture .* audionet data"):
        read_dataset(tmp_path / "images", tmp_path / "ledger.sqlite")


def test_pictures_of_several_recipes_do_not_mix(image_dir, read):
    for index, seconds in enumerate((2.0, 3.0)):
        recipe = find_recipe("default", chunk_seconds=seconds).to_json()
        about = {"recording": "x", "offset_seconds": 0.0, "recipe": recipe}
        write_picture(image_dir / "cats" / f"drawn{index}.jpg", about=about)
    with pytest.raises(InputError, match="pictures of 2 recipes"):
        read()


@pytest.mark.parametrize("value", ["[]", "{}", '{"sha256": 7}', "no JSON"])
def test_an_odd_row_of_the_cache_is_read_again(read, tmp_path, value):
    first = read()
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        connection.execute("UPDATE files SET value = ?", (value,))
    connection.close()
    assert read() == first


def test_another_picture_of_the_same_size_and_time_is_read(image_dir, read):
    path = image_dir / "cats/0.jpg"
    before, status = read().examples[0].sha256, path.stat()
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert read().examples[0].sha256 != before
