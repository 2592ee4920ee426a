import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from conftest import IRREGULAR, RATE_HZ, irregular_file, tone, voice, write_sound
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from audionet.audio.decoding import read_wav
from audionet.audio.writing import Piece, cut_out, write_wav
from audionet.errors import RecordingError


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


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "m4a"])
def test_pieces_hold_the_very_sound_between_their_times(tmp_path, suffix):
    sound = np.concatenate([np.full(RATE_HZ, level, np.float32) for level in (0.1, 0.3, 0.5, 0.7)])
    sound *= np.sign(np.sin(np.arange(len(sound)) * 0.2))  # a level alone would not get through mp3
    wav = write_sound(tmp_path / "a.wav", sound)
    clip = tmp_path / f"a.{suffix}"
    if suffix == "m4a":
        if shutil.which("ffmpeg") is None:
            pytest.skip("FFmpeg is not installed")
        subprocess.run(["ffmpeg", "-v", "error", "-i", wav, clip], check=True)
    elif suffix != "wav":
        write_sound(clip, sound)
    pieces = [Piece(n + 0.2, n + 0.8, tmp_path / f"{n}.wav") for n in range(4) if n != 1]
    cut_out(clip, pieces)
    for piece, level in zip(pieces, (0.1, 0.5, 0.7), strict=True):
        samples, rate_hz = soundfile.read(piece.path)
        assert rate_hz == RATE_HZ and len(samples) == pytest.approx(0.6 * RATE_HZ, abs=2)
        assert np.sqrt(np.square(samples).mean()) == pytest.approx(level, rel=0.1)


def test_neighbouring_pieces_are_cut_where_they_touch(tmp_path):
    clip = write_sound(tmp_path / "a.mp3", voice("bob", seed=1, seconds=3))
    pieces = [Piece(start, start + 1, tmp_path / f"{start}.wav") for start in range(3)]
    cut_out(clip, pieces)
    assert [soundfile.info(piece.path).frames for piece in pieces[:2]] == [RATE_HZ] * 2


def test_what_cannot_be_decoded_cannot_be_cut(tmp_path):
    (tmp_path / "a.mp3").write_text("no sound")
    with pytest.raises(RecordingError, match=r"a\.mp3 cannot be cut"):
        cut_out(tmp_path / "a.mp3", [Piece(0, 1, tmp_path / "b.wav")])


@pytest.mark.parametrize("kind", IRREGULAR)
@pytest.mark.parametrize("suffix", ["wav", "mp3"])
def test_nothing_is_cut_out_of_what_is_no_regular_file(tmp_path, without_sox, suffix, kind):
    path = irregular_file(tmp_path / f"a.{suffix}", kind)
    with pytest.raises(RecordingError, match=f"cannot be cut: .*it is a {kind}"):
        cut_out(path, [Piece(0.0, 1.0, tmp_path / "piece.wav")])
