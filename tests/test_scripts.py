"""The scripts, and the options of label_image.py that became commands."""

import importlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import (
    CHECKOUT,
    SCRIPTS,
    names_below,
    run_python,
    voice,
    write_sound,
)

from audionet.cli import typed_command


def call(script: str, *arguments: object) -> int:
    return importlib.import_module(script).main([str(argument) for argument in arguments])


# Options that became commands


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
        (["--timeline", "--jobs", "2", "--top-k=3"], "timeline", []),
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
        assert status == 2 and "needs the package sounddevice" in err


def test_an_old_option_with_a_frozen_graph_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        call("label_image", "a.mp3", "--timeline", "--graph", "a.pb", "--labels", "b.txt")
    assert "--graph" in capsys.readouterr().err


def test_several_modes_at_once_are_refused(capsys):
    assert call("label_image", "a.mp3", "--timeline", "--explain", "why.png") == 2
    assert "--explain, --timeline: expected one of them" in capsys.readouterr().err


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


# What is typed


def test_a_hint_names_a_python_that_has_the_packages(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(SCRIPTS / "retrain.py")])
    (tmp_path / "python").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    hint = shlex.split(typed_command("label"))
    assert hint[1:] == [str(SCRIPTS / "label_image.py")]
    assert run_python(*hint[1:], "--help").returncode == 0
    assert Path.cwd() / hint[0] == Path(sys.executable)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert typed_command("label").startswith("python ") == (Path(sys.executable).with_name("python").exists())


@pytest.mark.parametrize("clip", ["it's here.mp3", 'a "b" & c.mp3', "$(HOME).mp3"])
def test_make_takes_names_with_quotes_in_them(clip):
    typed = ["make", "-s", "-o", "setup", "label", "AUDIONET=printf '%s\\n'", f"CLIP={clip.replace('$', '$$')}"]
    done = subprocess.run(typed, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["label", clip]
