"""JSON that others may have written: read, and checked by a schema, with what is wrong in one line."""

import json
from typing import TYPE_CHECKING, Any, TypeVar

from audionet.files import brief

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Value = TypeVar("Value")


def parse_json(content: bytes | str) -> Any:
    """Return the value that a text of JSON stands for.

    Raises:
        ValueError: it is no JSON, or deeper than any that this project writes.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def validated(schema: "TypeAdapter[Value]", value: object) -> Value:
    """Return a value as a schema has it.

    Raises:
        ValueError: it does not fit; the text is one line that says where and why.
    """
    from pydantic import ValidationError  # a tenth of a second, which only those with a schema should take

    try:
        return schema.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(brief(f"{place}: {first['msg']}" if place else first["msg"])) from error
