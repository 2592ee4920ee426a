"""What cannot be written is refused before any work, whatever the command and whoever runs it."""

import dataclasses
import os
import subprocess
from pathlib import Path

import pytest
from command_options import NEEDED, options_class, parts_of
from conftest import run_audionet

from audionet.__main__ import COMMANDS
from audionet.errors import InputError
from audionet.outputs import check_outputs

FILES = [
    *(("train", option) for option in ("output_graph", "output_labels", "report")),
    *(("evaluate", option) for option in ("json", "report")),
    *((command, "output") for command in ("label", "timeline", "explain", "export", "verify", "embed", "background")),
    *((command, option) for command in ("suspects", "review") for option in ("csv", "report")),
    ("verify", "json"),
]
FOLDERS = [
    *(("train", option) for option in ("output_model", "bottleneck_dir", "summaries_dir", "runs_dir", "model_dir")),
    *(("timeline", option) for option in ("timeline_dir", "export_clips")),
    *[("data", "image_dir"), ("demo", "demo_dir"), ("evaluate", "runs_dir"), ("explain", "output")],
    *[("export", "output"), ("similar", "cache_dir"), ("inspect", "tensorboard"), ("app", "taught_dir")],
    *[("enroll", "model"), ("similar", "index")],
    *[("embed", option) for option in ("index", "cache_dir", "model_dir")],
    ("similar", "model_dir"),
    *[
        (command, option)
        for command in ("background", "suspects", "review")
        for option in ("bottleneck_dir", "model_dir")
    ],
    *[("experiment", option) for option in ("output_dir", "bottleneck_dir")],
    ("cache", "bottleneck_dir"),
]
READ = {"audio_dir", "image_dir", "model", "clips", "files", "image", "from_file", "graph", "labels", "among"}
READ |= {"negatives", "test_dir", "weights", "onnx_file", "examples_dir", "runs_dir", "trials", "cohort", "background"}
READ |= {"grid", "verdicts", "again", "folder"}
WITHOUT_MODEL = ("train", "data", "demo", "embed", "similar", "background", "experiment", "suspects", "review", "cache")
NEEDED_TO_WRITE = {"verify": ["--trials", "no such list", "--audio_dir", "no such folder"]}


def paths_of(options: type) -> set[str]:
    groups = [field.default_factory for field in dataclasses.fields(options)]
    nested = [paths_of(group) for group in groups if dataclasses.is_dataclass(group)]
    own = {field.name for field in dataclasses.fields(options) if Path in parts_of(field.type)}
    return own.union(*nested)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_path_is_known_to_be_read_or_written(command):
    written = {option for one, option in FILES + FOLDERS if one == command}
    assert paths_of(options_class(command)) <= written | READ


def refused(command: str, option: str, place: Path, arguments: list[str], capsys) -> bool:
    """Tell whether a command, all other options of which are wrong too, refuses a place to write to."""
    needed = [
        one
        for one in NEEDED_TO_WRITE.get(command, NEEDED.get(command, []))
        if one not in ("--output", "a.png", "a.keras", "--list")
    ]
    model = [] if option == "model" or command in WITHOUT_MODEL else ["--model", "no such model"]
    status = run_audionet(command, *needed, *model, *arguments, f"--{option}", place)
    message = capsys.readouterr().err
    return status == 2 and f"Error: --{option}: " in message and "cannot be written (" in message


def impossible(tmp_path: Path, name: str) -> list[Path]:
    (tmp_path / "file").write_text("here already")
    (tmp_path / "pipes").mkdir()
    os.mkfifo(tmp_path / "pipes" / name)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    places = [Path("/proc"), tmp_path / "file", tmp_path / "pipes" / name, tmp_path / "loop", tmp_path / ("long" * 99)]
    return [*(place / name for place in places), tmp_path / "pipes" / name]


@pytest.mark.parametrize(("command", "option"), FILES)
def test_a_file_that_cannot_be_written_is_refused_before_the_work(command, option, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = {"explain": "a.png", "export": "a.keras", "label": "a.csv", "timeline": "a.csv", "verify": "a.csv"}.get(
        command, "a.npy" if command == "embed" else "a.json"
    )
    (tmp_path / "folder" / name).mkdir(parents=True)
    for place in [*impossible(tmp_path, name), tmp_path / "folder" / name]:
        arguments = ["--image_dir", "no such folder"] if command == "train" else []
        assert refused(command, option, place, arguments, capsys), place


@pytest.mark.parametrize(("command", "option"), FOLDERS)
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(command, option, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = {"train": ["--image_dir", "no such folder"], "export": ["--format", "openvino"]}.get(command, [])
    arguments = ["--remove", "carol"] if command == "enroll" else arguments
    for place in [*impossible(tmp_path, "folder"), tmp_path / "file"]:
        assert refused(command, option, place, arguments, capsys), place


def test_what_can_be_written_is_left_as_it_was(tmp_path):
    (tmp_path / "old.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "old.txt")
    before = sorted(tmp_path.rglob("*"))
    check_outputs(
        files={
            "a": tmp_path / "old.txt",
            "b": tmp_path / "link.txt",
            "c": tmp_path / "new" / "deep" / "a.txt",
            "d": None,
        },
        folders={"e": tmp_path, "f": str(tmp_path / "new" / "folder"), "g": "relative"},
        replaced={"h": tmp_path, "i": tmp_path / "new"},
    )
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "old.txt").read_text() == "old"


@pytest.fixture
def read_only_disk(tmp_path):
    """A folder on a disk that nothing can be written to; only root may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("only root may mount a disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_is_read_only_is_found_out_by_root_too(read_only_disk):
    for places in ({"files": {"report": read_only_disk / "a"}}, {"folders": {"runs_dir": read_only_disk}}):
        with pytest.raises(InputError, match=r"cannot be written \(Read-only file system\)"):
            check_outputs(**places)


def test_a_folder_that_a_disk_is_mounted_at_cannot_be_replaced(tiny_disk):
    check_outputs(folders={"runs_dir": tiny_disk}, replaced={"output_model": tiny_disk / "model"})
    with pytest.raises(InputError, match="a disk is mounted there"):
        check_outputs(replaced={"output_model": tiny_disk})
