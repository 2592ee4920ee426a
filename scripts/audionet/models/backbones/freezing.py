"""A network frozen into one TensorFlow graph, which is cached."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from audionet.files import sha256_of, write_bytes, write_json
from audionet.models.backbones.architectures import Architecture
from audionet.models.backbones.taps import BottleneckSpec, tap_vectors
from audionet.models.backbones.weights import Weights


def pair_of(image_size: int | tuple[int, int]) -> tuple[int, int]:
    """Return height and width."""
    return (image_size, image_size) if isinstance(image_size, int) else image_size


def read_cached_graph(stem: Path) -> tuple[bytes, dict[str, Any]] | None:
    """Return a cached graph and its shape if both files are whole, else None."""
    try:
        kept = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
        graph = stem.with_suffix(".pb").read_bytes()
        return (graph, kept["shape"]) if kept["graph_sha256"] == sha256_of(graph) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_cached_graph(stem: Path, graph: bytes, shape: Mapping[str, Any]) -> None:
    """Write the graph and then its shape, so that there is no shape without its graph."""
    write_bytes(stem.with_suffix(".pb"), graph)
    write_json(stem.with_suffix(".json"), {"graph_sha256": sha256_of(graph), "shape": shape})


def freeze(
    architecture: Architecture, spec: BottleneckSpec, weights: Weights, size: tuple[int, ...]
) -> tuple[bytes, dict[str, Any]]:
    """Build a network and freeze it; return the graph, its shape: what it takes, and the dimension of each part.

    The size is height and width of the pictures, or, for a network that listens, the number of samples of the sounds.
    """
    if architecture.listens:
        return _freeze_listening(architecture, weights, size)
    assert architecture.build is not None  # others are frozen by `freeze_own`
    height, width = size
    vectors = tap_vectors(architecture.build(weights, height=height, width=width), architecture, spec)
    graph, dimensions = frozen(vectors, (height, width, 3))
    return graph, {"height": height, "width": width, "dimensions": dimensions}


def _freeze_listening(
    architecture: Architecture, weights: Weights, size: tuple[int, ...]
) -> tuple[bytes, dict[str, Any]]:
    assert architecture.build is not None
    (samples,) = size
    network = architecture.build(weights, samples=samples)
    graph, dimensions = frozen(lambda sounds: [network(sounds)], size)
    return graph, {"samples": samples, "sample_rate_hz": architecture.sample_rate_hz, "dimensions": dimensions}


def frozen(
    vectors: Callable[[Any], Sequence[Any]], shape: Sequence[int], *, batch: int | None = None
) -> tuple[bytes, list[int]]:
    """Freeze a function from inputs, float32 [n, *shape], to vectors, float32 [n, d] each.

    Inputs are pictures if the shape is [height, width, 3], uint8 in the graph and in 0..255 for the function; and
    sounds, float32 in -1..1, if it is [samples]. If a `batch` is given, n is always that.

    Returns:
        The serialised GraphDef, which `open_graph` runs and whose bottlenecks are the vectors side by side, and the
        dimension of each. The same function gives the same bytes, in every process.
    """
    # TensorFlow takes seconds to import, and a graph is frozen once.
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    dimensions: list[int] = []

    def bottlenecks(inputs: Any) -> Any:
        parts = vectors(tf.cast(inputs, tf.float32))
        dimensions[:] = [part.shape[1] for part in parts]
        return tf.identity(tf.concat(parts, axis=1), name="bottlenecks")

    name, dtype = ("pictures", tf.uint8) if len(shape) == 3 else ("sounds", tf.float32)
    inputs = tf.TensorSpec((batch, *shape), dtype, name=name)
    function = tf.function(bottlenecks, input_signature=[inputs], autograph=False)
    constant = convert_variables_to_constants_v2(function.get_concrete_function())
    graph = constant.graph.as_graph_def()
    (returned,) = constant.outputs  # a second identity, which a function puts behind what it returns
    graph = _with_stable_names(_without(graph, returned.op.name))
    return graph.SerializeToString(deterministic=True), dimensions


def _without(graph: Any, output: str) -> Any:
    """Take a node that nothing reads out of a graph, and what only it read."""
    kept = [node for node in graph.node if node.name != output]
    read = {_node_of(source) for node in kept for source in node.input} | {"bottlenecks"}
    kept = [node for node in kept if node.name in read]
    del graph.node[:]
    graph.node.extend(kept)
    return graph


def _with_stable_names(graph: Any) -> Any:
    """Renumber the nodes and scopes of the same name, in the order of the graph.

    Keras numbers layers by how many of a kind the process has built. With these numbers, the bytes of a network, and so
    the fingerprint of its classifier, would depend on what was built before.
    """
    new_names = {name: name for name in ("pictures", "sounds", "bottlenecks")}
    uses = Counter(new_names.values())
    for node in graph.node:
        path = new_path = ""
        for part in node.name.split("/"):
            path += f"/{part}" if path else part
            if path not in new_names:
                name = f"{new_path}/{_unnumbered(part)}" if new_path else _unnumbered(part)
                new_names[path] = f"{name}_{uses[name]}" if uses[name] else name
                uses[name] += 1
            new_path = new_names[path]
    for node in graph.node:
        node.name = new_names[node.name]
        node.input[:] = [source.replace(_node_of(source), new_names[_node_of(source)], 1) for source in node.input]
    return graph


def _unnumbered(name: str) -> str:
    return re.sub(r"(?<=.)(_\d+)+$", "", name)


def _node_of(source: str) -> str:
    """Return the node behind an input: `name`, `name:1` or `^name`."""
    return source.removeprefix("^").partition(":")[0]
