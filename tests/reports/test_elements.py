"""Sounds and tables as a page holds them."""

import pytest
from conftest import RATE_HZ, tone

from audionet.reports.elements import sound_uri, table, unbroken


@pytest.mark.parametrize("rate_hz", [1000, 8000, 11_000, 16_000, 96_000])
def test_sound_of_any_rate_is_cut_and_packed_as_mp3(rate_hz):
    uri = sound_uri(tone(200, 30.0, rate_hz=rate_hz), rate_hz)
    assert uri.startswith("data:audio/mpeg;base64,")
    assert len(uri) < 200_000


def test_without_an_mp3_encoder_there_is_wav(monkeypatch):
    monkeypatch.setattr("soundfile.available_formats", lambda: {})
    assert sound_uri(tone(200), RATE_HZ).startswith("data:audio/wav;base64,")


def test_a_table_longer_than_anybody_reads_is_cut_and_says_so():
    cut = table("Rows", ("A",), [(str(row),) for row in range(5000)])
    assert len(cut.rows) == 2000 and cut.caption == "Rows: the first 2000 of 5000"


def test_an_option_with_its_value_stays_on_one_line_and_nothing_else_becomes_html():
    text = unbroken("<b> by: audionet train --folds 5. Or --negatives FOLDER, --exclude_training -- so")
    assert str(text) == (
        '&lt;b&gt; by: audionet train <span class="unbroken">--folds 5</span>. Or '
        '<span class="unbroken">--negatives FOLDER</span>, <span class="unbroken">--exclude_training</span> -- so'
    )
