"""Many files, one load: find the clips that a user means, as they come, and score them side by side, in order.

Nothing here waits for the last file before the first is scored, and nothing grows with how many there are.
"""

import codecs
import glob
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from audionet.audio import decoding
from audionet.console import log, progress_bar
from audionet.distributed import cluster
from audionet.distributed.storage import find_files, is_remote, local_copy, named
from audionet.errors import AudioNetError, InputError, RecordingError
from audionet.features.image_io import is_picture
from audionet.features.recipes import Recipe
from audionet.files import in_sorted_runs, printable, sha256_of, walk_files
from audionet.models.answer import Answer
from audionet.parallel import run_groups

NAMES_AT_ONCE = 4096  # of a folder: as many are sorted, and more would keep the first ones waiting
CLIPS_IN_GROUP = 4  # that a process of a cluster is handed at once
CLIPS_AHEAD = 2  # under way for each thread, so that none waits for the slowest
LIST_BYTES = 1 << 16
GLOB_CHARACTERS = frozenset("*?[")

Result = TypeVar("Result")


class Scorer(Protocol):
    """What scores a file: a classifier folder or a frozen graph."""

    @property
    def recipe(self) -> Recipe | None:
        """How sound becomes pictures, or None for pictures only."""

    def score(self, path: Path) -> Answer:
        """Score one file."""


def find_clips(paths: Sequence[Path], *, from_file: Path | None = None) -> Iterator[Path]:
    """Return the clips that a user means, looked up as they are asked for.

    A file stands for itself, `-` for wav on stdin, a folder for the recordings and pictures below it, and a name with
    `*`, `?` or `[` that no file has for all that match it. A recording beside a picture of the same name is the chunk
    that the picture shows, kept for listening, and passed over. A folder that holds no clip or that cannot be read
    is yielded itself, so that whoever scores it says why it cannot be.

    Args:
        paths: as on a command line.
        from_file: a list of more of them, one a line or with NUL bytes between; `-` for a list on stdin.

    Raises:
        InputError: one of `paths` or the list does not exist.
    """
    places = list(chain.from_iterable(map(_expanded, paths)))
    if from_file and from_file != decoding.STDIN and not from_file.is_file():
        raise InputError(f"--from_file: {printable(from_file)} is not there; expected a list of files, one a line.")
    listed = _listed(from_file) if from_file else iter(())
    return chain.from_iterable(map(_clips_in, chain(places, listed)))


def _expanded(path: Path) -> Iterable[Path]:
    path = named(path)
    if is_remote(path):
        return [path]
    if path == decoding.STDIN or os.path.lexists(path):
        return [path]
    if not GLOB_CHARACTERS & set(str(path)):
        raise InputError(f"{printable(path)} does not exist; expected a recording, a picture or a folder of them.")
    names = glob.iglob(str(path), recursive=True)  # noqa: PTH207 - Path.glob takes no pattern that begins with /
    first = next(names, None)
    if first is None:
        raise InputError(f"{printable(path)} matches nothing; expected recordings, pictures or folders of them.")
    return map(Path, in_sorted_runs(chain([first], names), key=str, at_once=NAMES_AT_ONCE))


def _listed(from_file: Path) -> Iterator[Path]:
    """Yield the names in a list, read as they are asked for."""
    is_stdin = from_file == decoding.STDIN
    with open(sys.stdin.fileno() if is_stdin else from_file, "rb", buffering=0, closefd=not is_stdin) as names:
        rest = names.read(LIST_BYTES).removeprefix(codecs.BOM_UTF8)
        separator = b"\0" if b"\0" in rest else b"\n"
        while rest:
            block = names.read(LIST_BYTES)
            *whole, rest = (rest + block + (b"" if block else separator)).split(separator)
            yield from (named(Path(os.fsdecode(name.rstrip(b"\r")))) for name in whole if name.strip())


def _clips_in(path: Path) -> Iterator[Path]:
    if is_remote(path):
        named_so = (
            [path] if decoding.is_recording(path) or is_picture(path) else find_files(path, option="--image").values()
        )
        yield from (file for file in named_so if decoding.is_recording(file) or is_picture(file))
        return
    if not os.path.isdir(path):  # noqa: PTH112 - the method raises an error for a name that is too long
        yield path
        return
    found_any = False
    unreadable: dict[Path, str] = {}
    for file in walk_files(path, at_once=NAMES_AT_ONCE, failures=unreadable):
        if is_picture(file) or (decoding.is_recording(file) and not file.with_suffix(".jpg").exists()):
            found_any = True
            yield file
    yield from unreadable
    if not found_any and not unreadable:
        yield path


def unique_name(clip: Path, names: dict[str, Path]) -> str:
    """Return a clip's name without suffix, with a digest behind it where another clip in `names` has the same."""
    name = "stdin" if clip == decoding.STDIN else clip.stem
    if names.setdefault(name, clip) != clip:
        name = f"{name}-{sha256_of(str(clip).encode('utf-8', 'surrogateescape'))[:8]}"
    return name


class MismatchWarnings:
    """Logs, once for each kind, that recordings have a lower rate or are shorter than the training data.

    Args:
        recipe: of the classifier; None for one of pictures, which is never warned about.
    """

    def __init__(self, recipe: Recipe | None):
        self._recipe = recipe
        self._logged: set[str] = set()

    def check(self, clip: Path) -> None:
        """Compare a recording's rate and length, as far as its header tells them, with the recipe's."""
        form = (
            decoding.form_of(clip) if self._recipe and decoding.is_recording(clip) and len(self._logged) < 2 else None
        )
        if form is None or self._recipe is None:
            return
        rate_hz, seconds = form
        if rate_hz < self._recipe.sample_rate_hz:
            self._log_once(
                "rate",
                f"{printable(clip)} has {rate_hz} samples a second and the classifier was trained at "
                f"{self._recipe.sample_rate_hz}: it is resampled, and what it lacks above {rate_hz / 2:.0f} Hz may "
                "cost accuracy.",
            )
        if seconds < self._recipe.chunk_seconds:
            self._log_once(
                "length",
                f"{printable(clip)} is {seconds:.1f} s long and the classifier was trained on "
                f"{self._recipe.chunk_seconds:g} s: it is repeated until it fills them.",
            )

    def _log_once(self, kind: str, message: str) -> None:
        if kind not in self._logged:
            self._logged.add(kind)
            log(f"{message} (Shown once.)")


def score_all(
    scorer: Scorer, clips: Iterable[Path], *, jobs: int | None = None
) -> Iterator[tuple[Path, Answer | AudioNetError]]:
    """Yield each clip with its answer, or with the reason why there is none, as `side_by_side` does.

    Args:
        scorer: a classifier.
        clips: what `find_clips` gives.
        jobs: how many to score side by side, by default one for each core.
    """
    return side_by_side(scorer.score, clips, recipe=scorer.recipe, description="Labelling", jobs=jobs)


def side_by_side(
    work: Callable[[Path], Result],
    clips: Iterable[Path],
    *,
    recipe: Recipe | None,
    description: str,
    total: int | None = None,
    jobs: int | None = None,
) -> Iterator[tuple[Path, Result | AudioNetError]]:
    """Yield each clip, in order, with what work makes of it or with the reason why it cannot; none stops another.

    Args:
        work: a classifier's method that takes a file.
        clips: files, looked up as they are needed.
        recipe: of the classifier, which clips that do not fit are warned about.
        description: what is done, for the progress bar.
        total: how many clips there are, if that is known.
        jobs: how many to work on side by side, by default one for each core.
    """
    mismatches = MismatchWarnings(recipe)
    if cluster.is_connected():
        yield from _on_cluster(work, clips, mismatches, description=description, total=total, jobs=jobs)
        return
    jobs = jobs or os.cpu_count() or 1
    waiting = iter(clips)
    under_way: deque[tuple[Path, Future[Result | AudioNetError]]] = deque()
    with progress_bar(total=total, description=description, unit="files") as bar, ThreadPoolExecutor(jobs) as pool:
        try:
            while True:
                for clip in islice(waiting, CLIPS_AHEAD * jobs - len(under_way)):
                    under_way.append((clip, pool.submit(_try, work, clip, mismatches)))
                if not under_way:
                    return
                clip, future = under_way.popleft()
                yield clip, future.result()
                bar.update()
        finally:
            pool.shutdown(cancel_futures=True)


def _try(
    work: Callable[[Path], Result], clip: Path, mismatches: MismatchWarnings | None = None
) -> Result | AudioNetError:
    try:
        if os.path.isdir(clip):  # noqa: PTH112 - as above
            return InputError(f"{printable(clip)} holds neither a recording nor a picture.")
        if mismatches and not is_remote(clip):
            mismatches.check(clip)
        with local_copy(clip) as copy:
            return work(copy)
    except AudioNetError as error:
        return error


@dataclass(frozen=True, eq=False)
class _Trying:
    """Work that processes of a cluster do, each with the network that it holds."""

    work: Callable[[Path], Any]

    def of_clip(self, clip: Path) -> Any:
        return _try(self.work, clip)


def _on_cluster(
    work: Callable[[Path], Result],
    clips: Iterable[Path],
    mismatches: MismatchWarnings,
    *,
    description: str,
    total: int | None,
    jobs: int | None,
) -> Iterator[tuple[Path, Result | AudioNetError]]:
    waiting = iter(clips)
    groups = iter(lambda: list(islice(waiting, CLIPS_IN_GROUP)), [])
    with progress_bar(total=total, description=description, unit="files") as bar:
        for group in run_groups(_Trying(work).of_clip, groups, jobs=jobs, in_order=True, holds_network=True):
            for clip, found in group:
                with suppress(AudioNetError):  # which is what was found, too
                    if not is_remote(clip):
                        mismatches.check(clip)
                yield clip, RecordingError(f"{printable(clip)}: {found}") if isinstance(found, str) else found
            bar.update(len(group))
