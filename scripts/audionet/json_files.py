"""JSON that others may have written: read, and checked by a schema, with what is wrong in one line."""

import json
from typing import Any, Protocol, TypeVar

from audionet.files import brief

MOST_RECEIVED = 60  # characters of what was received instead of what was expected

Value = TypeVar("Value", covariant=True)


class Schema(Protocol[Value]):
    """A `TypeAdapter` of pydantic or a `SchemaValidator` of pydantic-core, which takes less time to import."""

    def validate_python(self, value: object, /) -> Value:
        """Return the value, or raise ValidationError."""


def parse_json(content: bytes | str) -> Any:
    """Return the value that a text of JSON stands for.

    Raises:
        ValueError: it is no JSON, or deeper than any that this project writes.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def validated(schema: Schema[Value], value: object) -> Value:
    """Return a value as a schema has it.

    Raises:
        ValueError: it does not fit; the text is one line that says where, what was expected and what was received.
    """
    from pydantic_core import ValidationError  # without pydantic, which takes a tenth of a second

    try:
        return schema.validate_python(value)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, fault["loc"]))
        if fault["type"] == "missing":
            raise ValueError(brief(f"{place} is missing")) from error
        expected = fault["msg"].replace("Input should be", "expected")
        received = f"{expected}, received {repr(fault['input'])[:MOST_RECEIVED]}"
        raise ValueError(brief(f"{place}: {received}" if place else received)) from error
