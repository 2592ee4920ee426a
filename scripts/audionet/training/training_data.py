"""Training data: one table of samples, each with its bottleneck, label, split and fold.

A sample is a picture as it is or one of its augmented views. Views are made of training and validation recordings only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from audionet.audio.measurements import ChunkStats
from audionet.console import log
from audionet.data.augmentation import ChunkFile, View, draw_view, plan_views
from audionet.data.dataset import Dataset, Example, read_dataset, read_unknown
from audionet.data.drawn_recordings import read_chunk_stats, read_unreadable
from audionet.data.preprocessing import pictures_of_recordings, recordings_in, unknown_pictures_for
from audionet.data.splits import SPLITS
from audionet.errors import InputError
from audionet.features.image_io import fit_pictures, read_picture
from audionet.features.recipes import Recipe, check_drawn_by, find_recipe
from audionet.files import mark_folder, printable, read_mark
from audionet.models.backbones.backbone import Backbone
from audionet.models.bottleneck_cache import BottleneckCache, Rows, kept_rows
from audionet.training.holdout import HoldoutPlan, SplitMemory, check_enough, check_plan, plan_holdout, splits_without
from audionet.training.settings import HoldoutSettings

PICTURE_CACHE_NAME = "pictures.sqlite"
UNKNOWN_ID = -1  # stands for the label of a sample that is of none of them


@dataclass(frozen=True, eq=False)
class Samples:
    """A table with a row for each sample: pictures of the labels, then those of none of them, then augmented views."""

    examples: tuple[Example, ...]  # the pictures that samples are of
    example_ids: np.ndarray  # int, shape (n,), the position among `examples` of the picture that each sample is of
    views: np.ndarray  # int, shape (n,), 0 for a picture as it is, else the number of the view, from 1
    label_ids: np.ndarray  # int, shape (n,), the position of the label, or `UNKNOWN_ID`
    splits: np.ndarray  # str, shape (n,), out of `SPLITS`
    folds: np.ndarray  # int, shape (n,), the fold of a cross-validation that tests the sample; all 0 without one
    table: Rows  # float16, shape (n, dimension), all parts of the bottleneck; it may be larger than memory
    slices: dict[str, tuple[int, int]]  # first column and the one behind the last, by part of the bottleneck

    @classmethod
    def of_pictures(
        cls,
        examples: Sequence[Example],
        *,
        labels: Sequence[str],
        splits: Sequence[str],
        folds: Sequence[int],
        table: Rows,
        slices: dict[str, tuple[int, int]],
    ) -> "Samples":
        """Return a table with a row for each picture; `splits`, `folds` and `table` are in the order of `examples`."""
        id_of = {label: label_id for label_id, label in enumerate(labels)}
        return cls(
            examples=tuple(examples),
            example_ids=np.arange(len(examples)),
            views=np.zeros(len(examples), int),
            label_ids=np.array([id_of.get(example.label, UNKNOWN_ID) for example in examples], int),
            splits=np.array(splits, str),
            folds=np.array(folds, int),
            table=table,
            slices=slices,
        )

    def with_views(self, example_ids: np.ndarray, views: np.ndarray, bottlenecks: np.ndarray) -> "Samples":
        """Return a table of pictures with m views added, which have all else of the picture that they are of.

        Both `example_ids` and `views`, the number of each from 1, are int, shape (m,); `bottlenecks` are float16.
        """
        both = self.take(np.concatenate([self.example_ids, example_ids]))
        return replace(both, views=np.concatenate([self.views, views]), table=self.table.append(bottlenecks))

    def __len__(self) -> int:
        return len(self.example_ids)

    @property
    def is_unknown(self) -> np.ndarray:
        """Which samples are of none of the labels: bool, shape (n,)."""
        return np.asarray(self.label_ids == UNKNOWN_ID)

    def take(self, rows: np.ndarray) -> "Samples":
        """Return some samples, by their row numbers or by a mask."""
        columns = ("example_ids", "views", "label_ids", "splits", "folds")
        return replace(self, table=self.table.take(rows), **{name: getattr(self, name)[rows] for name in columns})

    def select(self, *splits: str, views: bool = True, unknown: bool = False) -> "Samples":
        """Return the samples of some splits, in the order of the table, with their augmented views or without.

        With `unknown` they are those of none of the labels, instead of those of one.
        """
        return self.take(np.isin(self.splits, splits) & (self.is_unknown == unknown) & (views | (self.views == 0)))

    def clean(self) -> "Samples":
        """Leave the augmented views out."""
        return self.take(self.views == 0)

    def bottlenecks(self, bottleneck: str) -> Rows:
        """Return some parts of the bottlenecks, joined by `+`: float16, shape (n, dimension), read when asked for."""
        return self.table.take_columns([self.slices[part] for part in bottleneck.split("+")])

    def pictures(self) -> list[Example]:
        """Return the picture that each sample is of."""
        return [self.examples[example_id] for example_id in self.example_ids]

    def recording_ids(self) -> np.ndarray:
        """Return the same number for samples of the same recording, in the order of their names: int, shape (n,)."""
        return _ids([example.recording for example in self.pictures()])

    def group_ids(self) -> np.ndarray:
        """Return the same number for samples of the same group, in the order of their names: int, shape (n,)."""
        return _ids([example.group for example in self.pictures()])


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Everything that heads are trained on and scored with."""

    labels: tuple[str, ...]
    recipe: Recipe | None  # None for ordinary pictures
    samples: Samples
    failures: dict[str, str]  # reason by picture that could not be read

    def select(self, *splits: str, views: bool = True, unknown: bool = False) -> Samples:
        """Return the samples of some splits; as `Samples.select`."""
        return self.samples.select(*splits, views=views, unknown=unknown)

    def with_splits(self, splits: np.ndarray) -> "TrainingData":
        """Return the same samples on other splits, shape (n,)."""
        return replace(self, samples=replace(self.samples, splits=splits))

    def without_fold(self, fold: int, *, holdout: HoldoutSettings) -> "TrainingData":
        """Return the same samples for one part of a cross-validation: the fold is tested, and nothing else is."""
        samples = self.samples
        known = samples.select(*SPLITS, views=False)
        fold_of = {example.group: int(of) for example, of in zip(known.pictures(), known.folds, strict=True)}
        split_of = splits_without(fold, known.pictures(), fold_of, holdout)
        of_known = [split_of.get(example.group, "") for example in samples.pictures()]
        of_unknown = np.where(samples.folds == fold, "testing", "training")
        return self.with_splits(np.where(samples.is_unknown, of_unknown, of_known))


@dataclass(frozen=True)
class LabelledPictures:
    """A folder of pictures that is to be trained on."""

    dataset: Dataset
    chunk_stats: dict[str, list[ChunkStats]]  # by recording, where there is sound
    failures: dict[str, str]  # reason by recording that could not be drawn


def read_pictures(
    image_dir: Path, *, recipe: str | None, bottleneck_dir: Path, holdout: HoldoutSettings
) -> LabelledPictures:
    """Read a folder of pictures, or of recordings, which are drawn first, with the unknown ones of `holdout`.

    The folder has one subfolder a label. Its pictures must be drawn by the recipe of that name; None for any.

    Raises:
        InputError: there is too little to train on, or pictures of another recipe.
    """
    if read_mark(bottleneck_dir) is None:
        mark_folder(bottleneck_dir, "bottlenecks")
    folder = image_dir
    failures: dict[str, str] = {}
    recordings = recordings_in(image_dir)
    if recordings is not None:
        check_enough(recordings, holdout, image_dir=image_dir)
        wanted = find_recipe(recipe) if recipe else None
        folder, failures = pictures_of_recordings(image_dir, recipe=wanted, cache_dir=bottleneck_dir / "pictures")
    dataset = read_dataset(folder, bottleneck_dir / PICTURE_CACHE_NAME, group_by=holdout.group_by)
    if holdout.negatives:
        dataset, failed = with_unknown(dataset, holdout.negatives, bottleneck_dir)
        failures |= failed
    if recipe:
        check_drawn_by(recipe, dataset.recipe)
    for recording, reason in read_unreadable(folder).items():
        log(f"Note: the pictures of {printable(recording)} are those of earlier: when they were last made, {reason}.")
    return LabelledPictures(dataset, read_chunk_stats(folder), failures)


def with_unknown(dataset: Dataset, negatives: Path, bottleneck_dir: Path) -> tuple[Dataset, dict[str, str]]:
    """Add a folder of recordings or pictures of none of the labels to the unknown pictures of a data set.

    Recordings at any depth are drawn as the data set was, and their pictures kept in the cache. Returns the data set,
    and the reason by recording for each that could not be drawn.

    Raises:
        InputError: nothing in the folder can be read, or its pictures do not compare with those of the data set.
    """
    folder, failures = unknown_pictures_for(negatives, dataset.recipe, cache_dir=bottleneck_dir / "negatives")
    unknown, unreadable = read_unknown(folder, bottleneck_dir / PICTURE_CACHE_NAME, recipe=dataset.recipe)
    unknown_pictures = (*dataset.unknown, *unknown)
    return replace(dataset, unknown=unknown_pictures, failures=dataset.failures | unreadable), failures


def gather_training_data(
    dataset: Dataset, backbone: Backbone, *, bottleneck_dir: Path, holdout: HoldoutSettings, remembered: bool = True
) -> TrainingData:
    """Split a data set and bring its bottlenecks together, from the cache where they are there.

    The backbone is read at every tap that may be chosen. The split is `remembered` beside the pictures.

    Raises:
        InputError: a label has too few readable recordings to be in every split, or the memory is damaged.
    """
    memory = SplitMemory.of(dataset.folder, holdout, bottleneck_dir=bottleneck_dir)
    previous = memory.read() if remembered else HoldoutPlan()
    plan = plan_holdout(dataset.examples, dataset.unknown, holdout, previous=previous)
    check_plan(plan, dataset.examples, holdout)
    cache = BottleneckCache(bottleneck_dir, backbone)
    known = _Pictures.read(dataset.examples, backbone, cache)
    _check_no_label_lost(dataset.labels, known.examples)
    unknown = _Pictures.read(dataset.unknown, backbone, cache)
    plan = plan_holdout(known.examples, unknown.examples, holdout, previous=previous)
    if remembered:
        memory.save(plan)
    examples = (*known.examples, *unknown.examples)
    pictures = Samples.of_pictures(
        examples,
        labels=dataset.labels,
        splits=[plan.known[one.group] for one in known.examples]
        + [plan.unknown[one.group] for one in unknown.examples],
        folds=[plan.folds[example.group] for example in examples],
        table=Rows(known.bottlenecks, unknown.bottlenecks),
        slices=dict(backbone.slices),
    )
    return TrainingData(
        labels=dataset.labels,
        recipe=dataset.recipe,
        samples=_add_views(pictures, dataset.recipe, backbone, cache, holdout),
        failures=dataset.failures | known.failures | unknown.failures,
    )


@dataclass(frozen=True, eq=False)
class _Pictures:
    """Pictures that could be read, their bottlenecks, and the reason by path of each that could not."""

    examples: tuple[Example, ...]
    bottlenecks: np.ndarray
    failures: dict[str, str]

    @classmethod
    def read(cls, examples: Sequence[Example], backbone: Backbone, cache: BottleneckCache) -> "_Pictures":
        fitted = partial(_fitted_picture, height=backbone.height, width=backbone.width)
        bottlenecks, unreadable = cache.compute([example.sha256 for example in examples], examples, fitted)
        good = [row for row in range(len(examples)) if row not in unreadable]
        failures = {str(examples[row].path): reason for row, reason in unreadable.items()}
        return cls(tuple(examples[row] for row in good), kept_rows(bottlenecks, good), failures)


def _add_views(
    pictures: Samples, recipe: Recipe | None, backbone: Backbone, cache: BottleneckCache, holdout: HoldoutSettings
) -> Samples:
    views = planned_views(pictures.select("training", "validation"), recipe=recipe, holdout=holdout)
    bottlenecks, failures = cache.compute(
        [view.key for _, view in views],
        [view for _, view in views],
        partial(_fitted_view, height=backbone.height, width=backbone.width),
        in_processes=True,
    )
    if failures:
        log(f"Note: {len(failures)} of {len(views)} augmented views are left out: {next(iter(failures.values()))}")
    good = [row for row in range(len(views)) if row not in failures]
    example_ids = np.array([views[row][0] for row in good], int)
    numbers = np.array([views[row][1].number + 1 for row in good], int)
    return pictures.with_views(example_ids, numbers, kept_rows(bottlenecks, good))


def planned_views(pictures: Samples, *, recipe: Recipe | None, holdout: HoldoutSettings) -> list[tuple[int, View]]:
    """Return the augmented views of pictures, each with the id of its example; none without a recipe or without wavs.

    A view may mix chunks, and what is tested must not be among them: those that are mixed are of the same fold.
    """
    if recipe is None or not holdout.views:
        return []
    views: list[tuple[int, View]] = []
    of_sound = pictures.take(np.array([_wav(example).exists() for example in pictures.pictures()], bool))
    for fold in range(max(1, holdout.folds)):
        of_fold = of_sound.take(of_sound.folds == fold)
        chunks = [
            ChunkFile(_wav(example), example.seconds, example.sha256, example.label) for example in of_fold.pictures()
        ]
        planned = plan_views(chunks, count=holdout.views, seed=holdout.random_seed, recipe=recipe)
        views += [
            (int(example_id), view)
            for example_id, of_example in zip(of_fold.example_ids, planned, strict=True)
            for view in of_example
        ]
    return views


def _wav(example: Example) -> Path:
    return example.path.with_suffix(".wav")


def _fitted_picture(example: Example, *, height: int, width: int) -> np.ndarray:
    return np.asarray(fit_pictures([read_picture(example.path)], height=height, width=width)[0])


def _fitted_view(view: View, *, height: int, width: int) -> np.ndarray:
    return np.asarray(fit_pictures([draw_view(view)], height=height, width=width)[0])


def _ids(names: Sequence[str]) -> np.ndarray:
    return np.unique(names, return_inverse=True)[1]


def _check_no_label_lost(labels: Sequence[str], examples: Sequence[Example]) -> None:
    lost = [printable(label) for label in labels if label not in {example.label for example in examples}]
    if lost:
        raise InputError(
            f"No picture of {', '.join(lost)} can be read. Make them again with audionet data, or remove the folder."
        )
