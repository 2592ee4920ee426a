"""Where commands run that are disturbed: a folder of inputs and outputs for each trial, and what it should hold."""

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audionet.failpoints import RECORD_BYTES, VARIABLE
from torture.cases import MADE_TEMPLATES, Case, State, put_inputs, write_templates
from torture.processes import CommandRun, in_processes
from torture.trees import Tree, differences, snapshot
from torture.workplace import import_everything

LONGEST_SECONDS = 120.0  # of a run; longer is a hang
GRACE_SECONDS = 5.0  # for the processes of a run to end
FOLDER = "here"  # of a trial's own folder: what its commands see, and what is compared
LAST_CHARACTERS = 600  # of what a command printed, to be told


@dataclass(frozen=True)
class Reference:
    """What one undisturbed run from scratch leaves."""

    tree: Tree
    seconds: float
    writes: int  # how often it writes


@dataclass(frozen=True)
class Prepared:
    """What all trials of some cases share."""

    place: Path  # for the folders of trials
    templates: Path
    references: Mapping[tuple[str, str], Reference]

    def reference(self, case: Case, state: State) -> Reference:
        """Return what an undisturbed run leaves."""
        return self.references[case.name, state.name]

    def any_state(self, case: Case) -> dict[str, str]:
        """Return what undisturbed runs in any state leave."""
        return {name: value for state in case.states for name, value in self.reference(case, state).tree.items()}


class TrialFolder:
    """The folder of a trial, in which the command of a case runs."""

    def __init__(self, case: Case, place: Path, templates: Path):
        self.case, self._place, self._templates = case, place, templates
        self.folder = place / FOLDER
        (self.folder / "tmp").mkdir(parents=True)
        self._inputs: Mapping[str, str] | None = None  # what is there now
        put_inputs(case.kept or {}, self.folder, templates)

    def start(self, state: State, *, failpoint: str = "0:SIGKILL") -> CommandRun:
        """Start the command with the inputs and settings of a state; by default its writes are counted and succeed."""
        self._counter.unlink(missing_ok=True)
        self.put_inputs(state)
        environment = {"TMPDIR": str(self.folder / "tmp"), VARIABLE: f"{self._counter}:{failpoint}"}
        arguments = (*self.case.command, *state.options)
        messages = self._place / "messages"
        return CommandRun(arguments, self.folder, messages, environment, forked=self.case.forked).start()

    def put_inputs(self, state: State) -> None:
        """Put the inputs of a state where the command finds them, unless they are there."""
        if state.inputs != self._inputs:
            put_inputs(state.inputs, self.folder, self._templates)
            self._inputs = state.inputs

    def messages(self) -> str:
        """Return what the last command printed."""
        return (self._place / "messages").read_text(errors="replace")

    @property
    def _counter(self) -> Path:
        return self._place / "writes"

    def writes(self) -> int:
        """Return how often the last command has written."""
        return self._counter.stat().st_size // RECORD_BYTES if self._counter.exists() else 0

    def tree(self) -> dict[str, str]:
        """Return what the folder holds, but for sockets of Python's own, which a killed process leaves."""
        for left in (self.folder / "tmp").glob("pymp-*"):
            shutil.rmtree(left)
        return snapshot(self.folder)

    def fault_of_end(self, process: CommandRun, *, statuses: Sequence[int | None]) -> str:
        """Wait for the end of a run, and return what is wrong with it, if anything."""
        status = process.status(within=LONGEST_SECONDS)
        if status is None:
            process.kill("group", signal.SIGKILL)
            return f"it hung for {LONGEST_SECONDS:.0f} s"
        said = self.messages()
        if "Traceback" in said:
            return f"a traceback: {said[said.index('Traceback') :][-LAST_CHARACTERS:]}"
        if status not in statuses:
            return f"it ended with {status}, not {statuses}: {said[-LAST_CHARACTERS:]}"
        left = process.left_after(GRACE_SECONDS)
        return f"processes are left after {GRACE_SECONDS:.0f} s: {'; '.join(left)}" if left else ""

    def fault_undisturbed(self, state: State, prepared: Prepared) -> str:
        """Run the command undisturbed, and return what is wrong with it or with what the folder holds then."""
        reference = prepared.reference(self.case, state)
        fault = self.fault_of_end(self.start(state), statuses=(0,))
        if fault:
            return f"undisturbed, {fault}"
        told = differences(self.tree(), reference.tree, may_hold=prepared.any_state(self.case))
        return f"undisturbed, {len(told)} differences: {'; '.join(told[:6])}" if told else ""


@contextmanager
def prepared_for(cases: Sequence[Case], *, jobs: int, keep: bool = False) -> Iterator[Prepared]:
    """Write the inputs of cases, run each state undisturbed, and remove everything at the end unless it is kept."""
    import_everything()
    place = Path(tempfile.mkdtemp(prefix="torture-"))
    try:
        templates = place / "templates"
        _make_templates(templates)
        wanted = list(enumerate((case, state) for case in cases for state in case.states))
        made = in_processes(_MakeReference(place, templates), wanted, jobs=jobs)
        references = {(case.name, state.name): reference for (_, (case, state)), reference in made}
        yield Prepared(place, templates, references)
    finally:
        if not keep:
            shutil.rmtree(place, ignore_errors=True)


def _make_templates(templates: Path) -> None:
    templates.mkdir()
    write_templates(templates)
    for command, inputs, made in MADE_TEMPLATES:
        trial = TrialFolder(Case("template", command, ()), templates / "made", templates)
        status = trial.start(State("template", inputs)).status(within=LONGEST_SECONDS)
        assert status == 0, f"{' '.join(command)} ended with {status}: {trial.messages()}"
        for left, template in made.items():
            shutil.move(trial.folder / left, templates / template)
        shutil.rmtree(templates / "made")


@dataclass(frozen=True)
class _MakeReference:
    place: Path
    templates: Path

    def __call__(self, wanted: tuple[int, tuple[Case, State]]) -> Reference:
        number, (case, state) = wanted
        folder = self.place / f"reference{number}"  # a short name, as sockets below it need
        trial = TrialFolder(case, folder, self.templates)
        begun = time.monotonic()
        status = trial.start(state).status(within=LONGEST_SECONDS)
        assert status == 0, f"{case.name}, {state.name}, ended with {status}: {trial.messages()}"
        made = Reference(trial.tree(), time.monotonic() - begun, trial.writes())
        shutil.rmtree(folder)
        return made
