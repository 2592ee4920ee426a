"""Networks side by side, which give the bottlenecks of files: a classifier without heads and labels."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from audionet.audio import decoding
from audionet.audio.chunks import Chunk
from audionet.errors import ClassifierError, InputError, WeightsError
from audionet.features.extraction import NetworkInput, chunks_by_recipe, inputs_of
from audionet.features.image_io import read_picture
from audionet.features.recipes import Recipe
from audionet.files import printable
from audionet.models.bottleneck_cache import BATCH_SIZE
from audionet.models.classifier_folder import TRAIN_AGAIN, graph_names
from audionet.models.member import Network
from audionet.wording import named_list


@dataclass(frozen=True, eq=False)
class EmbeddedChunks:
    """The chunks of a file, at least one."""

    starts: np.ndarray  # float32, shape (chunks,), in seconds
    ends: np.ndarray  # float32, shape (chunks,), where the sound of each ends; 0 for a picture
    bottlenecks: np.ndarray  # float16, shape (chunks, dimension)


class Embedder:
    """Networks whose bottlenecks lie side by side; the first says how sound is cut, and whether it takes any."""

    def __init__(self, networks: Sequence[Network], *, folder: Path | None = None):
        self.networks = tuple(networks)
        self._folder = folder  # where they were loaded from

    @property
    def recipe(self) -> Recipe | None:
        """How sound becomes pictures, or None for a classifier of ordinary pictures."""
        return self.networks[0].recipe

    @property
    def dimension(self) -> int:
        """The length of a bottleneck, which is those of all networks side by side."""
        return sum(network.dimension for network in self.networks)

    def bottlenecks_by_batch(self, chunks: Iterable[Chunk]) -> Iterator[tuple[list[Chunk], np.ndarray]]:
        """Draw chunks and yield them in batches with their bottlenecks, float16, shape (chunks, dimension).

        The next batch is decoded and drawn while the network looks at the one before.
        """
        self.recipe_for("The sound")
        waiting = iter(chunks)
        with ThreadPoolExecutor(1) as network:
            before: tuple[list[Chunk], Future[np.ndarray]] | None = None
            while batch := list(islice(waiting, BATCH_SIZE)):
                inputs = [self.inputs_of(chunk.samples) for chunk in batch]
                under_way = batch, network.submit(self.bottlenecks_of, inputs)
                if before:
                    yield before[0], before[1].result()
                before = under_way
            if before:
                yield before[0], before[1].result()

    def recipe_for(self, path: Path | str) -> Recipe:
        """Return how a recording becomes pictures; raise InputError if the classifier was trained on ordinary ones."""
        if self.recipe is None:
            raise InputError(
                f"{printable(path)} is a recording, but this classifier was trained on ordinary pictures. Give it a "
                "picture, or train one on recordings."
            )
        return self.recipe

    @property
    def inputs(self) -> tuple[NetworkInput, ...]:
        """What each member is given of a chunk."""
        return tuple(member.input for member in self.networks)

    def inputs_of(self, samples: np.ndarray) -> list[np.ndarray]:
        """Return what the members are given of a chunk, float32 samples of shape (chunk_samples,), an array for each.

        Members that look at the same pictures share them, so that each is drawn once.
        """
        return inputs_of(samples, self.inputs)

    def bottlenecks(self, paths: Iterable[Path | str]) -> np.ndarray:
        """Return for each recording or picture, to train other models on, the mean bottleneck of its chunks.

        That is float32, shape (files, dimension); errors as for `score`.
        """
        means = [self.chunk_bottlenecks(path)[1].mean(axis=0, dtype=np.float32) for path in paths]
        return np.stack(means) if means else np.empty((0, self.dimension), np.float32)

    def chunk_bottlenecks(self, path: Path | str) -> tuple[np.ndarray, np.ndarray]:
        """Return where each chunk of a file starts, in seconds, and its bottleneck; a picture has one chunk at 0.

        These are float32, shape (chunks,), and float16, shape (chunks, dimension); errors as for `score`.
        """
        chunks = self.embed(path)
        return chunks.starts, chunks.bottlenecks

    def embed(self, path: Path | str) -> EmbeddedChunks:
        """Return the chunks of a recording; a picture is one chunk at 0. Errors are as for `Classifier.score`."""
        path = Path(path)
        if not decoding.is_recording(path):
            bottlenecks = self.bottlenecks_of([[self._picture_for_all(path)]])
            return EmbeddedChunks(np.zeros(1, np.float32), np.zeros(1, np.float32), bottlenecks)
        chunks = chunks_by_recipe(path, self.recipe_for(path))
        starts: list[float] = []
        ends: list[float] = []
        vectors = []
        while batch := list(islice(chunks, BATCH_SIZE)):
            starts += [chunk.offset_seconds for chunk in batch]
            ends += [chunk.offset_seconds + chunk.seconds for chunk in batch]
            vectors.append(self.bottlenecks_of([self.inputs_of(chunk.samples) for chunk in batch]))
        return EmbeddedChunks(np.array(starts, np.float32), np.array(ends, np.float32), np.concatenate(vectors))

    def _picture_for_all(self, path: Path) -> np.ndarray:
        """Return a picture for a classifier of which every member can look at it."""
        if len(self.networks) > 1 or self.networks[0].input.is_sound:
            raise InputError(
                f"{printable(path)} is a picture, and of the members of this classifier "
                f"({named_list('member', [member.name for member in self.networks])}) not all look at it. Give it a "
                "recording."
            )
        return self.networks[0].input.of_picture(read_picture(path))

    def bottlenecks_of(self, inputs: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
        """Map what the members are given of each chunk to float16 bottlenecks, shape (chunks, dimension)."""
        found = []
        by_member = zip(*inputs, strict=True)
        for name, member, of_member in zip(graph_names(len(self.networks)), self.networks, by_member, strict=True):
            try:
                found.append(member.bottlenecks(of_member))
            except WeightsError as error:
                path = printable((self._folder or Path()) / name)
                raise ClassifierError(f"{path} is damaged. {error} {TRAIN_AGAIN}") from error
        return np.concatenate(found, axis=1) if len(found) > 1 else found[0]
