"""What is held out of training: splits and folds that never move earlier recordings."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from audionet.data.dataset import Example, check_labels
from audionet.data.groups import group_rule
from audionet.data.splits import assign_folds, assign_splits
from audionet.errors import InputError
from audionet.files import UNKNOWN_LABEL, printable
from audionet.training.settings import HoldoutSettings
from audionet.training.split_memory import HoldoutPlan


def plan_holdout(
    known: Sequence[Example], unknown: Sequence[Example], holdout: HoldoutSettings, *, previous: HoldoutPlan
) -> HoldoutPlan:
    """Give each group of recordings a split and a fold; those that an earlier plan has stay where they were.

    A group that has recordings of labels and of none goes where the former are. A single group of unknown recordings is
    trained on, since the open-set detector is fitted on none that are tested.

    Raises:
        InputError: a label has too few groups to be in every split, or there are fewer groups than folds.
    """
    splits = assign_splits(
        known,
        testing_percentage=holdout.testing_share,
        validation_percentage=holdout.validation_percentage,
        seed=holdout.random_seed,
        previous=previous.known,
    )
    groups = {example.group for example in unknown}
    mixed = {group: "testing" if splits[group] == "testing" else "training" for group in groups & splits.keys()}
    unknown_splits = assign_splits(
        unknown,
        testing_percentage=holdout.testing_share if len(groups) > 1 else 0,
        validation_percentage=0,
        seed=holdout.random_seed,
        previous=previous.unknown | mixed,
    )
    everything = [*known, *unknown]
    if not holdout.folds:
        return HoldoutPlan(known=splits, unknown=unknown_splits, folds={example.group: 0 for example in everything})
    folds = assign_folds(everything, folds=holdout.folds, seed=holdout.random_seed, previous=previous.folds)
    return HoldoutPlan(known=splits, unknown=unknown_splits, folds=folds)


def check_plan(plan: HoldoutPlan, examples: Sequence[Example], holdout: HoldoutSettings) -> None:
    """Raise InputError, before the long work, where a label has too few groups outside of a fold."""
    for fold in range(holdout.folds):
        splits_without(fold, examples, plan.folds, holdout)


def check_enough(recordings: Mapping[str, Iterable[str]], holdout: HoldoutSettings, *, image_dir: Path) -> None:
    """Raise InputError, before anything is drawn, where recordings, by label, are too few to train on or to hold out.

    Those that cannot be read are found later.
    """
    known = {label: list(names) for label, names in recordings.items() if label != UNKNOWN_LABEL}
    check_labels(image_dir, list(known), {label for label, names in known.items() if names}, noun="recording")
    rule = group_rule(holdout.group_by)
    examples = [
        Example(Path(name), label, name, 0.0, "", group=rule(name)) for label, names in known.items() for name in names
    ]
    check_plan(plan_holdout(examples, [], holdout, previous=HoldoutPlan()), examples, holdout)


def splits_without(
    fold: int, examples: Sequence[Example], folds: Mapping[str, int], holdout: HoldoutSettings
) -> dict[str, str]:
    """Return the split of each group when one fold is tested: its own groups testing, the others split anew.

    A label with too few groups outside the fold raises InputError.
    """
    others = [example for example in examples if folds[example.group] != fold]
    missing = sorted({example.label for example in examples} - {example.label for example in others})
    if missing:
        raise InputError(
            f"--folds: all recordings of {', '.join(map(printable, missing[:10]))} would be held out at once. A label "
            "needs 3 of them, or groups of them; add some, or remove the label."
        )
    splits = assign_splits(
        others, testing_percentage=0, validation_percentage=holdout.validation_percentage, seed=holdout.random_seed
    )
    return {example.group: splits.get(example.group, "testing") for example in examples}
