"""Worker processes that need nothing of the program that starts them.

Python has each new process import that program again, for functions that it may define. A program that came on stdin or
was typed cannot be imported, and one without `if __name__ == "__main__":` would begin anew in each process. Ours run
functions of this package alone.
"""

import multiprocessing.context
import multiprocessing.process
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
