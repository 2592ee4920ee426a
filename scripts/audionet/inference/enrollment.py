"""Labels without training: a prototype, made of a few clips, is added to a classifier's folder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from audionet.data.dataset import UNKNOWN_LABEL
from audionet.errors import InputError
from audionet.files import printable
from audionet.inference.clip_similarity import similarity_of
from audionet.models.classifier import UNKNOWN, Classifier, read_enrolled, write_enrolled

FEW_CHUNKS = 5  # with fewer, a prototype says little about its label


def enroll_label(folder: Path, classifier: Classifier, label: str, clips: Sequence[Path]) -> int:
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
    similarity = similarity_of(classifier)
    if label in (*classifier.trained_labels, UNKNOWN, UNKNOWN_LABEL, ""):
        raise InputError(
            f"--label: expected a name of its own, received {printable(label)!r}, which the classifier was trained "
            "on or which means unknown. Choose another."
        )
    chunks = np.concatenate([classifier.chunk_bottlenecks(clip)[1] for clip in clips])
    write_enrolled(folder, {**read_enrolled(folder), label: similarity.prototype(chunks)})
    return len(chunks)


def remove_label(folder: Path, label: str) -> None:
    """Remove an enrolled label from a classifier's folder.

    Raises:
        InputError: it was not enrolled.
    """
    enrolled = read_enrolled(folder)
    if label not in enrolled:
        known = ", ".join(map(printable, enrolled)) or "none is"
        raise InputError(f"--remove: {printable(label)} is not enrolled ({known}). Name one that is.")
    write_enrolled(folder, {name: prototype for name, prototype in enrolled.items() if name != label})
