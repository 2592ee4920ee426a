import csv
import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import RATE_HZ, SCRIPTS, names_below, run_python, voice, write_sound
from PIL import Image
from rttm_reader import read_rttm


@pytest.fixture
def timeline(saved_trusting):
    def timeline(*arguments: object) -> int:
        model = ["--model", str(saved_trusting)]
        return importlib.import_module("timeline").main([*model, *map(str, arguments)])

    return timeline


@pytest.fixture(scope="module")
def dialogue(tmp_path_factory) -> Path:
    """Six seconds of alice, then six of bob, at another rate and in two channels."""
    import soxr

    sound = np.concatenate([voice("alice", seed=1, seconds=6), voice("bob", seed=2, seconds=6)])
    there = soxr.resample(sound, RATE_HZ, 44_100)
    return write_sound(tmp_path_factory.mktemp("dialogue") / "talk.mp3", np.stack([there, 0.5 * there], 1), 44_100)


def test_every_file_of_a_timeline_is_written(timeline, dialogue, tmp_path, capsys):
    assert timeline(dialogue, "--timeline_dir", tmp_path / "out") == 0
    shown = capsys.readouterr().out
    assert "alice" in shown and "0:00.0" in shown
    suffixes = (".txt", ".selections.txt", ".rttm", ".srt", ".png")
    assert names_below(tmp_path / "out") == {f"talk{suffix}" for suffix in suffixes}
    spans = list(read_rttm((tmp_path / "out" / "talk.rttm").read_text()))
    assert [span.label for span in spans] == ["alice", "bob"]
    assert spans[1].start_seconds == pytest.approx(6, abs=0.5)
    with Image.open(tmp_path / "out" / "talk.png") as picture:
        assert picture.width > 1000 and np.asarray(picture).std() > 10


def test_clips_are_cut_out_of_the_original_sound(timeline, dialogue, tmp_path):
    assert timeline(dialogue, "--export_clips", tmp_path / "clips", "--above", 0.3) == 0
    clips = sorted(names_below(tmp_path / "clips"))
    assert [name.split("_")[0] for name in clips] == ["alice/talk", "bob/talk"]
    kept = [soundfile.info(tmp_path / "clips" / name) for name in clips]
    assert {(form.samplerate, form.channels) for form in kept} == {(44_100, 2)}
    assert sum(form.duration for form in kept) == pytest.approx(12, abs=0.2)


def test_no_clip_is_cut_out_below_the_score(timeline, dialogue, tmp_path):
    assert timeline(dialogue, "--export_clips", tmp_path / "clips", "--above", 1.0, "--hop", 1) == 0
    assert not (tmp_path / "clips").exists()


def test_spans_go_to_a_table_and_a_second_run_goes_on_with_it(timeline, dialogue, tmp_path, capsys):
    other = shutil.copy(dialogue, tmp_path / "other.mp3")
    (tmp_path / "a.jpg").touch()
    output = tmp_path / "spans.csv"
    assert timeline(dialogue, tmp_path / "a.jpg", "--output", output) == 1
    assert "a.jpg is no recording; a timeline takes recordings" in capsys.readouterr().err
    assert timeline(dialogue, other, "--output", output, "--resume") == 0
    with open(output, newline="") as text:
        rows = list(csv.DictReader(text))
    assert [(row["file"], row["kind"], row["label"]) for row in rows] == [
        (str(clip), "known", name) for clip in (dialogue, other) for name in ("alice", "bob")
    ]
    assert len({row["model"] for row in rows}) == 1 and all(row["model"] for row in rows)


def test_spans_are_printed_as_json(timeline, dialogue, capsys):
    assert timeline(dialogue, "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["label"] for line in lines] == ["alice", "bob"]
    assert lines[0]["start_seconds"] == 0


def test_recordings_of_one_name_do_not_write_over_each_other(timeline, dialogue, tmp_path):
    (tmp_path / "sub").mkdir()
    clips = [shutil.copy(dialogue, tmp_path / "sub"), dialogue]
    assert timeline(*clips, "--timeline_dir", tmp_path / "out", "--formats", "rttm") == 0
    assert len(names_below(tmp_path / "out")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hop", "0"], "--hop: expected 0.05 to 600"),
        (["--min_seconds", "-1"], "--min_seconds: expected 0 to 86400"),
        (["--above", "2"], "--above: expected 0 to 1"),
        (["--formats"], "--formats: expected one at least"),
    ],
)
def test_a_timeline_that_cannot_work_is_refused(capsys, arguments, message):
    assert importlib.import_module("timeline").main(["a.mp3", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_sound_that_came_by_stdin_makes_a_timeline_but_no_clips(saved_trusting, tmp_path, dialogue):
    samples, rate_hz = soundfile.read(dialogue)
    write_sound(tmp_path / "talk.wav", samples, rate_hz)
    script = SCRIPTS / "timeline.py"
    common = (script, "--model", saved_trusting, "-", "--timeline_dir", tmp_path / "out", "--formats", "srt")
    with open(tmp_path / "talk.wav") as sent:
        done = run_python(*common, stdin=sent)
    assert done.returncode == 0, done.stderr
    assert names_below(tmp_path / "out") == {"stdin.srt"}
    with open(tmp_path / "talk.wav") as sent:
        done = run_python(*common, "--export_clips", tmp_path / "clips", stdin=sent)
    assert (done.returncode, "clips cannot be cut out" in done.stderr) == (1, True)
