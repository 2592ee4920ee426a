"""Commands in processes of their own, which may be killed, and what is left of them."""

import importlib
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import psutil

from torture.workplace import tiny_network

MARK = "AUDIONET_TORTURE"  # the environment variable that all processes of a run have
FORK = multiprocessing.get_context("fork")
Target = Literal["main", "worker", "group", "writer"]  # the last ends itself, at a failpoint
Task = TypeVar("Task")
Done = TypeVar("Done")


@dataclass
class CommandRun:
    """A command of audionet that was started: forked from this process, or in an interpreter of its own.

    A fork has everything imported and the tiny network, so that it begins to work at once; it must be made by a process
    that has no threads. An interpreter takes a second or two to start and has the networks as they are.
    """

    arguments: Sequence[str]
    folder: Path  # that it runs in
    messages: Path  # what it prints goes there
    environment: Mapping[str, str] = field(default_factory=dict)
    forked: bool = True
    mark: str = field(default_factory=lambda: secrets.token_hex(8))

    def start(self) -> "CommandRun":
        """Start it, in a session of its own."""
        environment = {**self.environment, MARK: self.mark}
        if self.forked:
            self._process = FORK.Process(target=_run, args=(self, environment))
            self._process.start()
            self.pid = self._process.pid
        else:
            with self.messages.open("wb") as output:
                self._program = subprocess.Popen(
                    [sys.executable, "-m", "audionet", *self.arguments],
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env={**os.environ, **environment},
                    start_new_session=True,
                )
            self.pid = self._program.pid
        self.begun = time.monotonic()
        return self

    def status(self, *, within: float) -> int | None:
        """Wait so many seconds for its end, and return its exit status, negative for a signal, or None."""
        if self.forked:
            self._process.join(within)
            return self._process.exitcode
        try:
            return self._program.wait(within)
        except subprocess.TimeoutExpired:
            return None

    def processes(self) -> list[psutil.Process]:
        """Return every process of it that lives: in its session, or with its mark in the environment."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def kill(self, target: Target, number: signal.Signals, *, choice: int = 0) -> None:
        """Send a signal to the main process, to one of its workers, if there is one, or to all."""
        victims = [self.pid] if target == "main" else []
        if target == "group":
            victims = [process.pid for process in self.processes()]
        elif target == "worker":
            workers = sorted(process.pid for process in self.processes() if self._is_worker(process))
            victims = [workers[choice % len(workers)]] if workers else []
        for pid in victims:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def _is_worker(self, process: psutil.Process) -> bool:
        """Tell a worker from the main process and from Python's own that removes semaphores, which tells its end."""
        try:
            return process.pid != self.pid and not any("resource_tracker" in part for part in process.cmdline())
        except psutil.Error:
            return False

    def left_after(self, seconds: float) -> list[str]:
        """Wait so long for all its processes to end, end those that did not, and return their command lines."""
        deadline = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        told = set()
        for process in left:
            try:
                told.add(" ".join(process.cmdline()[1:])[:80])
                process.kill()
            except psutil.NoSuchProcess:
                continue
        return sorted(told)

    def _owns(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return os.getsid(process.pid) == self.pid or process.environ().get(MARK) == self.mark
        except (psutil.Error, OSError):
            return False


def _run(command: CommandRun, environment: Mapping[str, str]) -> None:
    os.setsid()
    os.chdir(command.folder)
    os.environ.update(environment)
    tempfile.tempdir = None  # TMPDIR may say otherwise now
    output = os.open(command.messages, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for stream in (1, 2):
        os.dup2(output, stream)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 (for as long as the process lives)
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    # What this process inherits of its parent's helpers is not its own; it starts some when it needs them.
    multiprocessing.resource_tracker._resource_tracker.__init__()
    multiprocessing.forkserver._forkserver.__init__()
    audionet_main = importlib.import_module("audionet.__main__")
    sys.modules["__main__"] = audionet_main  # workers import the main module, too
    sys.argv = ["audionet", *command.arguments]
    try:
        with tiny_network():
            sys.exit(audionet_main.main())
    finally:
        # As at the end of an interpreter, pools end before their queues do, or they would wait for ever.
        threading._shutdown()


def in_processes(work: Callable[[Task], Done], tasks: Sequence[Task], *, jobs: int) -> Iterator[tuple[Task, Done]]:
    """Do tasks in processes forked from this one, which have no threads, and yield each with what came of it.

    Each process takes every `jobs`th task. What a task raises ends everything.
    """
    pipes = {}
    for number in range(min(jobs, len(tasks))):
        receiving, sending = FORK.Pipe(duplex=False)
        process = FORK.Process(target=_work_off, args=(work, tasks[number::jobs], sending))
        process.start()
        sending.close()
        pipes[receiving] = (process, iter(tasks[number::jobs]))
    while pipes:
        for pipe in multiprocessing.connection.wait(list(pipes)):
            process, own_tasks = pipes[pipe]
            try:
                done = pipe.recv()
            except EOFError:
                process.join()
                if process.exitcode:
                    raise RuntimeError("a process of the harness itself failed; its traceback is above") from None
                del pipes[pipe]
            else:
                yield next(own_tasks), done


def _work_off(
    work: Callable[[Task], Done], tasks: Sequence[Task], sending: multiprocessing.connection.Connection
) -> None:
    for task in tasks:
        sending.send(work(task))
