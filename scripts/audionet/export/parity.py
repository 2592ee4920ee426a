"""Whether an export answers as its classifier does, on recordings that the classifier was not trained on.

Both are given the very same chunks, the classifier through its own functions and the export through its own runtime.
What a classifier was trained on is found by content: it keeps the keys of its training pictures.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np

from audionet.audio import decoding
from audionet.audio.measurements import chunk_level_dbfs
from audionet.console import log, progress_bar
from audionet.errors import AudioNetError, ExportError, InputError
from audionet.evaluation.data_audit import spread
from audionet.evaluation.leakage import content_key, training_keys
from audionet.evaluation.metrics import rows_by_group
from audionet.evaluation.test_set import Source
from audionet.export.formats import Tolerance
from audionet.export.frozen_graph import picture_size
from audionet.features.extraction import chunks_by_recipe, drawn_jpg, served_picture
from audionet.features.image_io import fit_pictures, read_picture, read_picture_file
from audionet.features.recipes import Recipe
from audionet.models.backbones.engines import Runner
from audionet.models.classifier import Classifier
from audionet.models.pooling import log_softmax, loudness_weights, pool

MOST_CHUNKS = 120  # to compare on, and to calibrate on
CHUNKS_A_RECORDING = 20


@dataclass(frozen=True)
class Clip:
    """One chunk of a recording, or one picture."""

    recording: str
    label: str  # its folder
    samples: np.ndarray | None = None  # float32, shape (chunk_samples,); None for a picture
    path: Path | None = None  # of the picture; None for sound
    level_dbfs: float | None = None  # how loud the chunk is; None where that is not known

    def picture(self, recipe: Recipe | None) -> np.ndarray:
        """Return what a classifier sees of it, uint8, shape (height, width, 3)."""
        if self.samples is not None and recipe is not None:
            return served_picture(self.samples, recipe)
        assert self.path is not None
        return read_picture(self.path)

    def inputs(self, classifier: Classifier) -> list[np.ndarray]:
        """Return what a classifier's members are given of it."""
        if self.samples is not None and classifier.recipe is not None:
            return classifier.inputs_of(self.samples)
        return [classifier.members[0].input.of_picture(self.picture(classifier.recipe))]


@dataclass(frozen=True)
class ParityClips:
    """Clips of recordings that were held out, and of those that were trained on, evenly spread over them."""

    held_out: list[Clip]
    trained_on: list[Clip]
    failed: int = 0  # how many recordings cannot be read


def find_parity_clips(classifier: Classifier, sources: Sequence[Source]) -> ParityClips:
    """Return clips of labels that a classifier knows, to compare an export on and to calibrate it on.

    Recordings and pictures that cannot be read are left out.

    Raises:
        InputError: no recording is of a label that the classifier knows.
    """
    keys = training_keys(classifier)
    held_out: list[Clip] = []
    trained_on: list[Clip] = []
    failed = 0
    known = [source for source in sources if source.label in classifier.labels]
    with progress_bar(total=len(known), description="Reading", unit="recordings") as bar:
        for source in known:
            try:
                clips = list(islice(_clips_of(source, classifier.recipe), CHUNKS_A_RECORDING))
                is_known = content_key(_file_of(clips[0], classifier.recipe)) in keys
            except AudioNetError as error:
                log(f"Set aside: {error}")
                failed += 1
                continue
            (trained_on if is_known else held_out).extend(clips)
            bar.update()
    if not held_out and not trained_on:
        raise InputError(
            f"Of {len(sources)} recordings, none is of a label that this classifier knows and can be read. Name the "
            "folder that it was trained on, or others with the same labels, by --audio_dir or --image_dir."
        )
    return ParityClips(spread(held_out, MOST_CHUNKS), spread(trained_on, MOST_CHUNKS), failed)


def _clips_of(source: Source, recipe: Recipe | None) -> Iterator[Clip]:
    if not decoding.is_recording(source.paths[0]):
        for path, level in zip_longest(source.paths, source.levels_dbfs):
            read_picture(path)  # so that one that cannot be read is left out now
            yield Clip(source.recording, source.label, path=path, level_dbfs=level)
        return
    if recipe is None:
        raise InputError("--audio_dir: this classifier was trained on ordinary pictures; name some by --image_dir.")
    for chunk in chunks_by_recipe(source.paths[0], recipe):
        level = chunk_level_dbfs(chunk)
        yield Clip(source.recording, source.label, samples=chunk.samples, level_dbfs=level)


def _file_of(clip: Clip, recipe: Recipe | None) -> bytes:
    """Return the picture file that a clip is, or that training would have made of it."""
    if clip.samples is not None and recipe is not None:
        return drawn_jpg(clip.samples, recipe)
    assert clip.path is not None
    return read_picture_file(clip.path)


def inputs_of(clips: Sequence[Clip], classifier: Classifier, *, takes_sound: bool) -> list[np.ndarray]:
    """Return what an export is fed for each clip, float32, shape (1, chunk_samples) or (1, height, width, 3), 0..1.

    Raises:
        InputError: it takes sound, and the clips are pictures.
    """
    if takes_sound:
        if any(clip.samples is None for clip in clips):
            raise InputError("--image_dir: an export that takes sound is compared on recordings; name --audio_dir.")
        return [np.asarray(clip.samples, np.float32)[None] for clip in clips]
    height, width = picture_size(classifier)
    pictures = fit_pictures((clip.picture(classifier.recipe) for clip in clips), height=height, width=width)
    return [(picture[None] / np.float32(255)).astype(np.float32) for picture in pictures]


@dataclass(frozen=True)
class RightAnswers:
    """How many chunks, and how many recordings, are answered right."""

    chunks: int
    recordings: int


@dataclass(frozen=True)
class Parity:
    """How an export compares with its classifier."""

    chunks: int  # how many both were given
    recordings: int  # how many the chunks are of
    agreeing: int  # chunks whose likeliest label is the same
    drift: float  # the share of probability that lies with another label, in the mean over chunks
    largest_drift: float  # the same for the chunk where it is greatest
    classifier_right: RightAnswers
    export_right: RightAnswers
    seconds_a_chunk: float  # of the export, one by one
    tolerance: Tolerance

    def check(self) -> None:
        """Raise unless the export is within its tolerance.

        Raises:
            ExportError: it is not.
        """
        disagreeing = self.chunks - self.agreeing
        if not self.tolerance.allows(drift=self.drift, disagreeing=disagreeing, chunks=self.chunks):
            raise ExportError(f"The export was not kept, since it answers otherwise: {self.sentence()}")

    def sentence(self) -> str:
        """Return one sentence: agreement and drift, and what is tolerated."""
        return (
            f"It agrees with the classifier on {self.agreeing} of {self.chunks} chunks "
            f"({self.agreeing / self.chunks:.1%}; {1 - self.tolerance.disagreement:.0%} are demanded); its "
            f"probabilities differ by {self.drift:.5f} in the mean ({self.tolerance.drift} is tolerated) and by "
            f"{self.largest_drift:.5f} at most."
        )

    def rows(self) -> list[tuple[str, str, str]]:
        """Return a table's rows: who, chunks right and recordings right."""
        return [
            (who, f"{right.chunks / self.chunks:.1%} of {self.chunks}", f"{right.recordings} of {self.recordings}")
            for who, right in (("classifier", self.classifier_right), ("export", self.export_right))
        ]


def compare(
    classifier: Classifier, clips: Sequence[Clip], inputs: Sequence[np.ndarray], run: Runner, tolerance: Tolerance
) -> Parity:
    """Score clips, at least one, of labels that it knows, by a classifier, and their inputs by an export of it."""
    expected = log_softmax(classifier.logits([clip.inputs(classifier) for clip in clips]))
    run(inputs[0])  # the first call may prepare much
    start = time.perf_counter()
    given = np.concatenate([run(chunk) for chunk in inputs])
    seconds = time.perf_counter() - start
    drift = np.abs(np.exp(expected) - given).sum(axis=1) / 2
    return Parity(
        chunks=len(clips),
        recordings=len({clip.recording for clip in clips}),
        agreeing=int((expected.argmax(axis=1) == given.argmax(axis=1)).sum()),
        drift=float(drift.mean()),
        largest_drift=float(drift.max()),
        classifier_right=_right_answers(clips, expected, classifier.labels),
        export_right=_right_answers(clips, np.log(np.maximum(given, np.finfo(np.float32).tiny)), classifier.labels),
        seconds_a_chunk=seconds / len(clips),
        tolerance=tolerance,
    )


def _right_answers(clips: Sequence[Clip], log_probabilities: np.ndarray, labels: Sequence[str]) -> RightAnswers:
    """Count right answers; a recording's are pooled over its clips, as the classifier pools them."""
    label_ids = np.array([labels.index(clip.label) for clip in clips])
    recordings_right = 0
    for rows in rows_by_group([clip.recording for clip in clips]).values():
        pooled = pool(log_probabilities[rows], _weights([clips[int(row)] for row in rows]))
        recordings_right += int(pooled.argmax() == label_ids[rows[0]])
    return RightAnswers(int((log_probabilities.argmax(axis=1) == label_ids).sum()), recordings_right)


def _weights(clips: Sequence[Clip]) -> np.ndarray:
    """Return how much each chunk of a recording counts, as the classifier weighs them."""
    levels = [clip.level_dbfs for clip in clips if clip.level_dbfs is not None]
    return loudness_weights(levels) if len(levels) == len(clips) else np.ones(len(clips))
