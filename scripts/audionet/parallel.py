"""Processes that share the cores: for work that Python's threads cannot do side by side."""

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import BaseContext
from pathlib import Path

import threadpoolctl

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
