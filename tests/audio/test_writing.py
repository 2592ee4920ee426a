import numpy as np
import soundfile
from conftest import RATE_HZ, tone
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from audionet.audio.decoding import read_wav
from audionet.audio.writing import write_wav


def test_a_wav_that_we_write_is_read_back(tmp_path):
    write_wav(tmp_path / "a.wav", tone(1000), sample_rate_hz=RATE_HZ)
    assert np.abs(read_wav(tmp_path / "a.wav") - tone(1000)).max() < 1e-4


@given(samples=arrays(np.float32, st.integers(1, 50), elements=st.floats(-1.5, 1.5, width=32)))
def test_a_wav_holds_the_nearest_of_16_bits_and_clips_beyond(tmp_path_factory, samples):
    path = tmp_path_factory.mktemp("wav") / "a.wav"
    write_wav(path, samples, sample_rate_hz=RATE_HZ)
    kept, rate_hz = soundfile.read(path, dtype="float32")
    assert rate_hz == RATE_HZ
    assert np.abs(kept - np.clip(samples, -1, 32_767 / 32_768)).max() <= 0.5 / 32_768
