import numpy as np
import pytest

from audionet.features.frequency_axis import frequency_range, frequency_ticks, hertz_at
from audionet.features.recipes import DRAWINGS, find_recipe


@pytest.mark.parametrize("drawing", [name for name, drawing in DRAWINGS.items() if drawing.axis != "pitch"])
def test_frequencies_run_from_the_lowest_at_the_bottom_to_the_highest_at_the_top(drawing):
    recipe = find_recipe("default", picture=drawing)
    hertz = hertz_at(np.linspace(0, 1, 50), recipe)
    assert np.diff(hertz).min() > 0
    assert hertz[[0, -1]] == pytest.approx([recipe.low_hz, recipe.high_hz])


def test_half_of_the_height_is_half_of_the_range_where_frequency_is_linear_and_less_on_the_mel_scale():
    linear, mel = find_recipe("cnvrg"), find_recipe("default")
    assert hertz_at(np.array([0.5]), linear)[0] == 4_000
    assert hertz_at(np.array([0.5]), mel)[0] < 2_000


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_ticks_are_where_what_they_name_is_shown(drawing):
    recipe = find_recipe("default", picture=drawing)
    ticks = frequency_ticks(recipe)
    assert len(ticks) >= 6
    for height, name in ticks:
        assert name in frequency_range(height, height, recipe)


def test_a_range_of_a_chromagram_reaches_from_c_to_b():
    assert frequency_range(0.0, 1.0, find_recipe("audionet_chromagram")) == "pitch classes C to B"
