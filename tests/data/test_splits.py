from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audionet.data.dataset import Example
from audionet.data.splits import SPLITS, assign_folds, assign_splits
from audionet.errors import InputError


def example(recording: str, *, chunk: int = 0) -> Example:
    return Example(Path(f"{recording}_{chunk}.jpg"), recording.partition("/")[0], recording, 0.0, "")


def split_of(examples, **options) -> dict[str, str]:
    return assign_splits(examples, **{"testing_percentage": 20, "validation_percentage": 20, **options})


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


@given(datasets, seeds)
def test_every_recording_has_one_split_and_every_label_is_in_every_split(examples, seed):
    splits = split_of(examples, seed=seed)
    assert splits.keys() == {example.recording for example in examples}
    of_label = defaultdict(set)
    for recording, split in splits.items():
        of_label[recording.partition("/")[0]].add(split)
    assert all(found == set(SPLITS) for found in of_label.values())


@given(datasets, seeds, st.randoms())
def test_the_split_does_not_depend_on_the_order_of_pictures(examples, seed, random):
    shuffled = list(examples)
    random.shuffle(shuffled)
    assert split_of(shuffled, seed=seed) == split_of(examples, seed=seed)


@given(datasets, st.sets(names, max_size=6))
def test_adding_recordings_never_moves_those_that_were_there(examples, added):
    before = split_of(examples)
    after = split_of([*examples, *[example(f"label0/{name}") for name in added]], previous=before)
    assert before.items() <= after.items()


@given(datasets)
def test_what_an_earlier_split_says_of_others_is_ignored(examples):
    unknown = {"label0/never seen": "testing", "label9/x": "nonsense"}
    assert split_of(examples, previous=unknown) == split_of(examples)


@given(datasets, st.data())
def test_taking_recordings_away_leaves_every_label_in_every_split(examples, data):
    before = split_of(examples)
    known = sorted({example.recording for example in examples if example.label == "label0"})
    gone = data.draw(st.sets(st.sampled_from(known), max_size=len(known) - 3))
    after = split_of([example for example in examples if example.recording not in gone], previous=before)
    assert {split for name, split in after.items() if name.startswith("label0/")} == set(SPLITS)


@given(datasets, st.integers(2, 3), st.sets(names, max_size=6))
def test_folds_spread_each_label_evenly_and_never_move_what_was_there(examples, folds, added):
    dealt = assign_folds(examples, folds=folds)
    for label in {example.label for example in examples}:
        sizes = np.bincount([fold for name, fold in dealt.items() if name.startswith(f"{label}/")], minlength=folds)
        assert sizes.min() >= 1
    more = [*examples, *(example(f"label0/{name}") for name in added)]
    assert dealt.items() <= assign_folds(more, folds=folds, previous=dealt).items()


def test_the_split_is_the_same_on_every_machine():
    splits = split_of([example(f"a/{index}.mp3") for index in range(6)])
    assert sorted(name for name, split in splits.items() if split == "testing") == GOLDEN_TESTING


GOLDEN_TESTING = ["a/4.mp3"]  # by the hash of "0/a/<n>.mp3"; a change would move everyone's recordings


def test_another_seed_gives_another_split():
    examples = [example(f"a/{index}.mp3") for index in range(50)]
    assert split_of(examples, seed=0) != split_of(examples, seed=1)


@pytest.mark.parametrize(("testing", "validation"), [(20, 20), (10, 30), (50, 10), (33, 33)])
def test_splits_get_their_shares(testing, validation):
    examples = [example(f"a/{index}.mp3") for index in range(200)]
    splits = list(split_of(examples, testing_percentage=testing, validation_percentage=validation).values())
    assert splits.count("testing") == pytest.approx(2 * testing, abs=1)
    assert splits.count("validation") == pytest.approx(2 * validation, abs=1)


@pytest.mark.parametrize(
    ("testing", "validation", "expected"), [(0, 20, {"training", "validation"}), (0, 0, {"training"})]
)
def test_a_split_of_no_share_gets_nothing(testing, validation, expected):
    examples = [example(f"a/{index}.mp3") for index in range(10)]
    assert set(split_of(examples, testing_percentage=testing, validation_percentage=validation).values()) == expected


def test_too_few_recordings_to_hold_any_out_are_counted_and_named():
    examples = [example(f"a/{index}.mp3") for index in range(5)] + [example("b b/0.mp3", chunk=n) for n in range(9)]
    with pytest.raises(
        InputError, match=r"each label needs 3, .* fewer for label b b \(1\).*--validation_percentage 0"
    ):
        split_of(examples)
