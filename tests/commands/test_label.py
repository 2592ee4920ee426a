import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from conftest import (
    run_audionet,
    voice,
    write_sound,
)


@pytest.fixture
def label(saved):
    return lambda *arguments: run_audionet("label", "--model", saved / "retrained_model", *arguments)


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
    assert run_audionet("label", *graph, f"--image={drawn / 'bob' / '0_00000.jpg'}") == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("bob")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--model", "/nowhere", "a.mp3"], 2, "no classifier at /nowhere"),
        ([], 2, "Expected a recording, a picture or a folder"),
        (["--top_k", "0", "a.mp3"], 2, "--top_k: expected 1 to"),
        (["--jobs", "0", "a.mp3"], 2, "--jobs: expected 1 to"),
        (["--resume", "a.mp3"], 2, "--resume goes on with --output; name that file as well"),
        (["--json", "--output", "a.csv", "a.mp3"], 2, "--json and --output: expected one of them"),
        (["--graph", "a.pb", "a.jpg"], 2, "--graph and --labels: expected both or neither"),
        (["--graph", "a.pb", "--labels", "b", "--model", "c", "a.jpg"], 2, "--graph and --model: expected one"),
    ],
)
def test_labelling_that_cannot_work_is_refused(capsys, arguments, status, message):
    assert run_audionet("label", *arguments) == status
    assert message in capsys.readouterr().err


def test_a_clip_that_does_not_exist_ends_with_status_2(label, capsys):
    assert label("/nowhere.mp3") == 2
    assert "/nowhere.mp3 does not exist" in capsys.readouterr().err


def threshold_of(capsys, *arguments: object) -> float:
    assert run_audionet("label", *arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)["threshold"]


def test_the_threshold_is_that_of_the_rate_that_is_asked_for(model, hisses, capsys):
    clip = ("--model", model, hisses[0])
    strict, usual, lax = (
        threshold_of(capsys, *clip, *rate)
        for rate in (["--false_accept_rate", 0.001], [], ["--false_accept_rate", 0.5])
    )
    assert strict >= usual >= lax and strict > lax  # where labels are alike, the threshold gives way


@pytest.mark.parametrize("command", ["label", "timeline", "listen", "evaluate"])
def test_a_rate_that_the_classifier_was_not_fitted_at_is_refused_with_those_that_it_was(
    command, model, hisses, capsys, tmp_path
):
    clip = ["--audio_dir", hisses[0].parents[1], "--runs_dir", tmp_path] if command == "evaluate" else [hisses[0]]
    assert run_audionet(command, *clip, "--model", model, "--false_accept_rate", 0.03) == 2
    assert "--false_accept_rate: expected one of 0.001, 0.002" in capsys.readouterr().err


def test_the_rates_to_choose_from_are_shown_with_what_they_refuse(model, capsys):
    assert run_audionet("inspect", "--model", model) == 0
    assert "at a rate of 0.001" in capsys.readouterr().out


def test_a_classifier_without_a_threshold_has_no_rate(saved_trusting, hisses, capsys):
    assert run_audionet("label", hisses[0], "--model", saved_trusting, "--false_accept_rate", 0.05) == 2
    assert "--false_accept_rate: this classifier takes nothing for unknown" in capsys.readouterr().err


def test_a_frozen_graph_has_no_rate(saved, capsys):
    graph = ("--graph", saved / "graph.pb", "--labels", saved / "labels.txt", "--false_accept_rate", 0.05)
    assert run_audionet("label", "a.jpg", *graph) == 2
    assert "--false_accept_rate: a frozen graph" in capsys.readouterr().err


def test_a_channel_may_be_chosen_at_labelling_and_one_that_a_file_lacks_fails_alone(label, speakers, tmp_path, capsys):
    both = np.stack([voice("alice", seed=1), voice("bob", seed=2)], axis=1)
    stereo, mono = write_sound(tmp_path / "two.wav", both), speakers / "carol" / "0.mp3"
    for channel, name in (("left", "alice"), ("right", "bob"), ("2", "bob")):
        assert label("--json", "--channel", channel, stereo) == 0
        assert json.loads(capsys.readouterr().out)["nearest"] == name
    assert label("--json", "--channel", "right", mono, stereo) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert "0.mp3 has 1 channel, and channel 2 is asked for" in err
    assert label("--channel", "middle", stereo) == 2
    assert "--channel: expected mean, left, right, each, loudest or a number from 1 to 64" in capsys.readouterr().err
