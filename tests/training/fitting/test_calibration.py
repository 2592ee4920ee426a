import numpy as np
import pytest

from audionet.models.pooling import log_softmax
from audionet.training.fitting.calibration import best_temperature, even_weights, fusion_weights
from audionet.training.fitting.openset_fitting import ScoredClips


def test_answers_that_are_too_sure_get_a_temperature_above_one():
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 2, 400)
    answers = np.where(rng.random(400) < 0.8, numbers, 1 - numbers)
    assert best_temperature(10 * np.eye(2)[answers], numbers) == pytest.approx(10 / np.log(0.8 / 0.2), rel=0.2)


def test_answers_that_are_all_right_ask_for_no_endless_confidence():
    numbers = np.arange(20) % 2
    probability = np.exp(log_softmax(np.eye(2)[numbers] / best_temperature(np.eye(2)[numbers], numbers))).max()
    assert probability == pytest.approx(21 / 22, abs=0.01)


def scored_by(strength, *, seed, loudness=1.0):
    """Return 120 clips of four labels as a head scores them that knows so much of them, besides noise of its own."""
    label_ids = np.arange(120) % 4
    logits = strength * np.eye(4)[label_ids] + np.random.default_rng(seed).normal(size=(120, 4))
    return ScoredClips(loudness * logits, np.arange(120), label_ids, np.zeros(120, int), np.arange(120) % 3)


def shares(*members):
    """Return the weights of heads, of that which equal spreads would give them."""
    return list(fusion_weights(members) / even_weights(members))


def test_heads_that_know_the_same_count_the_same_however_loud_they_are():
    assert shares(scored_by(2, seed=1), scored_by(2, seed=2, loudness=7)) == [1, 1]


def test_a_head_that_knows_less_is_taken_in_at_half_weight():
    assert shares(scored_by(2, seed=1), scored_by(1.2, seed=2)) == [1, 0.5]


def test_a_head_that_knows_more_is_taken_in_at_double_weight():
    assert shares(scored_by(2, seed=1), scored_by(3, seed=2)) == [1, 2]


def test_heads_that_know_nothing_or_nothing_new_are_left_out():
    first = scored_by(2, seed=1)
    assert shares(first, scored_by(0, seed=2), first) == [1, 0, 0]


def test_of_several_heads_all_that_help_are_taken_in():
    assert np.all(np.array(shares(scored_by(2, seed=1), scored_by(2, seed=2), scored_by(2, seed=3))) > 0)
