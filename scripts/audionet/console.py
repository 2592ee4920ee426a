"""Messages and progress bars on stderr, and silence for native libraries."""

import contextlib
import os
import sys
from collections.abc import Iterator

from tqdm import tqdm

WATCHED = "AUDIONET_WATCHED"


def log(message: str) -> None:
    """Print a message to stderr, so that stdout holds results alone."""
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


@contextlib.contextmanager
def silence_native_stderr() -> Iterator[None]:
    """Keep native libraries from writing to stderr while the block runs, as TensorFlow does when it is imported.

    Python's own messages and exceptions are not affected by this; a crash of the process would be silent.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what TensorFlow would write afterwards
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
