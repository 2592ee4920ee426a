import errno

import pytest
from conftest import run_python

from audionet.failpoints import RECORD_BYTES, failpoint
from audionet.files import write_text

WRITE = """
import sys
from pathlib import Path
from audionet.files import write_text
for number in range(int(sys.argv[2])):
    write_text(Path(sys.argv[1]) / f"{number}.txt", "whole")
"""


def passed(counter_file):
    return [line.split()[:-1] for line in counter_file.read_text().splitlines()]


def test_writes_are_counted_over_all_processes(tmp_path, monkeypatch):
    counter_file = tmp_path / "with:colon"
    monkeypatch.setenv("AUDIONET_FAILPOINT", f"{counter_file}:0:SIGKILL")
    for count in (1, 2):
        assert run_python("-c", WRITE, tmp_path, count).returncode == 0
    assert passed(counter_file) == 3 * [["write", "a", "file"], ["rename", "a", "file"]]
    assert all(len(line) == RECORD_BYTES for line in counter_file.read_text().splitlines(keepends=True))


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGTERM"])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_process_ends_at_the_chosen_write(tmp_path, monkeypatch, signal_name, number):
    monkeypatch.setenv("AUDIONET_FAILPOINT", f"{tmp_path / 'counter'}:{number}:{signal_name}")
    done = run_python("-c", WRITE, tmp_path, 2)
    assert done.returncode in (-9, -15)
    assert sorted(path.name for path in tmp_path.glob("[0-9]*.txt")) == ["0.txt"][: number // 3]
    assert len(passed(tmp_path / "counter")) == number
    assert len(list(tmp_path.glob(".*.part"))) == 1 - number % 2


def test_a_disk_is_full_from_the_chosen_write_on(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIONET_FAILPOINT", f"{tmp_path / 'counter'}:3:ENOSPC")
    write_text(tmp_path / "a.txt", "whole")
    for _ in range(2):
        with pytest.raises(OSError, match="No space left") as caught:
            write_text(tmp_path / "b.txt", "whole")
        assert caught.value.errno == errno.ENOSPC
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "counter"]


def test_without_the_variable_nothing_happens(monkeypatch):
    monkeypatch.delenv("AUDIONET_FAILPOINT", raising=False)
    failpoint("write a file")
    monkeypatch.setenv("AUDIONET_FAILPOINT", "")
    failpoint("write a file")
