"""A frozen graph as a Keras model."""

import pytest

from audionet.errors import InputError
from audionet.export.frozen_graph import picture_graph

pytest.importorskip("tensorflow", reason="exports need tensorflow", exc_type=ImportError)
keras_graph = pytest.importorskip("audionet.export.keras_graph")


def test_an_operation_without_a_counterpart_in_keras_is_named(trained):
    graph = picture_graph(trained.classifier)
    next(node for node in graph.node if node.op == "Softmax").op = "LogSoftmax"
    with pytest.raises(InputError, match="has the operation LogSoftmax, which has no counterpart in Keras"):
        keras_graph.keras_model(graph)
