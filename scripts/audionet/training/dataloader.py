"""What whole networks learn from: pictures and their augmented views, read side by side while the network is at work.

Views are drawn once and kept as png, without loss, in `views_dir`. Labels weigh alike, and a picture weighs as much as
all of its views together, as for heads.
"""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from audionet.console import progress_bar
from audionet.data.augmentation import View, draw_view
from audionet.data.dataset import Example
from audionet.errors import PictureError
from audionet.features.image_io import decode_picture, fit_pictures, read_picture
from audionet.files import mark_folder, read_mark, write_bytes
from audionet.parallel import process_pool
from audionet.training.settings import HoldoutSettings
from audionet.training.training_data import TrainingData, planned_views

IN_MEMORY_BYTES = 2**28  # pictures that take no more than this are decoded once
MOMENT_PICTURES = 2000  # of the training side, for the mean and the variance of brightness


class Picture(Protocol):
    """A picture that can be read."""

    def read(self) -> np.ndarray:
        """Return the picture, or raise PictureError."""


@dataclass(frozen=True)
class _PictureFile:
    """A picture file."""

    example: Example

    def read(self) -> np.ndarray:
        return read_picture(self.example.path)


@dataclass(frozen=True)
class _AugmentedView:
    """A view, drawn once and kept without loss."""

    view: View
    views_dir: Path

    @property
    def path(self) -> Path:
        return self.views_dir / self.view.key[:2] / f"{self.view.key}.png"

    def keep(self) -> None:
        """Draw it, unless it is there."""
        if not self.path.is_file():
            file = io.BytesIO()
            Image.fromarray(draw_view(self.view)).save(file, "PNG", compress_level=1)
            write_bytes(self.path, file.getvalue())

    def read(self) -> np.ndarray:
        return decode_picture(self.path.read_bytes(), name=self.path)


@dataclass(frozen=True)
class SplitPictures:
    """The pictures of one side: what to read, and by row its label number and how much it counts."""

    sights: tuple[Picture, ...]
    numbers: np.ndarray
    shares: np.ndarray
    keys: tuple[str, ...]


@dataclass(frozen=True)
class DataLoader:
    """What a network learns from, and is chosen by: pictures and their views, read while it is at work."""

    training: SplitPictures
    validation: SplitPictures
    height: int
    width: int

    @classmethod
    def of(
        cls, material: TrainingData, holdout: HoldoutSettings, *, height: int, width: int, views_dir: Path
    ) -> "DataLoader":
        """Collect the pictures of material, and draw the views that are not there yet."""
        rows = material.rows_of(("training", "validation"))
        planned = planned_views(material.examples, rows, recipe=material.recipe, folds=material.folds, holdout=holdout)
        viewed = [(row, _AugmentedView(view, views_dir)) for row, view in planned]
        kept = _keep_all(viewed, views_dir)
        return cls(
            training=_side(material, material.rows["training"], kept),
            validation=_side(material, material.rows["validation"], kept),
            height=height,
            width=width,
        )

    @cached_property
    def moments(self) -> tuple[float, float]:
        """Mean and variance of the brightness, 0..255, of training pictures."""
        some = np.random.default_rng(0).permutation(len(self.training.sights))[:MOMENT_PICTURES]
        gray = [self._read(self.training, row)[0].astype(np.float64).mean(axis=-1) for row in some]
        return float(np.mean(gray)), float(max(np.var(gray), 1e-6))

    def pipeline(self, side: SplitPictures, *, batch_size: int, seed: int | None = None) -> Any:
        """Return a `tf.data.Dataset` of batches of pictures, label numbers and weights, read side by side and ahead.

        Args:
            side: which pictures.
            batch_size: pictures in a batch.
            seed: shuffles them and begins again at the end; without, each comes once and in order.
        """
        import tensorflow as tf  # imported by now

        numbers, shares = side.numbers.astype(np.int32), side.shares.astype(np.float32)
        count = len(side.sights)

        def read(row: Any) -> Any:
            picture, is_good = tf.numpy_function(partial(self._read, side), [row], (tf.uint8, tf.bool))
            share = tf.gather(shares, row) * tf.cast(tf.ensure_shape(is_good, ()), tf.float32)
            return tf.ensure_shape(picture, (self.height, self.width, 3)), tf.gather(numbers, row), share

        def shuffled(examples: Any) -> Any:
            return examples if seed is None else examples.shuffle(count, seed=seed).repeat()

        rows = tf.data.Dataset.range(count)
        if count * self.height * self.width * 3 <= IN_MEMORY_BYTES:
            examples = shuffled(rows.map(read, num_parallel_calls=tf.data.AUTOTUNE).cache())
        else:
            examples = shuffled(rows).map(read, num_parallel_calls=tf.data.AUTOTUNE)
        return examples.batch(batch_size).prefetch(tf.data.AUTOTUNE)

    def _read(self, side: SplitPictures, row: int) -> tuple[np.ndarray, bool]:
        try:
            picture = side.sights[row].read()
        except (PictureError, OSError):  # taken away since it was listed, so it counts for nothing
            return np.zeros((self.height, self.width, 3), np.uint8), False
        return fit_pictures([picture], height=self.height, width=self.width)[0], True


def _keep_all(viewed: list[tuple[int, _AugmentedView]], views_dir: Path) -> list[tuple[int, _AugmentedView]]:
    """Draw the views that are not there yet, and return those that could be drawn."""
    if viewed and read_mark(views_dir) is None:
        mark_folder(views_dir, "views")
    missing = [view for _, view in viewed if not view.path.is_file()]
    refused: set[str] = set()
    if missing:
        with (
            process_pool(os.cpu_count() or 1) as pool,
            progress_bar(total=len(missing), description="Views", unit="pictures") as bar,
        ):
            for view, drawn in zip(missing, pool.map(_keep_or_refuse, missing, chunksize=8), strict=True):
                if not drawn:
                    refused.add(view.view.key)
                bar.update()
    return [(row, view) for row, view in viewed if view.view.key not in refused]


def _keep_or_refuse(view: _AugmentedView) -> bool:
    try:
        view.keep()
    except PictureError:  # its wav is gone; `gather` says so
        return False
    return True


def _side(material: TrainingData, rows: np.ndarray, viewed: Sequence[tuple[int, _AugmentedView]]) -> SplitPictures:
    of_these = set(map(int, rows))
    views = [(row, view) for row, view in viewed if row in of_these]
    numbers = material.numbers[np.concatenate([rows, np.array([row for row, _ in views], int)])]
    shares = np.ones(len(numbers))
    shares[: len(rows)] = max(1.0, len(views) / max(1, len(rows)))
    if len(numbers):
        totals = np.bincount(numbers, shares, minlength=len(material.labels))
        shares *= totals.sum() / len(totals) / totals[numbers]
        shares *= len(shares) / shares.sum()
    return SplitPictures(
        sights=(*(_PictureFile(material.examples[row]) for row in rows), *(view for _, view in views)),
        numbers=numbers,
        shares=shares,
        keys=(*(material.examples[row].sha256 for row in rows), *(view.view.key for _, view in views)),
    )
