"""Reading files that others made: regular files only, and no more of one than there may be.

A pipe or a socket never ends and a device may never answer, so that reading one would stop everything else. They are
refused before the first byte, with an OSError whose `strerror` says what they are.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

KINDS = {
    stat.S_IFDIR: "it is a folder",
    stat.S_IFIFO: "it is a pipe",
    stat.S_IFSOCK: "it is a socket",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
}


def open_regular(path: Path | str) -> BinaryIO:
    """Open a regular file, or what a symbolic link to one stands for, for reading.

    Raises:
        OSError: it is not there, must not be read, or is a folder, a pipe, a socket or a device.
    """
    check_regular(os.stat(path).st_mode, path)  # to open a device may do something by itself
    # Another may have taken its place since; a pipe that nobody writes to would then keep `open` waiting.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    try:
        check_regular(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb")
    except OSError:
        os.close(descriptor)
        raise


def read_regular(path: Path | str, *, most_bytes: int | None = None) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: as for `open_regular`, or it is larger than `most_bytes`.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most_bytes is not None and size > most_bytes:
            reason = f"it has {size / 1e6:,.0f} MB; expected {most_bytes / 1e6:,.0f} MB at most"
            raise OSError(errno.EFBIG, reason, str(path))
        return file.read() if most_bytes is None else file.read(most_bytes)


def check_regular(mode: int, path: Path | str) -> None:
    """Raise OSError unless the mode of a file, which `os.stat` gave, is that of a regular file."""
    if not stat.S_ISREG(mode):
        reason = KINDS.get(stat.S_IFMT(mode), "it is no regular file")
        effective = os.access in os.supports_effective_ids
        if stat.S_ISDIR(mode) and not os.access(path, os.R_OK | os.X_OK, effective_ids=effective):
            reason = "it is a folder that cannot be read"
        raise OSError(errno.EINVAL, reason, str(path))
