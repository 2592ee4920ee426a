import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.speed import (
    scaling,
)


@given(st.floats(0, 2), st.floats(1e-3, 1e3))
def test_the_exponent_of_a_power_is_found(power, factor):
    sizes = [10, 100, 1000]
    found = scaling.fitted(sizes, [factor * size**power for size in sizes])
    assert np.allclose(list(found.values()), power)


def test_start_up_weighs_less_on_the_last_tenfold():
    found = scaling.fitted([1, 10, 100], [1 + size for size in (1, 10, 100)])
    assert found["exponent"] < found["last_exponent"] < 1
