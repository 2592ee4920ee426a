"""The range of a numeric setting, declared with its field.

    @dataclass(frozen=True)
    class Settings:
        top_k: Annotated[int, between(1, 1_000)] = 5
        \"\"\"How many labels to show.\"\"\"

        def __post_init__(self) -> None:
            check_ranges(self)

From it follow the check and what --help says.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import tyro

from audionet.errors import check


@dataclass(frozen=True)
class Range:
    """Numbers from the least to the most, both included; neither NaN nor infinity is within."""

    least: float
    most: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.least <= value <= self.most

    def __str__(self) -> str:
        return f"{_plain(self.least)} to {_plain(self.most)}"

    def __call__(self, default: str) -> str:
        """Return what --help has behind an option's description."""
        return default_hint(default, more=str(self))


def between(least: float, most: float) -> Any:
    """Return what a field's annotation says so that it must lie in a range, unless it is None or a word."""
    return tyro.conf.arg(help_behavior_hint=Range(least, most))


def range_of(field: "dataclasses.Field[Any]") -> Range | None:
    """Return the range that a field of a dataclass declares, if it does."""
    hints = [getattr(one, "help_behavior_hint", None) for one in getattr(field.type, "__metadata__", ())]
    return next((hint for hint in hints if isinstance(hint, Range)), None)


def check_ranges(settings: Any) -> None:
    """Check each number among settings that declares its range.

    Args:
        settings: an instance of a dataclass.

    Raises:
        InputError: one is outside.
    """
    for field in dataclasses.fields(settings):
        value, allowed = getattr(settings, field.name), range_of(field)
        if allowed and value is not None and not isinstance(value, str):
            check(value in allowed, f"--{field.name}: expected {allowed}, received {str(value)[:40]}.")


def _plain(number: float) -> str:
    return f"{number:.0f}" if number == int(number) else f"{number:g}"


def default_hint(default: str, *, more: str = "") -> str:
    """Return what --help has behind a description: a default, if there is one, and what else is to be said."""
    parts = [*([more] if more else []), *([f"default: {default}"] if default else [])]
    return f"({'; '.join(parts)})" if parts else ""
