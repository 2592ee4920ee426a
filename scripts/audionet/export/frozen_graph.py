"""The classifier as one frozen graph and a list of labels, for the clients of 2015 to 2017 and for anything after.

    picture     input (float32, [n, height, width, 3], 0..1) -> Mul -> resize -> backbone -> head -> final_result
    waveform    input (float32, [n, samples], -1..1) -> picture, jpg coding included -> backbone -> head -> final_result

The 2015 clients feed the operation `Mul`, those of 2017 `input`; both resize to 299 x 299 beforehand, so the graph
brings any picture to the size that its network was trained at. The temperature is in the head.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from audionet.console import silence_native_stderr
from audionet.errors import InputError
from audionet.files import printable, write_bytes, write_text
from audionet.models.classifier import Classifier
from audionet.models.head import Head
from audionet.models.member import Member

ONE_LABEL = "exports give probabilities of labels, and it was trained on one label alone, which has a score instead"


def write_graph(classifier: Classifier, path: Path) -> None:
    """Write a classifier as a frozen GraphDef, whole or not at all.

    The graph takes any number of pictures of any one size and gives their probabilities, float32, [n, labels].
    """
    write_bytes(path, frozen_graph(classifier))


def why_no_graph(classifier: Classifier) -> str:
    """Return why no graph can hold a classifier for pictures, or nothing if one can."""
    if len(classifier.trained_labels) == 1:
        return ONE_LABEL
    looking = [member for member in classifier.members if not member.input.is_sound]
    if not looking:
        return "a frozen graph takes pictures, and this classifier listens"
    return "" if looking[0].is_exportable else f"{looking[0].name} is out of an ONNX file, which OpenVINO alone runs"


def write_labels(classifier: Classifier, path: Path) -> None:
    """Write one label a line, in the order of the graph's outputs."""
    write_text(path, "".join(f"{printable(label)}\n" for label in classifier.labels))


def frozen_graph(classifier: Classifier) -> bytes:
    """Return the serialised GraphDef of a classifier, for pictures of any size."""
    classifier = classifier.for_pictures()
    with _new_graph() as graph:
        levels = _any_pictures(*_size(classifier.members[0]), _at_once(classifier, None))
        definition = _completed(graph, classifier, [levels])
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
        import tensorflow as tf  # imported by now

        shape = [_at_once(classifier, batch), recipe.chunk_samples]
        fed = tf.compat.v1.placeholder(tf.float32, shape, name="input")
        return _completed(graph, classifier, [_of_sound(member, fed) for member in classifier.members])


def picture_graph(classifier: Classifier, *, batch: int | None = None) -> Any:
    """Return the GraphDef of a classifier for `batch` pictures of the size `picture_size`, by default any number."""
    classifier = classifier.for_pictures()
    with _new_graph() as graph:
        at_once = _at_once(classifier, batch)
        levels = _drawn_pictures(picture_size(classifier), *_size(classifier.members[0]), at_once)
        return _completed(graph, classifier, [levels])


def picture_size(classifier: Classifier) -> tuple[int, int]:
    """Return the height and width of the pictures that an export takes: the recipe's, or else the network's."""
    member = classifier.looking_member()
    recipe = member.recipe
    return (recipe.picture_height, recipe.picture_width) if recipe else _size(member)


def _at_once(classifier: Classifier, batch: int | None) -> int | None:
    """Return how many inputs a graph takes at a time: `batch`, or one if a network takes no more."""
    import tensorflow as tf  # imported by now

    for member in classifier.members:
        nodes = tf.compat.v1.GraphDef.FromString(member.graph).node if member.is_exportable else ()
        fed = [node.attr["shape"].shape.dim for node in nodes if node.op == "Placeholder"]
        if any(lengths and lengths[0].size == 1 for lengths in fed):
            return 1
    return batch


@contextmanager
def _new_graph() -> Iterator[Any]:
    """Yield an empty graph that operations are added to."""
    with silence_native_stderr():
        import tensorflow as tf  # several seconds, which only an export should take

    with tf.Graph().as_default() as graph:
        yield graph


def _completed(graph: Any, classifier: Classifier, fed: Sequence[Any]) -> Any:
    """Add a classifier to the graph that is being built, and return its GraphDef.

    Args:
        graph: TensorFlow's.
        classifier: any.
        fed: what each member is given: pictures of its network's own size, whole numbers of 0..255, float32,
            (n, height, width, 3), or sounds, float32, (n, samples).
    """
    import tensorflow as tf  # imported by now

    if len(classifier.trained_labels) == 1:
        raise InputError(f"No export can hold this classifier: {ONE_LABEL}. Use it by the commands or the API.")
    if own := [member.name for member in classifier.members if not member.is_exportable]:
        raise InputError(
            f"No export can hold {own[0]}: it is out of an ONNX file, which OpenVINO alone runs. Export a classifier "
            "of other networks."
        )
    unused: set[str] = set()
    logits = []
    for number, (member, given) in enumerate(zip(classifier.members, fed, strict=True), start=1):
        name = "backbone" if number == 1 else f"backbone_{number}"
        logits.append(_member_logits(member, given, name, unused))
    total = logits[0] if len(logits) == 1 else tf.add_n(logits)
    tf.nn.softmax(total, name="final_result")
    definition = graph.as_graph_def()
    # Nothing feeds the networks' own inputs any more, but OpenVINO would take them for more of them.
    kept = [node for node in definition.node if node.name not in unused]
    del definition.node[:]
    definition.node.extend(kept)
    return definition


def _member_logits(member: Member, given: Any, name: str, unused: set[str]) -> Any:
    """Add a member to the graph, and the names of nodes that nothing feeds any more to those `unused`."""
    import tensorflow as tf  # imported by now

    backbone_graph = tf.compat.v1.GraphDef.FromString(member.graph)
    fed_to = "sounds"
    if not member.input.is_sound:
        # The network begins by casting bytes to floats, which they are already.
        (fed_to,) = (node.name for node in backbone_graph.node if "pictures" in node.input)
        unused.add(f"{name}/pictures")
    unused.add(f"{name}/{fed_to}")
    (bottlenecks,) = tf.graph_util.import_graph_def(
        backbone_graph, input_map={f"{fed_to}:0": given}, return_elements=["bottlenecks:0"], name=name
    )
    # The precision that the cache keeps, as in training and in scoring.
    largest = np.finfo(np.float16).max
    rounded = tf.cast(tf.cast(tf.clip_by_value(bottlenecks, -largest, largest), tf.float16), tf.float32)
    logits = _logits(member.head, rounded)
    return logits if member.weight == 1 else logits * np.float32(member.weight)


def _size(member: Member) -> tuple[int, int]:
    """Return the height and width of the pictures that a member's network takes."""
    return member.input.height, member.input.width


def _of_sound(member: Member, fed: Any) -> Any:
    """Return what a member is given of chunks of sound: pictures, or, in 16 bits as its wav holds it, the sound."""
    import tensorflow as tf  # imported by now

    from audionet.export.spectrogram_graph import picture_of, resized

    if member.input.is_sound:
        return tf.clip_by_value(tf.round(fed * 32_768), -32_768, 32_767) / 32_768
    assert member.recipe is not None  # it is a classifier of sound
    height, width = _size(member)
    return resized(picture_of(fed, member.recipe), height=height, width=width)


def _any_pictures(height: int, width: int, batch: int | None) -> Any:
    import tensorflow as tf  # imported by now

    fed = tf.compat.v1.placeholder(tf.float32, [batch, None, None, 3], name="input")
    fed = tf.identity(fed, name="Mul")
    return tf.clip_by_value(tf.round(tf.image.resize(fed, (height, width)) * 255), 0, 255)


def _drawn_pictures(size: tuple[int, int], height: int, width: int, batch: int | None) -> Any:
    import tensorflow as tf  # imported by now

    from audionet.export.spectrogram_graph import resized

    fed = tf.compat.v1.placeholder(tf.float32, [batch, *size, 3], name="input")
    return resized(tf.clip_by_value(tf.floor(fed * 255 + 0.5), 0, 255), height=height, width=width)


def _logits(head: Head, inputs: Any) -> Any:
    import tensorflow as tf  # imported by now

    if isinstance(head.hidden, Head):
        inputs = tf.nn.relu(_logits(head.hidden, inputs))
    return tf.matmul(inputs, tf.constant(head.weights)) + tf.constant(head.biases)
