import shutil

import numpy as np
import pytest

from audionet.errors import InputError
from audionet.files import read_mark
from benchmarks import synthetic_speech
from benchmarks.synthetic_speech import WORDS, speak_words

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="the espeak-ng program is not installed")


@needs_espeak
def test_words_are_spoken_by_speakers_with_names_of_their_own(tmp_path):
    speak_words(tmp_path / "words", speakers=2, takes=2)
    clips = sorted((tmp_path / "words").glob("*/*.wav"))
    assert {clip.parent.name for clip in clips} == set(WORDS)
    assert len(clips) == len(WORDS) * 4
    assert len({clip.name.partition("_nohash_")[0] for clip in clips}) == 2
    assert read_mark(tmp_path / "words")["kind"] == "words"


@needs_espeak
def test_words_last_a_second_and_no_two_takes_are_the_same():
    one, other = (synthetic_speech.spoken(synthetic_speech._Utterance("yes", "f2", take, 0)) for take in (0, 1))
    assert one.shape == other.shape == (16_000,)
    assert not np.array_equal(one, other)
    assert np.array_equal(one, synthetic_speech.spoken(synthetic_speech._Utterance("yes", "f2", 0, 0)))
    assert 0.05 < np.abs(one).max() < 1


def test_without_espeak_it_is_said_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="apt-get install espeak-ng"):
        speak_words(tmp_path / "words", speakers=1, takes=1)
