"""Commands that are killed: the next run that nobody disturbs leaves what a first one would have left.

A trial runs a case's command one to three times, with inputs and settings by chance, and kills each run: its main
process, one of its workers, whoever writes, or all, by SIGKILL or SIGTERM, at a moment by chance or at a write. After
each, no process of it may be left. Then it runs undisturbed, and everything in its folder is compared with what a
single run from scratch leaves.

Besides, each case is killed once at every point where it writes, but for the default network, which takes longer.
"""

import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from audionet.errors import AudioNetError
from audionet.models.classifier import Classifier
from torture.cases import CASES, Case, State
from torture.options import KillOptions
from torture.processes import CommandRun, Target, in_processes
from torture.tally import Tally
from torture.trial_folder import LONGEST_SECONDS, Prepared, TrialFolder, prepared_for

SIGNALS = (signal.SIGKILL, signal.SIGTERM)
TARGETS: tuple[Target, ...] = ("main", "worker", "group")
WRITER: Target = "writer"


@dataclass(frozen=True)
class Kill:
    """How a run is killed."""

    state: State
    target: Target
    number: signal.Signals
    moment: float  # share of the time, or of the writes, that an undisturbed run needs
    at_write: bool
    choice: int = 0  # which of the workers

    def __str__(self) -> str:
        of_what = "writes" if self.at_write else "time"
        return f"{self.state.name}, {self.number.name} to {self.target} at {self.moment:.0%} of the {of_what}"


@dataclass(frozen=True)
class Trial:
    """Some killed runs and an undisturbed one."""

    case: Case
    name: str
    before: State | None  # of an undisturbed run before the first kill
    kills: tuple[Kill, ...]
    last: State

    def __str__(self) -> str:
        before = [self.before.name] if self.before else []
        return f"{self.name} ({'; '.join([*before, *map(str, self.kills), self.last.name])})"


def run(options: KillOptions) -> list[Tally]:
    """Try every case that is wanted, and return their tallies."""
    cases = [case for case in CASES if options.wants(case.name)]
    tallies = {case.name: Tally("kills", case.name) for case in cases}
    with prepared_for(cases, jobs=options.jobs, keep=options.keep) as prepared:
        trials = [trial for case in cases for trial in planned(case, prepared, options)]
        numbered = [(number, one) for number, one in enumerate(trials) if options.trial in ("", one.name)]
        work = DoTrial(prepared, keep=options.keep)
        for (_, trial), (fault, seconds) in in_processes(work, numbered, jobs=options.jobs):
            repeat = f"kills --seed {options.seed} --cases ^{trial.case.name}$ --trial {trial.name!r}"
            count = max(1, len(trial.kills))
            tallies[trial.case.name].count(
                f"{trial}: {fault}" if fault else "",
                trials=count,
                seconds=seconds,
                repeat=f'make torture TORTURE="{repeat}"',
            )
    return list(tallies.values())


def planned(case: Case, prepared: Prepared, options: KillOptions) -> list[Trial]:
    """Return the trials of a case, which follow from the seed alone."""
    rng = random.Random(f"{options.seed} {case.name}")
    trials = [Trial(case, "twice", case.states[0], (), case.states[0])]
    writes = prepared.reference(case, case.states[0]).writes if case.forked else 0
    points = random.Random(f"{options.seed} {case.name} points").sample(range(1, writes + 1), writes)[: options.points]
    for number in range(1, writes + 1):
        target = rng.choice((WRITER, WRITER, *TARGETS))
        kill = Kill(case.states[0], target, rng.choice(SIGNALS), number / writes, at_write=True)
        before, last = rng.choice((None, *case.states)), rng.choice(case.states)
        if number in points:
            trials.append(Trial(case, f"write {number}", before, (kill,), last))
    for number in range(round(case.trials * options.scale)):
        kills = tuple(_random_kill(case, rng) for _ in range(rng.choice((1, 1, 2, 3))))
        before, last = rng.choice((None, *case.states)), rng.choice(case.states)
        trials.append(Trial(case, f"random {number}", before, kills, last))
    return trials


def _random_kill(case: Case, rng: random.Random) -> Kill:
    state, number, moment, at_write = rng.choice(case.states), rng.choice(SIGNALS), rng.random(), rng.random() < 0.5
    target = rng.choice((WRITER, *TARGETS) if at_write else TARGETS)
    return Kill(state, target, number, moment, at_write, choice=rng.randrange(100))


@dataclass(frozen=True)
class DoTrial:
    """Does trials."""

    prepared: Prepared
    keep: bool

    def __call__(self, numbered: tuple[int, Trial]) -> tuple[str, float]:
        """Return what was wrong, if anything, and how many seconds it took."""
        number, trial = numbered
        begun = time.monotonic()
        place = self.prepared.place / f"trial{number}"
        fault = self._fault_of(trial, TrialFolder(trial.case, place, self.prepared.templates))
        if fault and self.keep:
            fault = f"{fault} (kept: {place})"
        else:
            shutil.rmtree(place, ignore_errors=True)
        return fault, time.monotonic() - begun

    def _fault_of(self, trial: Trial, folder: TrialFolder) -> str:
        if trial.before and (fault := folder.fault_undisturbed(trial.before, self.prepared)):
            return f"at first, {fault}"
        for number, kill in enumerate(trial.kills, start=1):
            if fault := self._fault_of_kill(folder, kill):
                return f"kill {number}: {fault}"
        return folder.fault_undisturbed(trial.last, self.prepared)

    def _fault_of_kill(self, folder: TrialFolder, kill: Kill) -> str:
        process = self._start_and_kill(folder, kill)
        if kill.target not in ("worker", WRITER):
            process.status(within=LONGEST_SECONDS)  # it dies
        return folder.fault_of_end(process, statuses=(-kill.number, 128 + kill.number, 0, 1)) or _fault_of_model(folder)

    def _start_and_kill(self, folder: TrialFolder, kill: Kill) -> CommandRun:
        reference = self.prepared.reference(folder.case, kill.state)
        if not kill.at_write:
            process = folder.start(kill.state)
            process.status(within=kill.moment * reference.seconds)
            process.kill(kill.target, kill.number, choice=kill.choice)
            return process
        write = max(1, round(kill.moment * reference.writes))
        if kill.target == WRITER:
            return folder.start(kill.state, failpoint=f"{write}:{kill.number.name}")
        process = folder.start(kill.state, failpoint=f"{write}:SIGSTOP")
        _wait_for(process, lambda: folder.writes() >= write)
        process.kill(kill.target, kill.number, choice=kill.choice)
        process.kill("group", signal.SIGCONT)  # whoever stopped at the write goes on, or dies
        return process


def _wait_for(process: CommandRun, is_so: Callable[[], bool]) -> None:
    """Wait until something is so or the process has ended."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while not is_so() and process.status(within=0.005) is None and time.monotonic() < deadline:
        pass


def _fault_of_model(folder: TrialFolder) -> str:
    """Return why the classifier that there must be at every moment cannot be loaded, if so."""
    if folder.case.model is None:
        return ""
    try:
        Classifier.load(folder.folder / folder.case.model)
    except AudioNetError as error:
        return f"then the classifier cannot be loaded: {error}"
    return ""
