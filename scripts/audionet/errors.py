"""Errors whose messages are printed for the user as they are.

A message names the file or option, says what was expected and what was found, and gives the next step. They are raised
early, as deep as the fault is known, and caught once: by `cli.run_command` at the top, or by the loop over files,
which sets the one bad file aside and goes on.
"""


class AudioNetError(Exception):
    """Any fault that this project explains; its text is complete without a traceback."""


class InputError(AudioNetError):
    """An option, a folder or a combination of them that no work can start from."""


class RecordingError(AudioNetError):
    """One recording that cannot be decoded or holds no usable sound."""


class PictureError(AudioNetError):
    """One picture that cannot be read."""


class WeightsError(AudioNetError):
    """Pretrained weights that no source delivers whole."""


class ClassifierError(AudioNetError):
    """A saved classifier that is missing, damaged or of another version."""


class NoClassifierError(ClassifierError, InputError):
    """There is no classifier at a folder that was named."""


class ExportError(AudioNetError):
    """An export that does not answer as its classifier does."""


class ClusterError(AudioNetError):
    """A cluster that was lost in the midst of work."""


def check(condition: bool, message: str) -> None:
    """Raise InputError with `message` unless `condition` holds.

    Raises:
        InputError: the condition does not hold.
    """
    if not condition:
        raise InputError(message)
