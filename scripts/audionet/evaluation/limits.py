"""Limits: numbers of an evaluation that must not fall below a value, for who tests classifiers automatically.

`chunk.accuracy=0.9` names any number of the JSON by its keys with dots between, and `recording.ci95.low=0.8` the lower
end of an interval; `high` is the upper one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audionet.errors import InputError
from audionet.files import brief, printable

ENDS = {"low": 0, "high": 1}


@dataclass(frozen=True)
class Limit:
    """A number that must not fall below a value."""

    key: str
    least: float


def parse_limits(texts: Sequence[str]) -> tuple[Limit, ...]:
    """Return limits that are written as `chunk.accuracy=0.9`, or raise InputError for one that is not."""
    found = []
    for text in texts:
        key, _, value = text.partition("=")
        try:
            least = float(value)
        except ValueError:
            least = math.nan
        if not key.strip() or not math.isfinite(least):
            raise InputError(
                f"--fail_below: expected a key and a number, such as chunk.accuracy=0.9, received {brief(text)!r}."
            )
        found.append(Limit(key.strip(), least))
    return tuple(found)


def faults_of(evaluation: Mapping[str, Any], limits: Sequence[Limit]) -> list[str]:
    """Return a sentence for each number of an evaluation that is below its limit, or could not be computed.

    Raises:
        InputError: the evaluation has no such number.
    """
    faults = []
    for limit in limits:
        value = _number(evaluation, limit.key)
        shown = printable(limit.key)
        if value is None:
            reasons = evaluation.get("not_computed") or {}
            reason = next((why for name, why in reasons.items() if limit.key.startswith(name)), "")
            faults.append(f"{shown} could not be computed{f' ({reason})' if reason else ''}; expected {limit.least:g}")
        elif value < limit.least:
            faults.append(f"{shown} is {value:.4g}, below {limit.least:g}")
    return faults


def _number(evaluation: Mapping[str, Any], key: str) -> float | None:
    """Return the number that a key leads to, or None where the evaluation has null for it."""
    value: Any = evaluation
    passed: list[str] = []
    for part in key.split("."):
        if value is None:
            return None
        if isinstance(value, list) and len(value) == len(ENDS) and part in ENDS:
            value = value[ENDS[part]]
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
        else:
            raise _no_such(key, passed, value)
        passed.append(part)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise _no_such(key, passed, value)
    return None if value is None else float(value)


def _no_such(key: str, passed: Sequence[str], value: Any) -> InputError:
    place = f"{printable('.'.join(passed))}." if passed else ""
    if isinstance(value, Mapping):
        names = [f"{place}{name}" for name, one in value.items() if one is None or isinstance(one, int | float | dict)]
    else:
        names = [f"{place}{end}" for end in ENDS] if isinstance(value, list) and len(value) == len(ENDS) else []
    rest = f"; there are {brief(', '.join(map(printable, names)))}" if names else ""
    return InputError(f"--fail_below: expected the key of a number, received {brief(key)}{rest}.")
