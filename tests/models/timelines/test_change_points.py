import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audionet.models.timelines.change_points import LONGEST_CHUNKS, in_units_of_noise, stretches


def noise(count: int, *, dimensions: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dimensions))


@pytest.mark.parametrize("dimensions", [1, 3, 11, 127])
def test_noise_alone_is_one_stretch(dimensions):
    for seed in range(20):
        assert stretches(noise(100, dimensions=dimensions, seed=seed), hops_a_chunk=1) == [(0, 100)]


@pytest.mark.parametrize("dimensions", [1, 3, 11])
def test_changes_are_found_where_they_are(dimensions):
    places = noise(90, dimensions=dimensions)
    places[30:60] += 6 / np.sqrt(dimensions)
    found = stretches(places, hops_a_chunk=1)
    assert [first for first, _ in found] == pytest.approx([0, 30, 60], abs=2)


def test_what_is_alike_for_long_is_one_stretch_however_long():
    assert stretches(noise(3 * LONGEST_CHUNKS + 50), hops_a_chunk=1) == [(0, 3 * LONGEST_CHUNKS + 50)]


def test_chunks_that_overlap_count_as_one():
    steady = np.repeat(noise(30), 4, axis=0)
    assert len(stretches(steady, hops_a_chunk=4)) == 1 < len(stretches(3 * steady, hops_a_chunk=1))


@given(st.integers(0, 40), st.integers(1, 3), st.integers(1, 4), st.integers(0, 1000))
def test_stretches_follow_each_other_from_the_first_chunk_to_the_last(count, dimensions, hops_a_chunk, seed):
    places = 5 * noise(count, dimensions=dimensions, seed=seed)
    borders = stretches(places, hops_a_chunk=hops_a_chunk)
    assert [chunk for first, behind in borders for chunk in range(first, behind)] == list(range(count))
    assert all(first < behind for first, behind in borders)


def test_noise_is_measured_between_chunks_that_do_not_overlap():
    independent = np.random.default_rng(0).normal(scale=(0.3, 0.6), size=(500, 2))
    overlapping = (independent[:-1] + independent[1:]) / 2
    scaled = in_units_of_noise(overlapping, np.arange(499), hops_a_chunk=2)
    assert scaled.std(axis=0) == pytest.approx([1, 1], rel=0.15)


def test_too_few_chunks_tell_nothing_of_the_noise():
    few = noise(5)
    assert np.array_equal(in_units_of_noise(few, np.arange(5), hops_a_chunk=1), few)


def test_a_recording_without_any_noise_is_not_divided_by_nothing():
    places = np.repeat([[0.0], [1.0]], 20, axis=0)
    assert np.isfinite(in_units_of_noise(places, np.arange(40), hops_a_chunk=1)).all()
