"""Folders of recordings become folders of pictures, and only what is new or changed is drawn again.

    audio_dir/alice/monday.mp3  ->  image_dir/alice/monday_00000.jpg   (and monday_00000.wav, for listening)
    audio_dir/alice/old/a.flac  ->  image_dir/alice/old/a_00000.jpg

or a data set as it is published, which `published_datasets` knows:

    audio_dir/audio/fold5/1.wav ->  image_dir/dog_bark/fold5/1_00000.jpg

or the clips that tables of labels name, which are cut out of recordings:

    3.2 s to 5.1 s of a.wav     ->  image_dir/wren/a_3.2-5.1_00000.jpg

Each jpg carries its recording, its offset and its recipe. A recording that is taken away takes its pictures with it;
one that cannot be read is set aside with its reason while the rest go on. The pictures that it has stay if they are
still those of its content, as far as one can tell: it may be back when a disk is mounted or a right is given.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path

from audionet.audio import decoding
from audionet.audio.measurements import CHUNK_STATS_VERSION, ChunkStats
from audionet.audio.sox_ffmpeg import check_effects
from audionet.console import log, progress_bar
from audionet.data.drawing import Drawer, OfSource
from audionet.data.drawn_recordings import (
    LEDGER_NAME,
    Made,
    Task,
    complete_rows,
    forget,
    kept_though_unreadable,
    unchanged,
)
from audionet.data.label_tables import read_labels, unlabelled_clips
from audionet.data.listed_clips import Clip, write_clips
from audionet.data.published_datasets import published_recordings
from audionet.distributed.storage import find_files, is_remote, named, stamp_of
from audionet.errors import InputError, PictureError
from audionet.features.image_io import is_picture, read_about, read_picture_file
from audionet.features.recipes import Recipe, find_recipe
from audionet.file_cache import FileCache
from audionet.files import (
    UNKNOWN_LABEL,
    digest_of,
    files_below,
    label_folders,
    labelled_files,
    mark_folder,
    one_writer,
    printable,
    read_mark,
    walk_files,
)
from audionet.parallel import run_groups
from audionet.scratch import remove_leftovers

KIND = "pictures"
LONGEST_STEM_BYTES = 200  # leaves room for the chunk's number within the 255 bytes that file systems allow
GROUP_BYTES = 4_000_000  # small recordings go to a process together, since handing over costs more than drawing one
MOST_IN_GROUP = 64
ORPHAN_SECONDS = 10.0  # more than the processes of a killed run need to end
ANOTHER_RUN_SECONDS = 3600.0  # that a training waits for another that draws the same recordings


@dataclass
class PreprocessingResult:
    """What `make_pictures` did. The recordings made, kept and failed add up to those found."""

    recordings_made: int = 0
    recordings_kept: int = 0
    failures: dict[str, str] = field(default_factory=dict)  # reason by recording, or by label for a label without any
    chunks: Counter[str] = field(default_factory=Counter)  # pictures by label, those kept included
    recordings: Counter[str] = field(default_factory=Counter)  # good recordings by label
    sound_seconds: dict[str, float] = field(default_factory=dict)  # seconds of sound in them by label
    # What `measure_chunk` returned for each chunk of them, by recording.
    chunk_stats: dict[str, list[ChunkStats]] = field(default_factory=dict)
    pictures_removed: int = 0


def make_pictures(
    audio_dir: Path,
    image_dir: Path,
    *,
    recipe: Recipe,
    label: Path | None = None,
    labels: Path | None = None,
    unlabelled: bool = False,
    jobs: int | None = None,
    keep_wav: bool = True,
    wait_seconds: float = ORPHAN_SECONDS,
) -> PreprocessingResult:
    """Bring `image_dir` up to date with the recordings in `audio_dir`.

    Args:
        audio_dir: a folder with one subfolder a label, each with recordings at any depth; or a published data set. A
            folder may be in a store, by its URL.
        image_dir: a folder of ours, or a new one.
        recipe: how pictures look. Pictures of another recipe are drawn again.
        label: the only subfolder to take, by default all.
        labels: a table of labels, or a folder of them, as `label_tables.read_labels` takes it: clips are cut where it
            says, whatever the folders are called.
        unlabelled: whether what lies between these clips is taken too, as unknown: of none of the labels.
        jobs: how many processes to use, by default one a core.
        keep_wav: whether each picture's chunk is written beside it as wav.
        wait_seconds: how long to wait for another run that writes to `image_dir`.

    Raises:
        InputError: `audio_dir` has no label folder, `image_dir` holds something that is not ours, or another run writes
            to it; or the table of labels cannot be used.
    """
    check_effects(recipe.sox_effects)
    audio_dir = named(audio_dir)
    result = PreprocessingResult()
    if labels:
        clips = _listed_clips(audio_dir, labels, recipe, result.failures, unlabelled=unlabelled)
    else:
        clips = published_recordings(audio_dir) if label is None else {}
    recordings = _by_label(clips) if clips else _list_recordings(audio_dir, label, result.failures)
    with one_writer(image_dir, option="--image_dir", wait_seconds=wait_seconds):
        _mark_as_pictures(image_dir, audio_dir, recipe, labels)
        _remove_scratch_files(image_dir)
        context = f"{recipe.digest} wav={keep_wav} notes={CHUNK_STATS_VERSION}"
        try:
            with FileCache(image_dir / LEDGER_NAME, context=context) as cache:
                plan = {task.recording: task for task in _plan(recordings, clips, result.failures)}
                made = _bring_up_to_date(cache, result, plan, audio_dir, Drawer(image_dir, recipe, keep_wav), jobs)
        except BaseException:
            _remove_scratch_files(image_dir)  # of processes that were killed by the error
            raise
        has_more = bool(labels) or any(clip.split or clip.group for clip in clips.values())
        write_clips(image_dir, (clip for recording, clip in clips.items() if has_more and recording in made))
    _count(result, made)
    return result


def _listed_clips(
    audio_dir: Path, labels: Path, recipe: Recipe, failures: dict[str, str], *, unlabelled: bool
) -> dict[str, Clip]:
    """Return the clips that tables name, by name, and add rows that cannot be used to `failures`.

    Raises:
        InputError: there is no such table, or nothing in it can be used.
    """
    if is_remote(audio_dir):
        raise InputError("--labels: expected recordings on this machine, received a URL. Copy them here first.")
    table = read_labels(labels, audio_dir)
    failures |= table.faults
    for note in table.notes:
        log(f"Note: {note}")
    if unlabelled:
        table.clips += unlabelled_clips(table.clips, least_seconds=recipe.chunk_seconds, label=UNKNOWN_LABEL)
    return {clip.recording: clip for clip in table.clips}


def _by_label(clips: Mapping[str, Clip]) -> dict[str, dict[str, Path]]:
    by_label: dict[str, dict[str, Path]] = {}
    for recording, clip in clips.items():
        by_label.setdefault(clip.label, {})[recording] = clip.source
    return by_label


def _bring_up_to_date(
    cache: FileCache,
    result: PreprocessingResult,
    plan: Mapping[str, Task],
    audio_dir: Path,
    drawer: Drawer,
    jobs: int | None,
) -> dict[str, Made]:
    """Draw what is new or changed, remove what is outdated, and return what was made of each recording."""
    on_disk = set(files_below(drawer.image_dir))
    complete = complete_rows(cache, on_disk, drawer.keep_wav)
    made, unread = unchanged(plan, complete, cache)
    result.recordings_kept = len(made)
    made |= kept_though_unreadable(complete, plan, unread, result.failures, audio_dir, cache)
    tasks = [task for task in plan.values() if task.recording not in made]
    forget(cache, cache.paths() - made.keys(), {task.recording: task.target for task in tasks})
    with closing(_draw_all(tasks, drawer, cache, jobs)) as groups:
        for group in groups:
            drawn = {task: one for task, one in group if not isinstance(one, str)}
            result.failures |= {task.recording: one for task, one in group if isinstance(one, str)}
            # At once, so that a killed run loses no group that was finished.
            cache.put((task.recording, task.stamp, asdict(one)) for task, one in drawn.items())
            result.recordings_made += len(drawn)
            made |= {task.recording: one for task, one in drawn.items()}
    expected = {jpg for one in made.values() for jpg, _ in one.outputs()}
    if tasks or any(name.endswith(".jpg") and name not in expected for name in on_disk):
        result.pictures_removed = _remove_outdated(drawer.image_dir, expected)
    if not drawer.keep_wav:
        for jpg in expected:
            (drawer.image_dir / jpg).with_suffix(".wav").unlink(missing_ok=True)
    return made


def recordings_in(image_dir: Path) -> dict[str, dict[str, Path]] | None:
    """Return the recordings of a folder, by label and by name, or None where it holds pictures, or neither.

    Raises:
        InputError: the folder has no label folder.
    """
    if published := published_recordings(image_dir):
        return _by_label(published)
    has_recordings = False
    for path in chain.from_iterable(
        walk_files(label, failures={}) for label in label_folders(image_dir, option="--image_dir")
    ):
        if is_picture(path):
            return None
        has_recordings = has_recordings or decoding.is_recording(path)
    return _list_recordings(image_dir, None, {}) if has_recordings else None


def pictures_of_recordings(
    audio_dir: Path, *, recipe: Recipe | None = None, cache_dir: Path
) -> tuple[Path, dict[str, str]]:
    """Return a folder with the pictures of recordings, which are drawn below `cache_dir` where they are not yet.

    Without a recipe, recordings are drawn by what their pictures are drawn by already, or by `default`. Nothing is
    written beside the recordings, but pictures that are in `data_image` there are taken.

    Returns:
        tuple: the folder, and the reason by recording for each that failed.

    Raises:
        InputError: the folder has no label folder.
    """
    target, drawn_by = _place_of(audio_dir, recipe, cache_dir)
    if recipe is None or (drawn_by is not None and drawn_by.name == recipe.name):
        recipe = drawn_by or find_recipe("default")
    return target, _made_of(audio_dir, target, recipe)


def unknown_pictures_for(folder: Path, recipe: Recipe | None, *, cache_dir: Path) -> tuple[Path, dict[str, str]]:
    """Return the folder of pictures of none of the labels: the folder itself, or what is made of its recordings.

    Recordings, at any depth, are drawn below `cache_dir`. Without a recipe, only ordinary pictures are of use.

    Returns:
        tuple: the folder, and the reason by recording for each that failed.
    """
    folder = folder.resolve()
    # A wav beside a jpg of its name is the sound of a picture that was drawn before.
    if recipe is None or all(path.with_suffix(".jpg").exists() for path in decoding.find_recordings(folder)):
        return folder, {}
    target = cache_dir / digest_of([str(folder), recipe.digest])
    return target, _made_of(folder.parent, target, recipe, label=folder)


def _made_of(audio_dir: Path, target: Path, recipe: Recipe, *, label: Path | None = None) -> dict[str, str]:
    """Draw recordings, and return the reason by recording for each that failed."""
    log(f"{printable(label or audio_dir)} holds recordings; their pictures are in {printable(target)}.")
    result = make_pictures(audio_dir, target, recipe=recipe, label=label, wait_seconds=ANOTHER_RUN_SECONDS)
    for recording, reason in result.failures.items():
        log(f"Set aside: {printable(recording)}: {reason}")
    return result.failures


def _place_of(audio_dir: Path, recipe: Recipe | None, cache_dir: Path) -> tuple[Path, Recipe | None]:
    """Return where the pictures of a folder of recordings belong, and the recipe of those that are there already.

    That is where they are: below `cache_dir`, or beside the recordings, where `make data` and earlier versions put
    them; or else the first place below `cache_dir` that is free, so that pictures of another recipe stay as they are.
    """
    folder, name = audio_dir.absolute().parent, audio_dir.absolute().name
    cached = f"{name}-{digest_of(str(audio_dir.resolve()))}"
    places = [cache_dir / cached, *([cache_dir / f"{cached}-{recipe.name}"] if recipe else [])]
    names = ["data_image", f"{name}_image", *([f"{name}_{recipe.name}_image"] if recipe else [])]
    for place in [*(folder / each for each in names), *places]:
        mark = read_mark(place) or {}
        if mark.get("audio_dir") == str(audio_dir.resolve()) and "recipe" in mark and "labels" not in mark:
            drawn_by = Recipe.from_json(mark["recipe"])
            if recipe is None or drawn_by.name == recipe.name:
                return place, drawn_by
    return next((place for place in places if not place.exists()), places[-1]), None


def _mark_as_pictures(image_dir: Path, audio_dir: Path, recipe: Recipe, labels: Path | None) -> None:
    mark = read_mark(image_dir)
    is_ours = mark is not None and mark["kind"] == KIND
    if image_dir.exists() and not is_ours and (not image_dir.is_dir() or any(image_dir.iterdir())):
        raise InputError(
            f"--image_dir: expected a new folder or one that this command made, but {printable(image_dir)} holds "
            "something else. Choose another folder."
        )
    about = {"audio_dir": str(audio_dir.resolve()), "recipe": recipe.to_json()}
    about |= {"labels": str(labels.resolve())} if labels else {}
    if mark is None or {key: mark[key] for key in (*about, "labels") if key in mark} != about:
        mark_folder(image_dir, KIND, **about)


def _list_recordings(audio_dir: Path, label: Path | None, failures: dict[str, str]) -> dict[str, dict[str, Path]]:
    """Return the file by recording's name, by label, whether the files are there or not; of one label or of all.

    Folders that cannot be read are added to `failures`, by their names.

    Raises:
        InputError: there is no label folder.
    """
    by_label: dict[str, dict[str, Path]] = {}
    if is_remote(audio_dir):
        for recording, path in find_files(audio_dir, option="--audio_dir").items():
            if decoding.is_recording(path) and len(path.relative_to(audio_dir).parts) > 1:
                by_label.setdefault(Path(recording).parts[0], {})[recording] = path
        return by_label
    unreadable: dict[Path, str] = {}
    wanted = decoding.is_recording
    if label is not None:
        by_label[label.name] = files_below(label, root=audio_dir, wanted=wanted, failures=unreadable)
    else:
        by_label = labelled_files(audio_dir, option="--audio_dir", wanted=wanted, failures=unreadable)
    failures |= {os.path.relpath(folder, audio_dir): reason for folder, reason in unreadable.items()}
    return by_label


def _plan(
    recordings: Mapping[str, Mapping[str, Path]], clips: Mapping[str, Clip], failures: dict[str, str]
) -> Iterator[Task]:
    """Yield what would have to be done if nothing had been done yet, and add what cannot be done to `failures`."""
    for label, files in recordings.items():
        if not files:
            failures.setdefault(label, "the label folder holds no recording; add some or remove the folder")
        names = set(map(Path, files))
        stems = Counter(name.with_suffix("") for name in names)
        for recording, path in files.items():
            # a.mp3 and a.wav are two recordings: where they meet in one folder, the suffix keeps them apart. So it does
            # for a.mp3.wav, whose stem could be taken for the first.
            stem = Path(recording).with_suffix("")
            named = Path(recording)
            name = named.name if stems[stem] > 1 or stem in names else named.stem
            try:
                stamp = stamp_of(path)
            except OSError as error:
                failures[recording] = f"it cannot be read ({error.strerror})"
                continue
            clip = clips.get(recording)
            span = None if clip is None or clip.is_whole else (clip.start_seconds, clip.end_seconds)
            yield Task(path, recording, str(named.with_name(_shortened(name))), stamp, span)


def _shortened(name: str) -> str:
    encoded = os.fsencode(name)
    if len(encoded) <= LONGEST_STEM_BYTES:
        return name
    return f"{encoded[: LONGEST_STEM_BYTES - 17].decode(errors='ignore')}-{hashlib.sha256(encoded).hexdigest()[:16]}"


def _remove_scratch_files(image_dir: Path) -> None:
    for folder, _, _ in os.walk(image_dir):
        remove_leftovers(Path(folder))


def _count(result: PreprocessingResult, made: Mapping[str, Made]) -> None:
    for recording, one in made.items():
        label = Path(recording).parts[0]
        result.recordings[label] += 1
        result.chunks[label] += len(one.chunks)
        result.sound_seconds[label] = result.sound_seconds.get(label, 0.0) + one.seconds
        result.chunk_stats[recording] = one.notes


def _draw_all(
    tasks: Sequence[Task], drawer: Drawer, cache: FileCache, jobs: int | None
) -> Generator[Sequence[tuple[Task, Made | str]], None, None]:
    """Yield groups of tasks, each task with what was made of it or why nothing was, in order of completion."""
    by_source: dict[Path, list[Task]] = {}
    for task in tasks:
        by_source.setdefault(task.source, []).append(task)
    sources = sorted(map(tuple, by_source.values()), key=_size_of, reverse=True)
    groups = _forgotten_first(_grouped(sources), cache)
    with progress_bar(total=sum(map(_size_of, sources)), description="Drawing", unit="B") as bar:
        for group in run_groups(drawer.draw, groups, jobs=jobs, in_order=False):
            yield [pair for one, made in group for pair in _by_task(one, made)]
            bar.update(sum(_size_of(of_source) for of_source, _ in group))


def _size_of(tasks: OfSource) -> int:
    return int(tasks[0].stamp[0])


def _by_task(tasks: OfSource, made: list[Made | str] | str) -> list[tuple[Task, Made | str]]:
    """Return each task with what was made of it; one reason is that of all."""
    return list(zip(tasks, [made] * len(tasks) if isinstance(made, str) else made, strict=True))


def _forgotten_first(groups: Iterable[Sequence[OfSource]], cache: FileCache) -> Iterator[Sequence[OfSource]]:
    """Forget what is about to be drawn over, in case that the run is killed meanwhile."""
    for group in groups:
        cache.remove(task.recording for of_source in group for task in of_source)
        yield group


def _grouped(sources: Sequence[OfSource]) -> list[list[OfSource]]:
    groups: list[list[OfSource]] = []
    room = 0
    for tasks in sources:
        if room < _size_of(tasks) or len(groups[-1]) >= MOST_IN_GROUP:
            groups.append([])
            room = GROUP_BYTES
        groups[-1].append(tasks)
        room -= _size_of(tasks)
    return groups


def _is_drawn(path: Path) -> bool:
    try:
        return "recording" in read_about(read_picture_file(path))
    except PictureError:
        return False


def _remove_outdated(image_dir: Path, expected: set[str]) -> int:
    """Remove pictures of ours whose recording or chunk is gone; what a person put there stays."""
    removed = 0
    for name, path in files_below(image_dir).items():
        if path.suffix != ".jpg" or name in expected:
            continue
        if _is_drawn(path):
            path.with_suffix(".wav").unlink(missing_ok=True)
            path.unlink()
            removed += 1
    for folder, _, _ in os.walk(image_dir, topdown=False):
        if Path(folder) != image_dir and not os.listdir(folder):
            os.rmdir(folder)
    return removed
