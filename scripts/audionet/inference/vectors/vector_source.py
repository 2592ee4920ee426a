"""Where vectors come from: the networks of a classifier in its comparison space, or networks that nobody trained on."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from audionet.features.recipes import Recipe, redrawn
from audionet.files import digest_of, sha256_of
from audionet.models.backbones.architectures import find_architecture
from audionet.models.backbones.backbone import loader_of
from audionet.models.backbones.member_names import AUTO, MemberName, parse_members
from audionet.models.backbones.settings import BackboneSettings
from audionet.models.classifier import Classifier
from audionet.models.embedder import Embedder
from audionet.models.fused_similarity import FusedSimilarity
from audionet.models.member import Network
from audionet.models.similarity import Similarity


@dataclass(frozen=True, eq=False)
class FileVectors:
    """The vectors of a file: of its chunks, at least one, and of the whole."""

    starts: np.ndarray  # float32, shape (chunks,), in seconds
    ends: np.ndarray  # float32, shape (chunks,), where the sound of each ends; 0 for a picture
    chunks: np.ndarray  # float16, shape (chunks, dimension)
    whole: np.ndarray  # float16, shape (dimension,)


@dataclass(frozen=True, eq=False)
class VectorSource:
    """Turns files into vectors: bottlenecks as they are, or, in a comparison space, where chunks lie in it."""

    embedder: Embedder
    space: Similarity | FusedSimilarity | None = None

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        return self.embedder.dimension

    @cached_property
    def digest(self) -> str:
        """What vectors depend on, as hexadecimal digits; labels, heads and enrolled labels are no part of it."""
        about = [
            [sha256_of(one.graph), one.recipe.to_json() if one.recipe else None, one.input.samples]
            for one in self.embedder.networks
        ]
        return digest_of([about, _described_space(self.space)])

    def sentence(self) -> str:
        """Return in words what vectors it gives, for messages."""
        names = [f"{one.backbone['architecture']} at {one.backbone['bottleneck']}" for one in self.embedder.networks]
        return f"{' + '.join(names)}, {'in a comparison space' if self.space else 'as the network gives them'}"

    def vectors_of(self, path: Path) -> FileVectors:
        """Return the vectors of a recording or a picture; errors are as for `Classifier.score`."""
        found = self.embedder.embed(path)
        if self.space is None:
            whole = found.bottlenecks.mean(axis=0, dtype=np.float32)
            return FileVectors(found.starts, found.ends, found.bottlenecks, whole.astype(np.float16))
        places = self.space.places(found.bottlenecks).astype(np.float16)
        return FileVectors(
            found.starts, found.ends, places, self.space.mean_place(found.bottlenecks).astype(np.float16)
        )


def trained_source(classifier: Classifier, *, compared: bool = True) -> VectorSource:
    """Return the vectors of a classifier: where chunks lie in its comparison space, or its bottlenecks.

    Raises:
        ClassifierError: they are to be `compared`, and the classifier has no comparison space.
    """
    return VectorSource(classifier, classifier.comparison_space() if compared else None)


def untrained_source(settings: BackboneSettings, recipe: Recipe) -> VectorSource:
    """Return the bottlenecks of pretrained networks, for pictures that a recipe draws.

    Where no members are named, the network of `--architecture` is alone; where no tap is, it is read at its default
    one, since there is nothing to choose on.

    Raises:
        InputError: there is no such network, drawing or tap.
        WeightsError: no source delivers the weights.
    """
    names = parse_members(replace(settings, members="single") if settings.members == AUTO else settings)
    return VectorSource(Embedder([_network(name, settings, recipe) for name in names]))


def _network(name: MemberName, settings: BackboneSettings, recipe: Recipe) -> Network:
    row, own = find_architecture(name.architecture), settings.of_member(name.architecture)
    load = loader_of(row, own, of_sound=True, chunk_seconds=recipe.chunk_seconds)
    backbone = load(bottleneck=None if own.bottleneck == "auto" or row.is_own else own.bottleneck)
    return Network(
        name=str(name),
        recipe=redrawn(recipe, name.drawing),
        backbone=backbone.describe(),
        graph=backbone.graph,
        engine=settings.engine,
    )


def _described_space(space: Similarity | FusedSimilarity | None) -> Any:
    if space is None:
        return None
    if isinstance(space, FusedSimilarity):
        return [space.to_json(), *map(_described_space, space.parts)]
    hashes = {name: sha256_of(np.ascontiguousarray(array).tobytes()) for name, array in space.arrays().items()}
    return [space.to_json(), hashes]
