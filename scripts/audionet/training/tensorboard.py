"""Learning curves for TensorBoard."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from audionet.console import silence_native_stderr
from audionet.evaluation.metrics import accuracy, log_loss
from audionet.files import mark_folder, read_mark
from audionet.models.head import Head
from audionet.models.pooling import log_softmax
from audionet.training.head_trainers import OnStep
from audionet.training.training_data import TrainingData

CURVE_ROWS = 1000  # of the training side, for the learning curves


@contextmanager
def learning_curves(summaries_dir: Path | None, material: TrainingData, bottleneck: str, name: str) -> Iterator[OnStep]:
    """Yield a function that notes a head's accuracy for TensorBoard while it is trained."""
    if summaries_dir is None:
        yield lambda step, head: None
        return
    with silence_native_stderr():
        import tensorflow  # noqa: F401 (several seconds; TensorBoard's writer would import it later, and aloud)
        from tensorboard.summary import Writer

    if read_mark(summaries_dir) is None:
        mark_folder(summaries_dir, "summaries")
    curves = []
    for side in ("training", "validation"):
        bottlenecks, numbers = material.take((side,), bottleneck=bottleneck)
        if len(numbers):
            some = np.random.default_rng(0).permutation(len(numbers))[:CURVE_ROWS]
            writer = Writer(str(summaries_dir / f"{name} on {bottleneck}" / side))
            curves.append((writer, bottlenecks[some], numbers[some]))

    def note(step: int, head: Head) -> None:
        for writer, bottlenecks, numbers in curves:
            log_probabilities = log_softmax(head.logits(bottlenecks))
            writer.add_scalar("accuracy", accuracy(numbers, log_probabilities.argmax(axis=1)), step)
            writer.add_scalar("log_loss", log_loss(numbers, log_probabilities), step)

    try:
        yield note
    finally:
        for writer, _, _ in curves:
            writer.close()
