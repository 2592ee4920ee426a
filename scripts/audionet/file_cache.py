"""A cache on disk of what was computed from files, so that no file that has not changed is read again.

It is a small SQLite file that maps a path to a JSON value together with the file's size and modification time; a value
is out of date when either differs. Damaged or deleted, it is started anew.
"""

import errno
import json
import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

FileStamp = tuple[int, int]  # size in bytes, modification time in nanoseconds


def file_stamp(path: Path) -> FileStamp:
    """Return the size and modification time of a file.

    Raises:
        OSError: the file is not there, or is a pipe or a device, which reading could wait on for ever.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return status.st_size, status.st_mtime_ns


class FileCache(AbstractContextManager["FileCache"]):
    """A mapping on disk from a file's path to a JSON value, valid while the file's stamp is the same.

    Args:
        path: the SQLite file; made if it is not there.
        context: anything the values depend on besides the file, such as a recipe's digest. `items` leaves out values
            of another context.
    """

    def __init__(self, path: Path, *, context: str = ""):
        self._context = context
        self._connection = _open(path)

    def items(self) -> dict[str, tuple[FileStamp, Any]]:
        """Return every path of this context with its stamp and value."""
        rows = self._connection.execute(
            "SELECT path, size, mtime_ns, value FROM files WHERE context = ?", (self._context,)
        )
        return {os.fsdecode(path): ((size, mtime_ns), json.loads(value)) for path, size, mtime_ns, value in rows}

    def values(self) -> dict[str, Any]:
        """Return every path, of any context, with its value."""
        rows = self._connection.execute("SELECT path, value FROM files")
        return {os.fsdecode(path): json.loads(value) for path, value in rows}

    def paths(self) -> set[str]:
        """Return every path of any context."""
        return {os.fsdecode(path) for (path,) in self._connection.execute("SELECT path FROM files")}

    def put(self, entries: Iterable[tuple[str, FileStamp, object]]) -> None:
        """Store (path, stamp, value) entries, all or none of them, in place of those that these paths had."""
        with _full_disk_as_os_error(), self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
                [
                    (os.fsencode(path), self._context, *stamp, json.dumps(value, separators=(",", ":")))
                    for path, stamp, value in entries
                ],
            )

    def remove(self, paths: Iterable[str]) -> None:
        """Remove the entries of `paths`."""
        with self._connection:
            self._connection.executemany("DELETE FROM files WHERE path = ?", [(os.fsencode(path),) for path in paths])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __exit__(self, *exception: object) -> None:
        self.close()


@contextmanager
def _full_disk_as_os_error() -> Iterator[None]:
    """Raise OSError for a full disk, as any other way of writing does."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" not in str(error):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # locked or unreachable, not damaged
            raise
        path.unlink()
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=60)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last entries, never the file
        if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("damaged")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, context TEXT NOT NULL, size INTEGER NOT NULL, "
            "mtime_ns INTEGER NOT NULL, value TEXT NOT NULL) WITHOUT ROWID"
        )
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection
