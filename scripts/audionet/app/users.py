"""Users of the page, told apart by a cookie, and what is theirs: clips, and the classifiers trained on them.

    taught_dir/
        5f0c2ab1.../                    a user: the hash of the secret in their browser's cookie
            data_audio/<label>/001.wav  their clips
            models/20261121-093012-000000/  a classifier of theirs, with its report, and its name if it was given one
            runs/                       records of its training
            model.json                  which classifier they use

No user can see or change what is another's. A label may be any name that a folder can have; nothing that a user types
or sends names a file outside their own folder.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from audionet.errors import AudioNetError, ClassifierError
from audionet.files import UNKNOWN_LABEL, mark_folder, printable, read_mark, whole_file, write_json
from audionet.models.answer import UNKNOWN
from audionet.models.classifier_folder import ABOUT_NAME, read_description, read_labels
from audionet.models.classifier_schema import described_members
from audionet.reports.elements import ModelCard
from audionet.reports.sections.model_card import card_of

KIND = "taught"
CHOICE_NAME = "model.json"
NAME_NAME = "name.json"
MINE = "mine/"  # begins the keys of a user's own classifiers
LONGEST_NAME = 80  # characters, of a classifier
LONGEST_LABEL_BYTES = 200
CLIP_NAME = re.compile(r"\d{3,6}\.wav")
MODEL_NAME = re.compile(r"\d{8}-\d{6}-\d{6}")
MOMENT = "%Y%m%d-%H%M%S-%f"


class RefusedError(AudioNetError):
    """A request that breaks a rule: a limit, a label that cannot be one, a training that runs already."""


class MissingError(AudioNetError):
    """Something that is not there, or not the user's."""


@dataclass(frozen=True)
class Quota:
    """What one user may keep."""

    clips: int = 500  # of all labels together
    labels: int = 50
    models: int = 20  # the newest; older ones are removed


@dataclass(frozen=True)
class TotalQuota:
    """What all users together may keep."""

    bytes: int = 5_000_000_000  # of clips, classifiers and what training keeps for the next time
    users: int = 1000


@dataclass(frozen=True)
class Model:
    """A classifier that a user may choose."""

    key: str  # what identifies it in forms and in `model.json`
    name: str  # what the page shows
    folder: Path

    @property
    def is_mine(self) -> bool:
        """Whether it is the user's own."""
        return self.key.startswith(MINE)

    def labels(self) -> list[str]:
        """Return its labels, trained and enrolled ones; none where there is no whole classifier."""
        try:
            return read_labels(self.folder)
        except ClassifierError:
            return []

    def networks(self) -> list[str]:
        """Return the names of its networks, which answer together; none where there is no whole classifier."""
        try:
            return [member.name for member in described_members(read_description(self.folder))]
        except ClassifierError:
            return []

    def card(self) -> ModelCard | None:
        """Return what somebody should know who uses it; None where there is no whole classifier."""
        try:
            about, labels = read_description(self.folder), read_labels(self.folder)
        except ClassifierError:
            return None
        return card_of(about, labels, backbones=[member.about["backbone"] for member in described_members(about)])


class User:
    """One user's folder in that of all users, named by the secret of the cookie that only their browser holds."""

    def __init__(
        self, secret: str, *, taught_dir: Path, quota: Quota | None = None, total_quota: TotalQuota | None = None
    ):
        self._taught_dir = taught_dir
        self._quota = quota or Quota()
        self._total_quota = total_quota or TotalQuota()
        self.folder = taught_dir / hashlib.sha256(secret.encode()).hexdigest()[:32]
        self.audio_dir = self.folder / "data_audio"
        self.runs_dir = self.folder / "runs"

    def clips_by_label(self) -> dict[str, list[str]]:
        """Return the names of the clips of each label, sorted."""
        if not self.audio_dir.is_dir():
            return {}
        return {
            folder.name: sorted(clip.name for clip in folder.iterdir() if CLIP_NAME.fullmatch(clip.name))
            for folder in sorted(self.audio_dir.iterdir())
            if folder.is_dir() and not folder.name.startswith(".")
        }

    def add_clip(self, label: str, wav: Path) -> str:
        """Keep a copy of a wav file as the next clip of a label, and return its name.

        Raises:
            RefusedError: the label cannot be one, or there are too many labels or clips.
        """
        label = checked_label(label)
        labels = self.clips_by_label()
        if sum(map(len, labels.values())) >= self._quota.clips:
            raise RefusedError(f"There are {self._quota.clips} clips, which is the most. Remove some first.")
        if label not in labels and len(labels) >= self._quota.labels:
            raise RefusedError(f"There are {len(labels)} labels, which is the most. Remove one first.")
        self._check_total(wav.stat().st_size)
        number = max((int(Path(name).stem) for name in labels.get(label, ())), default=0) + 1
        self._make_folder()
        name = f"{number:03d}.wav"
        with whole_file(self.audio_dir / label / name) as scratch:
            shutil.copyfile(wav, scratch)
        return name

    def clip(self, label: str, name: str) -> Path:
        """Return a clip's file.

        Raises:
            MissingError: there is no such clip of this user's.
        """
        if name not in self.clips_by_label().get(label, ()):
            raise MissingError("There is no such clip.")
        return self.audio_dir / label / name

    def remove_clip(self, label: str, name: str) -> None:
        """Remove what `clip` returns, and the label with its last clip."""
        clip = self.clip(label, name)
        clip.unlink(missing_ok=True)
        if not self.clips_by_label().get(label):
            shutil.rmtree(clip.parent, ignore_errors=True)

    def models(self) -> Iterator[Model]:
        """Yield the user's own classifiers, the newest first."""
        folder = self.folder / "models"
        for place in sorted(folder.iterdir(), reverse=True) if folder.is_dir() else ():
            if MODEL_NAME.fullmatch(place.name) and (place / "retrained_model" / ABOUT_NAME).is_file():
                moment = datetime.strptime(place.name, MOMENT)
                name = _text_in(place / NAME_NAME, "name") or f"Taught {moment:%d %b %H:%M}"
                yield Model(f"{MINE}{place.name}", name, place / "retrained_model")

    def own_model(self, key: str) -> Model:
        """Return the user's own classifier of this key, or raise MissingError."""
        for model in self.models():
            if model.key == key:
                return model
        raise MissingError(f"There is no classifier {printable(key)} of yours. Name one that was trained on this page.")

    def rename_model(self, key: str, name: str) -> None:
        """Give a classifier of the user's own another name.

        Raises:
            MissingError: there is none of this key.
            RefusedError: the name is empty, too long or holds line breaks.
        """
        model = self.own_model(key)
        name = unicodedata.normalize("NFC", name).strip()
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise RefusedError(f"Expected a name on one line, of {LONGEST_NAME} characters at most. Type another.")
        write_json(model.folder.parent / NAME_NAME, {"name": name})

    def remove_model(self, key: str) -> None:
        """Remove a classifier of the user's own, or raise MissingError."""
        shutil.rmtree(self.own_model(key).folder.parent, ignore_errors=True)

    def new_model(self) -> Path:
        """Return a new folder for the next classifier, and remove the oldest beyond the quota."""
        self._check_total(0)
        for old in list(self.models())[self._quota.models - 1 :]:
            shutil.rmtree(old.folder.parent, ignore_errors=True)
        place = self.folder / "models" / datetime.now().strftime(MOMENT)
        place.mkdir(parents=True)
        return place

    def chosen_model(self) -> str:
        """Return the key of the classifier that the user chose, or nothing."""
        return _text_in(self.folder / CHOICE_NAME, "model")

    def choose_model(self, key: str) -> None:
        """Use the classifier of this key from now on."""
        self._make_folder()
        write_json(self.folder / CHOICE_NAME, {"model": key})

    def _check_total(self, more_bytes: int) -> None:
        """Raise RefusedError where all users together would keep too much."""
        if not self._taught_dir.is_dir():
            return
        is_new = not self.folder.is_dir()
        if is_new and sum(entry.is_dir() for entry in os.scandir(self._taught_dir)) >= self._total_quota.users:
            raise RefusedError(
                f"{self._total_quota.users} visitors keep something here, which is the most. Come again when somebody "
                "has removed theirs."
            )
        if _bytes_below(self._taught_dir) + more_bytes > self._total_quota.bytes:
            raise RefusedError(
                f"All visitors together keep {self._total_quota.bytes / 1e6:.0f} MB here, which is the most. Remove "
                "clips or classifiers, or start the page with a higher --max_kept_megabytes."
            )

    def _make_folder(self) -> None:
        if read_mark(self._taught_dir) is None:
            mark_folder(self._taught_dir, KIND)
        self.folder.mkdir(exist_ok=True)

    def remove_all(self) -> None:
        """Remove everything of this user's."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _text_in(path: Path, field: str) -> str:
    """Return a text in a JSON file of ours; empty where there is none."""
    try:
        text = json.loads(path.read_text("utf-8"))[field]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return text if isinstance(text, str) else ""


def _bytes_below(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # removed meanwhile
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def checked_label(text: str) -> str:
    """Return a label as typed, without spaces at its ends.

    Raises:
        RefusedError: no folder of a label could have this name.
    """
    label = unicodedata.normalize("NFC", text).strip()
    if not label:
        raise RefusedError("Expected a label, such as a name. Type one first.")
    if label.startswith(".") or any(character in "/\\:" or not character.isprintable() for character in label):
        raise RefusedError(
            f"{printable(label[:50])} cannot be a label: it names a folder, so it must not begin with a dot or hold "
            "slashes, colons or line breaks. Choose another."
        )
    if len(os.fsencode(label)) > LONGEST_LABEL_BYTES:
        raise RefusedError(f"This label is longer than {LONGEST_LABEL_BYTES} bytes. Choose a shorter one.")
    if label.casefold() == UNKNOWN:
        raise RefusedError(
            f"{label} is what a classifier answers for unknown clips. Choose another label; {UNKNOWN_LABEL} holds "
            "unknown clips to train on."
        )
    return label
