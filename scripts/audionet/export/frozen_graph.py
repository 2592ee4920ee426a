"""The classifier as one frozen graph and a list of labels, for the clients of 2015 to 2017 and for anything after.

    picture     input (float32, [n, height, width, 3], 0..1) -> Mul -> resize -> backbone -> head -> final_result
    waveform    input (float32, [n, samples], -1..1) -> picture, jpg coding included -> backbone -> head -> final_result

The 2015 clients feed the operation `Mul`, those of 2017 `input`; both resize to 299 x 299 beforehand, so the graph
brings any picture to the size that its network was trained at. The temperature is in the head.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from audionet.console import silence_native_stderr
from audionet.errors import InputError
from audionet.features.recipes import Recipe
from audionet.files import printable, write_bytes, write_text
from audionet.models.classifier import Classifier
from audionet.models.head import Head


def write_graph(classifier: Classifier, path: Path) -> None:
    """Write a classifier as a frozen GraphDef, whole or not at all.

    The graph takes any number of pictures of any one size and gives their probabilities, float32, [n, labels].
    """
    write_bytes(path, frozen_graph(classifier))


def write_labels(classifier: Classifier, path: Path) -> None:
    """Write one label a line, in the order of the graph's outputs."""
    write_text(path, "".join(f"{printable(label)}\n" for label in classifier.labels))


def frozen_graph(classifier: Classifier) -> bytes:
    """Return the serialised GraphDef of a classifier, for pictures of any size."""
    with _new_graph() as graph:
        definition = _completed(graph, classifier, _any_pictures(*_size(classifier)))
    return bytes(definition.SerializeToString(deterministic=True))


def waveform_graph(classifier: Classifier, *, batch: int | None = None) -> Any:
    """Return the GraphDef of a classifier for chunks of sound, float32, shape (batch, chunk_samples).

    Raises:
        InputError: the classifier is of ordinary pictures, or its drawing is not to be had in a graph.
    """
    recipe = classifier.recipe
    if recipe is None:
        raise InputError("--input: this classifier was trained on ordinary pictures; pass --input picture.")
    with _new_graph() as graph:
        return _completed(graph, classifier, _waveforms(recipe, *_size(classifier), batch))


def picture_graph(classifier: Classifier, *, batch: int | None = None) -> Any:
    """Return the GraphDef of a classifier for `batch` pictures of the size `picture_size`, by default any number."""
    with _new_graph() as graph:
        return _completed(graph, classifier, _drawn_pictures(picture_size(classifier), *_size(classifier), batch))


def picture_size(classifier: Classifier) -> tuple[int, int]:
    """Return the height and width of the pictures that an export takes: the recipe's, or else the network's."""
    recipe = classifier.recipe
    return (recipe.picture_height, recipe.picture_width) if recipe else _size(classifier)


@contextmanager
def _new_graph() -> Iterator[Any]:
    """Yield an empty graph that operations are added to."""
    with silence_native_stderr():
        import tensorflow as tf  # several seconds, which only an export should take

    with tf.Graph().as_default() as graph:
        yield graph


def _completed(graph: Any, classifier: Classifier, levels: Any) -> Any:
    """Add a classifier to the graph that is being built, and return its GraphDef.

    Args:
        graph: TensorFlow's.
        classifier: any.
        levels: pictures of the network's own size in it, whole numbers of 0..255, float32, (n, height, width, 3).
    """
    import tensorflow as tf  # imported by now

    backbone_graph = tf.compat.v1.GraphDef.FromString(classifier.members[0].graph)
    # The network begins by casting bytes to floats, which they are already.
    (cast,) = (node.name for node in backbone_graph.node if "pictures" in node.input)
    (bottlenecks,) = tf.graph_util.import_graph_def(
        backbone_graph, input_map={f"{cast}:0": levels}, return_elements=["bottlenecks:0"], name="backbone"
    )
    # The precision that the cache keeps, as in training and in scoring.
    largest = np.finfo(np.float16).max
    rounded = tf.cast(tf.cast(tf.clip_by_value(bottlenecks, -largest, largest), tf.float16), tf.float32)
    tf.nn.softmax(_logits(classifier.members[0].head, rounded), name="final_result")
    definition = graph.as_graph_def()
    # Nothing feeds the network's own input any more, but OpenVINO would take it for a second one.
    kept = [node for node in definition.node if node.name not in ("backbone/pictures", f"backbone/{cast}")]
    del definition.node[:]
    definition.node.extend(kept)
    return definition


def _size(classifier: Classifier) -> tuple[int, int]:
    """Return the height and width of the pictures that the network takes."""
    backbone = classifier.members[0].backbone
    return backbone["height"], backbone["width"]


def _any_pictures(height: int, width: int) -> Any:
    import tensorflow as tf  # imported by now

    fed = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3], name="input")
    fed = tf.identity(fed, name="Mul")
    return tf.clip_by_value(tf.round(tf.image.resize(fed, (height, width)) * 255), 0, 255)


def _drawn_pictures(size: tuple[int, int], height: int, width: int, batch: int | None) -> Any:
    import tensorflow as tf  # imported by now

    from audionet.export.spectrogram_graph import resized

    fed = tf.compat.v1.placeholder(tf.float32, [batch, *size, 3], name="input")
    return resized(tf.clip_by_value(tf.floor(fed * 255 + 0.5), 0, 255), height=height, width=width)


def _waveforms(recipe: Recipe, height: int, width: int, batch: int | None) -> Any:
    import tensorflow as tf  # imported by now

    from audionet.export.spectrogram_graph import picture_of, resized

    fed = tf.compat.v1.placeholder(tf.float32, [batch, recipe.chunk_samples], name="input")
    return resized(picture_of(fed, recipe), height=height, width=width)


def _logits(head: Head, inputs: Any) -> Any:
    import tensorflow as tf  # imported by now

    if head.hidden:
        inputs = tf.nn.relu(_logits(head.hidden, inputs))
    return tf.matmul(inputs, tf.constant(head.weights)) + tf.constant(head.biases)
