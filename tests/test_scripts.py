"""The scripts from their command lines, with a small network in the place of the pretrained one."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import (
    RATE_HZ,
    SCRIPTS,
    SPEAKERS,
    FakeBackbone,
    names_below,
    noise,
    run_python,
    voice,
    write_sound,
    write_speakers,
)
from PIL import Image

from audionet.audio.decoding import read_wav


def call(script: str, *arguments: object) -> int:
    return importlib.import_module(script).main([str(argument) for argument in arguments])


@pytest.fixture
def fake_network(monkeypatch):
    """Let retrain.py find a network without weights."""
    monkeypatch.setattr("audionet.models.backbones.backbone.load_backbone", lambda *_, **__: FakeBackbone())
    monkeypatch.setattr("audionet.training.trainer.candidate_bottlenecks", lambda *_, **__: ("rows",))
    monkeypatch.setenv("AUDIONET_CACHE", "")  # and put it back, since --model_dir sets it


@pytest.fixture
def places(tmp_path) -> dict[str, Path]:
    """Where retrain.py is to put things."""
    outputs = {"model": "retrained_model", "graph": "graph.pb", "labels": "labels.txt"}
    return {
        **{f"output_{name}": tmp_path / "out" / place for name, place in outputs.items()},
        "bottleneck_dir": tmp_path / "out" / "bottlenecks",
        "summaries_dir": tmp_path / "out" / "summaries",
        "runs_dir": tmp_path / "out" / "runs",
        "report": tmp_path / "out" / "report.html",
    }


@pytest.fixture
def retrain(places, fake_network):
    def retrain(image_dir: Path, *arguments: object) -> int:
        options = [f"--{name}={place}" for name, place in places.items()]
        return call("retrain", f"--image_dir={image_dir}", *options, "--head=lda", "--views=0", *arguments)

    return retrain


@pytest.fixture
def label(saved):
    return lambda *arguments: call("label_image", "--model", saved / "retrained_model", *arguments)


# The whole way


def test_from_folders_of_recordings_to_a_name(tmp_path, places, retrain, capsys):
    audio_dir = write_speakers(tmp_path / "audio", recordings=3)
    assert call("data_maker", "--audio_dir", audio_dir, "--image_dir", tmp_path / "images") == 0
    assert retrain(tmp_path / "images") == 0
    assert "On recordings that training never saw: 3 of 3 recordings right" in capsys.readouterr().out
    clip = write_sound(tmp_path / "new voice.mp3", voice("carol", seed=77))
    assert call("label_image", "--model", places["output_model"], clip) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("carol")


def test_the_command_that_training_ends_with_can_be_typed(tmp_path, drawn, places, retrain, capsys):
    retrain(drawn)
    command = (
        next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Label"))
        .partition("Label a clip: audionet label ")[2]
        .split()
    )
    assert call("label_image", *command) == 0
    assert str(places["output_model"]) in command


def test_a_folder_of_recordings_may_be_trained_on_at_once(tmp_path, retrain):
    audio_dir = write_speakers(tmp_path / "data_audio", recordings=3, seconds=2.0)
    assert retrain(audio_dir) == 0
    assert len(list((tmp_path / "data_image").rglob("*.jpg"))) == 9


def test_ordinary_pictures_may_be_trained_on(tmp_path, places, retrain, capsys):
    rng = np.random.default_rng(0)
    for number, colour in enumerate(("red", "green")):
        for index in range(5):
            picture = rng.integers(0, 100, (40, 60, 3), np.uint8)
            picture[:, :, number] += 150
            path = tmp_path / "photos" / colour / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
    assert retrain(tmp_path / "photos") == 0
    assert call("label_image", "--model", places["output_model"], tmp_path / "photos" / "green" / "0.png") == 0
    assert "green" in capsys.readouterr().out.splitlines()[-2]


def test_training_again_changes_no_picture_and_computes_nothing(tmp_path, drawn, retrain, capsys):
    retrain(drawn)
    first = capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in drawn.rglob("*")}
    retrain(drawn)
    assert capsys.readouterr().out == first
    assert {path: path.stat().st_mtime_ns for path in drawn.rglob("*")} == before


@pytest.mark.parametrize(("option", "words"), [("--folds=5", "in one of 5 folds"), ("--test_dir", "recordings in")])
def test_a_run_may_be_tested_by_folds_or_on_a_folder_of_its_own(
    drawn, tmp_path, retrain, places, capsys, option, words
):
    if option == "--test_dir":
        write_sound(tmp_path / "test" / "bob" / "good.wav", voice("bob", seed=77))
        write_sound(tmp_path / "test" / "mallory" / "0.wav", voice("alice", seed=78))
        (tmp_path / "test" / "bob" / "bad.wav").write_text("no sound")
        option = f"--test_dir={tmp_path / 'test'}"
    assert retrain(drawn, option) == (1 if "test_dir" in option else 0)
    printed = capsys.readouterr()
    assert words in printed.out
    if "test_dir" in option:
        assert "Set aside: bob/bad.wav" in printed.err and "no such label: mallory (1)" in printed.err
    assert "Could the score be a leak?" in places["report"].read_text()


def test_negatives_are_learned_from_and_the_bad_ones_among_them_named(drawn, tmp_path, retrain, capsys):
    for index in range(3):
        write_sound(tmp_path / "strangers" / f"{index}.wav", noise(4.0, seed=index))
    (tmp_path / "strangers" / "bad.wav").write_text("no sound")
    assert retrain(drawn, f"--negatives={tmp_path / 'strangers'}") == 1
    printed = capsys.readouterr()
    assert "fitted on impostors" in printed.out
    assert "Set aside: strangers/bad.wav" in printed.err


def test_output_folders_inside_the_input_are_no_labels(drawn, tmp_path, retrain, places):
    inside = Path(shutil.copytree(drawn, tmp_path / "images"))
    options = [f"--{name}={inside / place.name}" for name, place in places.items()]
    for _ in range(2):
        assert retrain(inside, *options) == 0
    assert (inside / "labels.txt").read_text().split() == list(SPEAKERS)


# data_maker.py


def test_bad_recordings_are_named_on_stderr_and_the_status_tells(audio_dir, tmp_path, capsys):
    (audio_dir / "bob" / "line\nbreak.mp3").write_text("no sound")
    assert call("data_maker", "--audio_dir", audio_dir, "--image_dir", tmp_path / "images") == 1
    out, err = capsys.readouterr()
    assert r"Set aside: bob/line\nbreak.mp3: " in err
    assert "4 recordings drawn, 0 unchanged, 1 failed, 0 old pictures removed" in out
    assert "Set aside" not in out


def test_the_second_run_says_that_nothing_had_to_be_done(audio_dir, tmp_path, capsys):
    for _ in range(2):
        assert call("data_maker", "--audio_dir", audio_dir, "--image_dir", tmp_path / "images") == 0
    assert "0 recordings drawn, 4 unchanged, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "wavelets"], "--recipe: expected one of default,"),
        (["--chunk_seconds", "0"], "chunk_seconds: expected"),
        (["--jobs", "0"], "--jobs: expected 1 or more, received 0"),
        (["--audio_dir", "/nowhere"], "--audio_dir: expected a folder"),
    ],
)
def test_what_cannot_work_is_said_before_any_work(tmp_path, capsys, arguments, message):
    image_dir = tmp_path / "images"
    assert call("data_maker", "--image_dir", image_dir, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not image_dir.exists()


def test_long_recordings_are_cropped_and_short_ones_padded_by_option(tmp_path):
    audio_dir = write_speakers(tmp_path / "audio", recordings=1)
    options = ("--audio_dir", audio_dir, "--image_dir", tmp_path / "images")
    assert call("data_maker", *options, "--chunk_seconds", 1) == 0
    whole = len(list((tmp_path / "images").rglob("*.jpg")))
    assert call("data_maker", *options, "--chunk_seconds", 1, "--long_clips", "crop") == 0
    assert len(list((tmp_path / "images").rglob("*.jpg"))) == 3 < whole
    assert call("data_maker", *options, "--chunk_seconds", 60, "--padding", "zeros") == 0
    wavs = list((tmp_path / "images").rglob("*.wav"))
    assert len(wavs) == 3
    for samples in map(read_wav, wavs):
        assert len(samples) == 60 * RATE_HZ and not samples[-RATE_HZ:].any()


def test_a_full_disk_is_explained_and_what_was_finished_is_used_again(tmp_path, tiny_disk, capsys):
    audio_dir = write_speakers(tmp_path / "audio", recordings=4)
    arguments = ("--audio_dir", audio_dir, "--image_dir", tiny_disk / "images", "--jobs", 1)
    assert call("data_maker", *arguments) == 1
    assert "no room left on the disk" in capsys.readouterr().err
    finished = names_below(tiny_disk / "images")
    shutil.copytree(tiny_disk / "images", tmp_path / "roomy")
    call("data_maker", "--audio_dir", audio_dir, "--image_dir", tmp_path / "roomy")
    assert finished <= names_below(tmp_path / "roomy") | {"ledger.sqlite-wal", "ledger.sqlite-shm"}


# retrain.py


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--how_many_training_steps", "0"], "--how_many_training_steps: expected 1 or more"),
        (["--learning_rate", "0"], "--learning_rate: expected more than 0"),
        (["--testing_percentage", "60", "--validation_percentage", "40"], "leave nothing to train on"),
        (["--testing_percentage", "-1"], "--testing_percentage: expected 0 to 99"),
        (["--image_dir", "/nowhere"], "--image_dir: expected a folder"),
        (["--test_dir", "/nowhere"], "--test_dir: expected a folder"),
        (["--negatives", "/nowhere"], "--negatives: expected a folder"),
        (["--folds", "1"], "--folds: expected 2 or more"),
        (["--folds", "3", "--test_dir", "/"], "--folds and --test_dir exclude each other"),
    ],
)
def test_training_that_cannot_work_is_refused(tmp_path, retrain, capsys, arguments, message):
    (tmp_path / "images").mkdir()
    assert retrain(tmp_path / "images", *arguments) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_architecture_lists_the_known_before_any_work(audio_dir, tmp_path, capsys):
    options = ("--bottleneck_dir", tmp_path, "--output_model", tmp_path / "model")
    assert call("retrain", "--image_dir", audio_dir, "--architecture", "alexnet", *options) == 2
    message = capsys.readouterr().err
    for name in ("alexnet", "efficientnet_lite0", "efficientnet_b0", "inception_v3", "tfhub"):
        assert name in message
    assert not (tmp_path / "data_image").exists()


def test_one_label_only_and_too_few_recordings_are_refused(tmp_path, retrain, capsys):
    audio_dir = write_speakers(tmp_path / "data_audio", speakers=("alice",), recordings=1, seconds=2.0)
    assert retrain(audio_dir) == 2
    assert "has one label, alice" in capsys.readouterr().err
    write_speakers(audio_dir, speakers=("bob",), recordings=1, seconds=2.0)
    assert retrain(audio_dir) == 2
    assert "Too few recordings to hold any out" in capsys.readouterr().err


def test_a_corrupt_picture_is_named_and_the_status_tells(drawn, tmp_path, retrain, places, capsys):
    images = Path(shutil.copytree(drawn, tmp_path / "images"))
    (images / "bob" / "0_00000.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    assert retrain(images) == 1
    assert "Set aside: " in (messages := capsys.readouterr().err) and "0_00000.jpg" in messages
    assert (places["output_model"] / "classifier.json").exists()


def test_a_bad_recording_among_those_trained_on_shows_in_the_status(tmp_path, retrain, capsys):
    audio_dir = write_speakers(tmp_path / "data_audio", recordings=3, seconds=2.0)
    (audio_dir / "bob" / "text.mp3").write_text("no sound")
    assert retrain(audio_dir) == 1
    assert "Set aside: bob/text.mp3" in capsys.readouterr().err


def test_a_folder_of_something_else_is_not_replaced_by_a_classifier(drawn, tmp_path, retrain, capsys):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").touch()
    assert retrain(drawn, "--output_model", tmp_path / "precious") == 2
    assert os.listdir(tmp_path / "precious") == ["thesis.txt"]


# label_image.py


def test_several_files_are_labelled_in_one_load(label, speakers, drawn, capsys, monkeypatch):
    from audionet.models.classifier import Classifier

    loads = []
    load = Classifier.load
    monkeypatch.setattr(Classifier, "load", lambda folder, **options: loads.append(folder) or load(folder, **options))
    clips = [speakers / "alice" / "0.mp3", drawn / "bob" / "0_00000.jpg", speakers / "carol" / "0.mp3"]
    assert label(*clips[:1], "--image", *clips[1:]) == 0
    out = capsys.readouterr().out
    assert all(str(clip) in out for clip in clips)
    assert len(loads) == 1


def test_results_go_to_stdout_and_messages_to_stderr(label, speakers, tmp_path, capsys):
    (tmp_path / "text.mp3").write_text("no sound")
    assert label(tmp_path / "text.mp3", speakers / "bob" / "0.mp3", "--top_k", 1) == 1
    out, err = capsys.readouterr()
    assert "text.mp3" in err and "text.mp3" not in out
    assert out.splitlines()[0] == str(speakers / "bob" / "0.mp3")
    assert out.splitlines()[1].split()[1] == "bob"
    assert len(out.splitlines()) == 2


def test_json_is_one_object_a_line_whatever_the_file_is_called(label, tmp_path, capsys):
    names = ["a\nb.wav", 'quote".wav', os.fsdecode(b"\xff.wav"), "日本.wav"]
    clips = [write_sound(tmp_path / name, voice("alice", seed=1, seconds=2.0)) for name in names]
    assert label("--json", *clips) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["file"] for line in lines] == list(map(str, clips))
    for line in lines:
        assert line["nearest"] == next(iter(line["labels"])) == "alice"
        assert line["label"] == ("alice" if line["known"] else "unknown")
        assert sum(line["labels"].values()) == pytest.approx(1, abs=1e-5)


def test_a_folder_of_clips_is_labelled(label, speakers, capsys):
    assert label(speakers / "alice", "--json", "--top_k", 2) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [len(line["labels"]) for line in lines] == [2] * 5


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_answers_go_to_a_file_and_a_second_run_goes_on_with_it(label, speakers, tmp_path, capsys, suffix):
    output = tmp_path / f"answers.{suffix}"
    (tmp_path / "text.mp3").write_text("no sound")
    assert label(speakers / "bob" / "0.mp3", tmp_path / "text.mp3", "--output", output) == 1
    first = output.read_text()
    assert capsys.readouterr().out == ""
    assert label(speakers / "bob", "--output", output) == 2
    assert label(speakers / "bob", "--output", output, "--resume") == 0
    assert "4 files: 4 labelled, 0 set aside; 1 was labelled before" in capsys.readouterr().err
    assert output.read_text().startswith("".join(first.splitlines(keepends=True)[:-1]))
    assert all(output.read_text().count(f"{number}.mp3") == 1 for number in range(5))


def test_wav_on_stdin_is_labelled_as_the_file_is(label, tmp_path, capsys, monkeypatch):
    clip = write_sound(tmp_path / "voice.wav", voice("carol", seed=7))
    assert label(clip, "--json") == 0
    of_file = json.loads(capsys.readouterr().out)
    with open(clip, "rb") as sent:
        monkeypatch.setattr("sys.stdin", sent)
        assert label("-", "--json") == 0
    of_stdin = json.loads(capsys.readouterr().out)
    assert of_stdin == of_file | {"file": "-"}


def test_what_is_no_wav_on_stdin_is_explained(label, tmp_path, capsys, monkeypatch):
    (tmp_path / "text").write_text("no sound")
    with open(tmp_path / "text", "rb") as sent:
        monkeypatch.setattr("sys.stdin", sent)
        assert label("-") == 1
    assert "-: expected wav on stdin" in capsys.readouterr().err


def test_a_list_of_files_is_labelled(label, speakers, tmp_path, capsys):
    (tmp_path / "list.txt").write_text(f"{speakers / 'bob' / '0.mp3'}\n{tmp_path / 'missing.mp3'}\n")
    assert label("--from_file", tmp_path / "list.txt", "--top_k", 1) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[1].endswith("bob") and "missing.mp3 is not a file" in err


def test_the_sound_track_of_a_film_is_labelled(label, speakers, tmp_path, capsys):
    if shutil.which("ffmpeg") is None:
        pytest.skip("FFmpeg is not installed")
    film = tmp_path / "film.mp4"
    sound, colour = ["-i", str(speakers / "bob" / "0.mp3")], ["-f", "lavfi", "-i", "color=red:size=32x32:duration=4"]
    subprocess.run(["ffmpeg", "-v", "error", *colour, *sound, "-shortest", str(film)], check=True)
    assert label(film, "--top_k", 1) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("bob")


def test_a_frozen_graph_labels_pictures(saved, drawn, capsys):
    graph = ("--graph", saved / "graph.pb", "--labels", saved / "labels.txt")
    assert call("label_image", *graph, f"--image={drawn / 'bob' / '0_00000.jpg'}") == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("bob")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--model", "/nowhere", "a.mp3"], 1, "no classifier at /nowhere"),
        ([], 2, "Expected a recording, a picture or a folder"),
        (["--top_k", "0", "a.mp3"], 2, "--top_k: expected 1 or more"),
        (["--jobs", "0", "a.mp3"], 2, "--jobs: expected 1 or more"),
        (["--resume", "a.mp3"], 2, "--resume goes on with --output; name that file as well"),
        (["--json", "--output", "a.csv", "a.mp3"], 2, "--json and --output: expected one of them"),
        (["--graph", "a.pb", "a.jpg"], 2, "--graph and --labels: expected both or neither"),
        (["--graph", "a.pb", "--labels", "b", "--model", "c", "a.jpg"], 2, "--graph and --model: expected one"),
    ],
)
def test_labelling_that_cannot_work_is_refused(capsys, arguments, status, message):
    assert call("label_image", *arguments) == status
    assert message in capsys.readouterr().err


def test_a_clip_that_does_not_exist_ends_with_status_2(label, capsys):
    assert label("/nowhere.mp3") == 2
    assert "/nowhere.mp3 does not exist" in capsys.readouterr().err


# What were options of label_image.py


def printed(capsys, script: str, *arguments: object) -> str:
    assert call(script, *arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "command", "new"),
    [
        (["--timeline"], "timeline", []),
        (["--timeline", "--json", "--hop", "1"], "timeline", ["--json", "--hop", "1"]),
        (["--timeline-dir={}", "--formats", "rttm"], "timeline", ["--timeline_dir", "{}", "--formats", "rttm"]),
        (["--export_clips", "{}", "--timeline"], "timeline", ["--export_clips", "{}"]),
        (["--explain", "{}"], "explain", ["--output", "{}"]),
        (["--explain={}/why.png"], "explain", ["--output={}/why.png"]),
    ],
)
def test_options_that_became_commands_go_on_working(saved_trusting, tmp_path, capsys, old, command, new):
    clip = write_sound(tmp_path / "talk.wav", voice("alice", seed=1, seconds=3))
    common = ("--model", saved_trusting, clip)
    folders = [tmp_path / "old", tmp_path / "new"]
    before = printed(capsys, "label_image", *common, *(argument.format(folders[0]) for argument in old))
    after = printed(capsys, command, *common, *(argument.format(folders[1]) for argument in new))
    assert before == after != ""
    assert names_below(folders[0]) == names_below(folders[1])
    assert bool(names_below(folders[0])) == any("{}" in argument for argument in old)


@pytest.mark.parametrize("option", ["--live", "--microphone"])
def test_the_old_options_for_live_sound_go_on_working(saved_trusting, tmp_path, monkeypatch, capsys, option):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.setattr("time.sleep", lambda _: None)
    clip = write_sound(tmp_path / "a.wav", voice("bob", seed=1, seconds=2))
    clips = [clip] if option == "--live" else []
    status = call("label_image", "--model", saved_trusting, option, *clips)
    out, err = capsys.readouterr()
    if option == "--live":
        assert status == 0 and out.splitlines()[-1].startswith("0:02.0  bob")
    else:
        assert status == 2 and "needs sounddevice" in err


def test_an_old_option_with_a_frozen_graph_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        call("label_image", "a.mp3", "--timeline", "--graph", "a.pb", "--labels", "b.txt")
    assert "--graph" in capsys.readouterr().err


# In a process of its own


def test_a_clip_is_labelled_from_any_folder_without_tensorflow(saved, speakers, tmp_path):
    pytest.importorskip("openvino", reason="without OpenVINO, TensorFlow has to score")
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('tensorflow was imported')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    script = SCRIPTS / "label_image.py"
    clip = speakers / "bob" / "1.mp3"
    done = run_python(script, "--model", saved / "retrained_model", clip, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].endswith("bob")


def test_files_with_a_leading_dash_are_labelled_where_they_lie(saved, tmp_path):
    write_sound(tmp_path / "-voice.mp3", voice("alice", seed=3))
    script = SCRIPTS / "label_image.py"
    done = run_python(script, "--model", saved / "retrained_model", "./-voice.mp3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].endswith("alice")
