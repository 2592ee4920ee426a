import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from audionet.head import (
    TRAINERS,
    Head,
    best_temperature,
    log_softmax,
    moments,
    pool,
    train_lda,
    train_softmax,
)
from audionet.settings import HeadSettings

SETTINGS = HeadSettings(how_many_training_steps=60, train_batch_size=50)
logits = hnp.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(2, 4)), elements=st.floats(-50, 50, width=32))
every_trainer = pytest.mark.parametrize("name", TRAINERS)


def clouds(*, seed: int = 0, count: int = 60, labels: int = 3, dimension: int = 12):
    """Return bottlenecks of labels that lie apart, on columns of very different scale, and their numbers."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(count) % labels
    centres = 3 * np.eye(labels, dimension)
    bottlenecks = (centres[numbers] + rng.normal(0, 0.5, (count, dimension))) * np.logspace(-2, 2, dimension) + 7
    return bottlenecks.astype(np.float16), numbers


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


@every_trainer
def test_labels_that_lie_apart_are_told_apart(name):
    bottlenecks, numbers = clouds()
    head = TRAINERS[name](bottlenecks, numbers, 3, SETTINGS)
    unseen, unseen_numbers = clouds(seed=1)
    assert np.mean(head.logits(unseen).argmax(axis=1) == unseen_numbers) > 0.95


@every_trainer
def test_training_twice_gives_the_same_head(name):
    first, second = (TRAINERS[name](*clouds(), 3, SETTINGS) for _ in range(2))
    assert np.array_equal(first.weights, second.weights)
    assert np.array_equal(first.biases, second.biases)


@every_trainer
def test_a_constant_column_does_no_harm(name):
    bottlenecks, numbers = clouds()
    bottlenecks[:, 5] = 3
    assert np.isfinite(TRAINERS[name](bottlenecks, numbers, 3, SETTINGS).logits(bottlenecks)).all()


@every_trainer
def test_a_label_with_more_recordings_gets_no_head_start(name):
    bottlenecks, numbers = clouds(count=200, labels=2)
    kept = np.flatnonzero((numbers == 0) | (np.arange(200) < 20))
    few, few_numbers = bottlenecks[kept], numbers[kept]
    head = TRAINERS[name](few, few_numbers, 2, SETTINGS)
    centres = [few[few_numbers == number].mean(axis=0, dtype=np.float32) for number in range(2)]
    assert 0.2 < head.probabilities(np.mean(centres, axis=0)[None])[0, 1] < 0.8


@every_trainer
def test_a_trainer_shows_its_head_as_it_goes(name):
    seen = []
    final = TRAINERS[name](*clouds(), 3, SETTINGS, on_step=lambda step, head: seen.append((step, head)))
    assert np.array_equal(seen[-1][1].weights, final.weights)
    assert [step for step, _ in seen] == sorted({step for step, _ in seen})


def test_softmax_takes_as_many_steps_as_it_is_told():
    steps = []
    settings = HeadSettings(how_many_training_steps=25)
    train_softmax(*clouds(), 3, settings, on_step=lambda step, _: steps.append(step))
    assert steps == [10, 20, 25]


def test_lda_needs_no_more_than_one_example_a_label():
    bottlenecks, numbers = clouds(count=3)
    assert np.isfinite(train_lda(bottlenecks, numbers, 3, SETTINGS).logits(bottlenecks)).all()


def test_cooling_keeps_the_answer_and_lowers_the_confidence():
    head = Head(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    hot, cooled = head.probabilities(np.eye(3)), head.cooled(4.0).probabilities(np.eye(3))
    assert np.array_equal(hot.argmax(axis=1), cooled.argmax(axis=1))
    assert (cooled.max(axis=1) < hot.max(axis=1)).all()


def test_logits_do_not_depend_on_how_the_table_is_cut():
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32))
    table = rng.normal(size=(9_000, 4)).astype(np.float16)
    together = head.logits(table)
    apart = np.concatenate([head.logits(table[start : start + 1000]) for start in range(0, 9_000, 1000)])
    assert np.allclose(together, apart, atol=1e-6)


def test_answers_that_are_too_sure_are_cooled():
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 2, 400)
    answers = np.where(rng.random(400) < 0.8, numbers, 1 - numbers)
    assert best_temperature(10 * np.eye(2)[answers], numbers) == pytest.approx(10 / np.log(0.8 / 0.2), rel=0.2)


def test_answers_that_are_all_right_ask_for_no_endless_confidence():
    numbers = np.arange(20) % 2
    probability = np.exp(log_softmax(np.eye(2)[numbers] / best_temperature(np.eye(2)[numbers], numbers))).max()
    assert probability == pytest.approx(21 / 22, abs=0.01)


@given(hnp.arrays(np.float16, (7, 3), elements=st.floats(-100, 100, width=16)))
def test_moments_are_mean_and_deviation(table):
    mean, deviation = moments(table)
    assert mean == pytest.approx(table.astype(np.float64).mean(axis=0), abs=1e-3)
    expected = table.astype(np.float64).std(axis=0)
    assert deviation == pytest.approx(np.where(expected > 1e-6, expected, 1), rel=1e-3)
