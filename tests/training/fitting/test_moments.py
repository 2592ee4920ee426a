import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audionet.training.fitting.closed_forms import SummedRows, lda_head, prototype_head, ridge_head
from audionet.training.fitting.head_trainers import TRAINERS, TrainingSet
from audionet.training.fitting.moments import Moments, origin_of
from audionet.training.fitting.sample_weights import balanced_weights
from audionet.training.settings import HeadSettings

LABELS = 3
DIMENSION = 8
ROWS = 90


def rows_of(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return bottlenecks on columns of very different scale and far from 0, their labels, and weights."""
    rng = np.random.default_rng(seed)
    label_ids = np.concatenate([np.arange(LABELS), rng.integers(0, LABELS, ROWS - LABELS)])
    places = 3 * np.eye(LABELS, DIMENSION)[label_ids] + rng.normal(0, 0.5, (ROWS, DIMENSION))
    return (places * np.logspace(-1, 2, DIMENSION) + 20).astype(np.float16), label_ids, rng.uniform(0.5, 3, ROWS)


def moments_of(bottlenecks, label_ids, weights, origin) -> Moments:
    return Moments.of(bottlenecks, label_ids, LABELS, origin=origin, weights=weights, with_products=True)


@pytest.mark.parametrize("name", ["lda", "ridge", "prototypes"])
@given(data=st.data())
def test_moments_of_any_parts_in_any_order_train_the_head_of_all_rows_at_once(name, data):
    bottlenecks, label_ids, weights = rows_of(data.draw(st.integers(0, 1000)))
    order = np.array(data.draw(st.permutations(range(ROWS))))
    parts = np.split(order, sorted(data.draw(st.lists(st.integers(0, ROWS), max_size=9))))
    origin = origin_of(bottlenecks[parts[-1]] if len(parts[-1]) else bottlenecks)
    sums = []
    for by in (weights, balanced_weights(weights, label_ids)):
        of_parts = [moments_of(bottlenecks[part], label_ids[part], by[part], origin) for part in parts]
        total = of_parts[0]
        for part in of_parts[1:]:
            total = total + part
        sums.append(total)
    closed_form = {"lda": lda_head, "ridge": ridge_head, "prototypes": prototype_head}[name]
    summed = closed_form(SummedRows(*sums)).logits(bottlenecks)
    at_once = TRAINERS[name](TrainingSet(bottlenecks, label_ids, LABELS, weights), HeadSettings()).logits(bottlenecks)
    assert summed == pytest.approx(at_once, abs=2e-4 * float(np.ptp(at_once)))


@given(st.integers(0, 1000), st.integers(0, 2))
def test_what_remains_when_a_fold_is_subtracted_is_the_moments_of_the_others(seed, fold):
    bottlenecks, label_ids, weights = rows_of(seed)
    origin, is_out = origin_of(bottlenecks), np.arange(ROWS) % 3 == fold
    everything = moments_of(bottlenecks, label_ids, weights, origin)
    left = everything - moments_of(bottlenecks[is_out], label_ids[is_out], weights[is_out], origin)
    others = moments_of(bottlenecks[~is_out], label_ids[~is_out], weights[~is_out], origin)
    for name in ("counts", "totals", "squares", "products"):
        size = np.abs(getattr(everything, name)).max()
        assert getattr(left, name) == pytest.approx(getattr(others, name), abs=1e-5 * size)


def test_a_column_that_is_constant_far_from_the_origin_has_deviation_one():
    bottlenecks, label_ids, weights = rows_of(0)
    bottlenecks[:, 3] = 1000
    moments = moments_of(bottlenecks, label_ids, weights, np.zeros(DIMENSION, np.float32))
    mean, deviation = moments.mean_and_deviation()
    assert (mean[3], deviation[3]) == (1000, 1)


def test_moments_around_different_origins_are_not_added():
    bottlenecks, label_ids, weights = rows_of(0)
    first, second = (moments_of(bottlenecks, label_ids, weights, np.full(DIMENSION, at, np.float32)) for at in (0, 1))
    with pytest.raises(ValueError, match="same origin"):
        _ = first + second
