import numpy as np
import pytest
from conftest import noise, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from audionet.app.overview import BANDS, MOST_MOMENTS, RATE_HZ, Overview


def glance_at(samples: np.ndarray, *edges: int) -> Overview:
    glance = Overview()
    for block in np.split(samples, edges):
        glance.add(block)
    return glance


@given(st.lists(st.integers(0, 170_000), max_size=5).map(sorted))
@settings(max_examples=15)
def test_how_a_sound_comes_in_blocks_does_not_matter(edges):
    samples = noise(10.5)
    whole, parted = glance_at(samples), glance_at(samples, *edges)
    assert parted.seconds == whole.seconds == 10.5
    assert np.array_equal(parted.loudness(), whole.loudness())
    assert np.array_equal(parted.spectrogram(), whole.spectrogram())


@pytest.mark.parametrize("seconds", [0.01, 1, 300])
def test_a_sound_of_any_length_has_few_moments(seconds):
    glance = glance_at(noise(seconds))
    moments = len(glance.loudness())
    assert 1 <= moments <= 1.5 * MOST_MOMENTS
    assert glance.spectrogram().shape == (BANDS, moments)


def test_loudness_is_where_the_sound_is():
    silence = np.zeros(RATE_HZ, np.float32)
    loudness = glance_at(np.concatenate([silence, tone(440, 1.0, level=0.5)])).loudness()
    half = len(loudness) // 2
    assert loudness[: half - 1].max() == 0
    assert loudness[half + 1 :].min() == pytest.approx(0.5, abs=0.02)


def test_a_higher_tone_is_drawn_further_up():
    rows = [glance_at(tone(hertz)).spectrogram().mean(axis=1).argmax() for hertz in (200, 1000, 4000)]
    assert rows[0] > rows[1] > rows[2]
