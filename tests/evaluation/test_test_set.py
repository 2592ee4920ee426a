"""Which recordings a test folder holds."""

import pytest

from audionet.errors import InputError
from audionet.evaluation import test_set


class TestFolders:
    @pytest.mark.parametrize("find", [test_set.find_audio, test_set.find_pictures, test_set.find_negatives])
    def test_an_empty_folder_is_an_error(self, find, tmp_path):
        (tmp_path / "alice").mkdir()
        with pytest.raises(InputError, match="holds no"):
            find(tmp_path)

    def test_recordings_are_in_the_groups_that_were_asked_for(self, tmp_path):
        for name in ("monday_1.wav", "monday_2.wav", "friday_1.wav"):
            (tmp_path / "audio" / "alice" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "audio" / "alice" / name).write_bytes(b"")
        found = test_set.find_sources(audio_dir=tmp_path / "audio", image_dir=None, negatives=None, group_by="^[a-z]+")
        assert [source.group for source in found] == ["friday", "monday", "monday"]
        found = test_set.find_test_sources(tmp_path / "audio")
        assert [source.group for source in found] == [source.recording for source in found]

    def test_a_folder_that_may_not_be_read_stands_among_the_recordings(self, tmp_path, as_nobody):
        for name in ("alice/1.wav", "alice/closed/2.wav", "bob/1.wav"):
            (tmp_path / "audio" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "audio" / name).write_bytes(b"")
        (tmp_path / "own").mkdir()
        with as_nobody(tmp_path / "own", unreadable=tmp_path / "audio" / "alice" / "closed"):
            found = test_set.find_test_sources(tmp_path / "audio", group_by="^[0-9]+")
        assert {source.recording: source.label for source in found} == {
            "alice/1.wav": "alice",
            "alice/closed": "alice",
            "bob/1.wav": "bob",
        }
        assert {source.recording: source.group for source in found if not source.is_closed} == {
            "alice/1.wav": "1",
            "bob/1.wav": "1",
        }
