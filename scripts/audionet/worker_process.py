"""Worker processes: they need nothing of the program that starts them, and end with it, even if it is killed.

Python has each new process import that program again, for functions that it may define. A program that came on stdin or
was typed cannot be imported, and one without `if __name__ == "__main__":` would begin anew in each process. Ours run
functions of this package alone.

Who starts them holds an end of a pipe, which it closes or the system does, and they wait at the other end.
"""

import multiprocessing.context
import multiprocessing.process
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.context import BaseContext
from types import ModuleType

_hiding = threading.Lock()


@contextmanager
def _hidden_main() -> Iterator[None]:
    """Let a module without a file stand for the program while a process is started, which then imports nothing."""
    with _hiding:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


class _ForkServerWorker(multiprocessing.context.ForkServerProcess):
    def start(self) -> None:
        with _hidden_main():
            super().start()


class _SpawnedWorker(multiprocessing.context.SpawnProcess):
    def start(self) -> None:
        with _hidden_main():
            super().start()


class _ForkServerContext(multiprocessing.context.ForkServerContext):
    Process = _ForkServerWorker


class _SpawnContext(multiprocessing.context.SpawnContext):
    Process = _SpawnedWorker


def context_of(method: str) -> BaseContext:
    """Return what starts such processes by a method of multiprocessing: `forkserver` or `spawn`."""
    return _ForkServerContext() if method == "forkserver" else _SpawnContext()


def end_with(descriptor: int) -> None:
    """Let this process, and those that it starts, be killed at once when the other end of an open pipe is closed.

    They become a group of processes of their own.
    """
    with suppress(PermissionError):  # it leads a group already
        os.setsid()
    threading.Thread(target=_wait_and_end, args=(descriptor,), name="lifeline", daemon=True).start()


def _wait_and_end(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    os.killpg(0, signal.SIGKILL)
