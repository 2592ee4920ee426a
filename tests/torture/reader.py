"""What a reader of outside data is to the fuzzer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hypothesis.strategies import SearchStrategy

Files = Mapping[str, bytes]  # content by name, within the folder that a reader is given


@dataclass(frozen=True)
class Reader:
    """A reader of outside data."""

    name: str
    valid: Files
    inputs: SearchStrategy[Files]
    # Reads what lies in a folder. What it returns is looked at by itself: an AssertionError is a wrong answer.
    read: Callable[[Path], object]
    runs_programs: bool = False  # decoders
