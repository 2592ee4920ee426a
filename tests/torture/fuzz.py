"""Readers of outside data, which get files that were valid once, and must refuse them or read them right.

An input passes if the reader returns what holds together, or raises an AudioNetError of a few printable sentences,
within a second of processor time and 500 MB, and writes, runs and asks nothing outside the folder that it was given.
Each reader runs in a process of its own, so that one that crashes or hangs is a finding too. Inputs that fail are kept.
Atheris, where it is installed (pip install atheris), chooses the inputs by what code they reach.
"""

import dataclasses
import gc
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from audionet.console import log
from audionet.errors import AudioNetError
from audionet.files import brief
from torture import outside_data
from torture.options import FuzzOptions
from torture.reader import Files, Reader
from torture.tally import Tally

MOST_SECONDS = 1.0  # of processor time, since others may share the machine
MOST_BYTES = 500_000_000
HANGING_SECONDS = 60.0  # without an end of one input
STARTING_SECONDS = 600.0  # for imports, on a machine that has much else to do
SPARE_BYTES = 6 << 30  # of address space beyond what the libraries take, lest the machine suffers
LONGEST_MESSAGE = 3_000  # characters
PROGRESS_NAME = "inputs.txt"
LOG_NAME = "stderr.txt"
CORPUS_FILES = 32
CORPUS_BYTES = 4096


@dataclass
class Finding:
    """One way in which a reader failed."""

    what: str  # the exception and its place, or the limit
    count: int = 1
    example: Path | None = None  # the folder with the smallest input that did it
    example_bytes: int = 0


@dataclass
class Outcome:
    """What became of a reader's inputs."""

    reader: str
    inputs: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest_seconds: float = 0.0
    largest_bytes: int = 0
    findings: dict[str, Finding] = field(default_factory=dict)

    def note(self, kind: str, what: str, files: Files, keep: Path | None) -> None:
        """Count a failure, and keep the smallest input of each kind."""
        finding = self.findings.setdefault(kind, Finding(what, count=0))
        finding.count += 1
        size = sum(map(len, files.values()))
        if keep is not None and (finding.example is None or size < finding.example_bytes):
            finding.example = finding.example or keep / self.reader / f"{len(self.findings)}"
            finding.example_bytes = size
            shutil.rmtree(finding.example, ignore_errors=True)
            write_files(finding.example, files)


def write_files(folder: Path, files: Files) -> None:
    """Write files into a folder, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def read_files(folder: Path) -> Files:
    """Return what `write_files` wrote."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fuzz(
    reader: Reader, *, inputs: int, first_seed: int, folder: Path, keep: Path | None = None, limits: bool = True
) -> Outcome:
    """Give a reader `inputs` files and return what became of them.

    Without `limits`, what takes long or much memory passes; `keep` is the folder for inputs that fail.
    """
    outcome = Outcome(reader.name)
    given_folder = folder / "given"
    write_files(given_folder, reader.valid)
    with watched(folder, programs=reader.runs_programs), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader.read(given_folder)  # what is right is read, and what is imported is imported now

    # Hypothesis stops before `inputs` if it has drawn all there are, so that it is asked again with another seed.
    begun = time.monotonic()
    round_seed = first_seed
    while outcome.inputs < inputs:
        before = outcome.inputs
        test = test_of(reader, outcome, folder, keep=keep, limits=limits)
        seed(round_seed)(settings_for(inputs - outcome.inputs)(test))()
        round_seed += 1
        if outcome.inputs == before:
            break
    outcome.seconds = time.monotonic() - begun
    return outcome


def settings_for(inputs: int) -> settings:
    """Return settings by which hypothesis draws so many inputs and does nothing else."""
    return settings(
        max_examples=inputs,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def test_of(reader: Reader, outcome: Outcome, folder: Path, *, keep: Path | None, limits: bool) -> Callable[[], None]:
    """Return the function that gives a reader one input, as hypothesis wants it; it fails never."""

    @given(reader.inputs)
    def test(files: Files) -> None:
        given_folder = folder / "given"
        write_files(given_folder, files)
        (folder / PROGRESS_NAME).write_text(str(outcome.inputs))
        outcome.inputs += 1
        for fault in faults_of(reader, given_folder, folder, outcome, limits=limits):
            outcome.note(fault.partition(": ")[0], fault, files, keep)

    return test


def faults_of(reader: Reader, given_folder: Path, root: Path, outcome: Outcome, *, limits: bool) -> list[str]:
    """Let a reader read, and return what is wrong with how it went."""
    faults = []
    resting_bytes = _bytes_of("VmRSS") if limits else 0
    if limits:
        Path("/proc/self/clear_refs").write_text("5")  # from here on, VmHWM is this input's
    begun = _processor_seconds()
    with watched(root, programs=reader.runs_programs) as outside, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            reader.read(given_folder)
        except AudioNetError as error:
            outcome.refused += 1
            faults += message_faults(str(error))
        except AssertionError as error:
            faults.append(f"wrong answer: {error}")
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            faults.append(place_of(error))
    if limits:
        seconds, grown = _processor_seconds() - begun, _bytes_of("VmHWM") - resting_bytes
        outcome.slowest_seconds = max(outcome.slowest_seconds, seconds)
        outcome.largest_bytes = max(outcome.largest_bytes, grown)
        faults += [f"more than {MOST_SECONDS:g} s"] * (seconds > MOST_SECONDS)
        faults += [f"more than {MOST_BYTES / 1e6:.0f} MB"] * (grown > MOST_BYTES)
    return faults + sorted(set(outside))


def message_faults(message: str) -> list[str]:
    """Return what is wrong with an error's text."""
    faults = []
    if len(message) > LONGEST_MESSAGE:
        faults.append(f"a message of more than {LONGEST_MESSAGE} characters: {message[:40]!r}")
    if not message.replace("\n", " ").replace("\u2026", " ").isprintable():
        faults.append(f"a message with control characters: {message[:40]!r}")
    if "Traceback" in message:
        faults.append("a traceback within a message")
    return faults


def place_of(error: BaseException) -> str:
    """Return an exception's kind and the last place in this project where it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/audionet/" in frame.filename] or frames[-1:]
    last = ours[-1]
    return f"{type(error).__name__} in {Path(last.filename).stem}.{last.name}, line {last.lineno}: {brief(error)}"


def _processor_seconds() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _bytes_of(kind: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{kind}:"))


_WATCH: list[tuple[Path, bool, list[str]]] = []  # the folder, whether programs may run, and what went beyond
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
_RUNS = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "os.fork", "os.forkpty"}
_ASKS = {"socket.connect", "socket.getaddrinfo", "socket.bind", "urllib.Request", "webbrowser.open"}
_IS_HOOKED: list[bool] = []


@contextmanager
def watched(root: Path, *, programs: bool) -> Iterator[list[str]]:
    """Yield the list of what this process does outside `root` while the block runs: writes, programs, connections."""
    if not _IS_HOOKED:
        sys.addaudithook(_on_event)  # for good
        _IS_HOOKED.append(True)
    outside: list[str] = []
    _WATCH.append((root.resolve(), programs, outside))
    try:
        yield outside
    finally:
        _WATCH.pop()


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if not _WATCH:
        return
    root, programs, outside = _WATCH[-1]
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, str | bytes) and flags & _WRITING and not _is_inside(path, root):
            outside.append(f"it wrote outside: {brief(os.fsdecode(path))}")
    elif event in _CHANGES:
        if -1 in arguments[-2:] or not isinstance(arguments[-1], int):  # else the name is relative to an open folder
            changed = [one for one in arguments[:2] if isinstance(one, str | bytes) and not _is_inside(one, root)]
            outside.extend(f"{event} outside: {brief(os.fsdecode(path))}" for path in changed)
    elif (event in _RUNS and not programs) or event in _ASKS:
        outside.append(f"{event}: {brief(arguments)}")


def _is_inside(path: str | bytes, root: Path) -> bool:
    text = os.path.abspath(os.fsdecode(path))
    return text == os.devnull or text.startswith((f"{root}{os.sep}", "/dev/shm", "/proc/self")) or text == str(root)


def run(options: FuzzOptions) -> list[Tally]:
    """Fuzz each reader in processes of its own, log what was found, and return how many inputs were survived."""
    keep = Path(tempfile.mkdtemp(prefix="audionet-fuzz-"))
    outcomes = [_in_processes(name, options, keep) for name in outside_data.READERS if options.wants(name)]
    for outcome in outcomes:
        for finding in outcome.findings.values():
            log(f"fuzz: {outcome.reader}: {finding.what} ({finding.count} times); the input is in {finding.example}")
    return [tally_of(outcome) for outcome in outcomes]


def tally_of(outcome: Outcome) -> Tally:
    """Return the numbers of an outcome."""
    failed = sum(one.count for one in outcome.findings.values())
    tried = max(outcome.inputs, failed)
    return Tally("fuzz", outcome.reader, tried, tried - failed, outcome.seconds)


def _in_processes(name: str, options: FuzzOptions, keep: Path) -> Outcome:
    """Fuzz one reader; where its process dies or hangs, go on with the rest of the inputs and another seed."""
    whole = Outcome(name)
    while whole.inputs < options.inputs:
        with tempfile.TemporaryDirectory(prefix="audionet-fuzzed-") as scratch:
            rest = dataclasses.replace(options, inputs=options.inputs - whole.inputs, seed=options.seed + whole.inputs)
            part, fault = _in_one_process(name, rest, Path(scratch), keep)
            _add(whole, part)
            if fault:
                whole.note(fault, fault, read_files(Path(scratch) / "given"), keep)
            if not part.inputs:  # it cannot even begin
                break
    log(
        f"fuzz: {name}: {whole.inputs} inputs in {whole.seconds:.0f} s, {whole.refused} refused, the slowest "
        f"{whole.slowest_seconds:.2f} s, the largest {whole.largest_bytes / 1e6:.0f} MB, "
        f"{len(whole.findings)} kinds of failure"
    )
    return whole


def _add(whole: Outcome, part: Outcome) -> None:
    whole.inputs += part.inputs
    whole.refused += part.refused
    whole.seconds += part.seconds
    whole.slowest_seconds = max(whole.slowest_seconds, part.slowest_seconds)
    whole.largest_bytes = max(whole.largest_bytes, part.largest_bytes)
    for kind, finding in part.findings.items():
        if kind in whole.findings:
            whole.findings[kind].count += finding.count
        else:
            whole.findings[kind] = finding


def _in_one_process(name: str, options: FuzzOptions, folder: Path, keep: Path) -> tuple[Outcome, str]:
    """Return what became of a reader's inputs in one process, and how it died, or nothing if it did not."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(name, options, folder, keep, theirs))
    begun = time.monotonic()
    process.start()
    theirs.close()
    inputs, since, hangs = "", begun, False
    while not ours.poll(0.5):
        now = (folder / PROGRESS_NAME).read_text() if (folder / PROGRESS_NAME).exists() else ""
        if now != inputs:
            inputs, since = now, time.monotonic()
        elif time.monotonic() - since > (HANGING_SECONDS if inputs else STARTING_SECONDS):
            hangs = True
            process.kill()
            break
    try:
        outcome = ours.recv()
        process.join()
        return outcome, ""
    except EOFError:
        process.join()
        lines = (folder / LOG_NAME).read_text(errors="replace").splitlines() or [""]
        ended = f"its process ended with {process.exitcode}: {brief(lines[-1])}"
        fault = f"no end within {HANGING_SECONDS:.0f} s" if hangs else ended
        return Outcome(name, inputs=int(inputs) + 1 if inputs else 0, seconds=time.monotonic() - begun), fault


def _work(name: str, options: FuzzOptions, folder: Path, keep: Path, pipe: Connection) -> None:
    os.environ |= {"HOME": str(folder), "AUDIONET_CACHE": str(folder / "cache"), "TMPDIR": str(folder)}
    tempfile.tempdir = str(folder)
    sys.dont_write_bytecode = True
    os.chdir(folder)
    os.dup2(os.open(folder / LOG_NAME, os.O_WRONLY | os.O_CREAT), 2)  # for what ends the process, and for decoders
    reader = outside_data.READERS[name]()
    most = _bytes_of("VmSize") + SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    if options.engine == "atheris":
        pipe.send(_by_coverage(reader, options, folder, keep))
        os._exit(0)  # what Atheris has registered for the end waits for its own
    else:
        pipe.send(fuzz(reader, inputs=options.inputs, first_seed=options.seed, folder=folder, keep=keep))


def _by_coverage(reader: Reader, options: FuzzOptions, folder: Path, keep: Path) -> Outcome:
    """Let Atheris choose what hypothesis draws, in a child, since it ends its process."""
    import atheris  # optional

    outcome = Outcome(reader.name)
    begun = time.monotonic()
    test: Any = settings_for(options.inputs)(test_of(reader, outcome, folder, keep=keep, limits=True))
    ours, theirs = multiprocessing.Pipe(duplex=False)
    if os.fork() == 0:
        for one in gc.get_objects():
            if isinstance(one, types.FunctionType) and (one.__module__ or "").startswith("audionet."):
                atheris.instrument_func(one)
        corpus = folder / "corpus"
        corpus.mkdir()
        chance = random.Random(options.seed)
        for number in range(CORPUS_FILES):  # what hypothesis draws from; with few bytes it draws nothing
            (corpus / str(number)).write_bytes(chance.randbytes(CORPUS_BYTES))
        calls = 0

        def one_input(content: bytes) -> None:
            nonlocal calls
            test.hypothesis.fuzz_one_input(content)
            calls += 1
            if calls >= options.inputs:
                theirs.send(outcome)
                os._exit(0)

        switches = [f"-seed={options.seed + 1}", f"-max_len={4 * CORPUS_BYTES}", "-rss_limit_mb=0"]
        atheris.Setup([sys.argv[0], *switches, str(corpus)], one_input)
        atheris.Fuzz()
    theirs.close()
    outcome = ours.recv()
    outcome.seconds = time.monotonic() - begun
    return outcome
