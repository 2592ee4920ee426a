"""Recordings in a bucket or another store, by a URL that fsspec reads: s3://bucket/voices, gs://, abfs://, hdfs://.

A remote file stands where a path does. It is listed with what changes when its content does, and fetched whole for as
long as it is read, into the place for temporary files: decoders are programs that read files.
"""

import functools
import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PosixPath
from typing import Any, TypeVar

from audionet.errors import InputError, RecordingError
from audionet.file_cache import FileStamp, file_stamp
from audionet.files import brief, printable
from audionet.scratch import temporary_folder

PROTOCOLS = ("s3", "gs", "gcs", "abfs", "az", "adl", "hdfs", "webhdfs", "sftp", "http", "https")
_URL = re.compile(rf"^({'|'.join(PROTOCOLS)}):/")
WAITS_SECONDS = (1, 2, 4, 8, 16)  # before a store that is out of order for a while is asked again
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs", "adl": "adlfs"}

Found = TypeVar("Found")


class RemotePath(PosixPath):
    """A file or folder in a store, named by a URL, as which it prints; nothing on this machine has that name."""

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)

    def resolve(self, strict: bool = False) -> "RemotePath":
        """Return the path itself, since a URL is complete."""
        return self

    def absolute(self) -> "RemotePath":
        """Return the path itself, as `resolve` does."""
        return self


def named(path: Path) -> Path:
    """Return a path as it was meant: a URL loses one of its slashes where it is taken for a path."""
    return RemotePath(path) if _URL.match(str(path)) else path


def is_remote(path: Path) -> bool:
    """Tell whether a path names something in a store."""
    return isinstance(path, RemotePath)


def stamp_of(path: Path) -> FileStamp:
    """Return what changes whenever a file's content does, as `file_stamp` does; OSError if it is not there."""
    if not is_remote(path):
        return file_stamp(path)
    about = _asked(path, lambda store: store.info(str(path)))
    changed = about.get("LastModified") or about.get("mtime") or about.get("updated") or ""
    version = repr([str(changed), about.get("ETag") or about.get("etag") or ""])
    return int(about["size"] or 0), 0, 0, int.from_bytes(hashlib.sha256(version.encode()).digest()[:7], "big")


def find_files(folder: Path, *, option: str) -> dict[str, Path]:
    """Return the files below a remote folder by their names below it, sorted, hidden ones left out.

    Raises:
        InputError: it is not there, or may not be read.
    """
    try:
        listed = _asked(folder, lambda store: store.find(str(folder)))
    except FileNotFoundError:
        listed = []
    except OSError as error:
        raise InputError(f"{option}: {printable(folder)} cannot be listed ({_reason(error)}).") from error
    start = len(str(folder).partition("://")[2].rstrip("/")) + 1
    names = sorted(name.partition("://")[2][start:] if "://" in name else name[start:] for name in listed)
    found = {name: folder / name for name in names if not any(part.startswith(".") for part in name.split("/"))}
    if not found:
        raise InputError(
            f"{option}: {printable(folder)} holds no file. Check the name of the bucket and the folder; what is there "
            "lists as s3://bucket/folder/label/recording."
        )
    return found


@contextmanager
def local_copy(path: Path) -> Iterator[Path]:
    """Yield a path on this machine with a file's content: the file itself, or a copy that goes when the block ends.

    Raises:
        RecordingError: a remote file cannot be fetched; also what the block raises of it, with its own name.
    """
    if not is_remote(path):
        yield path
        return
    with temporary_folder() as folder:
        copy = folder / f"remote{path.suffix}"
        try:
            _asked(path, lambda store: store.get_file(str(path), str(copy)))
        except OSError as error:
            raise RecordingError(f"{printable(path)}: it cannot be fetched ({_reason(error)})") from error
        try:
            yield copy
        except RecordingError as error:
            raise RecordingError(str(error).replace(str(copy), printable(path))) from error


def _asked(path: Path, ask: Callable[[Any], Found]) -> Found:
    """Return what a store answers, which is asked again where it is out of order for a while.

    Raises:
        OSError: there is no such file, no right to it, or no answer however often it is asked.
        InputError: there is no package for such a URL.
    """
    store = _store(str(path).partition("://")[0])
    faults = _faults()
    for wait in (*WAITS_SECONDS, None):
        try:
            return ask(store)
        except (FileNotFoundError, PermissionError):
            raise
        except faults as error:
            if wait is None:
                raise error if isinstance(error, OSError) else OSError(str(error))  # noqa: B904 - the same in words
            time.sleep(wait)
            store.invalidate_cache()
    raise AssertionError  # the last time returns or raises


@functools.cache
def _store(protocol: str) -> Any:
    try:
        import fsspec

        return fsspec.filesystem(protocol)
    except ImportError as error:
        package = PACKAGES.get(protocol, "fsspec")
        raise InputError(
            f"{protocol}:// needs the package {package}, which is not installed: pip install './scripts[storage]' "
            f"{package}"
        ) from error


@functools.cache
def _faults() -> tuple[type[Exception], ...]:
    """Return the errors of stores that are no OSError, where their packages are installed."""
    try:
        from botocore.exceptions import BotoCoreError
    except ImportError:
        return (OSError,)
    return OSError, BotoCoreError


def _reason(error: OSError) -> str:
    return brief(" ".join((error.strerror or str(error) or type(error).__name__).split()))
