from pathlib import Path

import pytest

from audionet.errors import InputError, RecordingError
from audionet.scoring import find_clips, score_all


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_files_are_taken_as_they_are_in_the_order_given(tmp_path):
    touch(tmp_path, "b.mp3", "a.jpg", "no suffix")
    named = [tmp_path / "b.mp3", tmp_path / "a.jpg", tmp_path / "no suffix"]
    assert find_clips(named) == named


def test_a_folder_stands_for_the_recordings_in_it_at_any_depth(tmp_path):
    touch(tmp_path, "b.mp3", "sub/a.WAV", "notes.txt")
    assert find_clips([tmp_path]) == [tmp_path / "b.mp3", tmp_path / "sub" / "a.WAV"]


def test_a_folder_of_pictures_gives_those_and_not_the_sound_beside_them(tmp_path):
    touch(tmp_path, "a_00000.jpg", "a_00000.wav")
    assert find_clips([tmp_path]) == [tmp_path / "a_00000.jpg"]


def test_what_does_not_exist_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\\n\.mp3 does not exist"):
        find_clips([tmp_path / "nowhere\n.mp3"])


def test_a_folder_without_clips_is_named(tmp_path):
    with pytest.raises(InputError, match="holds neither a recording nor a picture"):
        find_clips([touch(tmp_path, "notes.txt")])


def test_one_bad_clip_stops_no_other():
    class Scorer:
        def score(self, path):
            if path.stem == "bad":
                raise RecordingError("bad is silent")
            return path.stem

    (_, first), (_, bad), (_, last) = score_all(Scorer(), [Path("a"), Path("bad"), Path("z")])
    assert (first, last) == ("a", "z")
    assert isinstance(bad, RecordingError)


def test_answers_come_one_by_one():
    class Scorer:
        seen = 0

        def score(self, path):
            self.seen += 1
            return path

    scorer = Scorer()
    next(score_all(scorer, [Path("a"), Path("b")]))
    assert scorer.seen == 1
