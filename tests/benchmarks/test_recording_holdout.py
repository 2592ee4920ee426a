from dataclasses import replace

import pytest
from conftest import SPEAKERS

from audionet.data.dataset import read_dataset
from audionet.errors import InputError
from benchmarks.recording_holdout import split_by_name, splits_by_fold


@pytest.fixture(scope="module")
def dataset(drawn):
    return read_dataset(drawn, drawn.parent / "bench.sqlite")


def test_a_test_by_name_holds_out_those_recordings_and_no_others(dataset):
    split = split_by_name(dataset, "^4")
    assert {example.recording for example in split.tested} == {f"{label}/4.mp3" for label in SPEAKERS}
    assert {*split.tested, *split.dataset.examples} == set(dataset.examples)
    assert not {*split.tested} & {*split.dataset.examples}


def test_a_test_by_name_does_not_part_a_group(dataset):
    grouped = replace(dataset, examples=tuple(replace(example, group="all") for example in dataset.examples))
    split = split_by_name(grouped, "^4")
    assert not split.dataset.examples


@pytest.mark.parametrize(("test", "message"), [("(", "regular expression"), ("^nobody", "matches no recording")])
def test_a_test_that_holds_nothing_out_is_refused(dataset, test, message):
    with pytest.raises(InputError, match=message):
        split_by_name(dataset, test)


def test_folds_hold_out_every_recording_once_and_every_label_in_each(dataset):
    splits = splits_by_fold(dataset, count=5)
    tested = [example.recording for split in splits for example in split.tested]
    assert sorted(tested) == sorted(example.recording for example in dataset.examples)
    for split in splits:
        assert {example.label for example in split.tested} == set(SPEAKERS)
        assert not {one.recording for one in split.tested} & {one.recording for one in split.dataset.examples}


def test_folds_depend_on_the_seed_alone(dataset):
    backwards = replace(dataset, examples=dataset.examples[::-1])
    first, again = splits_by_fold(dataset, count=5), splits_by_fold(backwards, count=5)
    assert [set(split.tested) for split in first] == [set(split.tested) for split in again]
    assert [set(split.tested) for split in splits_by_fold(dataset, count=5, seed=1)] != [
        set(split.tested) for split in first
    ]


def test_more_folds_than_groups_are_refused(dataset):
    with pytest.raises(InputError, match="too few"):
        splits_by_fold(dataset, count=100)
