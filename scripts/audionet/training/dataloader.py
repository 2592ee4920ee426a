"""Load pictures and their augmented views for the training of whole networks, in parallel and ahead of the network.

Views are drawn once and kept as png, without loss, in `views_dir`. Samples are weighted as for heads.
"""

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from audionet.console import log, progress_bar
from audionet.data.augmentation import View, draw_view
from audionet.errors import PictureError
from audionet.features.image_io import fit_pictures, read_picture
from audionet.files import mark_folder, read_mark, write_bytes
from audionet.parallel import run_groups
from audionet.training.fitting.sample_weights import label_shares, picture_weights, weighed
from audionet.training.settings import HoldoutSettings
from audionet.training.training_data import Samples, TrainingData, planned_views

IN_GROUP = 8  # views that a process draws at a time
IN_MEMORY_BYTES = 2**28  # pictures that take no more than this are decoded once
BRIGHTNESS_PICTURES = 2000  # of the training split, for the mean and the variance of brightness


@dataclass(frozen=True)
class _AugmentedView:
    """A view of a picture, and the file in which it is kept without loss."""

    example_id: int
    view: View
    path: Path

    def draw(self) -> None:
        """Draw and keep it, if its wav is still there."""
        with suppress(PictureError):
            file = io.BytesIO()
            Image.fromarray(draw_view(self.view)).save(file, "PNG", compress_level=1)
            write_bytes(self.path, file.getvalue())


@dataclass(frozen=True)
class SplitPictures:
    """The pictures and views of one split: their files, label ids, weights and keys of their content."""

    paths: tuple[Path, ...]
    label_ids: np.ndarray
    sample_weight: np.ndarray
    keys: tuple[str, ...]


@dataclass(frozen=True)
class DataLoader:
    """The pictures that a network is trained on, and those that choose its best weights, at the size that it takes."""

    training: SplitPictures
    validation: SplitPictures
    height: int
    width: int

    @classmethod
    def of(
        cls,
        data: TrainingData,
        holdout: HoldoutSettings,
        *,
        height: int,
        width: int,
        views_dir: Path,
        label_weights: str = "balanced",
    ) -> "DataLoader":
        """Collect the pictures of training data, and draw the views that are not there yet.

        `label_weights` is as `--label_weights` has it.
        """
        pictures = data.select("training", "validation", views=False)
        planned = planned_views(pictures, recipe=data.recipe, holdout=holdout)
        views = [
            _AugmentedView(example_id, view, views_dir / view.key[:2] / f"{view.key}.png")
            for example_id, view in planned
            if not view.kind.is_optional
        ]
        drawn = _drawn(views, views_dir)
        return cls(
            training=_pictures_of(data.select("training", views=False), drawn, data.labels, label_weights),
            validation=_pictures_of(data.select("validation", views=False), drawn, data.labels, label_weights),
            height=height,
            width=width,
        )

    @cached_property
    def brightness(self) -> tuple[float, float]:
        """Mean and variance of the brightness, 0..255, of training pictures."""
        some = np.random.default_rng(0).permutation(len(self.training.paths))[:BRIGHTNESS_PICTURES]
        gray = [self._read(self.training, row)[0].astype(np.float64).mean(axis=-1) for row in some]
        return float(np.mean(gray)), float(max(np.var(gray), 1e-6))

    def pipeline(self, split: SplitPictures, *, batch_size: int, seed: int | None = None) -> Any:
        """Return a `tf.data.Dataset` of batches of pictures, label ids and weights, read in parallel and ahead.

        A seed shuffles the pictures and begins again at the end; without, each comes once and in order.
        """
        import tensorflow as tf  # imported by now

        label_ids, weights = split.label_ids.astype(np.int32), split.sample_weight.astype(np.float32)
        count = len(split.paths)

        def read(row: Any) -> Any:
            picture, is_good = tf.numpy_function(partial(self._read, split), [row], (tf.uint8, tf.bool))
            weight = tf.gather(weights, row) * tf.cast(tf.ensure_shape(is_good, ()), tf.float32)
            return tf.ensure_shape(picture, (self.height, self.width, 3)), tf.gather(label_ids, row), weight

        def shuffled(examples: Any) -> Any:
            return examples if seed is None else examples.shuffle(count, seed=seed).repeat()

        rows = tf.data.Dataset.range(count)
        if count * self.height * self.width * 3 <= IN_MEMORY_BYTES:
            examples = shuffled(rows.map(read, num_parallel_calls=tf.data.AUTOTUNE).cache())
        else:
            examples = shuffled(rows).map(read, num_parallel_calls=tf.data.AUTOTUNE)
        return examples.batch(batch_size).prefetch(tf.data.AUTOTUNE)

    def _read(self, split: SplitPictures, row: int) -> tuple[np.ndarray, bool]:
        try:
            picture = read_picture(split.paths[row])
        except PictureError:  # taken away since it was listed, so it counts for nothing
            return np.zeros((self.height, self.width, 3), np.uint8), False
        return fit_pictures([picture], height=self.height, width=self.width)[0], True


def _drawn(views: Sequence[_AugmentedView], views_dir: Path) -> list[_AugmentedView]:
    """Draw the views that are not there yet, and return those that could be drawn."""
    if views and read_mark(views_dir) is None:
        mark_folder(views_dir, "views")
    missing = [view for view in views if not view.path.is_file()]
    if missing:
        groups = [missing[start : start + IN_GROUP] for start in range(0, len(missing), IN_GROUP)]
        with progress_bar(total=len(missing), description="Views", unit="pictures") as bar:
            for group in run_groups(_AugmentedView.draw, groups, jobs=None, in_order=False):
                bar.update(len(group))
    drawn = [view for view in views if view.path.is_file()]
    if len(drawn) < len(views):
        log(f"Note: {len(views) - len(drawn)} of {len(views)} augmented views could not be drawn and are left out.")
    return drawn


def _pictures_of(
    samples: Samples, drawn: Sequence[_AugmentedView], labels: Sequence[str], label_weights: str
) -> SplitPictures:
    """Return pictures, followed by those views that are of them."""
    label_of = dict(zip(samples.example_ids.tolist(), samples.label_ids.tolist(), strict=True))
    views = [view for view in drawn if view.example_id in label_of]
    label_ids = np.array([*label_of.values(), *(label_of[view.example_id] for view in views)], int)
    examples = samples.pictures()
    said = [samples.examples[view.example_id].weight for view in views]
    weights = picture_weights(np.arange(len(label_ids)) >= len(samples)) * [*(one.weight for one in examples), *said]
    return SplitPictures(
        paths=(*(example.path for example in examples), *(view.path for view in views)),
        label_ids=label_ids,
        sample_weight=weighed(weights, label_ids, label_shares(label_weights, labels, label_ids, weights)),
        keys=(*(example.sha256 for example in examples), *(view.view.key for view in views)),
    )
