import numpy as np
from conftest import tone, write_sound

from audionet.features.recipes import find_recipe
from audionet.inference.timelines.timeline_plot import long_spectrogram


def test_a_long_spectrogram_has_columns_of_equal_length_and_the_tone_in_its_place(tmp_path):
    clip = write_sound(tmp_path / "a.wav", np.concatenate([tone(300, 2.0), tone(3000, 1.3)]))
    levels = long_spectrogram(clip, find_recipe("default"), column_seconds=0.0333)
    assert levels.shape[1] == 100 and levels.max() == 0
    low, high = levels[:, 10].argmax(), levels[:, 80].argmax()
    assert np.all(levels[:, 1:59].argmax(axis=0) == low) and np.all(levels[:, 62:98].argmax(axis=0) == high)
    assert low < high
