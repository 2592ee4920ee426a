"""Training on a user's clips, and exporting: in a process of its own, followed while it runs, its outcome in words."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from audionet.app.users import MINE, RefusedError, User
from audionet.cli import package_environment
from audionet.console import ENDS_WITH_STDIN, WATCHED
from audionet.errors import AudioNetError
from audionet.files import UNKNOWN_LABEL
from audionet.models.classifier_folder import read_metrics
from audionet.training.progress import ValidationScore
from audionet.wording import answers_in_words

LONGEST_SECONDS = 3600
LONGEST_EXPORT_SECONDS = 600
NICENESS = 5  # so that requests for a label go first
PROGRESS_BAR = re.compile(r"(\w+): +(\d+)%")
REST = re.compile(r"<(?:(\d+):)?(\d+):(\d\d)")  # of a progress bar, what it still takes
STEP_WORDS = {
    "Drawing": "Drawing pictures of the clips",
    "Bottlenecks": "Running the networks",
    "Views": "Running the networks on noisy versions",
    "Choosing": "Trying ways to tell the labels apart",
    "Thresholds": "Deciding from when on a sound is unknown",
    "Auditing": "Testing on clips that were held back",
    "Clips": "Writing the report",
    "Report": "Writing the report",
}
LAST_WORDS = "Training and measuring"
WELL_MEASURED = 20  # recordings held out, from which on a share of them says something
RECORDINGS_TO_MEASURE = 3


@dataclass
class TrainingJob:
    """One training, from the press of the button to its end."""

    state: str = "waiting"  # or `running`, `done`, `failed`, `cancelled`
    words: str = "Waiting for another training to end"  # what is being done, or what came of it, for a person
    share: float | None = None  # of the present step that is done, 0..1, where that is known
    rest_seconds: float | None = None  # that the present step still takes, where that is known
    curve: list[ValidationScore] = field(default_factory=list)  # of the heads tried so far, in the order of training
    begun_at: float = field(default_factory=time.monotonic)
    model: str | None = None  # key of the classifier that came of it

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in ("done", "failed", "cancelled")

    def read_line(self, line: str) -> None:
        """Update what is shown by a line that the training wrote, if it is of a progress bar; blanks wipe one out."""
        if line.isspace():
            self.share = self.rest_seconds = None
        elif bar := PROGRESS_BAR.search(line):
            self.words = STEP_WORDS.get(bar[1], LAST_WORDS)
            is_done = bar[2] == "100"
            self.share = None if is_done else int(bar[2]) / 100
            rest = REST.search(line)
            hours, minutes, seconds = (int(part or 0) for part in rest.groups()) if rest else (0, 0, 0)
            self.rest_seconds = 3600.0 * hours + 60 * minutes + seconds if rest and not is_done else None
            score = ValidationScore.of_bar(line)
            if score and score not in self.curve[-1:]:
                self.curve.append(score)

    def end(self, state: str, words: str) -> None:
        """Say how it has ended."""
        self.state, self.words, self.share, self.rest_seconds = state, words, None, None


class TrainingQueue:
    """Runs the users' training jobs, one at a time."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()  # for what takes long and both processors
        self._tasks: dict[Path, asyncio.Task[None]] = {}
        self._jobs: dict[Path, TrainingJob] = {}

    def job_of(self, user: User) -> TrainingJob | None:
        """Return the user's training that runs or was the last to run."""
        return self._jobs.get(user.folder)

    def remove_job(self, user: User) -> None:
        """Forget the user's last training."""
        self._jobs.pop(user.folder, None)

    def start(self, user: User) -> TrainingJob:
        """Start to train on the user's clips, as soon as no other training runs.

        Raises:
            RefusedError: there is too little to train on, or a training of theirs runs already.
        """
        check_trainable(user.clips_by_label())
        last = self.job_of(user)
        if last and not last.is_over:
            raise RefusedError("A training of yours runs already. Wait for its end.")
        job = self._jobs[user.folder] = TrainingJob()
        self._tasks[user.folder] = asyncio.create_task(self._run(user, job))
        return job

    async def cancel(self, user: User) -> None:
        """End the user's training and remove what it has made.

        Raises:
            RefusedError: none runs.
        """
        job = self.job_of(user)
        if job is None or job.is_over:
            raise RefusedError("No training of yours runs. Start one first.")
        task = self._tasks[user.folder]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        job.end("cancelled", "Cancelled. Clips are kept; train again whenever you like.")

    async def close(self) -> None:
        """End what runs."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _run(self, user: User, job: TrainingJob) -> None:
        async with self.turn:
            job.state, job.words = "running", "Starting"
            try:
                place = user.new_model()
            except AudioNetError as error:
                job.end("failed", str(error))
                return
            try:
                with anyio.fail_after(LONGEST_SECONDS):
                    fault = await _train(user, place, job)
                outcome = "" if fault else outcome_in_words(read_metrics(place / "retrained_model"))
            except AudioNetError as error:
                fault = str(error)
            except TimeoutError:
                fault = f"Training took longer than {LONGEST_SECONDS // 60} minutes and was ended."
            except asyncio.CancelledError:
                shutil.rmtree(place, ignore_errors=True)
                raise
            if fault:
                shutil.rmtree(place, ignore_errors=True)
                job.end("failed", fault)
                return
            job.model = f"{MINE}{place.name}"
            user.choose_model(job.model)
            job.end("done", outcome)


def check_trainable(clips_by_label: Mapping[str, Sequence[str]]) -> None:
    """Raise RefusedError where fewer than two labels have clips."""
    labels = [label for label, clips in clips_by_label.items() if clips and label != UNKNOWN_LABEL]
    if len(labels) < 2:
        raise RefusedError(
            f"Expected clips of two labels or more, received {len(labels)}. A classifier that is taught here tells one "
            "thing from another: add a second label with clips of its own. From one alone, the command train makes one "
            "that tells what is unusual."
        )


def split_arguments(clips_by_label: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the options of a training that leave splits empty for which there are too few clips, testing first."""
    fewest = min(len(clips) for label, clips in clips_by_label.items() if label != UNKNOWN_LABEL)
    empty_splits = ("testing", "validation")[: max(0, RECORDINGS_TO_MEASURE - fewest)]
    return [part for split in empty_splits for part in (f"--{split}_percentage", "0")]


def outcome_in_words(metrics: Mapping[str, Any]) -> str:
    """Return in plain words how good a classifier with these scores is, and how sure that is."""
    recording = metrics.get("recording") or {}
    if recording.get("accuracy") is None:
        return (
            "It is trained, but nobody knows how good it is: there were too few clips to hold some back and test on "
            f"them. Give every label {RECORDINGS_TO_MEASURE} clips or more, and train again."
        )
    tested = recording["n"]
    words = f"Of clips that it had never heard: {answers_in_words(recording, noun='clips')}."
    if interval := recording.get("named_right_ci95", recording.get("ci95")):
        words += f" Of other clips like these it would name between {interval[0]:.0%} and {interval[1]:.0%} right."
    if tested < WELL_MEASURED:
        words += " That is a rough figure: more clips make it surer."
    return words


async def run_export(folder: Path, output: Path, *, export_format: str, audio_dir: Path) -> None:
    """Run `audionet export` on a classifier folder, compared on the clips that it was trained on.

    Raises:
        RefusedError: it failed, such as where an optional package is missing; the text says why.
    """
    options = {"format": export_format, "output": output, "model": folder, "audio_dir": audio_dir}
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    try:
        with anyio.fail_after(LONGEST_EXPORT_SECONDS):
            last_line, status = await _run_command("export", arguments, TrainingJob())
    except TimeoutError:
        raise RefusedError(
            f"Exporting took longer than {LONGEST_EXPORT_SECONDS // 60} minutes and was ended."
        ) from None
    if not output.is_file():
        raise RefusedError(last_line.removeprefix("Error: ") or f"Exporting ended with status {status}.")


async def _train(user: User, place: Path, job: TrainingJob) -> str:
    """Run `audionet train`, and return why it failed, or nothing."""
    last_line, status = await _run_command("train", _arguments(user, place), job)
    if (place / "retrained_model").is_dir():  # a status of 1 may only mean that some clips were set aside
        return ""
    return last_line.removeprefix("Error: ") or f"Training ended with status {status}."


async def _run_command(command: str, arguments: Sequence[str], job: TrainingJob) -> tuple[str, int]:
    """Run a command of `audionet` while it keeps the job up to date; return its last line and its exit status."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "audionet", command, *arguments),
        env={**package_environment(), WATCHED: "1", ENDS_WITH_STDIN: "1"},
        stdin=asyncio.subprocess.PIPE,  # nothing is written to it; it is closed when this process ends
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PGRP, process.pid, NICENESS)
        assert process.stderr is not None  # it is a pipe
        return await follow(process.stderr, job), await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _arguments(user: User, place: Path) -> list[str]:
    paths = {
        "image_dir": user.audio_dir,
        "bottleneck_dir": user.folder / "bottlenecks",
        "summaries_dir": place / "training_summaries",
        "output_model": place / "retrained_model",
        "output_graph": place / "retrained_graph.pb",
        "output_labels": place / "retrained_labels.txt",
        "report": place / "report.html",
        "runs_dir": user.runs_dir,
    }
    arguments = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
    return arguments + split_arguments(user.clips_by_label())


async def follow(stderr: asyncio.StreamReader, job: TrainingJob) -> str:
    """Read what a training writes to its end, keep the job up to date, and return the last line but for bars.

    A bar begins where its line does, and stands there until it is written anew.
    """
    last_line = rest = ""
    while block := await stderr.read(4096):
        *lines, rest = re.split(r"[\r\n]+", rest + block.decode(errors="replace"))
        for line in lines:
            job.read_line(line)
            last_line = last_line if PROGRESS_BAR.search(line) or not line.strip() else line
        job.read_line(rest)
    return last_line
