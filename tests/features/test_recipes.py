import dataclasses
import json

import pytest

from audionet.commands import train
from audionet.errors import InputError
from audionet.features.recipes import DRAWINGS, NOT_IN_PICTURES, RECIPES, Recipe, check_drawn_by, find_recipe, redrawn
from audionet.features.settings import PictureSettings
from audionet.features.spectrogram import DRAWERS

CHANGES = {
    "sample_rate_hz": 22_050,
    "chunk_seconds": 3.0,
    "sox_effects": "norm -3",
    "drawing": "linear",
    "picture_height": 128,
    "picture_width": 128,
    "window_samples": (512,),
    "mel_bands": 64,
    "low_hz": 60.0,
    "high_hz": 7_000.0,
    "range_db": 60.0,
    "jpg_quality": 90,
    "hop_samples": 128,
    "padding": "zeros",
    "long_clips": "crop",
    "overlap": 0.5,
    "channel": "left",
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_survives_json(recipe):
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_a_recipe_from_outside_that_lacks_or_adds_a_setting_is_refused():
    known = find_recipe("default").to_json()
    for altered in ({**known, "wavelet": 1}, {"name": "x"}, {**known, "chunk_seconds": "two"}):
        with pytest.raises(InputError, match=r"recipe of this version|chunk_seconds: expected a number"):
            Recipe.from_json(altered)


@pytest.mark.parametrize(
    "field", [field.name for field in dataclasses.fields(Recipe) if field.name not in {"name", *NOT_IN_PICTURES}]
)
def test_every_setting_of_a_picture_changes_the_digest(field):
    recipe = find_recipe("default")
    assert dataclasses.replace(recipe, **{field: CHANGES[field]}).digest != recipe.digest


def test_what_concerns_training_stays_out_of_pictures_and_digests():
    recipe = find_recipe("default")
    other = dataclasses.replace(recipe, about="mine", training={"views": 0}, any_pictures=False)
    assert other == recipe
    assert other.digest == recipe.digest
    assert not set(NOT_IN_PICTURES) & other.to_json().keys()


def test_the_name_does_not_change_the_digest():
    recipe = find_recipe("default")
    assert dataclasses.replace(recipe, name="mine").digest == recipe.digest


def test_an_unknown_recipe_lists_the_known():
    with pytest.raises(InputError, match=f"one of {', '.join(RECIPES)}, received 'wavelets'"):
        find_recipe("wavelets")


def test_changes_that_are_none_leave_the_recipe():
    assert find_recipe("default", chunk_seconds=None) == RECIPES["default"]
    assert find_recipe("default", chunk_seconds=5).chunk_seconds == 5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sample_rate_hz", 0),
        ("chunk_seconds", 0.01),
        ("chunk_seconds", float("nan")),
        ("drawing", "oil"),
        ("picture_height", 10_000),
        ("window_samples", (400, 400)),
        ("window_samples", (1,)),
        ("low_hz", 9_000.0),
        ("high_hz", 9_000.0),
        ("high_hz", 0.0),
        ("overlap", 1.0),
        ("channel", "0"),
        ("channel", "middle"),
        ("range_db", -1.0),
        ("jpg_quality", 101),
        ("sox_effects", "norm 'unclosed"),
        ("sox_effects", "'|touch owned' out.wav norm"),
        ("sox_effects", "out.wav norm"),
        ("sox_effects", "norm Spectrogram -o out.png"),
        ("sox_effects", "ladspa evil.so"),
    ],
)
def test_a_setting_outside_its_range_is_named(field, value):
    with pytest.raises(InputError, match=f"^{field}: expected .* received"):
        find_recipe("default", **{field: value})


def test_every_drawing_that_a_recipe_may_name_can_be_drawn():
    assert set(DRAWINGS) == set(DRAWERS)


@pytest.mark.parametrize("picture", DRAWINGS)
@pytest.mark.parametrize("name", RECIPES)
def test_any_recipe_can_be_drawn_in_any_way_and_keeps_the_rest(name, picture):
    recipe, drawn = find_recipe(name), find_recipe(name, picture=picture)
    assert drawn.drawing == picture
    kept = ("name", "chunk_seconds", "picture_height", "training")
    assert [getattr(drawn, field) for field in kept] == [getattr(recipe, field) for field in kept]


def test_the_drawing_that_a_recipe_has_already_changes_nothing_in_it():
    assert find_recipe("audionet", picture="linear") == find_recipe("audionet")
    assert find_recipe("default", picture="log_mel_3").digest == find_recipe("three_windows").digest


def test_windows_keep_their_seconds_at_another_sample_rate():
    shown = dataclasses.replace(RECIPES["default"], name="wide", sample_rate_hz=32_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RECIPES, "wide", shown)
        assert find_recipe("wide", picture="linear").window_samples == (512,)
        assert find_recipe("wide", picture="linear").high_hz == 16_000


def test_recipes_have_the_digests_that_earlier_versions_gave_them():
    assert RECIPES["default"].digest == "3d976519b7770a27"
    assert "overlap" not in RECIPES["default"].to_json()
    assert find_recipe("default", picture="log_mel_3").digest == "f94a1ca55d05ecf1"


@pytest.mark.parametrize(("rate_hz", "low_hz", "high_hz"), [(48_000, 50, 23_400), (384_000, 50, 187_200)])
def test_another_sample_rate_widens_the_band_and_keeps_windows_in_samples(rate_hz, low_hz, high_hz):
    recipe = find_recipe("default", sample_rate_hz=rate_hz)
    assert (recipe.low_hz, recipe.high_hz, recipe.window_samples) == (low_hz, high_hz, (1024,))


def test_a_low_sample_rate_moves_the_whole_band_down_and_keeps_four_windows_a_chunk():
    recipe = find_recipe("default", sample_rate_hz=2_000, chunk_seconds=1.0)
    assert (recipe.low_hz, recipe.high_hz, recipe.window_samples) == (6.25, 975.0, (500,))
    assert find_recipe("default", sample_rate_hz=2_000, low_hz=10.0).low_hz == 10.0


def test_a_band_that_was_chosen_is_kept_when_a_member_draws_in_another_way():
    chosen = find_recipe("default", sample_rate_hz=384_000, low_hz=15_000.0, high_hz=120_000.0)
    assert (redrawn(chosen, "linear").low_hz, redrawn(chosen, "linear").high_hz) == (15_000, 120_000)
    wide = find_recipe("default", sample_rate_hz=384_000)
    assert (redrawn(wide, "linear").low_hz, redrawn(wide, "linear").high_hz) == (0, 192_000)
    assert redrawn(wide, "log_mel_3").window_samples == (400, 1024, 2048)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"high_hz": 20_000.0}, r"^high_hz: expected half of sample_rate_hz at most, which is 8000 .*_hz 40000"),
        ({"low_hz": 3_000.0, "high_hz": 2_000.0}, r"^low_hz: expected at least 0 and below high_hz, which is 2000"),
        ({"high_hz": 0.0}, r"^high_hz: expected more than 0 Hz"),
        ({"sample_rate_hz": 0}, r"^--sample_rate_hz: expected 100 to 768000, received 0"),
        ({"sample_rate_hz": 100, "chunk_seconds": 0.2}, r"^chunk_seconds: expected at 100 samples a second 0.64"),
        ({"picture": "magnitude", "low_hz": 100.0}, r"^--low_hz: expected none with pictures drawn as magnitude"),
        ({"picture": "linear", "mel_bands": 64}, r"^--mel_bands: expected none with pictures drawn as linear"),
    ],
)
def test_a_band_that_cannot_be_drawn_is_refused_with_what_to_do(settings, message):
    with pytest.raises(InputError, match=message):
        PictureSettings(**settings)


def test_every_setting_of_pictures_reaches_the_recipe():
    settings = PictureSettings(
        sample_rate_hz=48_000, low_hz=500.0, high_hz=15_000.0, range_db=70.0, mel_bands=96, overlap=0.5
    )
    recipe = settings.chosen_recipe()
    for name in ("sample_rate_hz", "low_hz", "high_hz", "range_db", "mel_bands", "overlap"):
        assert getattr(recipe, name) == getattr(settings, name)


def test_an_unknown_drawing_lists_the_known():
    with pytest.raises(InputError, match=f"--picture: expected one of {', '.join(DRAWINGS)}, received 'oil'"):
        find_recipe("default", picture="oil")


def test_a_chunk_is_its_seconds_in_samples():
    assert find_recipe("default", chunk_seconds=2.0).chunk_samples == 32_000


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_says_in_one_line_what_it_is(name):
    assert 30 < len(RECIPES[name].summary) < 120
    assert all(line.endswith(".") for line in RECIPES[name].about.splitlines())


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_recipe_changes_are_options_of_retrain_within_their_ranges(name):
    options = train.recipe_defaults(train.RetrainOptions(recipe=name))
    flat = {**vars(options.backbone), **vars(options.head), **vars(options.holdout), **vars(options.whole)}
    assert {option: flat[option] for option in RECIPES[name].training} == RECIPES[name].training


def test_pictures_of_another_recipe_and_ordinary_ones_are_told_apart():
    check_drawn_by("cnvrg", find_recipe("cnvrg", chunk_seconds=2.0))
    check_drawn_by("cnvrg", None)
    with pytest.raises(InputError, match="drawn by simple_audio, received pictures drawn by default"):
        check_drawn_by("simple_audio", find_recipe("default"))
    with pytest.raises(InputError, match="simple_audio trains on pictures of sound, received ordinary pictures"):
        check_drawn_by("simple_audio", None)
