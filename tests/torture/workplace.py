"""Small recordings and a small network, so that a command takes tenths of a second."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from conftest import FakeBackbone, load_fake, tiny_graph, write_speakers

from audionet.__main__ import COMMANDS
from audionet.console import silence_native_stderr

IMPORTED = (
    *("openvino", "sklearn.discriminant_analysis", "audionet.api", "audionet.app.worker_tasks", "audionet.__main__"),
    *(f"audionet.commands.{command}" for command in COMMANDS),
)

TRAINING_OUTPUTS = {
    "output_model": "retrained_model",
    "output_graph": "retrained_graph.pb",
    "output_labels": "retrained_labels.txt",
    "bottleneck_dir": "bottlenecks",
    "summaries_dir": "training_summaries",
    "runs_dir": "runs",
    "report": "report.html",
}


def import_everything() -> None:
    """Import what commands need, and build the network, so that processes that are forked need not."""
    with silence_native_stderr():
        for name in IMPORTED:
            importlib.import_module(name)
        backbone = FakeBackbone()
        tiny_graph(backbone.height, backbone.width)


@contextmanager
def tiny_network() -> Iterator[None]:
    """Let training find a network without weights, which is exact however it is computed."""
    with (
        mock.patch("audionet.models.backbones.backbone.load_backbone", load_fake),
        mock.patch("audionet.training.trainer.candidate_bottlenecks", lambda *_, **__: ("rows",)),
    ):
        yield


def write_recordings(folder: Path) -> Path:
    """Write three labels with three recordings each, which make a chunk each."""
    return write_speakers(folder, recordings=3, seconds=2.0)
