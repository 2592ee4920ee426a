"""Files and folders: whole-or-nothing writes, one writer at a time, safe walks, printable names, and marked folders."""

import errno
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from audionet.errors import InputError
from audionet.failpoints import failpoint
from audionet.regular_files import read_regular
from audionet.scratch import NEW, OLD, PREFIX, ScratchFolder, is_at, make_scratch_file, put_in_place, take_lock

MARK_NAME = "audionet.json"
SPLITS_NAME = "audionet_splits.json"  # beside pictures: which of them were held out
UNKNOWN_LABEL = "_unknown_"  # the label folder of what is of none of the labels

MOST_CHARACTERS = 200  # of others' words within a message

Item = TypeVar("Item")


def printable(name: object) -> str:
    """Return a file or label name for a message: on one line, with control and undecodable characters escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode()
        for character in str(name)
    )


def brief(text: object) -> str:
    """Return what somebody else wrote, for a message: as `printable` does it, and not longer than a line or two."""
    whole = str(text)
    return printable(whole[:MOST_CHARACTERS]) + ("…" if len(whole) > MOST_CHARACTERS else "")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield an empty scratch file beside `path`, of the same suffix, and move it into place if the block ends well.

    A reader therefore sees the old file, the new file or none, and never a part of one.
    """
    with _opened_scratch(path, path.suffix) as (scratch, _):
        yield scratch


@contextmanager
def _opened_scratch(path: Path, suffix: str) -> Iterator[tuple[Path, int]]:
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    failpoint("write a file")
    scratch, descriptor = make_scratch_file(path, suffix)
    try:
        yield scratch, descriptor
        failpoint("rename a file")
        os.replace(scratch, path)
    except BaseException as error:
        scratch.unlink(missing_ok=True)
        _name_place(error, scratch, path)
        raise
    finally:
        os.close(descriptor)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty scratch folder, and put it in the place of folder `path` only when the block ends well.

    At every moment a whole folder is there; `scratch.recover_folder` is needed where two cannot be swapped in one step.
    """
    path = Path(os.path.abspath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with ScratchFolder(path.parent, prefix=PREFIX) as scratch:
        new, old = (scratch.path / name / path.name for name in (NEW, OLD))
        new.mkdir(parents=True)
        old.parent.mkdir()
        try:
            yield new
        except OSError as error:
            _name_place(error, new, path)
            raise
        with ExitStack() as lock:
            if path.is_dir():
                # Who adds to the old folder ends first. Nobody needs that long; if so, the new one must not be lost.
                with suppress(InputError):
                    lock.enter_context(one_writer(path, option="", wait_seconds=60))
            put_in_place(new, path, old)


def _name_place(error: BaseException, scratch: Path, path: Path) -> None:
    """Let an error of the system that names nothing, or what is in a scratch place, name what that was to become."""
    if isinstance(error, OSError):
        named = str(error.filename or scratch)
        if named == str(scratch) or named.startswith(f"{scratch}{os.sep}"):
            error.filename = f"{path}{named[len(str(scratch)) :]}"


@contextmanager
def one_writer(folder: Path, *, option: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold a folder, which is made if it is missing, so that no other process or thread does so before the block ends.

    Blocks may be nested. Where the file system has no locks, nothing is held. A folder that was made and is left empty
    is removed again.

    Raises:
        InputError: another holds it, and still does after `wait_seconds`; or the folder cannot be made or opened.
    """
    is_new = not folder.is_dir()
    try:
        descriptor = _held_folder(folder, wait_seconds)
    except BlockingIOError as error:
        raise InputError(
            f"{option}: another run writes to {printable(folder)}. Wait for its end, or name another folder."
        ) from error
    except OSError as error:
        raise InputError(
            f"{option}: expected a folder that can be written, but {printable(folder)} cannot be opened "
            f"({error.strerror}). Name another folder."
        ) from error
    if descriptor is None:
        yield
        return
    key = os.fstat(descriptor)[1:3]  # inode and device
    _held_by.folders = {**held_folders(), key: descriptor}
    try:
        yield
    finally:
        del _held_by.folders[key]
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        os.close(descriptor)


_held_by = threading.local()  # `folders`: as `held_folders` returns them


def held_folders() -> dict[tuple[int, int], int]:
    """Return what holds each folder that this thread holds, by inode and device.

    A process that inherits such a descriptor holds the folder until it ends, if it outlives the block.
    """
    folders: dict[tuple[int, int], int] = getattr(_held_by, "folders", {})
    return folders


def _held_folder(folder: Path, wait_seconds: float) -> int | None:
    """Return what holds a folder until it is closed, or None if this thread holds it already; errors are OSError."""
    until = time.monotonic() + wait_seconds
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if os.fstat(descriptor)[1:3] in held_folders():
                os.close(descriptor)
                return None
            take_lock(descriptor)
            if is_at(descriptor, folder):
                return descriptor
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(descriptor)
                raise
            time.sleep(0.02)
        os.close(descriptor)  # another has it, or has put another folder in its place


def cache_folder() -> Path:
    """Return the folder for everything that may be fetched or computed again (env AUDIONET_CACHE moves it)."""
    chosen = os.environ.get("AUDIONET_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    # platformdirs is imported late: with AUDIONET_CACHE set, nothing needs it.
    import platformdirs

    return platformdirs.user_cache_path("audionet")


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    # Not by its name, which would empty it first: ext4 flushes such a file when it is closed, even if it was empty.
    with _opened_scratch(path, "") as (_, descriptor), open(descriptor, "wb", closefd=False) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, value: object) -> None:
    """Write `value` to `path` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of `content` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def digest_of(value: object) -> str:
    """Return 16 hexadecimal digits that stand for any JSON value."""
    return sha256_of(json.dumps(value, sort_keys=True).encode())[:16]


def mark_folder(folder: Path, kind: str, **about: object) -> None:
    """Create `folder` if need be and mark it as made by this project, so that no scan takes it for a label.

    The kind is what it holds, such as `pictures`; `about` is anything else worth knowing later, as JSON values.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / MARK_NAME, {"kind": kind, **about})


def read_mark(folder: Path) -> dict[str, Any] | None:
    """Return what `mark_folder` wrote about `folder`, or None for a folder that is not ours."""
    try:
        mark = json.loads(read_regular(folder / MARK_NAME))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError):
        # Where one may not even look, nothing is known to be ours; whoever goes on will say what is wrong.
        return {"kind": "unreadable"} if os.path.lexists(folder / MARK_NAME) else None
    return mark if isinstance(mark, dict) and "kind" in mark else {"kind": "unreadable"}


def walk_files(folder: Path, *, at_once: int | None = None, failures: dict[Path, str] | None = None) -> Iterator[Path]:
    """Yield every file below `folder`, sorted within each folder, hidden ones and our own folders left out.

    Symbolic links are followed, since recordings often live on another disk, but never round a loop. Before the first
    file of a folder is yielded, `at_once` names are read and sorted among themselves, by default all of them. A folder
    that cannot be read is added to `failures` with the reason, and the rest go on; without them, it is an OSError.
    """
    yield from _walk(folder, (), at_once, failures)


def in_sorted_runs(items: Iterable[Item], *, key: Callable[[Item], Any], at_once: int | None) -> Iterator[Item]:
    """Yield items in runs of `at_once`, each sorted; all of them in one run if that is None."""
    waiting = iter(items)
    while run := sorted(islice(waiting, at_once), key=key):
        yield from run


def _walk(
    folder: Path, ancestors: tuple[str, ...], at_once: int | None, failures: dict[Path, str] | None
) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in ancestors:
        return
    subfolders = []
    try:
        with os.scandir(folder) as listing:
            for entry in in_sorted_runs(listing, key=lambda entry: entry.name, at_once=at_once):
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    subfolders.append(folder / entry.name)
                elif entry.name not in (MARK_NAME, SPLITS_NAME):
                    yield folder / entry.name
    except OSError as error:
        if failures is None:
            raise
        failures[folder] = f"the folder cannot be read ({error.strerror})"
    for subfolder in sorted(subfolders):
        if read_mark(subfolder) is None:
            yield from _walk(subfolder, (*ancestors, real), at_once, failures)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a symbolic link that points to itself
        return False


def files_below(
    folder: Path,
    *,
    root: Path | None = None,
    wanted: Callable[[Path], bool] | None = None,
    failures: dict[Path, str] | None = None,
) -> dict[str, Path]:
    """Return the files below `folder` that are `wanted`, as `walk_files` finds them, by their names below `root`.

    The root is a folder above, or by default `folder` itself; all files are wanted by default. Folders that cannot be
    read are as for `walk_files`.
    """
    # As `os.path.relpath`, which takes ten times as long; the root may be `.` or `/`.
    start = len(str((root or folder) / "x")) - 1
    found = walk_files(folder, failures=failures)
    return {str(path)[start:]: path for path in found if wanted is None or wanted(path)}


def labelled_files(
    folder: Path,
    *,
    option: str,
    wanted: Callable[[Path], bool] | None = None,
    failures: dict[Path, str] | None = None,
) -> dict[str, dict[str, Path]]:
    """Return the files in the label folders of `folder`, by label and by their names below `folder`, both sorted.

    Folders that cannot be read are as for `walk_files`.

    Raises:
        InputError: as `label_folders` does; a label without files has an empty mapping.
    """
    found = label_folders(folder, option=option)
    return {label.name: files_below(label, root=folder, wanted=wanted, failures=failures) for label in found}


def label_folders(folder: Path, *, option: str) -> list[Path]:
    """Return the label folders in `folder`, sorted by name: every subfolder that is not hidden and not ours.

        folder/
            alice/      <- a label
            bob/        <- a label
            data_image/ <- made by us, passed over

    Raises:
        InputError: `folder` is not there, cannot be read or has no label folder.
    """
    if not folder.is_dir():
        raise InputError(
            f"{option}: expected a folder with one subfolder a label, but {printable(folder)} "
            f"{'is a file' if folder.exists() else 'does not exist'}. Create it, and put the files of each label in a "
            f"subfolder named after the label."
        )
    with os.scandir(folder) as listing:
        names = sorted(entry.name for entry in listing if not entry.name.startswith(".") and _is_folder(entry))
    found = [folder / name for name in names if read_mark(folder / name) is None]
    if not found:
        raise InputError(
            f"{option}: {printable(folder)} has no label folder. Put the files of each label in a subfolder named "
            f"after the label, for example {printable(folder / 'alice')} and {printable(folder / 'bob')}."
        )
    return found


def disk_is_full(error: OSError) -> bool:
    """Tell whether `error` means that there is no room to write, which no other file would survive either."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
