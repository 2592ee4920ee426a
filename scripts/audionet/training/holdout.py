"""What is held out of training: the options, and splits that never move earlier recordings."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from audionet.data.dataset import Dataset, Example
from audionet.data.splits import assign_folds, split
from audionet.errors import InputError, check
from audionet.files import digest_of, printable


@dataclass(frozen=True)
class HoldoutSettings:
    """What is held out, and how training recordings are varied.

    Raises:
        InputError: a setting is outside its range.
    """

    testing_percentage: float = 20
    """Share of each label's recordings held out for the final score, without --test_dir and --folds."""
    validation_percentage: float = 20
    """Share of each label's recordings held out for choosing settings."""
    test_dir: Path | None = None
    """Folder of other recordings or pictures, one subfolder a label, for the final score instead."""
    folds: int = 0
    """Hold every recording out once, in so many parts, for the final score instead; then train on all."""
    negatives: Path | None = None
    """Folder of recordings or pictures of none of the labels, at any depth, to learn what unknown is like."""
    group_by: str = "recording"
    """What the split never parts: recording, folder, fold, TABLE.csv:COLUMN, or a regular expression on the name."""
    random_seed: int = 0
    """Another seed, another split."""
    views: int = 4
    """Augmented views of each training picture, with noise, rooms and codecs. They cost time once and are cached."""

    def __post_init__(self) -> None:
        for name in ("testing_percentage", "validation_percentage"):
            check(0 <= getattr(self, name) < 100, f"--{name}: expected 0 to 99, received {getattr(self, name)}.")
        for name in ("test_dir", "negatives"):
            folder = getattr(self, name)
            check(folder is None or folder.is_dir(), f"--{name}: expected a folder, received {folder}.")
        check(self.folds == 0 or self.folds >= 2, f"--folds: expected 2 or more, or 0 for none, received {self.folds}.")
        check(not (self.folds and self.test_dir), "--folds and --test_dir exclude each other: choose one score.")
        total = self.testing_percentage + self.validation_percentage
        check(total < 100, f"--testing_percentage and --validation_percentage: {total} % leave nothing to train on.")
        check(0 <= self.views <= 100, f"--views: expected 0 to 100, received {self.views}.")

    @property
    def testing_share(self) -> float:
        """Percentage of each label's recordings that is held out of training for good."""
        return 0 if self.folds or self.test_dir else self.testing_percentage


def split_name(dataset: Dataset, holdout: HoldoutSettings) -> str:
    shares = [holdout.testing_share, holdout.validation_percentage]
    folder = str(dataset.folder.resolve())
    return digest_of([folder, *shares, holdout.folds, holdout.group_by, holdout.random_seed])


def split_as_before(examples: Sequence[Example], holdout: HoldoutSettings, previous_path: Path) -> dict[str, str]:
    return split(
        examples,
        testing_percentage=holdout.testing_share,
        validation_percentage=holdout.validation_percentage,
        seed=holdout.random_seed,
        previous=previous_split(previous_path, "sides"),
    )


def split_unknown(
    impostors: Sequence[Example], sides: Mapping[str, str], holdout: HoldoutSettings, previous_path: Path
) -> dict[str, str]:
    """Give each group of impostors a side; a single one is trained on, since nothing can be learned from those tested.

    A group that has recordings of labels too goes where those are.
    """
    groups = {example.group for example in impostors}
    theirs = {group: "testing" if sides[group] == "testing" else "training" for group in groups & sides.keys()}
    return split(
        impostors,
        testing_percentage=holdout.testing_share if len(groups) > 1 else 0,
        validation_percentage=0,
        seed=holdout.random_seed,
        previous=previous_split(previous_path, "impostors") | theirs,
    )


def folds_as_before(examples: Sequence[Example], holdout: HoldoutSettings, previous_path: Path) -> dict[str, int]:
    if not holdout.folds:
        return {example.group: 0 for example in examples}
    previous = previous_split(previous_path, "folds")
    return assign_folds(examples, folds=holdout.folds, seed=holdout.random_seed, previous=previous)


def previous_split(path: Path, kind: str) -> dict:
    try:
        return json.loads(path.read_text())[kind]
    except (OSError, ValueError, KeyError):
        return {}


def sides_without(
    fold: int, examples: Sequence[Example], folds: Mapping[str, int], holdout: HoldoutSettings
) -> dict[str, str]:
    """Return the side of each group when one fold is tested: its own groups testing, the others split anew.

    Raises:
        InputError: some label has too few groups outside the fold.
    """
    others = [example for example in examples if folds[example.group] != fold]
    missing = sorted({example.label for example in examples} - {example.label for example in others})
    if missing:
        raise InputError(
            f"--folds: all recordings of {', '.join(map(printable, missing[:10]))} would be held out at once. A label "
            "needs 3 of them, or groups of them; add some, or remove the label."
        )
    sides = split(
        others,
        testing_percentage=0,
        validation_percentage=holdout.validation_percentage,
        seed=holdout.random_seed,
    )
    return {example.group: sides.get(example.group, "testing") for example in examples}
