"""Phrases for messages."""

from collections.abc import Mapping, Sequence
from typing import Any


def listed(names: Sequence[str], most: int = 10) -> str:
    """Return `a, b and 3 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def named_list(noun: str, names: Sequence[str], most: int = 10) -> str:
    """Return `labels a, b and 3 more`."""
    return f"{noun}{'s' if len(names) > 1 else ''} {listed(names, most)}"


def counted(count: int, noun: str) -> str:
    """Return `1 label` or `3 labels`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def in_hertz(frequency: float) -> str:
    """Return `500 Hz` or `7.8 kHz`."""
    return f"{frequency / 1000:.3g} kHz" if frequency >= 1_000 else f"{frequency:.3g} Hz"


def answers_in_words(recording: Mapping[str, Any], *, noun: str = "recordings") -> str:
    """Return what became of tested recordings: `2 of 4 recordings named right, 1 wrong, 1 refused as unknown`.

    It takes `recording` of an evaluation that has an accuracy. Those of earlier versions lack what is refused.
    """
    count = recording["n"]
    if "named_right" not in recording:
        return f"{round(recording['accuracy'] * count)} of {count} {noun} right, without a threshold for unknown ones"
    right, wrong, refused = (round(recording[name] * count) for name in ("named_right", "named_wrong", "refused"))
    return f"{right} of {count} {noun} named right, {wrong} wrong, {refused} refused as unknown"


def clock(seconds: float, *, tenths: bool = False) -> str:
    """Return seconds as a clock shows them: 0:07, 12:30 or 1:02:03."""
    whole, rest = divmod(round(seconds * 10), 10) if tenths else (round(seconds), 0)
    hours, minutes = divmod(whole // 60, 60)
    text = f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
    return f"{text}.{rest}" if tenths else text
