"""How alike clips are, of whatever labels: verify a clip by another, by the mean places of their chunks."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from audionet.audio import decoding
from audionet.console import log
from audionet.errors import AudioNetError, InputError
from audionet.features.image_io import is_picture
from audionet.files import printable
from audionet.inference.batch_scoring import side_by_side
from audionet.models.classifier import Classifier


def clip_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files among `paths`, and the recordings, or else the pictures, in the folders among them.

    Raises:
        InputError: a path does not exist, or a folder holds neither a recording nor a picture.
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


def verify_clip(classifier: Classifier, clip: Path, claimed: str) -> float:
    """Return the probability that a clip is of the same label as another, or of an enrolled label, at even prior odds.

    What says little is named: a recording of one chunk alone, or the same sound twice.

    Args:
        classifier: that can compare clips.
        clip: a recording or a picture.
        claimed: another, or the name of an enrolled label; the two may be the other way round.

    Raises:
        ClassifierError: the classifier cannot compare clips.
        InputError: `claimed` is neither.
        RecordingError: a clip cannot be read.
        PictureError: likewise.
    """
    similarity = classifier.comparison_space()
    if str(clip) in classifier.enrolled and claimed not in classifier.enrolled:
        clip, claimed = Path(claimed), str(clip)
    if claimed in classifier.enrolled:
        odds = similarity.log_odds(_bottlenecks(classifier, clip), classifier.enrolled[claimed][None]).mean()
        return float(1 / (1 + np.exp(-odds)))
    if not Path(claimed).exists():
        raise InputError(
            f"{printable(claimed)} is neither a file nor an enrolled label "
            f"({', '.join(map(printable, classifier.enrolled)) or 'none is enrolled'})."
        )
    first, second = (_bottlenecks(classifier, path) for path in (clip, Path(claimed)))
    if np.array_equal(first, second):
        log(f"{printable(clip)} and {printable(claimed)} hold the same sound, which says nothing about other clips.")
    return similarity.probability(similarity.mean_place(first), similarity.mean_place(second))


def _bottlenecks(classifier: Classifier, clip: Path) -> np.ndarray:
    """Return the bottlenecks of a clip's chunks, float16, shape (chunks, dimension); log where there is but one."""
    found = classifier.chunk_bottlenecks(clip)[1]
    if len(found) == 1 and decoding.is_recording(clip):
        log(
            f"{printable(clip)} is of one chunk alone, which is little to go by. Longer clips are compared more surely."
        )
    return found


def mean_places(
    classifier: Classifier, paths: Sequence[Path], *, description: str, jobs: int | None = None
) -> Iterator[np.ndarray | AudioNetError]:
    """Yield the mean place of each file's chunks, in order, or the reason why it cannot be read, which is logged too.

    Files are read side by side, as by `side_by_side`, under a progress bar that has the `description`.
    """
    space = classifier.comparison_space()
    for _, found in side_by_side(
        classifier.chunk_bottlenecks,
        paths,
        recipe=classifier.recipe,
        description=description,
        total=len(paths),
        jobs=jobs,
    ):
        if isinstance(found, AudioNetError):
            log(f"Set aside: {found}")
            yield found
        else:
            yield space.mean_place(found[1])
