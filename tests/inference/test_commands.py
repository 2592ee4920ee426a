"""Timelines from the command line, with a small network."""

import csv
import importlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import RATE_HZ, SCRIPTS, names_below, run_python, voice, write_sound
from PIL import Image

from audionet.audio import decoding
from audionet.audio.sox_ffmpeg import changes_time
from audionet.audio.writing import Piece, cut_out
from audionet.features.recipes import find_recipe
from audionet.inference.label_files import read_rttm
from audionet.inference.timeline_plot import clock, long_spectrogram


@pytest.fixture
def label(saved_trusting):
    def label(*arguments: object) -> int:
        model = ["--model", str(saved_trusting)]
        return importlib.import_module("label_image").main([*model, *map(str, arguments)])

    return label


@pytest.fixture(scope="module")
def dialogue(tmp_path_factory) -> Path:
    """Six seconds of alice, then six of bob, at another rate and in two channels."""
    import soxr

    sound = np.concatenate([voice("alice", seed=1, seconds=6), voice("bob", seed=2, seconds=6)])
    there = soxr.resample(sound, RATE_HZ, 44_100)
    return write_sound(tmp_path_factory.mktemp("dialogue") / "talk.mp3", np.stack([there, 0.5 * there], 1), 44_100)


def test_every_file_of_a_timeline_is_written(label, dialogue, tmp_path, capsys):
    assert label(dialogue, "--timeline_dir", tmp_path / "out") == 0
    shown = capsys.readouterr().out
    assert "alice" in shown and "0:00.0" in shown
    suffixes = (".txt", ".selections.txt", ".rttm", ".srt", ".png")
    assert names_below(tmp_path / "out") == {f"talk{suffix}" for suffix in suffixes}
    spans = list(read_rttm((tmp_path / "out" / "talk.rttm").read_text()))
    assert [span.label for span in spans] == ["alice", "bob"]
    assert spans[1].start_seconds == pytest.approx(6, abs=0.5)
    with Image.open(tmp_path / "out" / "talk.png") as picture:
        assert picture.width > 1000 and np.asarray(picture).std() > 10


def test_clips_are_cut_out_of_the_original_sound(label, dialogue, tmp_path):
    assert label(dialogue, "--export_clips", tmp_path / "clips", "--above", 0.3) == 0
    clips = sorted(names_below(tmp_path / "clips"))
    assert [name.split("_")[0] for name in clips] == ["alice/talk", "bob/talk"]
    kept = [soundfile.info(tmp_path / "clips" / name) for name in clips]
    assert {(form.samplerate, form.channels) for form in kept} == {(44_100, 2)}
    assert sum(form.duration for form in kept) == pytest.approx(12, abs=0.2)


def test_no_clip_is_cut_out_below_the_score(label, dialogue, tmp_path):
    assert label(dialogue, "--export_clips", tmp_path / "clips", "--above", 1.0, "--hop", 1) == 0
    assert not (tmp_path / "clips").exists()


def test_spans_go_to_a_table_and_a_second_run_goes_on_with_it(label, dialogue, tmp_path, capsys):
    other = shutil.copy(dialogue, tmp_path / "other.mp3")
    (tmp_path / "a.jpg").touch()
    output = tmp_path / "spans.csv"
    assert label(dialogue, tmp_path / "a.jpg", "--timeline", "--output", output) == 1
    assert "a.jpg is no recording; a timeline takes recordings" in capsys.readouterr().err
    assert label(dialogue, other, "--timeline", "--output", output, "--resume") == 0
    with open(output, newline="") as text:
        rows = list(csv.DictReader(text))
    assert [(row["file"], row["kind"], row["label"]) for row in rows] == [
        (str(clip), "known", name) for clip in (dialogue, other) for name in ("alice", "bob")
    ]
    assert len({row["model"] for row in rows}) == 1 and all(row["model"] for row in rows)


def test_spans_are_printed_as_json(label, dialogue, capsys):
    assert label(dialogue, "--timeline", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["label"] for line in lines] == ["alice", "bob"]
    assert lines[0]["start_seconds"] == 0


def test_recordings_of_one_name_do_not_write_over_each_other(label, dialogue, tmp_path):
    (tmp_path / "sub").mkdir()
    clips = [shutil.copy(dialogue, tmp_path / "sub"), dialogue]
    assert label(*clips, "--timeline_dir", tmp_path / "out", "--formats", "rttm") == 0
    assert len(names_below(tmp_path / "out")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--timeline", "--hop", "0"], "--hop: expected 0.05 s or more"),
        (["--timeline", "--min_seconds", "-1"], "--min_seconds: expected 0 or more"),
        (["--timeline", "--above", "2"], "--above: expected 0 to 1"),
        (["--timeline", "--graph", "a", "--labels", "b"], "--graph gives answers alone"),
    ],
)
def test_a_timeline_that_cannot_work_is_refused(capsys, arguments, message):
    assert importlib.import_module("label_image").main(["a.mp3", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_sound_that_came_by_stdin_makes_a_timeline_but_no_clips(saved_trusting, tmp_path, dialogue):
    samples, rate_hz = soundfile.read(dialogue)
    write_sound(tmp_path / "talk.wav", samples, rate_hz)
    script = SCRIPTS / "label_image.py"
    common = (script, "--model", saved_trusting, "-", "--timeline_dir", tmp_path / "out", "--formats", "srt")
    with open(tmp_path / "talk.wav") as sent:
        done = run_python(*common, stdin=sent)
    assert done.returncode == 0, done.stderr
    assert names_below(tmp_path / "out") == {"stdin.srt"}
    with open(tmp_path / "talk.wav") as sent:
        done = run_python(*common, "--export_clips", tmp_path / "clips", stdin=sent)
    assert (done.returncode, "clips cannot be cut out" in done.stderr) == (1, True)


# Cutting


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
    with pytest.raises(decoding.RecordingError, match=r"a\.mp3 cannot be cut"):
        cut_out(tmp_path / "a.mp3", [Piece(0, 1, tmp_path / "b.wav")])


# The picture


def test_a_long_spectrogram_has_columns_of_equal_length_and_the_tone_in_its_place(tmp_path):
    from conftest import tone

    clip = write_sound(tmp_path / "a.wav", np.concatenate([tone(300, 2.0), tone(3000, 1.3)]))
    levels = long_spectrogram(clip, find_recipe("default"), column_seconds=0.0333)
    assert levels.shape[1] == 100 and levels.max() == 0
    low, high = levels[:, 10].argmax(), levels[:, 80].argmax()
    assert np.all(levels[:, 1:59].argmax(axis=0) == low) and np.all(levels[:, 62:98].argmax(axis=0) == high)
    assert low < high


@pytest.mark.parametrize(("seconds", "shown"), [(7, "0:07"), (750.4, "12:30"), (3723, "1:02:03"), (59.96, "1:00")])
def test_a_clock_shows_minutes_and_hours(seconds, shown):
    assert clock(seconds) == shown


@pytest.mark.parametrize(("effects", "moves"), [("", False), ("norm -3", False), ("norm -3 silence 1 0.1 1%", True)])
def test_effects_that_move_sounds_are_known(effects, moves):
    assert changes_time(effects) is moves
