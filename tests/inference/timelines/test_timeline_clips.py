import csv
import dataclasses
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

from audionet.files import whole_folder


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
        (["--speakers", "0"], "--speakers: expected 1 to 1000"),
        (["--speakers", "-2"], "--speakers: expected 1 to 1000"),
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


# Speakers without names


@pytest.fixture
def telling(model):
    """Run the command with a classifier that compares sounds by how loud each frequency is, and knows nobody."""
    from audionet.models.classifier import Classifier
    from audionet.models.similarity import Similarity

    classifier = Classifier.load(model)
    size = classifier.members[0].dimension
    clips = [write_sound(model.parent / f"{name}.wav", voice(name, seed=7)) for name in ("alice", "bob")]
    rows = np.concatenate([classifier.chunk_bottlenecks(clip)[1] for clip in clips])
    mean, scale, no_loss = rows.mean(axis=0, dtype=np.float32), np.ones(size, np.float32), np.zeros(1, np.float32)
    space = Similarity(mean, scale, np.zeros((size, 1), np.float32), no_loss, slope=20.0, offset=-10.0)
    member = dataclasses.replace(classifier.members[0], similarity=space)
    detector = dataclasses.replace(classifier.open_set, thresholds=np.full_like(classifier.open_set.thresholds, 1e3))
    with whole_folder(model) as folder:
        Classifier(
            labels=classifier.labels, members=(member,), about=classifier.about, open_set=detector, similarity=space
        ).save(folder)

    def telling(*arguments: object) -> int:
        return importlib.import_module("timeline").main(["--model", str(model), *map(str, arguments)])

    return telling


def test_speakers_are_in_every_file_of_a_timeline(telling, dialogue, tmp_path, capsys):
    assert telling(dialogue, "--speakers", "auto", "--timeline_dir", tmp_path / "out") == 0
    table = capsys.readouterr().out
    assert "speaker 1" in table and "speaker 2" in table and "nearest" not in table
    spans = list(read_rttm((tmp_path / "out" / "talk.rttm").read_text()))
    assert [span.label for span in spans] == ["speaker_1", "speaker_2"]
    assert spans[1].start_seconds == pytest.approx(6, abs=0.6)
    for suffix in (".txt", ".selections.txt", ".srt"):
        assert "speaker 2" in (tmp_path / "out" / f"talk{suffix}").read_text()
    with Image.open(tmp_path / "out" / "talk.png") as picture:
        red, green, blue = np.asarray(picture.convert("RGB"), int).transpose(2, 0, 1)
    assert (np.abs(red - green) + np.abs(green - blue) > 60).mean() > 0.02  # each has a colour


def test_speakers_are_in_rows_and_clips(telling, dialogue, tmp_path, capsys):
    assert telling(dialogue, "--speakers", 2, "--json", "--export_clips", tmp_path / "clips", "--above", 0) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["kind"], row["label"]) for row in rows] == [("speaker", "speaker 1"), ("speaker", "speaker 2")]
    assert {name.split("/")[0] for name in names_below(tmp_path / "clips")} == {"speaker 1", "speaker 2"}


def test_more_speakers_than_the_sound_has_are_told(telling, dialogue, capsys):
    assert telling(dialogue, "--speakers", 900) == 0
    assert "talk.mp3: 900 speakers were asked for, and the sound has turns of" in capsys.readouterr().err


def test_bad_files_stop_no_others_where_speakers_are_found(telling, dialogue, tmp_path, capsys):
    silent = write_sound(tmp_path / "silent.wav", np.zeros(5 * RATE_HZ, np.float32))
    text, empty = tmp_path / "text.mp3", tmp_path / "empty"
    text.write_text("no sound")
    empty.mkdir()
    assert telling(silent, text, empty, dialogue, "--speakers", "auto") == 1
    shown, reasons = capsys.readouterr()
    assert "speaker 2" in shown
    assert all(name in reasons for name in ("silent.wav is silent", "text.mp3", "empty"))


def test_a_classifier_that_cannot_compare_is_refused_at_once(timeline, dialogue, capsys):
    assert timeline(dialogue, dialogue, "--speakers", 2) == 1
    assert capsys.readouterr().err.count("This classifier cannot compare clips") == 1
