import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from audionet.files import MOST_CHARACTERS, brief
from audionet.json_files import parse_json, validated


class Row(BaseModel, strict=True):
    name: str
    sizes: list[int]


SCHEMA = TypeAdapter(Row)


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, '{"a":' * 100_000, b"\xff"])
def test_what_is_no_json_or_too_deep_is_a_value_error(content):
    with pytest.raises(ValueError):
        parse_json(content)


def test_what_fits_a_schema_is_returned_and_the_first_place_that_does_not_is_named():
    assert validated(SCHEMA, {"name": "a", "sizes": [1]}).sizes == [1]
    with pytest.raises(ValueError, match=r"sizes\.1: expected a valid integer, received '2'"):
        validated(SCHEMA, {"name": "a", "sizes": [1, "2"]})


@given(st.text())
def test_others_words_are_brief_and_fit_to_print(text):
    shown = brief(text)
    assert shown.isprintable() and len(shown) <= 10 * MOST_CHARACTERS + 1
    assert shown == text or not text.isprintable() or len(text) > MOST_CHARACTERS
