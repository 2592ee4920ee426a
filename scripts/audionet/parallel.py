"""Processes that share the cores, or those of a cluster: for work that Python's threads cannot do side by side."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any, TypeVar

import threadpoolctl

from audionet.console import progress_bar
from audionet.distributed import cluster
from audionet.files import held_folders
from audionet.worker_process import context_of, end_with

Task = TypeVar("Task")
Done = TypeVar("Done")

GROUPS_AHEAD = 4  # for each process, so that none waits and little is held
MOST_STARTS = 50  # of a process for one task
CRASHES_ON_CLUSTER = 3  # of a process with one task before the task is to blame
RESTART_SECONDS = 0.1
CRASHED = "a decoder crashed on it, or memory ran out; try again, and if it stays so, remove it or convert it to wav"

PRELOADED = ["audionet.features.spectrogram", "audionet.audio.decoding", "scipy.fft", "scipy.sparse", "scipy.ndimage"]
"""What every worker needs, however late it is imported elsewhere."""

PACKAGE_PARENT = str(Path(__file__).resolve().parent.parent)


class WorkerPool(ProcessPoolExecutor):
    """A pool of processes that import this package afresh, and do not outlive who started them.

    They leave Ctrl-C to the parent, use one thread each and keep their libraries' chatter to themselves. However the
    parent ends, they and their children are killed at once; until then they hold what it holds by `files.one_writer`,
    so that whoever writes there next finds nobody at it. Their environment is the parent's when the pool is made. A
    block that is left by an error kills them, too.
    """

    def __init__(self, jobs: int):
        context = importing_context()
        lifeline, self._end = context.Pipe(duplex=False)
        held = [_Inherited(descriptor) for descriptor in held_folders().values()]
        super().__init__(jobs, mp_context=context, initializer=_start, initargs=(lifeline, held, dict(os.environ)))

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand a call over, as any executor; raise BrokenProcessPool also if no process can be started for it."""
        try:
            return super().submit(*args, **kwargs)
        except (EOFError, ConnectionError) as error:  # the server that starts processes was killed a moment ago
            time.sleep(RESTART_SECONDS)  # until that is seen, and another is started
            raise BrokenProcessPool("no process could be started") from error

    def __exit__(self, *exception: object) -> None:
        failed = exception[0] is not None
        if failed:
            self._end.close()  # which kills them
        self.shutdown(wait=True, cancel_futures=failed)
        self._end.close()


@dataclass(frozen=True)
class _Inherited:
    """An open file that a process of ours is to have open, too, from its first moment to its end."""

    descriptor: int

    def __reduce__(self) -> tuple[Any, ...]:
        return _inherit, (DupFd(self.descriptor),)


def _inherit(duplicate: Any) -> _Inherited:
    return _Inherited(duplicate.detach())


def process_pool(jobs: int) -> WorkerPool:
    """Return a pool of `jobs` processes."""
    return WorkerPool(jobs)


def _pool(jobs: int, work: object, *, holds_network: bool) -> Executor:
    """Return what does the work: processes of this machine, or of the cluster that is connected."""
    if not cluster.is_connected():
        return process_pool(jobs)
    return cluster.NetworkPool(work) if holds_network else cluster.ClusterPool()


def importing_context() -> BaseContext:
    """Return what starts processes that import this package afresh."""
    # A forked child could inherit a lock that another thread holds, of TensorFlow's for one; a fork server cannot.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = context_of(method)
    if method == "forkserver":
        # The server imports these once, for all workers; it finds them by the environment alone.
        context.set_forkserver_preload(PRELOADED)
        paths = [PACKAGE_PARENT, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path for path in paths if path))
    return context


def _start(lifeline: Connection, held: Sequence[_Inherited], environment: Mapping[str, str]) -> None:
    end_with(os.dup(lifeline.fileno()))
    os.environ.clear()  # it is that of the moment when the first pool was made, whose server starts all processes
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the work, once, with one message
    threadpoolctl.threadpool_limits(1)  # the processes share the cores already
    # Decoders chatter on stderr about files whose fault is reported properly anyway.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def side_by_side(
    work: Callable[[Task], Done], tasks: Sequence[Task], *, description: str, jobs: int | None
) -> Iterator[tuple[Task, Done | str]]:
    """Yield each task with what `work` made of it, in order, as `run_groups` does, under a progress bar."""
    with progress_bar(total=len(tasks), description=description, unit="recordings") as bar:
        for group in run_groups(work, [[task] for task in tasks], jobs=jobs, in_order=True):
            yield from group
            bar.update(len(group))


def run_groups(
    work: Callable[[Task], Done],
    groups: Iterable[Sequence[Task]],
    *,
    jobs: int | None,
    in_order: bool,
    holds_network: bool = False,
) -> Iterator[list[tuple[Task, Done | str]]]:
    """Let processes do tasks and yield them with what became of each, a group at a time; a crash costs one task alone.

    When a process crashes, the groups under way are done again with a process for each task, which shows which one was
    the cause, and the others go on as before. The processes are those of a cluster while one is connected.

    Args:
        work: what to do; it must be picklable.
        groups: tasks that are handed over together, since handing over may cost more than doing one. Each group is
            asked for shortly before it is done.
        jobs: how many processes, by default one a core.
        holds_network: whether `work` holds a network, which each process of a cluster is to load once.
        in_order: whether groups are yielded in their order, or each as soon as it is done.

    Yields:
        The tasks of a group, or of a part of one after a crash, each with its result, or `CRASHED` in its place.
    """
    waiting = iter(groups)
    first = next(waiting, None)
    if first is not None:
        jobs = jobs or (cluster.worker_count() if cluster.is_connected() else os.cpu_count()) or 1
    while first is not None:
        assert jobs is not None
        waiting = chain([first], waiting)
        with _pool(jobs, work, holds_network=holds_network) as pool:
            under_way: dict[Future[list[Done]], Sequence[Task]] = {}
            try:
                first = _submit_ahead(pool, work, waiting, under_way, GROUPS_AHEAD * jobs)
                while under_way:
                    group, future = _take_done(under_way, in_order)
                    try:
                        yield list(zip(group, future.result(), strict=True))
                    except BrokenProcessPool:
                        for task in group:
                            yield [(task, _done_alone(work, task))]
                    if first is None:
                        first = _submit_ahead(pool, work, waiting, under_way, GROUPS_AHEAD * jobs)
            finally:
                for future in under_way:
                    future.cancel()


def _submit_ahead(
    pool: Executor,
    work: Callable[[Task], Done],
    waiting: Iterator[Sequence[Task]],
    under_way: dict[Future[list[Done]], Sequence[Task]],
    most: int,
) -> Sequence[Task] | None:
    """Hand groups over, and return one that the pool refused because a process of it crashed, if there is one."""
    for group in islice(waiting, most - len(under_way)):
        try:
            under_way[pool.submit(_do_group, work, group)] = group
        except BrokenProcessPool:
            return group  # the groups under way will say so, and a new pool takes over after them
    return None


def _take_done(
    under_way: dict[Future[list[Done]], Sequence[Task]], in_order: bool
) -> tuple[Sequence[Task], Future[list[Done]]]:
    if not in_order:
        wait(under_way, return_when=FIRST_COMPLETED)
    future = next(future for future in under_way if in_order or future.done())
    return under_way.pop(future), future


def _do_group(work: Callable[[Task], Done], group: Sequence[Task]) -> list[Done]:
    return [work(task) for task in group]


def _done_alone(work: Callable[[Task], Done], task: Task) -> Done | str:
    crashes = 0
    for _ in range(MOST_STARTS):
        with _pool(1, work, holds_network=False) as pool:
            try:
                future: Future[Done] = pool.submit(_do_one, work, task)
            except BrokenProcessPool:
                continue  # the task is not to blame
            try:
                return future.result()
            except BrokenProcessPool:
                crashes += 1
                # On a cluster, a node may have been lost just then.
                if crashes >= (CRASHES_ON_CLUSTER if cluster.is_connected() else 1):
                    return CRASHED
    return CRASHED


def _do_one(work: Callable[[Task], Done], task: Task) -> Done:
    return work(task)
