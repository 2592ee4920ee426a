"""What stands behind the page: who waits for their turn, which classifiers they may use, where uploads lie."""

import asyncio
import contextlib
import math
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from audionet.app import worker_tasks
from audionet.app.sandbox import Limits, SandboxedWorker
from audionet.app.training_jobs import TrainingQueue
from audionet.app.users import MissingError, Model, User
from audionet.audio import decoding
from audionet.errors import AudioNetError
from audionet.evaluation import runs
from audionet.features.image_io import PICTURE_SUFFIXES
from audionet.files import digest_of, printable
from audionet.models.classifier import ABOUT_NAME

SERVED = "served"
MOST_EXAMPLES = 8
SMALL_BYTES = 1_000_000  # what takes a moment to write


class BusyError(AudioNetError):
    """Too many wait already.

    Attributes:
        again_seconds: when to come again.
    """

    def __init__(self, message: str, again_seconds: int):
        super().__init__(message)
        self.again_seconds = again_seconds


@dataclass(frozen=True)
class AppSettings:
    """What the page works with and what it lets in.

    Attributes:
        model: folder of the classifier to begin with; it need not be there yet.
        taught_dir: folder for what visitors teach.
        examples_dir: folder of recordings to try, one subfolder a label.
        runs_dir: folder of records of runs.
        host: address that the page is served at.
        token: what a visitor must know, or None.
        most_bytes: of an upload.
        most_seconds: of a recording.
        most_waiting: requests that may wait for their turn.
        limits: of the process that reads uploads.
    """

    model: Path
    taught_dir: Path
    examples_dir: Path
    runs_dir: Path
    host: str = "127.0.0.1"
    token: str | None = None
    most_bytes: int = 50_000_000
    most_seconds: float = 3600.0
    most_waiting: int = 64
    limits: Limits = field(default_factory=Limits)


class RequestQueue:
    """Those who wait for the one process that answers; who came first is served first.

    Args:
        apart: the process.
        most: how many may be in line.
    """

    def __init__(self, apart: SandboxedWorker, most: int):
        self._apart = apart
        self._most = most
        self._turn = asyncio.Lock()
        self._usual_seconds = 0.5
        self.waiting = 0

    async def do(self, task: str, **arguments: Any) -> Any:
        """Wait for a turn, and do a task.

        Raises:
            BusyError: the line is full.
            AudioNetError: the task's own.
        """
        if self.waiting >= self._most:
            again = max(1, math.ceil(self.waiting * self._usual_seconds))
            raise BusyError(f"{self.waiting} requests wait already. Come again in {again} s.", again)
        self.waiting += 1
        try:
            async with self._turn:
                begun = time.monotonic()
                try:
                    return await asyncio.shield(asyncio.to_thread(self._apart.do, task, **arguments))
                finally:
                    self._usual_seconds = 0.8 * self._usual_seconds + 0.2 * (time.monotonic() - begun)
        finally:
            self.waiting -= 1


class AppState:
    """Everything that the routes share.

    Args:
        settings: what the page works with.
    """

    def __init__(self, settings: AppSettings):
        self.settings = settings
        self.apart = SandboxedWorker(worker_tasks.TASKS, settings.limits)
        self.line = RequestQueue(self.apart, settings.most_waiting)
        self.school = TrainingQueue()
        self.uploads = Path(tempfile.mkdtemp(prefix="audionet-uploads-"))
        self._runs_changed = 0
        self._run_folders: list[Path] = []
        self.examples = examples_in(settings.examples_dir)

    async def warm_up(self) -> None:
        """Load the classifier, so that the first visitor need not wait for that."""
        with contextlib.suppress(AudioNetError, RuntimeError):
            await self.line.do("warm_up", model=str(self.settings.model))

    async def close(self) -> None:
        """End what runs and remove every upload."""
        await self.school.close()
        await asyncio.to_thread(self.apart.close)
        shutil.rmtree(self.uploads, ignore_errors=True)

    def visitor(self, request: Request) -> User:
        """Return who asks."""
        return User(request.state.visitor_secret, taught_dir=self.settings.taught_dir)

    def models(self, request: Request) -> list[Model]:
        """Return the classifiers that a visitor may use: the first one, their own, and those of recorded runs."""
        served = Model(SERVED, self.settings.model.name, self.settings.model)
        others = [*self.visitor(request).models(), *self._trained_before()]
        return [served, *others] if (served.folder / ABOUT_NAME).is_file() or not others else others

    def _trained_before(self) -> list[Model]:
        """Return the classifiers that the runs in `runs_dir` have left behind, the newest first."""
        runs_dir = self.settings.runs_dir
        changed = runs_dir.stat().st_mtime_ns if runs_dir.is_dir() else 0
        if changed != self._runs_changed:
            self._runs_changed, records = changed, runs.read_runs(runs_dir)[0]
            named = (str((record.get("arguments") or {}).get("output_model") or "") for record in reversed(records))
            self._run_folders = [Path(name) for name in dict.fromkeys(named) if name]
        return [
            Model(f"run/{digest_of(str(folder))}", f"{folder.parent.name}/{folder.name}", folder)
            for folder in self._run_folders
            if (folder / ABOUT_NAME).is_file() and folder.resolve() != self.settings.model.resolve()
        ]

    def model(self, request: Request, key: str = "") -> Model:
        """Return the classifier that a request means: the one that it names, or that the visitor chose, or the first.

        Raises:
            MissingError: it names one that is not there, or not the visitor's.
        """
        models = self.models(request)
        wanted = key or self.visitor(request).chosen_model()
        for model in models:
            if model.key == wanted:
                return model
        if key:
            raise MissingError(f"There is no classifier {printable(key)}. Name one of those on the page Runs.")
        return models[0]

    @contextlib.asynccontextmanager
    async def kept(self, upload: UploadFile) -> AsyncIterator[Path]:
        """Keep an upload as a file, under a name of ours, as long as it is worked on."""
        with tempfile.TemporaryDirectory(dir=self.uploads) as folder:
            path = Path(folder) / f"upload{suffix_of(upload)}"
            if (upload.size or 0) <= SMALL_BYTES:
                _write(upload, path)  # on the spot: threads would let others pass in the line
            else:
                await asyncio.to_thread(_write, upload, path)
            try:
                yield path
            except AudioNetError as error:
                # Its own name is what the client knows it by, and where it lies is not for them to know.
                name = printable(upload.filename or "the file")[:200]
                error.args = (str(error).replace(str(path), name).replace(path.name, name),)
                raise


def examples_in(folder: Path) -> list[Path]:
    """Return a few recordings in a folder, of as many labels as there are, sorted."""
    found = decoding.find_recordings(folder) if folder.is_dir() else []
    nth = Counter[Path]()
    ranked = []
    for path in found:
        nth[path.parent] += 1
        ranked.append((nth[path.parent], path))
    return sorted(path for _, path in sorted(ranked)[:MOST_EXAMPLES])


def suffix_of(upload: UploadFile) -> str:
    """Return the suffix that tells what an upload is: its own if it is of a known kind, else one like it."""
    suffix = Path(upload.filename or "").suffix.lower()
    if suffix in PICTURE_SUFFIXES | decoding.SUFFIXES:
        return suffix
    return ".png" if (upload.content_type or "").startswith("image/") else ".wav"


def _write(upload: UploadFile, path: Path) -> None:
    with path.open("wb") as file:
        shutil.copyfileobj(upload.file, file)
