"""Readers of a classifier's folder while training replaces it: always the one version or the other, never an error."""

import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from conftest import voice, write_sound

import audionet.api
from audionet.app import worker_tasks
from audionet.console import log
from audionet.data.preprocessing import make_pictures
from audionet.features.recipes import find_recipe
from audionet.models.classifier import Classifier
from audionet.training.settings import BackboneSettings, HeadSettings, HoldoutSettings, TrainingSettings
from audionet.training.training_run import TrainingRun
from torture.options import ReaderOptions
from torture.tally import Tally
from torture.workplace import import_everything, tiny_network, write_recordings

PAUSE_SECONDS = 0.02  # between reads of who has read enough and goes on for the others


@dataclass(frozen=True)
class Reading:
    """What readers read: the folder, and a clip to label; and the folder in which each says when it has read enough."""

    model: Path
    clip: Path
    done: Path

    def is_done(self, readers: int) -> bool:
        """Whether so many have read enough."""
        return len(list(self.done.iterdir())) == readers


def load(reading: Reading) -> str:
    """Load the classifier and return what it is known by."""
    return str(Classifier.load(reading.model).fingerprint)


def label(reading: Reading) -> str:
    """Load the classifier, label the clip, and return the answer."""
    return repr(Classifier.load(reading.model).score(reading.clip).to_json())


def page(reading: Reading) -> str:
    """Load the classifier as the page does, and return what it is known by."""
    return str(worker_tasks._classifier(reading.model).fingerprint)


READERS: dict[str, Callable[[Reading], str]] = {"load": load, "label": label, "page": page}


def run(options: ReaderOptions) -> list[Tally]:
    """Let all readers read `times` times while a writer replaces the folder again and again."""
    import_everything()
    folder = Path(tempfile.mkdtemp(prefix="torture-readers-"))
    try:
        versions = train_two(folder)
        reading = Reading(folder / "model", write_sound(folder / "clip.wav", voice("bob", seed=9)), folder / "done")
        return read_while_written(reading, versions, [name for name in READERS if options.wants(name)], options.times)
    finally:
        shutil.rmtree(folder)


def train_two(folder: Path) -> list[TrainingRun]:
    """Train two classifiers of the same recordings, whose answers differ."""
    audio_dir, image_dir = write_recordings(folder / "audio"), folder / "images"
    make_pictures(audio_dir, image_dir, recipe=find_recipe("default"), jobs=1)
    with tiny_network():
        return [
            audionet.api.train(
                image_dir,
                settings=TrainingSettings(
                    None, BackboneSettings(), HoldoutSettings(views=0, random_seed=seed), HeadSettings(head="lda")
                ),
                bottleneck_dir=folder / "bottlenecks",
            )
            for seed in range(2)
        ]


def read_while_written(
    reading: Reading, versions: Sequence[TrainingRun], names: Sequence[str], times: int
) -> list[Tally]:
    """Return a tally for each reader."""
    tallies = {name: Tally("readers", name) for name in names}
    with ProcessPoolExecutor(len(names) + 1, mp_context=multiprocessing.get_context("fork")) as pool:
        expected: dict[str, set[str]] = {name: set() for name in names}
        for version in versions:
            version.save(reading.model)
            for name in names:
                expected[name].add(pool.submit(READERS[name], reading).result())
        assert all(len(answers) == len(versions) for answers in expected.values()), "the two must differ"
        reading.done.mkdir()
        written = pool.submit(write_until_done, versions, reading, len(names))
        read = {name: pool.submit(read_often, name, reading, expected[name], times, len(names)) for name in names}
        for name, future in read.items():
            outcome = future.result()
            for fault in [*outcome.faults, *[""] * (outcome.reads - len(outcome.faults))]:
                tallies[name].count(fault, seconds=outcome.seconds / outcome.reads)
        log(f"The classifier was replaced {written.result()} times.")
    return list(tallies.values())


@dataclass(frozen=True)
class Outcome:
    """What came of reading."""

    reads: int
    faults: list[str]
    seconds: float


def write_until_done(versions: Sequence[TrainingRun], reading: Reading, readers: int) -> int:
    """Save one version after the other until so many readers are done, and return how often."""
    written = 0
    while not reading.is_done(readers):
        versions[written % len(versions)].save(reading.model)
        written += 1
    return written


def read_often(name: str, reading: Reading, expected: set[str], times: int, readers: int) -> Outcome:
    """Read so often, and on until all readers have done so, and return what came of it."""
    faults, reads, begun = [], 0, time.monotonic()
    while reads < times or not reading.is_done(readers):
        reads += 1
        try:
            found = READERS[name](reading)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is a fault to be counted)
            faults.append(f"{type(error).__name__}: {error}")
        else:
            if found not in expected:
                faults.append(f"neither the one version nor the other: {found}")
        if reads == times:
            (reading.done / name).touch()
        if reads > times:
            time.sleep(PAUSE_SECONDS)
    return Outcome(reads, faults, time.monotonic() - begun)
