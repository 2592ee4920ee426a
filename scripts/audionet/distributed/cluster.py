"""Work on a cluster of machines by Ray, which does what the processes of one machine do otherwise.

    with connected("auto", folders=[audio_dir, image_dir]):
        make_pictures(audio_dir, image_dir, recipe=recipe)

Within the block `parallel.run_groups` hands its work to the cluster: tasks draw and decode, actors hold networks, each
loaded once. All nodes see the folders under the same names, as on one machine or a shared disk, and have the same
versions of this package and of what its results depend on; both is checked before the work begins.
"""

import functools
import importlib.util
import logging
import os
import platform
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from audionet.console import log
from audionet.distributed.storage import is_remote, named
from audionet.errors import ClusterError, InputError
from audionet.files import brief, printable, sha256_of

RESULTS_DEPEND_ON = ("numpy", "scipy", "soxr", "soundfile", "pillow", "openvino", "tensorflow")
NETWORK_THREADS = "AUDIONET_NETWORK_THREADS"  # how many cores a network may take, where others share them
ACTORS_PER_GPU = 2  # one prepares its inputs while the other computes
REACH_SECONDS = 10
CHECK_SECONDS = 120  # to start a process on every node
SHOWN_FAULTS = 3

_connections: list[str] = []


def is_connected() -> bool:
    """Tell whether work goes to a cluster at present."""
    return bool(_connections)


@contextmanager
def connected(address: str | None, *, folders: Sequence[Path] = ()) -> Iterator[None]:
    """Let the work of a block be done by a cluster; by this machine's processes if the address is None.

    Args:
        address: `local` for a cluster of this machine alone, which ends with the block; `auto` for the one that this
            machine is part of; or the address of another, such as `ray://host:10001`.
        folders: what is read and written, which every node must see.

    Raises:
        InputError: Ray is not installed, no cluster answers, or a node has other versions or lacks a folder.
    """
    if address is None:
        yield
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is sent to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if importlib.util.find_spec("ray") is None:
        raise InputError("--cluster needs Ray, which is not installed: pip install './scripts[cluster]'")
    import ray  # more than a second

    _connect(address)
    try:
        _check_nodes(folders)
        _connections.append(address)
        yield
    finally:
        if address in _connections:
            _connections.remove(address)
        ray.shutdown()


def _connect(address: str) -> None:
    import ray

    _check_reachable(address)
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # what it says of lost workers is for programmers
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of what it raises
            context = ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, configure_logging=False)
    except (OSError, RuntimeError, ValueError) as error:  # ConnectionError is an OSError
        raise _no_cluster(address, error) from error
    url = getattr(context, "dashboard_url", "")
    shown = f" Its dashboard: http://{url}" if url else ""
    log(f"Cluster: {len(_nodes())} nodes, {worker_count()} CPUs.{shown}")


def _check_reachable(address: str) -> None:
    """Raise InputError where nothing listens at an address with a port, which Ray would try for a minute."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> InputError:
    return InputError(
        f"--cluster: expected a Ray cluster at {printable(address)}, but {brief(error)}. Start one with ray start "
        "--head, or use --cluster local."
    )


def _nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def worker_count() -> int:
    """Return how many tasks the cluster can do side by side now."""
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def _check_nodes(folders: Sequence[Path]) -> None:
    """Raise InputError where a node has other versions than this process, or lacks one of the folders."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ours, places = _versions(), {Path.cwd(), *(_nearest_folder(one) for one in folders if not is_remote(named(one)))}
    checks = {}
    for node in _nodes():
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        task = ray.remote(num_cpus=0, max_retries=3, scheduling_strategy=there)(_look_at_node)
        checks[node["NodeManagerAddress"], node["NodeID"]] = task.remote([str(place) for place in places])
    faults = []
    for (address, node_id), check in checks.items():
        try:
            theirs, missing = ray.get(check, timeout=CHECK_SECONDS)
        except ray.exceptions.RayError as error:
            if node_id not in {node["NodeID"] for node in _nodes()}:
                continue  # it was lost meanwhile
            faults.append(f"node {address} cannot run this package ({brief(str(error).strip().splitlines()[-1])})")
            continue
        faults += [
            f"node {address} has {name} {theirs.get(name, 'not at all')}, and this machine has {version}"
            for name, version in ours.items()
            if theirs.get(name) != version
        ]
        faults += [f"node {address} does not see the folder {printable(place)}" for place in missing]
    if faults:
        more = f", and {len(faults) - SHOWN_FAULTS} more" if len(faults) > SHOWN_FAULTS else ""
        raise InputError(
            f"--cluster: {'; '.join(faults[:SHOWN_FAULTS])}{more}. Install the same versions on every node, and keep "
            "folders on a disk that all of them mount under the same name."
        )


def _nearest_folder(path: Path) -> Path:
    """Return a folder, or the one above that it is to be made in."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.is_dir())


def _look_at_node(places: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    return _versions(), [place for place in places if not Path(place).is_dir()]


@functools.cache
def _versions() -> dict[str, str]:
    """Return the versions of what results depend on, and a digest of this package's own code."""
    from importlib.metadata import PackageNotFoundError, version  # it costs time that only a cluster is worth

    found = {"Python": platform.python_version(), "audionet": _digest_of_code()}
    for name in RESULTS_DEPEND_ON:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _digest_of_code() -> str:
    package = Path(__file__).parent.parent
    modules = sorted(package.rglob("*.py"))
    return sha256_of(b"".join(path.relative_to(package).as_posix().encode() + path.read_bytes() for path in modules))[
        :12
    ]


class ClusterPool(Executor):
    """An executor whose calls are tasks of a cluster.

    What a call is given first, such as a function with all that it holds, is handed to the cluster once. A call whose
    process crashed or whose node was lost fails with BrokenProcessPool, and so does no other.
    """

    def __init__(self) -> None:
        import ray

        self._task = ray.remote(num_cpus=1, max_retries=0)(_call)
        self._handed: dict[int, tuple[Any, Any]] = {}  # by id, which is the object's as long as it is kept

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
        """Hand over a call with its arguments, of which the first is kept by the cluster for the calls to come."""
        import ray

        first, *rest = arguments
        if id(first) not in self._handed:
            self._handed[id(first)] = first, ray.put(first)
        return _settled(self._task.remote(str(Path.cwd()), call, self._handed[id(first)][1], *rest))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let go of what was handed over."""
        self._handed.clear()


class NetworkPool(Executor):
    """An executor whose calls are done by actors, of which each was given the same first argument once: a network.

    There is an actor for each CPU, or two for each GPU where there are any. One that crashed is replaced.
    """

    def __init__(self, holder: object):
        import ray

        gpus = int(ray.cluster_resources().get("GPU", 0))
        share = {"num_cpus": 0, "num_gpus": 1 / ACTORS_PER_GPU} if gpus else {"num_cpus": 1}
        self._actor = ray.remote(max_restarts=0, max_task_retries=0, **share)(_NetworkActor)
        self._holder = ray.put(holder)
        count = gpus * ACTORS_PER_GPU if gpus else worker_count()
        self._threads = None if gpus else 1
        self._actors = [self._started() for _ in range(count)]
        self._under_way = [0] * count

    def _started(self) -> Any:
        return self._actor.remote(str(Path.cwd()), self._threads, self._holder)

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
        """Hand a call over to the actor that has the least to do; its first argument is what the actors hold."""
        number = self._under_way.index(min(self._under_way))
        self._under_way[number] += 1
        future = _settled(self._actors[number].do.remote(call, *arguments[1:]))
        future.add_done_callback(functools.partial(self._finish, number, self._actors[number]))
        return future

    def _finish(self, number: int, actor: object, future: Future[Any]) -> None:
        self._under_way[number] -= 1
        has_crashed = isinstance(future.exception(), BrokenProcessPool)
        if has_crashed and self._actors[number] is actor:  # others of its calls fail, too
            self._actors[number] = self._started()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the actors."""
        import ray

        for actor in self._actors:
            ray.kill(actor)


class _NetworkActor:
    """A process of the cluster that holds a network."""

    def __init__(self, folder: str, threads: int | None, holder: object):
        if threads:
            os.environ[NETWORK_THREADS] = str(threads)
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # several share a GPU
        self._folder, self._holder = folder, holder

    def do(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return _call(self._folder, call, self._holder, *arguments)


def _call(folder: str, call: Callable[..., Any], *arguments: Any) -> Any:
    os.chdir(folder)  # paths may be relative to where the user stands
    return call(*arguments)


def _settled(reference: Any) -> Future[Any]:
    """Return a future of what a task or an actor returns, whose errors are those of processes of one machine."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    reference.future().add_done_callback(functools.partial(_settle, future))
    return future


def _settle(future: Future[Any], found: Future[Any]) -> None:
    from ray import exceptions

    lost = (
        exceptions.WorkerCrashedError,
        exceptions.NodeDiedError,
        exceptions.RayActorError,
        exceptions.ObjectLostError,
        exceptions.OutOfMemoryError,
    )
    error = found.exception()
    if error is None:
        future.set_result(found.result())
    elif isinstance(error, exceptions.RayTaskError):
        cause = error.cause if isinstance(error.cause, Exception) else error
        cause.__cause__ = None if cause is error else error  # where it was raised, for who looks for a fault of ours
        future.set_exception(cause)
    elif isinstance(error, lost):
        future.set_exception(BrokenProcessPool(str(error)))
    else:
        future.set_exception(
            ClusterError(
                f"The cluster cannot go on: {brief(' '.join(str(error).split()))}. What was finished is kept; type the "
                "same command again when the cluster is back."
            )
        )
