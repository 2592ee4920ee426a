"""The classifier: backbone, tap, head, labels and recipe. Load, score, divide into a timeline, enroll a label, save.

Scoring sends a sound through the very functions that made the training pictures, jpg coding included, so what was
measured is what is served. TensorFlow is not imported where OpenVINO can run the network.
"""

import functools
import io
import json
import math
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from audionet.audio import decoding
from audionet.audio.chunks import Chunk, chunks_of
from audionet.audio.fingerprints import Fingerprint, pack_fingerprints, unpack_fingerprints
from audionet.audio.measurements import chunk_level_dbfs
from audionet.errors import ClassifierError, InputError, WeightsError
from audionet.features.extraction import chunks_by_recipe, served_picture
from audionet.features.image_io import fit_pictures, read_picture
from audionet.features.recipes import Recipe
from audionet.files import UNKNOWN_LABEL, digest_of, mark_folder, printable, sha256_of, write_bytes, write_json
from audionet.models.answer import UNKNOWN, Answer
from audionet.models.array_files import read_arrays
from audionet.models.backbones.engines import Runner, open_graph
from audionet.models.backbones.settings import Engine
from audionet.models.bottleneck_cache import BATCH_SIZE, bottlenecks_of
from audionet.models.classifier_folder import (
    ABOUT_NAME,
    FINGERPRINTS_NAME,
    FORMAT,
    GRAPH_NAME,
    HEAD_NAME,
    KIND,
    TRAIN_AGAIN,
    changing_enrolled,
    check_checksum,
    named_faults,
    pack_head,
    read_files,
    unpack_head,
)
from audionet.models.classifier_schema import digest_of_about
from audionet.models.head import Head
from audionet.models.openset import OpenSetDetector
from audionet.models.pooling import log_softmax, loudness_weights, pool
from audionet.models.similarity import Similarity
from audionet.models.timeline import HOP_SECONDS, MIN_SECONDS, LevelMeter, ScoredChunks, Timeline, make_timeline


class Classifier:
    """A trained classifier, ready to score."""

    def __init__(
        self,
        *,
        labels: tuple[str, ...],  # in the order of the head's outputs
        recipe: Recipe | None,  # how sound becomes pictures, or None for a classifier of ordinary pictures
        head: Head,
        graph: bytes,  # the frozen backbone, uint8 pictures in, bottlenecks out
        about: dict[str, Any],  # what else is known, as JSON: `backbone` (with `height` and `width`) and `training`
        open_set: OpenSetDetector | None = None,  # None, as for `similarity`, if none could be fitted
        training_keys: np.ndarray | None = None,  # uint64, shape (n,), of the pictures that it was trained on
        fingerprints: Mapping[str, Fingerprint] | None = None,  # of the sound that it was trained on, by recording
        similarity: Similarity | None = None,  # the space in which clips of any label are compared
        enrolled: Mapping[str, np.ndarray] | None = None,  # prototypes, by label that was added without training
        folder: Path | None = None,  # where it was loaded from
        engine: Engine = "auto",
    ):
        self.trained_labels = labels
        self.similarity = similarity
        self.enrolled = dict(enrolled or {})
        self.labels = (*labels, *self.enrolled)
        self.recipe = recipe
        self.head = head
        self.graph = graph
        self.about = about
        self.open_set = open_set
        self.training_keys = np.empty(0, np.uint64) if training_keys is None else training_keys
        self._folder = folder
        self._packed_fingerprints: bytes | mmap.mmap | None = None
        if fingerprints is not None:
            self.fingerprints = fingerprints
        self._engine = engine

    @classmethod
    def load(cls, folder: Path | str, *, engine: Engine = "auto", with_enrolled: bool = True) -> "Classifier":
        """Load a classifier from its folder, with the labels that were added without training or without them.

        All is of one version, even if another one takes its place meanwhile. Errors are those of `read_files`.
        """
        folder = Path(folder)
        files = read_files(folder)
        about, arrays = files.about, files.arrays
        similarity = Similarity.from_json(about["similarity"], arrays) if about.get("similarity") else None
        try:
            recipe = Recipe.from_json(about["recipe"]) if about["recipe"] else None
        except InputError as error:
            raise ClassifierError(f"{printable(folder / ABOUT_NAME)} is damaged: {error} {TRAIN_AGAIN}") from error
        classifier = cls(
            labels=tuple(about["labels"]),
            recipe=recipe,
            head=unpack_head(arrays),
            graph=files.graph,
            about=about,
            open_set=OpenSetDetector.from_json(about["open_set"], arrays) if about["open_set"] else None,
            training_keys=arrays["training_keys"],
            similarity=similarity,
            enrolled=files.enrolled if similarity and with_enrolled else None,
            folder=folder,
            engine=engine,
        )
        classifier._packed_fingerprints = files.fingerprints
        return classifier

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that stand for everything that its answers depend on."""
        arrays = pack_head(self.head) | (self.open_set.arrays() if self.open_set else {}) | self.enrolled
        return digest_of(
            [
                self.labels,
                self.recipe.to_json() if self.recipe else None,
                self.open_set.to_json() if self.open_set else None,
                sha256_of(self.graph),
                {name: sha256_of(np.ascontiguousarray(array).tobytes()) for name, array in arrays.items()},
            ]
        )

    @functools.cached_property
    def fingerprints(self) -> Mapping[str, Fingerprint]:
        """Fingerprints of the sound that it was trained on, by recording; unpacked when asked for."""
        if self._folder is None or self._packed_fingerprints is None:
            return {}
        path = self._folder / FINGERPRINTS_NAME
        check_checksum(path, self._packed_fingerprints, self.about)
        with named_faults(path, TRAIN_AGAIN):
            return unpack_fingerprints(read_arrays(bytes(self._packed_fingerprints)))

    def save(self, folder: Path, *, beside: Mapping[str, Any] | None = None) -> None:
        """Write the classifier's files into `folder`, which `files.whole_folder` gave, so that it appears whole.

        `beside` are JSON files to be kept with it, by name.
        """
        arrays = io.BytesIO()
        named: dict[str, Any] = {**pack_head(self.head), "training_keys": self.training_keys}
        named |= self.open_set.arrays() if self.open_set else {}
        named |= self.similarity.arrays() if self.similarity else {}
        np.savez(arrays, **named)
        contents = {
            GRAPH_NAME: self.graph,
            HEAD_NAME: arrays.getvalue(),
            FINGERPRINTS_NAME: pack_fingerprints(self.fingerprints),
            **{name: f"{json.dumps(value, indent=2)}\n".encode() for name, value in (beside or {}).items()},
        }
        mark_folder(folder, KIND)
        for name, content in contents.items():
            write_bytes(folder / name, content)
        about = {
            **self.about,
            "format": FORMAT,
            "labels": list(self.trained_labels),
            "recipe": self.recipe.to_json() if self.recipe else None,
            "open_set": self.open_set.to_json() if self.open_set else None,
            "similarity": self.similarity.to_json() if self.similarity else None,
            "sha256": {name: sha256_of(content) for name, content in contents.items()},
        }
        about["sha256"][ABOUT_NAME] = digest_of_about(about)
        write_json(folder / ABOUT_NAME, about)

    def score(self, path: Path | str) -> Answer:
        """Score a file: a recording, cut and drawn as in training and pooled into one answer, or a picture.

        Raises:
            RecordingError: a recording that cannot be decoded or is silent.
            PictureError: a picture that cannot be read.
            InputError: a recording, but the classifier was trained on ordinary pictures.
        """
        path = Path(path)
        return self.score_recording(path) if decoding.is_recording(path) else self.score_picture(path)

    def score_picture(self, path: Path | str) -> Answer:
        """Score a picture file, a spectrogram or an ordinary picture; errors as for `score`."""
        return self._answer(self.logits([read_picture(path)]), np.zeros(1), np.ones(1))

    def score_recording(self, path: Path | str, *, on_seconds: Callable[[float], object] | None = None) -> Answer:
        """Score a recording of any length; memory does not grow with it. Errors are as for `score`.

        `on_seconds` is called now and then with how far it is.
        """
        recipe = self.recipe_for(path)
        offsets: list[float] = []
        levels: list[float] = []
        logits: list[np.ndarray] = []
        chunks = chunks_by_recipe(Path(path), recipe)
        for batch, of_batch in self.logits_of(chunks):
            offsets += [chunk.offset_seconds for chunk in batch]
            levels += [chunk_level_dbfs(chunk) for chunk in batch]
            logits.append(of_batch)
            if on_seconds:
                on_seconds(batch[-1].offset_seconds + batch[-1].seconds)
        return self._answer(np.concatenate(logits), np.array(offsets), loudness_weights(levels))

    def logits_of(self, chunks: Iterable[Chunk]) -> Iterator[tuple[list[Chunk], np.ndarray]]:
        """Draw chunks and yield them in batches with their logits, float32, shape (chunks, labels).

        The next batch is decoded and drawn while the network looks at the one before.
        """
        recipe = self.recipe_for("The sound")
        waiting = iter(chunks)
        with ThreadPoolExecutor(1) as network:
            before: tuple[list[Chunk], Future[np.ndarray]] | None = None
            while batch := list(islice(waiting, BATCH_SIZE)):
                pictures = [served_picture(chunk.samples, recipe) for chunk in batch]
                under_way = batch, network.submit(self.logits, pictures)
                if before:
                    yield before[0], before[1].result()
                before = under_way
            if before:
                yield before[0], before[1].result()

    def timeline(
        self,
        path: Path | str,
        *,
        hop_seconds: float = HOP_SECONDS,
        min_seconds: float = MIN_SECONDS,
        on_seconds: Callable[[float], object] | None = None,
    ) -> Timeline:
        """Divide a recording into spans of one label, of unknown or of silence.

        Memory grows with the number of hops and labels alone. A decision is made every `hop_seconds`, at most the
        length of a chunk. Spans shorter than `min_seconds` are given to their neighbours. `on_seconds` is called now
        and then with how far it is.

        Raises:
            RecordingError: the recording cannot be decoded or is silent throughout.
            InputError: the classifier was trained on ordinary pictures.
        """
        path, recipe = Path(path), self.recipe_for(path)
        blocks = decoding.read_blocks(path, sample_rate_hz=recipe.sample_rate_hz, effects=recipe.sox_effects)
        level_meter = LevelMeter(blocks, sample_rate_hz=recipe.sample_rate_hz)
        hop_seconds = min(hop_seconds, recipe.chunk_seconds)
        chunks = chunks_of(
            level_meter,
            name=path,
            sample_rate_hz=recipe.sample_rate_hz,
            chunk_seconds=recipe.chunk_seconds,
            hop_seconds=hop_seconds,
            padding=recipe.padding,
        )
        first_hops: list[int] = []
        levels: list[float] = []
        logits: list[np.ndarray] = []
        for batch, of_batch in self.logits_of(chunks):
            first_hops += [chunk.index for chunk in batch]
            levels += [chunk_level_dbfs(chunk) for chunk in batch]
            logits.append(of_batch)
            if on_seconds:
                on_seconds(batch[-1].offset_seconds + batch[-1].seconds)
        scored = ScoredChunks(
            self.labels,
            np.concatenate(logits),
            np.array(first_hops),
            np.array(levels),
            hops=math.ceil(level_meter.seconds / hop_seconds),
            hops_a_chunk=round(recipe.chunk_seconds / hop_seconds),
            hop_seconds=hop_seconds,
            open_set=self.open_set,
        )
        return make_timeline(path, scored, level_meter, min_seconds=min_seconds)

    def comparison_space(self) -> Similarity:
        """Return the space in which clips of any label are compared, or raise ClassifierError where there is none."""
        if self.similarity is None:
            raise ClassifierError(
                "This classifier cannot compare clips: it was trained by an earlier version, on fewer than three "
                "labels or on one recording a label. Train it again, on three labels or more."
            )
        return self.similarity

    def enroll(self, label: str, clips: Iterable[Path | str]) -> int:
        """Add a label by a few clips, without training, or replace one that was added before.

        The folder that the classifier was loaded from, if it was, keeps the label too. Clips are recordings or
        pictures, at least one. Returns how many chunks the label rests on.

        Raises:
            ClassifierError: the classifier cannot compare clips.
            InputError: the label was trained, or its name means something else.
            RecordingError, PictureError: a clip cannot be read.
        """
        self.check_enrollable(label)
        chunks = np.concatenate([self.chunk_bottlenecks(clip)[1] for clip in clips])
        self.enroll_prototypes({label: self.comparison_space().prototype(chunks)})
        return len(chunks)

    def check_enrollable(self, label: str, *, named_by: str = "--label") -> None:
        """Raise ClassifierError if the classifier cannot compare clips, InputError if `label` cannot be added.

        `named_by` is the option or the folder that has the name, for the message.
        """
        self.comparison_space()
        if label in (*self.trained_labels, UNKNOWN, UNKNOWN_LABEL, ""):
            raise InputError(
                f"{named_by}: expected a name of its own, received {printable(label)!r}, which the classifier was "
                "trained on or which means unknown. Choose another."
            )
        if label.startswith(".") or "/" in label or "\0" in label:
            raise InputError(
                f"{named_by}: expected a name that the folder of a label could have, received {printable(label)!r}. "
                "Leave slashes and a dot at its beginning out."
            )

    def enroll_prototypes(self, prototypes: Mapping[str, np.ndarray]) -> None:
        """Add labels as `enroll` does, by their prototypes in the comparison space, which `check_enrollable` admits."""
        if self._folder:
            with changing_enrolled(self._folder, head_digest=self.about["sha256"][HEAD_NAME]) as enrolled:
                enrolled.update(prototypes)
        self.enrolled.update(prototypes)
        self.labels = (*self.trained_labels, *self.enrolled)
        self.__dict__.pop("fingerprint", None)  # it stands for the labels too

    def recipe_for(self, path: Path | str) -> Recipe:
        """Return how a recording becomes pictures; raise InputError if the classifier was trained on ordinary ones."""
        if self.recipe is None:
            raise InputError(
                f"{printable(path)} is a recording, but this classifier was trained on ordinary pictures. Give it a "
                "picture, or train one on recordings."
            )
        return self.recipe

    @functools.cached_property
    def _network(self) -> Runner:
        return open_graph(self.graph, engine=self._engine)

    def logits(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Map pictures, each uint8 of shape (height, width, 3), to float32 logits, shape (pictures, labels)."""
        return self.logits_of_bottlenecks(self._bottlenecks(pictures))

    def logits_of_bottlenecks(self, bottlenecks: np.ndarray) -> np.ndarray:
        """Map bottlenecks, shape (n, dimension), to float32 logits, shape (n, labels).

        A label that was enrolled competes with all trained ones together, by the odds that the clip is its own; how
        these are to each other stays as it was.
        """
        logits = self.head.logits(bottlenecks)
        if not self.enrolled or self.similarity is None:
            return logits
        together = np.logaddexp.reduce(logits, axis=1, keepdims=True)
        odds = self.similarity.log_odds(bottlenecks, np.stack(list(self.enrolled.values())))
        return np.concatenate([logits, together + odds], axis=1)

    def bottlenecks(self, paths: Iterable[Path | str]) -> np.ndarray:
        """Return for each recording or picture, to train other models on, the mean bottleneck of its chunks.

        That is float32, shape (files, dimension); errors as for `score`.
        """
        means = [self.chunk_bottlenecks(path)[1].mean(axis=0, dtype=np.float32) for path in paths]
        return np.stack(means) if means else np.empty((0, self.about["backbone"]["dimension"]), np.float32)

    def chunk_bottlenecks(self, path: Path | str) -> tuple[np.ndarray, np.ndarray]:
        """Return where each chunk of a file starts, in seconds, and its bottleneck; a picture has one chunk at 0.

        These are float32, shape (chunks,), and float16, shape (chunks, dimension); errors as for `score`.
        """
        path = Path(path)
        if not decoding.is_recording(path):
            return np.zeros(1, np.float32), self._bottlenecks([read_picture(path)])
        recipe = self.recipe_for(path)
        chunks = chunks_by_recipe(path, recipe)
        offsets: list[float] = []
        vectors = []
        while batch := list(islice(chunks, BATCH_SIZE)):
            offsets += [chunk.offset_seconds for chunk in batch]
            vectors.append(self._bottlenecks([served_picture(chunk.samples, recipe) for chunk in batch]))
        return np.array(offsets, np.float32), np.concatenate(vectors)

    def _bottlenecks(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Map pictures to float16 bottlenecks, shape (pictures, dimension)."""
        backbone = self.about["backbone"]
        fitted = fit_pictures(pictures, height=backbone["height"], width=backbone["width"])
        name = printable((self._folder or Path()) / GRAPH_NAME)
        try:
            found = bottlenecks_of(self._network, fitted)
        except WeightsError as error:
            raise ClassifierError(f"{name} is damaged. {error} {TRAIN_AGAIN}") from error
        if found.shape[1] != backbone["dimension"] or not np.isfinite(found).all():
            raise ClassifierError(
                f"{name} is damaged: expected {backbone['dimension']} finite numbers a picture, received "
                f"{found.shape[1]}, or others. {TRAIN_AGAIN}"
            )
        return found

    def _answer(self, logits: np.ndarray, offsets: np.ndarray, weights: np.ndarray) -> Answer:
        log_probabilities = log_softmax(logits)
        open_set = self.open_set
        return Answer(
            labels=self.labels,
            probabilities=pool(log_probabilities, weights).astype(np.float32),
            chunk_offsets_seconds=offsets.astype(np.float32),
            chunk_probabilities=np.exp(log_probabilities).astype(np.float32),
            score=open_set.score(logits, weights) if open_set else None,
            threshold=open_set.threshold(weights.sum()) if open_set else None,
        )
