"""What heads are trained on and scored with: the bottlenecks of pictures and of their views, each on its side."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from audionet.data.augmentation import ChunkFile, View, draw_view, plan_views
from audionet.data.dataset import Dataset, Example, read_unknown
from audionet.data.preprocessing import unknown_pictures_for
from audionet.data.splits import SPLITS
from audionet.errors import InputError
from audionet.features.image_io import fit_pictures, read_picture
from audionet.features.recipes import Recipe
from audionet.files import printable, write_json
from audionet.models.backbones.backbone import Backbone
from audionet.models.bottleneck_cache import BottleneckCache, Rows, kept_rows
from audionet.parallel import process_pool
from audionet.training.holdout import folds_as_before, sides_without, split_as_before, split_name, split_unknown
from audionet.training.settings import HoldoutSettings

PICTURE_CACHE_NAME = "pictures.sqlite"


@dataclass(frozen=True)
class TrainingData:
    """Everything that heads are trained on and scored with.

    Attributes:
        labels: the labels.
        recipe: what drew the pictures, or None for ordinary ones.
        examples: the pictures that could be read.
        numbers: int, shape (n,), the label of each.
        bottlenecks: float16, shape (n, dimension).
        rows: int, by side, which examples are on it.
        views: float16, shape (views, dimension), of training and validation recordings.
        view_rows: int, shape (views,), the row of the example that each is a view of.
        view_numbers: int, shape (views,), which view of it each is, from 0.
        folds: int, shape (n,), the part of a cross-validation that each example is tested in; all 0 without one.
        impostors: float16, shape (m, dimension), of pictures of none of the labels.
        impostor_examples: the pictures.
        impostor_rows: int, by side, which of them are on it; none is used for validation.
        impostor_folds: int, shape (m,), as `folds`.
        slices: first column and the one behind the last, by part of the bottleneck.
        failures: reason by picture that could not be read.
    """

    labels: tuple[str, ...]
    recipe: Recipe | None
    examples: tuple[Example, ...]
    numbers: np.ndarray
    bottlenecks: np.ndarray
    rows: dict[str, np.ndarray]
    views: np.ndarray
    view_rows: np.ndarray
    view_numbers: np.ndarray
    folds: np.ndarray
    impostors: np.ndarray
    impostor_examples: tuple[Example, ...]
    impostor_rows: dict[str, np.ndarray]
    impostor_folds: np.ndarray
    slices: Mapping[str, tuple[int, int]]
    failures: dict[str, str]

    def owners(self, sides: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return of each row that `take` gives with views: its example's row, and its view's number from 1, or 0."""
        rows, views = self._rows_and_views(sides)
        numbers = np.concatenate([np.zeros(len(rows), int), self.view_numbers[views] + 1])
        return np.concatenate([rows, self.view_rows[views]]), numbers

    def rows_of(self, sides: Sequence[str]) -> np.ndarray:
        """Return the rows of the examples on some sides, ascending."""
        return np.sort(np.concatenate([self.rows[side] for side in sides]))

    def take_for_training(self, rows: np.ndarray, *, bottleneck: str) -> tuple[Rows, np.ndarray, np.ndarray]:
        """Return the bottlenecks of some examples and of their views, their label numbers, and which of them are views.

        Args:
            rows: int, ascending, of the examples.
            bottleneck: which parts of the bottleneck, joined by `+`.
        """
        views = np.flatnonzero(np.isin(self.view_rows, rows))
        taken = Rows([(self.bottlenecks, rows), (self.views, views)], self.columns_of(bottleneck))
        numbers = np.concatenate([self.numbers[rows], self.numbers[self.view_rows[views]]])
        return taken, numbers, np.arange(len(numbers)) >= len(rows)

    def _rows_and_views(self, sides: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        rows = self.rows_of(sides)
        return rows, np.flatnonzero(np.isin(self.view_rows, rows))

    def columns_of(self, bottleneck: str) -> list[tuple[int, int]]:
        """Return the columns of a bottleneck, as (first, behind the last) pairs."""
        return [self.slices[part] for part in bottleneck.split("+")]

    def take_impostors(self, rows: np.ndarray, *, bottleneck: str) -> Rows:
        """Return the bottlenecks of some impostors; arguments as for `take_for_training`."""
        return Rows([(self.impostors, rows)], self.columns_of(bottleneck))

    def take(
        self, sides: Sequence[str], *, bottleneck: str, clean: bool = True, views: bool = False
    ) -> tuple[Rows, np.ndarray]:
        """Return the bottlenecks of some sides, clean ones first, and their label numbers, int, shape (n,).

        Args:
            sides: out of `SIDES`.
            bottleneck: which parts of the bottleneck, joined by `+`.
            clean: whether to include the pictures themselves.
            views: whether to include their views.
        """
        rows, of_these = self._rows_and_views(sides)
        clean_rows = rows if clean else rows[:0]
        of_these = of_these if views else of_these[:0]
        taken = Rows([(self.bottlenecks, clean_rows), (self.views, of_these)], self.columns_of(bottleneck))
        return taken, np.concatenate([self.numbers[clean_rows], self.numbers[self.view_rows[of_these]]])


def with_unknown(dataset: Dataset, negatives: Path, bottleneck_dir: Path) -> tuple[Dataset, dict[str, str]]:
    """Add a folder of recordings or pictures of none of the labels to the impostors of a data set.

    Args:
        dataset: the pictures.
        negatives: the folder; recordings at any depth are drawn as the data set was.
        bottleneck_dir: the cache, where their pictures are kept too.

    Returns:
        tuple: the data set, and the reason by recording for each that could not be drawn.

    Raises:
        InputError: nothing in the folder can be read, or its pictures do not compare with those of the data set.
    """
    folder, failures = unknown_pictures_for(negatives, dataset.recipe, cache_dir=bottleneck_dir / "negatives")
    impostors, unreadable = read_unknown(folder, bottleneck_dir / PICTURE_CACHE_NAME, recipe=dataset.recipe)
    return (
        replace(
            dataset,
            unknown=(*dataset.unknown, *impostors),
            failures=dataset.failures | unreadable,
        ),
        failures,
    )


def without_fold(material: TrainingData, fold: int, *, holdout: HoldoutSettings) -> TrainingData:
    """Return the material of one part of a cross-validation: the fold is tested, and nothing else is."""
    folds = {example.group: int(of_row) for example, of_row in zip(material.examples, material.folds, strict=True)}
    sides = sides_without(fold, material.examples, folds, holdout)
    is_tested = material.impostor_folds == fold
    return replace(
        material,
        rows=_rows_by_side([sides[example.group] for example in material.examples]),
        impostor_rows=_rows_by_side(np.where(is_tested, "testing", "training")),
    )


def gather_training_data(
    dataset: Dataset, backbone: Backbone, *, bottleneck_dir: Path, holdout: HoldoutSettings
) -> TrainingData:
    """Split a data set and bring its bottlenecks together, from the cache where they are there.

    Args:
        dataset: the pictures.
        backbone: the network, read at every tap that may be chosen.
        bottleneck_dir: the cache.
        holdout: what to hold out, and how many views of the rest.

    Raises:
        InputError: a label has too few readable recordings to be on every side.
    """
    previous_path = bottleneck_dir / "splits" / f"{split_name(dataset, holdout)}.json"
    sides = split_as_before(dataset.examples, holdout, previous_path)  # before the long work, if it must fail
    folds = folds_as_before([*dataset.examples, *dataset.unknown], holdout, previous_path)
    for fold in range(holdout.folds):
        sides_without(fold, dataset.examples, folds, holdout)

    def read_fitted(example: Example) -> np.ndarray:
        return fit_pictures([read_picture(example.path)], height=backbone.height, width=backbone.width)[0]

    cache = BottleneckCache(bottleneck_dir, backbone)
    bottlenecks, unreadable = cache.compute(
        [example.sha256 for example in dataset.examples], dataset.examples, read_fitted
    )
    good = [row for row in range(len(dataset.examples)) if row not in unreadable]
    examples = tuple(dataset.examples[row] for row in good)
    _check_no_label_lost(dataset.labels, examples)
    impostors, refused = cache.compute([example.sha256 for example in dataset.unknown], dataset.unknown, read_fitted)
    told_apart = [row for row in range(len(dataset.unknown)) if row not in refused]
    impostor_examples = tuple(dataset.unknown[row] for row in told_apart)
    sides = split_as_before(examples, holdout, previous_path)
    impostor_sides = split_unknown(impostor_examples, sides, holdout, previous_path)
    folds = folds_as_before([*examples, *impostor_examples], holdout, previous_path)
    write_json(previous_path, {"sides": sides, "impostors": impostor_sides, "folds": folds})
    side_of_row = np.array([sides[example.group] for example in examples])
    fold_of_row = np.array([folds[example.group] for example in examples])
    views, view_rows, view_numbers = _gather_views(
        examples, side_of_row, fold_of_row, dataset.recipe, cache, backbone, holdout
    )
    return TrainingData(
        labels=dataset.labels,
        recipe=dataset.recipe,
        examples=examples,
        numbers=np.array([dataset.labels.index(example.label) for example in examples]),
        bottlenecks=kept_rows(bottlenecks, good),
        rows=_rows_by_side(side_of_row),
        views=views,
        view_rows=view_rows,
        view_numbers=view_numbers,
        folds=fold_of_row,
        impostors=kept_rows(impostors, told_apart),
        impostor_examples=impostor_examples,
        impostor_rows=_rows_by_side([impostor_sides[example.group] for example in impostor_examples]),
        impostor_folds=np.array([folds[example.group] for example in impostor_examples], int),
        slices=backbone.slices,
        failures=dataset.failures | {str(dataset.examples[row].path): reason for row, reason in unreadable.items()},
    )


def _gather_views(
    examples: Sequence[Example],
    side_of_row: np.ndarray,
    fold_of_row: np.ndarray,
    recipe: Recipe | None,
    cache: BottleneckCache,
    backbone: Backbone,
    holdout: HoldoutSettings,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = np.flatnonzero(side_of_row != "testing")
    views = planned_views(examples, rows, recipe=recipe, folds=fold_of_row, holdout=holdout)
    with process_pool(os.cpu_count() or 1) as pool:
        bottlenecks, failures = cache.compute(
            [view.key for _, view in views],
            [view for _, view in views],
            partial(_fitted_view, height=backbone.height, width=backbone.width),
            executor=pool,
        )
    good = [number for number in range(len(views)) if number not in failures]
    view_rows = np.array([views[number][0] for number in good], int)
    view_numbers = np.array([views[number][1].number for number in good], int)
    return kept_rows(bottlenecks, good), view_rows, view_numbers


def planned_views(
    examples: Sequence[Example],
    rows: np.ndarray,
    *,
    recipe: Recipe | None,
    folds: np.ndarray,
    holdout: HoldoutSettings,
) -> list[tuple[int, View]]:
    """Return the views of some examples, each with its example's row; none of ordinary pictures, or without their wav.

    Args:
        examples: pictures.
        rows: int, of those that views are made of.
        recipe: what drew the pictures.
        folds: int, the fold of each example: a view mixes chunks, and what is tested must not be among them.
        holdout: how many views, and their seed.
    """
    if recipe is None or not holdout.views:
        return []
    views: list[tuple[int, View]] = []
    heard = [int(row) for row in rows if _wav(examples[int(row)]).exists()]
    for fold in range(max(1, holdout.folds)):
        of_fold = [row for row in heard if folds[row] == fold]
        chunks = [
            ChunkFile(_wav(example), example.seconds, example.sha256, example.label)
            for example in (examples[row] for row in of_fold)
        ]
        planned = plan_views(chunks, count=holdout.views, seed=holdout.random_seed, recipe=recipe)
        views += [(row, view) for row, of_row in zip(of_fold, planned, strict=True) for view in of_row]
    return views


def _wav(example: Example) -> Path:
    return example.path.with_suffix(".wav")


def _fitted_view(view: View, *, height: int, width: int) -> np.ndarray:
    return fit_pictures([draw_view(view)], height=height, width=width)[0]


def _rows_by_side(sides: Sequence[str] | np.ndarray) -> dict[str, np.ndarray]:
    return {side: np.flatnonzero(np.asarray(sides, str) == side) for side in SPLITS}


def _check_no_label_lost(labels: Sequence[str], examples: Sequence[Example]) -> None:
    lost = [printable(label) for label in labels if label not in {example.label for example in examples}]
    if lost:
        raise InputError(
            f"No picture of {', '.join(lost)} can be read. Make them again with audionet data, or remove the folder."
        )
