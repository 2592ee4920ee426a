"""Full disks: a command says in one sentence which file had no room, and finishes when there is some.

A trial gives a command so many kilobytes of free space, on a small disk of its own, and then the room that it needs.
Where no disk may be mounted, writes fail instead, from the first, the second and so on to the last, by the failpoints.
"""

import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from torture.cases import CASES, Case
from torture.options import DiskOptions
from torture.processes import CommandRun, in_processes
from torture.tally import Tally
from torture.trees import whole_files
from torture.trial_folder import FOLDER, LAST_CHARACTERS, Prepared, TrialFolder, prepared_for

LARGEST_KB = 1024
FINE_KB, FINE_STEP_KB, STEP_KB = 64, 4, 32  # a page of memory is 4 kB; sizes above 64 kB are farther apart
ROOM_KB = 200_000


@dataclass(frozen=True)
class Trial:
    """A command and how much it may write: kilobytes, or writes."""

    case: Case
    free: int
    is_mounted: bool

    @property
    def name(self) -> str:
        """What tells it from others of its case."""
        return f"{self.free} kB" if self.is_mounted else f"{self.free} writes"


def run(options: DiskOptions) -> list[Tally]:
    """Try every case that is wanted, and return their tallies."""
    cases = [case for case in CASES if options.wants(case.name)]
    tallies = {case.name: Tally("disks", case.name) for case in cases}
    with prepared_for(cases, jobs=options.jobs, keep=options.keep) as prepared:
        is_mounted = not options.failpoints and may_mount(prepared.place / "mounted")
        trials = [trial for case in cases for trial in planned(case, prepared, options, is_mounted=is_mounted)]
        numbered = [(number, one) for number, one in enumerate(trials) if options.trial in ("", one.name)]
        work = DoTrial(prepared, keep=options.keep)
        for (_, trial), (fault, seconds) in in_processes(work, numbered, jobs=options.jobs):
            how = "" if is_mounted else " --failpoints"
            repeat = f"disks{how} --cases ^{trial.case.name}$ --trial {trial.name!r}"
            told = f"{trial.name} free: {fault}" if fault else ""
            tallies[trial.case.name].count(told, seconds=seconds, repeat=f'make torture TORTURE="{repeat}"')
    return list(tallies.values())


def may_mount(folder: Path) -> bool:
    """Tell whether a small disk can be mounted here."""
    with Disk(folder) as disk:
        return disk.is_mounted


def planned(case: Case, prepared: Prepared, options: DiskOptions, *, is_mounted: bool) -> list[Trial]:
    """Return the trials of a case."""
    if is_mounted:
        fine = options.every or FINE_STEP_KB
        sizes = {*range(0, FINE_KB, fine), *range(FINE_KB, LARGEST_KB + 1, options.every or STEP_KB)}
    else:
        sizes = set(range(prepared.reference(case, case.states[0]).writes))
    return [Trial(case, size, is_mounted) for size in sorted(sizes)]


@dataclass
class Disk:
    """A disk in memory, mounted at a folder, as a context manager."""

    folder: Path
    is_mounted: bool = field(default=False, init=False)

    def __enter__(self) -> "Disk":
        self.folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM_KB}k", "tmpfs", str(self.folder)]
        try:
            self.is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            self.is_mounted = False
        return self

    def leave_free(self, kilobytes: int) -> None:
        """Make the disk so large that so much is free."""
        used = shutil.disk_usage(self.folder).used // 1024
        size = f"remount,size={used + kilobytes}k" if used + kilobytes else "remount,size=4k"
        subprocess.run(["mount", "-o", size, str(self.folder)], check=True)

    def __exit__(self, *exception: object) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)


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
        if trial.is_mounted:
            with Disk(place / FOLDER) as disk:
                fault = self._fault_of(trial, TrialFolder(trial.case, place, self.prepared.templates), disk)
                if fault and self.keep:
                    shutil.copytree(place / FOLDER, place / "kept")
        else:
            fault = self._fault_of(trial, TrialFolder(trial.case, place, self.prepared.templates), None)
        if not (fault and self.keep):
            shutil.rmtree(place, ignore_errors=True)
        return f"{fault} (kept: {place})" if fault and self.keep else fault, time.monotonic() - begun

    def _fault_of(self, trial: Trial, folder: TrialFolder, disk: Disk | None) -> str:
        state = trial.case.states[0]
        reference = self.prepared.reference(trial.case, state)
        folder.put_inputs(state)
        before = whole_files(folder.folder)
        if disk:
            disk.leave_free(trial.free)
        process = folder.start(state, failpoint="0:ENOSPC" if disk else f"{trial.free + 1}:ENOSPC")
        fault = folder.fault_of_end(process, statuses=(0, 1)) or fault_of_words(process, folder)
        if fault:
            return fault
        after = whole_files(folder.folder)
        torn = [name for name, one in after.items() if one not in (reference.tree.get(name), before.get(name))]
        if torn:
            return f"it left parts of files, or others than it should: {', '.join(torn[:5])}"
        if disk:
            disk.leave_free(ROOM_KB)
        return folder.fault_undisturbed(state, self.prepared)


def fault_of_words(process: CommandRun, folder: TrialFolder) -> str:
    """Return what is wrong with what a command said that had no room, if it had none."""
    if process.status(within=0) == 0:
        return ""
    said = folder.messages()
    sentences = [line for line in said.splitlines() if line.startswith("Error: ")]
    if len(sentences) != 1:
        return f"expected one sentence, received {len(sentences)}: {said[-LAST_CHARACTERS:]}"
    if not re.search(r"no room left on the disk for \S", sentences[0]):
        return f"this does not say which file had no room: {sentences[0]}"
    return ""
