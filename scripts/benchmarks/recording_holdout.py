"""What a benchmark trains on and what it holds out: recordings by name, or in folds, groups never parted."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from audionet.console import log
from audionet.data.dataset import Dataset, Example, read_dataset
from audionet.data.preprocessing import make_pictures
from audionet.data.splits import assign_folds
from audionet.errors import InputError
from audionet.features.recipes import Recipe, find_recipe
from audionet.files import printable, sha256_of


@dataclass(frozen=True)
class TrainTestSplit:
    """One way to hold recordings out."""

    name: str
    dataset: Dataset  # what may be trained on
    tested: tuple[Example, ...]

    @property
    def recipe(self) -> Recipe:
        """What drew the pictures."""
        assert self.dataset.recipe is not None  # they were drawn of recordings
        return self.dataset.recipe


def dataset_of(
    audio_dir: Path, folder: Path, *, group_by: str, recipe: Recipe | None = None
) -> tuple[Dataset, dict[str, str]]:
    """Draw recordings into `folder`; return the pictures, and the reason by recording for each that was set aside."""
    tally = make_pictures(audio_dir, folder / "data_image", recipe=recipe or find_recipe("default"))
    for recording, reason in tally.failures.items():
        log(f"Set aside: {printable(recording)}: {reason}")
    return read_dataset(folder / "data_image", folder / "pictures.sqlite", group_by=group_by), tally.failures


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


def split_by_name(dataset: Dataset, test: str) -> TrainTestSplit:
    """Hold out what `groups_by_name` finds."""
    return _split(f"test {sha256_of(test.encode())[:8]}", dataset, groups_by_name(dataset, test))


def splits_by_fold(dataset: Dataset, *, count: int, seed: int = 0) -> list[TrainTestSplit]:
    """Hold out every recording once, in `count` splits, labels spread evenly; groups stay together.

    Raises:
        InputError: there are fewer groups than folds.
    """
    folds = assign_folds(dataset.examples, folds=count, seed=seed)
    return [
        _split(f"fold {fold + 1} of {count}", dataset, {group for group in folds if folds[group] == fold})
        for fold in range(count)
    ]


def _split(name: str, dataset: Dataset, held_out: set[str]) -> TrainTestSplit:
    trained = tuple(example for example in dataset.examples if example.group not in held_out)
    tested = tuple(example for example in dataset.examples if example.group in held_out)
    return TrainTestSplit(name, replace(dataset, examples=trained, unknown=()), tested)
