"""Running the cells of a grid: each is scored by a cross-validation, and what came of it is kept.

    results_dir/
        5f0c2ab19d3e7a40.json    what came of one cell on certain recordings: scores, seconds, size

A cell that is there already is not run again, so that an experiment that was ended goes on.
"""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from audionet import __version__
from audionet.audio.fingerprints import Fingerprint
from audionet.console import log
from audionet.data.dataset import Dataset, read_dataset
from audionet.data.preprocessing import ANOTHER_RUN_SECONDS, make_pictures, recordings_in
from audionet.data.splits import SPLITS
from audionet.data.verdicts import obey, verdicts_on
from audionet.errors import AudioNetError, InputError
from audionet.evaluation.evaluate import evaluate
from audionet.evaluation.runs import data_digest, scores_of
from audionet.evaluation.scored_recording import ScoredRecording
from audionet.experiments.grid import Cell, Grid
from audionet.experiments.search import ChosenCell, choose, load_optuna, sentences_of
from audionet.features.recipes import Recipe
from audionet.files import brief, digest_of, mark_folder, printable, read_mark, write_json
from audionet.json_files import parse_json, validated
from audionet.regular_files import read_regular
from audionet.training.final_evaluation import models_of_folds, score_held_out
from audionet.training.fitting.head_memory import HeadMemory
from audionet.training.holdout import HoldoutPlan, plan_recordings
from audionet.training.learning_curve import learning_curve
from audionet.training.settings import HoldoutSettings
from audionet.training.trainer import TrainedModel, Trainer
from audionet.training.training_data import PICTURE_CACHE_NAME, with_unknown
from audionet.training.training_run import build_classifier

FORMAT = 1
TIMED_RECORDINGS = 3
NO_FINGERPRINTS: Mapping[str, Fingerprint] = {}


@dataclass(frozen=True)
class CellResult:
    """What came of a cell."""

    scores: dict[str, Any]  # as `scores_of` gives them, over all seeds
    train_seconds: float  # of one training, from bottlenecks in the cache
    score_ms: float  # of one chunk of a recording: to decode, to draw, and to answer
    size_bytes: int  # of the folder of the classifier without the last fold


@dataclass(frozen=True)
class _Kept:
    format: int
    digest: str  # of the result
    result: CellResult


_KEPT = TypeAdapter(_Kept)


@dataclass(frozen=True)
class GridResult:
    """What came of the cells of a grid."""

    results: dict[str, CellResult]  # by the cell's name
    failures: dict[str, str]  # reason by name of each cell that failed
    unreadable: dict[str, str]  # reason by recording that could not be read


class GridRunner:
    """Recordings, and how they are held out; the same for all cells.

    Raises:
        InputError: there are no recordings, or too few of a label for the folds.
    """

    def __init__(self, grid: Grid, audio_dir: Path, *, bottleneck_dir: Path, results_dir: Path):
        self._grid, self._audio_dir, self._bottleneck_dir = grid, audio_dir, bottleneck_dir
        self._results_dir = results_dir
        for folder, kind in ((bottleneck_dir, "bottlenecks"), (results_dir, "experiment")):
            if read_mark(folder) is None:
                mark_folder(folder, kind)
        recordings = recordings_in(audio_dir)
        if recordings is None:
            raise InputError(f"--audio_dir: expected recordings in {printable(audio_dir)}, received pictures or none.")
        self._paths = {name: path for files in recordings.values() for name, path in files.items()}
        self._plans: dict[int, HoldoutPlan] = {
            seed: plan_recordings(recordings, replace(self.holdout, random_seed=seed), image_dir=audio_dir)
            for seed in grid.seeds
        }
        self._verdicts = verdicts_on(audio_dir)
        self._datasets: dict[str, Dataset] = {}
        self._trainers: dict[tuple[int, str], Trainer] = {}  # of the cells at hand, by seed and what they see
        self._costs: dict[str, tuple[float, int]] = {}  # by networks, and where each is read
        self._memory = HeadMemory()
        self._unreadable: dict[str, str] = {}

    @property
    def holdout(self) -> HoldoutSettings:
        """How recordings are held out, but for the seed."""
        return self._grid.cells[0].settings.holdout

    @property
    def unreadable(self) -> Mapping[str, str]:
        """The reason by recording that could not be read so far."""
        return self._unreadable

    def run(self) -> GridResult:
        """Run all cells that have no result yet; one that fails is named, and the others go on."""
        results, failures = {}, {}
        for number, cell in enumerate(self._in_order(), 1):
            log(f"Cell {number} of {len(self._grid.cells)}: {cell.name}")
            try:
                results[cell.name] = self._result_of(cell)
            except AudioNetError as error:
                failures[cell.name] = str(error)
                log(f"Failed: {cell.name}: {error}")
        return GridResult(results, failures, dict(self._unreadable))

    def _result_of(self, cell: Cell) -> CellResult:
        """Return the result that is kept of a cell, or run it."""
        dataset = self._dataset(cell.settings.pictures.chosen_recipe())
        pictures = (*dataset.examples, *dataset.unknown)
        data = data_digest((one.label, one.recording, one.sha256) for one in pictures)
        groups = digest_of(sorted({(one.recording, one.group) for one in pictures}))
        key = digest_of([FORMAT, __version__, cell.digest, self._grid.seeds, data, groups])
        path = self._results_dir / f"{key}.json"
        found = _read(path)
        if found is None:
            found = self._run(cell, dataset)
            write_json(path, {"format": FORMAT, "digest": digest_of(asdict(found)), "result": asdict(found)})
        return found

    def search(self, trials: int) -> dict[str, Any]:
        """Return as JSON what comes of choosing a cell on validation in each fold, and testing it there.

        Returns:
            `scores`, as `CellResult` has them, of recordings that no choice has seen; `chosen`, a list of `ChosenCell`;
            and `verdict`, sentences.

        Raises:
            AudioNetError: a cell cannot be trained, or Optuna is not installed.
        """
        load_optuna()  # before the long work
        chosen: list[ChosenCell] = []
        scored: list[ScoredRecording] = []
        labels: tuple[str, ...] = ()
        for seed in self._plans:
            trainers = {}
            for cell in self._in_order():
                dataset = self._dataset(cell.settings.pictures.chosen_recipe())
                trainers[cell.name], labels = self._trainer(cell, dataset, seed), dataset.labels
            holdout = replace(self.holdout, random_seed=seed)
            for fold in range(holdout.folds):
                one, of_fold = choose(self._grid, trainers, fold, holdout=holdout, trials=trials)
                log(f"Fold {fold + 1} of {holdout.folds}: {one.cell}, {one.validation_accuracy:.1%} on validation")
                chosen.append(one)
                scored += _of_seed(of_fold, seed, self._grid)
        evaluation = evaluate(scored, labels)
        scores = {**scores_of(evaluation), "labels": evaluation["labels"], "data": evaluation["data"]}
        return {
            "scores": scores,
            "chosen": [asdict(one) for one in chosen],
            "verdict": sentences_of(chosen, evaluation),
        }

    def _in_order(self) -> list[Cell]:
        """Return the cells, those that see the same data side by side, so that they share it."""
        seen = list(dict.fromkeys(cell.settings.seen() for cell in self._grid.cells))
        return sorted(self._grid.cells, key=lambda cell: seen.index(cell.settings.seen()))  # it is stable

    def learning_curve(self) -> dict[str, Any] | None:
        """Return the learning curve of the baseline's networks, each read at the bottleneck that is preferred.

        Raises:
            AudioNetError: the baseline cannot be had, or is trained whole, which no cache helps with.
        """
        cell = next(cell for cell in self._grid.cells if cell.name == self._grid.baseline)
        if cell.settings.whole.network or cell.settings.whole.fine_tune is not None:
            raise InputError(
                "--learning_curve: expected a baseline that trains a head alone, received a whole network."
            )
        seed, plan = next(iter(self._plans.items()))
        dataset = self._dataset(cell.settings.pictures.chosen_recipe())
        settings = cell.settings.training(seed=seed)
        data = Trainer(dataset, settings, bottleneck_dir=self._bottleneck_dir, previous=plan).data
        seen = [data.seen_by(number).select(*SPLITS, views=False) for number in range(1 + len(data.others))]
        tables = [one.bottlenecks(network.bottlenecks[0]) for one, network in zip(seen, data.networks, strict=True)]
        return learning_curve(seen[0], tables, seed=seed)

    def _dataset(self, recipe: Recipe) -> Dataset:
        """Return the pictures of the recordings, which are drawn where they are not yet."""
        if recipe.digest not in self._datasets:
            place = digest_of([str(self._audio_dir.resolve()), recipe.digest])
            folder = self._bottleneck_dir / "pictures" / place
            drawn = make_pictures(self._audio_dir, folder, recipe=recipe, wait_seconds=ANOTHER_RUN_SECONDS)
            self._set_aside(drawn.failures)
            dataset = read_dataset(folder, self._bottleneck_dir / PICTURE_CACHE_NAME, group_by=self.holdout.group_by)
            if self.holdout.negatives:
                dataset, failed = with_unknown(dataset, self.holdout.negatives, self._bottleneck_dir)
                self._set_aside(failed)
            self._datasets[recipe.digest] = obey(dataset, self._verdicts).dataset
        return self._datasets[recipe.digest]

    def _set_aside(self, failures: Mapping[str, str]) -> None:
        for recording, reason in failures.items():
            if recording not in self._unreadable:
                log(f"Set aside: {printable(recording)}: {reason}")
        self._unreadable |= failures

    def _run(self, cell: Cell, dataset: Dataset) -> CellResult:
        """Score a cell by a cross-validation for each seed, and measure the classifier that it would be."""
        scored: list[ScoredRecording] = []
        seconds = 0.0
        for seed in self._plans:
            trainer, holdout = self._trainer(cell, dataset, seed), replace(self.holdout, random_seed=seed)
            began = self._memory.clock()
            for model in models_of_folds(trainer, holdout=holdout):
                scored += _of_seed(score_held_out(model.selected, model.data), seed, self._grid)
            seconds += self._memory.clock() - began
        score_ms, size_bytes = self._cost(model, dataset)
        evaluation = evaluate(scored, dataset.labels)
        trainings = len(self._plans) * self.holdout.folds
        scores = {**scores_of(evaluation), "labels": evaluation["labels"], "data": evaluation["data"]}
        return CellResult(scores, round(seconds / trainings, 3), score_ms, size_bytes)

    def _trainer(self, cell: Cell, dataset: Dataset, seed: int) -> Trainer:
        """Return what trains a cell's heads; cells that differ in nothing else share its data and its memory."""
        settings, seen = cell.settings.training(seed=seed), (seed, cell.settings.seen())
        if seen not in self._trainers:
            self._trainers = {key: one for key, one in self._trainers.items() if key[1] == seen[1]}  # the last ones go
            trainer = Trainer(dataset, settings, bottleneck_dir=self._bottleneck_dir, previous=self._plans[seed])
            if not settings.whole.network:
                trainer.data = trainer.data.remembering(self._memory)
            self._trainers[seen] = trainer
        return self._trainers[seen].with_head(settings.head)

    def _cost(self, model: TrainedModel, dataset: Dataset) -> tuple[float, int]:
        """Return how many milliseconds a chunk takes, and how many bytes the classifier does.

        Both are decided by the networks and where they are read: cells that have these in common are measured once.
        """
        heads = [one.head for one in model.selected.members]
        shapes = [[*head.weights.shape, type(head.hidden).__name__] for head in heads]
        key = digest_of([dataset.recipe and dataset.recipe.digest, [one.digest for one in model.backbones], shapes])
        if key not in self._costs:
            self._costs[key] = self._measured(model, dataset)
        return self._costs[key]

    def _measured(self, model: TrainedModel, dataset: Dataset) -> tuple[float, int]:
        classifier = build_classifier(model, NO_FINGERPRINTS)
        with tempfile.TemporaryDirectory() as folder:
            classifier.save(Path(folder))
            size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        recordings = list(dict.fromkeys(one.recording for one in dataset.examples))[: TIMED_RECORDINGS + 1]
        classifier.score(self._paths[recordings[0]])  # the first takes longer, as all is made ready
        began = time.monotonic()
        chunks = sum(len(classifier.score(self._paths[name]).chunk_offsets_seconds) for name in recordings[1:])
        return round(1000 * (time.monotonic() - began) / max(chunks, 1), 2), size


def _of_seed(scored: list[ScoredRecording], seed: int, grid: Grid) -> list[ScoredRecording]:
    """Return scored recordings with the seed in their names, where there are several; their groups stay together."""
    if len(grid.seeds) == 1:
        return scored
    return [replace(one, recording=f"{one.recording} (seed {seed})") for one in scored]


def _read(path: Path) -> CellResult | None:
    """Return what is kept of a cell, or None where it is not there or not as it was written."""
    try:
        kept = validated(_KEPT, parse_json(read_regular(path)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log(f"Note: {printable(path)} cannot be read ({brief(error)}); the cell is run again.")
        return None
    if kept.format != FORMAT or kept.digest != digest_of(asdict(kept.result)):
        log(f"Note: {printable(path)} was changed; the cell is run again.")
        return None
    return kept.result
