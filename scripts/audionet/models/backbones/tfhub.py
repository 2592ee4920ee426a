"""SavedModels, wherever they are: folders, archives, and addresses of TensorFlow Hub."""

import os
import re
import tarfile
import warnings
from pathlib import Path
from types import ModuleType

from audionet.console import silence_native_stderr
from audionet.errors import InputError, WeightsError
from audionet.files import cache_folder, printable, sha256_of, whole_folder
from audionet.models.backbones.checkpoints import named_faults
from audionet.models.backbones.weights import Weights, file_digest

MOST_MODULE_BYTES = 4_000_000_000  # unpacked; the largest image feature vectors have 1.5 GB


def find_module(handle: str) -> Weights:
    """Return a TF Hub module as a folder on this computer.

    Args:
        handle: a SavedModel folder, an archive of one (`.tar.gz`, `.tgz`), or the address of one (`https://…`).

    Raises:
        InputError: the folder or archive is missing or holds no SavedModel.
        WeightsError: the address delivers no module, or the archive is damaged.
    """
    if re.match(r"[a-z]+://", handle):
        folder = _resolved_address(handle)
        digest = _folder_sha256(folder)
    elif Path(handle).is_dir():
        folder = Path(handle)
        digest = _folder_sha256(folder)
    elif Path(handle).is_file():
        digest = file_digest(Path(handle))
        folder = _unpacked(Path(handle), digest)
    else:
        raise InputError(
            f"Expected a SavedModel folder, a .tar.gz or .tgz of one, or an address for --tfhub-module, "
            f"received {printable(handle)}, which is not there; check the path."
        )
    return Weights(
        path=_saved_model_folder(folder, handle),
        format="saved_model",
        origin=f"TF Hub module {handle if '://' in handle else Path(handle).name}",
        sha256=digest,
        licence="",
        note="given by the user",
    )


def tensorflow_hub() -> ModuleType:
    """Import TensorFlow Hub.

    Raises:
        InputError: it is not installed, or lacks what it needs.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="pkg_resources is deprecated")  # Hub has no newer release
            with silence_native_stderr():
                import tensorflow_hub as hub  # imports TensorFlow, which takes seconds
    except ImportError as error:
        raise InputError(
            f"Expected the package tensorflow-hub for --tfhub-module, received none that can be imported ({error}); "
            "install it with: pip install 'tensorflow-hub>=0.16' 'setuptools<81'"
        ) from error
    module: ModuleType = hub
    return module


def _resolved_address(address: str) -> Path:
    hub = tensorflow_hub()
    os.environ.setdefault("TFHUB_CACHE_DIR", str(cache_folder() / "modules"))
    try:
        return Path(hub.resolve(address))
    except (OSError, RuntimeError, ValueError, tarfile.TarError) as error:
        raise WeightsError(
            f"Expected a TF Hub module from {address}, received none ({error}); "
            "check the address and the connection, or download the module and give its folder or .tar.gz."
        ) from error


def _folder_sha256(folder: Path) -> str:
    """Hash the names and contents of all files below a folder, in the order of their names."""
    lines = [
        f"{file_digest(path)} {path.relative_to(folder).as_posix()}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return sha256_of("\n".join(lines).encode())


def _unpacked(archive_file: Path, digest: str) -> Path:
    """Unpack an archive into the cache, once; nothing in it can be written outside of its folder."""
    folder = cache_folder() / "modules" / digest
    if folder.is_dir():
        return folder
    with named_faults(archive_file), whole_folder(folder) as scratch, tarfile.open(archive_file) as archive:
        unpacked_bytes = 0
        for member in archive:
            if not (member.isfile() or member.isdir()):
                raise tarfile.ExtractError(f"{member.name} in it is neither a file nor a folder")
            unpacked_bytes += member.size
            if unpacked_bytes > MOST_MODULE_BYTES:
                raise tarfile.ExtractError(f"unpacked, it has more than {MOST_MODULE_BYTES / 1e9:.0f} GB")
            archive.extract(member, scratch, filter="data")
    return folder


def _saved_model_folder(folder: Path, handle: str) -> Path:
    """Return the folder that holds `saved_model.pb`: this one, or the one that an archive has around it."""
    for candidate in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        if (candidate / "saved_model.pb").is_file():
            return candidate
    raise InputError(
        f"Expected a SavedModel (a folder with saved_model.pb), received {printable(handle)} without one; "
        "check the module."
    )
