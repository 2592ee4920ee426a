"""Many files, one load: find the clips that a user means, and score them in turn."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from audionet import audio
from audionet.classifier import Answer
from audionet.errors import AudioNetError, InputError
from audionet.files import printable, walk_files
from audionet.screen import progress_bar
from audionet.spectrogram import is_picture


class Scorer(Protocol):
    """What scores a file: a classifier folder or a frozen graph."""

    def score(self, path: Path) -> Answer:
        """Score one file."""


def find_clips(paths: Iterable[Path]) -> list[Path]:
    """Return the files among `paths` and the recordings and pictures in the folders among them.

    A folder with pictures gives those; recordings beside them are their chunks, kept for listening.

    Raises:
        InputError: a path does not exist, or a folder holds neither recordings nor pictures.
    """
    clips: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"{printable(path)} does not exist; expected a recording, a picture or a folder of them.")
        if not path.is_dir():
            clips.append(path)
            continue
        files = list(walk_files(path))
        found = [file for file in files if is_picture(file)] or [file for file in files if audio.is_recording(file)]
        if not found:
            raise InputError(f"{printable(path)} holds neither a recording nor a picture.")
        clips.extend(found)
    return clips


def score_all(scorer: Scorer, clips: list[Path]) -> Iterator[tuple[Path, Answer | AudioNetError]]:
    """Yield each clip with its answer, or with the reason why there is none; one bad clip stops no other."""
    with progress_bar(total=len(clips), description="Labelling", unit="files") as bar:
        for clip in clips:
            try:
                yield clip, scorer.score(clip)
            except AudioNetError as error:
                yield clip, error
            bar.update()
