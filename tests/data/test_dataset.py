import os
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from conftest import noise, write_sound
from hypothesis import given
from hypothesis import strategies as st

from audionet.data.dataset import Example, read_dataset
from audionet.data.preprocessing import make_pictures
from audionet.data.splits import SPLITS, assign_folds, split
from audionet.errors import InputError
from audionet.features.image_io import encode_jpg
from audionet.features.recipes import find_recipe
from audionet.files import mark_folder, sha256_of

RECIPE = find_recipe("default").to_json()


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


def example(recording: str, *, chunk: int = 0) -> Example:
    return Example(Path(f"{recording}_{chunk}.jpg"), recording.partition("/")[0], recording, 0.0, "")


def halves(examples, **options) -> dict[str, str]:
    return split(examples, **{"testing_percentage": 20, "validation_percentage": 20, **options})


def pictures_of(labels: list[set[str]]) -> list[Example]:
    """Return one to three pictures of each recording of each label."""
    return [
        example(f"label{number}/{name}", chunk=chunk)
        for number, names in enumerate(labels)
        for position, name in enumerate(sorted(names))
        for chunk in range(1 + position % 3)
    ]


# Two or three labels, each with three recordings at least
names = st.text(min_size=1, max_size=8)
datasets = st.lists(st.sets(names, min_size=3, max_size=12), min_size=2, max_size=3).map(pictures_of)
seeds = st.integers(0, 5)


# The split


@given(datasets, seeds)
def test_every_recording_has_one_side_and_every_label_is_on_every_side(examples, seed):
    sides = halves(examples, seed=seed)
    assert sides.keys() == {example.recording for example in examples}
    of_label = defaultdict(set)
    for recording, side in sides.items():
        of_label[recording.partition("/")[0]].add(side)
    assert all(found == set(SPLITS) for found in of_label.values())


@given(datasets, seeds, st.randoms())
def test_the_split_does_not_depend_on_the_order_of_pictures(examples, seed, random):
    shuffled = list(examples)
    random.shuffle(shuffled)
    assert halves(shuffled, seed=seed) == halves(examples, seed=seed)


@given(datasets, st.sets(names, max_size=6))
def test_adding_recordings_never_moves_those_that_were_there(examples, added):
    before = halves(examples)
    after = halves([*examples, *[example(f"label0/{name}") for name in added]], previous=before)
    assert before.items() <= after.items()


@given(datasets)
def test_what_an_earlier_split_says_of_others_is_ignored(examples):
    strangers = {"label0/never seen": "testing", "label9/x": "nonsense"}
    assert halves(examples, previous=strangers) == halves(examples)


@given(datasets, st.data())
def test_taking_recordings_away_leaves_every_label_on_every_side(examples, data):
    before = halves(examples)
    known = sorted({example.recording for example in examples if example.label == "label0"})
    gone = data.draw(st.sets(st.sampled_from(known), max_size=len(known) - 3))
    after = halves([example for example in examples if example.recording not in gone], previous=before)
    assert {side for name, side in after.items() if name.startswith("label0/")} == set(SPLITS)


@given(datasets, st.integers(2, 3), st.sets(names, max_size=6))
def test_folds_spread_each_label_evenly_and_never_move_what_was_there(examples, folds, added):
    dealt = assign_folds(examples, folds=folds)
    for label in {example.label for example in examples}:
        sizes = np.bincount([fold for name, fold in dealt.items() if name.startswith(f"{label}/")], minlength=folds)
        assert sizes.min() >= 1
    more = [*examples, *(example(f"label0/{name}") for name in added)]
    assert dealt.items() <= assign_folds(more, folds=folds, previous=dealt).items()


def test_the_split_is_the_same_on_every_machine():
    sides = halves([example(f"a/{index}.mp3") for index in range(6)])
    assert sorted(name for name, side in sides.items() if side == "testing") == GOLDEN_TESTING


GOLDEN_TESTING = ["a/4.mp3"]  # by the hash of "0/a/<n>.mp3"; a change would move everyone's recordings


def test_another_seed_gives_another_split():
    examples = [example(f"a/{index}.mp3") for index in range(50)]
    assert halves(examples, seed=0) != halves(examples, seed=1)


@pytest.mark.parametrize(("testing", "validation"), [(20, 20), (10, 30), (50, 10), (33, 33)])
def test_sides_get_their_shares(testing, validation):
    examples = [example(f"a/{index}.mp3") for index in range(200)]
    sides = list(halves(examples, testing_percentage=testing, validation_percentage=validation).values())
    assert sides.count("testing") == pytest.approx(2 * testing, abs=1)
    assert sides.count("validation") == pytest.approx(2 * validation, abs=1)


@pytest.mark.parametrize(
    ("testing", "validation", "expected"), [(0, 20, {"training", "validation"}), (0, 0, {"training"})]
)
def test_a_side_of_no_share_gets_nothing(testing, validation, expected):
    examples = [example(f"a/{index}.mp3") for index in range(10)]
    assert set(halves(examples, testing_percentage=testing, validation_percentage=validation).values()) == expected


def test_too_few_recordings_to_hold_any_out_are_counted_and_named():
    examples = [example(f"a/{index}.mp3") for index in range(5)] + [example("b b/0.mp3", chunk=n) for n in range(9)]
    with pytest.raises(
        InputError, match=r"each label needs 3, .* fewer for label b b \(1\).*--validation_percentage 0"
    ):
        halves(examples)


# Reading folders


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


def test_one_label_only_is_an_error(image_dir, read):
    shutil.rmtree(image_dir / "dogs")
    with pytest.raises(InputError, match="one label, cats; a classifier needs two or more"):
        read()


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


def test_a_speaker_that_a_recording_names_is_kept_together_over_all_labels(tmp_path):
    for label in ("no", "yes"):
        for speaker in ("a1b2", "c3d4"):
            write_sound(tmp_path / "audio" / label / f"{speaker}_nohash_0.wav", noise(1.0))
    make_pictures(tmp_path / "audio", tmp_path / "images", recipe=find_recipe("simple_audio"))
    examples = read_dataset(tmp_path / "images", tmp_path / "ledger.sqlite").examples
    assert {example.group for example in examples} == {"a1b2", "c3d4"}
    assert {example.recording for example in examples} >= {"no/a1b2_nohash_0.wav", "yes/a1b2_nohash_0.wav"}
