"""Messages and progress bars on stderr, and silence for native libraries."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

WATCHED = "AUDIONET_WATCHED"
ENDS_WITH_STDIN = "AUDIONET_ENDS_WITH_STDIN"  # set to 1 by a program that starts a command and holds its stdin open


_silence = threading.Lock()
_silenced: list[int] = []
"""Descriptors of the stderr that the process was given, one for each block that silences native libraries now."""


def log(message: str) -> None:
    """Print a message to stderr, so that stdout holds results alone."""
    with _silence:
        if _silenced and sys.stderr is sys.__stderr__:
            os.write(_silenced[0], f"{message}\n".encode(errors="backslashreplace"))
        else:
            print(message, file=sys.stderr, flush=True)


def progress_bar(*, total: int | None, description: str, unit: str) -> tqdm:
    """Return a progress bar with speed and time left, to be used as a context manager; only a terminal shows it.

    A program that reads our messages has the bars, too, when it sets `WATCHED` in our environment to 1. The total is
    None where nobody has counted the units. The unit `B` is shown with its prefixes.
    """
    is_bytes = unit == "B"
    is_watched = os.environ.get(WATCHED) == "1"
    return tqdm(
        total=total,
        desc=description,
        unit=unit if is_bytes else f" {unit}",
        unit_scale=is_bytes,
        disable=False if is_watched else None,  # None: where stderr is no terminal
        leave=False,
        mininterval=0.2,
        dynamic_ncols=True,
    )


def ticked(items: Iterable[Item], bar: tqdm) -> Iterator[Item]:
    """Yield items, and move a progress bar on when the next one is asked for."""
    for item in items:
        yield item
        bar.update()


@contextlib.contextmanager
def silence_native_stderr() -> Iterator[None]:
    """Keep native libraries from writing to stderr while the block runs, as TensorFlow does when it is imported.

    Threads may do so side by side, and `log` is not affected; a crash of the process would be silent.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what TensorFlow would write afterwards
    with _silence:
        sys.stderr.flush()
        kept = os.dup(_silenced[0] if _silenced else 2)
        _silenced.append(kept)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
    try:
        yield
    finally:
        with _silence:
            _silenced.remove(kept)
            if not _silenced:
                os.dup2(kept, 2)
            os.close(kept)
