import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audionet.errors import InputError
from audionet.files import (
    disk_is_full,
    files_below,
    label_folders,
    labelled_files,
    mark_folder,
    one_writer,
    printable,
    read_mark,
    walk_files,
    whole_file,
    whole_folder,
    write_bytes,
    write_json,
    write_text,
)


@given(st.text())
def test_a_printable_name_is_on_one_line_and_encodes(name):
    shown = printable(name)
    assert shown.isprintable()
    shown.encode("utf-8")


@pytest.mark.parametrize("name", ["plain.mp3", "Ünïcode", "a b", "日本語", 'it\'s "quoted"'])
def test_an_ordinary_name_is_printed_to_the_letter(name):
    assert printable(name) == name


def test_an_undecodable_byte_is_escaped():
    assert printable(os.fsdecode(b"\xff\n")) == r"\udcff\n"


def test_a_file_is_whole_or_as_it_was_before(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), whole_file(path) as scratch:
        scratch.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_leaves_the_old_file_and_no_scratch(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", no_room)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_picture_that_is_being_written_is_not_taken_for_one(tmp_path, monkeypatch):
    seen: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *names: (seen.extend(os.listdir(tmp_path)), replace(*names)))
    write_bytes(tmp_path / "a.jpg", b"content")
    assert len(seen) == 1 and Path(seen[0]).suffix == ".part"
    assert os.listdir(tmp_path) == ["a.jpg"]


def test_a_full_disk_is_told_with_the_name_of_the_file_that_had_no_room(tiny_disk):
    with pytest.raises(OSError) as caught:
        write_bytes(tiny_disk / "a.jpg", bytes(400_000))
    assert disk_is_full(caught.value) and caught.value.filename == str(tiny_disk / "a.jpg")
    with pytest.raises(OSError) as caught, whole_folder(tiny_disk / "model") as scratch:
        write_bytes(scratch / "head.npz", bytes(400_000))
    assert disk_is_full(caught.value) and caught.value.filename == str(tiny_disk / "model" / "head.npz")


def test_a_file_may_have_any_name(tmp_path):
    for name in ("-x", "a\nb", "it's", os.fsdecode(b"\xff"), "ü" * 100):
        write_text(tmp_path / name, "content")
        assert (tmp_path / name).read_text() == "content"


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "model"
    for name in ("first", "second"):
        with whole_folder(folder) as scratch:
            (scratch / name).touch()
    assert os.listdir(folder) == ["second"]
    assert os.listdir(tmp_path) == ["model"]


def test_a_folder_stays_when_its_replacement_fails(tmp_path):
    folder = tmp_path / "model"
    mark_folder(folder, "classifier")
    with pytest.raises(RuntimeError), whole_folder(folder) as scratch:
        (scratch / "half").touch()
        raise RuntimeError
    assert read_mark(folder) == {"kind": "classifier"}
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("can_swap", [True, False])
def test_a_folder_stays_when_the_disk_fills_at_the_last_moment(tmp_path, monkeypatch, can_swap):
    folder = tmp_path / "model"
    mark_folder(folder, "classifier")
    replace = os.replace

    def fail_for_new(source, *_):
        if Path(source).parent.name == "whole":
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, *_)

    monkeypatch.setattr(os, "replace", fail_for_new)
    monkeypatch.setattr("audionet.scratch.exchange", fail_for_new if can_swap else lambda *_: False)
    with pytest.raises(OSError, match="No space"), whole_folder(folder):
        pass
    assert read_mark(folder) == {"kind": "classifier"}
    assert os.listdir(tmp_path) == ["model"]


def test_two_threads_write_one_file_without_mixing(tmp_path):
    path = tmp_path / "a.txt"
    texts = [letter * 100_000 for letter in "abcdef"]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda text: write_text(path, text), texts * 5))
    assert path.read_text() in texts
    assert os.listdir(tmp_path) == ["a.txt"]


HOLD = """
import sys, time
from pathlib import Path
from audionet.files import one_writer
with one_writer(Path(sys.argv[1]), option="--image_dir"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_another_process(folder):
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_a_second_writer_is_told_what_to_do_and_nothing_is_left_behind(tmp_path):
    folder = tmp_path / "pictures"
    with held_by_another_process(folder) as process:
        message = r"--image_dir: another run writes to .*pictures\. Wait for its end, or name another folder"
        with pytest.raises(InputError, match=message), one_writer(folder, option="--image_dir"):
            pass
        process.kill()  # as the system would, without a chance to tidy up
        process.wait()
        with one_writer(folder, option="--image_dir"):
            assert os.listdir(folder) == []


def test_a_folder_made_for_a_writer_that_wrote_nothing_is_removed(tmp_path):
    with one_writer(tmp_path / "pictures", option="--image_dir"):
        assert (tmp_path / "pictures").is_dir()
    assert os.listdir(tmp_path) == []


def test_a_writer_may_ask_again_for_what_it_holds(tmp_path):
    folder = tmp_path / "model"
    for _ in range(2):
        with one_writer(folder, option="--model"), one_writer(folder, option="--model"), whole_folder(folder) as new:
            (new / "content").touch()
    with held_by_another_process(folder):
        pass


def test_a_thread_waits_for_the_other_that_writes(tmp_path):
    count = tmp_path / "count.txt"
    count.write_text("0")

    def add_one(_):
        with one_writer(tmp_path, option="--model", wait_seconds=60):
            count.write_text(str(int(count.read_text()) + 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_one, range(80)))
    assert count.read_text() == "80"


def test_without_locks_there_is_nobody_to_wait_for(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    with held_by_another_process(tmp_path):
        monkeypatch.setattr("fcntl.flock", no_locks)
        with one_writer(tmp_path, option="--image_dir"), whole_folder(tmp_path / "model") as scratch:
            write_text(scratch / "a.txt", "whole")
    assert (tmp_path / "model" / "a.txt").read_text() == "whole"


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    write_text(tmp_path / "a.txt", "")
    with pytest.raises(InputError, match=r"--image_dir: .*a\.txt cannot be opened \(File exists\)"):  # noqa: SIM117
        with one_writer(tmp_path / "a.txt", option="--image_dir"):
            pass


def test_a_mark_tells_what_a_folder_is(tmp_path):
    mark_folder(tmp_path / "ours", "pictures", recipe="default")
    assert read_mark(tmp_path / "ours") == {"kind": "pictures", "recipe": "default"}
    assert read_mark(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 20_000])
def test_a_damaged_mark_still_marks(tmp_path, content):
    (tmp_path / "audionet.json").write_bytes(content)
    assert read_mark(tmp_path) == {"kind": "unreadable"}


def test_a_walk_is_sorted_and_passes_over_what_is_hidden_or_ours(tmp_path):
    for name in ("b/2.wav", "b/1.wav", "a.wav", ".hidden.wav", ".git/x.wav"):
        write_text(tmp_path / name, "")
    mark_folder(tmp_path / "data_image", "pictures")
    write_text(tmp_path / "data_image" / "x.wav", "")
    assert [str(path.relative_to(tmp_path)) for path in walk_files(tmp_path)] == ["a.wav", "b/1.wav", "b/2.wav"]


def test_a_walk_never_goes_round_a_loop(tmp_path):
    write_text(tmp_path / "a" / "1.wav", "")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to("self")
    (tmp_path / "a" / "here").symlink_to(".")
    found = [path.relative_to(tmp_path).as_posix() for path in walk_files(tmp_path)]
    assert found == ["a/1.wav", "a/self"]


def test_a_walk_follows_links_to_other_disks(tmp_path):
    write_text(tmp_path / "disk" / "1.wav", "")
    (tmp_path / "label").mkdir()
    (tmp_path / "label" / "more").symlink_to(tmp_path / "disk")
    assert list(walk_files(tmp_path / "label")) == [tmp_path / "label" / "more" / "1.wav"]


def test_label_folders_are_sorted_and_kept_to_the_letter(tmp_path):
    names = ["a b", "a_b", "Ünïcode", "-dash", "it's", "line\nbreak", os.fsdecode(b"b\xff")]
    for name in (*names, ".hidden"):
        (tmp_path / name).mkdir()
    mark_folder(tmp_path / "data_image", "pictures")
    (tmp_path / "a_file").touch()
    assert [folder.name for folder in label_folders(tmp_path, option="--audio_dir")] == sorted(names)


def test_a_missing_folder_is_named_with_its_option(tmp_path):
    with pytest.raises(InputError, match=r"--audio_dir: .*nowhere does not exist"):
        label_folders(tmp_path / "nowhere", option="--audio_dir")


def test_a_file_is_no_folder_of_labels(tmp_path):
    write_json(tmp_path / "a.json", {})
    with pytest.raises(InputError, match="is a file"):
        label_folders(tmp_path / "a.json", option="--audio_dir")


def test_a_folder_without_labels_says_what_to_put_there(tmp_path):
    (tmp_path / "loose.mp3").touch()
    with pytest.raises(InputError, match=r"has no label folder. Put the files"):
        label_folders(tmp_path, option="--audio_dir")


def test_files_are_listed_by_label_and_by_their_names_below_the_folder(tmp_path, monkeypatch):
    for name in ("b/2.wav", "a/deep/1.wav", "a/3.wav", "a/note.txt", "c/note.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, Path()):
        listed = labelled_files(folder, option="--audio_dir", wanted=lambda path: path.suffix == ".wav")
        assert [(label, *files) for label, files in listed.items()] == [
            ("a", "a/3.wav", "a/deep/1.wav"),
            ("b", "b/2.wav"),
            ("c",),
        ]
        assert listed["a"]["a/3.wav"] == folder / "a" / "3.wav"
    assert list(files_below(tmp_path / "a")) == ["3.wav", "note.txt", "deep/1.wav"]


def test_only_want_of_room_counts_as_a_full_disk():
    assert disk_is_full(OSError(errno.ENOSPC, ""))
    assert disk_is_full(OSError(errno.EDQUOT, ""))
    assert not disk_is_full(OSError(errno.EACCES, ""))
