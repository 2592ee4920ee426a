import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.linear_model import Ridge

from audionet.training.fitting.closed_forms import RIDGE_SHARPNESS, RIDGE_SHRINKAGE
from audionet.training.fitting.head_trainers import (
    TRAINERS,
    TrainingSet,
    mean_and_deviation,
    train_lda,
    train_ridge,
    train_softmax,
)
from audionet.training.settings import HeadSettings

SETTINGS = HeadSettings(how_many_training_steps=60, train_batch_size=50)
every_trainer = pytest.mark.parametrize("name", TRAINERS)


def clouds(*, seed: int = 0, count: int = 60, labels: int = 3, dimension: int = 12) -> TrainingSet:
    """Return bottlenecks of labels that lie apart, on columns of very different scale."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(count) % labels
    centres = 3 * np.eye(labels, dimension)
    bottlenecks = (centres[numbers] + rng.normal(0, 0.5, (count, dimension))) * np.logspace(-2, 2, dimension) + 7
    return TrainingSet(bottlenecks.astype(np.float16), numbers, labels)


@every_trainer
def test_labels_that_lie_apart_are_told_apart(name):
    head, unseen = TRAINERS[name](clouds(), SETTINGS), clouds(seed=1)
    assert np.mean(head.logits(unseen.bottlenecks).argmax(axis=1) == unseen.label_ids) > 0.95


@every_trainer
def test_training_twice_gives_the_same_head(name):
    first, second = (TRAINERS[name](clouds(), SETTINGS) for _ in range(2))
    assert np.array_equal(first.weights, second.weights)
    assert np.array_equal(first.biases, second.biases)


@every_trainer
def test_a_constant_column_does_no_harm(name):
    examples = clouds()
    examples.bottlenecks[:, 5] = 3
    assert np.isfinite(TRAINERS[name](examples, SETTINGS).logits(examples.bottlenecks)).all()


@every_trainer
def test_a_label_with_more_recordings_gets_no_head_start(name):
    many = clouds(count=200, labels=2)
    kept = np.flatnonzero((many.label_ids == 0) | (np.arange(200) < 20))
    few = TrainingSet(many.bottlenecks[kept], many.label_ids[kept], 2)
    head = TRAINERS[name](few, SETTINGS)
    centres = [few.bottlenecks[few.label_ids == number].mean(axis=0, dtype=np.float32) for number in range(2)]
    assert 0.2 < head.probabilities(np.mean(centres, axis=0)[None])[0, 1] < 0.8


@every_trainer
def test_a_trainer_shows_its_head_as_it_goes(name):
    seen = []
    final = TRAINERS[name](clouds(), SETTINGS, on_step=lambda step, head: seen.append((step, head)))
    assert np.array_equal(seen[-1][1].weights, final.weights)
    assert [step for step, _ in seen] == sorted({step for step, _ in seen})


def test_softmax_takes_as_many_steps_as_it_is_told():
    steps = []
    settings = HeadSettings(how_many_training_steps=25)
    train_softmax(clouds(), settings, on_step=lambda step, _: steps.append(step))
    assert steps == [10, 20, 25]


def test_lda_needs_no_more_than_one_example_a_label():
    examples = clouds(count=3)
    assert np.isfinite(train_lda(examples, SETTINGS).logits(examples.bottlenecks)).all()


@pytest.mark.parametrize("name", ["lda", "ridge"])
def test_fewer_rows_than_columns_give_what_the_other_way_round_would(name):
    examples = clouds(count=40, dimension=30)
    repeated = TrainingSet(np.tile(examples.bottlenecks, (4, 1)), np.tile(examples.label_ids, 4), 3)
    few, many = (TRAINERS[name](one, SETTINGS).logits(examples.bottlenecks) for one in (examples, repeated))
    assert few == pytest.approx(many, abs=0.01 * float(np.ptp(many)))


def test_ridge_is_that_of_scikit_learn():
    examples = clouds(count=200, labels=3)
    columns = examples.standardisation.standardised(examples.bottlenecks).astype(np.float64)
    middle = examples.centres.mean(axis=0)
    weights = examples.balanced_weight
    trace = np.average(np.square(columns - middle), axis=0, weights=weights).mean()
    penalty = len(columns) * RIDGE_SHRINKAGE / (1 - RIDGE_SHRINKAGE) * trace
    model = Ridge(alpha=penalty).fit(columns, np.eye(3)[examples.label_ids], sample_weight=weights)
    expected = RIDGE_SHARPNESS * (model.predict(columns) - 1 / 3) / (1 - RIDGE_SHRINKAGE)
    assert train_ridge(examples, SETTINGS).logits(examples.bottlenecks) == pytest.approx(expected, abs=0.05)


def test_rows_of_a_larger_weight_count_for_more():
    examples = clouds()
    doubled = np.flatnonzero(np.arange(60) < 30)
    repeated = TrainingSet(
        np.concatenate([examples.bottlenecks, examples.bottlenecks[doubled]]),
        np.concatenate([examples.label_ids, examples.label_ids[doubled]]),
        3,
    )
    weighted = TrainingSet(examples.bottlenecks, examples.label_ids, 3, np.where(np.arange(60) < 30, 2.0, 1.0))
    for name in ("lda", "ridge", "prototypes"):
        first, second = (TRAINERS[name](one, SETTINGS).logits(examples.bottlenecks) for one in (repeated, weighted))
        assert first == pytest.approx(second, abs=0.01 * float(np.ptp(first)))


@given(hnp.arrays(np.float16, (7, 3), elements=st.floats(-100, 100, width=16)))
def test_mean_and_deviation_are_those_of_each_column(table):
    mean, deviation = mean_and_deviation(table)
    assert mean == pytest.approx(table.astype(np.float64).mean(axis=0), abs=1e-3)
    expected = table.astype(np.float64).std(axis=0)
    assert deviation == pytest.approx(np.where(expected > 1e-6, expected, 1), rel=1e-3)
