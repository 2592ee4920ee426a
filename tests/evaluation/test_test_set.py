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
