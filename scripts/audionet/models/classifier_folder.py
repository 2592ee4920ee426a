"""The folder of a classifier, which describes itself: its files, and labels that were enrolled later.

    retrained_model/
        classifier.json    labels, recipe, backbone and weights with their origin, how the head was trained
        backbone.pb        the network up to its tap, frozen; uint8 pictures in, bottlenecks out
        head.npz           head, open-set detector, comparison space, and keys of what was trained on
        fingerprints.npz   of the sound that it was trained on, so that a test can tell that it is another
        metrics.json       the scores of the training run
        enrolled.npz       labels that `audionet enroll` added, if any: a prototype each

Nothing in it is a pickle.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from audionet.errors import ClassifierError, InputError
from audionet.files import printable, read_mark, write_bytes
from audionet.models.head import Head

FORMAT = 1  # goes up by one when a folder's meaning changes
KIND = "classifier"
ABOUT_NAME = "classifier.json"
GRAPH_NAME = "backbone.pb"
HEAD_NAME = "head.npz"
FINGERPRINTS_NAME = "fingerprints.npz"
ENROLLED_NAME = "enrolled.npz"
TRAIN_AGAIN = "Train it again: make train."


def read_enrolled(folder: Path) -> dict[str, np.ndarray]:
    """Return the prototypes that `write_enrolled` wrote, by label, if any; raise ClassifierError on a damaged file."""
    try:
        with np.load(folder / ENROLLED_NAME, allow_pickle=False) as arrays:
            names = json.loads(bytes(arrays["labels"]))
            return dict(zip(names, arrays["prototypes"], strict=True))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ClassifierError(
            f"{printable(folder / ENROLLED_NAME)} is damaged ({error}). Remove it, and enrol its labels again."
        ) from error


def write_enrolled(folder: Path, enrolled: Mapping[str, np.ndarray]) -> None:
    """Write labels that were added without training, and their prototypes, into a classifier's folder."""
    if not enrolled:
        (folder / ENROLLED_NAME).unlink(missing_ok=True)
        return
    file = io.BytesIO()
    names = np.frombuffer(json.dumps(list(enrolled)).encode(), np.uint8)
    np.savez(file, labels=names, prototypes=np.stack(list(enrolled.values())))
    write_bytes(folder / ENROLLED_NAME, file.getvalue())


def remove_enrolled(folder: Path, label: str) -> None:
    """Remove an enrolled label from a classifier's folder; raise InputError if it was not enrolled."""
    enrolled = read_enrolled(folder)
    if label not in enrolled:
        known = ", ".join(map(printable, enrolled)) or "none is"
        raise InputError(f"--remove: {printable(label)} is not enrolled ({known}). Name one that is.")
    write_enrolled(folder, {name: prototype for name, prototype in enrolled.items() if name != label})


def pack_head(head: Head) -> dict[str, np.ndarray]:
    """Return the arrays of a head by their names in the file."""
    arrays = {"weights": head.weights, "biases": head.biases}
    if head.hidden:
        arrays |= {"hidden_weights": head.hidden.weights, "hidden_biases": head.hidden.biases}
    return arrays


def unpack_head(arrays: Mapping[str, np.ndarray]) -> Head:
    """Rebuild what `pack_head` gave."""
    hidden = Head(arrays["hidden_weights"], arrays["hidden_biases"]) if "hidden_weights" in arrays else None
    return Head(arrays["weights"], arrays["biases"], hidden)


def read_about(folder: Path) -> dict[str, Any]:
    """Return what a classifier's folder says of it.

    Raises:
        ClassifierError: the folder is missing, is no classifier, is of another version or is damaged.
    """
    if not folder.is_dir():
        raise ClassifierError(
            f"--model: there is no classifier at {printable(folder)}. Train one first: make train, or name another "
            "folder."
        )
    try:
        about = json.loads((folder / ABOUT_NAME).read_text())
    except FileNotFoundError as error:
        kind = (read_mark(folder) or {}).get("kind", "something else")
        raise ClassifierError(
            f"--model: expected a classifier folder with {ABOUT_NAME}, but {printable(folder)} holds {kind}. Name the "
            "folder that audionet train wrote."
        ) from error
    except (OSError, ValueError) as error:
        raise ClassifierError(f"{printable(folder / ABOUT_NAME)} is damaged ({error}). {TRAIN_AGAIN}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = about.get("format") if isinstance(about, dict) else None
        raise ClassifierError(
            f"{printable(folder)} is a classifier of format {found}; this version reads format {FORMAT}. {TRAIN_AGAIN}"
        )
    return about
