import numpy as np
import pytest
from conftest import RATE_HZ, babbling

from audionet.evaluation.robustness import SWEEP, ConditionContext


def at(seed: int = 0) -> ConditionContext:
    return ConditionContext(RATE_HZ, np.random.default_rng(seed), [babbling(7), babbling(8, 5_000)])


@pytest.mark.parametrize("condition", SWEEP, ids=lambda condition: condition.name)
class TestEveryCondition:
    def test_gives_finite_float32(self, condition):
        altered = condition.alter(babbling(), at())
        assert altered.dtype == np.float32 and altered.ndim == 1 and np.isfinite(altered).all()

    def test_gives_the_same_for_the_same_generator(self, condition):
        np.testing.assert_array_equal(condition.alter(babbling(), at(3)), condition.alter(babbling(), at(3)))

    def test_leaves_its_input_alone(self, condition):
        samples = babbling()
        condition.alter(samples, at())
        np.testing.assert_array_equal(samples, babbling())

    @pytest.mark.parametrize("count", [0, 1, 2, 100])
    def test_bears_the_shortest_clips(self, condition, count):
        assert np.isfinite(condition.alter(babbling()[:count], at())).all()

    def test_bears_silence(self, condition):
        assert np.isfinite(condition.alter(np.zeros(4_000, np.float32), at())).all()


def test_names_of_conditions_are_their_own():
    assert len({condition.name for condition in SWEEP}) == len(SWEEP)
