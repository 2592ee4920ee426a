from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audionet.errors import InputError
from benchmarks.label_holdout import draws_of

LABELS = ("alice", "bob", "carol", "dave")


@given(st.integers(1, 5), st.integers(1, 12), st.integers(0, 3))
def test_every_label_is_held_out_about_as_often_as_any_other(held_out, count, seed):
    labels = [f"label {number}" for number in range(8)]
    draws = draws_of(labels, held_out=held_out, count=count, seed=seed)
    times = Counter(label for draw in draws for label in draw.unknown)
    assert len(draws) == count
    assert max(times.values()) - min(times[label] for label in labels) <= 2
    for draw in draws:
        assert len(draw.unknown) == held_out
        assert sorted(draw.unknown + draw.known) == labels


@pytest.mark.parametrize("held_out", [0, 3])
def test_two_labels_must_be_left(held_out):
    with pytest.raises(InputError, match="--held_out: expected 1 to 2 of 4 labels"):
        draws_of(LABELS, held_out=held_out, count=1)
