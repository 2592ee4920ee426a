import numpy as np
import pytest
from conftest import tone, write_sound

from audionet.audio.source_band import band_sentences, source_band


def test_sound_above_the_band_is_found_and_an_option_named_that_draws_it(tmp_path):
    whistle = tone(12_000, rate_hz=48_000) + tone(500, rate_hz=48_000, level=0.3)
    band = source_band(write_sound(tmp_path / "a.wav", whistle, 48_000), low_hz=50, high_hz=7_800)
    assert band["reach_hz"] == pytest.approx(12_000, rel=0.01)
    (sentence,) = band_sentences({"wren/a.wav": band})
    assert "Pictures end at 7.8 kHz, and 1 of 1 recording hold sound above, up to 12 kHz in wren/a.wav" in sentence
    assert sentence.endswith("--sample_rate_hz 48000.")


def test_a_band_that_holds_what_there_is_raises_no_sentence(tmp_path):
    path = write_sound(tmp_path / "a.wav", tone(3_000, rate_hz=44_100), 44_100)
    assert band_sentences({"a": source_band(path, low_hz=50, high_hz=7_800)}) == []


def test_recordings_that_were_sampled_lower_are_named_with_the_band_they_hold(tmp_path):
    path = write_sound(tmp_path / "a.wav", tone(300, rate_hz=8_000), 8_000)
    (sentence,) = band_sentences({"line/a.wav": source_band(path, low_hz=50, high_hz=7_800)})
    assert "line/a.wav 8000 times a second" in sentence and "--high_hz 4000" in sentence


def test_sound_below_a_band_that_begins_high_is_found(tmp_path):
    path = write_sound(tmp_path / "a.wav", tone(300, rate_hz=48_000), 48_000)
    (sentence,) = band_sentences({"a.wav": source_band(path, low_hz=5_000, high_hz=20_000)})
    assert sentence.startswith("Pictures begin at 5 kHz, and most of the sound of 1 of 1 recording lies below, 100%")


def test_a_file_that_no_header_describes_says_nothing(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF no sound")
    assert source_band(path, low_hz=50, high_hz=7_800) == {}
    silence = write_sound(tmp_path / "b.wav", np.zeros(48_000, np.float32), 48_000)
    assert band_sentences({"b": source_band(silence, low_hz=50, high_hz=7_800)}) == []
