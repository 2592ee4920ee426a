"""The benchmark: networks trained as retrain.py trains them, against classic ways and a speaker encoder.

    audio_dir -> pictures -> trials: what is trained on, what is held out -> systems -> accuracy by condition

Recordings held out are heard clean and under every condition of `disturbed`; all systems hear the very same samples.
Nothing is tuned to a folder: each system chooses on validation recordings among those that it is trained on.
"""

import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from audionet.console import log
from audionet.data.augmentation import ChunkFile, plan_views
from audionet.data.dataset import Dataset, Example, levels_of, read_dataset
from audionet.data.preprocessing import make_pictures
from audionet.data.splits import SPLITS, assign_folds, split
from audionet.errors import InputError
from audionet.evaluation.evaluate import ScoredRecording, accuracies
from audionet.features.recipes import Recipe, find_recipe
from audionet.files import printable, sha256_of
from audionet.models.backbones.architectures import find_architecture
from audionet.models.backbones.backbone import Backbone, loader_of
from audionet.models.backbones.settings import BackboneSettings
from audionet.models.backbones.taps import candidate_bottlenecks, union_of
from audionet.models.bottleneck_cache import BottleneckCache, Rows, bottlenecks_of
from audionet.models.head import Head
from audionet.training.model_selection import Choice, select_model
from audionet.training.settings import HeadSettings, HoldoutSettings
from audionet.training.training_data import TrainingData, gather_training_data
from benchmarks.baselines import Cepstra, Resemblyzer, missing_peer, regress
from benchmarks.test_conditions import PEER_CONDITIONS, Item, as_picture, as_sound, disturb, possible_conditions

PEER = "Resemblyzer"
TIMED_ITEMS = 32
TIMED_ROUNDS = 3


def dataset_of(
    audio_dir: Path, folder: Path, *, group_by: str, recipe: Recipe | None = None
) -> tuple[Dataset, dict[str, str]]:
    """Draw a folder of recordings, and read what was drawn.

    Args:
        audio_dir: one subfolder a label.
        folder: for the pictures.
        group_by: what must not be parted.
        recipe: by default the default one.

    Returns:
        tuple: the pictures, and the reason by recording for each that had to be set aside.
    """
    tally = make_pictures(audio_dir, folder / "data_image", recipe=recipe or find_recipe("default"))
    for recording, reason in tally.failures.items():
        log(f"Set aside: {printable(recording)}: {reason}")
    return read_dataset(folder / "data_image", folder / "pictures.sqlite", group_by=group_by), tally.failures


@dataclass(frozen=True)
class DefaultTraining:
    """Training as retrain.py does it by default.

    Attributes:
        architecture: a pretrained network.
        seed: another seed, other folds.
    """

    architecture: str
    seed: int = 0

    def load(self, bottleneck: str = "") -> Backbone:
        """Return the network, read at a bottleneck, or at every tap that may be chosen."""
        load = loader_of(BackboneSettings(architecture=self.architecture), of_sound=True)
        return load(bottleneck=bottleneck or union_of(candidate_bottlenecks(self.architecture)))

    def choose(self, material: TrainingData) -> Choice:
        """Choose bottleneck and head on validation, and train the head."""
        return select_model(
            material, candidates=candidate_bottlenecks(self.architecture), settings=HeadSettings(), seed=self.seed
        )


# Trials


@dataclass(frozen=True)
class Trial:
    """One way to hold recordings out.

    Attributes:
        name: of the trial.
        dataset: what may be trained on.
        tested: what is held out.
    """

    name: str
    dataset: Dataset
    tested: tuple[Example, ...]


def groups_by_name(dataset: Dataset, test: str) -> set[str]:
    """Return the groups with a recording whose file name matches a regular expression, such as `^04`.

    Raises:
        InputError: the expression is wrong, or matches no recording.
    """
    try:
        expression = re.compile(test)
    except re.error as error:
        raise InputError(f"--test: expected a regular expression, received {test!r} ({error}).") from error
    found = {example.group for example in dataset.examples if expression.search(Path(example.recording).name)}
    if not found:
        raise InputError(f"--test: {test!r} matches no recording in {printable(dataset.folder)}; correct it.")
    return found


def trial_by_name(dataset: Dataset, test: str) -> list[Trial]:
    """Hold out the groups with a recording whose file name matches a regular expression.

    Raises:
        InputError: the expression is wrong, or matches no recording.
    """
    held_out = groups_by_name(dataset, test)
    return [_trial(f"test {sha256_of(test.encode())[:8]}", dataset, held_out)]


def trials_by_fold(dataset: Dataset, *, count: int, seed: int = 0) -> list[Trial]:
    """Hold out every recording once, in `count` trials, labels spread evenly; groups stay together.

    Raises:
        InputError: there are fewer groups than trials.
    """
    folds = assign_folds(dataset.examples, folds=count, seed=seed)
    return [
        _trial(f"fold {number + 1} of {count}", dataset, {group for group in folds if folds[group] == number})
        for number in range(count)
    ]


def _trial(name: str, dataset: Dataset, held_out: set[str]) -> Trial:
    trained = tuple(example for example in dataset.examples if example.group not in held_out)
    tested = tuple(example for example in dataset.examples if example.group in held_out)
    # The split is remembered by the folder's name, and each trial has a split of its own.
    return Trial(name, replace(dataset, folder=dataset.folder / name, examples=trained, impostors=()), tested)


# Systems


class Ear:
    """A way from a chunk to a vector, with a cache.

    Args:
        reader: maps a batch of pictures, or of sounds, to vectors.
        bottleneck_dir: the cache.
        pool: processes that prepare what the reader takes.
    """

    prepare: Callable[[Item], np.ndarray]

    def __init__(self, reader: Any, bottleneck_dir: Path, pool: Executor):
        self.reader = reader
        self._bottleneck_dir = bottleneck_dir
        self._pool = pool

    @property
    def slices(self) -> Mapping[str, tuple[int, int]]:
        """First column and the one behind the last, by part of the vector; without parts all are one."""
        return getattr(self.reader, "slices", {self.reader.architecture: (0, self.reader.dimension)})

    @cached_property
    def cache(self) -> BottleneckCache:
        """Return the cache; opening it reads all that is in it."""
        return BottleneckCache(self._bottleneck_dir, self.reader)

    def material(self, trial: Trial, holdout: HoldoutSettings) -> TrainingData:
        """Return what there is to train on."""
        raise NotImplementedError

    def vectors(self, items: Sequence[Item]) -> np.ndarray:
        """Return the vectors of items, float16, shape (n, dimension).

        Raises:
            InputError: a chunk cannot be read.
        """
        vectors, failures = self.cache.compute([item.key for item in items], items, self.prepare, executor=self._pool)
        if failures:
            raise InputError(f"{next(iter(failures.values()))} Delete the folder of the benchmark and start again.")
        return vectors

    def compute(self, items: Sequence[Item], *, side_by_side: bool = True) -> np.ndarray:
        """Return the vectors of items without the cache, to see how long it takes, on all cores or in one process."""
        prepared = self._pool.map(self.prepare, items) if side_by_side else map(self.prepare, items)
        return bottlenecks_of(self.reader, np.stack(list(prepared)))


class Eye(Ear):
    """A network that looks at pictures."""

    def __init__(self, reader: Any, bottleneck_dir: Path, pool: Executor):
        super().__init__(reader, bottleneck_dir, pool)
        self.prepare = partial(as_picture, height=reader.height, width=reader.width)

    def material(self, trial: Trial, holdout: HoldoutSettings) -> TrainingData:
        """Return what retrain.py would train on."""
        return gather_training_data(trial.dataset, self.reader, bottleneck_dir=self._bottleneck_dir, holdout=holdout)


class Listener(Ear):
    """Something that listens to sounds."""

    prepare = staticmethod(as_sound)

    def material(self, trial: Trial, holdout: HoldoutSettings) -> TrainingData:
        """Return the same chunks and views on the same sides as `gather` would."""
        dataset = trial.dataset
        recipe = _recipe_of(trial)
        sides = split(
            dataset.examples,
            testing_percentage=holdout.testing_percentage,
            validation_percentage=holdout.validation_percentage,
            seed=holdout.random_seed,
        )
        side_of_row = np.array([sides[example.group] for example in dataset.examples])
        chunks = chunk_files(dataset.examples)
        planned = plan_views(chunks, count=holdout.views, seed=holdout.random_seed, recipe=recipe)
        return TrainingData(
            labels=dataset.labels,
            recipe=recipe,
            examples=dataset.examples,
            numbers=np.array([dataset.labels.index(example.label) for example in dataset.examples]),
            bottlenecks=self.vectors(disturb(chunks, "clean", seed=0, recipe=recipe)),
            rows={side: np.flatnonzero(side_of_row == side) for side in SPLITS},
            views=self.vectors([view for views in planned for view in views]),
            view_rows=np.repeat(np.arange(len(chunks)), holdout.views),
            view_numbers=np.tile(np.arange(holdout.views), len(chunks)),
            folds=np.zeros(len(dataset.examples), int),
            impostors=np.empty((0, self.reader.dimension), np.float16),
            impostor_examples=(),
            impostor_rows={side: np.empty(0, int) for side in SPLITS},
            impostor_folds=np.empty(0, int),
            slices=self.slices,
            failures={},
        )


def chunk_files(examples: Sequence[Example]) -> list[ChunkFile]:
    """Return the sound behind each picture."""
    return [
        ChunkFile(example.path.with_suffix(".wav"), example.seconds, example.sha256, example.label)
        for example in examples
    ]


@dataclass(frozen=True)
class Trained:
    """A head, the part of the vector that it takes, and how it was chosen, as JSON."""

    head: Head
    bottleneck: str
    choice: dict


@dataclass(frozen=True)
class System:
    """One way to tell labels apart.

    Attributes:
        name: for a table.
        ear: what gives it vectors.
        train: trains a head on material.
        serve: gives its ear as a classifier would have it, cut off behind the bottleneck that was chosen.
        views: how many of the views it is trained on.
    """

    name: str
    ear: Ear
    train: Callable[[TrainingData], Trained]
    serve: Callable[[str], Ear]
    views: int


def network(
    name: str, ear: Ear, *, candidates: Sequence[str], head: HeadSettings, serve: Callable[[str], Ear], views: int
) -> System:
    """Return a network that is trained as retrain.py trains it."""

    def train(material: TrainingData) -> Trained:
        choice = select_model(material, candidates=candidates, settings=head)
        attempts = [asdict(attempt) for attempt in choice.attempts]
        return Trained(choice.head, choice.best.bottleneck, {**asdict(choice.best), "attempts": attempts})

    return System(name, ear, train, serve, views)


def listener(name: str, ear: Ear, *, views: int, standardised: bool) -> System:
    """Return something that listens, with a logistic regression behind it, on standardised vectors or as they are."""

    def train(material: TrainingData) -> Trained:
        (bottleneck,) = material.slices
        head = regress(material, bottleneck=bottleneck, standardised=standardised)
        return Trained(head, bottleneck, {"trainer": "regression", "bottleneck": bottleneck})

    return System(name, ear, train, lambda bottleneck: ear, views)


def systems_of(
    architectures: Sequence[str], *, bottleneck_dir: Path, pool: Executor, recipe: Recipe, views: int, with_peers: bool
) -> list[System]:
    """Return each architecture as retrain.py would train it and in the classic way, and what they are compared with.

    Args:
        architectures: names of networks.
        bottleneck_dir: the cache.
        pool: processes that draw.
        recipe: of the pictures.
        views: of each training picture.
        with_peers: whether to add cepstra and the speaker encoder, the latter where it is installed.
    """
    systems = []
    for name in architectures:
        candidates = candidate_bottlenecks(name)
        settings = BackboneSettings(architecture=name)
        eye, classic_eye = (
            partial(_eye, loader_of(settings, of_sound=of_sound), bottleneck_dir, pool) for of_sound in (True, False)
        )
        ear = eye(union_of([*candidates, "classic"]))
        is_classic_size = (ear.reader.height, ear.reader.width) == (find_architecture(name).image_size,) * 2
        classic_ear = ear if is_classic_size else classic_eye("classic")
        log(ear.reader.sentence())
        softmax = HeadSettings(head="softmax")
        systems += [
            network(name, ear, candidates=candidates, head=HeadSettings(), serve=eye, views=views),
            network(f"{name}, classic", classic_ear, candidates=["classic"], head=softmax, serve=classic_eye, views=0),
        ]
    if with_peers:
        systems.append(listener("MFCC", Listener(Cepstra(recipe), bottleneck_dir, pool), views=0, standardised=True))
        if missing := missing_peer():
            log(missing)
        else:
            encoder = Listener(Resemblyzer(), bottleneck_dir, pool)
            heard = partial(listener, ear=encoder, standardised=False)
            systems += [heard(PEER, views=1), heard(f"{PEER}, {views} views", views=views)]
    return systems


def encoders(
    bottleneck_dir: Path, pool: Executor, recipe: Recipe | None
) -> dict[str, Callable[[Sequence[Example]], np.ndarray]]:
    """Return what gives vectors of pictures' sounds by encoders that were made to tell voices apart, if installed.

    Args:
        bottleneck_dir: the cache.
        pool: processes that prepare sounds.
        recipe: of the pictures.
    """
    if missing := missing_peer():
        log(missing)
        return {}
    assert recipe is not None  # the pictures were drawn of recordings
    encoder = Listener(Resemblyzer(), bottleneck_dir, pool)
    return {PEER: lambda examples: encoder.vectors(disturb(chunk_files(examples), "clean", seed=0, recipe=recipe))}


def _eye(load: Callable[..., Backbone], bottleneck_dir: Path, pool: Executor, bottleneck: str) -> Eye:
    return Eye(load(bottleneck=bottleneck), bottleneck_dir, pool)


# The run


def benchmark(systems: Sequence[System], trials: Sequence[Trial], *, holdout: HoldoutSettings) -> dict:
    """Train every system in every trial, score it under every condition, and time it.

    Args:
        systems: what to compare, at least one.
        trials: what to hold out, at least one.
        holdout: as in training; nothing more is held out for testing.

    Returns:
        dict: `labels`, `trials`, `recordings`, `chunks`; `conditions`, `peer_conditions`, `skipped`, the reason by name
        of those that cannot be made; and `systems`, a list of `name`, `choices` by trial, `conditions`: `chunk` and
        `recording` with `n`, `accuracy` and `ci95` by name; `errors` summed over the peer's conditions, `behind`: the
        conditions under which it is behind the peer, `training_seconds`, `chunks_per_second` in batches and
        `single_chunks_per_second` one by one.
    """
    holdout = replace(holdout, testing_percentage=0)
    conditions, skipped = possible_conditions()
    scores: dict[str, dict[str, list[ScoredRecording]]] = {system.name: defaultdict(list) for system in systems}
    choices: dict[str, dict[str, dict]] = {system.name: {} for system in systems}
    timings: dict[str, _Timing] = {}
    for trial in trials:
        for system in systems:
            material = _with_views(system.ear.material(trial, holdout), system.views)
            start = time.perf_counter()
            trained = system.train(material)
            seconds = time.perf_counter() - start
            choices[system.name][trial.name] = trained.choice
            for condition in conditions:
                scores[system.name][condition] += _score(system.ear, trained, trial, condition, holdout.random_seed)
            served = system.serve(trained.bottleneck)
            count = len(material.examples) + len(material.view_rows)
            timings[system.name] = _Timing(system, served, trained.head, trial, count, seconds)
    times = _timed(list(timings.values()))
    labels = trials[0].dataset.labels
    accuracy = {
        name: {condition: accuracies(scored, labels) for condition, scored in by_condition.items()}
        for name, by_condition in scores.items()
    }
    return {
        "labels": list(labels),
        "trials": [trial.name for trial in trials],
        "recordings": len({example.recording for trial in trials for example in trial.tested}),
        "chunks": sum(len(trial.tested) for trial in trials),
        "conditions": list(conditions),
        "peer_conditions": [name for name in PEER_CONDITIONS if name in conditions],
        "skipped": skipped,
        "peer": PEER,
        "systems": [
            {
                "name": system.name,
                "choices": choices[system.name],
                "conditions": accuracy[system.name],
                "errors": _errors(accuracy[system.name]),
                "behind": _behind(accuracy[system.name], accuracy.get(PEER, {})),
                **times[system.name],
            }
            for system in systems
        ],
    }


def _with_views(material: TrainingData, count: int) -> TrainingData:
    """Keep the first views of each picture."""
    kept = material.view_numbers < count
    return replace(
        material,
        views=material.views[kept],
        view_rows=material.view_rows[kept],
        view_numbers=material.view_numbers[kept],
    )


def _score(ear: Ear, trained: Trained, trial: Trial, condition: str, seed: int) -> list[ScoredRecording]:
    vectors = ear.vectors(disturb(chunk_files(trial.tested), condition, seed=seed, recipe=_recipe_of(trial)))
    logits = trained.head.logits(_columns(vectors, trained.bottleneck, ear.slices))
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, example in enumerate(trial.tested):
        rows[example.recording, example.label].append(row)
    return [
        ScoredRecording(recording, label, logits[of_one], levels_dbfs=levels_of([trial.tested[row] for row in of_one]))
        for (recording, label), of_one in rows.items()
    ]


def _recipe_of(trial: Trial) -> Recipe:
    assert trial.dataset.recipe is not None
    return trial.dataset.recipe


def _columns(vectors: np.ndarray, bottleneck: str, slices: Mapping[str, tuple[int, int]]) -> Rows:
    return Rows([(vectors, np.arange(len(vectors)))], [slices[part] for part in bottleneck.split("+")])


def _errors(by_condition: Mapping[str, dict]) -> float:
    return sum(1 - by_condition[name]["chunk"]["accuracy"] for name in PEER_CONDITIONS if name in by_condition)


def _behind(by_condition: Mapping[str, dict], of_peer: Mapping[str, dict]) -> list[str]:
    return [
        condition
        for condition, scores in of_peer.items()
        if by_condition[condition]["chunk"]["accuracy"] < scores["chunk"]["accuracy"]
    ]


# Time


@dataclass(frozen=True)
class _Timing:
    """What is timed: a system as it was trained and would be served."""

    system: System
    served: Ear
    head: Head
    trial: Trial
    vectors: int
    head_seconds: float

    def training_seconds(self) -> float:
        """Return how long training takes from sounds to a head, on all cores, by a sample of it."""
        recipe, chunks = self._sample()
        planned = plan_views(chunks, count=self.system.views, seed=0, recipe=recipe)
        views = [view for of_one in planned for view in of_one][:TIMED_ITEMS]
        items: Sequence[Item] = views or disturb(chunks, "clean", seed=0, recipe=recipe)
        return self.head_seconds + _seconds(lambda: self.system.ear.compute(items)) / len(items) * self.vectors

    def chunks_per_second(self, batch_size: int) -> float:
        """Return how many chunks one process tells apart in a second, from sound to answer."""
        recipe, chunks = self._sample()
        items = disturb(chunks, "clean", seed=0, recipe=recipe)

        def answer() -> None:
            for start in range(0, len(items), batch_size):
                self.head.logits(self.served.compute(items[start : start + batch_size], side_by_side=False))

        return len(items) / _seconds(answer)

    def _sample(self) -> tuple[Recipe, list[ChunkFile]]:
        return _recipe_of(self.trial), chunk_files(self.trial.tested[:TIMED_ITEMS])


def _timed(timings: Sequence[_Timing]) -> dict[str, dict[str, float]]:
    """Take turns, so that a machine that is busy for a while is busy for all; the first round only warms up."""
    rounds = [
        [
            (timing.training_seconds(), timing.chunks_per_second(TIMED_ITEMS), timing.chunks_per_second(1))
            for timing in timings
        ]
        for _ in range(TIMED_ROUNDS + 1)
    ]
    names = ("training_seconds", "chunks_per_second", "single_chunks_per_second")
    medians = np.median(rounds[1:], axis=0)
    return {
        timing.system.name: dict(zip(names, map(float, median), strict=True))
        for timing, median in zip(timings, medians, strict=True)
    }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
