import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeBackbone

from audionet.data.dataset import read_dataset
from audionet.data.splits import SPLITS
from audionet.errors import InputError
from audionet.features.image_io import encode_jpg
from audionet.training.settings import HoldoutSettings
from audionet.training.training_data import gather_training_data


@pytest.fixture
def image_dir(drawn, tmp_path) -> Path:
    """The pictures of the speakers, to be spoilt."""
    return shutil.copytree(drawn, tmp_path / "images")


@pytest.fixture
def collect(image_dir, tmp_path, backbone):
    def collect(**holdout):
        cache = tmp_path / "bottlenecks"
        dataset = read_dataset(image_dir, cache / "pictures.sqlite")
        return gather_training_data(
            dataset, backbone, bottleneck_dir=cache, holdout=HoldoutSettings(**{"views": 0, **holdout})
        )

    return collect


def test_every_picture_is_on_one_side_with_its_label(gathered):
    rows = np.concatenate([gathered.rows[side] for side in SPLITS])
    assert sorted(rows) == list(range(len(gathered.examples)))
    assert [gathered.labels[number] for number in gathered.numbers] == [item.label for item in gathered.examples]


def test_every_chunk_of_a_recording_gets_the_same_side(gathered):
    recordings = [{gathered.examples[row].recording for row in gathered.rows[side]} for side in SPLITS]
    assert sum(map(len, recordings)) == len(set.union(*recordings)) == 15


def test_taking_a_side_gives_its_bottlenecks_and_numbers(gathered):
    taken, numbers = gathered.take(["testing"], bottleneck="rows", clean=True, views=False)
    rows = gathered.rows["testing"]
    assert np.array_equal(taken[:], gathered.bottlenecks[rows])
    assert np.array_equal(numbers, gathered.numbers[rows])


def test_a_second_run_computes_nothing_and_splits_as_before(collect, backbone):
    first, second = collect(), collect()
    assert backbone.pictures_seen == len(first.examples)
    assert np.array_equal(first.bottlenecks, second.bottlenecks)
    assert all(np.array_equal(first.rows[side], second.rows[side]) for side in SPLITS)


def test_a_corrupt_picture_is_set_aside_and_the_rest_go_on(collect, image_dir):
    jpg = image_dir / "bob" / "0_00001.jpg"
    jpg.write_bytes(jpg.read_bytes()[:2000])
    material = collect()
    assert list(material.failures) == [str(jpg)]
    assert len(material.examples) == len(material.bottlenecks) == 29


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_gray_and_cmyk_pictures_take_part(collect, image_dir, mode):
    from PIL import Image

    for jpg in image_dir.rglob("*.jpg"):
        Image.open(jpg).convert(mode).save(jpg)
    assert collect().failures == {}


def test_a_png_named_jpg_takes_part(collect, image_dir):
    from PIL import Image

    Image.fromarray(np.zeros((50, 70, 3), np.uint8)).save(image_dir / "bob" / "stray.jpg", "PNG")
    assert len(collect().examples) == 31


def test_a_label_without_a_readable_picture_is_an_error(collect, image_dir):
    for jpg in (image_dir / "carol").glob("*.jpg"):
        jpg.write_text("no picture")
    with pytest.raises(InputError, match="No picture of carol can be read"):
        collect()


def test_too_few_recordings_are_told_before_the_network_starts(collect, image_dir, backbone):
    for jpg in (image_dir / "carol").glob("[1-9]_*.jpg"):
        jpg.unlink()
    with pytest.raises(InputError, match=r"fewer for label carol \(1\)"):
        collect()
    assert backbone.pictures_seen == 0


def test_views_are_of_training_and_validation_recordings_only(collect):
    material = collect(views=1)
    assert sorted(material.view_rows) == sorted(
        np.concatenate([material.rows["training"], material.rows["validation"]])
    )
    assert material.views.shape == (len(material.view_rows), FakeBackbone().dimension)


def test_views_are_the_same_again_and_computed_once(collect, backbone):
    first = collect(views=1)
    seen = backbone.pictures_seen
    second = collect(views=1)
    assert backbone.pictures_seen == seen
    assert np.array_equal(first.views, second.views)


def test_ordinary_pictures_have_no_views(tmp_path, backbone):
    for label in "ab":
        for index in range(3):
            path = tmp_path / "images" / label / f"{index}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_jpg(np.full((40, 40, 3), index, np.uint8), quality=90))
    dataset = read_dataset(tmp_path / "images", tmp_path / "ledger.sqlite")
    material = gather_training_data(
        dataset, backbone, bottleneck_dir=tmp_path / "cache", holdout=HoldoutSettings(views=3)
    )
    assert material.recipe is None
    assert len(material.views) == 0
