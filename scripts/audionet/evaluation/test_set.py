"""Test folders: find their recordings, score them, and score them again under other conditions.

    audio_dir/alice/monday.mp3      a recording of the label alice
    audio_dir/_unknown_/radio.mp3   one of no label; so is any folder that the classifier does not know
    negatives/...                   more of no label, at any depth

Recordings are read and drawn by processes side by side, and scored in batches. One that cannot be read is set aside
with its reason. Whether one was in training is found by its pictures, which are the same whatever the file is called.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from audionet.audio import decoding
from audionet.audio.chunks import SILENCE_PEAK, Chunk, cut
from audionet.audio.codecs import missing_codecs
from audionet.audio.fingerprints import Fingerprint, SharedSound, fingerprint_of, shared_across
from audionet.audio.measurements import Note, chunk_level_dbfs, level_dbfs, listen
from audionet.console import progress_bar
from audionet.data.dataset import UNKNOWN_LABEL
from audionet.data.groups import NO_HASH
from audionet.errors import InputError, PictureError, RecordingError
from audionet.evaluation.data_audit import audit_data
from audionet.evaluation.evaluate import ScoredRecording, accuracies, evaluate
from audionet.evaluation.robustness import SWEEP, Circumstances, Condition
from audionet.evaluation.runs import data_fingerprint
from audionet.features.extraction import chunks_by_recipe
from audionet.features.image_io import decode_picture, encode_jpg, is_picture, read_about
from audionet.features.recipes import Recipe
from audionet.features.spectrogram import draw
from audionet.files import label_folders, printable, sha256_of, walk_files
from audionet.models.bottleneck_cache import BATCH_SIZE
from audionet.models.classifier import Classifier
from audionet.parallel import process_pool

SWEPT_CHUNKS = 20  # of each recording: 40 s of 2 s chunks
BABBLE_CLIPS = 12
JOBS_AHEAD = 4  # for each process, so that none waits and little is held

Task = TypeVar("Task")
Done = TypeVar("Done")


@dataclass(frozen=True)
class Source:
    """A recording of a test folder: one file of sound, or the pictures of its chunks.

    Attributes:
        recording: its name, such as `alice/monday.mp3`.
        label: its folder.
        paths: the file of sound, or the pictures in order.
        offsets_seconds: where in the recording each picture begins; empty for a file of sound.
        levels_dbfs: how loud each picture's chunk is; empty for a file of sound, and where that is not known.
    """

    recording: str
    label: str
    paths: tuple[Path, ...]
    offsets_seconds: tuple[float, ...] = ()
    levels_dbfs: tuple[float, ...] = ()


@dataclass
class ScoredFolder:
    """The recordings of a test folder, scored.

    Attributes:
        scored: those that could be read.
        notes: what `measures.listen` noted of their chunks, by name; none of pictures.
        failures: reason by name of each that could not be read.
        keys: of the content of each recording's pictures, by name.
        shared: sound that is in training too.
        excluded: names of those left out since they were in training.
    """

    scored: list[ScoredRecording] = field(default_factory=list)
    notes: dict[str, list[Note]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    keys: dict[str, tuple[int, ...]] = field(default_factory=dict)
    shared: tuple[SharedSound, ...] = ()
    excluded: list[str] = field(default_factory=list)

    @property
    def in_training(self) -> list[str]:
        """Names of recordings some chunk of which was trained on."""
        return [one.recording for one in self.scored if one.in_training]

    def without_training(self) -> "ScoredFolder":
        """Leave out the recordings that were in training."""
        kept = [one for one in self.scored if not one.in_training]
        notes = {one.recording: self.notes[one.recording] for one in kept if one.recording in self.notes}
        return replace(self, scored=kept, notes=notes, excluded=self.excluded + self.in_training)


def evaluate_folder(
    classifier: Classifier,
    sources: Sequence[Source],
    *,
    exclude_training: bool = False,
    with_sweep: bool = False,
    jobs: int | None = None,
    seed: int = 0,
) -> dict:
    """Score a test folder and evaluate the scores.

    Args:
        classifier: what to test.
        sources: the recordings, known and unknown.
        exclude_training: leave out those that were in training.
        with_sweep: score them under other conditions too.
        jobs: how many processes read and draw, by default one a core.
        seed: of the intervals.

    Returns:
        dict: as the docstring of `evaluation` says.

    Raises:
        InputError: no recording is left to score.
    """
    scored = score_sources(classifier, sources, jobs=jobs)
    if exclude_training:
        scored = scored.without_training()
    result = evaluate_scored(classifier, scored, seed=seed)
    if with_sweep:
        gone = {*scored.excluded, *scored.failures}
        kept = [source for source in sources if source.recording not in gone]
        result["sweep"], result["sweep_skipped"] = sweep(classifier, kept, jobs=jobs, seed=seed)
    return result


def evaluate_scored(classifier: Classifier, scored: ScoredFolder, *, seed: int = 0) -> dict:
    """Evaluate a test folder that was scored, as `evaluate_folder` does but for the sweep.

    Raises:
        InputError: no recording is left.
    """
    if not scored.scored:
        raise InputError(
            f"{len(scored.failures)} recordings cannot be read and {len(scored.excluded)} were in training: none is "
            f"left to test on. {next(iter(scored.failures.values()), '')}"
        )
    backbone, training = classifier.about["backbone"], classifier.about.get("training", {})
    result = evaluate(scored.scored, classifier.labels, seed=seed)
    result["model"] = {name: backbone.get(name) for name in ("architecture", "bottleneck", "fingerprint")}
    result["model"]["head"] = training.get("trainer")
    result["data"]["fingerprint"] = data_fingerprint(
        (one.label, one.recording, str(scored.keys[one.recording])) for one in scored.scored
    )
    result["failures"] = scored.failures
    result["excluded"] = scored.excluded
    result["training_known"] = bool(training_keys(classifier) or training_fingerprints(classifier))
    result["shared_with_training"] = [shared.sentence() for shared in scored.shared]
    labels = {one.recording: one.label for one in scored.scored if one.recording in scored.notes}
    result["data_audit"] = audit_data(scored.notes, labels, for_training=False).to_json() if scored.notes else None
    return result


def find_test_sources(test_dir: Path) -> list[Source]:
    """Return the recordings of a test folder, or its pictures where it holds those.

    Raises:
        InputError: it holds neither in any label folder.
    """
    folders = label_folders(test_dir, option="--test_dir")
    if any(is_picture(path) for folder in folders for path in walk_files(folder)):
        return find_pictures(test_dir)
    return find_audio(test_dir)


def find_sources(*, audio_dir: Path | None, image_dir: Path | None, negatives: Path | None) -> list[Source]:
    """Return the recordings of a test folder, of sound or else of pictures, and those of no label.

    Raises:
        InputError: a folder is not there or holds nothing of its kind.
    """
    sources = find_audio(audio_dir) if audio_dir else find_pictures(image_dir) if image_dir else []
    return sources + (find_negatives(negatives) if negatives else [])


def find_audio(audio_dir: Path) -> list[Source]:
    """Return the recordings of each label folder.

    Raises:
        InputError: there is no label folder, or none holds a recording.
    """
    sources = [
        Source(os.path.relpath(path, audio_dir), folder.name, (path,))
        for folder in label_folders(audio_dir, option="--audio_dir")
        for path in decoding.find_recordings(folder)
    ]
    return _checked(sources, audio_dir, "--audio_dir", "recording")


def find_negatives(negatives: Path) -> list[Source]:
    """Return the recordings below a folder, at any depth, as those of no label.

    Raises:
        InputError: it is no folder, or holds no recording.
    """
    if not negatives.is_dir():
        raise InputError(
            f"--negatives: expected a folder of recordings of no label, but {printable(negatives)} is none."
        )
    sources = [
        Source(f"{UNKNOWN_LABEL}/{os.path.relpath(path, negatives)}", UNKNOWN_LABEL, (path,))
        for path in decoding.find_recordings(negatives)
    ]
    return _checked(sources, negatives, "--negatives", "recording")


def find_pictures(image_dir: Path) -> list[Source]:
    """Return the pictures of each label folder, by the recording that they were made of.

    Raises:
        InputError: there is no label folder, or none holds a picture.
    """
    found: dict[tuple[str, str], list[tuple[float, Path, float | None]]] = {}
    for folder in label_folders(image_dir, option="--image_dir"):
        for path in filter(is_picture, walk_files(folder)):
            about = read_about(path.read_bytes())
            name = os.path.relpath(path, image_dir)
            recording = about.get("recording") or name.rpartition(NO_HASH)[0] or name
            found.setdefault((recording, folder.name), []).append(
                (about.get("offset_seconds", 0.0), path, about.get("level_dbfs"))
            )
    sources = []
    for (recording, label), pictures in found.items():
        offsets, paths, levels = zip(*sorted(pictures), strict=True)
        sources.append(Source(recording, label, paths, offsets, () if None in levels else levels))
    return _checked(sources, image_dir, "--image_dir", "picture")


def _checked(sources: list[Source], folder: Path, option: str, noun: str) -> list[Source]:
    if not sources:
        raise InputError(f"{option}: {printable(folder)} holds no {noun}. Put some there, or name another folder.")
    return sources


# Scoring


def score_sources(classifier: Classifier, sources: Sequence[Source], *, jobs: int | None = None) -> ScoredFolder:
    """Score recordings or pictures, as `Classifier.score` would one by one.

    Args:
        classifier: what to score with.
        sources: what to score.
        jobs: how many processes read and draw, by default one a core.

    Raises:
        InputError: they are recordings, and the classifier was trained on ordinary pictures.
    """
    recipe = classifier.recipe
    if recipe is None and any(decoding.is_recording(source.paths[0]) for source in sources):
        raise InputError(
            "--audio_dir: this classifier was trained on ordinary pictures and cannot take recordings. Name a folder "
            "of pictures by --image_dir instead."
        )
    trained_on = training_keys(classifier)
    found = ScoredFolder()
    tasks = [(source, recipe) for source in sources]
    drawn = _side_by_side(_draw_source, tasks, description="Scoring", jobs=jobs)
    for batch in _batches(drawn, found.failures):
        logits = classifier.logits([decode_picture(content) for _, one in batch for content in one.pictures])
        start = 0
        for source, one in batch:
            rows = logits[start : start + len(one.pictures)]
            start += len(one.pictures)
            keys = found.keys[source.recording] = tuple(map(content_key, one.pictures))
            known = sum(key in trained_on for key in keys)
            found.scored.append(
                ScoredRecording(
                    recording=source.recording,
                    label=source.label,
                    logits=rows,
                    offsets_seconds=one.offsets_seconds,
                    in_training=known,
                    open_set=classifier.open_set,
                    levels_dbfs=one.levels_dbfs,
                )
            )
            if one.notes:
                found.notes[source.recording] = one.notes
    return _compared_with_training(found, training_fingerprints(classifier))


@dataclass(frozen=True)
class _Drawn:
    """A recording's pictures as jpg, how loud each is, and for sound what was noted of its chunks."""

    pictures: list[bytes]
    offsets_seconds: tuple[float, ...]
    levels_dbfs: tuple[float, ...]
    notes: list[Note]


def _batches(
    drawn: Iterable[tuple[tuple[Source, Recipe | None], _Drawn | str]], failures: dict[str, str]
) -> Iterator[list[tuple[Source, _Drawn]]]:
    """Yield recordings with their pictures, several at a time, so that the network has enough to do."""
    batch: list[tuple[Source, _Drawn]] = []
    for (source, _), one in drawn:
        if isinstance(one, str):
            failures[source.recording] = one
            continue
        batch.append((source, one))
        if sum(len(one.pictures) for _, one in batch) >= BATCH_SIZE:
            yield batch
            batch = []
    if batch:
        yield batch


def _draw_source(task: tuple[Source, Recipe | None]) -> _Drawn | str:
    """Return the pictures of a recording, or the reason why there are none."""
    source, recipe = task
    try:
        if recipe and decoding.is_recording(source.paths[0]):
            return _draw_recording(source, recipe)
        pictures = [_checked_picture(path, recipe) for path in source.paths]
        return _Drawn(pictures, source.offsets_seconds, source.levels_dbfs, [])
    except (RecordingError, PictureError) as error:
        return str(error)
    except OSError as error:
        return f"{printable(error.filename or source.recording)}: {error.strerror}"


def _draw_recording(source: Source, recipe: Recipe) -> _Drawn:
    pictures, offsets, levels, notes = [], [], [], []
    for chunk in _read_chunks(source, recipe):
        pictures.append(_jpg(chunk.samples, recipe))
        offsets.append(chunk.offset_seconds)
        levels.append(chunk_level_dbfs(chunk, sample_rate_hz=recipe.sample_rate_hz))
        notes.append(listen(chunk, sample_rate_hz=recipe.sample_rate_hz))
    return _Drawn(pictures, tuple(offsets), tuple(levels), notes)


def _checked_picture(path: Path, recipe: Recipe | None) -> bytes:
    content = path.read_bytes()
    decode_picture(content, name=printable(path))
    drawn_by = read_about(content).get("recipe")
    if drawn_by and (recipe is None or Recipe.from_json(drawn_by).fingerprint != recipe.fingerprint):
        raise PictureError(f"{printable(path)} was drawn by another recipe than the classifier's; pass --audio_dir.")
    return content


def _read_chunks(source: Source, recipe: Recipe) -> Iterator[Chunk]:
    return chunks_by_recipe(source.paths[0], recipe)


def _jpg(samples: np.ndarray, recipe: Recipe) -> bytes:
    return encode_jpg(draw(samples, recipe), quality=recipe.jpg_quality)


# Whether it was in training


def content_key(content: bytes) -> int:
    """Return 64 bits that stand for a picture, whatever is noted in its comment: its recording's name, for one."""
    return int(sha256_of(_without_comment(content))[:16], 16)


def content_keys(paths: Iterable[Path]) -> np.ndarray:
    """Return the keys of picture files, sorted, uint64: what a classifier keeps of those that it was trained on."""
    return np.array(sorted({content_key(path.read_bytes()) for path in paths}), np.uint64)


def training_keys(classifier: Classifier) -> frozenset[int]:
    """Return the keys of the pictures that a classifier was trained on; none, if it did not keep them."""
    return frozenset(map(int, classifier.training_keys))


def training_fingerprints(classifier: Classifier) -> Mapping[str, Fingerprint]:
    """Return the fingerprints of the recordings that a classifier was trained on; none, if it did not keep them."""
    return classifier.fingerprints


def _compared_with_training(scored: ScoredFolder, trained: Mapping[str, Fingerprint]) -> ScoredFolder:
    """Find sound that was in training too, even if it was encoded or cut otherwise."""
    if not trained or not scored.notes:
        return scored
    tested = {recording: fingerprint_of(notes) for recording, notes in scored.notes.items()}
    shared = shared_across({"training": trained, "testing": tested})
    chunks: dict[str, int] = {}
    for pair in shared:
        name = pair.first if pair.first_side == "testing" else pair.second
        per_chunk = tested[name].seconds / len(tested[name].digests)
        chunks[name] = max(chunks.get(name, 1), round(pair.seconds / per_chunk))
    rows = [
        replace(one, in_training=min(len(one.logits), max(one.in_training, chunks.get(one.recording, 0))))
        for one in scored.scored
    ]
    return replace(scored, scored=rows, shared=shared)


def _without_comment(content: bytes) -> bytes:
    """Cut the comments out of a jpg; anything else comes back as it is."""
    if not content.startswith(b"\xff\xd8"):
        return content
    kept, place = [content[:2]], 2
    while content[place : place + 1] == b"\xff" and content[place + 1 : place + 2] not in (b"\xda", b""):
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        if content[place + 1 : place + 2] != b"\xfe":
            kept.append(content[place:end])
        place = max(end, place + 4)
    return b"".join([*kept, content[place:]])


# The sweep


@dataclass(frozen=True)
class _Swept:
    source: Source
    recipe: Recipe
    conditions: tuple[str, ...]
    babble: tuple[np.ndarray, ...]


def sweep(
    classifier: Classifier, sources: Sequence[Source], *, jobs: int | None = None, seed: int = 0
) -> tuple[list[dict], dict[str, str]]:
    """Score recordings under every condition there is, the first 20 chunks of each.

    Args:
        classifier: what to score with.
        sources: recordings; those of labels that the classifier does not know are left out.
        jobs: how many processes read and draw.
        seed: of the intervals; what is random in a condition depends on the recording and the condition alone.

    Returns:
        A list of `name`, `family`, `level`, `strength`, and `chunk` and `recording` with `n`, `accuracy` and `ci95`,
        the first of which is `clean`; and the reason by name of each condition that this machine cannot make.

    Raises:
        InputError: there is no recording of a known label.
    """
    known = [
        source for source in sources if source.label in classifier.labels and decoding.is_recording(source.paths[0])
    ]
    if not known or classifier.recipe is None:
        raise InputError("--sweep: expected recordings of labels that the classifier knows; name them by --audio_dir.")
    missing = missing_codecs()
    skipped = {condition.name: missing[condition.codec] for condition in SWEEP if condition.codec in missing}
    conditions = [condition for condition in SWEEP if condition.name not in skipped]
    babble = _babble_clips(known, classifier.recipe)
    tasks = [
        _Swept(
            source,
            classifier.recipe,
            tuple(condition.name for condition in conditions),
            tuple(clip for label, clip in babble if label != source.label),
        )
        for source in known
    ]
    scored: dict[str, list[ScoredRecording]] = {condition.name: [] for condition in conditions}
    for task, drawn in _side_by_side(_draw_swept, tasks, description="Sweeping", jobs=jobs):
        if isinstance(drawn, str):
            continue  # it was named when it was scored as it is
        logits = classifier.logits([decode_picture(content) for clips in drawn.values() for content, _ in clips])
        parts = np.split(logits, np.cumsum([len(clips) for clips in drawn.values()])[:-1])
        for (name, clips), rows in zip(drawn.items(), parts, strict=True):
            if len(rows):
                levels = tuple(level for _, level in clips)
                scored[name].append(ScoredRecording(task.source.recording, task.source.label, rows, levels_dbfs=levels))
    return [_summary(condition, scored[condition.name], classifier.labels, seed) for condition in conditions], skipped


def _summary(condition: Condition, scored: Sequence[ScoredRecording], labels: Sequence[str], seed: int) -> dict:
    return {
        "name": condition.name,
        "family": condition.family,
        "level": condition.level,
        "strength": condition.strength,
        **accuracies(scored, labels, seed=seed),
    }


def _babble_clips(sources: Sequence[Source], recipe: Recipe) -> list[tuple[str, np.ndarray]]:
    """Return a chunk of a recording of each label, a dozen at most, spread over the labels."""
    first = {source.label: source for source in reversed(sources)}
    labels = sorted(first)
    clips = []
    for label in labels[:: max(1, len(labels) // BABBLE_CLIPS)][:BABBLE_CLIPS]:
        try:
            chunk = next(_read_chunks(first[label], recipe), None)
        except RecordingError:
            continue
        if chunk is not None:
            clips.append((label, _sound_of(chunk, recipe)))
    return clips


def _draw_swept(task: _Swept) -> dict[str, list[tuple[bytes, float]]] | str:
    """Return the pictures of a recording under each condition with their levels, or the reason why there are none."""
    recipe = task.recipe
    try:
        sounds = [_sound_of(chunk, recipe) for chunk in islice(_read_chunks(task.source, recipe), SWEPT_CHUNKS)]
    except RecordingError as error:
        return str(error)
    by_name = {condition.name: condition for condition in SWEEP}
    drawn = {}
    for name in task.conditions:
        key = sha256_of(f"{name}/{task.source.recording}".encode("utf-8", "surrogateescape"))
        at = Circumstances(recipe.sample_rate_hz, np.random.default_rng(int(key[:16], 16)), task.babble)
        clips = altered_clips(sounds, by_name[name], at, chunk_samples=recipe.chunk_samples)
        drawn[name] = [
            (_jpg(np.resize(clip, recipe.chunk_samples), recipe), level_dbfs(clip, sample_rate_hz=at.sample_rate_hz))
            for clip in clips
        ]
    return drawn


def altered_clips(
    sounds: Sequence[np.ndarray], condition: Condition, at: Circumstances, *, chunk_samples: int
) -> list[np.ndarray]:
    """Return a recording's chunks under a condition, without the repetition that fills a short one.

    Args:
        sounds: its chunks, float32, each of shape (n,).
        condition: what to do to them.
        at: the circumstances.
        chunk_samples: length of a chunk.
    """
    if condition.clip_seconds:
        length = min(round(condition.clip_seconds * at.sample_rate_hz), chunk_samples)
        return [condition.alter(clip, at) for clip in cut(sounds, length) if _is_sound(clip)]
    if condition.changes_length:
        altered = condition.alter(np.concatenate(sounds), at)
        return [clip for clip in cut([altered], chunk_samples) if _is_sound(clip)]
    return [condition.alter(sound, at) for sound in sounds]


def _is_sound(clip: np.ndarray) -> bool:
    return len(clip) > 0 and float(np.abs(clip).max()) >= SILENCE_PEAK


def _sound_of(chunk: Chunk, recipe: Recipe) -> np.ndarray:
    return chunk.samples[: max(1, round(chunk.seconds * recipe.sample_rate_hz))]


# Side by side


def _side_by_side(
    work: Callable[[Task], Done], tasks: Sequence[Task], *, description: str, jobs: int | None
) -> Iterator[tuple[Task, Done | str]]:
    """Yield each task with what became of it, in order, done by processes; a crash of one costs that task alone."""
    jobs = min(jobs or os.cpu_count() or 1, len(tasks))
    crashed: list[Task] = []
    with progress_bar(total=len(tasks), description=description, unit="recordings") as bar:
        with process_pool(jobs) as pool:
            for task, future in _ahead(pool, work, tasks, JOBS_AHEAD * jobs):
                try:
                    done = future.result()
                except BrokenProcessPool:
                    crashed.append(task)
                    continue
                yield task, done
                bar.update()
        for task in crashed:
            # A decoder crashed and took its neighbours along. Alone, each one shows whether it was the cause.
            with process_pool(1) as pool:
                try:
                    yield task, pool.submit(work, task).result()
                except BrokenProcessPool:
                    yield task, "a decoder crashed on it; remove it or convert it to wav"
            bar.update()


def _ahead(
    pool: ProcessPoolExecutor, work: Callable[[Task], Done], tasks: Sequence[Task], count: int
) -> Iterator[tuple[Task, Future]]:
    waiting = iter(tasks)
    under_way = [(task, _submitted(pool, work, task)) for task in islice(waiting, count)]
    try:
        while under_way:
            yield under_way.pop(0)
            under_way.extend((task, _submitted(pool, work, task)) for task in islice(waiting, 1))
    finally:
        for _, future in under_way:
            future.cancel()


def _submitted(pool: ProcessPoolExecutor, work: Callable[[Task], Done], task: Task) -> Future:
    try:
        return pool.submit(work, task)
    except BrokenProcessPool as error:
        refused: Future = Future()
        refused.set_exception(error)
        return refused
