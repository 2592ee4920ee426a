"""TensorFlow's BlockLSTM in ONNX: the one operation of networks that listen which tf2onnx does not translate."""

from typing import Any

import numpy as np

from audionet.errors import ExportError


def check_recurrence(definition: Any) -> None:
    """Raise ExportError where a GraphDef has a BlockLSTM with what `block_lstm` does not translate."""
    for node in definition.node:
        attributes = node.attr
        if node.op == "BlockLSTM" and (
            attributes["use_peephole"].b or attributes["cell_clip"].f > 0 or attributes["forget_bias"].f
        ):
            raise ExportError(
                f"onnx holds no LSTM with peepholes, limited cells or an additional bias, as {node.name} is. Choose "
                "another --format."
            )


def block_lstm(context: Any, node: Any, _name: str, _arguments: Any) -> None:
    """Replace a BlockLSTM, as tf2onnx calls the handler of an operation, by ONNX's LSTM.

    Both take frames first, [frames, n, inputs]. TensorFlow's gates are in the order input, cell, forget, output, those
    of ONNX input, output, forget, cell; weights of what was put out lie behind those of what comes in.
    """
    weights, biases = (
        context.get_node_by_output(node.input[place]).get_tensor_value(as_list=False) for place in (4, 8)
    )
    units = weights.shape[1] // 4
    inputs = weights.shape[0] - units
    given, cell, forget, out = np.split(weights, 4, axis=1)
    by_gate = np.concatenate([given, out, forget, cell], axis=1).T[None]
    given, cell, forget, out = np.split(biases, 4)
    bias = np.concatenate([given, out, forget, cell, np.zeros(4 * units, biases.dtype)])[None]
    frames, read = node.input[1], node.output[6]
    states = [_with_direction(context, node.input[place]) for place in (3, 2)]
    constants = [_constant(context, value) for value in (by_gate[..., :inputs], by_gate[..., inputs:], bias)]
    context.remove_node(node.name)
    lstm = context.make_node("LSTM", [frames, *constants, "", *states], attr={"hidden_size": units})
    axis = _constant(context, np.array([1], np.int64))
    context.make_node("Squeeze", [lstm.output[0], axis], outputs=[read], op_name_scope=node.name)


def _with_direction(context: Any, state: str) -> str:
    """Return the name of a state, [n, units], as ONNX has it, [1, n, units]."""
    axis = _constant(context, np.array([0], np.int64))
    return str(context.make_node("Unsqueeze", [state, axis]).output[0])


def _constant(context: Any, value: np.ndarray) -> str:
    from tf2onnx import utils

    return str(context.make_const(utils.make_name("lstm"), np.ascontiguousarray(value)).output[0])
