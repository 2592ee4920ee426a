"""Whether what a command is to write can be written, found out before the work instead of after it."""

import importlib.util
import os
import stat
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from audionet.errors import InputError
from audionet.files import printable
from audionet.regular_files import KINDS

Places = Mapping[str, Path | str | None]
NOWHERE: Places = {}

PARQUET = ".parquet"


def check_outputs(*, files: Places = NOWHERE, folders: Places = NOWHERE, replaced: Places = NOWHERE) -> None:
    """Check that there can be files and folders at some places, which are given by option; None is passed over.

    Permissions do not bind every user, so that it is tried: a file without a name is made and gone at once.

    Args:
        files: written beside and moved into place.
        folders: that files are added to; made if they are missing, with those above.
        replaced: folders that are written beside and moved into place as a whole.

    Raises:
        InputError: one cannot be written; it names the option and the reason.
    """
    for places, is_folder, is_replaced in ((files, False, True), (folders, True, False), (replaced, True, True)):
        for option, path in places.items():
            reason = path and _refusal(Path(os.path.abspath(path)), is_folder=is_folder, is_replaced=is_replaced)
            if reason:
                raise InputError(
                    f"--{option}: {printable(path)} cannot be written ({reason}). Name another "
                    f"{'folder' if is_folder else 'file'}."
                )


def check_suffix(path: Path, suffixes: Collection[str]) -> None:
    """Check that the suffix of what `--output` names is of a format that can be written.

    Raises:
        InputError: it is none of `suffixes`, or is that of Parquet, and pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        raise InputError(f"--output: expected a name that ends in {', '.join(suffixes)}, received {printable(path)}.")
    if suffix == PARQUET and importlib.util.find_spec("pyarrow") is None:
        others = " or ".join(other for other in suffixes if other != PARQUET)
        raise InputError(f"--output: Parquet needs pyarrow: pip install pyarrow. Or name a {others} file.")


def _refusal(path: Path, *, is_folder: bool, is_replaced: bool) -> str:
    """Return why a file or a folder cannot be written, or nothing."""
    try:
        mode = _mode_of(path)
        if mode is not None and stat.S_ISDIR(mode) != is_folder:
            return KINDS.get(stat.S_IFMT(mode), "it is a file")
        if mode is not None and not is_folder and not stat.S_ISREG(mode):
            return KINDS.get(stat.S_IFMT(mode), "it is no regular file")
        if is_folder and mode is None and path.is_symlink():
            return "it is a link to what is not there"
        if is_folder and is_replaced and os.path.ismount(path):
            return "a disk is mounted there, so that it cannot be replaced; name a folder below it"
        place = path if mode is not None and not is_replaced else next(one for one in path.parents if one.exists())
        with tempfile.TemporaryFile(dir=place):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _mode_of(path: Path) -> int | None:
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None
