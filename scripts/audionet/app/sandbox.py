"""A separate process for untrusted files: a file that crashes the decoder ends the work on that file and nothing else.

    worker = SandboxedWorker(limits)
    worker.run(worker_tasks.predict, path=path, ...)

A task may `report_progress`, which `progress` tells meanwhile.

The process runs one task at a time, within limits of memory, file size and time. Where a task exceeds them or crashes,
the caller gets an error and the process is replaced; its children and its temporary files go with it.
"""

import contextlib
import functools
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from audionet.errors import AudioNetError
from audionet.parallel import importing_context
from audionet.scratch import ScratchFolder
from audionet.worker_process import end_with

P = ParamSpec("P")
Result = TypeVar("Result")


class CrashError(AudioNetError):
    """The process died while it ran a task."""


class OvertimeError(AudioNetError):
    """A task took too long and was ended."""


@dataclass(frozen=True)
class Limits:
    """What the process may use."""

    seconds: float = 60.0  # for one task
    memory_bytes: int = 4 << 30  # of address space, for itself and for each child; what OpenVINO reserves counts
    file_bytes: int = 1 << 29  # for any one file that it writes


_progress: Any = None  # in the worker: a shared number that the parent reads


def report_progress(share: float) -> None:
    """Say, from a task, how much of it is done, 0..1; of no effect outside a worker."""
    if _progress is not None:
        _progress.value = min(1.0, max(0.0, share))


@dataclass(frozen=True)
class _Raised:
    error: AudioNetError | RuntimeError


class SandboxedWorker:
    """A separate process that runs tasks, one at a time.

    Its temporary files are in the folder `scratch`, which is emptied when the process is replaced.
    """

    def __init__(self, limits: Limits):
        self._limits = limits
        self._turn = threading.Lock()
        self._scratch_folder = ScratchFolder(Path(tempfile.gettempdir()), prefix="audionet-sandbox-")
        self.scratch = self._scratch_folder.path
        self._is_closed = False
        self._progress = importing_context().Value("d", 0.0, lock=False)
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._lifeline, self._lifeline_end = importing_context().Pipe(duplex=False)

    def run(self, task: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Run a function of a module's top level and return what it returns; arguments and result are pickled.

        Raises:
            AudioNetError: the task raised it.
            OvertimeError: it took longer than the limit.
            CrashError: the process died.
            RuntimeError: the task raised anything else; the text is its traceback.
        """
        outcome: Result | _Raised
        with self._turn:
            pipe = self._pipe or self._start()
            self._progress.value = 0.0
            try:
                pipe.send(functools.partial(task, *args, **kwargs))
                if not pipe.poll(self._limits.seconds):
                    self._stop()
                    raise OvertimeError(
                        f"This took longer than {self._limits.seconds:.0f} s and was ended. Send something shorter."
                    )
                outcome = pipe.recv()
            except (EOFError, OSError) as error:
                self._stop()
                raise CrashError("Reading this file ended the process that read it. Send another file.") from error
        if isinstance(outcome, _Raised):
            raise outcome.error
        return outcome

    @property
    def progress(self) -> float:
        """How much of the present task is done, 0..1, as far as it says."""
        return float(self._progress.value)

    def interrupt(self) -> None:
        """End the present task; who waits for it gets a CrashError."""
        if self._process:
            self._process.kill()

    def close(self) -> None:
        """End the process, busy or idle, and remove its scratch folder."""
        self.interrupt()  # so that the thread that waits for it releases the lock
        with self._turn:
            self._stop()
            if not self._is_closed:
                self._scratch_folder.remove()
            self._is_closed = True

    def _start(self) -> Connection:
        context = importing_context()
        self.scratch.mkdir(exist_ok=True)
        ours, theirs = context.Pipe()
        process = context.Process(  # type: ignore[attr-defined]
            target=_serve,
            args=(theirs, self._lifeline, self._limits, str(self.scratch), self._progress),
            daemon=True,
        )
        process.start()
        theirs.close()
        self._process = process  # only now, since it may be ended at any moment from here on
        self._pipe = ours
        return ours

    def _stop(self) -> None:
        if self._process is None or self._pipe is None:
            return
        self._pipe.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid or 0, signal.SIGKILL)  # its decoders too
        self._process.kill()
        self._process.join()
        self._process = self._pipe = None
        for left in self.scratch.glob("*"):
            shutil.rmtree(left, ignore_errors=True)


def _serve(pipe: Connection, lifeline: Connection, limits: Limits, scratch: str, progress: Any) -> None:
    global _progress
    _progress = progress
    end_with(os.dup(lifeline.fileno()))  # as a group of its own, which can be ended together with its children
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["TMPDIR"] = tempfile.tempdir = scratch
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders write about files whose fault is reported anyway
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
    ):
        with contextlib.suppress(ValueError, OSError):  # macOS does not know all of them
            resource.setrlimit(kind, (most, most))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file too large is an error of the writer
    with contextlib.suppress(EOFError, OSError):  # the parent has gone
        while True:
            pipe.send(_outcome_of(pipe.recv()))


def _outcome_of(call: Callable[[], Result]) -> Result | _Raised:
    try:
        return call()
    except AudioNetError as error:
        return _Raised(error)
    except MemoryError:
        return _Raised(CrashError("This file needs more memory than it may have. Send a smaller one."))
    except BaseException:  # noqa: BLE001 (the caller reports it; this process goes on)
        return _Raised(RuntimeError(traceback.format_exc()))
