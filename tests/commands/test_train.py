import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import (
    SPEAKERS,
    FakeBackbone,
    FakeListener,
    load_fake,
    noise,
    run_audionet,
    voice,
    write_sound,
    write_speakers,
)
from PIL import Image

from audionet.commands.train import closing_lines
from audionet.console import WATCHED
from audionet.evaluation.leakage import SplitComparison
from audionet.evaluation.runs import read_runs, report_of
from audionet.models.classifier import Classifier


@pytest.fixture
def fake_network(monkeypatch):
    """Let training find a network without weights."""
    monkeypatch.setattr("audionet.models.backbones.backbone.load_backbone", load_fake)
    monkeypatch.setattr("audionet.training.trainer.candidate_bottlenecks", lambda *_, **__: ("rows",))
    monkeypatch.setenv("AUDIONET_CACHE", "")  # and put it back, since --model_dir sets it


@pytest.fixture
def places(tmp_path) -> dict[str, Path]:
    """Where training is to put things."""
    outputs = {"model": "retrained_model", "graph": "graph.pb", "labels": "labels.txt"}
    return {
        **{f"output_{name}": tmp_path / "out" / place for name, place in outputs.items()},
        "bottleneck_dir": tmp_path / "out" / "bottlenecks",
        "summaries_dir": tmp_path / "out" / "summaries",
        "runs_dir": tmp_path / "out" / "runs",
        "report": tmp_path / "out" / "report.html",
    }


@pytest.fixture
def train(places, fake_network):
    def train(image_dir: Path, *arguments: object) -> int:
        options = [f"--{name}={place}" for name, place in places.items()]
        return run_audionet("train", f"--image_dir={image_dir}", *options, "--head=lda", "--views=0", *arguments)

    return train


def test_from_folders_of_recordings_to_a_name(tmp_path, places, train, capsys):
    audio_dir = write_speakers(tmp_path / "audio", recordings=3)
    assert run_audionet("data", "--audio_dir", audio_dir, "--image_dir", tmp_path / "images") == 0
    assert train(tmp_path / "images") == 0
    assert (
        "On recordings that training never saw: 3 of 3 recordings named right, 0 wrong, 0 refused as unknown"
        in capsys.readouterr().out
    )
    clip = write_sound(tmp_path / "new voice.mp3", voice("carol", seed=77))
    assert run_audionet("label", "--model", places["output_model"], clip) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("carol")


def test_the_command_that_training_ends_with_can_be_typed(tmp_path, drawn, places, train, capsys):
    train(drawn)
    command = (
        next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Label"))
        .partition("Label a clip: audionet label ")[2]
        .split()
    )
    assert run_audionet("label", *command) == 0
    assert str(places["output_model"]) in command


def test_a_folder_of_recordings_may_be_trained_on_at_once(tmp_path, places, train):
    audio_dir = write_speakers(tmp_path / "data_audio", recordings=3, seconds=2.0)
    before = sorted(audio_dir.rglob("*"))
    assert train(audio_dir) == 0
    assert sorted(audio_dir.rglob("*")) == before and not (tmp_path / "data_image").exists()
    assert len(list((places["bottleneck_dir"] / "pictures").rglob("*.jpg"))) == 9


def test_ordinary_pictures_may_be_trained_on(tmp_path, places, train, capsys):
    rng = np.random.default_rng(0)
    for number, colour in enumerate(("red", "green")):
        for index in range(5):
            picture = rng.integers(0, 100, (40, 60, 3), np.uint8)
            picture[:, :, number] += 150
            path = tmp_path / "photos" / colour / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
    assert train(tmp_path / "photos") == 0
    assert run_audionet("label", "--model", places["output_model"], tmp_path / "photos" / "green" / "0.png") == 0
    assert "green" in capsys.readouterr().out.splitlines()[-2]


def test_training_again_changes_no_picture_and_computes_nothing(tmp_path, drawn, train, capsys):
    train(drawn)
    first = capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in drawn.rglob("*")}
    train(drawn)
    assert capsys.readouterr().out == first
    assert {path: path.stat().st_mtime_ns for path in drawn.rglob("*")} == before


@pytest.mark.parametrize(("option", "words"), [("--folds=5", "in one of 5 folds"), ("--test_dir", "recordings in")])
def test_a_run_may_be_tested_by_folds_or_on_a_folder_of_its_own(drawn, tmp_path, train, places, capsys, option, words):
    if option == "--test_dir":
        write_sound(tmp_path / "test" / "bob" / "good.wav", voice("bob", seed=77))
        write_sound(tmp_path / "test" / "mallory" / "0.wav", voice("alice", seed=78))
        (tmp_path / "test" / "bob" / "bad.wav").write_text("no sound")
        option = f"--test_dir={tmp_path / 'test'}"
    assert train(drawn, option) == (1 if "test_dir" in option else 0)
    printed = capsys.readouterr()
    assert words in printed.out
    if "test_dir" in option:
        assert "Set aside: bob/bad.wav" in printed.err and "no such label: mallory (1)" in printed.err
    assert "Could the score be a leak?" in places["report"].read_text()
    (record,) = read_runs(places["runs_dir"])[0]
    assert report_of(places["runs_dir"], record).read_text() == places["report"].read_text()


def test_negatives_are_learned_from_and_the_bad_ones_among_them_named(drawn, tmp_path, train, capsys):
    for index in range(3):
        write_sound(tmp_path / "strangers" / f"{index}.wav", noise(4.0, seed=index))
    (tmp_path / "strangers" / "bad.wav").write_text("no sound")
    assert train(drawn, f"--negatives={tmp_path / 'strangers'}") == 1
    printed = capsys.readouterr()
    assert "fitted on impostors" in printed.out
    assert "Set aside: strangers/bad.wav" in printed.err


def test_output_folders_inside_the_input_are_no_labels(drawn, tmp_path, train, places):
    inside = Path(shutil.copytree(drawn, tmp_path / "images"))
    options = [f"--{name}={inside / place.name}" for name, place in places.items()]
    for _ in range(2):
        assert train(inside, *options) == 0
    assert (inside / "labels.txt").read_text().split() == list(SPEAKERS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--how_many_training_steps", "0"], "--how_many_training_steps: expected 1 to"),
        (["--learning_rate", "0"], "--learning_rate: expected 1e-09 to 100"),
        (["--testing_percentage", "60", "--validation_percentage", "40"], "leave nothing to train on"),
        (["--testing_percentage", "-1"], "--testing_percentage: expected 0 to 99"),
        (["--image_dir", "/nowhere"], "--image_dir: expected a folder"),
        (["--test_dir", "/nowhere"], "--test_dir: expected a folder"),
        (["--negatives", "/nowhere"], "--negatives: expected a folder"),
        (["--folds", "1"], "--folds: expected 2 or more"),
        (["--folds", "3", "--test_dir", "/"], "--folds and --test_dir exclude each other"),
    ],
)
def test_training_that_cannot_work_is_refused(tmp_path, train, capsys, arguments, message):
    (tmp_path / "images").mkdir()
    assert train(tmp_path / "images", *arguments) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_architecture_lists_the_known_before_any_work(audio_dir, tmp_path, capsys):
    options = ("--bottleneck_dir", tmp_path, "--output_model", tmp_path / "model")
    assert run_audionet("train", "--image_dir", audio_dir, "--architecture", "alexnet", *options) == 2
    message = capsys.readouterr().err
    for name in ("alexnet", "efficientnet_lite0", "efficientnet_b0", "inception_v3", "tfhub"):
        assert name in message
    assert not (tmp_path / "data_image").exists()


def test_too_few_recordings_are_refused(tmp_path, train, places, capsys):
    audio_dir = write_speakers(tmp_path / "data_audio", speakers=("alice", "bob"), recordings=1, seconds=2.0)
    assert train(audio_dir) == 2
    assert "Too few recordings to hold any out" in capsys.readouterr().err
    (audio_dir / "carol").mkdir()
    assert train(audio_dir) == 2
    assert "no recording for label carol" in capsys.readouterr().err
    assert not list(places["bottleneck_dir"].rglob("*.jpg")), "they are noticed before anything is drawn"


def test_a_corrupt_picture_is_named_and_the_status_tells(drawn, tmp_path, train, places, capsys):
    images = Path(shutil.copytree(drawn, tmp_path / "images"))
    (images / "bob" / "0_00000.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    assert train(images) == 1
    assert "Set aside: " in (messages := capsys.readouterr().err) and "0_00000.jpg" in messages
    assert (places["output_model"] / "classifier.json").exists()


def test_a_bad_recording_among_those_trained_on_shows_in_the_status(tmp_path, train, capsys):
    audio_dir = write_speakers(tmp_path / "data_audio", recordings=3, seconds=2.0)
    (audio_dir / "bob" / "text.mp3").write_text("no sound")
    assert train(audio_dir) == 1
    assert "Set aside: bob/text.mp3" in capsys.readouterr().err


def test_a_folder_of_something_else_is_not_replaced_by_a_classifier(drawn, tmp_path, train, capsys):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").touch()
    assert train(drawn, "--output_model", tmp_path / "precious") == 2
    assert os.listdir(tmp_path / "precious") == ["thesis.txt"]


def test_nothing_that_takes_long_is_silent(drawn, train, monkeypatch, capsys):
    monkeypatch.setenv(WATCHED, "1")
    assert train(drawn) == 0
    shown = capsys.readouterr().err
    for step in ("Choosing", "Thresholds", "Auditing", "Report"):
        assert re.search(rf"{step}: +\d+%.* \d+/[1-9]", shown), step


def test_the_last_lines_tell_the_score_and_what_to_type_next(trained, tmp_path, speakers):
    comparison = SplitComparison(0.98, 0.84, (0.08, 0.2), draws=5, recordings=15, groups=15)
    run = replace(trained, final=replace(trained.final, comparison=comparison))
    score, claimed, _, refusal, where, command = closing_lines(run, tmp_path / "my model")
    assert score.startswith(
        "On recordings that training never saw: 3 of 3 recordings named right, 0 wrong, 0 refused as unknown"
    )
    assert "Without a threshold for unknown ones, 100% of recordings" in score and "guessing would get 33%" in score
    assert claimed == comparison.sentence()
    assert "Unknown clips are refused" in refusal
    assert str(tmp_path / "my model") in where
    assert f"--model '{tmp_path}/my model' {speakers}" in command


def test_a_network_that_listens_joins_and_is_left_out_where_it_cannot_be_had(fake_network, places, drawn, capsys):
    arguments = ["--image_dir", drawn, *(f"--{name}={path}" for name, path in places.items()), "--views", "1"]
    assert run_audionet("train", *arguments) == 0
    assert "Note: voice_encoder is left out. There are no weights of voice_encoder" in capsys.readouterr().err
    assert run_audionet("train", *arguments, "--members", "pair") == 1
    assert "There are no weights of voice_encoder" in capsys.readouterr().err


def test_networks_that_look_and_listen_are_trained_together(fake_network, places, drawn, monkeypatch, capsys):
    def load(architecture, **_):
        return FakeListener() if architecture == "voice_encoder" else FakeBackbone()

    monkeypatch.setattr("audionet.models.backbones.backbone.load_backbone", load)
    bottlenecks = {"voice_encoder": ("classic",)}
    monkeypatch.setattr(
        "audionet.training.trainer.candidate_bottlenecks", lambda row, *_, **__: bottlenecks.get(row.name, ("rows",))
    )
    arguments = ["--image_dir", drawn, *(f"--{name}={path}" for name, path in places.items()), "--views", "1"]
    assert run_audionet("train", *arguments) == 0
    worth = Classifier.load(places["output_model"]).about["training"]["members"]
    assert [one["name"] for one in worth] == ["efficientnet_lite0:log_mel", "voice_encoder"]
    assert all(one["alone"]["log_loss"] >= 0 for one in worth)
    assert run_audionet("train", *arguments, "--members", "voice_encoder") == 0
    assert "is not written: a frozen graph takes pictures, and this classifier listens" in capsys.readouterr().err
    classifier = Classifier.load(places["output_model"])
    assert [member.name for member in classifier.members] == ["fake_listener"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nobody", "--members: Expected an architecture out of"),
        ("efficientnet_lite0 + efficientnet_lite0", "expected each member once"),
        ("voice_encoder:log_mel", "no drawing, as it listens"),
        ("efficientnet_lite0:oil", "a drawing out of log_mel"),
    ],
)
def test_members_that_cannot_be_are_refused(places, drawn, capsys, text, message):
    arguments = ["--image_dir", drawn, *(f"--{name}={path}" for name, path in places.items())]
    assert run_audionet("train", *arguments, "--members", text) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rate_hz", "options", "heard"),
    [
        (2_000, ("--sample_rate_hz", 2_000), "voice_encoder is left out: it listens up to 8 kHz"),
        (48_000, ("--sample_rate_hz", 48_000), "voice_encoder hears only a part"),
        (384_000, ("--sample_rate_hz", 384_000, "--low_hz", 15_000, "--chunk_seconds", 0.25), "is left out"),
    ],
)
def test_chirps_of_any_band_are_drawn_trained_on_and_labelled(
    tmp_path, fake_network, places, capsys, rate_hz, options, heard
):
    seconds = np.arange(rate_hz) / rate_hz
    for number in range(4):
        for label, share in (("low", 0.2), ("high", 0.35)):
            phase = 2 * np.pi * (share * rate_hz * seconds + 0.02 * rate_hz * np.sin(seconds * (number + 2)))
            chirp = 0.3 * np.sin(phase) + np.random.default_rng(number).normal(0, 0.005, rate_hz)
            write_sound(tmp_path / "audio" / label / f"{number}.wav", chirp.astype(np.float32), rate_hz)
    images = tmp_path / "images"
    assert run_audionet("data", "--audio_dir", tmp_path / "audio", "--image_dir", images, *options) == 0
    assert "Pictures end" not in capsys.readouterr().err
    placed = [f"--{name}={path}" for name, path in places.items()]
    assert run_audionet("train", f"--image_dir={images}", *placed, "--views", 2) == 0
    assert heard in capsys.readouterr().err
    clip = tmp_path / "audio" / "high" / "0.wav"
    assert run_audionet("label", "--model", places["output_model"], clip) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("high")
    assert run_audionet("timeline", "--model", places["output_model"], clip) == 0
    assert "high" in capsys.readouterr().out


def test_a_run_is_repeated_by_its_record_to_the_same_bytes(drawn, places, train, capsys):
    train(drawn, "--random_seed=5", "--l2=0.01")
    (record,) = places["runs_dir"].glob("2*.json")
    kept = {path.name: path.read_bytes() for path in places["output_model"].iterdir()}
    capsys.readouterr()
    assert run_audionet("train", "--again", record) == 0
    assert "The same again: all" in capsys.readouterr().out
    again = places["output_model"].with_name("retrained_model_again")
    assert {path.name: path.read_bytes() for path in places["output_model"].iterdir()} == kept
    assert (again / "head.npz").read_bytes() == kept["head.npz"]
    assert read_runs(places["runs_dir"])[0][-1]["arguments"]["holdout"]["random_seed"] == 5


def test_a_repetition_that_differs_says_in_what(drawn, places, train, tmp_path, capsys, monkeypatch):
    train(drawn)
    (path,) = places["runs_dir"].glob("2*.json")
    record = json.loads(path.read_text())
    record["versions"]["numpy"], record["data"]["fingerprint"] = "0.1", "another"
    path.write_text(json.dumps(record))
    capsys.readouterr()
    assert run_audionet("train", "--again", path, "--random_seed=7") == 1
    printed = capsys.readouterr().out
    assert "Not the same: " in printed and "head.npz" in printed
    assert re.search(r"What differs besides: .*numpy 0\.1 and \d.*the recordings", printed)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"script": "evaluate.py"}, "is of another run"),
        ({"arguments": {"image_dir": "pictures", "tea": 3}}, "options that this version does not know: tea"),
        ({"arguments": {"image_dir": "pictures", "holdout": {"views": "many"}}}, "holdout.views"),
        ({"started": "once"}, "expected the record of a run"),
    ],
)
def test_what_cannot_be_repeated_is_named(change, words, drawn, places, train, capsys):
    train(drawn)
    (path,) = places["runs_dir"].glob("2*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert run_audionet("train", "--again", path) == 2
    assert words in capsys.readouterr().err


def test_clips_of_a_table_are_trained_on_and_tested_in_the_splits_that_it_names(tmp_path, places, train, capsys):
    rows = ["path,start,end,label,split,group,weight"]
    for number, split in enumerate(("train", "train", "train", "dev", "test", "test")):
        both = [voice("alice", seed=number, seconds=3.0), voice("bob", seed=number + 50, seconds=3.0)]
        write_sound(tmp_path / "audio" / f"{number}.wav", np.concatenate(both))
        rows += [f"{number}.wav,0,3,alice,{split},day{number},1", f"{number}.wav,3,6,bob,{split},day{number},2"]
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    images = tmp_path / "images"
    arguments = ("--audio_dir", tmp_path / "audio", "--image_dir", images, "--labels", tmp_path / "labels.csv")
    assert run_audionet("data", *arguments, "--chunk_seconds", 1) == 0
    assert train(images) == 0
    assert "4 of 4 recordings named right" in capsys.readouterr().out
    metrics = json.loads((places["output_model"] / "metrics.json").read_text())
    tested = {one["recording"] for one in metrics["recordings"]}
    assert tested == {"alice/4_0-3.wav", "alice/5_0-3.wav", "bob/4_3-6.wav", "bob/5_3-6.wav"}
    starts = {one["recording"]: one["telling_seconds"] for one in metrics["recordings"]}
    assert all(3 <= starts[name] < 6 for name in tested if name.startswith("bob"))
    assert run_audionet("evaluate", "--model", places["output_model"], "--image_dir", images) == 0
    assert train(images, "--folds", 2) == 0
    assert "the splits that a table names are not obeyed" in capsys.readouterr().err
