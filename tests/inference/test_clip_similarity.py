import importlib
import json
import shutil

from conftest import voice, write_sound


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
