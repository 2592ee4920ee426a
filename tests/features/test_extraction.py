import numpy as np
import pytest
from conftest import RATE_HZ, tone, write_sound

from audionet.features.extraction import chunks_by_recipe
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
