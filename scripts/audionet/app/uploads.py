"""Uploads: each is a file in a folder of its own as long as it is worked on, and no longer."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.datastructures import UploadFile

from audionet.audio import decoding
from audionet.errors import AudioNetError
from audionet.features.image_io import PICTURE_SUFFIXES
from audionet.files import printable

SMALL_BYTES = 1_000_000  # what takes a moment to write


@contextlib.asynccontextmanager
async def saved_upload(upload: UploadFile, uploads_dir: Path) -> AsyncIterator[Path]:
    """Save an upload below `uploads_dir` under a name of ours, yield its path, and remove it.

    Raises:
        AudioNetError: the block's own, which calls the file by the client's name for it.
    """
    with tempfile.TemporaryDirectory(dir=uploads_dir) as folder:
        path = Path(folder) / f"upload{suffix_of(upload)}"
        if (upload.size or 0) <= SMALL_BYTES:
            _write(upload, path)  # without a thread, in which a later request could overtake this one
        else:
            await asyncio.to_thread(_write, upload, path)
        try:
            yield path
        except AudioNetError as error:
            # The client knows the file by its own name, and must not learn where it lies.
            name = printable(upload.filename or "the file")[:200]
            error.args = (str(error).replace(str(path), name).replace(path.name, name),)
            raise


def suffix_of(upload: UploadFile) -> str:
    """Return the suffix that tells what an upload is: its own if it is of a known kind, else one of its media type."""
    suffix = Path(upload.filename or "").suffix.lower()
    if suffix in PICTURE_SUFFIXES | decoding.SUFFIXES:
        return suffix
    return ".png" if (upload.content_type or "").startswith("image/") else ".wav"


def _write(upload: UploadFile, path: Path) -> None:
    with path.open("wb") as file:
        shutil.copyfileobj(upload.file, file)
