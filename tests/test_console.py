import io
import os
import sys

from conftest import run_python

from audionet.console import log, progress_bar, silence_native_stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run_bar() -> None:
    with progress_bar(total=3, description="Drawing", unit="pictures") as bar:
        for _ in range(3):
            bar.update()
            bar.refresh()


def test_a_terminal_sees_progress_with_speed(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    run_bar()
    assert "Drawing" in sys.stderr.getvalue()
    assert "pictures/s" in sys.stderr.getvalue()


def test_a_log_file_is_spared_the_progress_bar(capsys):
    run_bar()
    assert capsys.readouterr() == ("", "")


def test_messages_go_to_stderr(capsys):
    log("Set aside: a.mp3")
    assert capsys.readouterr() == ("", "Set aside: a.mp3\n")


def test_what_a_native_library_writes_is_hushed_and_nothing_later(capfd):
    with silence_native_stderr():
        os.write(2, b"chatter")
    os.write(2, b"news")
    assert capfd.readouterr().err == "news"


def test_a_message_comes_out_while_native_libraries_are_silenced_in_several_threads():
    program = (
        "import os, threading\n"
        "from audionet.console import log, silence_native_stderr\n"
        "def read(number):\n"
        "    for _ in range(100):\n"
        "        with silence_native_stderr():\n"
        "            os.write(2, b'chatter')\n"
        "            log(f'Set aside: {number}')\n"
        "threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "log('done')\n"
    )
    done = run_python("-c", program)
    lines = done.stderr.splitlines()
    assert lines.pop() == "done"
    assert sorted(lines) == sorted(f"Set aside: {number}" for number in range(4) for _ in range(100))
