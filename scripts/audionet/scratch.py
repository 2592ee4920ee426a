"""Scratch files and folders, each held with a lock by its writer, so that what a killed writer left can be removed.

    folder/.name.5f0c2ab1.part                    a file that is being written
    folder/.name.5f0c2ab1.part.wav                the same, by a library that chooses the format by the suffix
    folder/.audionet-k3_9vqx2/whole/name/         a folder that is being written
    folder/.audionet-k3_9vqx2/replaced/name/      what was there before, for a moment, where two cannot be swapped

The kernel lets go of a lock when the process dies, whatever kills it. A process id would not tell: it is used again,
and in another container it is another's. Where a file system has no locks, nothing is removed.
"""

import contextlib
import errno
import fcntl
import functools
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from audionet.failpoints import failpoint

PREFIX = ".audionet-"
TEMPORARY_PREFIX = "audionet-scratch-"
SCRATCH_FILE = re.compile(r"\..*\.[0-9a-f]{1,8}\.part(\.[^.]*)?", re.DOTALL)  # earlier versions had a process id
RANDOM_END = r"[a-z0-9_]{8}"  # of a name that the module tempfile makes
NEW, OLD = "whole", "replaced"
EARLIER = ({"new"}, {"old"})  # what earlier versions left; where both are there, one is the only copy of something
SWAP_SECONDS = 10.0  # how long a reader waits for a writer between its two renames

_EXCHANGING_RENAMES = {"linux": "renameat2", "darwin": "renameatx_np"}
_HERE = {"linux": -100, "darwin": -2}  # AT_FDCWD: names are relative to the working folder
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV)

_swept: set[str] = set()


def take_lock(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder until it is closed or the process dies; return False where there are no locks.

    Raises:
        BlockingIOError: another holds the lock, and `wait` is off.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Tell whether what is open is still what has this name."""
    try:
        found = os.stat(path)
    except OSError:
        return False
    opened = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino)


def make_scratch_file(path: Path, suffix: str) -> tuple[Path, int]:
    """Make an empty file beside `path` to write to, whose name ends with `suffix`; return it with what holds it."""
    remove_leftovers_once(path.parent)
    while True:
        scratch = path.parent / f".{path.stem[:40]}.{os.urandom(4).hex()}.part{suffix}"
        descriptor = os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        take_lock(descriptor, wait=True)
        if is_at(descriptor, scratch):
            return scratch, descriptor
        os.close(descriptor)  # somebody has removed it before it was locked


class ScratchFolder(AbstractContextManager["ScratchFolder"]):
    """A new folder, `path`, in a folder `parent`, held until it is removed, at the end of the block or by `remove`.

    Folders of this prefix that killed processes have left are removed first, once in a process.
    """

    def __init__(self, parent: Path, *, prefix: str):
        remove_leftovers_once(parent, prefix=prefix)
        while True:
            self.path = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
            with contextlib.suppress(FileNotFoundError):
                self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
                take_lock(self._descriptor, wait=True)
                if is_at(self._descriptor, self.path):
                    return
                os.close(self._descriptor)  # somebody has removed it before it was locked

    def remove(self) -> None:
        """Remove it, with what is in it; to be called once."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._descriptor)

    def __exit__(self, *exception: object) -> None:
        self.remove()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield an empty folder in the system's place for temporary files, and remove it when the block ends."""
    with ScratchFolder(Path(tempfile.gettempdir()), prefix=TEMPORARY_PREFIX) as scratch:
        yield scratch.path


def remove_leftovers_once(folder: Path, *, prefix: str = PREFIX) -> None:
    """Remove leftovers as `remove_leftovers` does, unless this process has done so before."""
    key = os.path.join(folder, prefix)
    if key not in _swept:
        _swept.add(key)
        remove_leftovers(folder, prefix=prefix)


def remove_leftovers(folder: Path, *, prefix: str = PREFIX) -> None:
    """Remove the scratch folders in `folder` that nobody holds, and scratch files too if the prefix is the default one.

    A folder whose writer was killed while it took the place of another is put there instead.
    """
    folder_name = re.compile(re.escape(prefix) + RANDOM_END)
    with contextlib.suppress(OSError), os.scandir(folder) as listing:
        for entry in listing:
            if folder_name.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                _remove_folder(Path(entry.path), is_ours=prefix != PREFIX)
            elif prefix == PREFIX and SCRATCH_FILE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                _remove_file(Path(entry.path))


def recover_folder(path: Path) -> None:
    """Put a folder that is missing back, if its writer was killed while it replaced it; wait if one is about to.

    Only where two folders cannot be swapped in one step is it ever missing.
    """
    path = Path(os.path.abspath(path))
    until = time.monotonic() + SWAP_SECONDS
    while not path.exists() and time.monotonic() < until:
        scratches = [scratch for scratch in path.parent.glob(f"{PREFIX}*") if (scratch / OLD / path.name).exists()]
        if not scratches:
            return
        for scratch in scratches:
            _finish(scratch, path.name)
        time.sleep(0.01)


def put_in_place(new: Path, path: Path, old: Path) -> None:
    """Put `new` in the place of `path`; what was there goes to `new` where two can be swapped, else to `old`."""
    failpoint("put a folder in its place")
    if path.exists() and exchange(new, path):
        return
    if path.exists():
        os.replace(path, old)
        failpoint("put a folder in the place of what was taken away")
    try:
        os.replace(new, path)
    except OSError:
        if old.exists():
            os.replace(old, path)
        raise


def exchange(first: Path, second: Path) -> bool:
    """Let two files or folders change places in one step; return False where the system or the file system cannot."""
    rename = _exchanging_rename()
    if rename is None:
        return False
    import ctypes

    here = _HERE[sys.platform]
    if rename(here, os.fsencode(first), here, os.fsencode(second), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code not in _NOT_SUPPORTED:
        raise OSError(code, os.strerror(code), os.fspath(second))
    return False


@functools.cache
def _exchanging_rename() -> Any:
    import ctypes  # a hundredth of a second, which only who replaces a folder needs

    name = _EXCHANGING_RENAMES.get(sys.platform)
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None) if name else None
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return function


def _hold(path: Path, flags: int = os.O_RDONLY) -> int | None:
    """Hold a scratch file or folder of our user's that nobody holds, and return what holds it until it is closed."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        is_ours = os.fstat(descriptor).st_uid == os.geteuid()
        if is_ours and take_lock(descriptor) and is_at(descriptor, path):
            return descriptor
    os.close(descriptor)
    return None


def _remove_file(scratch: Path) -> None:
    descriptor = _hold(scratch, os.O_RDWR)
    if descriptor is not None:
        scratch.unlink(missing_ok=True)
        os.close(descriptor)


def _remove_folder(scratch: Path, *, is_ours: bool) -> None:
    """Remove a scratch folder, or do what its writer was about to; if not sure to be ours, by what is in it."""
    if not is_ours:
        with contextlib.suppress(OSError):
            inside = set(os.listdir(scratch))
            is_ours = inside <= {NEW, OLD} or inside in EARLIER
    descriptor = _hold(scratch) if is_ours else None
    if descriptor is not None:
        with contextlib.suppress(OSError):
            for name in os.listdir(scratch / OLD):
                _put_back(scratch, name)
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(descriptor)


def _finish(scratch: Path, name: str) -> None:
    descriptor = _hold(scratch)
    if descriptor is not None:
        with contextlib.suppress(OSError):
            _put_back(scratch, name)
        os.close(descriptor)


def _put_back(scratch: Path, name: str) -> None:
    """Put a new folder in its place if its writer was killed after it had taken away what was there."""
    new, path = scratch / NEW / name, scratch.parent / name
    if new.exists() and not path.exists():
        os.replace(new, path)
