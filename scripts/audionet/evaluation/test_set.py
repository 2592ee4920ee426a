"""Test folders: find their recordings.

    audio_dir/alice/monday.mp3      a recording of the label alice
    audio_dir/_unknown_/radio.mp3   one of no label; so is any folder that the classifier does not know
    negatives/...                   more of no label, at any depth

Folders of pictures are read alike, a recording for the pictures of its chunks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from audionet.audio import decoding
from audionet.data.groups import NO_HASH
from audionet.data.listed_clips import Listing, clip_groups, read_clips
from audionet.errors import InputError, PictureError
from audionet.features.image_io import is_picture, read_about, read_picture_file
from audionet.files import UNKNOWN_LABEL, files_below, labelled_files, printable


@dataclass(frozen=True)
class Source:
    """A recording of a test folder: one file of sound, or the pictures of its chunks."""

    recording: str  # its name, such as `alice/monday.mp3`
    label: str  # its folder
    paths: tuple[Path, ...]  # the file of sound, or the pictures in order
    offsets_seconds: tuple[float, ...] = ()  # where in the recording each picture begins; empty for a file of sound
    levels_dbfs: tuple[float, ...] = ()  # how loud each picture's chunk is; empty for sound or where not known
    group: str = ""  # what intervals take it together with, by default the recording alone
    is_closed: bool = False  # a folder that cannot be read, of which nobody knows what it holds

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.recording)


def find_test_sources(test_dir: Path, *, group_by: str = "recording") -> list[Source]:
    """Return the recordings of a test folder, or its pictures where it holds those, in groups as `group_rule` says.

    Raises:
        InputError: it holds neither in any label folder, or `group_by` cannot be applied.
    """
    found = _picture_sources(test_dir, option="--test_dir") or find_audio(test_dir)
    return _grouped(found, group_by, read_clips(test_dir))


def find_either(folder: Path) -> list[Source]:
    """Return the recordings of a folder, or its pictures where it holds those; as `find_sources` raises errors."""
    return _picture_sources(folder, option="--image_dir") or find_audio(folder)


def find_sources(
    *, audio_dir: Path | None, image_dir: Path | None, negatives: Path | None, group_by: str = "recording"
) -> list[Source]:
    """Return the recordings of a test folder, of sound or else of pictures, and those of no label.

    The former are in groups as `group_rule` says.

    Raises:
        InputError: a folder is not there or holds nothing of its kind, or `group_by` cannot be applied.
    """
    sources = find_audio(audio_dir) if audio_dir else find_pictures(image_dir) if image_dir else []
    listed = read_clips(image_dir) if image_dir else {}
    return _grouped(sources, group_by, listed) + (find_negatives(negatives) if negatives else [])


def find_audio(audio_dir: Path) -> list[Source]:
    """Return the recordings of each label folder.

    Raises:
        InputError: there is no label folder, or none holds a recording.
    """
    unreadable: dict[Path, str] = {}
    found = labelled_files(audio_dir, option="--audio_dir", wanted=decoding.is_recording, failures=unreadable)
    sources = [Source(recording, label, (path,)) for label, files in found.items() for recording, path in files.items()]
    return _unreadable_sources(unreadable, audio_dir) + _checked(sources, audio_dir, "--audio_dir", "recording")


def find_negatives(negatives: Path) -> list[Source]:
    """Return the recordings below a folder, at any depth, as those of no label.

    Raises:
        InputError: it is no folder, or holds no recording.
    """
    if not negatives.is_dir():
        raise InputError(
            f"--negatives: expected a folder of recordings of no label, but {printable(negatives)} is none."
        )
    unreadable: dict[Path, str] = {}
    found = files_below(negatives, wanted=decoding.is_recording, failures=unreadable)
    sources = [Source(f"{UNKNOWN_LABEL}/{name}", UNKNOWN_LABEL, (path,)) for name, path in found.items()]
    return _unreadable_sources(unreadable, negatives, label=UNKNOWN_LABEL) + _checked(
        sources, negatives, "--negatives", "recording"
    )


def find_pictures(image_dir: Path) -> list[Source]:
    """Return the pictures of each label folder, by the recording that they were made of.

    Raises:
        InputError: there is no label folder, or none holds a picture.
    """
    return _checked(_picture_sources(image_dir, option="--image_dir"), image_dir, "--image_dir", "picture")


def _picture_sources(image_dir: Path, *, option: str) -> list[Source]:
    found: dict[tuple[str, str], list[tuple[float, Path, float | None]]] = {}
    unreadable: dict[Path, str] = {}
    for label, files in labelled_files(image_dir, option=option, wanted=is_picture, failures=unreadable).items():
        for name, path in files.items():
            about = _about(path)
            recording = about.get("recording") or name.rpartition(NO_HASH)[0] or name
            found.setdefault((recording, label), []).append(
                (about.get("offset_seconds", 0.0), path, about.get("level_dbfs"))
            )
    sources = []
    for (recording, label), pictures in found.items():
        offsets, paths, levels = zip(*sorted(pictures), strict=True)
        sources.append(Source(recording, label, paths, offsets, () if None in levels else levels))
    return sources and _unreadable_sources(unreadable, image_dir) + sources


def _unreadable_sources(folders: Iterable[Path], root: Path, *, label: str | None = None) -> list[Source]:
    """Return folders that cannot be read as recordings that cannot be, so that whoever scores them says why."""
    return [
        Source(str(name), label or name.parts[0], (root / name,), (0.0,), is_closed=True)
        for name in (folder.relative_to(root) for folder in folders)
    ]


def _about(path: Path) -> dict[str, Any]:
    try:
        return read_about(read_picture_file(path))
    except PictureError:
        return {}  # whoever scores it says why it cannot be


def _grouped(sources: Sequence[Source], group_by: str, listed: Mapping[str, Listing]) -> list[Source]:
    rule = clip_groups(group_by, listed)
    return [source if source.is_closed else replace(source, group=rule(source.recording)) for source in sources]


def _checked(sources: list[Source], folder: Path, option: str, noun: str) -> list[Source]:
    if not sources:
        raise InputError(f"{option}: {printable(folder)} holds no {noun}. Put some there, or name another folder.")
    return sources
