"""What all routes share: the settings, the worker with its queue, the training queue, and the classifiers to choose."""

import contextlib
import tempfile
from asyncio import to_thread
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from audionet.app import worker_tasks
from audionet.app.request_queue import RequestQueue
from audionet.app.sandbox import Limits, SandboxedWorker
from audionet.app.training_jobs import TrainingQueue
from audionet.app.users import MissingError, Model, User
from audionet.audio import decoding
from audionet.errors import AudioNetError, ClassifierError
from audionet.evaluation import runs
from audionet.files import digest_of, printable
from audionet.models.classifier_folder import ABOUT_NAME, of_demonstration
from audionet.scratch import ScratchFolder

SERVED = "served"
DEMONSTRATION = "demonstration"
MOST_EXAMPLES = 8


@dataclass(frozen=True)
class AppSettings:
    """What the page works with and what it lets in."""

    model: Path  # folder of the classifier to begin with; it need not be there yet
    taught_dir: Path
    examples_dir: Path  # recordings to try, one subfolder a label
    runs_dir: Path
    host: str = "127.0.0.1"
    token: str | None = None  # what a user must know, if anything
    most_bytes: int = 50_000_000  # of an upload
    most_seconds: float = 3600.0  # of a recording
    most_waiting: int = 64  # requests that may wait for their turn
    most_kept_bytes: int = 5_000_000_000  # of all that visitors keep
    limits: Limits = field(default_factory=Limits)  # of the process that reads uploads


class AppState:
    """What all routes share, from the start of the application to its end."""

    def __init__(self, settings: AppSettings):
        self.settings = settings
        self.worker = SandboxedWorker(settings.limits)
        self.queue = RequestQueue(self.worker, settings.most_waiting)
        self.training = TrainingQueue()
        self._uploads = ScratchFolder(Path(tempfile.gettempdir()), prefix="audionet-uploads-")
        self.uploads_dir = self._uploads.path
        self.examples = examples_in(settings.examples_dir)
        self._runs_changed_ns = 0
        self._run_folders: list[Path] = []

    async def warm_up(self) -> None:
        """Load the classifier, so that the first request need not wait for that."""
        with contextlib.suppress(AudioNetError, RuntimeError):
            await self.queue.run(worker_tasks.warm_up, model=self.settings.model)

    async def close(self) -> None:
        """End what runs and remove every upload."""
        await self.training.close()
        await to_thread(self.worker.close)
        self._uploads.remove()

    def models(self, user: User) -> list[Model]:
        """Return the classifiers that a user may choose: the one of the settings, their own, those of recorded runs.

        Where there is none at the settings' folder, that of the demonstration is the last one; without any there is
        one that is not trained yet.
        """
        served = Model(SERVED, self.settings.model.name, self.settings.model)
        others = [*user.models(), *self._models_of_runs()]
        if (served.folder / ABOUT_NAME).is_file():
            return [served, *others]
        if demo := of_demonstration(served.folder):
            others.append(Model(DEMONSTRATION, "Demonstration", demo))
        return others or [served]

    def model(self, user: User, key: str = "") -> Model:
        """Return a classifier: the one of this key, or else the one that the user chose, or else the first.

        Raises:
            MissingError: the key is of none that is there and that the user may choose.
        """
        models = self.models(user)
        wanted = key or user.chosen_model()
        found = next((model for model in models if model.key == wanted), None)
        if key and found is None:
            raise MissingError(f"There is no classifier {printable(key)}. Name one of those on the page Runs.")
        return found or models[0]

    def folder_to_ask(self, user: User, key: str = "") -> Path:
        """Return the folder of `model`, which answers.

        Raises:
            MissingError: as `model` does.
            ClassifierError: there is no classifier yet.
        """
        folder = self.model(user, key).folder
        if not (folder / ABOUT_NAME).is_file():
            raise ClassifierError(
                "There is no classifier yet. Teach one on the page Teach; or type make data train in a terminal, and "
                "try again."
            )
        return folder

    def _models_of_runs(self) -> list[Model]:
        """Return the classifiers that the runs in `runs_dir` have left behind, the newest first."""
        runs_dir = self.settings.runs_dir
        changed_ns = runs_dir.stat().st_mtime_ns if runs_dir.is_dir() else 0
        if changed_ns != self._runs_changed_ns:
            self._runs_changed_ns, records = changed_ns, runs.read_runs(runs_dir)[0]
            named = (str((record.get("arguments") or {}).get("output_model") or "") for record in reversed(records))
            self._run_folders = [Path(name) for name in dict.fromkeys(named) if name]
        return [
            Model(f"run/{digest_of(str(folder))}", f"{folder.parent.name}/{folder.name}", folder)
            for folder in self._run_folders
            if (folder / ABOUT_NAME).is_file() and folder.resolve() != self.settings.model.resolve()
        ]


def examples_in(folder: Path) -> list[Path]:
    """Return a few recordings in a folder, of as many labels as there are, sorted."""
    nth = Counter[Path]()
    ranked = []
    for path in filter(Path.is_file, decoding.find_recordings(folder)) if folder.is_dir() else ():
        nth[path.parent] += 1
        ranked.append((nth[path.parent], path))
    return sorted(path for _, path in sorted(ranked)[:MOST_EXAMPLES])
