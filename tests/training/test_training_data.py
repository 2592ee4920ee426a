import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeBackbone

from audionet.data.dataset import Example, read_dataset
from audionet.data.splits import SPLITS
from audionet.errors import InputError
from audionet.features.image_io import encode_jpg
from audionet.files import UNKNOWN_LABEL
from audionet.models.bottleneck_cache import Rows
from audionet.training.settings import HoldoutSettings
from audionet.training.training_data import Samples, gather_training_data


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


def test_every_picture_is_in_one_split_with_its_label(gathered):
    samples = gathered.samples
    example_ids = np.concatenate([gathered.select(split).example_ids for split in SPLITS])
    assert sorted(example_ids) == list(range(len(samples.examples)))
    assert [gathered.labels[label_id] for label_id in samples.label_ids] == [one.label for one in samples.pictures()]


def test_every_chunk_of_a_recording_gets_the_same_split(gathered):
    recordings = [{one.recording for one in gathered.select(split).pictures()} for split in SPLITS]
    assert sum(map(len, recordings)) == len(set.union(*recordings)) == 15


def test_selected_samples_keep_all_their_columns_together(gathered):
    rows = np.flatnonzero(gathered.samples.splits == "testing")
    selected = gathered.select("testing")
    assert np.array_equal(selected.bottlenecks("rows")[:], gathered.samples.table[rows])
    assert np.array_equal(selected.label_ids, gathered.samples.label_ids[rows])
    assert selected.pictures() == [gathered.samples.examples[row] for row in rows]


def test_unknown_pictures_and_views_are_selected_only_when_asked_for():
    examples = [Example(Path(f"{name}.jpg"), name, f"{name}.wav", 0.0, name) for name in ("a", "b", UNKNOWN_LABEL)]
    table = np.arange(6, dtype=np.float16).reshape(3, 2)
    samples = Samples.of_pictures(
        examples,
        labels=("a", "b"),
        splits=["training", "validation", "training"],
        folds=[0, 0, 0],
        table=Rows(table),
        slices={"left": (0, 1), "right": (1, 2)},
    ).with_views(np.array([0, 1]), np.array([1, 1]), 10 + table[:2])
    assert samples.label_ids.tolist() == [0, 1, -1, 0, 1]
    assert samples.select("training").bottlenecks("right")[:].tolist() == [[1], [11]]
    assert samples.select("training", "validation", views=False).views.tolist() == [0, 0]
    assert samples.select("training", unknown=True).bottlenecks("right+left")[:].tolist() == [[5, 4]]
    assert samples.select("validation").recording_ids().tolist() == [0, 0]


def test_a_second_run_computes_nothing_and_splits_as_before(collect, backbone):
    first, second = collect(), collect()
    assert backbone.pictures_seen == len(first.samples)
    assert np.array_equal(first.samples.table[:], second.samples.table[:])
    assert np.array_equal(first.samples.splits, second.samples.splits)


def test_a_corrupt_picture_is_set_aside_and_the_rest_go_on(collect, image_dir):
    jpg = image_dir / "bob" / "0_00001.jpg"
    jpg.write_bytes(jpg.read_bytes()[:2000])
    data = collect()
    assert list(data.failures) == [str(jpg)]
    assert len(data.samples.examples) == len(data.samples.table) == 29


def test_a_corrupt_unknown_picture_is_set_aside_and_named(collect, image_dir):
    jpgs = sorted((image_dir / "bob").glob("0_*.jpg"))
    (image_dir / UNKNOWN_LABEL).mkdir()
    for jpg in jpgs:
        jpg.rename(image_dir / UNKNOWN_LABEL / jpg.name)
    broken = image_dir / UNKNOWN_LABEL / jpgs[1].name
    broken.write_bytes(broken.read_bytes()[:2000])
    data = collect()
    assert list(data.failures) == [str(broken)]
    assert len(data.select(*SPLITS, unknown=True)) == 1


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_gray_and_cmyk_pictures_take_part(collect, image_dir, mode):
    from PIL import Image

    for jpg in image_dir.rglob("*.jpg"):
        Image.open(jpg).convert(mode).save(jpg)
    assert collect().failures == {}


def test_a_png_named_jpg_takes_part(collect, image_dir):
    from PIL import Image

    Image.fromarray(np.zeros((50, 70, 3), np.uint8)).save(image_dir / "bob" / "stray.jpg", "PNG")
    assert len(collect().samples) == 31


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
    data = collect(views=1)
    views = data.samples.take(data.samples.views > 0)
    assert sorted(views.example_ids) == sorted(data.select("training", "validation", views=False).example_ids)
    assert views.table.shape == (len(views), FakeBackbone().dimension)
    assert not np.any(views.splits == "testing")


def test_views_are_the_same_again_and_computed_once(collect, backbone):
    first = collect(views=1)
    seen = backbone.pictures_seen
    second = collect(views=1)
    assert backbone.pictures_seen == seen
    assert np.array_equal(first.samples.table[:], second.samples.table[:])


def test_ordinary_pictures_have_no_views(tmp_path, backbone):
    for label in "ab":
        for index in range(3):
            path = tmp_path / "images" / label / f"{index}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_jpg(np.full((40, 40, 3), index, np.uint8), quality=90))
    dataset = read_dataset(tmp_path / "images", tmp_path / "pictures.sqlite")
    data = gather_training_data(dataset, backbone, bottleneck_dir=tmp_path / "cache", holdout=HoldoutSettings(views=3))
    assert data.recipe is None
    assert not data.samples.views.any()
