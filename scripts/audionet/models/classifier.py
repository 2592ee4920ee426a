"""The classifier: backbone, tap, head, labels and recipe as one folder that describes itself. Save, load, score.

    retrained_model/
        classifier.json    labels, recipe, backbone and weights with their origin, how the head was trained
        backbone.pb        the network up to its tap, frozen; uint8 pictures in, bottlenecks out
        head.npz           weights and biases, what tells known clips from unknown ones, and keys of what was trained on
        fingerprints.npz   of the sound that it was trained on, so that a test can tell that it is another
        metrics.json       the scores of the training run
        enrolled.npz       labels that `audionet enroll` added, if any: a prototype each

Scoring sends a sound through the very functions that made the training pictures, jpg coding included, so what was
measured is what is served. TensorFlow is not imported where OpenVINO can run the network.
"""

import functools
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from audionet.audio import decoding
from audionet.audio.chunks import Chunk
from audionet.audio.fingerprints import Fingerprint, pack_fingerprints, unpack_fingerprints
from audionet.audio.measurements import chunk_level_dbfs
from audionet.errors import ClassifierError, InputError
from audionet.features.extraction import chunks_by_recipe, served_picture
from audionet.features.image_io import fit_pictures, read_picture
from audionet.features.recipes import Recipe
from audionet.files import digest_of, mark_folder, printable, read_mark, sha256_of, write_bytes, write_json
from audionet.models.backbones.engines import Runner, open_graph
from audionet.models.backbones.settings import Engine
from audionet.models.bottleneck_cache import BATCH_SIZE, bottlenecks_of
from audionet.models.head import Head
from audionet.models.openset import OpenSetDetector
from audionet.models.pooling import log_softmax, loudness_weights, pool
from audionet.models.similarity import Similarity

FORMAT = 1  # goes up by one when a folder's meaning changes
KIND = "classifier"
UNKNOWN = "unknown"
ABOUT_NAME = "classifier.json"
GRAPH_NAME = "backbone.pb"
HEAD_NAME = "head.npz"
FINGERPRINTS_NAME = "fingerprints.npz"
ENROLLED_NAME = "enrolled.npz"


@dataclass(frozen=True)
class Answer:
    """What a classifier says of one file.

    Attributes:
        labels: as in the classifier.
        probabilities: float32, shape (labels,), of the whole file.
        score: how much likelier it is of its nearest label than of anybody, as a logarithm; None if that is not known.
        threshold: what the score must reach for the file to be taken as one of the labels.
        chunk_offsets_seconds: float32, shape (chunks,); a picture has one chunk at 0.
        chunk_probabilities: float32, shape (chunks, labels).
    """

    labels: tuple[str, ...]
    probabilities: np.ndarray
    chunk_offsets_seconds: np.ndarray
    chunk_probabilities: np.ndarray
    score: float | None = None
    threshold: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether the file may be of one of the labels at all."""
        return self.score is None or self.threshold is None or self.score >= self.threshold

    @property
    def label(self) -> str:
        """The likeliest label, or `unknown`."""
        return self.nearest_label if self.is_known else UNKNOWN

    @property
    def nearest_label(self) -> str:
        """The likeliest label, known or not."""
        return self.labels[int(self.probabilities.argmax())]

    @property
    def probability(self) -> float:
        """The probability of the likeliest label."""
        return float(self.probabilities.max())

    def doubt(self) -> str:
        """Return what a person should know before the list of labels: empty, or that the file seems to be of none."""
        if self.is_known:
            return ""
        return f": unknown (its score, {self.score:.1f}, is below {self.threshold:.1f}); nearest are"

    def to_json(self, top_k: int | None = None) -> dict:
        """Return the answer as JSON: `label`, `nearest`, `probability`, `labels`, `known`, `score` and `threshold`."""
        return {
            "label": self.label,
            "nearest": self.nearest_label,
            "probability": self.probability,
            "labels": self.ranked(top_k),
            "known": self.is_known,
            "score": self.score,
            "threshold": self.threshold,
        }

    def ranked(self, top_k: int | None = None) -> dict[str, float]:
        """Return probability by label, the likeliest first, `top_k` of them or all."""
        order = np.argsort(-self.probabilities, kind="stable")[:top_k]
        return {self.labels[number]: float(self.probabilities[number]) for number in order}


class Classifier:
    """A trained classifier, ready to score.

    Args:
        labels: in the order of the head's outputs.
        recipe: how sound becomes pictures, or None for a classifier of ordinary pictures.
        head: the softmax layer.
        graph: the frozen backbone, uint8 pictures in, bottlenecks out.
        about: what else is known, as JSON: `backbone` (with `height` and `width`) and `training`.
        open_set: what tells known clips from unknown ones, if that could be learned.
        training_keys: uint64, shape (n,), of the pictures that it was trained on.
        fingerprints: by recording, of the sound that it was trained on; read from the folder when asked for.
        similarity: what tells clips of any label apart, if that could be learned.
        enrolled: by label that was added without training, its prototype in the space of `similarity`.
        folder: where it was loaded from.
        engine: as for `load_backbone`.
    """

    def __init__(
        self,
        *,
        labels: tuple[str, ...],
        recipe: Recipe | None,
        head: Head,
        graph: bytes,
        about: dict,
        open_set: OpenSetDetector | None = None,
        training_keys: np.ndarray | None = None,
        fingerprints: Mapping[str, Fingerprint] | None = None,
        similarity: Similarity | None = None,
        enrolled: Mapping[str, np.ndarray] | None = None,
        folder: Path | None = None,
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
        if fingerprints is not None:
            self.fingerprints = fingerprints
        self._engine = engine

    @classmethod
    def load(cls, folder: Path | str, *, engine: Engine = "auto", with_enrolled: bool = True) -> "Classifier":
        """Load a classifier from its folder.

        Args:
            folder: where it is.
            engine: as for `load_backbone`.
            with_enrolled: whether labels that were added without training are to be answered too.

        Raises:
            ClassifierError: the folder is missing, is no classifier, is of another version or is damaged.
        """
        folder = Path(folder)
        about = _read_about(folder)
        try:
            graph, head_file = ((folder / name).read_bytes() for name in (GRAPH_NAME, HEAD_NAME))
        except OSError as error:
            raise ClassifierError(f"{printable(folder)} lacks {Path(error.filename).name}. {_TRAIN_AGAIN}") from error
        for name, content in ((GRAPH_NAME, graph), (HEAD_NAME, head_file)):
            if sha256_of(content) != about["sha256"][name]:
                raise ClassifierError(f"{printable(folder / name)} is damaged: its checksum is wrong. {_TRAIN_AGAIN}")
        with np.load(io.BytesIO(head_file), allow_pickle=False) as arrays:
            head, training_keys = _unpacked(arrays), arrays["training_keys"]
            open_set = OpenSetDetector.from_json(about["open_set"], arrays) if about["open_set"] else None
            similarity = Similarity.from_json(about["similarity"], arrays) if about.get("similarity") else None
        recipe = Recipe.from_json(about["recipe"]) if about["recipe"] else None
        return cls(
            labels=tuple(about["labels"]),
            recipe=recipe,
            head=head,
            graph=graph,
            about=about,
            open_set=open_set,
            training_keys=training_keys,
            similarity=similarity,
            enrolled=read_enrolled(folder) if similarity and with_enrolled else None,
            folder=folder,
            engine=engine,
        )

    @functools.cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that stand for everything that its answers depend on."""
        arrays = _packed(self.head) | (self.open_set.arrays() if self.open_set else {}) | self.enrolled
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
        """Fingerprints of the sound that it was trained on, by recording; read when asked for."""
        path = self._folder / FINGERPRINTS_NAME if self._folder else None
        return unpack_fingerprints(path.read_bytes()) if path and path.is_file() else {}

    def save(self, folder: Path) -> None:
        """Write the classifier's files into `folder`, which `files.whole_folder` gave, so that it appears whole."""
        arrays = io.BytesIO()
        named: dict[str, Any] = {**_packed(self.head), "training_keys": self.training_keys}
        named |= self.open_set.arrays() if self.open_set else {}
        named |= self.similarity.arrays() if self.similarity else {}
        np.savez(arrays, **named)
        contents = {GRAPH_NAME: self.graph, HEAD_NAME: arrays.getvalue()}
        mark_folder(folder, KIND)
        for name, content in contents.items():
            write_bytes(folder / name, content)
        write_bytes(folder / FINGERPRINTS_NAME, pack_fingerprints(self.fingerprints))
        about = {
            **self.about,
            "format": FORMAT,
            "labels": list(self.trained_labels),
            "recipe": self.recipe.to_json() if self.recipe else None,
            "open_set": self.open_set.to_json() if self.open_set else None,
            "similarity": self.similarity.to_json() if self.similarity else None,
            "sha256": {name: sha256_of(content) for name, content in contents.items()},
        }
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
        """Score a picture file, a spectrogram or an ordinary picture.

        Raises:
            PictureError: the file cannot be read.
        """
        return self._answer(self.logits([read_picture(path)]), np.zeros(1), np.ones(1))

    def score_recording(self, path: Path | str) -> Answer:
        """Score a recording of any length; memory does not grow with it.

        Raises:
            RecordingError: the recording cannot be decoded or is silent.
            InputError: the classifier was trained on ordinary pictures.
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

    def recipe_for(self, path: Path | str) -> Recipe:
        """Return how a recording becomes pictures.

        Raises:
            InputError: the classifier was trained on ordinary pictures.
        """
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
        """Return a vector for each file, the mean bottleneck of its chunks, for other learners to learn from.

        Args:
            paths: recordings or pictures.

        Returns:
            float32, shape (files, dimension).

        Raises:
            RecordingError: a recording that cannot be decoded or is silent.
            PictureError: a picture that cannot be read.
            InputError: a recording, but the classifier was trained on ordinary pictures.
        """
        means = [self.chunk_bottlenecks(path)[1].mean(axis=0, dtype=np.float32) for path in paths]
        return np.stack(means) if means else np.empty((0, self.about["backbone"]["dimension"]), np.float32)

    def chunk_bottlenecks(self, path: Path | str) -> tuple[np.ndarray, np.ndarray]:
        """Return where each chunk of a file starts, in seconds, and its bottleneck; a picture has one chunk at 0.

        Returns:
            float32, shape (chunks,), and float16, shape (chunks, dimension).

        Raises:
            RecordingError: a recording that cannot be decoded or is silent.
            PictureError: a picture that cannot be read.
            InputError: a recording, but the classifier was trained on ordinary pictures.
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
        return bottlenecks_of(self._network, fitted)

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


def read_enrolled(folder: Path) -> dict[str, np.ndarray]:
    """Return the prototypes that `write_enrolled` wrote into a classifier's folder, by label; none if it did not.

    Raises:
        ClassifierError: the file is damaged.
    """
    try:
        with np.load(folder / ENROLLED_NAME, allow_pickle=False) as arrays:
            names = json.loads(bytes(arrays["labels"]))
            return dict(zip(names, arrays["prototypes"], strict=True))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ClassifierError(
            f"{printable(folder / ENROLLED_NAME)} is damaged ({error}). Remove it, and enrol its labels again."
        ) from error


def write_enrolled(folder: Path, enrolled: Mapping[str, np.ndarray]) -> None:
    """Write labels that were added without training, and their prototypes, into a classifier's folder."""
    if not enrolled:
        (folder / ENROLLED_NAME).unlink(missing_ok=True)
        return
    file = io.BytesIO()
    names = np.frombuffer(json.dumps(list(enrolled)).encode(), np.uint8)
    np.savez(file, labels=names, prototypes=np.stack(list(enrolled.values())))
    write_bytes(folder / ENROLLED_NAME, file.getvalue())


def _packed(head: Head) -> dict[str, np.ndarray]:
    arrays = {"weights": head.weights, "biases": head.biases}
    if head.hidden:
        arrays |= {"hidden_weights": head.hidden.weights, "hidden_biases": head.hidden.biases}
    return arrays


def _unpacked(arrays: Mapping[str, np.ndarray]) -> Head:
    hidden = Head(arrays["hidden_weights"], arrays["hidden_biases"]) if "hidden_weights" in arrays else None
    return Head(arrays["weights"], arrays["biases"], hidden)


_TRAIN_AGAIN = "Train it again: make train."


def _read_about(folder: Path) -> dict:
    if not folder.is_dir():
        raise ClassifierError(
            f"--model: there is no classifier at {printable(folder)}. Train one first: make train, or name another "
            "folder."
        )
    try:
        about = json.loads((folder / ABOUT_NAME).read_text())
    except FileNotFoundError as error:
        kind = (read_mark(folder) or {}).get("kind", "something else")
        raise ClassifierError(
            f"--model: expected a classifier folder with {ABOUT_NAME}, but {printable(folder)} holds {kind}. Name the "
            "folder that audionet train wrote."
        ) from error
    except (OSError, ValueError) as error:
        raise ClassifierError(f"{printable(folder / ABOUT_NAME)} is damaged ({error}). {_TRAIN_AGAIN}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = about.get("format") if isinstance(about, dict) else None
        raise ClassifierError(
            f"{printable(folder)} is a classifier of format {found}; this version reads format {FORMAT}. {_TRAIN_AGAIN}"
        )
    return about
