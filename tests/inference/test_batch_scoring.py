import itertools
import os
from pathlib import Path

import pytest
from conftest import tone, write_sound

from audionet.audio import decoding
from audionet.errors import InputError, PictureError, RecordingError
from audionet.features.image_io import read_picture
from audionet.features.recipes import find_recipe
from audionet.inference import batch_scoring
from audionet.inference.batch_scoring import MismatchWarnings, find_clips, score_all


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(*paths: Path, **options) -> list[Path]:
    return list(find_clips(paths, **options))


class Echo:
    """Answers with the name of a file, and knows one that is bad."""

    recipe = None

    def __init__(self):
        self.seen = 0

    def score(self, path):
        self.seen += 1
        if path.stem == "bad":
            raise RecordingError("bad is silent")
        return path.stem


# Finding


def test_files_are_taken_as_they_are_in_the_order_given(tmp_path):
    touch(tmp_path, "b.mp3", "a.jpg", "no suffix")
    named = [tmp_path / "b.mp3", tmp_path / "a.jpg", tmp_path / "no suffix", Path("-")]
    assert found(*named) == named


def test_a_folder_stands_for_the_recordings_in_it_at_any_depth(tmp_path):
    touch(tmp_path, "b.mp3", "sub/a.WAV", "notes.txt", "film.mp4", ".hidden.mp3")
    assert found(tmp_path) == [tmp_path / "b.mp3", tmp_path / "film.mp4", tmp_path / "sub" / "a.WAV"]


def test_a_folder_of_pictures_gives_those_and_not_the_sound_beside_them(tmp_path):
    touch(tmp_path, "a_00000.jpg", "a_00000.wav", "b.wav")
    assert found(tmp_path) == [tmp_path / "a_00000.jpg", tmp_path / "b.wav"]


def test_a_pattern_stands_for_what_matches_it(tmp_path):
    touch(tmp_path, "b.mp3", "a.mp3", "c.wav", "sub/d.mp3")
    assert found(tmp_path / "*.mp3") == [tmp_path / "a.mp3", tmp_path / "b.mp3"]
    assert found(tmp_path / "**" / "d.mp3") == [tmp_path / "sub" / "d.mp3"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    touch(tmp_path, "a[1].mp3", "a1.mp3")
    assert found(tmp_path / "a[1].mp3") == [tmp_path / "a[1].mp3"]


@pytest.mark.parametrize(("name", "message"), [("nowhere\n.mp3", "does not exist"), ("*.mp3", "matches nothing")])
def test_what_does_not_exist_is_named_before_any_work(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        find_clips([tmp_path / name])


def test_a_folder_without_clips_stops_no_other(tmp_path):
    touch(tmp_path, "empty/notes.txt", "full/a.mp3")
    (_, reason), (_, answer) = score_all(Echo(), find_clips([tmp_path / "empty", tmp_path / "full"]))
    assert "empty holds neither a recording nor a picture" in str(reason)
    assert answer == "a"


@pytest.mark.parametrize(
    "content",
    ["a.mp3\nb c.mp3\n", "a.mp3\r\n\r\nb c.mp3", "\ufeffa.mp3\nb c.mp3", "a.mp3\0b c.mp3\0", "a.mp3\nb c.mp3"],
)
@pytest.mark.parametrize("block_bytes", [8, 1 << 16])
def test_a_list_may_come_from_unix_windows_or_find(tmp_path, monkeypatch, content, block_bytes):
    monkeypatch.setattr(batch_scoring, "LIST_BYTES", block_bytes)
    (tmp_path / "list.txt").write_bytes(content.encode())
    assert found(from_file=tmp_path / "list.txt") == [Path("a.mp3"), Path("b c.mp3")]


def test_a_list_may_name_folders_and_files_of_any_name(tmp_path):
    touch(tmp_path, "folder/a.mp3")
    odd = os.fsdecode(b"\xff\n.mp3")
    (tmp_path / "list").write_bytes(os.fsencode(f"{tmp_path / 'folder'}\0{odd}\0"))
    assert found(tmp_path / "folder", from_file=tmp_path / "list") == [
        tmp_path / "folder" / "a.mp3",
        tmp_path / "folder" / "a.mp3",
        Path(odd),
    ]


def test_a_list_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"--from_file: .*is not there"):
        find_clips([], from_file=tmp_path / "list.txt")


def test_an_empty_list_names_nothing(tmp_path):
    assert found(from_file=touch(tmp_path, "list.txt") / "list.txt") == []


def test_a_large_folder_is_not_listed_before_the_first_clip(tmp_path, monkeypatch):
    touch(tmp_path, *(f"{number}.mp3" for number in range(100)))
    listed = []

    class Listing:
        def __init__(self, folder):
            self.real = scandir(folder)

        def __enter__(self):
            return (listed.append(entry) or entry for entry in self.real)

        def __exit__(self, *_):
            self.real.close()

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", Listing)
    monkeypatch.setattr(batch_scoring, "NAMES_AT_ONCE", 10)
    clips = find_clips([tmp_path])
    first = list(itertools.islice(clips, 10))
    assert len(listed) <= 20 and first == sorted(first)
    assert len({*first, *clips}) == 100


# Scoring


def test_one_bad_clip_stops_no_other():
    (_, first), (_, bad), (_, last) = score_all(Echo(), [Path("a"), Path("bad"), Path("z")])
    assert (first, last) == ("a", "z")
    assert isinstance(bad, RecordingError)


@pytest.mark.parametrize("jobs", [1, 3])
def test_answers_come_in_order_and_before_the_last_clip_is_looked_up(jobs):
    scorer, looked_up = Echo(), itertools.count()
    answers = score_all(scorer, (Path(str(next(looked_up))) for _ in range(100)), jobs=jobs)
    assert next(answers) == (Path("0"), "0")
    assert scorer.seen <= 2 * jobs + 1
    assert [answer for _, answer in answers] == [str(number) for number in range(1, 100)]


# Warnings


def test_a_low_rate_and_a_short_clip_are_said_once_each(tmp_path, capsys):
    warnings = MismatchWarnings(find_recipe("default"))
    for name in "ab":
        warnings.check(write_sound(tmp_path / f"{name}.wav", tone(400, 0.5, rate_hz=8000), 8000))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "a.wav has 8000 samples a second and the classifier was trained at 16000" in said[0]
    assert "a.wav is 0.5 s long and the classifier was trained on 2 s" in said[1]


def test_of_what_is_as_in_training_nothing_is_said(tmp_path, capsys):
    warnings = MismatchWarnings(find_recipe("default"))
    warnings.check(write_sound(tmp_path / "a.wav", tone(400, 3.0, rate_hz=48_000), 48_000))
    warnings.check(tmp_path / "missing.wav")
    warnings.check(decoding.STDIN)
    assert capsys.readouterr().err == ""


def test_a_subfolder_that_may_not_be_read_is_among_the_clips_and_the_rest_go_on(tmp_path, as_nobody):
    clips = touch(tmp_path / "clips", "a.wav", "closed/b.wav")
    with as_nobody(touch(tmp_path / "own", "x").resolve(), unreadable=clips / "closed"):
        assert found(clips) == [clips / "a.wav", clips / "closed"]
        with pytest.raises(PictureError, match=r"closed cannot be read \(it is a folder that cannot be read\)"):
            read_picture(clips / "closed")
