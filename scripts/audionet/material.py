"""What heads are trained on and scored with: the bottlenecks of pictures and of their views, each on its side."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from audionet.backbones import Backbone, fit_pictures
from audionet.bottlenecks import BottleneckCache, Rows
from audionet.dataset import SIDES, Dataset, Example, split
from audionet.errors import InputError
from audionet.files import fingerprint_of, printable, write_json
from audionet.recipe import Recipe
from audionet.settings import HoldoutSettings
from audionet.spectrogram import read_picture
from audionet.views import ChunkFile, View, draw_view, plan_views
from audionet.workers import process_pool

LEDGER_NAME = "pictures.sqlite"


@dataclass(frozen=True)
class Material:
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
        impostors: float16, shape (m, dimension), of pictures of none of the labels.
        impostor_recordings: shape (m,), their recordings.
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
    impostors: np.ndarray
    impostor_recordings: np.ndarray
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


def gather(dataset: Dataset, backbone: Backbone, *, bottleneck_dir: Path, holdout: HoldoutSettings) -> Material:
    """Split a data set and bring its bottlenecks together, from the cache where they are there.

    Args:
        dataset: the pictures.
        backbone: the network, read at every tap that may be chosen.
        bottleneck_dir: the cache.
        holdout: what to hold out, and how many views of the rest.

    Raises:
        InputError: a label has too few readable recordings to be on every side.
    """
    previous_path = bottleneck_dir / "splits" / f"{_split_name(dataset, holdout)}.json"
    _split_as_before(dataset.examples, holdout, previous_path)  # before the long work, if it must fail

    def read_fitted(example: Example) -> np.ndarray:
        return fit_pictures([read_picture(example.path)], height=backbone.height, width=backbone.width)[0]

    cache = BottleneckCache(bottleneck_dir, backbone)
    bottlenecks, unreadable = cache.compute(
        [example.sha256 for example in dataset.examples], dataset.examples, read_fitted
    )
    good = [row for row in range(len(dataset.examples)) if row not in unreadable]
    examples = tuple(dataset.examples[row] for row in good)
    _check_no_label_lost(dataset.labels, examples)
    sides = _split_as_before(examples, holdout, previous_path)
    write_json(previous_path, sides)
    side_of_row = np.array([sides[example.group] for example in examples])
    impostors, refused = cache.compute(
        [example.sha256 for example in dataset.impostors], dataset.impostors, read_fitted
    )
    told_apart = [row for row in range(len(dataset.impostors)) if row not in refused]
    views, view_rows, view_numbers = _gather_views(examples, side_of_row, dataset.recipe, cache, backbone, holdout)
    return Material(
        labels=dataset.labels,
        recipe=dataset.recipe,
        examples=examples,
        numbers=np.array([dataset.labels.index(example.label) for example in examples]),
        bottlenecks=bottlenecks[good] if unreadable else bottlenecks,
        rows={side: np.flatnonzero(side_of_row == side) for side in SIDES},
        views=views,
        view_rows=view_rows,
        view_numbers=view_numbers,
        impostors=impostors[told_apart],
        impostor_recordings=np.array([dataset.impostors[row].recording for row in told_apart], str),
        slices=backbone.slices,
        failures=dataset.failures | {str(dataset.examples[row].path): reason for row, reason in unreadable.items()},
    )


def _gather_views(
    examples: Sequence[Example],
    side_of_row: np.ndarray,
    recipe: Recipe | None,
    cache: BottleneckCache,
    backbone: Backbone,
    holdout: HoldoutSettings,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    views: list[tuple[int, View]] = []
    if recipe and holdout.views:
        rows = [int(row) for row in np.flatnonzero(side_of_row != "testing") if _wav(examples[int(row)]).exists()]
        chunks = [
            ChunkFile(_wav(example), example.seconds, example.sha256, example.label)
            for example in (examples[row] for row in rows)
        ]
        planned = plan_views(chunks, count=holdout.views, seed=holdout.random_seed, recipe=recipe)
        views = [(row, view) for row, of_row in zip(rows, planned, strict=True) for view in of_row]
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
    return bottlenecks[good] if failures else bottlenecks, view_rows, view_numbers


def _wav(example: Example) -> Path:
    return example.path.with_suffix(".wav")


def _fitted_view(view: View, *, height: int, width: int) -> np.ndarray:
    return fit_pictures([draw_view(view)], height=height, width=width)[0]


def _split_name(dataset: Dataset, holdout: HoldoutSettings) -> str:
    shares = [holdout.testing_percentage, holdout.validation_percentage]
    return fingerprint_of([str(dataset.folder.resolve()), *shares, holdout.group_by, holdout.random_seed])


def _split_as_before(examples: Sequence[Example], holdout: HoldoutSettings, previous_path: Path) -> dict[str, str]:
    try:
        previous = json.loads(previous_path.read_text())
    except (OSError, ValueError):
        previous = {}
    return split(
        examples,
        testing_percentage=holdout.testing_percentage,
        validation_percentage=holdout.validation_percentage,
        seed=holdout.random_seed,
        previous=previous,
    )


def _check_no_label_lost(labels: Sequence[str], examples: Sequence[Example]) -> None:
    lost = [printable(label) for label in labels if label not in {example.label for example in examples}]
    if lost:
        raise InputError(
            f"No picture of {', '.join(lost)} can be read. Make them again with python data_maker.py, or remove the "
            "folder."
        )
