"""Training data: one table of samples, each with its bottleneck, label, split and fold.

A sample is a picture as it is or one of its augmented views. Views are made of training and validation recordings only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from audionet.audio.decoding import read_wav
from audionet.audio.measurements import ChunkStats
from audionet.console import log
from audionet.data.augmentation import ChunkFile, View, kinds_of, plan_views, view_for
from audionet.data.dataset import Dataset, Example, read_dataset, read_unknown
from audionet.data.drawn_recordings import read_chunk_stats, read_unreadable
from audionet.data.preprocessing import pictures_of_recordings, recordings_in, unknown_pictures_for
from audionet.data.splits import SPLITS
from audionet.data.verdicts import Verdict, obey
from audionet.errors import InputError, PictureError, RecordingError
from audionet.features.extraction import NetworkInput
from audionet.features.image_io import read_picture
from audionet.features.recipes import Recipe, check_drawn_by, find_recipe
from audionet.files import mark_folder, printable, read_mark
from audionet.models.backbones.backbone import Backbone
from audionet.models.bottleneck_cache import SOUND, BottleneckCache, Rows, compute_all, kept_rows, key_of
from audionet.training.fitting.head_memory import HeadMemory
from audionet.training.holdout import (
    HoldoutPlan,
    SplitMemory,
    check_plan,
    plan_holdout,
    plan_recordings,
    splits_without,
)
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
    memory: HeadMemory | None = None  # of heads that were trained on samples of the same table

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

    def weights(self) -> np.ndarray:
        """Return how much a table says that each sample counts, 1 where it says nothing: float64, shape (n,)."""
        return np.array([example.weight for example in self.pictures()], np.float64)

    def recording_ids(self) -> np.ndarray:
        """Return the same number for samples of the same recording, in the order of their names: int, shape (n,)."""
        return _ids([example.recording for example in self.pictures()])

    def group_ids(self) -> np.ndarray:
        """Return the same number for samples of the same group, in the order of their names: int, shape (n,)."""
        return _ids([example.group for example in self.pictures()])


@dataclass(frozen=True, eq=False)
class MemberNetwork:
    """A network that a member of a classifier may have, and what it is given."""

    name: str  # such as `efficientnet_lite0:log_mel`
    backbone: Backbone  # read at every candidate
    input: NetworkInput
    bottlenecks: tuple[str, ...] = ("classic",)  # to choose from, the preferred one first

    @classmethod
    def of(cls, name: str, backbone: Backbone, recipe: Recipe | None, bottlenecks: tuple[str, ...]) -> "MemberNetwork":
        """Return a network with the input that its backbone takes, drawn by a recipe where it is a picture."""
        return cls(name, backbone, network_input(backbone, recipe), bottlenecks)


def network_input(backbone: Backbone, recipe: Recipe | None) -> NetworkInput:
    """Return what a backbone is given: pictures drawn by a recipe, None for ordinary ones, or sound."""
    if backbone.listens:
        return NetworkInput(recipe, samples=backbone.samples, sample_rate_hz=backbone.sample_rate_hz)
    return NetworkInput(recipe, height=backbone.height, width=backbone.width)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Everything that heads are trained on and scored with."""

    labels: tuple[str, ...]
    recipe: Recipe | None  # None for ordinary pictures
    samples: Samples  # with the bottlenecks of the first network
    failures: dict[str, str]  # reason by picture that could not be read
    networks: tuple[MemberNetwork, ...] = ()  # all of them; empty where there is but one and it needs no name
    others: tuple[Rows, ...] = ()  # bottlenecks of the same samples by the second network, the third and so on
    optional_views: tuple[int, ...] = ()  # numbers, from 1, of augmented views that model selection may leave out
    memories: tuple[HeadMemory, ...] = ()  # one for each network; empty where nothing is remembered

    def remembering(self, memory: HeadMemory) -> "TrainingData":
        """Return the same data, for which heads that were trained once are taken from memory."""
        memories = tuple(memory.of_table(table) for table in (self.samples.table, *self.others))
        return replace(self, samples=replace(self.samples, memory=memories[0]), memories=memories)

    def seen_by(self, number: int) -> "TrainingData":
        """Return the same samples with the bottlenecks of one of the networks, and without the others."""
        if not number:
            return replace(self, others=())
        network = self.networks[number]
        memory = self.memories[number] if self.memories else None
        slices = dict(network.backbone.slices)
        samples = replace(self.samples, table=self.others[number - 1], slices=slices, memory=memory)
        return replace(self, samples=samples, others=())

    def select(self, *splits: str, views: bool = True, unknown: bool = False) -> Samples:
        """Return the samples of some splits; as `Samples.select`."""
        return self.samples.select(*splits, views=views, unknown=unknown)

    def with_splits(self, splits: np.ndarray) -> "TrainingData":
        """Return the same samples on other splits, shape (n,)."""
        return replace(self, samples=replace(self.samples, splits=splits))

    def without_optional_views(self) -> "TrainingData":
        """Return the same samples without the views that may be left out."""
        if not self.optional_views:
            return self
        kept = ~np.isin(self.samples.views, self.optional_views)
        others = tuple(table.take(kept) for table in self.others)
        return replace(self, samples=self.samples.take(kept), others=others, optional_views=())

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
    verdicts: dict[str, int] = field(default_factory=dict)  # how many recordings people have judged, by verdict

    def obeying(self, verdicts: Mapping[str, Verdict]) -> "LabelledPictures":
        """Return them as verdicts on recordings have them; what cannot be obeyed is named and changes nothing."""
        obeyed = obey(self.dataset, verdicts)
        for fault in obeyed.faults:
            log(f"Note: {fault}.")
        return replace(self, dataset=obeyed.dataset, verdicts=obeyed.counts)


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
        plan_recordings(recordings, holdout, image_dir=image_dir)
        wanted = find_recipe(recipe) if recipe else None
        folder, failures = pictures_of_recordings(image_dir, recipe=wanted, cache_dir=bottleneck_dir / "pictures")
    dataset = read_dataset(folder, bottleneck_dir / PICTURE_CACHE_NAME, group_by=holdout.group_by)
    if holdout.folds and any(example.split for example in dataset.examples):
        log("Note: with --folds every recording is held out once, and the splits that a table names are not obeyed.")
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
    dataset: Dataset,
    *networks: Backbone | MemberNetwork,
    bottleneck_dir: Path,
    holdout: HoldoutSettings,
    previous: HoldoutPlan | None = None,
) -> TrainingData:
    """Split a data set and bring its bottlenecks together, from the cache where they are there.

    Backbones are read at every tap that may be chosen. Networks that do not look at the pictures as they were drawn are
    given the wavs that lie beside them. The split is remembered beside the pictures; or where there is a `previous`
    plan, it keeps to that one and is not remembered.

    Raises:
        InputError: a label has too few readable recordings to be in every split, or the memory is damaged.
    """
    memory = SplitMemory.of(dataset.folder, holdout, bottleneck_dir=bottleneck_dir)
    is_remembered = previous is None
    previous = memory.read() if previous is None else previous
    plan = plan_holdout(dataset.examples, dataset.unknown, holdout, previous=previous)
    check_plan(plan, dataset.examples, holdout)
    named = tuple(
        one if isinstance(one, MemberNetwork) else MemberNetwork.of(one.architecture, one, dataset.recipe, ())
        for one in networks
    )
    caches = _Networks(named, dataset.recipe, bottleneck_dir)
    known = _Pictures.read(dataset.examples, caches)
    _check_no_label_lost(dataset.labels, known.examples)
    unknown = _Pictures.read(dataset.unknown, caches)
    plan = plan_holdout(known.examples, unknown.examples, holdout, previous=previous)
    if is_remembered:
        memory.save(plan)
    examples = (*known.examples, *unknown.examples)
    tables = [Rows(*both) for both in zip(known.bottlenecks, unknown.bottlenecks, strict=True)]
    pictures = Samples.of_pictures(
        examples,
        labels=dataset.labels,
        splits=[plan.known[one.group] for one in known.examples]
        + [plan.unknown[one.group] for one in unknown.examples],
        folds=[plan.folds[example.group] for example in examples],
        table=tables[0],
        slices=dict(named[0].backbone.slices),
    )
    samples, other_tables = _add_views(pictures, tables[1:], dataset.recipe, caches, holdout)
    return TrainingData(
        labels=dataset.labels,
        recipe=dataset.recipe,
        samples=samples,
        failures=dataset.failures | known.failures | unknown.failures,
        networks=named,
        others=other_tables,
        optional_views=_optional_views(holdout.views, dataset.recipe),
    )


def _optional_views(count: int, recipe: Recipe | None) -> tuple[int, ...]:
    kinds = kinds_of(count, recipe) if recipe else ()
    return tuple(number for number, kind in enumerate(kinds, start=1) if kind.is_optional)


class _Networks:
    """Networks with their caches, and what is computed of pictures and of views."""

    def __init__(self, networks: Sequence[MemberNetwork], recipe: Recipe | None, bottleneck_dir: Path):
        self._caches = [BottleneckCache(bottleneck_dir, network.backbone) for network in networks]
        self._inputs = tuple(network.input for network in networks)
        self._takes_files = tuple(not one.is_sound and one.recipe == recipe for one in self._inputs)

    def of_pictures(self, examples: Sequence[Example]) -> tuple[list[np.ndarray], dict[int, str]]:
        """Return the bottlenecks of pictures, or of what they are pictures of; as `compute_all` does."""
        # A picture stands for the wav beside it too, as both are written at once.
        keys = self._keys([example.sha256 for example in examples])
        read = partial(_inputs_of_example, self._inputs, self._takes_files)
        return compute_all(self._caches, keys, examples, read)

    def of_views(self, views: Sequence[View]) -> tuple[list[np.ndarray], dict[int, str]]:
        """Return the bottlenecks of augmented views, as `compute_all` does."""
        keys = self._keys([view.key for view in views])
        return compute_all(self._caches, keys, views, partial(_inputs_of_view, self._inputs), in_processes=True)

    def _keys(self, of_files: list[str]) -> list[list[str]]:
        """Return for each network what stands for its inputs, by what stands for the pictures as they were drawn."""
        keys = []
        for one, takes_files in zip(self._inputs, self._takes_files, strict=True):
            drawn = SOUND if one.is_sound or one.recipe is None else one.recipe.digest
            keys.append([key_of(content, None if takes_files else drawn) for content in of_files])
        return keys


@dataclass(frozen=True, eq=False)
class _Pictures:
    """Pictures that could be read, their bottlenecks, and the reason by path of each that could not."""

    examples: tuple[Example, ...]
    bottlenecks: list[np.ndarray]  # one table for each network
    failures: dict[str, str]

    @classmethod
    def read(cls, examples: Sequence[Example], networks: _Networks) -> "_Pictures":
        bottlenecks, unreadable = networks.of_pictures(examples)
        good = [row for row in range(len(examples)) if row not in unreadable]
        failures = {str(examples[row].path): reason for row, reason in unreadable.items()}
        return cls(tuple(examples[row] for row in good), [kept_rows(table, good) for table in bottlenecks], failures)


def _add_views(
    pictures: Samples, others: Sequence[Rows], recipe: Recipe | None, networks: _Networks, holdout: HoldoutSettings
) -> tuple[Samples, tuple[Rows, ...]]:
    """Add augmented views to a table of pictures, and to the tables of other networks."""
    views = planned_views(pictures.select("training", "validation"), recipe=recipe, holdout=holdout)
    (first, *rest), failures = networks.of_views([view for _, view in views])
    if failures:
        log(f"Note: {len(failures)} of {len(views)} augmented views are left out: {next(iter(failures.values()))}")
    good = [row for row in range(len(views)) if row not in failures]
    example_ids = np.array([views[row][0] for row in good], int)
    numbers = np.array([views[row][1].number + 1 for row in good], int)
    samples = pictures.with_views(example_ids, numbers, kept_rows(first, good))
    return samples, tuple(table.append(kept_rows(more, good)) for table, more in zip(others, rest, strict=True))


def planned_views(pictures: Samples, *, recipe: Recipe | None, holdout: HoldoutSettings) -> list[tuple[int, View]]:
    """Return the augmented views of pictures, each with the id of its example; none without a recipe or without wavs.

    A view may mix chunks, and what is tested must not be among them: those that are mixed are of the same fold.
    """
    if recipe is None or not holdout.views:
        return []
    views: list[tuple[int, View]] = []
    of_sound = pictures.take(np.array([wav_of(example).exists() for example in pictures.pictures()], bool))
    for fold in range(max(1, holdout.folds)):
        of_fold = of_sound.take(of_sound.folds == fold)
        chunks = [
            ChunkFile(wav_of(example), example.seconds, example.sha256, example.label) for example in of_fold.pictures()
        ]
        planned = plan_views(chunks, count=holdout.views, seed=holdout.random_seed, recipe=recipe)
        views += [
            (int(example_id), view)
            for example_id, of_example in zip(of_fold.example_ids, planned, strict=True)
            for view in of_example
        ]
    return views


def wav_of(example: Example) -> Path:
    """Return where the sound of a picture lies, if it was kept."""
    return example.path.with_suffix(".wav")


def _inputs_of_example(
    inputs: Sequence[NetworkInput], takes_files: Sequence[bool], example: Example, wanted: Sequence[int]
) -> list[np.ndarray]:
    """Return what some networks, by number, are given of a picture: the picture itself, or the wav beside it."""
    found = []
    sound: np.ndarray | None = None
    for number in wanted:
        if takes_files[number]:
            found.append(inputs[number].of_picture(read_picture(example.path)))
            continue
        sound = _sound(example) if sound is None else sound
        found.append(inputs[number].of_chunk(sound))
    return found


def _inputs_of_view(inputs: Sequence[NetworkInput], view: View, wanted: Sequence[int]) -> list[np.ndarray]:
    return view_for(view, [inputs[number] for number in wanted])


def _sound(example: Example) -> np.ndarray:
    try:
        return read_wav(wav_of(example))
    except RecordingError as error:
        raise PictureError(str(error)) from error


def _ids(names: Sequence[str]) -> np.ndarray:
    return np.unique(names, return_inverse=True)[1]


def _check_no_label_lost(labels: Sequence[str], examples: Sequence[Example]) -> None:
    lost = [printable(label) for label in labels if label not in {example.label for example in examples}]
    if lost:
        raise InputError(
            f"No picture of {', '.join(lost)} can be read. Make them again with audionet data, or remove the folder."
        )
