"""Power spectra of a few frames at a time are those of all frames at once."""

import numpy as np
import pytest
from conftest import noise

from audionet.audio.spectra import power_blocks

WINDOW = np.hanning(400).astype(np.float32)


@pytest.mark.parametrize(("fft_samples", "at_once"), [(400, 7), (512, 32), (512, 1000)])
def test_blocks_of_frames_add_up_to_the_transform_of_each_frame(fft_samples, at_once):
    samples = noise(1.0).astype(np.float32)
    starts = np.arange(0, len(samples) - len(WINDOW) + 1, 160)
    blocks = list(power_blocks(samples, WINDOW, starts, fft_samples=fft_samples, at_once=at_once))
    assert max(map(len, blocks)) <= at_once
    expected = [np.abs(np.fft.rfft(samples[start : start + 400] * WINDOW, fft_samples)) ** 2 for start in starts]
    np.testing.assert_allclose(np.concatenate(blocks), expected, rtol=1e-3, atol=1e-5 * np.max(expected))
