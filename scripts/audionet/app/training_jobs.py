"""Training for a visitor: retrain.py in a process of its own, watched while it runs, and its outcome in plain words."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import anyio

from audionet.app.users import STRANGERS, RefusedError, User
from audionet.console import WATCHED

SCRIPTS = Path(__file__).resolve().parent.parent.parent
LONGEST_SECONDS = 3600
NICENESS = 5  # lets those who only ask for a label go first
BAR = re.compile(r"(\w+): +(\d+)%")
WORDS = {"Drawing": "Drawing pictures of the clips", "Bottlenecks": "Looking at the pictures"}
LAST_WORDS = "Training and measuring"
WELL_MEASURED = 20  # recordings held out, from which on a share of them says something
RECORDINGS_TO_MEASURE = 3


@dataclass
class TrainingJob:
    """One training, from the press of the button to its end.

    Attributes:
        state: `waiting`, `running`, `done` or `failed`.
        words: what is being done, or what came of it, for a person.
        share: of the present step that is done, 0..1, or None where nobody can tell.
        model: key of the classifier that came of it.
    """

    state: str = "waiting"
    words: str = "Waiting for another training to end"
    share: float | None = None
    model: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed")

    def note(self, line: str) -> None:
        """Take note of a line that the training wrote."""
        if bar := BAR.search(line):
            step, percent = bar[1], int(bar[2])
            done = percent == 100
            self.words = LAST_WORDS if done and step == "Bottlenecks" else WORDS.get(step, step)
            self.share = None if done else percent / 100


class TrainingQueue:
    """Trains one visitor's clips after the other's."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task] = set()
        self._lessons: dict[Path, TrainingJob] = {}

    def lesson_of(self, visitor: User) -> TrainingJob | None:
        """Return the visitor's training that runs or was the last to run."""
        return self._lessons.get(visitor.folder)

    def forget(self, visitor: User) -> None:
        """Forget the visitor's last training."""
        self._lessons.pop(visitor.folder, None)

    def begin(self, visitor: User) -> TrainingJob:
        """Begin to train on the visitor's clips.

        Raises:
            RefusedError: there is too little to train on, or a training of theirs runs already.
        """
        check_teachable(visitor.labels())
        last = self.lesson_of(visitor)
        if last and not last.is_over:
            raise RefusedError("A training of yours runs already. Wait for its end.")
        lesson = self._lessons[visitor.folder] = TrainingJob()
        task = asyncio.create_task(self._teach(visitor, lesson))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return lesson

    async def close(self) -> None:
        """End what runs."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _teach(self, visitor: User, lesson: TrainingJob) -> None:
        async with self._turn:
            lesson.state, lesson.words = "running", "Starting"
            place = visitor.new_model()
            try:
                with anyio.fail_after(LONGEST_SECONDS):
                    fault = await _train(visitor, place, lesson)
            except TimeoutError:
                fault = f"Training took longer than {LONGEST_SECONDS // 60} minutes and was ended."
            except asyncio.CancelledError:
                shutil.rmtree(place, ignore_errors=True)
                raise
            if fault:
                shutil.rmtree(place, ignore_errors=True)
                lesson.state, lesson.words = "failed", fault
                return
            lesson.model = f"mine/{place.name}"
            visitor.choose_model(lesson.model)
            lesson.words = outcome_in_words(place / "retrained_model")
            lesson.state, lesson.share = "done", 1.0


def check_teachable(labels: dict[str, list[str]]) -> None:
    """Raise unless there is enough to train on.

    Raises:
        RefusedError: fewer than two labels have clips.
    """
    taught = [label for label, clips in labels.items() if clips and label != STRANGERS]
    if len(taught) < 2:
        raise RefusedError(
            f"Expected clips of two labels or more, received {len(taught)}. A classifier tells one thing from another: "
            "add a second label with clips of its own."
        )


def held_out_arguments(labels: dict[str, list[str]]) -> list[str]:
    """Return the options of retrain.py for clips too few to hold some back: training comes first, then choosing."""
    fewest = min(len(clips) for label, clips in labels.items() if label != STRANGERS)
    sides = ("testing", "validation")[: max(0, RECORDINGS_TO_MEASURE - fewest)]
    return [part for side in sides for part in (f"--{side}_percentage", "0")]


def outcome_in_words(folder: Path) -> str:
    """Return what a training came to, honestly and in plain words."""
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    recording = metrics.get("recording") or {}
    if recording.get("accuracy") is None:
        return (
            "It is trained, but nobody knows how good it is: there were too few clips to hold some back and test on "
            f"them. Give every label {RECORDINGS_TO_MEASURE} clips or more, and train again."
        )
    tested = recording["n"]
    words = f"{round(recording['accuracy'] * tested)} of {tested} clips that it had never heard were named right."
    if interval := recording.get("ci95"):
        words += f" Of other clips like these it would be between {interval[0]:.0%} and {interval[1]:.0%}."
    if tested < WELL_MEASURED:
        words += " That is a rough figure: more clips make it surer."
    return words


async def _train(visitor: User, place: Path, lesson: TrainingJob) -> str:
    """Run retrain.py, and return why it failed, or nothing."""
    folders = {
        "image_dir": visitor.audio_dir,
        "bottleneck_dir": visitor.folder / "bottlenecks",
        "summaries_dir": place / "training_summaries",
        "output_model": place / "retrained_model",
        "output_graph": place / "retrained_graph.pb",
        "output_labels": place / "retrained_labels.txt",
        "report": place / "report.html",
        "runs_dir": visitor.runs_dir,
    }
    arguments = [part for name, path in folders.items() for part in (f"--{name}", str(path))]
    arguments += held_out_arguments(visitor.labels())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPTS / "retrain.py"), *arguments),
        env={**os.environ, WATCHED: "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    last = ""
    try:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PGRP, process.pid, NICENESS)
        assert process.stderr is not None  # it is a pipe
        rest = ""
        while block := await process.stderr.read(4096):
            *lines, rest = re.split(r"[\r\n]+", rest + block.decode(errors="replace"))
            for line in filter(str.strip, lines):
                lesson.note(line)
                last = last if BAR.search(line) else line
        status = await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if (place / "retrained_model").is_dir():  # a status of 1 may only mean that some clips were set aside
        return ""
    return last.removeprefix("Error: ") or f"Training ended with status {status}."
