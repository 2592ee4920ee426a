"""The formats that a classifier is exported to: written, described, opened by their own runtimes and run.

`FORMATS` has one row for each. All hold the same graph, `input` -> `final_result`, and the same description as JSON:

    graph           audionet, an attribute of the node final_result
    saved_model     audionet.json in the folder
    openvino        audionet.json in the folder, and `audionet` in the model's runtime information
    keras, tflite   audionet.json in the file, which is a zip archive too; tflite has labels.txt besides
    onnx            audionet, an entry of the model's metadata

A runtime is opened as somebody would who has nothing but the export and the runtime's own package.
"""

import importlib
import importlib.util
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audionet.errors import InputError
from audionet.files import MARK_NAME, printable
from audionet.models.backbones.engines import Runner

OPSET = 18  # of ONNX
LABELS_NAME = "labels.txt"


@dataclass(frozen=True)
class Tolerance:
    """How far an export's answers may lie from those of its classifier.

    Attributes:
        drift: the share of probability that lies with another label, in the mean over chunks.
        disagreement: the share of chunks whose likeliest label is another; one chunk always may.
    """

    drift: float
    disagreement: float

    def allows(self, *, drift: float, disagreeing: int, chunks: int) -> bool:
        """Tell whether so much is within what is tolerated."""
        return drift <= self.drift and disagreeing <= max(1, self.disagreement * chunks)


@dataclass(frozen=True)
class Written:
    """What a writer is given.

    Attributes:
        graph: the GraphDef.
        about: the description.
        chunks: what to calibrate on: inputs of one chunk each, shape (1, ...).
    """

    graph: Any
    about: dict
    chunks: Sequence[np.ndarray]


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        suffix: of its file; empty for a folder.
        packages: what writing and running it needs besides those that all need.
        one_chunk: whether it takes one chunk at a time.
        is_calibrated: whether it is calibrated on chunks.
        tolerance: for its answers.
        write: writes the export to a path that does not exist, or into a folder that is empty.
        open: opens it and returns its description, and a function from inputs, shape (1, ...), to probabilities.
    """

    suffix: str
    packages: tuple[str, ...]
    one_chunk: bool
    is_calibrated: bool
    tolerance: Tolerance
    write: Callable[[Written, Path], None]
    open: Callable[[Path], tuple[dict, Runner]]


def check_packages(name: str) -> None:
    """Raise unless the packages that a format needs are installed.

    Raises:
        InputError: one is missing.
    """
    missing = [package for package in FORMATS[name].packages if importlib.util.find_spec(package) is None]
    if missing:
        raise InputError(
            f"--format {name} needs {' and '.join(missing)}, which is not installed. Type: pip install "
            "'./scripts[export]'."
        )


# Graph


def _write_graph(written: Written, path: Path) -> None:
    for node in written.graph.node:
        if node.name == "final_result":
            node.attr["_audionet"].s = json.dumps(written.about).encode()
    path.write_bytes(written.graph.SerializeToString(deterministic=True))


def _open_graph(path: Path) -> tuple[dict, Runner]:
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    (about,) = (node.attr["_audionet"].s for node in definition.node if node.name == "final_result")
    function = _function(definition)
    return json.loads(about), lambda inputs: function(tf.constant(inputs)).numpy()


def _function(definition: Any) -> Any:
    import tensorflow as tf

    imported = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])
    return imported.prune("input:0", "final_result:0")


# SavedModel


def _write_saved_model(written: Written, path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    frozen = _function(written.graph)
    module.probabilities = tf.function(
        lambda input: {"final_result": frozen(input)},
        input_signature=[tf.TensorSpec(frozen.inputs[0].shape, tf.float32, name="input")],
    )
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.probabilities})


def _open_saved_model(path: Path) -> tuple[dict, Runner]:
    import tensorflow as tf

    model = tf.saved_model.load(str(path))
    serve = model.signatures["serving_default"]
    return _marked(path), lambda inputs: serve(input=tf.constant(inputs))["final_result"].numpy()


def _marked(path: Path) -> dict:
    return json.loads((path / MARK_NAME).read_text("utf-8"))["about"]


# Keras


def _write_keras(written: Written, path: Path) -> None:
    from audionet.export.keras_graph import keras_model

    keras_model(written.graph).save(path)
    _pack(path, {MARK_NAME: json.dumps(written.about)})


def _open_keras(path: Path) -> tuple[dict, Runner]:
    import keras

    model = keras.models.load_model(path)
    return _unpacked(path), model.predict_on_batch


def _pack(path: Path, texts: dict[str, str]) -> None:
    """Put texts into a file that is a zip archive, or to the end of one that is not."""
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in texts.items():
            archive.writestr(name, text)


def _unpacked(path: Path) -> dict:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(MARK_NAME))


# TFLite


def _write_tflite(written: Written, path: Path) -> None:
    path.write_bytes(_converter(written).convert())
    _pack_tflite(written, path)


def _write_tflite_int8(written: Written, path: Path) -> None:
    """Write the network in 8 bits, calibrated on chunks; what draws before it, and the head, stay as they are.

    Sound has a range of a million to one in power, of which 8 bits would leave nothing.
    """
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    def chunks() -> Iterator[list[np.ndarray]]:
        for chunk in written.chunks:
            yield [chunk]

    tensors = Interpreter(model_content=_converter(written).convert()).get_tensor_details()
    converter = _converter(written)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = chunks
    options = tf.lite.experimental.QuantizationDebugOptions(
        denylisted_nodes=[tensor["name"] for tensor in tensors if not tensor["name"].startswith("backbone/")]
    )
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=chunks, debug_options=options
    )
    path.write_bytes(debugger.get_nondebug_quantized_model())
    _pack_tflite(written, path)


def _converter(written: Written) -> Any:
    import tensorflow as tf

    return tf.lite.TFLiteConverter.from_concrete_functions([_function(written.graph)], None)


def _pack_tflite(written: Written, path: Path) -> None:
    labels = "".join(f"{printable(label)}\n" for label in written.about["labels"])
    _pack(path, {MARK_NAME: json.dumps(written.about), LABELS_NAME: labels})


def _open_tflite(path: Path) -> tuple[dict, Runner]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    (fed,), (read,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(inputs: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(fed["index"], inputs)
        interpreter.invoke()
        return interpreter.get_tensor(read["index"])

    return _unpacked(path), run


# ONNX


def _write_onnx(written: Written, path: Path) -> None:
    import onnx
    import tf2onnx

    model, _ = tf2onnx.convert.from_graph_def(
        written.graph, input_names=["input:0"], output_names=["final_result:0"], opset=OPSET
    )
    _rename(model.graph, {"input:0": "input", "final_result:0": "final_result"})
    onnx.helper.set_model_props(model, {"audionet": json.dumps(written.about)})
    onnx.save(model, path)


def _rename(graph: Any, names: dict[str, str]) -> None:
    for node in graph.node:
        for places in (node.input, node.output):
            places[:] = [names.get(name, name) for name in places]
    for value in (*graph.input, *graph.output):
        value.name = names.get(value.name, value.name)


def _open_onnx(path: Path) -> tuple[dict, Runner]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["audionet"])
    return about, lambda inputs: session.run(["final_result"], {"input": inputs})[0]


# OpenVINO


def _write_openvino(written: Written, path: Path) -> None:
    import openvino

    with tempfile.TemporaryDirectory(prefix="audionet-") as folder:
        graph = Path(folder) / "graph.pb"
        graph.write_bytes(written.graph.SerializeToString(deterministic=True))
        model = openvino.Core().read_model(graph)
    model.inputs[0].get_tensor().set_names({"input"})
    model.outputs[0].get_tensor().set_names({"final_result"})
    model.set_rt_info(json.dumps(written.about), ["audionet"])
    openvino.save_model(model, path / "model.xml", compress_to_fp16=False)


def _open_openvino(path: Path) -> tuple[dict, Runner]:
    import openvino

    core = openvino.Core()
    # Numbers that the file holds, whatever faster ones the CPU would round them to.
    compiled = core.compile_model(core.read_model(path / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return _marked(path), lambda inputs: compiled({"input": inputs})["final_result"]


_EXACT = Tolerance(drift=0.01, disagreement=0.01)
_ROUNDED = Tolerance(drift=0.05, disagreement=0.05)
_LITERT = "ai_edge_litert"

FORMATS = {
    "saved_model": Format("", (), False, False, _EXACT, _write_saved_model, _open_saved_model),
    "keras": Format(".keras", (), False, False, _EXACT, _write_keras, _open_keras),
    "graph": Format(".pb", (), False, False, _EXACT, _write_graph, _open_graph),
    "tflite": Format(".tflite", (_LITERT,), True, False, _EXACT, _write_tflite, _open_tflite),
    "tflite_int8": Format(".tflite", (_LITERT,), True, True, _ROUNDED, _write_tflite_int8, _open_tflite),
    "onnx": Format(".onnx", ("tf2onnx", "onnx", "onnxruntime"), False, False, _EXACT, _write_onnx, _open_onnx),
    "openvino": Format("", ("openvino",), False, False, _EXACT, _write_openvino, _open_openvino),
}
