"""Frozen pretrained networks: pictures or sounds in, bottlenecks out.

`ARCHITECTURES` has one row for each network that can be chosen. A *tap* is a layer that it can be read at, a map
[height, width, channels] whose height is the picture's frequency and whose width is its time. A bottleneck is written
as a short text:

    classic         the last layer, averaged over height and width
    <tap>           averaged over time, frequencies kept       height * channels numbers
    <tap>@<n>       the same in n equal segments of time       height * n * channels numbers, in this order
    <tap>@mean      averaged over both                         channels numbers
    <one>+<other>   side by side

Frequencies are kept by default because the average over them throws away what tells voices apart, and the middle of a
network tells sounds apart better than its end, which knows things and animals.

A network that listens takes the sounds of chunks themselves, of one length and at one sample rate. Its one bottleneck
is `classic`, its output.

A network with its weights, its way of normalising pictures and its pooling is frozen into one TensorFlow graph, cut off
behind the deepest tap in use, which is cached:

    <cache folder>/graphs/<architecture>-<digest>.pb      input `pictures` or `sounds`, output `bottlenecks`
    <cache folder>/graphs/<architecture>-<digest>.json    its description and sha256

OpenVINO runs such a graph on a CPU, without TensorFlow; TensorFlow runs it where there is a GPU or no OpenVINO.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from audionet.console import log, silence_native_stderr
from audionet.errors import InputError
from audionet.files import digest_of
from audionet.models.backbones.architectures import ARCHITECTURES, Architecture, find_architecture
from audionet.models.backbones.engines import BFLOAT16, Runner, check_engine, open_graph
from audionet.models.backbones.freezing import freeze, pair_of, read_cached_graph, write_cached_graph
from audionet.models.backbones.network_builders import SMALLEST_SIDE
from audionet.models.backbones.settings import BackboneSettings, Engine
from audionet.models.backbones.taps import parse_bottleneck, slices_of, tap_vectors
from audionet.models.backbones.tfhub import find_module
from audionet.models.backbones.weights import Weights, cache_folder, find_weights

GRAPH_VERSION = 1  # part of every digest; raise it when the same weights and bottleneck come to give other numbers

SHORTEST_SECONDS = 0.1  # of a sound that a network listens to


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A frozen network, described; calling it turns pictures, or the sounds that it listens to, into bottlenecks.

    One that looks has a height and a width in pixels; one that listens has a number of samples and their rate instead.
    `graph` is a serialised GraphDef with the input `input_name` and the output `bottlenecks`, which `open_graph` runs.
    `slices` maps each part of the bottleneck, such as "block3", to its first column and the one behind its last.
    Several Python threads may call one backbone; they take turns, as each call uses all cores already.
    """

    architecture: str
    bottleneck: str
    height: int = 0
    width: int = 0
    samples: int = 0
    sample_rate_hz: int = 0
    dimension: int
    digest: str
    slices: Mapping[str, tuple[int, int]]
    weights: Mapping[str, str]
    graph: bytes = field(repr=False)
    engine: Engine = "auto"

    @property
    def listens(self) -> bool:
        """Whether it takes sounds instead of pictures."""
        return self.samples > 0

    @property
    def input_name(self) -> str:
        """The operation of the graph that pictures or sounds are fed to."""
        return "sounds" if self.listens else "pictures"

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Compute the bottlenecks, float32 [n, dimension], of n pictures or sounds; n may be 0.

        Args:
            inputs: pictures, uint8 [n, height, width, 3], RGB; if the backbone listens, sounds, float32 [n, samples] in
                -1..1 at its sample rate.

        Raises:
            InputError: they have another type or shape.
        """
        if self.listens:
            if inputs.dtype != np.float32 or inputs.shape[1:] != (self.samples,):
                raise InputError(
                    f"Expected sounds as float32 [n, {self.samples}] at {self.sample_rate_hz} Hz, received "
                    f"{inputs.dtype} {list(inputs.shape)}; bring them to that rate and length."
                )
        elif inputs.dtype != np.uint8 or inputs.shape[1:] != (self.height, self.width, 3):
            raise InputError(
                f"Expected pictures as uint8 [n, {self.height}, {self.width}, 3], received {inputs.dtype} "
                f"{list(inputs.shape)}; bring them to size with fit_pictures."
            )
        return self._runner(inputs)

    def select(self, bottlenecks: np.ndarray, bottleneck: str) -> np.ndarray:
        """Take the columns of some parts, joined by "+", such as "block3", out of bottlenecks [n, dimension].

        Raises:
            InputError: a part is not among this backbone's.
        """
        parts = parse_bottleneck(bottleneck, find_architecture(self.architecture)).parts
        unknown = [part for part in parts if part not in self.slices]
        if unknown:
            raise InputError(
                f"Expected parts out of {self.bottleneck}, received {unknown[0]}; choose one of the former."
            )
        return np.concatenate([bottlenecks[:, slice(*self.slices[part])] for part in parts], axis=1)

    def describe(self) -> dict[str, Any]:
        """Return everything but the graph and the engine, in a form that JSON can hold."""
        sounds = {"samples": self.samples, "sample_rate_hz": self.sample_rate_hz} if self.listens else {}
        return {
            "architecture": self.architecture,
            "bottleneck": self.bottleneck,
            "height": self.height,
            "width": self.width,
            **sounds,
            "dimension": self.dimension,
            "fingerprint": self.digest,
            "slices": {part: list(columns) for part, columns in self.slices.items()},
            "weights": dict(self.weights),
        }

    def sentence(self) -> str:
        """Return one sentence for the screen: where the weights come from, and what was done to them."""
        licence = self.weights["licence"] and f"licence {self.weights['licence']}"
        details = "; ".join(text for text in (self.weights["note"], licence) if text)
        return f"Backbone {self.architecture} at {self.bottleneck}: {self.weights['origin']} ({details})."

    @cached_property
    def _runner(self) -> Runner:
        return open_graph(self.graph, engine=self.engine, input_name=self.input_name)


def load_backbone(
    architecture: str,
    *,
    bottleneck: str | None = None,
    weights: Path | str | None = None,
    tfhub_module: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    samples: int | None = None,
    engine: Engine = "auto",
) -> Backbone:
    """Find an architecture's weights and its frozen graph, freezing it if the cache has none.

    Args:
        architecture: a name out of `ARCHITECTURES`.
        bottleneck: what to read, as the module's docstring says; the architecture's default if None.
        weights: a file of the user's own instead of the known sources.
        tfhub_module: for `tfhub`: a folder, an archive or an address.
        image_size: of the pictures, in pixels: one number, or height and width; the architecture's own if None.
        samples: how many each sound has, at the architecture's sample rate; for one that listens, and only for it.
        engine: what computes; "auto" is OpenVINO on a CPU, and TensorFlow where it has a GPU or OpenVINO is missing.

    Raises:
        InputError: an unknown name, a bottleneck that cannot be read, or options that exclude each other.
        WeightsError: no source delivers the weights.
    """
    row = find_architecture(architecture)
    spec = parse_bottleneck(bottleneck or row.default_bottleneck, row)
    check_engine(engine)
    size = _input_size(row, image_size, samples)
    if row.build is None:
        found = _find_hub_module(tfhub_module, weights)
    else:
        _refuse_hub_module(tfhub_module, row)
        found = find_weights(row.name, row.sources, weights_file=weights)
    graph_digest = digest_of([GRAPH_VERSION, row.name, found.sha256, spec.text, size])
    stem = cache_folder() / "graphs" / f"{row.name}-{graph_digest}"
    frozen = read_cached_graph(stem)
    if frozen is None:
        with silence_native_stderr():  # it imports TensorFlow and Keras
            frozen = freeze(row, spec, found, size)
        with suppress(OSError):  # a cache that cannot be written costs time, and not the run
            write_cached_graph(stem, *frozen)
    graph, shape = frozen
    return Backbone(
        architecture=row.name,
        bottleneck=spec.text,
        height=shape.get("height", 0),
        width=shape.get("width", 0),
        samples=shape.get("samples", 0),
        sample_rate_hz=shape.get("sample_rate_hz", 0),
        dimension=sum(shape["dimensions"]),
        digest=graph_digest if engine != BFLOAT16 else digest_of([graph_digest, engine]),
        slices=slices_of(spec, shape["dimensions"]),
        weights=found.describe(),
        graph=graph,
        engine=engine,
    )


def loader_of(
    architecture: Architecture, settings: BackboneSettings, *, of_sound: bool, samples: int | None = None
) -> Callable[..., Backbone]:
    """Return `load_backbone` with everything given but the bottleneck; the settings name the architecture.

    The size of pictures depends on whether they are of sound, unless the settings decide it. A network that listens
    takes sounds of a number of samples, at its own rate.
    """
    if architecture.build is None and settings.bottleneck not in {"auto", architecture.default_bottleneck}:
        log(
            f"Note: a TF Hub module gives its feature vector and nothing from within, so --bottleneck "
            f"{settings.bottleneck} is passed over."
        )
    size_for_sound = (
        architecture.sound_size if of_sound and architecture.build and not architecture.listens else None
    )  # a module's own signature tells its size
    return partial(
        load_backbone,
        architecture.name,
        weights=settings.weights,
        tfhub_module=settings.tfhub_module,
        image_size=settings.image_size or size_for_sound,
        samples=samples,
        engine=settings.engine,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainableNetwork:
    """A pretrained network that can be trained on."""

    model: Any  # a Keras model from pictures, float32 [n, height, width, 3] in 0..255, to bottlenecks, float32 [n, d]
    layers: Sequence[Any]  # its layers with weights, from the first to the last
    weights: Mapping[str, str]  # where they come from, as `Backbone.weights` has it


def trainable_network(
    architecture: str,
    *,
    bottleneck: str,
    height: int,
    width: int,
    weights: Path | str | None = None,
    keeps_statistics: bool,
) -> TrainableNetwork:
    """Build a pretrained network up to a bottleneck as a Keras model, for pictures of a size in pixels.

    If it keeps statistics, batches are normalised by those that came with the weights, as a few steps need it; else by
    their own, and these are learned. A file of the user's own, `weights`, excludes the known sources.

    Raises:
        InputError: an unknown name, a network that listens, or a module of TF Hub, which is no Keras model.
        WeightsError: no source delivers the weights.
    """
    row = find_architecture(architecture)
    if row.build is None or not row.is_trainable:
        trainable = ", ".join(name for name, one in ARCHITECTURES.items() if one.is_trainable)
        raise InputError(
            f"Expected an architecture out of {trainable} to train end to end, received {architecture}, which can only "
            "be read; choose one of them."
        )
    spec = parse_bottleneck(bottleneck, row)
    found = find_weights(row.name, row.sources, weights_file=weights)
    with silence_native_stderr():  # several seconds
        import keras

        network = row.build(found, height=height, width=width)
        pictures = keras.Input((height, width, 3))
        vectors = tap_vectors(network, row, spec, training=False if keeps_statistics else None)(pictures)
        model = keras.Model(pictures, keras.ops.concatenate(vectors, axis=1) if len(vectors) > 1 else vectors[0])
        read = network.cut([row.taps[reading.tap] for reading in spec.parts.values()])
    return TrainableNetwork(
        model=model, layers=[layer for layer in read.layers if layer.weights], weights=found.describe()
    )


def _input_size(
    architecture: Architecture, image_size: int | tuple[int, int] | None, samples: int | None
) -> tuple[int, ...] | None:
    """Return height and width of pictures, the number of samples of sounds, or None if a module tells its own."""
    if architecture.listens:
        return _sound_size(architecture, image_size, samples)
    if samples is not None:
        raise InputError(
            f"Expected no number of samples for {architecture.name}, which looks at pictures, received {samples}; "
            "leave it out."
        )
    if architecture.build is None:
        return None if image_size is None else pair_of(image_size)
    if image_size is not None and min(pair_of(image_size)) < SMALLEST_SIDE:
        raise InputError(
            f"Expected pictures of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels, "
            f"received {image_size}; choose a larger image size."
        )
    return pair_of(image_size or architecture.image_size)


def _sound_size(
    architecture: Architecture, image_size: int | tuple[int, int] | None, samples: int | None
) -> tuple[int, ...]:
    if image_size is not None:
        raise InputError(
            f"Expected no image size for {architecture.name}, which listens to sound, received {image_size}; "
            "leave it out."
        )
    if samples is None:
        raise InputError(
            f"Expected sounds and their number of samples for {architecture.name}, which listens, received none; "
            "pictures alone need an architecture that looks."
        )
    fewest = round(SHORTEST_SECONDS * architecture.sample_rate_hz)
    if samples < fewest:
        raise InputError(
            f"Expected sounds of at least {SHORTEST_SECONDS} s for {architecture.name}, {fewest} samples at "
            f"{architecture.sample_rate_hz} Hz, received {samples}; choose longer chunks."
        )
    return (samples,)


def _find_hub_module(handle: str | None, weights: Path | str | None) -> Weights:
    if not handle or weights is not None:
        raise InputError(
            "Expected for the architecture tfhub a --tfhub-module (a folder, a .tar.gz or an address) and no "
            f"--weights, received {handle!r} and {weights!r}; a module brings its weights along."
        )
    return find_module(handle)


def _refuse_hub_module(handle: str | None, architecture: Architecture) -> None:
    if handle:
        raise InputError(
            f"Expected no --tfhub-module for the architecture {architecture.name}, received {handle!r}; "
            "leave it out, or choose --architecture tfhub."
        )
