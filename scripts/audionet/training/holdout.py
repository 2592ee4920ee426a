"""What is held out of training: the options, and splits that never move earlier recordings."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from audionet.data.dataset import Dataset, Example
from audionet.data.splits import assign_folds, split
from audionet.errors import InputError
from audionet.files import digest_of, printable
from audionet.training.settings import HoldoutSettings


def split_name(dataset: Dataset, holdout: HoldoutSettings) -> str:
    """Return the name under which a split is remembered."""
    shares = [holdout.testing_share, holdout.validation_percentage]
    folder = str(dataset.folder.resolve())
    return digest_of([folder, *shares, holdout.folds, holdout.group_by, holdout.random_seed])


def split_as_before(examples: Sequence[Example], holdout: HoldoutSettings, previous_path: Path) -> dict[str, str]:
    """Split examples; groups that an earlier split knows stay where they were."""
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
    """Assign folds; groups that an earlier assignment knows stay where they were."""
    if not holdout.folds:
        return {example.group: 0 for example in examples}
    previous = previous_split(previous_path, "folds")
    return assign_folds(examples, folds=holdout.folds, seed=holdout.random_seed, previous=previous)


def previous_split(path: Path, kind: str) -> dict:
    """Return an earlier split; empty where there is none."""
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
