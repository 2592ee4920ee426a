import numpy as np
import pytest
from conftest import RATE_HZ, tone, write_sound

from audionet.features.extraction import chunks_by_recipe, heard_share
from audionet.features.recipes import find_recipe


def test_a_recipe_may_fill_with_silence_and_crop(tmp_path):
    path = write_sound(tmp_path / "word.wav", tone(440, 1.3))
    recipe = find_recipe("default", chunk_seconds=1.0, long_clips="crop")
    (cropped,) = chunks_by_recipe(path, recipe)
    assert (cropped.offset_seconds, cropped.seconds) == (0.0, 1.0)
    (padded,) = chunks_by_recipe(path, find_recipe("default", padding="zeros"))
    assert padded.seconds == pytest.approx(1.3)
    assert np.abs(padded.samples[: int(1.3 * RATE_HZ)]).max() > 0.4
    assert not padded.samples[int(1.3 * RATE_HZ) :].any()


def test_chunks_overlap_by_the_share_that_the_recipe_names(tmp_path):
    path = write_sound(tmp_path / "long.wav", tone(440, 4.0))
    recipe = find_recipe("default", chunk_seconds=2.0, overlap=0.75)
    assert [chunk.offset_seconds for chunk in chunks_by_recipe(path, recipe)] == [0, 0.5, 1, 1.5, 2, 2.5, 3]


@pytest.mark.parametrize(
    ("band", "share"),
    [
        ({}, 1.0),
        ({"sample_rate_hz": 48_000}, 0.34),
        ({"sample_rate_hz": 384_000, "low_hz": 15_000.0}, 0.0),
        ({"sample_rate_hz": 2_000}, 0.12),
    ],
)
def test_what_a_network_that_listens_shares_with_pictures_depends_on_the_band(band, share):
    assert heard_share(find_recipe("default", **band), sample_rate_hz=16_000) == pytest.approx(share, abs=0.04)
