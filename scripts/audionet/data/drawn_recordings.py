"""What was drawn in a folder of pictures: of which content of which recording its pictures are.

    image_dir/ledger.sqlite      alice/monday.mp3 -> stamp of the file, digest of its content, names of its pictures

A recording whose stamp is as it was is not read; one whose content is as it was is not drawn again. A recording is
forgotten before its pictures are written over, so that whatever a killed run leaves is drawn again.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import InstanceOf, TypeAdapter

from audionet.audio.measurements import ChunkStats
from audionet.distributed.storage import is_remote, local_copy
from audionet.errors import RecordingError
from audionet.file_cache import FileCache, FileStamp
from audionet.json_files import validated
from audionet.regular_files import open_regular

LEDGER_NAME = "ledger.sqlite"


@dataclass(frozen=True)
class Task:
    """A recording, and what its pictures are to be called."""

    source: Path
    recording: str  # relative to audio_dir
    target: str  # relative to image_dir, without the chunk's number and suffix
    stamp: FileStamp
    span: tuple[float, float | None] | None = None  # start and end in seconds of a clip; None for all of the recording


@dataclass(frozen=True)
class Made:
    """What was made of a recording, as the cache holds it."""

    target: InstanceOf[str]  # it may hold what is no Unicode, as names of files may
    chunks: list[int]
    seconds: float
    notes: list[ChunkStats]
    sha256: str = ""  # of the recording; earlier versions did not keep it
    unreadable: str = ""  # why the recording could not be read again, if so

    def outputs(self) -> list[tuple[str, str]]:
        """Return the names of each chunk's jpg and wav below image_dir."""
        return [output_names(self.target, index) for index in self.chunks]


_MADE = TypeAdapter(Made)


def output_names(target: str, index: int) -> tuple[str, str]:
    """Return the names of a chunk's jpg and wav below image_dir, of a recording whose pictures are called so."""
    return f"{target}_{index:05d}.jpg", f"{target}_{index:05d}.wav"


def read_chunk_stats(image_dir: Path) -> dict[str, list[ChunkStats]]:
    """Return the statistics of chunks by recording, taken when `image_dir` was made; empty for ordinary pictures."""
    return {recording: made.notes for recording, made in _read_made(image_dir).items() if made.notes}


def read_unreadable(image_dir: Path) -> dict[str, str]:
    """Return the reason by recording for each that could not be read again when `image_dir` was brought up to date.

    Its pictures are older than the others, and those of its content as it was.
    """
    return {recording: made.unreadable for recording, made in _read_made(image_dir).items() if made.unreadable}


def _read_made(image_dir: Path) -> dict[str, Made]:
    made: dict[str, Made] = {}
    if (image_dir / LEDGER_NAME).is_file():
        with FileCache(image_dir / LEDGER_NAME) as cache:
            for recording, value in cache.values().items():
                with suppress(ValueError):
                    made[recording] = validated(_MADE, value)
    return made


Rows = dict[str, tuple[FileStamp, Made]]
"""What was made of each recording, and from which file."""


def complete_rows(cache: FileCache, on_disk: set[str], keep_wav: bool) -> Rows:
    """Return what was made of each recording, and from which file, if all of it is still there."""
    rows: Rows = {}
    for recording, (stamp, value) in cache.items().items():
        try:
            made = validated(_MADE, value)
        except ValueError:
            continue  # nobody knows what it stands for, so that the recording is drawn again
        if all(jpg in on_disk and (wav in on_disk or not keep_wav) for jpg, wav in made.outputs()):
            rows[recording] = (stamp, made)
    return rows


def unchanged(plan: Mapping[str, Task], complete: Rows, cache: FileCache) -> tuple[dict[str, Made], dict[str, str]]:
    """Return what was made of recordings whose content is what it was, and why others of them cannot be read.

    Those whose stamp is another are read. What was made by earlier versions, which did not keep the content's digest,
    is out of date: it may be of another content, and drawing it again gives the same bytes if it is not.
    """
    unchanged = {}
    to_read = []
    for recording, task in plan.items():
        stamp, made = complete.get(recording, (None, None))
        if made is None or made.target != task.target:
            continue
        if stamp == task.stamp:
            unchanged[recording] = made
        elif made.sha256:
            to_read.append(recording)
    unread = {}
    with ThreadPoolExecutor() as pool:
        sources = [plan[recording].source for recording in to_read]
        for recording, digest in zip(to_read, pool.map(_digest_or_error, sources), strict=True):
            made = complete[recording][1]
            if isinstance(digest, OSError):
                unread[recording] = f"it cannot be read ({digest.strerror})"
            elif digest == made.sha256:
                unchanged[recording] = made
    cache.put(
        (recording, plan[recording].stamp, asdict(replace(made, unreadable="")))
        for recording, made in unchanged.items()
        if made.unreadable or complete[recording][0] != plan[recording].stamp
    )
    return unchanged, unread


def kept_though_unreadable(
    complete: Rows,
    plan: Mapping[str, Task],
    unread: Mapping[str, str],
    failures: dict[str, str],
    audio_dir: Path,
    cache: FileCache,
) -> dict[str, Made]:
    """Return what was made of recordings that are out of reach for now, mark them, and add them to `failures`."""
    reasons = dict(unread)
    in_folder: Counter[tuple[str, str]] = Counter()
    for recording in complete.keys() - plan.keys():
        if recording in failures:
            reasons[recording] = failures[recording]
        elif place := _out_of_reach(audio_dir, Path(recording).parent):
            reasons[recording] = place[1]
            in_folder[place] += 1
    kept = {recording: replace(complete[recording][1], unreadable=reason) for recording, reason in reasons.items()}
    cache.put(
        (recording, complete[recording][0], asdict(made))
        for recording, made in kept.items()
        if made != complete[recording][1]
    )
    failures |= {
        recording: f"{reason}; its pictures are kept"
        for recording, reason in reasons.items()
        if recording in unread or recording in failures
    }
    for (folder, reason), count in in_folder.items():
        failures[folder] = (
            f"{reason}; the pictures of {count} recordings in it are kept. Mount its disk or give the right to read "
            "it; if they are gone for good, remove the folder"
        )
    return kept


def _out_of_reach(audio_dir: Path, folder: Path) -> tuple[str, str] | None:
    """Return the folder, that one or one above, of which nobody can tell what is in it, and why; None if all can."""
    if is_remote(audio_dir):  # which was listed as a whole, or nothing was done
        return None
    for above in [*reversed(folder.parents), folder][1:]:
        place = audio_dir / above
        if not os.path.lexists(place):
            return None
        try:
            with os.scandir(place) as listing:
                is_empty = next(listing, None) is None
        except OSError as error:
            return str(above), f"the folder cannot be read ({error.strerror})"
        if is_empty:  # as is the place of a disk that is not mounted
            return str(above), "the folder is empty"
    return None


def _digest_or_error(path: Path) -> str | OSError:
    try:
        with local_copy(path) as copy:
            return digest_of_file(copy)
    except OSError as error:
        return error
    except RecordingError as error:  # it cannot be fetched
        return OSError(0, str(error))


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def forget(cache: FileCache, outdated: set[str], targets: Mapping[str, str]) -> None:
    """Forget recordings that are gone, and those that are to be drawn under another name.

    Others may be drawn over their pictures. The rest are forgotten when their turn comes.
    """
    values = cache.values() if outdated else {}
    drawn_as = {recording: value.get("target") for recording, value in values.items() if isinstance(value, dict)}
    cache.remove(name for name in outdated if name not in targets or drawn_as.get(name) != targets[name])
