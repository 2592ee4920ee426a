"""What gradient descent minimises, and by which steps."""

import numpy as np
import pytest

from audionet.training.fitting.head_trainers import TrainingSet, train_softmax
from audionet.training.fitting.optimisation import LayerRates, loss_of_logits, optimizer_of, scheduled_rate
from audionet.training.settings import HeadSettings, NetworkSettings

keras = pytest.importorskip("keras")


def test_the_rate_rises_first_and_falls_along_a_cosine():
    settings = HeadSettings(rate_schedule="cosine", warmup=0.2)
    rates = [float(scheduled_rate(0.1, settings, steps=100)(step)) for step in range(101)]
    assert rates[0] == 0 and rates[10] == pytest.approx(0.05) and rates[20] == pytest.approx(0.1)
    assert rates[60] == pytest.approx(0.05, rel=1e-3) and rates[100] == pytest.approx(0, abs=1e-6)
    stays = scheduled_rate(0.1, HeadSettings(warmup=0.5), steps=100)
    assert float(stays(25)) == pytest.approx(0.05) and float(stays(100)) == pytest.approx(0.1)
    assert scheduled_rate(0.1, HeadSettings(), steps=100) == 0.1


def test_the_focal_loss_counts_what_is_told_well_for_less():
    logits = np.array([[4.0, 0.0], [0.1, 0.0]], np.float32)
    usual = float(loss_of_logits(HeadSettings(), label_count=2)(np.array([0, 0]), logits))
    smoothed = float(loss_of_logits(HeadSettings(label_smoothing=0.2), label_count=2)(np.array([0, 0]), logits))
    focal = [
        float(loss_of_logits(HeadSettings(focal=2), label_count=2)(np.array([0]), logits[row : row + 1]))
        for row in (0, 1)
    ]
    probabilities = 1 / (1 + np.exp(-logits[:, 0]))
    assert usual == pytest.approx(-np.log(probabilities).mean(), rel=1e-4)
    assert focal == pytest.approx(list(-((1 - probabilities) ** 2) * np.log(probabilities)), rel=1e-3)
    assert smoothed == pytest.approx(-(0.9 * np.log(probabilities) + 0.1 * np.log(1 - probabilities)).mean(), rel=1e-3)


def test_smoothing_makes_a_softmax_less_sure():
    rng = np.random.default_rng(0)
    label_ids = np.repeat([0, 1], 60)
    rows = (np.eye(2, 8)[label_ids] * 6 + rng.normal(0, 1, (120, 8))).astype(np.float16)
    sure = {}
    for smoothing in (0.0, 0.3):
        settings = HeadSettings(label_smoothing=smoothing, how_many_training_steps=200, learning_rate=0.1)
        head = train_softmax(TrainingSet(rows, label_ids, 2), settings)
        sure[smoothing] = head.probabilities(rows).max(axis=1).mean()
    assert sure[0.3] < sure[0.0] - 0.05


def test_layers_near_the_input_move_later_and_less():
    settings = NetworkSettings(staged=True, rate_decay=0.5)
    assert LayerRates.of([0, 1, 1, 2], NetworkSettings(), steps=90) is None
    rates = LayerRates.of([0, 1, 1, 2, 3], settings, steps=90)
    assert rates == LayerRates(shares=(0.125, 0.25, 0.25, 0.5, 1.0), first_steps=(60, 30, 30, 30, 0))


def test_a_network_is_trained_in_stages():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])
    layers = LayerRates.of([0, 0, 1, 1], NetworkSettings(staged=True), steps=6)
    model.compile(optimizer_of(NetworkSettings(), 0.1, layers), loss=loss_of_logits(HeadSettings(), label_count=2))
    rows, label_ids = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32), np.arange(8) % 2
    moved = []
    for _ in range(6):
        before = [one.copy() for one in model.get_weights()]
        model.train_on_batch(rows, label_ids)
        moved.append([not np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True)])
    assert moved[0] == [False, False, True, True]
    assert moved[-1] == [True, True, True, True]
