"""A network of the user's own: a SavedModel or an ONNX file, found and frozen."""

from pathlib import Path
from typing import Any

import numpy as np

from audionet.errors import InputError, WeightsError
from audionet.files import printable
from audionet.models.backbones.architectures import Architecture
from audionet.models.backbones.engines import open_graph
from audionet.models.backbones.freezing import frozen
from audionet.models.backbones.own.onnx_files import find_onnx
from audionet.models.backbones.own.onnx_networks import OnnxNetwork
from audionet.models.backbones.own.own_input import OwnInput, check_length
from audionet.models.backbones.own.saved_models import SavedNetwork, load_saved_network
from audionet.models.backbones.settings import Engine
from audionet.models.backbones.tfhub import find_module
from audionet.models.backbones.weights import Weights

_OPTIONS = {"tfhub": "--tfhub_module", "onnx": "--onnx_file"}
_EXAMPLES = {"tfhub": "a SavedModel folder, a .tar.gz or an address", "onnx": "an ONNX file"}


def find_own(
    architecture: Architecture, *, tfhub_module: str | None, onnx_file: Path | str | None, weights: Path | str | None
) -> Weights:
    """Return what the user gives as the network of an architecture that has none of its own.

    Raises:
        InputError: it is not given or not there, or weights are given besides.
        WeightsError: it is damaged, or an address does not deliver it.
    """
    given = {"tfhub": tfhub_module, "onnx": onnx_file}[architecture.name]
    if not given or weights is not None:
        raise InputError(
            f"Expected for the architecture {architecture.name} {_OPTIONS[architecture.name]} with "
            f"{_EXAMPLES[architecture.name]}, and no --weights, received {given or 'none'} and {weights or 'none'}; "
            "such a network brings its weights along."
        )
    return find_module(str(given)) if architecture.name == "tfhub" else find_onnx(Path(given))


def refuse_own(architecture: Architecture, **given: object) -> None:
    """Raise InputError if an option is given that another architecture needs; each is named by its field."""
    for option, value in given.items():
        if value is not None:
            owner = next((name for name, text in _OPTIONS.items() if text == f"--{option}"), "tfhub or onnx")
            raise InputError(
                f"Expected no --{option} for the architecture {architecture.name}, received {str(value)!r}; leave it "
                f"out, or choose --architecture {owner}."
            )


def freeze_own(
    weights: Weights, declared: OwnInput, *, size: tuple[int, int] | None, samples: int | None, engine: Engine
) -> tuple[bytes, dict[str, Any]]:
    """Freeze a network for pictures of a size, or for sounds of a number of samples; it tells which of them it takes.

    Returns:
        The graph and its shape, as `freezing.freeze` does.

    Raises:
        InputError: it listens, and there is no sound or a size is given; or levels were declared that it does not take.
        WeightsError: it cannot be loaded or run, or takes or gives something else.
    """
    network = OnnxNetwork(weights, declared) if weights.format == "onnx" else load_saved_network(weights, declared)
    taken, name = network.taken, printable(weights.path.name)
    if not taken.listens:
        height, width = size or taken.picture_size
        graph, dimensions = _frozen(network, (height, width))
        _check_runs(graph, np.zeros((2, height, width, 3), np.uint8), engine, name)
        return graph, {"height": height, "width": width, "dimensions": dimensions}
    if samples is None or size is not None:
        raise InputError(
            f"Expected pictures of sound and no --image_size for {name}, which listens to sound, received "
            f"{'ordinary pictures' if samples is None else f'--image_size {size[0] if size else 0}'}."
        )
    check_length(taken, samples, declared, name=name)
    graph, dimensions = _frozen(network, (samples,))
    noise = np.random.default_rng(0).normal(0, 0.1, (2, samples)).astype(np.float32)
    _check_runs(graph, noise, engine, name)
    return graph, {"samples": samples, "sample_rate_hz": declared.sample_rate_hz, "dimensions": dimensions}


def _frozen(network: OnnxNetwork | SavedNetwork, size: tuple[int, ...]) -> tuple[bytes, list[int]]:
    if isinstance(network, OnnxNetwork):
        return network.frozen(size)
    shape = size if network.taken.listens else (*size, 3)
    return frozen(lambda inputs: [network.vectors(inputs)], shape, batch=1 if network.taken.is_one else None)


def _check_runs(graph: bytes, inputs: np.ndarray, engine: Engine, name: str) -> None:
    """Raise WeightsError unless a graph gives finite numbers for inputs."""
    try:
        vectors = open_graph(graph, engine=engine, input_name="sounds" if inputs.ndim == 2 else "pictures")(inputs)
    except WeightsError as error:
        raise WeightsError(f"{name} cannot be used. {error}") from error
    if not np.isfinite(vectors).all():
        raise WeightsError(f"Expected a network that gives finite numbers, received {name}, which gives others.")
