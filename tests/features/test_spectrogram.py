import dataclasses

import numpy as np
import pytest
from conftest import RATE_HZ, noise, tone

from audionet.features.recipes import DRAWINGS, RECIPES, Recipe, find_recipe
from audionet.features.spectrogram import chroma_filters, decibels, draw, mel_filters, normalise_channels, power_spectra

# The tutorial's chunks are 20 s long; what holds of a picture holds of shorter ones too.
SHORT_RECIPES = {name: dataclasses.replace(recipe, chunk_seconds=1.0) for name, recipe in RECIPES.items()} | {
    name: find_recipe("default", picture=name, chunk_seconds=1.0) for name in DRAWINGS
}
OVER_FREQUENCY = {name: recipe for name, recipe in SHORT_RECIPES.items() if recipe.drawing != "chromagram"}
CHROMAGRAM = find_recipe("default", picture="chromagram")
every_recipe = pytest.mark.parametrize("recipe", SHORT_RECIPES.values(), ids=SHORT_RECIPES)
every_recipe_over_frequency = pytest.mark.parametrize("recipe", OVER_FREQUENCY.values(), ids=OVER_FREQUENCY)


def brightness(picture: np.ndarray) -> np.ndarray:
    return picture.astype(int).sum(axis=2)


def brightest_row(picture: np.ndarray) -> int:
    """Count from the bottom, where the lowest frequency is."""
    return len(picture) - 1 - int(brightness(picture).sum(axis=1).argmax())


def mel_row(hertz: float, recipe: Recipe) -> float:
    """Return where Slaney's mel scale puts a frequency, in rows from the bottom."""

    def mel(hertz: float) -> float:
        return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)

    share = (mel(hertz) - mel(recipe.low_hz)) / (mel(recipe.high_hz) - mel(recipe.low_hz))
    return share * recipe.picture_height


def linear_row(hertz: float, recipe: Recipe) -> float:
    return (hertz - recipe.low_hz) / (recipe.high_hz - recipe.low_hz) * recipe.picture_height


@every_recipe_over_frequency
@pytest.mark.parametrize("hertz", [200, 440, 1000, 2500, 6000])
def test_a_tone_is_brightest_at_its_own_frequency(recipe, hertz):
    row = linear_row if DRAWINGS[recipe.drawing].axis == "linear" else mel_row
    picture = draw(tone(hertz, rate_hz=recipe.sample_rate_hz), recipe)
    assert brightest_row(picture) == pytest.approx(row(hertz, recipe), abs=4)


@every_recipe_over_frequency
def test_low_frequencies_are_at_the_bottom(recipe):
    rows = [brightest_row(draw(tone(hertz), recipe)) for hertz in (150, 300, 600, 1200, 2400, 4800)]
    assert rows == sorted(set(rows))
    assert rows[0] < recipe.picture_height / 4


@every_recipe
def test_time_runs_to_the_right(recipe):
    samples = np.concatenate([tone(1000, 0.5), noise(0.5, level=1e-4)])
    columns = brightness(draw(samples, recipe)).max(axis=0)
    half = len(columns) // 2
    assert columns[: half - 10].min() > columns[half + 10 :].max()


@every_recipe
def test_a_picture_has_the_size_and_type_that_its_recipe_says(recipe):
    picture = draw(noise(), recipe)
    assert picture.shape == (recipe.picture_height, recipe.picture_width, 3)
    assert picture.dtype == np.uint8


@every_recipe
def test_a_picture_uses_the_whole_range_of_brightness(recipe):
    shown = brightness(draw(tone(1000) + noise(level=1e-3), recipe))
    assert shown.max() - shown.min() > 300


@every_recipe
@pytest.mark.parametrize("factor", [0.5, 0.25])
def test_loudness_does_not_change_the_picture(recipe, factor):
    samples = tone(1000) + noise(level=0.02)
    quiet = draw(samples * np.float32(factor), recipe).astype(int)
    assert np.abs(quiet - draw(samples, recipe)).max() <= 1


@every_recipe
@pytest.mark.parametrize("samples", [np.zeros(16_000), np.ones(16_000), np.eye(1, 16_000, 8_000)[0]])
def test_silence_a_constant_and_a_click_can_be_drawn(recipe, samples):
    draw(samples.astype(np.float32), recipe)


@every_recipe
def test_drawing_twice_gives_the_same_picture(recipe):
    assert np.array_equal(draw(noise(), recipe), draw(noise(), recipe))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (128, 100), (299, 299)])
def test_the_size_of_a_picture_can_be_chosen(height, width):
    recipe = find_recipe("default", picture_height=height, picture_width=width)
    assert draw(noise(), recipe).shape == (height, width, 3)


def test_a_sweep_rises_from_the_lower_left_to_the_upper_right():
    moments = np.arange(2 * RATE_HZ) / RATE_HZ
    sweep = np.sin(2 * np.pi * (200 * moments + 1500 * moments**2 / 2)).astype(np.float32)
    brightest = 224 - brightness(draw(sweep, find_recipe("default"))).argmax(axis=0)
    assert np.diff(brightest[10:-10:10]).min() >= 0
    assert brightest[-20] > brightest[20] + 50


def pitch_class(hertz: float) -> int:
    """Return the row of a chromagram that is brightest for a tone, C being 0."""
    rows_each = CHROMAGRAM.picture_height / 12
    return int(brightest_row(draw(tone(hertz, 2.0), CHROMAGRAM)) / rows_each)


@pytest.mark.parametrize("semitone", range(12))
def test_a_chromagram_shows_a_pitch_in_the_row_of_its_class_from_c_upwards(semitone):
    middle_c_hz = 440 * 2 ** (-9 / 12)
    assert pitch_class(middle_c_hz * 2 ** (semitone / 12)) == semitone


@pytest.mark.parametrize("hertz", [220, 440, 880, 1760, 3520])
def test_a_chromagram_shows_octaves_of_a_pitch_in_one_row(hertz):
    assert pitch_class(hertz) == 9


def test_filters_for_pitch_classes_take_nothing_from_outside_their_range():
    filters = chroma_filters(sample_rate_hz=RATE_HZ, fft_samples=4096, low_hz=100, high_hz=5000)
    heard_hz = np.flatnonzero(filters.sum(axis=1)) * RATE_HZ / 4096
    assert heard_hz.min() >= 100
    assert heard_hz.max() <= 5000


def test_what_is_steady_fades_where_channels_are_normalised_and_what_begins_stands_out():
    power = np.full((2, 100), 0.25)
    power[1, :50] = 1e-4
    steady, beginning = normalise_channels(power, column_seconds=0.01, range_db=60)
    assert steady == pytest.approx(np.full(100, np.sqrt(3) - np.sqrt(2)), abs=1e-3)
    assert beginning[50] > 5 * steady[50]
    assert beginning[99] < beginning[50] / 3


def test_normalised_channels_remember_as_long_whatever_the_step():
    rise = np.repeat([1e-3, 1.0], 200)[None]
    fine = normalise_channels(rise, column_seconds=0.01, range_db=60)
    coarse = normalise_channels(rise[:, ::2], column_seconds=0.02, range_db=60)
    assert coarse[0, 110] == pytest.approx(fine[0, 220], rel=0.1)


@pytest.mark.parametrize("window_samples", [256, 400, 1024, 2048])
def test_a_full_scale_sine_has_power_one(window_samples):
    power = power_spectra(tone(1000, level=1.0), window_samples, columns=10)
    assert power[2:-2].max(axis=1) == pytest.approx(1, rel=0.05)


def test_no_moment_is_passed_over_however_long_the_chunk():
    samples = np.zeros(20 * RATE_HZ, np.float32)
    for click in range(1000, len(samples), 9973):
        alone = samples.copy()
        alone[click] = 1
        assert power_spectra(alone, 400, columns=224).max() > 0


def test_mel_filters_each_sum_to_one():
    filters = mel_filters(sample_rate_hz=RATE_HZ, fft_samples=512, bands=128, low_hz=50, high_hz=7800)
    assert filters.sum(axis=0) == pytest.approx(1)
    assert np.all(np.diff(filters.argmax(axis=0)) >= 0)


def test_decibels_run_from_the_loudest_point_down_to_the_range():
    assert decibels(np.array([1.0, 1e-4, 1e-8, 0.0]), 80.0) == pytest.approx([1, 0.5, 0, 0])
