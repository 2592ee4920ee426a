"""Phrases for messages."""


def named_list(noun: str, names: list[str], most: int = 10) -> str:
    """Return `labels a, b and 3 more`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{noun}{'s' if len(names) > 1 else ''} {', '.join(names[:most])}{more}"
