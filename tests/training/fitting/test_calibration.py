import numpy as np
import pytest

from audionet.models.pooling import log_softmax
from audionet.training.fitting.calibration import best_temperature


def test_answers_that_are_too_sure_get_a_temperature_above_one():
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 2, 400)
    answers = np.where(rng.random(400) < 0.8, numbers, 1 - numbers)
    assert best_temperature(10 * np.eye(2)[answers], numbers) == pytest.approx(10 / np.log(0.8 / 0.2), rel=0.2)


def test_answers_that_are_all_right_ask_for_no_endless_confidence():
    numbers = np.arange(20) % 2
    probability = np.exp(log_softmax(np.eye(2)[numbers] / best_temperature(np.eye(2)[numbers], numbers))).max()
    assert probability == pytest.approx(21 / 22, abs=0.01)
