"""Score the recordings of a test folder: drawn by processes side by side, scored in batches.

Whether one was in training is found by its pictures, which are the same whatever the file is called.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from audionet.audio import decoding
from audionet.audio.fingerprints import Fingerprint, SharedSound, fingerprint_of, shared_across
from audionet.audio.measurements import ChunkStats, measure_chunk
from audionet.errors import InputError, PictureError, RecordingError
from audionet.evaluation.leakage import content_key, training_keys
from audionet.evaluation.scored_recording import ScoredRecording
from audionet.evaluation.test_set import Source
from audionet.features.extraction import NetworkInput, chunks_by_recipe, drawn_jpg, inputs_of
from audionet.features.image_io import decode_picture, read_about, read_picture_file
from audionet.features.recipes import Recipe
from audionet.files import printable
from audionet.models.bottleneck_cache import BATCH_SIZE
from audionet.models.classifier import Classifier
from audionet.parallel import side_by_side


@dataclass
class ScoredFolder:
    """The recordings of a test folder, scored."""

    scored: list[ScoredRecording] = field(default_factory=list)  # those that could be read
    chunk_stats: dict[str, list[ChunkStats]] = field(default_factory=dict)  # of their sound, by name
    failures: dict[str, str] = field(default_factory=dict)  # reason by name of each that could not be read
    keys: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of the pictures of each, by name
    shared: tuple[SharedSound, ...] = ()  # sound that is in training too
    excluded: list[str] = field(default_factory=list)  # names of those left out since they were in training

    @property
    def in_training(self) -> list[str]:
        """Names of recordings some chunk of which was trained on."""
        return [one.recording for one in self.scored if one.in_training]

    def without_training(self) -> "ScoredFolder":
        """Leave out the recordings that were in training."""
        kept = [one for one in self.scored if not one.in_training]
        names = {one.recording for one in kept}
        stats = {name: chunks for name, chunks in self.chunk_stats.items() if name in names}
        return replace(self, scored=kept, chunk_stats=stats, excluded=self.excluded + self.in_training)


def score_sources(classifier: Classifier, sources: Sequence[Source], *, jobs: int | None = None) -> ScoredFolder:
    """Score recordings or pictures, as `Classifier.score` would one by one; `jobs` processes read and draw.

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
    if not all(decoding.is_recording(source.paths[0]) for source in sources):
        classifier = classifier.for_pictures()
    tasks = [_Task(source, classifier.inputs) for source in sources]
    drawn = side_by_side(_draw_source, tasks, description="Scoring", jobs=jobs)
    for batch in _batches(drawn, found.failures):
        scores = classifier.scores([of_chunk for _, one in batch for of_chunk in one.inputs])
        start = 0
        for source, one in batch:
            rows = slice(start, start + len(one.pictures))
            start += len(one.pictures)
            keys = found.keys[source.recording] = tuple(map(content_key, one.pictures))
            known = sum(key in trained_on for key in keys)
            found.scored.append(
                ScoredRecording(
                    recording=source.recording,
                    label=source.label,
                    logits=scores.logits[rows],
                    offsets_seconds=one.offsets_seconds,
                    in_training=known,
                    open_set=classifier.open_set,
                    levels_dbfs=one.levels_dbfs,
                    group=source.group,
                    odds=None if scores.odds is None else scores.odds[rows],
                )
            )
            if one.chunk_stats:
                found.chunk_stats[source.recording] = one.chunk_stats
    return _compared_with_training(found, classifier.fingerprints)


@dataclass(frozen=True)
class _Task:
    """A recording that is to be drawn."""

    source: Source
    inputs: tuple[NetworkInput, ...]  # of the classifier's members


@dataclass(frozen=True)
class _Drawn:
    """A recording's pictures as jpg, how loud each is, and for sound the statistics of its chunks."""

    pictures: list[bytes]
    inputs: list[list[np.ndarray]]  # what the members are given of each
    offsets_seconds: tuple[float, ...]
    levels_dbfs: tuple[float, ...]
    chunk_stats: list[ChunkStats]


def _batches(
    drawn: Iterable[tuple[_Task, _Drawn | str]], failures: dict[str, str]
) -> Iterator[list[tuple[Source, _Drawn]]]:
    """Yield recordings with their pictures, several at a time, so that the network has enough to do."""
    batch: list[tuple[Source, _Drawn]] = []
    for task, one in drawn:
        if isinstance(one, str):
            failures[task.source.recording] = one
            continue
        batch.append((task.source, one))
        if sum(len(one.pictures) for _, one in batch) >= BATCH_SIZE:
            yield batch
            batch = []
    if batch:
        yield batch


def _draw_source(task: _Task) -> _Drawn | str:
    """Return the pictures of a recording, or the reason why there are none."""
    source, recipe = task.source, task.inputs[0].recipe
    try:
        if recipe and decoding.is_recording(source.paths[0]):
            return _draw_recording(source, recipe, task.inputs)
        pictures = [_checked_picture(path, recipe) for path in source.paths]
        given = [[task.inputs[0].of_picture(decode_picture(content))] for content in pictures]
        return _Drawn(pictures, given, source.offsets_seconds, source.levels_dbfs, [])
    except (RecordingError, PictureError) as error:
        return str(error)
    except OSError as error:
        return f"{printable(error.filename or source.recording)}: {error.strerror}"


def _draw_recording(source: Source, recipe: Recipe, inputs: Sequence[NetworkInput]) -> _Drawn:
    pictures, given, offsets, levels, stats = [], [], [], [], []
    for chunk in chunks_by_recipe(source.paths[0], recipe):
        pictures.append(drawn_jpg(chunk.samples, recipe))
        given.append(inputs_of(chunk.samples, inputs, drawn={recipe: decode_picture(pictures[-1])}))
        offsets.append(chunk.offset_seconds)
        of_chunk, level_dbfs = measure_chunk(chunk)
        stats.append(of_chunk)
        levels.append(level_dbfs)
    return _Drawn(pictures, given, tuple(offsets), tuple(levels), stats)


def _checked_picture(path: Path, recipe: Recipe | None) -> bytes:
    content = read_picture_file(path)
    decode_picture(content, name=printable(path))
    drawn_by = read_about(content, name=printable(path)).get("recipe")
    if drawn_by and (recipe is None or Recipe.from_json(drawn_by).digest != recipe.digest):
        raise PictureError(f"{printable(path)} was drawn by another recipe than the classifier's; pass --audio_dir.")
    return content


def _compared_with_training(scored: ScoredFolder, trained: Mapping[str, Fingerprint]) -> ScoredFolder:
    """Add sound that was in training too, even if it was encoded or cut otherwise."""
    if not trained or not scored.chunk_stats:
        return scored
    tested = {recording: fingerprint_of(stats) for recording, stats in scored.chunk_stats.items()}
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
