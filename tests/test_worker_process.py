"""Programs of every kind may use the library: workers need nothing of the program that starts them."""

import subprocess
import sys
import threading
import types

import pytest
from conftest import run_python

from audionet.worker_process import context_of

PROGRAM = """
import audionet

result = audionet.make_data({audio!r}, {images!r}, jobs=2)
assert result.failures == {{}}, result.failures
print(result.recordings_made)
"""


@pytest.fixture
def program(audio_dir, tmp_path) -> str:
    return PROGRAM.format(audio=str(audio_dir), images=str(tmp_path / "pictures"))


def test_a_program_may_come_on_stdin(program):
    done = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr


def test_an_interactive_session_may_use_the_library(program):
    done = subprocess.run([sys.executable, "-i", "-q"], input=program, capture_output=True, text=True, timeout=300)
    assert done.stdout == "4\n", done.stderr


def test_a_script_needs_no_guard_against_being_imported(program, tmp_path):
    (tmp_path / "program.py").write_text(program)
    done = run_python(tmp_path / "program.py")
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr


def test_a_program_keeps_its_main_module_whoever_starts_processes_meanwhile():
    main = sys.modules["__main__"]
    processes = [context_of("spawn").Process(target=int) for _ in range(4)]
    threads = [threading.Thread(target=process.start) for process in processes]
    for thread in threads:
        thread.start()
    for thread, process in zip(threads, processes, strict=True):
        thread.join()
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert sys.modules["__main__"] is main and isinstance(main, types.ModuleType)
