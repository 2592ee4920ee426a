"""Processes that share the cores: for work that Python's threads cannot do side by side."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import TypeVar

import threadpoolctl

from audionet.console import progress_bar

PRELOADED = ["audionet.features.spectrogram", "audionet.audio.decoding", "scipy.fft", "scipy.sparse", "scipy.ndimage"]
"""What every worker needs, however late it is imported elsewhere."""

PACKAGE_PARENT = str(Path(__file__).resolve().parent.parent)


def process_pool(jobs: int) -> ProcessPoolExecutor:
    """Return a pool of `jobs` processes that import this package afresh.

    They leave Ctrl-C to the parent, use one thread each and keep their libraries' chatter to themselves.
    """
    return ProcessPoolExecutor(jobs, mp_context=importing_context(), initializer=_start)


def importing_context() -> BaseContext:
    """Return what starts processes that import this package afresh."""
    # A forked child could inherit a lock that another thread holds, of TensorFlow's for one; a fork server cannot.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        # The server imports these once, for all workers; it finds them by the environment alone.
        context.set_forkserver_preload(PRELOADED)
        paths = [PACKAGE_PARENT, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path for path in paths if path))
    return context


def _start() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the work, once, with one message
    threadpoolctl.threadpool_limits(1)  # the processes share the cores already
    # Decoders chatter on stderr about files whose fault is reported properly anyway.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


JOBS_AHEAD = 4  # for each process, so that none waits and little is held

Task = TypeVar("Task")

Done = TypeVar("Done")


def side_by_side(
    work: Callable[[Task], Done], tasks: Sequence[Task], *, description: str, jobs: int | None
) -> Iterator[tuple[Task, Done | str]]:
    """Yield each task with what became of it, in order, done by processes; a crash of one costs that task alone."""
    jobs = min(jobs or os.cpu_count() or 1, len(tasks))
    crashed: list[Task] = []
    with progress_bar(total=len(tasks), description=description, unit="recordings") as bar:
        with process_pool(jobs) as pool:
            for task, future in _ahead(pool, work, tasks, JOBS_AHEAD * jobs):
                try:
                    done = future.result()
                except BrokenProcessPool:
                    crashed.append(task)
                    continue
                yield task, done
                bar.update()
        for task in crashed:
            # A decoder crashed and took its neighbours along. Alone, each one shows whether it was the cause.
            with process_pool(1) as pool:
                try:
                    yield task, pool.submit(work, task).result()
                except BrokenProcessPool:
                    yield task, "a decoder crashed on it; remove it or convert it to wav"
            bar.update()


def _ahead(
    pool: ProcessPoolExecutor, work: Callable[[Task], Done], tasks: Sequence[Task], count: int
) -> Iterator[tuple[Task, Future]]:
    waiting = iter(tasks)
    under_way = [(task, _submitted(pool, work, task)) for task in islice(waiting, count)]
    try:
        while under_way:
            yield under_way.pop(0)
            under_way.extend((task, _submitted(pool, work, task)) for task in islice(waiting, 1))
    finally:
        for _, future in under_way:
            future.cancel()


def _submitted(pool: ProcessPoolExecutor, work: Callable[[Task], Done], task: Task) -> Future:
    try:
        return pool.submit(work, task)
    except BrokenProcessPool as error:
        refused: Future = Future()
        refused.set_exception(error)
        return refused
