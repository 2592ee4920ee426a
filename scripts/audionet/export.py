"""The classifier as one frozen graph and a list of labels, for the clients of 2015 to 2017 and for anything after.

    input (float32, [n, height, width, 3], 0..1) -> Mul -> resize -> backbone -> head -> final_result

The 2015 clients feed the operation `Mul`, those of 2017 `input`; both resize to 299 x 299 beforehand, so the graph
brings whatever it is fed to the size that its network was trained at.
"""

from pathlib import Path
from typing import Any

import numpy as np

from audionet.classifier import Classifier
from audionet.files import printable, write_bytes, write_text
from audionet.head import Head
from audionet.screen import hushed


def write_graph(classifier: Classifier, path: Path) -> None:
    """Write a classifier as a frozen GraphDef, whole or not at all.

    The graph takes any number of pictures of any one size and gives their probabilities, float32, [n, labels].
    """
    write_bytes(path, frozen_graph(classifier))


def write_labels(classifier: Classifier, path: Path) -> None:
    """Write one label a line, in the order of the graph's outputs."""
    write_text(path, "".join(f"{printable(label)}\n" for label in classifier.labels))


def frozen_graph(classifier: Classifier) -> bytes:
    """Return the serialised GraphDef of a classifier."""
    with hushed():
        import tensorflow as tf  # several seconds, which only an export should take

    backbone_graph = tf.compat.v1.GraphDef.FromString(classifier.graph)
    size = (classifier.about["backbone"]["height"], classifier.about["backbone"]["width"])
    with tf.Graph().as_default() as graph:
        fed = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3], name="input")
        fed = tf.identity(fed, name="Mul")
        levels = tf.clip_by_value(tf.round(tf.image.resize(fed, size) * 255), 0, 255)
        (bottlenecks,) = tf.graph_util.import_graph_def(
            backbone_graph,
            input_map={"pictures:0": tf.cast(levels, tf.uint8)},
            return_elements=["bottlenecks:0"],
            name="backbone",
        )
        # The precision that the cache keeps, as in training and in scoring.
        largest = np.finfo(np.float16).max
        rounded = tf.cast(tf.cast(tf.clip_by_value(bottlenecks, -largest, largest), tf.float16), tf.float32)
        tf.nn.softmax(_logits(classifier.head, rounded), name="final_result")
    definition = graph.as_graph_def()
    # Nothing feeds the backbone's own input any more, but OpenVINO would take it for a second one.
    kept = [node for node in definition.node if node.name != "backbone/pictures"]
    del definition.node[:]
    definition.node.extend(kept)
    return definition.SerializeToString(deterministic=True)


def _logits(head: Head, inputs: Any) -> Any:
    import tensorflow as tf  # imported by now

    if head.hidden:
        inputs = tf.nn.relu(_logits(head.hidden, inputs))
    return tf.matmul(inputs, tf.constant(head.weights)) + tf.constant(head.biases)
