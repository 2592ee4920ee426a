"""A recurrent layer in ONNX gives what it gives in TensorFlow."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="exports need tensorflow", exc_type=ImportError)
tf2onnx = pytest.importorskip("tf2onnx", reason="pip install './scripts[export]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install './scripts[export]'")

from audionet.errors import ExportError  # noqa: E402 - what they need may not be there
from audionet.export.onnx_lstm import block_lstm, check_recurrence  # noqa: E402

FRAMES, COUNT, INPUTS, UNITS = 7, 3, 5, 4


def recurrent_graph(*, states: bool = False, **attributes):
    """Return a graph with a recurrent layer, frames in, [frames, n, inputs], and what it puts out."""
    rng = np.random.default_rng(0)
    with tf.Graph().as_default() as graph:
        frames = tf.compat.v1.placeholder(tf.float32, [FRAMES, COUNT, INPUTS], name="frames")
        cells, before = (rng.normal(0, states, (COUNT, UNITS)).astype(np.float32) for _ in range(2))
        none = tf.zeros(UNITS)
        read = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.constant(FRAMES, tf.int64),
            x=frames,
            cs_prev=tf.constant(cells),
            h_prev=tf.constant(before),
            w=tf.constant(rng.normal(size=(INPUTS + UNITS, 4 * UNITS)).astype(np.float32)),
            wci=none,
            wcf=none,
            wco=none,
            b=tf.constant(rng.normal(size=4 * UNITS).astype(np.float32)),
            **{"forget_bias": 0.0, "cell_clip": -1.0, "use_peephole": False, **attributes},
        )
        tf.identity(read.h, name="read")
    return graph.as_graph_def()


def in_onnx(definition) -> bytes:
    handlers = {"BlockLSTM": (block_lstm, [])}
    model, _ = tf2onnx.convert.from_graph_def(
        definition, input_names=["frames:0"], output_names=["read:0"], opset=17, custom_op_handlers=handlers
    )
    return model.SerializeToString()


@pytest.mark.parametrize("states", [False, True])
def test_it_puts_out_the_same(states):
    definition = recurrent_graph(states=states)
    frames = np.random.default_rng(1).normal(size=(FRAMES, COUNT, INPUTS)).astype(np.float32)
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        tf.import_graph_def(definition, name="")
        expected = session.run("read:0", {"frames:0": frames})
    session = onnxruntime.InferenceSession(in_onnx(definition), providers=["CPUExecutionProvider"])
    assert session.run(["read:0"], {"frames:0": frames})[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("attributes", [{"forget_bias": 1.0}, {"cell_clip": 3.0}, {"use_peephole": True}])
def test_what_onnx_has_not_is_refused(attributes):
    check_recurrence(recurrent_graph())
    with pytest.raises(ExportError, match="onnx holds no LSTM with peepholes"):
        check_recurrence(recurrent_graph(**attributes))
