"""AudioNet's way of the steps that are part of a script, each to be timed alone: loading and start-up are left out."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from audionet.data.dataset import read_dataset
from audionet.features.image_io import fit_pictures, is_picture, read_picture
from audionet.files import walk_files
from audionet.models.backbones.backbone import load_backbone
from audionet.parallel import PACKAGE_PARENT
from audionet.training.fitting.head_trainers import TRAINERS, TrainingSet
from audionet.training.holdout import HoldoutPlan
from audionet.training.settings import HeadSettings, HoldoutSettings
from audionet.training.training_data import PICTURE_CACHE_NAME, TrainingData, gather_training_data
from benchmarks.speed.synthetic_data import MadeBackbone

NOTHING_HELD_OUT = HoldoutSettings(testing_percentage=0, validation_percentage=0, views=0)


def write_bottlenecks(image_dir: str, bottleneck_dir: str, **network: Any) -> float:
    """Compute the bottlenecks of a folder of pictures into a new cache; return the seconds, from the first picture on.

    The network is given as `load_backbone` takes it.
    """
    backbone = load_backbone(**network)
    backbone(np.zeros((1, backbone.height, backbone.width, 3), np.uint8))
    dataset = read_dataset(Path(image_dir), Path(bottleneck_dir) / PICTURE_CACHE_NAME)
    start = time.perf_counter()
    gather_training_data(
        dataset, backbone, bottleneck_dir=Path(bottleneck_dir), holdout=NOTHING_HELD_OUT, previous=HoldoutPlan()
    )
    return time.perf_counter() - start


def run_network(image_dir: str, **network: Any) -> float:
    """Run a network on pictures that are decoded already; return the seconds of that alone, the limit of the above."""
    backbone = load_backbone(**network)
    jpgs = [path for path in walk_files(Path(image_dir)) if is_picture(path)]
    pictures = fit_pictures(map(read_picture, jpgs), height=backbone.height, width=backbone.width)
    backbone(pictures[:1])
    start = time.perf_counter()
    backbone(pictures)
    return time.perf_counter() - start


def read_bottlenecks(image_dir: str, bottleneck_dir: str, dimension: int) -> float:
    """List pictures that are known, and bring their cached bottlenecks together; return the seconds that takes."""
    start = time.perf_counter()
    _cached_training_data(image_dir, bottleneck_dir, dimension)
    return time.perf_counter() - start


def train(image_dir: str, bottleneck_dir: str, dimension: int, trainer: str, steps: int, batch_size: int) -> float:
    """Train a head on cached bottlenecks; return the seconds, from the first step on."""
    training_data = _cached_training_data(image_dir, bottleneck_dir, dimension)
    if trainer == "softmax":
        import keras  # noqa: F401 (a start-up, which the trainer would count otherwise)
    settings = HeadSettings(how_many_training_steps=steps, train_batch_size=batch_size)
    examples = TrainingSet(training_data.samples.table, training_data.samples.label_ids, len(training_data.labels))
    start = time.perf_counter()
    TRAINERS[trainer](examples, settings)
    return time.perf_counter() - start


def ask_for_help() -> float:
    """Ask every script for help; return the seconds of the slowest."""
    seconds = []
    for script in sorted(Path(PACKAGE_PARENT).glob("*.py")):
        start = time.perf_counter()
        subprocess.run([sys.executable, script, "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return max(seconds)


def _cached_training_data(image_dir: str, bottleneck_dir: str, dimension: int) -> TrainingData:
    dataset = read_dataset(Path(image_dir), Path(bottleneck_dir) / PICTURE_CACHE_NAME)
    backbone = MadeBackbone(dimension)
    return gather_training_data(
        dataset,
        backbone,  # type: ignore[arg-type]
        bottleneck_dir=Path(bottleneck_dir),
        holdout=NOTHING_HELD_OUT,
        previous=HoldoutPlan(),
    )
