"""Splits and folds: which recordings train, which validate, which test."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from audionet.data.dataset import Example
from audionet.errors import InputError
from audionet.files import printable
from audionet.wording import named_list

SPLITS = ("training", "validation", "testing")


def assign_splits(
    examples: Iterable[Example],
    *,
    testing_percentage: float,
    validation_percentage: float,
    seed: int = 0,
    previous: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Assign each group to a split, so that every label is in every split wanted. A recording is a group by default.

    Groups are taken in the order of a hash of their name and the seed, those of rare labels first, and each goes to the
    split that its labels miss most. The result depends on nothing else: not on the order of files, the machine or the
    moment. Groups that `previous`, an earlier result, knows stay where they were, whatever is added or taken away; but
    where all of a label's groups in a split were taken away, one of the others goes there. Percentages are of each
    label's groups.

    Returns:
        dict: `training`, `validation` or `testing` by group.

    Raises:
        InputError: a label has too few groups to be in every split.
    """
    shares = {
        "testing": testing_percentage / 100,
        "validation": validation_percentage / 100,
        "training": 1 - (testing_percentage + validation_percentage) / 100,
    }
    wanted = {split: share for split, share in shares.items() if share > 0}
    labels_of, groups_of = _labels_and_groups(examples)
    _check_groups(groups_of, list(wanted))
    splits = _assign(labels_of, groups_of, wanted, seed, previous or {})
    for label, split in _gaps(splits, groups_of, wanted):
        _fill(splits, label, split, labels_of, groups_of, seed)
    if previous and _gaps(splits, groups_of, wanted):
        splits = _assign(labels_of, groups_of, wanted, seed, {})
    gaps = [f"{printable(label)} has no {split}" for label, split in _gaps(splits, groups_of, wanted)]
    if gaps:
        raise InputError(
            f"The groups cannot be split so that every label is in every split: {'; '.join(gaps[:10])}. Add "
            "recordings, try another --random_seed or --group_by, or pass --validation_percentage 0."
        )
    return splits


def assign_folds(
    examples: Iterable[Example], *, folds: int, seed: int = 0, previous: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Assign each group to a fold, from 0, so that labels are spread evenly over the folds, as `assign_splits` does it.

    There are 2 folds or more. Groups that `previous`, an earlier result, knows stay where they were; but where all of a
    fold were taken away, one of the fullest fold goes there.

    Raises:
        InputError: there are fewer groups than folds.
    """
    labels_of, groups_of = _labels_and_groups(examples)
    wanted = {str(fold): 1 / folds for fold in range(folds)}
    before = {group: str(fold) for group, fold in (previous or {}).items()}
    if len(labels_of) < folds:
        raise InputError(f"--folds: {len(labels_of)} recordings or groups of them are too few for {folds}; name fewer.")
    assigned = _assign(labels_of, groups_of, wanted, seed, before)
    for fold in wanted:
        if fold not in assigned.values():
            _move(assigned, labels_of.keys(), fold, seed)
    return {group: int(fold) for group, fold in assigned.items()}


def _labels_and_groups(examples: Iterable[Example]) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return the labels of each group and the groups of each label."""
    labels_of: dict[str, set[str]] = defaultdict(set)
    groups_of: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        labels_of[example.group].add(example.label)
        groups_of[example.label].add(example.group)
    return labels_of, groups_of


def _assign(
    labels_of: Mapping[str, set[str]],
    groups_of: Mapping[str, set[str]],
    wanted: Mapping[str, float],
    seed: int,
    previous: Mapping[str, str],
) -> dict[str, str]:
    """Assign groups to splits, or to folds, which have the shares in `wanted`."""
    assigned = {group: previous[group] for group in labels_of if previous.get(group) in wanted}
    counts = Counter((label, split) for group, split in assigned.items() for label in labels_of[group])
    # A small label gives one group to each split before any split gets its second.
    quotas = {
        (label, split): max(1, math.floor(share * len(groups) + 0.5))
        for label, groups in groups_of.items()
        for split, share in wanted.items()
    }
    fewest = {group: min(len(groups_of[label]) for label in labels) for group, labels in labels_of.items()}
    for group in sorted(labels_of.keys() - assigned.keys(), key=lambda group: (fewest[group], _hash(group, seed))):
        cells = {split: [(label, split) for label in sorted(labels_of[group])] for split in wanted}
        lacks = {
            split: (
                sum(counts[cell] == 0 for cell in cells[split]),
                sum((quotas[cell] - counts[cell]) / quotas[cell] for cell in cells[split]),
                split == "training",
            )
            for split in wanted
        }
        assigned[group] = max(wanted, key=lacks.__getitem__)
        counts.update(cells[assigned[group]])
    return assigned


def _hash(group: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{group}".encode("utf-8", "surrogateescape")).digest()


def _gaps(splits: Mapping[str, str], groups_of: Mapping[str, set[str]], wanted: Iterable[str]) -> list[tuple[str, str]]:
    """Return each label with each split that it has no group in."""
    return [
        (label, split)
        for label, groups in sorted(groups_of.items())
        for split in wanted
        if not any(splits[group] == split for group in groups)
    ]


def _fill(
    splits: dict[str, str],
    label: str,
    split: str,
    labels_of: Mapping[str, set[str]],
    groups_of: Mapping[str, set[str]],
    seed: int,
) -> None:
    """Move a group of a label to a split that it has none in, unless another label or split would have none then."""
    counts = Counter((of, splits[group]) for of, groups in groups_of.items() for group in groups)
    spare = {group for group in groups_of[label] if all(counts[of, splits[group]] > 1 for of in labels_of[group])}
    if spare and not counts[label, split]:
        _move(splits, spare, split, seed)


def _move(assigned: dict[str, str], groups: Iterable[str], to: str, seed: int) -> None:
    """Move one of some groups from where most of them are."""
    counts = Counter(assigned[group] for group in groups)
    assigned[min(groups, key=lambda group: (-counts[assigned[group]], _hash(group, seed)))] = to


def _check_groups(groups_of: Mapping[str, set[str]], splits: Sequence[str]) -> None:
    counts = {label: len(groups) for label, groups in sorted(groups_of.items())}
    poor = [f"{printable(label)} ({count})" for label, count in counts.items() if count < len(splits)]
    if poor:
        raise InputError(
            f"Too few recordings to hold any out: each label needs {len(splits)}, one each for {', '.join(splits)}, "
            f"but there are fewer for {named_list('label', poor)}. Add recordings, or pass --validation_percentage 0, "
            "or --testing_percentage 0 as well, to do without those splits."
        )
