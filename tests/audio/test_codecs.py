import numpy as np
import pytest
from conftest import RATE_HZ, babbling, tone

from audionet.audio import codecs, effects
from audionet.audio.codecs import CODECS, Codec, missing_codecs, through_codec


@pytest.mark.parametrize("codec", CODECS)
class TestEveryCodec:
    @pytest.fixture(autouse=True)
    def need(self, codec):
        if codec in missing_codecs():
            pytest.skip(missing_codecs()[codec])

    @pytest.mark.parametrize("seconds", [0.3, 1.0, 2.0])
    def test_keeps_length_and_place(self, codec, seconds):
        samples = babbling(count=round(seconds * RATE_HZ))
        samples = effects.telephone_band(samples, sample_rate_hz=RATE_HZ)
        coded = through_codec(samples, sample_rate_hz=RATE_HZ, codec=codec)
        assert len(coded) == len(samples)
        lags = np.fft.irfft(np.fft.rfft(coded, 2 * len(samples)) * np.fft.rfft(samples, 2 * len(samples)).conj())
        assert abs((lags.argmax() + len(samples)) % (2 * len(samples)) - len(samples)) <= 2

    def test_does_not_clip_what_is_loud(self, codec):
        coded = through_codec(tone(500, level=3.0), sample_rate_hz=RATE_HZ, codec=codec)
        assert 0.5 < np.abs(coded[RATE_HZ // 4 : -RATE_HZ // 4]).max() < 1.2

    def test_changes_something(self, codec):
        samples = babbling()
        assert not np.array_equal(through_codec(samples, sample_rate_hz=RATE_HZ, codec=codec), samples)


def test_a_codec_that_is_missing_is_named_with_its_reason(monkeypatch):
    made_up = Codec("of the future", 8_000, "WAV", "TELEPATHY")
    monkeypatch.setattr(codecs, "CODECS", {"telepathy": made_up})
    missing_codecs.cache_clear()
    try:
        assert "libsndfile" in missing_codecs()["telepathy"]
    finally:
        missing_codecs.cache_clear()
