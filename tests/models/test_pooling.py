import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from audionet.models.pooling import log_softmax, loudness_weights, pool

logits = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(2, 4)), elements=st.floats(-50, 50, width=32))


@given(logits)
def test_the_exponential_of_log_softmax_sums_to_one(values):
    assert np.exp(log_softmax(values)).sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_enormous_logits_give_numbers():
    assert np.isfinite(log_softmax(np.array([[1e4, -1e4]], np.float32))).all()


@given(logits)
def test_pooling_gives_probabilities_whatever_the_order_of_chunks(values):
    pooled = pool(log_softmax(values))
    assert pooled.sum() == pytest.approx(1)
    assert pool(log_softmax(values[::-1])) == pytest.approx(pooled)


@given(logits)
def test_pooling_one_chunk_changes_nothing(values):
    first = log_softmax(values[:1])
    assert pool(first) == pytest.approx(np.exp(first[0]), abs=1e-5)


@given(st.floats(-90, 0), st.integers(1, 20))
def test_chunks_that_are_equally_loud_count_alike(level, count):
    assert loudness_weights([level] * count) == pytest.approx(np.ones(count))


@given(st.lists(st.floats(-120, 0), min_size=1, max_size=30), st.floats(-40, 40))
def test_weights_are_of_chunks_beside_one_another_and_the_loudest_counts_in_full(levels, gain):
    weights = loudness_weights(levels)
    assert weights == pytest.approx(loudness_weights([level + gain for level in levels]))
    assert weights.max() == weights[np.argmax(levels)] == 1
    assert weights.min() > 0


def test_gaps_count_little_however_much_of_a_recording_they_are():
    weights = loudness_weights([-20.0] * 3 + [-50.0] * 300)
    assert weights[:3] == pytest.approx(np.ones(3))
    assert weights[3:].sum() < 0.5


def test_pooling_weighs_chunks():
    one, other = log_softmax(np.array([[3.0, 0.0], [0.0, 9.0]]))
    assert pool([one, other], np.array([1.0, 0.0])) == pytest.approx(np.exp(one))
    assert pool([one, one, other], np.ones(3)) == pytest.approx(pool([one, other], np.array([2.0, 1.0])))
