import pytest

from audionet.commands.app import AppOptions
from audionet.errors import InputError


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": -1}, "--port: expected 0 to 65535"),
        ({"max_waiting": 0}, "--max_waiting: expected 1 to"),
        ({"token": "short"}, "--token: expected 8"),
    ],
)
def test_an_option_that_cannot_work_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        AppOptions(**options)
