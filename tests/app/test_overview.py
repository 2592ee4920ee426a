import numpy as np
import pytest
from conftest import noise, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from audionet.app.overview import BANDS, MOST_COLUMNS, RATE_HZ, VOICES, Band, Overview
from audionet.features.recipes import find_recipe


def overview_of(samples: np.ndarray, *edges: int) -> Overview:
    overview = Overview()
    for block in np.split(samples, edges):
        overview.add(block)
    return overview


@given(st.lists(st.integers(0, 170_000), max_size=5).map(sorted))
@settings(max_examples=15)
def test_how_a_sound_comes_in_blocks_does_not_matter(edges):
    samples = noise(10.5)
    whole, parted = overview_of(samples), overview_of(samples, *edges)
    assert parted.seconds == whole.seconds == 10.5
    assert np.array_equal(parted.loudness(), whole.loudness())
    assert np.array_equal(parted.spectrogram(), whole.spectrogram())


@pytest.mark.parametrize("seconds", [0.01, 1, 300])
def test_a_sound_of_any_length_has_few_columns(seconds):
    overview = overview_of(noise(seconds))
    columns = len(overview.loudness())
    assert 1 <= columns <= 1.5 * MOST_COLUMNS
    assert overview.spectrogram().shape == (BANDS, columns)


def test_loudness_is_where_the_sound_is():
    silence = np.zeros(RATE_HZ, np.float32)
    loudness = overview_of(np.concatenate([silence, tone(440, 1.0, level=0.5)])).loudness()
    half = len(loudness) // 2
    assert loudness[: half - 1].max() == 0
    assert loudness[half + 1 :].min() == pytest.approx(0.5, abs=0.02)


def test_a_higher_tone_is_drawn_further_up():
    rows = [overview_of(tone(hertz)).spectrogram().mean(axis=1).argmax() for hertz in (200, 1000, 4000)]
    assert rows[0] > rows[1] > rows[2]


def test_the_band_is_that_of_the_recipe_and_so_are_the_frequencies_beside_it():
    assert list(VOICES.heights()) == [200, 500, 1000, 2000, 4000]
    bats = Band.of(find_recipe("default", sample_rate_hz=384_000, low_hz=15_000.0, high_hz=120_000.0))
    assert list(bats.heights()) == [32_000, 64_000]
    overview = Overview(bats)
    overview.add(tone(64_000, 1.0, rate_hz=384_000))
    assert overview.seconds == 1.0
    row = overview.spectrogram().mean(axis=1).argmax()
    assert 1 - row / BANDS == pytest.approx(bats.heights()[64_000], abs=0.02)
