"""A cache on disk of what was computed from files, so that no file that has not changed is read again.

It is a small SQLite file that maps a path to a JSON value together with the file's stamp; a value is out of date when
the stamp differs. Damaged or deleted, it is started anew.
"""

import errno
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from audionet.errors import InputError
from audionet.failpoints import failpoint
from audionet.files import printable
from audionet.regular_files import check_regular

# Size in bytes, times of modification and of change in nanoseconds, and inode. The time of change is set by the system
# alone: whoever replaces a file and gives the new one the old time of modification does not get past it.
FileStamp = tuple[int, int, int, int]

EARLIER_COLUMNS = ["path", "context", "size", "mtime_ns", "value"]
ADDED_COLUMNS = ["ctime_ns", "inode"]  # 0 in rows of earlier versions, which are out of date therefore
COLUMNS = [*EARLIER_COLUMNS, *ADDED_COLUMNS]


def file_stamp(path: Path) -> FileStamp:
    """Return what changes whenever a file's content does, without reading it.

    Raises:
        OSError: the file is not there, or is a folder, a pipe, a socket or a device; `strerror` says which.
    """
    status = os.stat(path)
    check_regular(status.st_mode, path)
    # SQLite's integers have a sign; the inodes of some network file systems need all 64 bits.
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino & 2**63 - 1


class FileCache(AbstractContextManager["FileCache"]):
    """A mapping on disk from a file's path to a JSON value, valid while the file's stamp is the same.

    Rows that are not as this class writes them count as missing. Methods raise OSError where the disk is full, and
    InputError where the file cannot be used; either names it.

    Args:
        path: the SQLite file; made if it is not there.
        context: anything the values depend on besides the file, such as a recipe's digest. `items` leaves out values
            of another context.
    """

    def __init__(self, path: Path, *, context: str = ""):
        self._path = path
        self._context = context
        with _explained(path):
            self._connection = _open(path)

    def items(self) -> dict[str, tuple[FileStamp, Any]]:
        """Return every path of this context with its stamp and value."""
        rows = self._read(
            "SELECT path, value, size, mtime_ns, ctime_ns, inode FROM files WHERE context = ?", self._context
        )
        stamped = ((path, value, stamp) for path, value, *stamp in rows if all(isinstance(one, int) for one in stamp))
        return {path: ((*stamp,), value) for path, value, stamp in stamped}

    def values(self) -> dict[str, Any]:
        """Return every path, of any context, with its value."""
        return dict(self._read("SELECT path, value FROM files"))

    def paths(self) -> set[str]:
        """Return every path of any context."""
        with _explained(self._path):
            rows = self._connection.execute("SELECT path FROM files").fetchall()
        return {os.fsdecode(path) for (path,) in rows if isinstance(path, (bytes, str))}

    def put(self, entries: Iterable[tuple[str, FileStamp, object]]) -> None:
        """Store (path, stamp, value) entries, all or none of them, in place of those that these paths had."""
        rows = [
            (os.fsencode(path), self._context, *stamp, json.dumps(value, separators=(",", ":")))
            for path, stamp, value in entries
        ]
        self._write(
            "INSERT OR REPLACE INTO files (path, context, size, mtime_ns, ctime_ns, inode, value) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def remove(self, paths: Iterable[str]) -> None:
        """Remove the entries of `paths`."""
        # A row whose path is text is not ours, and goes all the same.
        self._write(
            "DELETE FROM files WHERE path = ? OR path = CAST(? AS TEXT)", [(os.fsencode(path),) * 2 for path in paths]
        )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _read(self, query: str, *arguments: object) -> Iterator[tuple[Any, ...]]:
        """Yield rows that begin with a path and a value, those left out whose path or value is not as we write it."""
        with _explained(self._path):
            rows = self._connection.execute(query, arguments).fetchall()
        for path, text, *others in rows:
            try:
                yield os.fsdecode(path), json.loads(text), *others
            except (TypeError, ValueError, RecursionError):
                continue

    def _write(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        if not rows:
            return
        with _explained(self._path), self._connection:
            self._connection.executemany(statement, rows)
            failpoint("commit to a database")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Raise OSError for a full disk, as any other way of writing does, and InputError for all else."""
    try:
        yield
    except sqlite3.Error as error:
        if "full" in str(error) or _has_no_room(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise InputError(
            f"{printable(path)}: expected a cache that can be read and written, but SQLite says: {error}. Wait if "
            "another run uses it; else remove it, and it is made anew."
        ) from error


def _has_no_room(path: Path) -> bool:
    """Tell whether there is hardly a page left on a disk, where SQLite speaks of errors of many kinds."""
    try:
        status = os.statvfs(path.parent)
    except OSError:
        return False
    return status.f_bavail * status.f_frsize < 65_536


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # locked or unreachable, not damaged
            raise
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=60)
    try:
        # Nothing is mapped into memory: on a full disk, touching such a page would kill the process. Earlier versions
        # kept a write-ahead log, whose index is mapped unless the file is for us alone while the log is put away.
        connection.execute("PRAGMA mmap_size = 0")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA locking_mode = NORMAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last entries, never the file
        if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("damaged")
        _make_table(connection)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _make_table(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, context TEXT NOT NULL, size INTEGER NOT NULL, "
        "mtime_ns INTEGER NOT NULL, value TEXT NOT NULL, ctime_ns INTEGER NOT NULL DEFAULT 0, "
        "inode INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID"
    )
    names = [name for _, name, *_ in connection.execute("PRAGMA table_info(files)")]
    if names == EARLIER_COLUMNS:
        for name in ADDED_COLUMNS:
            connection.execute(f"ALTER TABLE files ADD COLUMN {name} INTEGER NOT NULL DEFAULT 0")
    elif names != COLUMNS:
        raise sqlite3.DatabaseError("another schema")
