"""Learning curves for TensorBoard."""

from pathlib import Path
from typing import Any

import numpy as np

from audionet.console import silence_native_stderr
from audionet.evaluation.metrics import accuracy, log_loss
from audionet.files import mark_folder, read_mark
from audionet.models.head import Head
from audionet.models.pooling import log_softmax
from audionet.training.training_data import Samples, TrainingData

CURVE_ROWS = 1000  # of the training split


def load_tensorboard() -> Any:
    """Return TensorBoard's class of writers, which takes several seconds the first time."""
    with silence_native_stderr():
        import tensorflow  # noqa: F401 (TensorBoard's writer would import it later, and aloud)
        from tensorboard.summary import Writer
    return Writer


class LearningCurves:
    """Writes the accuracy and the log loss of a head on training and validation pictures while it is trained.

    Without `summaries_dir`, the folder for all curves, nothing is written.
    """

    def __init__(self, summaries_dir: Path | None, data: TrainingData, bottleneck: str, name: str):
        self._bottleneck = bottleneck
        self._curves: list[tuple[Any, Samples]] = []
        if summaries_dir is None:
            return
        new_writer = load_tensorboard()
        if read_mark(summaries_dir) is None:
            mark_folder(summaries_dir, "summaries")
        for split in ("training", "validation"):
            samples = data.select(split, views=False)
            if len(samples):
                some = np.random.default_rng(0).permutation(len(samples))[:CURVE_ROWS]
                writer = new_writer(str(summaries_dir / f"{name} on {bottleneck}" / split))
                self._curves.append((writer, samples.take(some)))

    def write(self, step: int, head: Head) -> None:
        """Write how a head does after a step."""
        for writer, samples in self._curves:
            log_probabilities = log_softmax(head.logits(samples.bottlenecks(self._bottleneck)))
            writer.add_scalar("accuracy", accuracy(samples.label_ids, log_probabilities.argmax(axis=1)), step)
            writer.add_scalar("log_loss", log_loss(samples.label_ids, log_probabilities), step)

    def __enter__(self) -> "LearningCurves":
        return self

    def __exit__(self, *_: object) -> None:
        for writer, _samples in self._curves:
            writer.close()
