import json

import pytest
from conftest import SPEAKERS, write_speakers

from audionet.errors import InputError
from benchmarks import speaker_counting
from benchmarks.options import DiarizationOptions
from benchmarks.speaker_counting import result_table, sentence


def test_each_number_of_speakers_has_a_row_with_what_was_counted():
    measured = [
        {"speakers": 2, "voices": ["a", "b"], "counted": counted, "error": error, "confusion": 0.0, "error_given": 0.01}
        for counted, error in ((2, 0.02), (3, 0.04))
    ]
    measured.append({**measured[0], "speakers": 4, "voices": list("abcd"), "counted": 4})
    headings, rows = result_table(measured)
    assert rows == [
        ["2", "2 of 2, 3 of 2", "3.0% (4.0%)", "0.0% (0.0%)", "1.0% (1.0%)"],
        ["4", "4 of 4", "2.0% (2.0%)", "0.0% (0.0%)", "1.0% (1.0%)"],
    ]
    assert all(len(row) == len(headings) for row in rows)


def test_each_conversation_is_told_as_it_is_measured():
    one = {"voices": ["a", "b"], "counted": 3, "error": 0.034, "error_given": 0.01}
    assert sentence(one) == "2 voices: 3 counted, 3.4% of the time wrong; 1.0% where their number was given."


@pytest.mark.parametrize("wrong", ["1", "2,,4", "0", "two", "2, 4", "-3", "1000"])
def test_numbers_of_speakers_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError, match="--speakers: expected numbers from 2 to 999"):
        DiarizationOptions(speakers=wrong)


def test_a_folder_to_train_on_needs_speakers_to_find(tmp_path):
    with pytest.raises(InputError, match="--train_dir goes with --speakers"):
        DiarizationOptions(train_dir=tmp_path)


def test_some_voices_must_be_left_to_train_on(tmp_path):
    pytest.importorskip("pyannote.metrics", reason="pyannote.metrics is not installed")
    audio_dir = write_speakers(tmp_path / "voices", recordings=1)
    options = DiarizationOptions(audio_dir=audio_dir, output_dir=tmp_path / "out", speakers="2", seconds=60)
    with pytest.raises(InputError, match="--speakers: expected 0 at most of 3 labels, received 2"):
        speaker_counting.run(options)


@pytest.mark.slow
def test_the_whole_way_on_voices_held_out(tmp_path, capsys):
    pytest.importorskip("pyannote.metrics", reason="pyannote.metrics is not installed")
    audio_dir = write_speakers(tmp_path / "voices", recordings=3, seconds=12.0)
    others = write_speakers(tmp_path / "others", recordings=3, seconds=6.0)
    options = DiarizationOptions(
        audio_dir=audio_dir, train_dir=others, output_dir=tmp_path / "out", speakers="2,3", seconds=60, draws=1
    )
    assert speaker_counting.run(options) == 0
    shown = capsys.readouterr().out
    assert "error, their number given" in shown
    (two, three) = json.loads((tmp_path / "out" / "voices" / "speakers.json").read_text())["conversations"]
    assert (two["speakers"], three["speakers"]) == (2, 3)
    assert set(three["voices"]) <= set(SPEAKERS) and two["error_given"] < 0.5
