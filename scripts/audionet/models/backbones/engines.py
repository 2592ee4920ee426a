"""Engines: OpenVINO or TensorFlow run a frozen graph."""

import importlib.util
import math
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from audionet.console import silence_native_stderr
from audionet.distributed.cluster import NETWORK_THREADS
from audionet.errors import InputError, WeightsError
from audionet.files import brief
from audionet.models.backbones.openvino_graphs import compile_graph, imported_openvino, is_openvino_graph
from audionet.models.backbones.settings import Engine

Runner = Callable[[np.ndarray], np.ndarray]

BFLOAT16: Engine = "openvino_bf16"

TENSORFLOW_BATCH = 32  # pictures; beyond it TensorFlow gains nothing on a CPU

SOUNDS_AT_ONCE = 16  # each step of a recurrent network is too short for a core to be worth taking for one sound
SAMPLES_AT_ONCE = 1 << 20  # so that the memory that they take does not grow with their length


def open_graph(
    graph: bytes,
    *,
    engine: Engine = "auto",
    input_name: str = "pictures",
    output_name: str = "bottlenecks",
    is_kept: bool = False,
) -> Runner:
    """Make a frozen graph ready to run.

    Args:
        graph: a serialised GraphDef, or a graph of OpenVINO's own, as `Backbone.graph` holds it.
        engine: as for `load_backbone`.
        input_name: the operation that pictures or sounds are fed to.
        output_name: the operation that vectors are read from, the graph's last.
        is_kept: whether what OpenVINO compiles of it is kept, so that it opens in a fifth of the time from then on.

    Returns:
        A function from pictures, uint8 [n, height, width, 3] for a backbone, or sounds, float32 [n, samples], to
        vectors, float32 [n, d], its bottlenecks. A vector does not depend on the others in the call. Several threads
        may call it.

    Raises:
        InputError: the engine is unknown or not installed, or cannot run such a graph.
        WeightsError: the graph is damaged; from the function, it does not take such inputs.
    """
    check_engine(engine)
    if is_openvino_graph(graph):
        if engine == "tensorflow":
            raise InputError("--engine: expected auto for a network out of an ONNX file, which OpenVINO alone runs.")
        check_engine("openvino")
        chosen: Engine = "openvino" if engine == "auto" else engine
    else:
        chosen = _chosen_engine() if engine == "auto" else engine
    if chosen == "tensorflow":
        return _TensorFlowRunner(graph, f"{input_name}:0", f"{output_name}:0")
    return _OpenVinoRunner(graph, precision="bf16" if chosen == BFLOAT16 else "f32", is_kept=is_kept)


def check_engine(engine: str) -> None:
    """Raise InputError unless an engine is known and installed."""
    if engine not in get_args(Engine):
        raise InputError(
            f"Expected an engine out of {', '.join(get_args(Engine))}; received {engine!r}; choose one of them."
        )
    package = engine.partition("_")[0]
    if engine != "auto" and importlib.util.find_spec(package) is None:
        raise InputError(
            f"Expected the package {package} for this engine, received none; install it with: pip install {package}"
        )


def _chosen_engine() -> Engine:
    if importlib.util.find_spec("openvino") is None or (has_gpu_device() and _tensorflow_has_gpu()):
        return "tensorflow"
    return "openvino"


def has_gpu_device() -> bool:
    """Look for a GPU without importing TensorFlow, which takes seconds."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") not in {"", "-1"} and Path("/dev/nvidiactl").exists()


def _tensorflow_has_gpu() -> bool:
    if importlib.util.find_spec("tensorflow") is None:
        return False
    with silence_native_stderr():  # a device alone does not say that this TensorFlow was built for it
        import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


class _OpenVinoRunner:
    """Run a graph one picture at a time on each core, or a few sounds.

    With batches of 32 the maps leave the caches, and one picture on all cores leaves cores waiting: both take up to
    three times as long. Sounds are divided evenly among the cores, up to 16 at a time. Unless asked for, numbers are
    not computed in bfloat16 even where the CPU could, so that a bottleneck is the same on every CPU but for rounding.
    """

    def __init__(self, graph: bytes, *, precision: Literal["f32", "bf16"], is_kept: bool) -> None:
        openvino = imported_openvino()
        core = openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise InputError(f"--engine: expected a CPU with bfloat16 for {BFLOAT16}, and this has none; choose auto.")
        options = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
        if threads := os.environ.get(NETWORK_THREADS):
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            with silence_native_stderr():  # of what it thinks of a damaged graph
                compiled = compile_graph(graph, options, is_kept=is_kept)
            self._dimension = compiled.output(0).partial_shape[1].get_length()
            self._takes_one = compiled.input(0).partial_shape[0] == 1
        except (RuntimeError, ValueError, IndexError) as error:
            raise _cannot_run("OpenVINO", error) from error
        self._requests = openvino.AsyncInferQueue(compiled)
        self._turn = threading.Lock()

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        bottlenecks = np.empty((len(inputs), self._dimension), np.float32)

        def keep(request: Any, rows: slice) -> None:
            bottlenecks[rows] = request.get_output_tensor().data

        with self._turn:
            self._requests.set_callback(keep)
            try:
                for rows in self._batches(inputs):
                    self._requests.start_async({0: inputs[rows]}, rows)
                self._requests.wait_all()
            except (RuntimeError, ValueError) as error:
                raise _cannot_take(inputs, error) from error
        return bottlenecks

    def _batches(self, inputs: np.ndarray) -> Iterator[slice]:
        """Yield the rows that are run together."""
        rows = 1
        if inputs.ndim == 2 and not self._takes_one:  # sounds
            fair = math.ceil(len(inputs) / len(self._requests))
            rows = max(1, min(fair, SOUNDS_AT_ONCE, SAMPLES_AT_ONCE // inputs.shape[1]))
        for start in range(0, len(inputs), rows):
            yield slice(start, min(start + rows, len(inputs)))


class _TensorFlowRunner:
    """Run a graph in batches."""

    def __init__(self, graph: bytes, input_tensor: str, output_tensor: str) -> None:
        with silence_native_stderr():
            import tensorflow as tf  # takes seconds
            from google.protobuf.message import DecodeError

        try:
            definition = tf.compat.v1.GraphDef.FromString(graph)
            imported = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
            self._function = imported.prune(input_tensor, output_tensor)
            self._dimension = self._function.outputs[0].shape[1]
            self._at_once = self._function.inputs[0].shape[0] or TENSORFLOW_BATCH
        except (DecodeError, ValueError, KeyError, IndexError) as error:
            raise _cannot_run("TensorFlow", error) from error
        self._constant = tf.constant
        self._faults = (tf.errors.OpError, ValueError, TypeError)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        bottlenecks = np.empty((len(inputs), self._dimension), np.float32)
        for start in range(0, len(inputs), self._at_once):
            batch = slice(start, start + self._at_once)
            try:
                bottlenecks[batch] = self._function(self._constant(inputs[batch])).numpy()
            except self._faults as error:
                raise _cannot_take(inputs, error) from error
        return bottlenecks


def _cannot_run(engine: str, error: Exception) -> WeightsError:
    return WeightsError(
        f"Expected a whole frozen graph, received one that {engine} cannot run ({_on_one_line(error)})."
        f"{' If you trust it, try --engine tensorflow.' if engine == 'OpenVINO' else ''}"
    )


def _cannot_take(inputs: np.ndarray, error: Exception) -> WeightsError:
    return WeightsError(
        f"Expected a graph that makes vectors of {inputs.dtype} inputs of shape {inputs.shape[1:]}, received one that "
        f"cannot ({_on_one_line(error)})."
    )


def _on_one_line(error: Exception) -> str:
    return brief(" ".join(str(error).split()))
