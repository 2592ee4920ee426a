"""Transfer learning for sound: recordings become pictures, pictures become bottlenecks, bottlenecks train a head.

Words, each used for one thing only:

    recording    one source file of sound
    chunk        a slice of a recording, of fixed length
    picture      the spectrogram image of a chunk, a jpg
    recipe       every setting that decides how a picture looks, and for a named one how to train on it
    backbone     the frozen pretrained network
    tap          the layer it is read at
    bottleneck   the vector it gives for one picture, or for the sound of one chunk
    head         the new top layer that is trained
    member       an input (a picture by a recipe, or the sound), a backbone, a tap and a head; members answer together
    classifier   one member or more + labels + recipe, as one saved folder
    label        the folder's name, kept to the letter; unknown is what has none of the labels
    sample       a picture with its label, recording and split, as one row of the training data
    view         an augmented version of a chunk that is trained on
    split        training, validation or testing; whole recordings, or larger groups of them, are in one
    fold         one of several equal parts of the recordings, each tested on once in cross-validation
    open set     the decision between known and unknown, by a score and its threshold
    digest       a hash: of a file's content, of settings; saved files call theirs `fingerprint`
    fingerprint  of a sound: acoustic landmarks, the same in every copy of it, whatever its name and format
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "1.0.0"

if TYPE_CHECKING:
    from audionet.api import evaluate, make_data, train
    from audionet.models.classifier import Classifier

__all__ = ["Classifier", "evaluate", "make_data", "train"]

_MODULES = {
    "Classifier": "audionet.models.classifier",
    "evaluate": "audionet.api",
    "make_data": "audionet.api",
    "train": "audionet.api",
}


def __getattr__(name: str) -> Any:
    """Import what the package offers when it is first asked for: a command's --help asks for nothing that is heavy."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
