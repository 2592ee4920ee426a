"""Which channel of a recording is heard."""

import io
import shutil
import sys

import numpy as np
import pytest
import soundfile
from conftest import RATE_HZ, needs_sox, tone, write_sound

from audionet.audio import decoding
from audionet.audio.decoding import STDIN, count_channels, read_blocks
from audionet.errors import RecordingError
from audionet.features.extraction import chunks_by_recipe
from audionet.features.recipes import find_recipe

PITCHES = (300, 900, 2_000)

decoders = pytest.mark.parametrize(
    "decoder",
    [
        "_decode_sndfile",
        pytest.param("_decode_sox", marks=needs_sox),
        pytest.param("_decode_ffmpeg", marks=pytest.mark.skipif(not shutil.which("ffmpeg"), reason="no ffmpeg here")),
    ],
)


@pytest.fixture
def three(tmp_path):
    """A recording of three tones, one in each channel, the second the loudest."""
    levels = (0.2, 0.6, 0.1)
    tones = [tone(pitch, 2.0, level=level) for pitch, level in zip(PITCHES, levels, strict=True)]
    return write_sound(tmp_path / "three.wav", np.stack(tones, axis=1))


def pitches_of(samples: np.ndarray) -> set[int]:
    """Return which of the three tones are heard."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    bins = [round(pitch * len(samples) / RATE_HZ) for pitch in PITCHES]
    return {pitch for pitch, place in zip(PITCHES, bins, strict=True) if spectrum[place] > 0.05 * spectrum.max()}


def heard(path, channel: str) -> set[int]:
    return pitches_of(np.concatenate(list(read_blocks(path, sample_rate_hz=RATE_HZ, channel=channel))))


@decoders
@pytest.mark.parametrize(
    ("channel", "pitches"),
    [("mean", set(PITCHES)), ("left", {300}), ("right", {900}), ("3", {2_000}), ("loudest", {900})],
)
def test_every_decoder_gives_the_channel_that_is_asked_for(three, monkeypatch, decoder, channel, pitches):
    monkeypatch.setattr(decoding, "_decoders", lambda *_: [getattr(decoding, decoder)])
    assert heard(three, channel) == pitches


@decoders
def test_a_channel_that_a_file_lacks_is_named(tmp_path, monkeypatch, decoder):
    monkeypatch.setattr(decoding, "_decoders", lambda *_: [getattr(decoding, decoder)])
    path = write_sound(tmp_path / "one.wav", tone(300))
    with pytest.raises(RecordingError, match=r"one.wav has 1 channel, and channel 2 is asked for. Choose another"):
        heard(path, "right")
    assert heard(path, "left") == {300}


@needs_sox
def test_effects_are_those_of_the_channel_alone(three):
    blocks = read_blocks(three, sample_rate_hz=RATE_HZ, effects="norm -6", channel="3")
    samples = np.concatenate(list(blocks))
    assert pitches_of(samples) == {2_000}
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_channels_are_counted_in_any_format(tmp_path, suffix):
    stereo = np.stack([tone(300), tone(900)], axis=1)
    assert count_channels(write_sound(tmp_path / f"a{suffix}", stereo)) == 2


def test_each_channel_gives_chunks_with_numbers_of_their_own_and_silent_ones_none(tmp_path):
    silence = np.zeros(3 * RATE_HZ, np.float32)
    path = write_sound(tmp_path / "a.wav", np.stack([tone(300, 3.0), silence, tone(900, 3.0)], axis=1))
    chunks = list(chunks_by_recipe(path, find_recipe("default", chunk_seconds=1.0, channel="each")))
    assert [chunk.index for chunk in chunks] == [0, 1, 2, 3, 4, 5]
    assert [chunk.offset_seconds for chunk in chunks] == [0, 1, 2, 0, 1, 2]
    assert [pitches_of(chunk.samples) for chunk in chunks] == 3 * [{300}] + 3 * [{900}]


def test_a_recording_of_which_every_channel_is_silent_is_refused_once(tmp_path):
    path = write_sound(tmp_path / "a.wav", np.zeros((RATE_HZ, 2), np.float32))
    with pytest.raises(RecordingError, match=r"a\.wav is silent"):
        list(chunks_by_recipe(path, find_recipe("default", channel="each")))


def test_standard_input_takes_a_channel_but_cannot_tell_the_loudest(three, monkeypatch):
    with three.open("rb") as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        assert heard(STDIN, "right") == {900}
    with pytest.raises(RecordingError, match="the loudest cannot be told before all of it was heard"):
        heard(STDIN, "loudest")


def test_a_number_of_samples_that_are_none_does_not_reach_other_channels(tmp_path):
    samples = np.stack([np.full(RATE_HZ, np.nan, np.float32), tone(900)], axis=1)
    soundfile.write(tmp_path / "a.wav", samples, RATE_HZ, subtype="FLOAT")
    assert heard(tmp_path / "a.wav", "right") == {900}
    assert heard(tmp_path / "a.wav", "loudest") == {900}
