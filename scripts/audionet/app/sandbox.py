"""A process apart, for work on files of strangers: whatever a file does there ends only the work on that file.

    with Apart(tasks.TASKS, limits) as apart:
        apart.do("predict", path=path)

The process does one thing at a time. It may use so much memory, write files of such a size and take so long; beyond
that, or where it dies of a file, the caller is told so, the process is replaced, and with it go its children and
whatever lay in its scratch folder.
"""

import contextlib
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from audionet.errors import AudioNetError
from audionet.parallel import importing_context

Task = Callable[..., Any]


class CrashError(AudioNetError):
    """The process died of its work."""


class OvertimeError(AudioNetError):
    """The work took too long and was ended."""


@dataclass(frozen=True)
class Limits:
    """What the process may use.

    Attributes:
        seconds: for one piece of work.
        memory_bytes: of addresses, its own and of each child; what OpenVINO reserves counts.
        file_bytes: of any one file that it writes.
    """

    seconds: float = 60.0
    memory_bytes: int = 4 << 30
    file_bytes: int = 1 << 29


class SandboxedWorker:
    """A process apart that does named tasks, one at a time.

    Args:
        tasks: functions of a module's top level, by name; arguments and results are plain values.
        limits: what the process may use.

    Attributes:
        scratch: the folder for its temporary files, which are gone when it ends before its time.
    """

    def __init__(self, tasks: Mapping[str, Task], limits: Limits):
        self._tasks = dict(tasks)
        self._limits = limits
        self._turn = threading.Lock()
        self.scratch = Path(tempfile.mkdtemp(prefix="audionet-apart-"))
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> "SandboxedWorker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def process_id(self) -> int | None:
        """The process at work or waiting for work, if there is one."""
        return self._process.pid if self._process else None

    def do(self, task: str, **arguments: Any) -> Any:
        """Do a task and return what it returns.

        Raises:
            AudioNetError: the task raised it.
            OvertimeError: it took longer than the limit.
            CrashError: the process died.
            RuntimeError: the task has a fault of its own; the text is its traceback.
        """
        with self._turn:
            pipe = self._pipe or self._start()
            try:
                pipe.send((task, arguments))
                if not pipe.poll(self._limits.seconds):
                    self._stop()
                    raise OvertimeError(
                        f"This took longer than {self._limits.seconds:.0f} s and was ended. Send something shorter."
                    )
                outcome, value = pipe.recv()
            except (EOFError, OSError) as error:
                self._stop()
                raise CrashError("Reading this file ended the process that read it. Send another file.") from error
        if outcome == "fault":
            raise value
        if outcome == "bug":
            raise RuntimeError(value)
        return value

    def close(self) -> None:
        """End the process, at work or not, and remove its scratch folder."""
        if self._process:
            self._process.kill()  # so that whoever waits for it hands over the turn
        with self._turn:
            self._stop()
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _start(self) -> Connection:
        context = importing_context()
        self.scratch.mkdir(exist_ok=True)
        ours, theirs = context.Pipe()
        process = context.Process(  # type: ignore[attr-defined]
            target=_work, args=(theirs, self._tasks, self._limits, str(self.scratch)), daemon=True
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


def _work(pipe: Connection, tasks: Mapping[str, Task], limits: Limits, scratch: str) -> None:
    os.setsid()  # a group of its own, so that it can be ended together with its children
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["TMPDIR"] = tempfile.tempdir = scratch
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders chatter about files whose fault is reported anyway
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
    ):
        with contextlib.suppress(ValueError, OSError):  # macOS does not know all of them
            resource.setrlimit(kind, (most, most))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file too large is an error of the writer
    with contextlib.suppress(EOFError, OSError):  # whoever asked has gone
        while True:
            pipe.send(_outcome(tasks, *pipe.recv()))


def _outcome(tasks: Mapping[str, Task], task: str, arguments: Mapping[str, Any]) -> tuple[str, Any]:
    try:
        return "value", tasks[task](**arguments)
    except AudioNetError as error:
        return "fault", error
    except MemoryError:
        return "fault", CrashError("This file needs more memory than it may have. Send a smaller one.")
    except BaseException:  # noqa: BLE001 (the one asking tells it; this process goes on)
        return "bug", traceback.format_exc()
