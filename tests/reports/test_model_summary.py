import dataclasses
import importlib
import json

import numpy as np
import pytest
from conftest import FakeBackbone, member_of

from audionet.models.classifier import Classifier
from audionet.models.head import Head
from audionet.reports import model_summary


def call(*arguments: object) -> int:
    return importlib.import_module("inspect_model").main([str(argument) for argument in arguments])


def convolving_graph() -> bytes:
    """A graph with a convolution, one for each channel, and a matrix product, whose costs are known."""
    tf = pytest.importorskip("tensorflow", reason="the graph is made by tensorflow", exc_type=ImportError)
    with tf.Graph().as_default() as graph:
        pictures = tf.cast(tf.compat.v1.placeholder(tf.uint8, [None, 32, 32, 3], name="pictures"), tf.float32)
        maps = tf.nn.conv2d(pictures, tf.constant(np.ones((3, 3, 3, 8), np.float32)), 2, "SAME")
        maps = tf.nn.depthwise_conv2d(maps, tf.constant(np.ones((5, 5, 8, 1), np.float32)), [1, 1, 1, 1], "SAME")
        tf.identity(tf.matmul(tf.reduce_mean(maps, [1, 2]), tf.constant(np.ones((8, 10), np.float32))), "bottlenecks")
    return graph.as_graph_def().SerializeToString()


def test_parameters_and_multiply_adds_are_counted(tmp_path):
    pytest.importorskip("openvino", reason="OpenVINO counts")
    head = Head(np.zeros((4, 2), np.float32), np.zeros(2, np.float32), Head(np.zeros((10, 4)), np.zeros(4)))
    classifier = Classifier(
        labels=("a", "b"),
        members=(member_of(FakeBackbone(), head, graph=convolving_graph()),),
        about={},
    )
    found = model_summary.inspect(classifier, tmp_path)
    assert found["backbone"]["parameters"] == 3 * 3 * 3 * 8 + 5 * 5 * 8 + 8 * 10
    assert found["backbone"]["multiply_adds"] == 16 * 16 * (8 * 3 * 3 * 3 + 8 * 5 * 5) + 8 * 10
    assert found["head"]["parameters"] == 10 * 4 + 4 + 4 * 2 + 2
    assert found["head"]["multiply_adds"] == 10 * 4 + 4 * 2


def recurrent_graph() -> bytes:
    """A graph that reads sounds of 30 samples as 6 steps of 5 by an LSTM of 4 units."""
    tf = pytest.importorskip("tensorflow", reason="the graph is made by tensorflow", exc_type=ImportError)
    with tf.Graph().as_default() as graph:
        sounds = tf.compat.v1.placeholder(tf.float32, [None, 30], name="sounds")
        steps = tf.transpose(tf.reshape(sounds, (-1, 6, 5)), (1, 0, 2))
        none, no_peephole = tf.zeros((tf.shape(sounds)[0], 4)), tf.zeros((4,))
        read = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.constant(6, tf.int64),
            x=steps,
            cs_prev=none,
            h_prev=none,
            w=tf.constant(np.ones((5 + 4, 4 * 4), np.float32)),
            wci=no_peephole,
            wcf=no_peephole,
            wco=no_peephole,
            b=tf.constant(np.ones(4 * 4, np.float32)),
            cell_clip=-1.0,
        )
        tf.identity(read.h[-1], "bottlenecks")
    return graph.as_graph_def().SerializeToString()


def test_each_step_of_a_recurrent_network_is_counted(tmp_path):
    pytest.importorskip("openvino", reason="OpenVINO counts")
    sounds = {"height": 0, "width": 0, "samples": 30, "sample_rate_hz": 16_000, "dimension": 4}
    head = Head(np.zeros((4, 2), np.float32), np.zeros(2, np.float32))
    member = member_of(FakeBackbone(), head, graph=recurrent_graph())
    member = dataclasses.replace(member, backbone=member.backbone | sounds)
    classifier = Classifier(labels=("a", "b"), members=(member,), about={})
    found = model_summary.inspect(classifier, tmp_path)
    assert found["backbone"]["multiply_adds"] == 6 * 4 * 4 * (5 + 4)
    assert ("Sounds", "30 samples at 16000 Hz") in model_summary.rows_of(classifier, found)


def test_without_openvino_the_network_is_not_counted(trained, saved, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = model_summary.inspect(trained.classifier, saved / "retrained_model")
    assert found["backbone"]["multiply_adds"] is None
    assert ("Multiply-adds", "unknown in the network, 0.3 k on top") in model_summary.rows_of(trained.classifier, found)


def test_a_table_says_what_there_is(saved, capsys):
    assert call("--model", saved / "retrained_model") == 0
    shown = capsys.readouterr().out
    for fact in ("3: alice, bob, carol", "lda", "default: log_mel, 224 x 224", "2 s at 16000 Hz", "held out"):
        assert fact in shown


def test_all_of_it_comes_as_json(saved, trained, capsys):
    assert call("--model", saved / "retrained_model", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["labels"] == ["alice", "bob", "carol"]
    assert found["open_set"]["thresholds"] == trained.classifier.open_set.thresholds.tolist()
    assert found["bytes"]["backbone.pb"] == len(trained.classifier.members[0].graph)
    assert found["scores"]["recording"]["n"] == 3


def test_tensorboard_can_read_the_graph(saved, tmp_path, capsys):
    pytest.importorskip("tensorflow", reason="the graph is made by tensorflow", exc_type=ImportError)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert call("--model", saved / "retrained_model", "--tensorboard", tmp_path / "graph") == 0
    accumulator = EventAccumulator(str(tmp_path / "graph"))
    accumulator.Reload()
    assert "final_result" in {node.name for node in accumulator.Graph().node}
    assert "tensorboard --logdir" in capsys.readouterr().out


def test_a_folder_without_a_classifier_is_named(tmp_path, capsys):
    assert call("--model", tmp_path) == 1
    assert "expected a classifier folder" in capsys.readouterr().err
