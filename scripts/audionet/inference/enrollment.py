"""Add labels to a classifier by a few clips of each, without training."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from audionet.audio import decoding
from audionet.console import log
from audionet.errors import AudioNetError, InputError
from audionet.features.image_io import is_picture
from audionet.files import labelled_files, printable, sha256_of
from audionet.inference.batch_scoring import side_by_side
from audionet.models.classifier import Classifier

LABELS_AT_ONCE = 100  # written together: each time, the file of all enrolled labels is replaced


@dataclass(frozen=True)
class EnrolledLabel:
    """A label that was added, and what it rests on."""

    label: str
    clips: int  # that could be read, of different sound
    chunks: int


def enroll_clips(
    classifier: Classifier, label: str, clips: Sequence[Path], *, jobs: int | None = None
) -> tuple[EnrolledLabel, int]:
    """Add a label to a classifier by those of some clips that can be read; the others are named.

    Returns the label with what it rests on, and how many clips cannot be read. `jobs` is as for `side_by_side`.

    Raises:
        ClassifierError: the classifier cannot compare clips.
        InputError: the label was trained, its name means something else, or no clip can be read.
    """
    classifier.check_enrollable(label)
    enrolled, failed = _enroll(classifier, {label: clips}, jobs)
    if not enrolled:
        raise InputError(f"--label: no clip of {printable(label)} can be read. Name others.")
    return enrolled[0], failed


def enroll_folder(
    classifier: Classifier, audio_dir: Path, *, jobs: int | None = None
) -> tuple[list[EnrolledLabel], int]:
    """Add a label for each subfolder, by those of its recordings, or else pictures, that can be read.

    Labels that cannot be added, and what cannot be read, are named, and the others go on. Returns the labels with what
    they rest on, and how many labels, folders and clips were set aside. `jobs` is as for `side_by_side`.

    Raises:
        ClassifierError: the classifier cannot compare clips.
        InputError: there is no subfolder, or none can be enrolled.
    """
    unreadable: dict[Path, str] = {}
    found = labelled_files(audio_dir, option="--audio_dir", wanted=_is_clip, failures=unreadable)
    reasons = [f"{printable(folder)}: {reason}." for folder, reason in unreadable.items()]
    clips_of = {}
    for label, files in found.items():
        try:
            clips_of[label] = _checked_clips(classifier, audio_dir / label, list(files.values()))
        except InputError as error:
            reasons.append(str(error))
    for reason in reasons:
        log(f"Set aside: {reason}")
    enrolled, failed = _enroll(classifier, clips_of, jobs)
    for label in clips_of.keys() - {one.label for one in enrolled}:
        log(f"Set aside: no clip of {printable(label)} can be read.")
    if not enrolled:
        raise InputError(f"--audio_dir: no label of {printable(audio_dir)} can be enrolled. Name another folder.")
    return enrolled, failed + len(reasons)


def _is_clip(path: Path) -> bool:
    return decoding.is_recording(path) or is_picture(path)


def _checked_clips(classifier: Classifier, folder: Path, files: Sequence[Path]) -> list[Path]:
    """Return the recordings of a label folder, or else the pictures; raise InputError where it cannot be enrolled."""
    classifier.check_enrollable(folder.name, named_by=printable(folder))
    if not files:
        raise InputError(f"{printable(folder)} holds neither a recording nor a picture.")
    return [file for file in files if decoding.is_recording(file)] or list(files)


def _enroll(
    classifier: Classifier, clips_of: Mapping[str, Sequence[Path]], jobs: int | None
) -> tuple[list[EnrolledLabel], int]:
    """Add labels by their clips, so far as these can be read; return the labels, and how many clips cannot be."""
    labels = [label for label, clips in clips_of.items() for _ in clips]
    space, sounds = classifier.comparison_space(), _Sounds()
    enrolled: list[EnrolledLabel] = []
    failed = 0
    embedded = side_by_side(
        classifier.chunk_bottlenecks,
        chain.from_iterable(clips_of.values()),
        recipe=classifier.recipe,
        description="Enrolling",
        total=len(labels),
        jobs=jobs,
    )
    with _written_together(classifier) as prototypes:
        for label, of_label in groupby(zip(labels, embedded, strict=True), key=itemgetter(0)):
            chunks = []
            for _, (clip, found) in of_label:
                if isinstance(found, AudioNetError):
                    log(f"Set aside: {found}")
                    failed += 1
                elif sounds.is_new(clip, found[1], label):
                    chunks.append(found[1])
            if chunks:
                prototypes[label] = space.prototype(np.concatenate(chunks))
                enrolled.append(EnrolledLabel(label, len(chunks), sum(map(len, chunks))))
            if len(prototypes) >= LABELS_AT_ONCE:
                classifier.enroll_prototypes(prototypes)
                prototypes.clear()
    return enrolled, failed


@contextmanager
def _written_together(classifier: Classifier) -> Iterator[dict[str, np.ndarray]]:
    """Yield a mapping for prototypes by label; what it holds at the block's end, however that comes, is enrolled."""
    prototypes: dict[str, np.ndarray] = {}
    try:
        yield prototypes
    finally:
        if prototypes:
            classifier.enroll_prototypes(prototypes)


class _Sounds:
    """The sounds that came before, each by a digest of its bottlenecks, whatever its name and format."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[Path, str]] = {}

    def is_new(self, clip: Path, bottlenecks: np.ndarray, label: str) -> bool:
        """Tell whether a clip is to be counted for its label; log where its sound was there before."""
        digest = sha256_of(bottlenecks.tobytes())
        if digest not in self._first:
            self._first[digest] = clip, label
            return True
        first, label_before = self._first[digest]
        if label_before == label:
            log(f"{printable(clip)} has the same sound as {printable(first)}; both count as one.")
            return False
        log(
            f"{printable(clip)} has the same sound as {printable(first)}, which is of another label. Check which of "
            "them is right, and enroll that label again."
        )
        return True
