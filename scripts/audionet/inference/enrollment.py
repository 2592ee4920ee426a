"""Labels without training: enrol one by a few clips, compare two clips, find the clips that sound most alike."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audionet.audio import decoding
from audionet.console import log, progress_bar
from audionet.data.dataset import UNKNOWN_LABEL
from audionet.errors import AudioNetError, ClassifierError, InputError
from audionet.features.image_io import is_picture
from audionet.file_cache import FileCache, FileStamp, file_stamp
from audionet.files import printable
from audionet.models.classifier import UNKNOWN, Classifier, read_enrolled, write_enrolled
from audionet.models.similarity import Similarity

FEW_CHUNKS = 5  # below which a label is hardly known


def space_of(classifier: Classifier) -> Similarity:
    """Return what tells clips of any label apart.

    Raises:
        ClassifierError: the classifier did not learn it.
    """
    if classifier.similarity is None:
        raise ClassifierError(
            "This classifier cannot compare clips: it was trained by an earlier version, on fewer than three labels or "
            "on one recording a label. Train it again, on three labels or more."
        )
    return classifier.similarity


def files_of(paths: Iterable[Path]) -> list[Path]:
    """Return the files among `paths`, and the recordings, or else the pictures, in the folders among them.

    Raises:
        InputError: a path does not exist, or a folder holds nothing to hear or see.
    """
    files: list[Path] = []
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = decoding.find_recordings(path) or sorted(file for file in path.rglob("*") if is_picture(file))
        if not inside or not path.exists():
            raise InputError(f"{printable(path)}: expected a recording, a picture or a folder of them.")
        files += inside
    return files


def enrol(folder: Path, classifier: Classifier, label: str, clips: Sequence[Path]) -> int:
    """Add a label to a classifier's folder, or replace one that was added before; return how many chunks it rests on.

    Args:
        folder: of the classifier.
        classifier: which was loaded from there.
        label: its name.
        clips: recordings or pictures of it.

    Raises:
        ClassifierError: the classifier cannot compare clips.
        InputError: the label was trained, or its name means something else.
        RecordingError: a clip cannot be read.
        PictureError: likewise.
    """
    space = space_of(classifier)
    if label in (*classifier.trained_labels, UNKNOWN, UNKNOWN_LABEL, ""):
        raise InputError(
            f"--label: expected a name of its own, received {printable(label)!r}, which the classifier was trained "
            "on or which means strangers. Choose another."
        )
    chunks = np.concatenate([classifier.chunk_bottlenecks(clip)[1] for clip in clips])
    write_enrolled(folder, {**read_enrolled(folder), label: space.prototype(chunks)})
    return len(chunks)


def remove(folder: Path, label: str) -> None:
    """Take an enrolled label out of a classifier's folder.

    Raises:
        InputError: it was not enrolled.
    """
    enrolled = read_enrolled(folder)
    if label not in enrolled:
        known = ", ".join(map(printable, enrolled)) or "none is"
        raise InputError(f"--remove: {printable(label)} is not enrolled ({known}). Name one that is.")
    write_enrolled(folder, {name: prototype for name, prototype in enrolled.items() if name != label})


def verify(classifier: Classifier, clip: Path, claimed: str) -> float:
    """Return how likely a clip is of the same label as another, or of an enrolled label, if it is as likely as not.

    Args:
        classifier: whose space is used.
        clip: a recording or a picture.
        claimed: another, or the name of an enrolled label.

    Raises:
        ClassifierError: the classifier cannot compare clips.
        InputError: `claimed` is neither.
        RecordingError: a clip cannot be read.
        PictureError: likewise.
    """
    space = space_of(classifier)
    if claimed in classifier.enrolled:
        odds = space.log_odds(classifier.chunk_bottlenecks(clip)[1], classifier.enrolled[claimed][None]).mean()
        return float(1 / (1 + np.exp(-odds)))
    if not Path(claimed).is_file():
        raise InputError(
            f"{printable(claimed)} is neither a file nor an enrolled label "
            f"({', '.join(map(printable, classifier.enrolled)) or 'none is enrolled'})."
        )
    bottlenecks = (classifier.chunk_bottlenecks(path)[1] for path in (clip, Path(claimed)))
    return space.probability(*map(space.mean_place, bottlenecks))


@dataclass(frozen=True)
class Neighbour:
    """A clip, and how likely it is of the same label as the one asked for."""

    path: Path
    probability: float


def similar(classifier: Classifier, clip: Path, among: Sequence[Path], *, cache_dir: Path) -> list[Neighbour]:
    """Return clips, those most like a clip first; those that cannot be read are named and left out.

    Args:
        classifier: whose space is used.
        clip: a recording or a picture.
        among: others; the clip itself is passed over.
        cache_dir: where to remember what each file sounds like, so that only what is new or changed is heard again.

    Raises:
        ClassifierError: the classifier cannot compare clips.
        RecordingError: the clip cannot be read.
        PictureError: likewise.
    """
    space = space_of(classifier)
    asked = space.mean_place(classifier.chunk_bottlenecks(clip)[1])
    found = []
    with (
        FileCache(cache_dir / f"similar-{classifier.fingerprint}.sqlite") as cache,
        progress_bar(total=len(among), description="Comparing", unit="clips") as bar,
    ):
        known = cache.items()
        for path in among:
            if not path.samefile(clip):
                try:
                    found.append(Neighbour(path, space.probability(asked, _place(path, classifier, cache, known))))
                except AudioNetError as error:
                    log(f"Set aside: {error}")
            bar.update()
    return sorted(found, key=lambda one: -one.probability)


def _place(
    path: Path, classifier: Classifier, cache: FileCache, known: Mapping[str, tuple[FileStamp, str]]
) -> np.ndarray:
    """Return the mean place of a file, remembered or now heard."""
    name, stamp = str(path.resolve()), file_stamp(path)
    remembered, value = known.get(name, (None, ""))
    if remembered == stamp:
        return np.frombuffer(base64.b64decode(value), "<f2").astype(np.float32)
    place = space_of(classifier).mean_place(classifier.chunk_bottlenecks(path)[1])
    cache.put([(name, stamp, base64.b64encode(place.astype("<f2").tobytes()).decode())])
    return place
