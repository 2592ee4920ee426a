"""Splits and folds: which recordings train, which validate, which test."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable

from audionet.data.dataset import Example
from audionet.errors import InputError
from audionet.files import printable
from audionet.wording import named_list

SPLITS = ("training", "validation", "testing")


def split(
    examples: Iterable[Example],
    *,
    testing_percentage: float,
    validation_percentage: float,
    seed: int = 0,
    previous: dict[str, str] | None = None,
) -> dict[str, str]:
    """Give each group a side, so that every label is on every side that is wanted. A recording is a group by default.

    Groups are taken in the order of a hash of their name and the seed, those of rare labels first, and each goes to the
    side that its labels miss most. The result depends on nothing else: not on the order of files, the machine or the
    moment. Groups that `previous` knows stay where they were, so that adding some never moves the others.

    Args:
        examples: what to split.
        testing_percentage: the share of each label's groups held out for the final score.
        validation_percentage: the share held out for choosing settings.
        seed: another seed gives another split.
        previous: an earlier result.

    Returns:
        dict: `training`, `validation` or `testing` by group.

    Raises:
        InputError: a label has too few groups to be on every side.
    """
    shares = {
        "testing": testing_percentage / 100,
        "validation": validation_percentage / 100,
        "training": 1 - (testing_percentage + validation_percentage) / 100,
    }
    wanted = {side: share for side, share in shares.items() if share > 0}
    labels_of: dict[str, set[str]] = defaultdict(set)
    groups_of: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        labels_of[example.group].add(example.label)
        groups_of[example.label].add(example.group)
    _check_groups(groups_of, wanted)
    sides = _fill_sides(labels_of, groups_of, wanted, seed, previous or {})
    if previous and _gaps(sides, groups_of, wanted):  # every group of a side was taken away
        sides = _fill_sides(labels_of, groups_of, wanted, seed, {})
    gaps = _gaps(sides, groups_of, wanted)
    if gaps:
        raise InputError(
            f"The groups cannot be split so that every label is on every side: {'; '.join(gaps[:10])}. Add recordings, "
            "try another --random_seed or --group_by, or pass --validation_percentage 0."
        )
    return sides


def assign_folds(
    examples: Iterable[Example], *, folds: int, seed: int = 0, previous: dict[str, int] | None = None
) -> dict[str, int]:
    """Give each group a fold, from 0, so that each label is spread evenly over the folds, as `split` gives sides.

    Args:
        examples: what to deal out.
        folds: how many, 2 or more.
        seed: another seed gives other folds.
        previous: an earlier result; groups that it knows stay where they were.

    Raises:
        InputError: there are fewer groups than folds.
    """
    labels_of: dict[str, set[str]] = defaultdict(set)
    groups_of: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        labels_of[example.group].add(example.label)
        groups_of[example.label].add(example.group)
    wanted = {str(fold): 1 / folds for fold in range(folds)}
    before = {group: str(fold) for group, fold in (previous or {}).items()}
    sides = _fill_sides(labels_of, groups_of, wanted, seed, before)
    if len(set(sides.values())) < folds:
        raise InputError(f"--folds: {len(sides)} recordings or groups of them are too few for {folds}; name fewer.")
    return {group: int(side) for group, side in sides.items()}


def _fill_sides(
    labels_of: dict[str, set[str]],
    groups_of: dict[str, set[str]],
    wanted: dict[str, float],
    seed: int,
    previous: dict[str, str],
) -> dict[str, str]:
    sides = {group: previous[group] for group in labels_of if previous.get(group) in wanted}
    counts = Counter((label, side) for group, side in sides.items() for label in labels_of[group])
    # A small label gives one group to each side before any side gets its second.
    quotas = {
        (label, side): max(1, math.floor(share * len(groups) + 0.5))
        for label, groups in groups_of.items()
        for side, share in wanted.items()
    }

    def lack(group: str, side: str) -> tuple[int, float, bool]:
        cells = [(label, side) for label in labels_of[group]]
        empty = sum(counts[cell] == 0 for cell in cells)
        return empty, sum((quotas[cell] - counts[cell]) / quotas[cell] for cell in cells), side == "training"

    def turn(group: str) -> tuple[int, bytes]:
        digest = hashlib.sha256(f"{seed}/{group}".encode("utf-8", "surrogateescape")).digest()
        return min(len(groups_of[label]) for label in labels_of[group]), digest

    for group in sorted(labels_of.keys() - sides.keys(), key=turn):
        side = max(wanted, key=lambda side: lack(group, side))
        sides[group] = side
        counts.update((label, side) for label in labels_of[group])
    return sides


def _gaps(sides: dict[str, str], groups_of: dict[str, set[str]], wanted: Iterable[str]) -> list[str]:
    return [
        f"{printable(label)} has no {side}"
        for label, groups in sorted(groups_of.items())
        for side in wanted
        if not any(sides[group] == side for group in groups)
    ]


def _check_groups(groups_of: dict[str, set[str]], wanted: Iterable[str]) -> None:
    sides = list(wanted)
    poor = [
        f"{printable(label)} ({len(groups)})" for label, groups in sorted(groups_of.items()) if len(groups) < len(sides)
    ]
    if poor:
        raise InputError(
            f"Too few recordings to hold any out: each label needs {len(sides)}, one each for {', '.join(sides)}, "
            f"but there are fewer for {named_list('label', poor)}. Add recordings, or pass --validation_percentage 0, "
            "or --testing_percentage 0 as well, to do without those sides."
        )
