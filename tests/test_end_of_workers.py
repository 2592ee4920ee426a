"""Processes end with the one that started them: each test kills one, and waits for the others."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from audionet.errors import InputError
from audionet.files import one_writer

WAITING = """
import subprocess, time
from pathlib import Path

def note_and_wait(folder):
    child = subprocess.Popen(["sleep", "600"])
    (Path(folder) / "child").write_text(str(child.pid))
    time.sleep(600)
"""

POOL = """
import sys
from pathlib import Path
from waiting import note_and_wait
from audionet.files import one_writer
from audionet.parallel import run_groups

if __name__ == "__main__":
    with one_writer(Path(sys.argv[1]), option="--image_dir"):
        list(run_groups(note_and_wait, [[sys.argv[1]]], jobs=1, in_order=True))
"""

SANDBOX = """
import sys
from waiting import note_and_wait
from audionet.app.sandbox import Limits, SandboxedWorker

if __name__ == "__main__":
    SandboxedWorker(Limits()).run(note_and_wait, sys.argv[1])
"""

STDIN = """
import sys
from dataclasses import dataclass
from waiting import note_and_wait
from audionet.cli import run_command

@dataclass(frozen=True)
class Options:
    folder: str

run_command(lambda options: note_and_wait(options.folder), Options, "Wait.", ["--folder", sys.argv[1]])
"""


def is_running(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def number_in(file: Path) -> int:
    """Return the number in a file, once it is there."""
    while not (file.exists() and file.read_text()):
        time.sleep(0.01)
    return int(file.read_text())


def started(program: str, tmp_path: Path, **options) -> tuple[subprocess.Popen, int]:
    """Start a program, and return it with the number of the process that its child has started."""
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "waiting.py").write_text(WAITING)
    (tmp_path / "folder").mkdir()
    process = subprocess.Popen([sys.executable, tmp_path / "program.py", tmp_path / "folder"], **options)
    return process, number_in(tmp_path / "folder" / "child")


def wait_for_end(process: int) -> None:
    while is_running(process):
        time.sleep(0.01)


@pytest.mark.parametrize("program", [POOL, SANDBOX], ids=["pool", "sandbox"])
def test_workers_and_their_children_end_with_a_killed_master(program, tmp_path):
    master, child = started(program, tmp_path)
    assert is_running(child)
    master.kill()
    master.wait()
    wait_for_end(child)


def test_a_folder_is_held_until_the_last_worker_has_ended(tmp_path):
    master, child = started(POOL, tmp_path)
    folder = tmp_path / "folder"
    worker = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
    subprocess.run(["kill", "-STOP", str(worker)], check=True)  # it takes no notice, for a while, of its master's end
    master.kill()
    master.wait()
    with (
        pytest.raises(InputError, match="another run writes to"),
        one_writer(tmp_path / "folder", option="--image_dir"),
    ):
        pass
    subprocess.run(["kill", "-CONT", str(worker)], check=True)
    with one_writer(folder, option="--image_dir", wait_seconds=60):
        assert not is_running(worker)


def test_a_command_ends_with_the_program_that_holds_its_stdin(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIONET_ENDS_WITH_STDIN", "1")
    command, child = started(STDIN, tmp_path, stdin=subprocess.PIPE, start_new_session=True)
    command.stdin.close()
    assert command.wait() == -signal.SIGKILL
    wait_for_end(child)
