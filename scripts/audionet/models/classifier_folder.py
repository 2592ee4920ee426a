"""The folder of a classifier, which describes itself: its files, and labels that were enrolled later.

    retrained_model/
        classifier.json    labels, recipe, backbone and weights with their origin, how the head was trained
        backbone.pb        the network up to its tap, frozen; uint8 pictures or float32 sound in, bottlenecks out
        backbone_2.pb      the same of the second member, if there are several, and so on
        head.npz           heads, open-set detector, comparison space, and keys of what was trained on
        fingerprints.npz   of the sound that it was trained on, so that a test can tell that it is another
        metrics.json       the scores of the training run
        split.json         which recordings were trained on and tested on
        enrolled.npz       labels that `audionet enroll` added, if any: a prototype each

Nothing in it is a pickle. It is replaced as a whole; who reads meanwhile gets the one version or the other, since all
files are opened in one folder, which is looked for again if it is no longer in its place.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import mmap
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from audionet.errors import ClassifierError, InputError, NoClassifierError
from audionet.files import brief, one_writer, printable, read_mark, write_bytes
from audionet.json_files import parse_json
from audionet.models.array_files import check_shapes, read_arrays
from audionet.models.classifier_schema import check_about, check_head_arrays, check_metrics, described_members
from audionet.models.head import Distance, Head
from audionet.scratch import is_at, recover_folder

FORMAT = 1  # goes up when a folder's meaning changes
FORMAT_OF_SEVERAL = 2  # of a classifier with several members, which earlier versions would misread
MOST_MISSES = 5  # of a folder that another one is taking the place of
KIND = "classifier"
ABOUT_NAME = "classifier.json"
GRAPH_NAME = "backbone.pb"
HEAD_NAME = "head.npz"
FINGERPRINTS_NAME = "fingerprints.npz"
METRICS_NAME = "metrics.json"
SPLIT_NAME = "split.json"
ENROLLED_NAME = "enrolled.npz"
TRAIN_AGAIN = "Train it again: make train."
ENROLL_AGAIN = "Remove it, and enroll its labels again."
MOST_MEMBERS = 8  # of a classifier
ADDING_SECONDS = 60.0  # how long to wait for another who adds a label: it takes a moment

Content = TypeVar("Content")


@dataclass(frozen=True)
class ClassifierFiles:
    """What the files of one version of a classifier folder hold, checked."""

    about: dict[str, Any]  # classifier.json
    graphs: tuple[bytes, ...]  # backbone.pb, and of the other members
    arrays: dict[str, np.ndarray]  # head.npz
    enrolled: dict[str, np.ndarray]  # prototypes by label, of enrolled.npz if there is one
    fingerprints: bytes | mmap.mmap | None  # fingerprints.npz, not checked yet; it stays as it is if it is replaced


def read_files(folder: Path) -> ClassifierFiles:
    """Return what the files of a classifier folder hold, all of one version.

    Raises:
        ClassifierError: the folder is missing, is no classifier, is of another version, or is damaged or was edited.
    """
    return _of_one_version(folder, _read_all)


def read_labels(folder: Path) -> list[str]:
    """Return the labels of a classifier folder, trained and enrolled ones; errors are those of `read_files`."""
    about, enrolled = _of_one_version(folder, _read_labels)
    return [*about["labels"], *enrolled]


def read_description(folder: Path) -> dict[str, Any]:
    """Return what `classifier.json` holds, checked; errors are those of `read_files`."""
    return _of_one_version(folder, _read_labels)[0]


def read_enrolled(folder: Path) -> dict[str, np.ndarray]:
    """Return the prototypes of the labels that were added, by label, if any; errors are those of `read_files`."""
    return _of_one_version(folder, _read_labels)[1]


@contextmanager
def changing_enrolled(folder: Path, *, head_digest: str | None = None) -> Iterator[dict[str, np.ndarray]]:
    """Yield the prototypes of the labels that were added, by label, to be changed, and write them at the block's end.

    Nobody else changes them meanwhile. With the digest of its `head.npz`, the classifier must still be the same.

    Raises:
        ClassifierError: as `read_files` does, or another classifier has taken its place.
        InputError: others hold the folder for long.
    """
    with _opened_folder(folder), one_writer(folder, option="--model", wait_seconds=ADDING_SECONDS):
        about, enrolled = _of_one_version(folder, _read_labels)
        if head_digest not in (None, about["sha256"][HEAD_NAME]):
            raise ClassifierError(
                f"{printable(folder)} was trained anew since it was loaded. Enroll the label again, for what is there "
                "now."
            )
        yield enrolled
        _write_enrolled(folder, enrolled, about["sha256"][HEAD_NAME])


def remove_enrolled(folder: Path, label: str) -> None:
    """Remove an enrolled label from a classifier's folder; raise InputError if it was not enrolled."""
    with changing_enrolled(folder) as enrolled:
        if label not in enrolled:
            known = ", ".join(map(printable, enrolled)) or "none is"
            raise InputError(f"--remove: {printable(label)} is not enrolled ({known}). Name one that is.")
        del enrolled[label]


def folder_version(folder: Path) -> tuple[int, ...]:
    """Return numbers that change when the folder is replaced or a file in it is; none where there is no folder."""
    numbers: list[int] = []
    for path in (folder, folder / ABOUT_NAME):
        with contextlib.suppress(OSError):
            found = os.stat(path)
            numbers += [found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns]
    return tuple(numbers)


def graph_names(members: int) -> list[str]:
    """Return the names of the frozen networks of so many members."""
    return [GRAPH_NAME, *(f"backbone_{number}.pb" for number in range(2, members + 1))]


def pack_head(head: Head) -> dict[str, np.ndarray]:
    """Return the arrays of a head by their names in the file."""
    arrays = {"weights": head.weights, "biases": head.biases}
    if head.hidden:
        arrays |= {f"hidden_{name}": array for name, array in vars(head.hidden).items() if array is not None}
    return arrays


def unpack_head(arrays: Mapping[str, np.ndarray]) -> Head:
    """Rebuild what `pack_head` gave."""
    hidden: Head | Distance | None = None
    if "hidden_weights" in arrays:
        hidden = Head(arrays["hidden_weights"], arrays["hidden_biases"])
    elif "hidden_mean" in arrays:
        hidden = Distance(*(arrays[f"hidden_{field.name}"] for field in dataclasses.fields(Distance)))
    return Head(arrays["weights"], arrays["biases"], hidden)


def read_metrics(folder: Path) -> dict[str, Any]:
    """Return the scores of the training run, by `chunk` and `recording` among others; none if there are none.

    Raises:
        ClassifierError: as `read_files` does, or the file is damaged.
    """
    return _of_one_version(folder, _read_metrics)


def of_demonstration(folder: Path) -> Path | None:
    """Return the classifier folder that `audionet demo` has made beside another, if it has."""
    demo = folder.parent / "demo" / folder.name
    return demo if (demo / ABOUT_NAME).is_file() else None


def check_checksum(path: Path, content: bytes | mmap.mmap, about: Mapping[str, Any]) -> None:
    """Raise ClassifierError unless a file has the checksum that `classifier.json` has for it, if it has one."""
    expected = about["sha256"].get(path.name)
    if expected and hashlib.sha256(content).hexdigest() != expected:
        raise ClassifierError(f"{printable(path)} is damaged: its checksum is wrong. {TRAIN_AGAIN}")


@contextmanager
def _opened_folder(folder: Path) -> Iterator[int]:
    try:
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        demo = of_demonstration(folder)
        such_as = f", such as that of the demonstration, {printable(demo)}" if demo else ""
        raise NoClassifierError(
            f"--model: there is no classifier at {printable(folder)}. Train one first: make train, or name another "
            f"folder{such_as}."
        ) from error
    except OSError as error:
        raise _unreadable(folder, error) from error
    try:
        yield directory
    finally:
        os.close(directory)


def _of_one_version(folder: Path, read: Callable[[int, Path], Content]) -> Content:
    """Return what is read of a folder, again if another one takes its place meanwhile."""
    misses = 0
    while True:
        recover_folder(folder)
        try:
            with _opened_folder(folder) as directory:
                try:
                    return read(directory, folder)
                except ClassifierError:
                    if is_at(directory, folder):
                        raise
        except NoClassifierError:
            misses += 1  # between two renames of a writer it is not there for a moment
            if misses == MOST_MISSES:
                raise


def _read_all(directory: int, folder: Path) -> ClassifierFiles:
    with ExitStack() as opened:
        # All at once: what is open stays as it is, even when the folder is removed.
        files = {
            name: _open(directory, folder, name, opened)
            for name in (ABOUT_NAME, *graph_names(MOST_MEMBERS), HEAD_NAME, FINGERPRINTS_NAME, ENROLLED_NAME)
        }
        about = _checked_about(folder, files[ABOUT_NAME])
        names = [*graph_names(len(described_members(about))), HEAD_NAME]
        *graphs, head = (_checked_content(folder, name, files[name], about) for name in names)
        with named_faults(folder / HEAD_NAME, TRAIN_AGAIN):
            arrays = read_arrays(head)
            check_head_arrays(arrays, about)
        enrolled = _checked_enrolled(folder / ENROLLED_NAME, files[ENROLLED_NAME], about)
        return ClassifierFiles(about, tuple(graphs), arrays, enrolled, _mapped(files[FINGERPRINTS_NAME]))


def _read_labels(directory: int, folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with ExitStack() as opened:
        about_file, enrolled_file = (_open(directory, folder, name, opened) for name in (ABOUT_NAME, ENROLLED_NAME))
        about = _checked_about(folder, about_file)
        return about, _checked_enrolled(folder / ENROLLED_NAME, enrolled_file, about)


def _read_metrics(directory: int, folder: Path) -> dict[str, Any]:
    path = folder / METRICS_NAME
    with ExitStack() as opened:
        about_file, file = (_open(directory, folder, name, opened) for name in (ABOUT_NAME, METRICS_NAME))
        if file is None:
            return {}
        about, content = _checked_about(folder, about_file), _content(path, file)
    check_checksum(path, content, about)
    with named_faults(path, TRAIN_AGAIN):
        metrics: dict[str, Any] = parse_json(content)
        check_metrics(metrics)
    return metrics


def _open(directory: int, folder: Path, name: str, opened: ExitStack) -> BinaryIO | None:
    """Open a file of the folder, if it is there; a pipe or a device could be waited on for ever."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(folder / name, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ClassifierError(
            f"{printable(folder / name)} is damaged: expected a file, received something else. {TRAIN_AGAIN}"
        )
    return opened.enter_context(os.fdopen(descriptor, "rb"))


def _checked_about(folder: Path, file: BinaryIO | None) -> dict[str, Any]:
    path = folder / ABOUT_NAME
    if file is None:
        kind = (read_mark(folder) or {}).get("kind", "something else")
        raise ClassifierError(
            f"--model: expected a classifier folder with {ABOUT_NAME}, but {printable(folder)} holds {kind}. Name the "
            "folder that audionet train wrote."
        )
    with named_faults(path, TRAIN_AGAIN):
        about = parse_json(_content(path, file))
    if not isinstance(about, dict) or about.get("format") != (FORMAT_OF_SEVERAL if "members" in about else FORMAT):
        found = about.get("format") if isinstance(about, dict) else None
        raise ClassifierError(
            f"{printable(folder)} is a classifier of format {brief(repr(found))}; this version reads format "
            f"{FORMAT}. {TRAIN_AGAIN}"
        )
    with named_faults(path, TRAIN_AGAIN):
        check_about(about)
    return about


def _checked_content(folder: Path, name: str, file: BinaryIO | None, about: Mapping[str, Any]) -> bytes:
    if file is None:
        raise ClassifierError(f"{printable(folder)} lacks {name}. {TRAIN_AGAIN}")
    content = _content(folder / name, file)
    check_checksum(folder / name, content, about)
    return content


def _content(path: Path, file: BinaryIO) -> bytes:
    try:
        return file.read()
    except OSError as error:
        raise _unreadable(path, error) from error


def _mapped(file: BinaryIO | None) -> bytes | mmap.mmap | None:
    """Return the content of a file, read when it is asked for: it may be large, and most never ask."""
    if file is None:
        return None
    with contextlib.suppress(ValueError, OSError):  # of an empty file, and of file systems that map none
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return file.read()


def _checked_enrolled(path: Path, file: BinaryIO | None, about: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if file is None:
        return {}
    with named_faults(path, ENROLL_AGAIN):
        arrays = read_arrays(_content(path, file))
        expected = {"labels": ("u", ("bytes",)), "prototypes": ("f", ("enrolled labels", "bottleneck"))}
        dimension = sum(member.about["backbone"]["dimension"] for member in described_members(about))
        check_shapes(arrays, expected, {"bottleneck": dimension})
        names, prototypes = parse_json(arrays["labels"].tobytes()), arrays["prototypes"]
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise ValueError("labels: expected a list of names")
        if len(names) != len(prototypes) or len({*names, *about["labels"]}) != len(names) + len(about["labels"]):
            raise ValueError("labels: expected one for each prototype, different from each other and the trained ones")
        if "classifier" in arrays and arrays["classifier"].tobytes() != about["sha256"][HEAD_NAME].encode():
            raise ValueError("it belongs to another classifier")
    return dict(zip(names, prototypes, strict=True))


def _write_enrolled(folder: Path, enrolled: Mapping[str, np.ndarray], head_digest: str) -> None:
    if not enrolled:
        (folder / ENROLLED_NAME).unlink(missing_ok=True)
        return
    file = io.BytesIO()
    names, digest = (np.frombuffer(text.encode(), np.uint8) for text in (json.dumps(list(enrolled)), head_digest))
    np.savez(file, labels=names, classifier=digest, prototypes=np.stack(list(enrolled.values())))
    write_bytes(folder / ENROLLED_NAME, file.getvalue())


@contextmanager
def named_faults(path: Path, remedy: str) -> Iterator[None]:
    """Raise ValueError about what a file holds as ClassifierError, which names the file and what to do."""
    try:
        yield
    except ValueError as error:
        raise ClassifierError(f"{printable(path)} is damaged: {brief(error)}. {remedy}") from error


def _unreadable(path: Path, error: OSError) -> ClassifierError:
    return ClassifierError(
        f"{printable(path)} cannot be read ({error.strerror}). Check its permissions and its disk, and try again."
    )
