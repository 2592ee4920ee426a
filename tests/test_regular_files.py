import os

import pytest
from conftest import IRREGULAR, irregular_file

from audionet.regular_files import open_regular, read_regular


@pytest.mark.parametrize("kind", IRREGULAR)
def test_what_is_no_regular_file_is_neither_waited_for_nor_read(tmp_path, kind):
    path = irregular_file(tmp_path / "a", kind)
    link = tmp_path / "link"
    link.symlink_to(path)
    for one in (path, link):
        with pytest.raises(OSError, match=f"it is a {kind}"):
            open_regular(one)


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(tmp_path, monkeypatch):
    """The file is looked at again once it is open."""
    (tmp_path / "file").write_bytes(b"sound")
    regular = os.stat(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(os, "stat", lambda path: regular)
    with pytest.raises(OSError, match="it is a pipe"):
        read_regular(tmp_path / "pipe")


def test_a_folder_a_missing_file_and_a_loop_are_refused(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError, match="it is a folder"):
        read_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "missing")
    with pytest.raises(OSError, match="symbolic links"):
        read_regular(tmp_path / "loop")


def test_a_file_is_read_whole_unless_it_is_too_large(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_regular(path) == read_regular(path, most_bytes=5) == b"12345"
    with pytest.raises(OSError, match="expected 0 MB at most"):
        read_regular(path, most_bytes=4)
