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

OpenVINO runs such a graph on a CPU, without TensorFlow; TensorFlow runs it where there is a GPU or no OpenVINO. An ONNX
file becomes a graph of OpenVINO's own, which it alone runs.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from audionet.console import log, silence_native_stderr
from audionet.errors import InputError
from audionet.files import cache_folder, digest_of
from audionet.models.backbones.architectures import ARCHITECTURES, Architecture, find_architecture
from audionet.models.backbones.engines import BFLOAT16, Runner, check_engine, open_graph
from audionet.models.backbones.freezing import freeze, pair_of, read_cached_graph, write_cached_graph
from audionet.models.backbones.network_builders import SMALLEST_SIDE
from audionet.models.backbones.own.own_input import OwnInput, parse_network_input
from audionet.models.backbones.own.own_networks import find_own, freeze_own, refuse_own
from audionet.models.backbones.settings import BackboneSettings, Engine
from audionet.models.backbones.taps import BottleneckSpec, parse_bottleneck, slices_of, tap_vectors
from audionet.models.backbones.weights import Weights, find_weights

GRAPH_VERSION = 1  # part of every digest; raise it when the same weights and bottleneck come to give other numbers

SHORTEST_SECONDS = 0.1  # of a sound that a network listens to


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A frozen network, described; calling it turns pictures, or the sounds that it listens to, into bottlenecks.

    One that looks has a height and a width in pixels; one that listens has a number of samples and their rate instead.
    `graph` is a serialised GraphDef with the input `input_name` and the output `bottlenecks`, or one of OpenVINO's own,
    with one of each; `open_graph` runs both.
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

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process makes the same backbone of, which opens the graph itself."""
        return {name: value for name, value in vars(self).items() if name != "_runner"}


def load_backbone(
    architecture: str,
    *,
    bottleneck: str | None = None,
    weights: Path | str | None = None,
    tfhub_module: str | None = None,
    onnx_file: Path | str | None = None,
    network_input: str | None = None,
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
        onnx_file: for `onnx`: its file.
        network_input: for these two: what they take, as `own_input` says; None lets their shapes tell.
        image_size: of the pictures, in pixels: one number, or height and width; the architecture's own if None.
        samples: how many each sound has, at the network's sample rate; for one that listens, and only for it, or for a
            user's own, which may look.
        engine: what computes; "auto" is OpenVINO on a CPU, and TensorFlow where it has a GPU or OpenVINO is missing.

    Raises:
        InputError: an unknown name, a bottleneck that cannot be read, or options that exclude each other.
        WeightsError: no source delivers the weights.
    """
    row = find_architecture(architecture)
    spec = parse_bottleneck(bottleneck or row.default_bottleneck, row)
    check_engine(engine)
    if row.is_own:
        found = find_own(row, tfhub_module=tfhub_module, onnx_file=onnx_file, weights=weights)
        size = None if image_size is None else pair_of(image_size)
        declared = parse_network_input(network_input)
        graph_digest, kept = _own_graph(row, found, declared, size=size, samples=samples, engine=engine)
    else:
        refuse_own(row, tfhub_module=tfhub_module, onnx_file=onnx_file, network_input=network_input)
        input_size = _input_size(row, image_size, samples)
        found = find_weights(row.name, row.sources, weights_file=weights)
        graph_digest, kept = _known_graph(row, spec, found, input_size)
    graph, shape = kept
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


def _known_graph(
    row: Architecture, spec: BottleneckSpec, found: Weights, size: tuple[int, ...]
) -> tuple[str, tuple[bytes, dict[str, Any]]]:
    """Return the digest of a frozen graph, and the graph and its shape, from the cache if it is there."""
    digest = digest_of([GRAPH_VERSION, row.name, found.sha256, spec.text, size])
    kept = read_cached_graph(_stem(row, digest))
    if kept is None:
        with silence_native_stderr():  # it imports TensorFlow and Keras
            kept = freeze(row, spec, found, size)
        _keep(row, digest, *kept)
    return digest, kept


def _own_graph(
    row: Architecture,
    found: Weights,
    declared: OwnInput,
    *,
    size: tuple[int, int] | None,
    samples: int | None,
    engine: Engine,
) -> tuple[str, tuple[bytes, dict[str, Any]]]:
    """Return the same of a user's own network, which tells whether it looks or listens."""
    said = [] if declared == OwnInput() else [astuple(declared)]
    parts = [GRAPH_VERSION, row.name, found.sha256, row.default_bottleneck]
    looking, listening = (digest_of([*parts, one, *said]) for one in (size, (samples,)))
    for digest in (looking,) if size else (looking, listening):
        if (kept := read_cached_graph(_stem(row, digest))) is not None:
            return digest, kept
    with silence_native_stderr():
        kept = freeze_own(found, declared, size=size, samples=samples, engine=engine)
    digest = listening if "samples" in kept[1] else looking
    _keep(row, digest, *kept)
    return digest, kept


def _stem(row: Architecture, digest: str) -> Path:
    return cache_folder() / "graphs" / f"{row.name}-{digest}"


def _keep(row: Architecture, digest: str, graph: bytes, shape: Mapping[str, Any]) -> None:
    with suppress(OSError):  # a cache that cannot be written costs time, and not the run
        write_cached_graph(_stem(row, digest), graph, shape)


def loader_of(
    architecture: Architecture, settings: BackboneSettings, *, of_sound: bool, chunk_seconds: float | None = None
) -> Callable[..., Backbone]:
    """Return `load_backbone` with everything given but the bottleneck; the settings name the architecture.

    The size of pictures depends on whether they are of sound, unless the settings decide it. A network that listens
    takes the sounds of chunks of a length, at its own rate.
    """
    if architecture.is_own and settings.bottleneck not in {"auto", architecture.default_bottleneck}:
        log(
            f"Note: {architecture.name} gives the vector of your network and nothing from within, so --bottleneck "
            f"{settings.bottleneck} is passed over."
        )
    looks_at_sound = of_sound and not architecture.is_own and not architecture.listens  # its own network tells its size
    size_for_sound = architecture.sound_size if looks_at_sound else None
    samples = None
    if chunk_seconds is not None and (architecture.is_own or architecture.listens):
        rate = architecture.sample_rate_hz or parse_network_input(settings.network_input).sample_rate_hz
        samples = round(chunk_seconds * rate)
    return partial(
        load_backbone,
        architecture.name,
        weights=settings.weights,
        tfhub_module=settings.tfhub_module,
        onnx_file=settings.onnx_file,
        network_input=settings.network_input,
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
        InputError: an unknown name, a network that listens, or a user's own, which is no Keras model.
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
) -> tuple[int, ...]:
    """Return height and width of pictures, or the number of samples of sounds."""
    if architecture.listens:
        return _sound_size(architecture, image_size, samples)
    if samples is not None:
        raise InputError(
            f"Expected no number of samples for {architecture.name}, which looks at pictures, received {samples}; "
            "leave it out."
        )
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
