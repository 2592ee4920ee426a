import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from audionet.app.sandbox import CrashError, Limits, OvertimeError, SandboxedWorker
from audionet.errors import RecordingError


def double(number: int) -> int:
    return 2 * number


def die() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def sleep_with_a_child(*, note: str) -> None:
    (Path(tempfile.gettempdir()) / "left-behind").mkdir()
    child = subprocess.Popen(["sleep", "600"])
    Path(note).write_text(str(child.pid))
    time.sleep(600)


def find_fault() -> None:
    raise RecordingError("This is silent.")


def stumble() -> None:
    raise ZeroDivisionError("a fault of ours")


def fill_memory() -> None:
    bytearray(64 << 30)


def write_much() -> str:
    try:
        (Path(tempfile.gettempdir()) / "bomb").write_bytes(bytes(4 << 20))
    except OSError as error:
        return error.strerror or ""
    return "written"


@pytest.fixture(scope="module")
def worker():
    with contextlib.closing(SandboxedWorker(Limits(seconds=2.0, file_bytes=1 << 20))) as worker:
        yield worker


def test_work_is_done_in_one_other_process(worker):
    assert worker.run(double, number=21) == 42
    assert worker.run(os.getpid) == worker.run(os.getpid) != os.getpid()


def test_a_crash_ends_only_its_own_work(worker):
    with pytest.raises(CrashError, match="ended the process"):
        worker.run(die)
    assert worker.run(double, number=2) == 4


def test_work_that_takes_too_long_is_ended_with_its_children_and_its_scratch(worker, tmp_path):
    with pytest.raises(OvertimeError, match="longer than 2 s"):
        worker.run(sleep_with_a_child, note=str(tmp_path / "child"))
    child = int((tmp_path / "child").read_text())
    while is_running(child):  # until the system has got round to it
        time.sleep(0.01)
    assert not list(worker.scratch.iterdir())
    assert worker.run(double, number=3) == 6


def is_running(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("task", "kind", "words"),
    [
        (find_fault, RecordingError, "This is silent."),
        (stumble, RuntimeError, "ZeroDivisionError: a fault of ours"),
        (fill_memory, CrashError, "more memory"),
    ],
)
def test_a_fault_is_told_and_the_process_goes_on(worker, task, kind, words):
    before = worker.run(os.getpid)
    with pytest.raises(kind, match=words):
        worker.run(task)
    assert worker.run(os.getpid) == before


def test_a_file_beyond_its_limit_cannot_be_written(worker):
    assert worker.run(write_much) == "File too large"


def test_many_who_ask_at_once_all_get_their_own_answer(worker):
    answers = {}
    threads = [
        threading.Thread(target=lambda number=number: answers.update({number: worker.run(double, number)}))
        for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: 2 * number for number in range(20)}


def test_closing_removes_everything():
    worker = SandboxedWorker(Limits())
    process = worker.run(os.getpid)
    worker.close()
    assert not worker.scratch.exists() and not is_running(process)
