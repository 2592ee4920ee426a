import importlib
import json
import shutil
from pathlib import Path

import pytest
from conftest import voice, write_sound

from audionet.inference.clip_similarity import find_similar


def call(script: str, *arguments: object) -> int:
    return importlib.import_module(script).main([str(argument) for argument in arguments])


def test_two_clips_are_compared(model, hisses, speakers, capsys):
    assert call("verify", hisses[0], hisses[1], "--model", model) == 0
    assert capsys.readouterr().out.startswith("The same: ")
    assert call("verify", hisses[0], speakers / "bob" / "0.mp3", "--model", model) == 0
    assert capsys.readouterr().out.startswith("Not the same: ")
    assert call("verify", hisses[0], "nobody", "--model", model) == 2
    assert "nobody is neither a file nor an enrolled label" in capsys.readouterr().err


def test_the_flag_for_json_may_stand_before_the_clips(model, hisses, capsys):
    for arguments in (("--json", hisses[0], hisses[1]), (hisses[0], hisses[1], "--json")):
        assert call("verify", *arguments, "--model", model) == 0
        assert json.loads(capsys.readouterr().out)["same"] is True


def test_an_enrolled_label_may_stand_first(model, hisses, capsys):
    assert call("enroll", "--label", "hiss", hisses[0], "--model", model) == 0
    capsys.readouterr()
    found = []
    for clips in (("hiss", hisses[1]), (hisses[1], "hiss")):
        assert call("verify", *clips, "--model", model) == 0
        found.append(capsys.readouterr().out)
    assert found[0] == found[1]


def test_one_clip_twice_is_told_to_be_no_evidence(model, hisses, tmp_path, capsys):
    copy = shutil.copy(hisses[0], tmp_path / "copy.wav")
    assert call("verify", hisses[0], copy, "--model", model) == 0
    assert "hold the same sound" in capsys.readouterr().err
    assert call("verify", hisses[0], hisses[1], "--model", model) == 0
    assert "hold the same sound" not in capsys.readouterr().err


def test_half_a_second_is_compared_and_said_to_be_short(model, hisses, tmp_path, capsys):
    short = write_sound(tmp_path / "short.wav", voice("alice", seed=9, seconds=0.5))
    assert call("verify", short, hisses[0], "--model", model) == 0
    said = capsys.readouterr()
    assert "short.wav is of one chunk alone" in said.err and "0.wav" not in said.err
    assert "%" in said.out


def test_what_sounds_most_alike_comes_first(model, hisses, speakers, tmp_path, capsys):
    options = ("--model", model, "--top_k", 2, "--cache_dir", tmp_path)
    assert call("similar", hisses[0], "--among", hisses[1], speakers / "bob", *options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].endswith("1.wav")


def test_a_file_is_computed_once_until_it_changes(trained, hisses, speakers, tmp_path, monkeypatch):
    among = [Path(shutil.copy(hisses[1], tmp_path / "hiss.wav")), *sorted((speakers / "bob").iterdir())]
    computed = []
    chunk_bottlenecks = type(trained.classifier).chunk_bottlenecks
    monkeypatch.setattr(
        type(trained.classifier),
        "chunk_bottlenecks",
        lambda self, path: computed.append(path) or chunk_bottlenecks(self, path),
    )
    first, _ = find_similar(trained.classifier, hisses[0], among, cache_dir=tmp_path / "cache")
    assert computed == [hisses[0], *among]
    computed.clear()
    again, _ = find_similar(trained.classifier, hisses[0], among, cache_dir=tmp_path / "cache")
    assert computed == [hisses[0]]
    assert [one.path for one in again] == [one.path for one in first]
    assert [one.probability for one in again] == pytest.approx([one.probability for one in first], abs=1e-2)
    write_sound(among[0], voice("alice", seed=5, seconds=4.0))
    computed.clear()
    find_similar(trained.classifier, hisses[0], among, cache_dir=tmp_path / "cache")
    assert computed == [hisses[0], among[0]]
