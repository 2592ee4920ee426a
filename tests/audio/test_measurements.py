"""What is measured of a chunk is what is in it."""

import json

import numpy as np
import pytest
import scipy.signal
from conftest import RATE_HZ, noise, tone, write_sound

from audionet.audio.chunks import Chunk
from audionet.audio.decoding import read_wav
from audionet.audio.measurements import (
    bandwidth_hz,
    chunk_level_dbfs,
    clipped_share,
    covered_seconds,
    digest,
    measure,
    measure_chunk,
    peaks_of,
)


def measured(samples: np.ndarray) -> dict:
    return measure(samples.astype(np.float32), sample_rate_hz=RATE_HZ)


def chunk(samples: np.ndarray, seconds: float) -> Chunk:
    return Chunk(index=3, offset_seconds=6.0, samples=samples, seconds=seconds, sample_rate_hz=RATE_HZ)


def test_a_full_scale_sine_has_a_level_of_minus_3_and_a_peak_of_0_dbfs():
    found = measured(tone(1000, level=1.0))
    assert found["level_dbfs"] == pytest.approx(-3.0, abs=0.05)
    assert found["peak_dbfs"] == pytest.approx(0.0, abs=0.05)


def test_the_level_of_a_chunk_is_that_in_its_statistics():
    short = chunk(np.tile(tone(1000, 0.5, level=0.1), 4), seconds=0.5)
    stats, level = measure_chunk(short)
    assert chunk_level_dbfs(short) == level == pytest.approx(stats["measures"]["level_dbfs"], abs=0.01)


def test_the_level_is_that_of_the_sound_between_pauses():
    with_pause = np.concatenate([tone(1000, 1.0), np.zeros(RATE_HZ)])
    assert measured(with_pause)["level_dbfs"] == pytest.approx(measured(tone(1000, 1.0))["level_dbfs"], abs=0.1)
    assert measured(with_pause)["silent_share"] == pytest.approx(0.5, abs=0.02)


def test_the_noise_floor_is_what_remains_in_a_pause():
    sound = noise(2.0, level=10 ** (-50 / 20))
    sound[:RATE_HZ] += tone(300, 1.0)
    assert measured(sound)["noise_floor_dbfs"] == pytest.approx(-50, abs=2)


@pytest.mark.parametrize("cutoff_hz", [1000, 3000, 6000])
def test_bandwidth_ends_where_the_sound_does(cutoff_hz):
    filtered = scipy.signal.sosfiltfilt(scipy.signal.butter(20, cutoff_hz, fs=RATE_HZ, output="sos"), noise(2.0))
    assert bandwidth_hz(filtered.astype(np.float32), sample_rate_hz=RATE_HZ) == pytest.approx(cutoff_hz, rel=0.2)


def test_white_noise_has_the_whole_bandwidth():
    assert bandwidth_hz(noise(1.0), sample_rate_hz=RATE_HZ) == RATE_HZ / 2


def test_a_sound_that_reaches_full_scale_is_not_yet_clipped():
    assert clipped_share(tone(200, level=1.0)) < 0.02
    assert clipped_share(noise(1.0)) == 0


@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_clipping_is_seen_even_if_it_was_turned_down_afterwards(gain):
    clipped = gain * np.clip(2 * tone(200, level=1.0), -1, 1)
    assert clipped_share(clipped.astype(np.float32)) == pytest.approx(2 / 3, abs=0.05)


@pytest.mark.parametrize("samples", [np.zeros(32_000), np.zeros(1), np.ones(2), np.full(400, 0.5)])
def test_every_measure_of_odd_sounds_is_a_finite_number(samples):
    assert all(np.isfinite(value) for value in measured(samples).values())


def test_a_digest_is_of_the_sound_and_not_of_its_file(tmp_path):
    steps = (tone(440) * 32_767).astype(np.int16)
    wav, flac = (write_sound(tmp_path / f"tone.{kind}", steps) for kind in ("wav", "flac"))
    assert digest(read_wav(wav)) == digest(read_wav(flac))
    assert digest(tone(440)) != digest(tone(441))


def test_statistics_leave_out_what_fills_a_chunk():
    short = noise(0.5)
    filled = np.resize(short, 2 * RATE_HZ)
    assert measure_chunk(chunk(filled, 0.5)) == measure_chunk(chunk(short, 0.5))


def test_statistics_are_json_of_half_a_kilobyte_that_gives_the_peaks_back():
    stats = json.loads(json.dumps(measure_chunk(chunk(noise(2.0), 2.0))[0]))
    assert len(json.dumps(stats)) < 1000
    assert stats["offset_seconds"] == 6.0
    assert peaks_of(stats).shape[1] == 2 and len(peaks_of(stats)) > 10


def test_sound_that_chunks_share_counts_once():
    overlapping = [{"offset_seconds": start, "measures": {"seconds": 2.0}} for start in (0.0, 1.0, 2.0, 10.0)]
    assert covered_seconds(overlapping) == 6.0
