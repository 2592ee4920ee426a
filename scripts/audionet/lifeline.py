"""Processes that end with the one that started them, even if that is killed and can tell them nothing.

The one holds an end of a pipe, which it closes or the system does, and the others wait at the other end.
"""

import os
import signal
import threading
from contextlib import suppress

STDIN_VARIABLE = "AUDIONET_ENDS_WITH_STDIN"  # set to 1 by a program that starts a command and holds its stdin open


def end_with(descriptor: int) -> None:
    """Let this process, and those that it starts, be killed at once when the other end of an open pipe is closed.

    They become a group of processes of their own.
    """
    with suppress(PermissionError):  # it leads a group already
        os.setsid()
    threading.Thread(target=_wait_and_end, args=(descriptor,), name="lifeline", daemon=True).start()


def end_with_stdin_if_asked() -> None:
    """Let this process end with the program that holds its stdin, if that asks for it by `STDIN_VARIABLE`."""
    if os.environ.pop(STDIN_VARIABLE, "") == "1":
        end_with(0)


def _wait_and_end(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    os.killpg(0, signal.SIGKILL)
