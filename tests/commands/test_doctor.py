import json
import shutil

from conftest import run_audionet

from audionet.commands import doctor


def findings(capsys) -> dict[str, dict]:
    return {one["name"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}


def test_what_is_there_is_listed_and_all_that_is_needed_is_found(capsys):
    assert run_audionet("doctor") == 0
    printed = capsys.readouterr().out
    assert "All that is needed is there." in printed and "libsndfile" in printed
    assert run_audionet("doctor", "--json") == 0
    found = findings(capsys)
    assert "weights of efficientnet_lite0" in found and found["libsndfile"]["found"]
    assert "GB at" in found["room on the disk"]["found"]


def test_what_is_missing_is_named_with_what_to_type(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("AUDIONET_CACHE", str(tmp_path / "weights"))
    monkeypatch.setattr(doctor, "_installed", lambda package: "")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    assert run_audionet("doctor", "--json") == 1
    found = findings(capsys)
    assert found["SoX"]["found"] == "" and "apt-get install sox" in found["SoX"]["advice"]
    assert "apt-get install ffmpeg" in found["FFmpeg"]["advice"]
    assert found["extra export"]["advice"] == "if wanted: pip install './scripts[export]'"
    assert found["room on the disk"]["advice"].startswith("little")
    assert run_audionet("doctor") == 1
    assert "Missing, and needed: libsndfile, networks run by." in capsys.readouterr().out


def test_a_program_that_hangs_or_says_nothing_is_missing(monkeypatch, tmp_path, capsys):
    for name in ("sox", "ffmpeg"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 3\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    run_audionet("doctor", "--json")
    found = findings(capsys)
    assert found["SoX"]["found"] == found["FFmpeg"]["found"] == ""
