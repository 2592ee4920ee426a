"""Time and memory of commands in processes of their own, rivals in turn, so that a noisy machine is fair to all."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audionet.console import log
from audionet.errors import AudioNetError
from audionet.parallel import PACKAGE_PARENT

SAMPLE_SECONDS = 0.1  # between two looks at the memory; more often would slow down what is measured
LAST_WORDS = 2000  # characters of a failed command's messages


@dataclass(frozen=True)
class Timing:
    """What a command took."""

    seconds: float  # by its own clock if it has one, else from its start to its end
    peak_bytes: int = 0  # the most that it and its processes held together, file caches left out; 0 if not watched


@dataclass(frozen=True)
class Competitor:
    """One way to do a step."""

    name: str
    units: float  # how much it does, in the step's unit
    command: tuple[str, ...]
    has_clock: bool = False  # whether it prints the seconds that count, as `job` does, instead of being timed
    output: Path | None = None  # a folder that is removed before each run, outside the time


@dataclass(frozen=True)
class Step:
    """What is to be done, the unit that it is counted in, and who does it."""

    unit: str
    competitors: tuple[Competitor, ...]


def script(name: str, *arguments: object) -> tuple[str, ...]:
    """Return the command that runs a script as a user would."""
    return sys.executable, str(Path(PACKAGE_PARENT) / name), *map(str, arguments)


def job(work: Callable[..., object], **arguments: object) -> tuple[str, ...]:
    """Return the command that calls a function of a module here, and prints what it returns as JSON."""
    program = (
        f"import json, sys\nfrom {work.__module__} import {work.__name__} as work\n"
        "print(json.dumps(work(**json.loads(sys.argv[1]))))"
    )
    return sys.executable, "-c", program, json.dumps(arguments, default=str)


def run_timed(competitor: Competitor, *, watch_memory: bool = False) -> Timing:
    """Run a competitor once.

    Raises:
        AudioNetError: its command failed.
    """
    if competitor.output and os.path.lexists(competitor.output):
        shutil.rmtree(competitor.output)
    paths = [PACKAGE_PARENT, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as messages:
        start = time.perf_counter()
        process = subprocess.Popen(competitor.command, stdout=output, stderr=messages, env=environment)
        try:
            peak_bytes = _watch(process) if watch_memory else 0
            status = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - start
        output.seek(0)
        messages.seek(0)
        if status:
            last = messages.read().decode(errors="replace")[-LAST_WORDS:]
            raise AudioNetError(f"{competitor.name} failed with status {status}:\n{last}")
        return Timing(json.loads(output.read().splitlines()[-1]) if competitor.has_clock else seconds, peak_bytes)


def take_turns(
    competitors: Sequence[Competitor], *, rounds: int, watch_memory: bool = False
) -> dict[str, list[Timing]]:
    """Run competitors in turn, one round after another; return their timings by name, as many as rounds."""
    timings: dict[str, list[Timing]] = {competitor.name: [] for competitor in competitors}
    for number in range(1, rounds + 1):
        for competitor in competitors:
            timing = run_timed(competitor, watch_memory=watch_memory)
            timings[competitor.name].append(timing)
            log(f"  round {number}: {competitor.name} {timing.seconds:.2f} s")
    return timings


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the `median`, the `low` and the `high` of numbers, at least one."""
    return {"median": float(np.median(values)), "low": float(min(values)), "high": float(max(values))}


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Return how many times as fast ours is, by the speeds of each round, as `spread` gives it."""
    return spread([mine / other for mine, other in zip(ours, theirs, strict=True)])


def _watch(process: subprocess.Popen[bytes]) -> int:
    import psutil  # only this benchmark needs it

    watched = psutil.Process(process.pid)
    peak_bytes = 0
    while process.poll() is None:
        try:
            held = [each.memory_info() for each in (watched, *watched.children(recursive=True))]
            # Without what files are mapped to, which the system takes back when it needs to.
            peak_bytes = max(peak_bytes, sum(memory.rss - getattr(memory, "shared", 0) for memory in held))
        except psutil.NoSuchProcess:  # it has ended meanwhile; the next look sees what is left
            continue
        try:
            process.wait(SAMPLE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    return peak_bytes
