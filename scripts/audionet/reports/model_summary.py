"""What a classifier folder holds, in words and numbers: its network, its head, its training and what it costs."""

import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audionet.console import silence_native_stderr
from audionet.export.frozen_graph import frozen_graph
from audionet.files import mark_folder, printable, read_mark
from audionet.models.backbones.openvino_graphs import read_graph
from audionet.models.classifier import Classifier
from audionet.models.classifier_folder import read_metrics
from audionet.models.head import Distance, Head
from audionet.models.member import Member
from audionet.reports.sections.model_card import card_of_classifier
from audionet.scratch import temporary_folder
from audionet.wording import answers_in_words

_PRODUCTS = ("Convolution", "GroupConvolution", "MatMul", "Loop")


def inspect(classifier: Classifier, folder: Path) -> dict[str, Any]:
    """Return what there is to say about a classifier and the folder that it was loaded from, as JSON.

    Returns:
        `fingerprint`, `labels`, `recipe`; `backbone` as `Backbone.describe` gives it, with `parameters` and, for
        one picture or sound, `multiply_adds`; of several `members` the `name`, the `weight` and the same; `head` with
        `trainer`, `temperature`, `parameters` and `multiply_adds`;
        `open_set`, or None; `training` as it was noted; `scores` of the recordings held out: `chunk` and `recording`;
        `bytes` by file. Numbers of the network are None where OpenVINO, which counts them, is not installed.
    """
    first, training = classifier.members[0], dict(classifier.about.get("training", {}))
    metrics = read_metrics(folder)
    return {
        "fingerprint": classifier.fingerprint,
        "labels": list(classifier.labels),
        "recipe": classifier.recipe.to_json() if classifier.recipe else None,
        "backbone": {**first.backbone, **_cost_of_graph(first.graph)},
        "head": {
            "trainer": training.pop("trainer", None),
            "temperature": training.pop("temperature", None),
            "parameters": _parameters(first.head),
            "multiply_adds": _parameters(first.head) - _biases(first.head),
        },
        **({"members": [_member(member) for member in classifier.members]} if len(classifier.members) > 1 else {}),
        "open_set": classifier.open_set.to_json() if classifier.open_set else None,
        "training": training,
        "scores": {part: metrics[part] for part in ("chunk", "recording") if part in metrics},
        "bytes": {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.is_file()},
    }


def _member(member: Member) -> dict[str, Any]:
    return {
        "name": member.name,
        "weight": member.weight,
        "backbone": {**member.backbone, **_cost_of_graph(member.graph)},
    }


def rows_of(classifier: Classifier, found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what `inspect` found as the rows of a table: what, and how much."""
    backbone, head, recipe = found["backbone"], found["head"], classifier.recipe
    network = [
        ("Sounds", f"{backbone['samples']} samples at {backbone['sample_rate_hz']} Hz")
        if "samples" in backbone
        else ("Pictures", f"{backbone['height']} x {backbone['width']}"),
        ("Bottleneck", f"{backbone['dimension']} numbers"),
        ("Parameters", f"{_count(backbone['parameters'])} in the network, {_count(head['parameters'])} on top"),
        (
            "Multiply-adds",
            f"{_count(backbone['multiply_adds'])} in the network, {_count(head['multiply_adds'])} on top",
        ),
    ]
    sound = []
    if recipe:
        sound = [
            ("Recipe", f"{recipe.name}: {recipe.drawing}, {recipe.picture_height} x {recipe.picture_width}"),
            ("Chunks", f"{recipe.chunk_seconds:g} s at {recipe.sample_rate_hz} Hz"),
            ("Windows", f"{', '.join(map(str, recipe.window_samples))} samples"),
        ]
    scores = [
        (f"Right by {part}", f"{score['accuracy']:.1%} of {score['n']} held out, without a threshold")
        for part, score in found["scores"].items()
    ]
    if (recording := found["scores"].get("recording")) and "named_right" in recording:
        scores.append(("Answers", answers_in_words(recording)))
    unknown = []
    if classifier.open_set:
        unknown = [("Unknown", classifier.open_set.sentence())]
        unknown += [
            (f"  at a rate of {point.stated_rate:g}", f"refuses {point.false_reject_rate:.1%} of known recordings")
            for point in classifier.open_set.operating_points
        ]
    space = classifier.similarity
    compared = [("Comparisons", f"{space.sentence()} {space.background}".strip())] if space else []
    more = [
        *network,
        *sound,
        *scores,
        *unknown,
        *compared,
        ("Size", f"{sum(found['bytes'].values()) / 1e6:.1f} MB in {len(found['bytes'])} files"),
        ("Fingerprint", found["fingerprint"]),
    ]
    return [(name, printable(text)) for name, text in card_of_classifier(classifier, more=more).facts]


def write_tensorboard(classifier: Classifier, folder: Path) -> None:
    """Write the frozen graph of a classifier to where `tensorboard --logdir` shows it."""
    graph = frozen_graph(classifier)
    with silence_native_stderr():
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if read_mark(folder) is None:
            mark_folder(folder, "summaries")
        writer = EventFileWriter(str(folder))
        writer.add_event(Event(graph_def=graph))
        writer.close()


def _cost_of_graph(graph: bytes) -> dict[str, int | None]:
    """Return how many numbers a network holds, and how many it multiplies and adds for one picture or sound.

    Nobody can tell without OpenVINO, or of a network that it cannot run.
    """
    unknown: dict[str, int | None] = {"parameters": None, "multiply_adds": None}
    if importlib.util.find_spec("openvino") is None:
        return unknown
    import openvino  # 0.3 s

    try:
        with temporary_folder() as scratch, silence_native_stderr():
            model = read_graph(openvino.Core(), graph, scratch)
        model.reshape([1, *model.inputs[0].partial_shape[1:]])
    except (RuntimeError, ValueError):
        return unknown
    nodes = model.get_ordered_ops()
    constants = [node for node in nodes if node.get_type_name() == "Constant" and node.get_element_type().is_real()]
    return {
        "parameters": sum(math.prod(node.shape) for node in constants),
        "multiply_adds": sum(_multiply_adds(node) for node in nodes if node.get_type_name() in _PRODUCTS),
    }


def _multiply_adds(node: Any) -> int:
    """Return how many numbers are multiplied for each that comes out, times how many come out."""
    if node.get_type_name() == "Loop":  # what OpenVINO makes of a recurrent layer, whose outputs are [steps, n, units]
        cells = [cell for cell in node.get_function().get_ops() if cell.get_type_name() == "LSTMCell"]
        return sum(node.output(0).get_shape()[0] * _multiply_adds_of_cell(cell) for cell in cells)
    outputs: int = math.prod(node.output(0).get_shape())
    weights: tuple[int, ...] = tuple(node.input(1).get_shape())
    if node.get_type_name() == "Convolution":
        return outputs * math.prod(weights[1:])  # inputs, height, width
    if node.get_type_name() == "GroupConvolution":
        return outputs * math.prod(weights[2:])  # a group's inputs, height, width
    return outputs * int(node.input(0).get_shape()[-1])


def _multiply_adds_of_cell(cell: Any) -> int:
    """Return how many numbers an LSTM cell multiplies in one step: all inputs and units, for each of four gates."""
    rows, units = cell.output(0).get_shape()
    return 4 * int(rows) * int(units) * int(cell.input(0).get_shape()[-1] + units)


def _parameters(head: Head | Distance) -> int:
    if isinstance(head, Distance):
        return sum(array.size for array in vars(head).values())
    return head.weights.size + head.biases.size + (_parameters(head.hidden) if head.hidden else 0)


def _biases(head: Head | Distance) -> int:
    if isinstance(head, Distance):
        return head.mean.size
    return head.biases.size + (_biases(head.hidden) if head.hidden else 0)


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number / 1e6:.1f} M" if number >= 1e5 else f"{number / 1e3:.1f} k"
