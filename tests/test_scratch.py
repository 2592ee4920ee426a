import os
import subprocess
import sys

import pytest
from conftest import run_python

from audionet.files import whole_folder, write_text
from audionet.scratch import ScratchFolder, exchange, recover_folder, remove_leftovers, temporary_folder

WRITE_FILE = """
import sys, time
from pathlib import Path
from audionet.files import whole_file
with whole_file(Path(sys.argv[1])) as part:
    part.write_text("a part of")
    print("writing", flush=True)
    sys.stdin.read()
"""

REPLACE = """
import sys
from pathlib import Path
from audionet import scratch
from audionet.files import whole_folder, write_text
if sys.argv[2] == "two renames":
    scratch.exchange = lambda *_: False
with whole_folder(Path(sys.argv[1])) as folder:
    write_text(folder / "content", "new")
"""


def names(folder):
    return sorted(os.listdir(folder))


@pytest.fixture
def killed_file(tmp_path):
    """A folder with what the killed writer of a file left."""
    command = [sys.executable, "-c", WRITE_FILE, str(tmp_path / "a.jpg")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        process.kill()
    assert len(names(tmp_path)) == 1
    return tmp_path


def test_the_next_write_removes_what_a_killed_writer_left(killed_file):
    write_text(killed_file / "b.jpg", "whole")
    assert names(killed_file) == ["b.jpg"]


def test_a_file_that_is_being_written_is_not_taken_for_a_leftover(tmp_path):
    command = [sys.executable, "-c", WRITE_FILE, str(tmp_path / "a.jpg")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        remove_leftovers(tmp_path)
        process.communicate("")
    assert (tmp_path / "a.jpg").read_text() == "a part of"


def test_leftovers_of_earlier_versions_go_and_what_only_looks_like_one_stays(tmp_path):
    left = [".3_00001.31337.part.jpg", ".a\nb.1.part", ".audionet-abcdefgh/new/x", ".audionet-abcd_123/old/x"]
    kept = [".x.part.jpg", "a.1.part.jpg", ".audionet-my_cache/x", ".audionet-cache/new/x", ".audionet-onlycopy/new/x"]
    kept += [".audionet-onlycopy/old/x", ".movie.12.part.2.mkv"]
    for name in left + kept:
        write_text(tmp_path / name, "")
    remove_leftovers(tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(kept)


@pytest.mark.parametrize("how", ["one step", "two renames"])
@pytest.mark.parametrize("number", range(1, 5))
def test_a_whole_folder_is_there_wherever_its_writer_is_killed(tmp_path, monkeypatch, how, number):
    folder = tmp_path / "[a] model"
    write_text(folder / "content", "old")
    monkeypatch.setenv("AUDIONET_FAILPOINT", f"{tmp_path / 'counter'}:{number}:SIGKILL")
    done = run_python("-c", REPLACE, folder, how)
    monkeypatch.delenv("AUDIONET_FAILPOINT")
    is_whole = how == "one step" and number == 4
    assert done.returncode == (0 if is_whole else -9), done.stderr
    recover_folder(folder)
    between_renames = number == 4 and not is_whole
    assert (folder / "content").read_text() == ("new" if is_whole or between_renames else "old")
    with whole_folder(folder) as new:
        write_text(new / "content", "newer")
    remove_leftovers(tmp_path)  # this process has written to the folder before
    assert (folder / "content").read_text() == "newer"
    assert names(tmp_path) == ["[a] model", "counter"]


def test_the_next_writer_puts_back_what_a_killed_one_took_away(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    write_text(folder / "content", "old")
    monkeypatch.setenv("AUDIONET_FAILPOINT", f"{tmp_path / 'counter'}:4:SIGKILL")
    run_python("-c", REPLACE, folder, "two renames")
    assert not folder.exists()
    monkeypatch.delenv("AUDIONET_FAILPOINT")
    remove_leftovers(tmp_path)
    assert (folder / "content").read_text() == "new"


def test_a_folder_that_was_removed_on_purpose_does_not_come_back(tmp_path):
    for place in (".audionet-abcdefgh/replaced/model", ".audionet-12345678/whole/model"):
        write_text(tmp_path / place / "content", "old")
    recover_folder(tmp_path / "model")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == []


def test_two_folders_change_places_in_one_step(tmp_path):
    for name in ("a", "b"):
        write_text(tmp_path / name / "content", name)
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this system or this file system cannot")
    assert [(tmp_path / name / "content").read_text() for name in ("a", "b")] == ["b", "a"]


def test_a_reader_always_finds_a_folder_while_it_is_replaced(tmp_path):
    folder = tmp_path / "model"
    write_text(folder / "content", "new")
    command = [sys.executable, "-c", REPLACE.replace("with", "while True:\n  with"), str(folder), "one step"]
    with subprocess.Popen(command) as process:
        try:
            for _ in range(3000):
                assert folder.is_dir()
        finally:
            process.kill()


def test_temporary_folders_of_killed_processes_go_and_those_in_use_stay(tmp_path):
    used = ScratchFolder(tmp_path, prefix="audionet-uploads-")
    for name in ("audionet-uploads-abcdefgh", "audionet-uploads-mine", "audionet-sandbox-abcdefgh"):
        write_text(tmp_path / name / "content", "")
    remove_leftovers(tmp_path, prefix="audionet-uploads-")
    assert names(tmp_path) == sorted([used.path.name, "audionet-uploads-mine", "audionet-sandbox-abcdefgh"])
    used.remove()
    assert not used.path.exists()


def test_a_folder_that_is_not_there_has_no_leftovers(tmp_path):
    remove_leftovers(tmp_path / "nowhere")
    recover_folder(tmp_path / "nowhere" / "model")
    assert names(tmp_path) == []


def test_a_temporary_folder_of_a_killed_process_goes_at_the_next_one(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    write_text(tmp_path / "audionet-scratch-abcdefgh" / "graph.pb", "")
    write_text(tmp_path / "audionet-my_model" / "classifier.json", "")
    with temporary_folder() as folder:
        assert names(tmp_path) == sorted(["audionet-my_model", folder.name])
    assert names(tmp_path) == ["audionet-my_model"]
