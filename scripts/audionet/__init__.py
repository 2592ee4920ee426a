"""Transfer learning for sound: recordings become pictures, pictures become bottlenecks, bottlenecks train a head.

Words, used for these things only:

    recording   one source file of sound
    chunk       a fixed-length slice of a recording
    picture     the spectrogram image of a chunk, a jpg
    recipe      every setting that decides how a picture looks, and for a named one how to train on it
    backbone    the frozen pretrained network
    tap         the layer it is read at
    bottleneck  the vector it gives for one picture
    head        the new top layer that we train
    classifier  backbone + tap + head + labels + recipe, as one saved folder
    label       the folder's name, kept to the letter
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audionet.models.classifier import Classifier

__all__ = ["Classifier"]


def __getattr__(name: str) -> Any:
    """Import `audionet.Classifier` when it is first asked for: a script's --help asks for nothing that is heavy."""
    if name == "Classifier":
        from audionet.models.classifier import Classifier

        return Classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
