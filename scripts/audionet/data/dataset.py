"""Folders of pictures become examples, and examples are split by recording.

    image_dir/alice/monday_00000.jpg    label alice, recording alice/monday.mp3 (the jpg says so)
    image_dir/cats/tom_nohash_1.png     label cats, recording cats/tom: whatever precedes _nohash_ belongs together
    image_dir/yes/ab12_nohash_0_00000.jpg  label yes, recording yes/ab12_nohash_0.wav: speaker ab12 stays together too
    image_dir/cats/stray.png            label cats, a recording of its own
    image_dir/_unknown_/radio_00000.jpg no label: an impostor, whom a classifier learns to refuse

All pictures of a recording are on one side of the split. Otherwise the classifier could score by recognising the
recording, its room and its microphone, and would disappoint with the next one.
"""

import csv
import hashlib
import json
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from audionet.errors import InputError
from audionet.features.image_io import is_picture, read_about
from audionet.features.recipes import Recipe
from audionet.file_cache import Ledger, Stamp, stamp_of
from audionet.files import label_folders, name_below, printable, sha256_of, walk_files

SIDES = ("training", "validation", "testing")
UNKNOWN_LABEL = "_unknown_"
NO_HASH = "_nohash_"


@dataclass(frozen=True)
class Example:
    """One picture of a data set.

    Attributes:
        path: the file.
        label: its folder's name.
        recording: what it must not be parted from, such as `alice/monday.mp3`.
        offset_seconds: where in the recording it starts.
        seconds: how long it is; 0 for ordinary pictures.
        sha256: of the file's bytes.
        group: what must be on one side of the split, by default the recording; a session, a site or a microphone.
        level_dbfs: how loud the chunk is; None for ordinary pictures.
    """

    path: Path
    label: str
    recording: str
    offset_seconds: float
    sha256: str
    seconds: float = 0.0
    group: str = ""
    level_dbfs: float | None = None

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.recording)


@dataclass(frozen=True)
class Dataset:
    """The pictures of a folder.

    Attributes:
        folder: where they are.
        labels: sorted; the position of a label is its number everywhere.
        examples: sorted by label and name.
        recipe: what the pictures were drawn by, or None for ordinary pictures.
        failures: reason by picture that cannot be read.
        impostors: pictures of none of the labels.
    """

    folder: Path
    labels: tuple[str, ...]
    examples: tuple[Example, ...]
    recipe: Recipe | None
    failures: dict[str, str]
    impostors: tuple[Example, ...] = ()


def levels_of(examples: Sequence[Example]) -> tuple[float, ...]:
    """Return how loud each of some chunks is, or nothing if that is not known of all."""
    levels = tuple(example.level_dbfs for example in examples if example.level_dbfs is not None)
    return levels if len(levels) == len(examples) else ()


def read_dataset(image_dir: Path, ledger_path: Path, *, group_by: str = "recording") -> Dataset:
    """List the pictures of every label folder; only what is new or changed since the last time is read.

    Args:
        image_dir: a folder with one subfolder a label, each with pictures at any depth.
        ledger_path: where to remember what was read.
        group_by: what must not be parted, as `group_rule` reads it.

    Raises:
        InputError: there are fewer than two labels, a label has no picture, the pictures are of several recipes, or
            `group_by` cannot be applied.
    """
    rule = group_rule(group_by)
    folders = label_folders(image_dir, option="--image_dir")
    pictures = [(path, folder.name) for folder in folders for path in walk_files(folder) if is_picture(path)]
    labels = tuple(folder.name for folder in folders if folder.name != UNKNOWN_LABEL)
    _check_labels(image_dir, labels, {label for _, label in pictures})
    examples, recipe, failures = _read_examples(pictures, image_dir, ledger_path, rule)
    known_examples = tuple(example for example in examples if example.label != UNKNOWN_LABEL)
    impostors = tuple(example for example in examples if example.label == UNKNOWN_LABEL)
    return Dataset(image_dir, labels, known_examples, recipe, failures, impostors)


def read_impostors(folder: Path, ledger_path: Path, *, recipe: Recipe | None) -> tuple[list[Example], dict[str, str]]:
    """List the pictures of a folder, at any depth, as impostors: they are of none of the labels.

    Args:
        folder: of pictures.
        ledger_path: where to remember what was read.
        recipe: of the pictures that they are to be told from, or None for ordinary ones.

    Returns:
        tuple: the examples, and the reason by picture for each that cannot be read.

    Raises:
        InputError: there is no picture, or they were drawn by another recipe.
    """
    pictures = [(path, UNKNOWN_LABEL) for path in walk_files(folder) if is_picture(path)]
    examples, found, failures = _read_examples(pictures, folder, ledger_path, lambda recording: recording)
    if not examples:
        raise InputError(
            f"--negatives: {printable(folder)} holds nothing that can be read. Put "
            f"{'recordings' if recipe else 'pictures'} of none of the labels there, or name another folder."
        )
    if (found and found.fingerprint) != (recipe and recipe.fingerprint):
        raise InputError(
            f"--negatives: {printable(folder)} holds {f'pictures of recipe {found.name}' if found else 'pictures'}, "
            f"which do not compare with {f'those of recipe {recipe.name}' if recipe else 'ordinary ones'}. Name a "
            "folder of recordings, or of pictures that were made in the same way."
        )
    return [replace(one, recording=f"{UNKNOWN_LABEL}/{one.recording}", group="") for one in examples], failures


def _read_examples(
    pictures: Sequence[tuple[Path, str]], folder: Path, ledger_path: Path, rule: Callable[[str], str]
) -> tuple[list[Example], Recipe | None, dict[str, str]]:
    """Read what pictures say of themselves, and the one recipe that they were drawn by."""
    with Ledger(ledger_path, context=NO_HASH) as ledger:
        known, failures = _read_all([path for path, _ in pictures], ledger)
    examples = []
    recipes: dict[str, dict] = {}
    name_of = name_below(folder)
    for path, label in pictures:
        if path not in known:
            continue
        value = known[path]
        if value["recipe"]:
            recipes.setdefault(json.dumps(value["recipe"], sort_keys=True), value["recipe"])
        recording = value["recording"] or _implied_recording(name_of(path))
        examples.append(
            Example(
                path=path,
                label=label,
                recording=recording,
                offset_seconds=value["offset_seconds"],
                sha256=value["sha256"],
                seconds=value["seconds"],
                group=rule(recording),
                level_dbfs=value.get("level_dbfs"),
            )
        )
    if len({Recipe.from_json(recipe).fingerprint for recipe in recipes.values()}) > 1:
        raise InputError(
            f"{printable(folder)} holds pictures of {len(recipes)} recipes, which do not compare. Make them again: "
            "python data_maker.py."
        )
    return examples, Recipe.from_json(next(iter(recipes.values()))) if recipes else None, failures


def group_rule(group_by: str) -> Callable[[str], str]:
    """Return the function from a recording's name, such as `alice/monday.mp3`, to the group it belongs to.

    Args:
        group_by: `recording`, or what precedes _nohash_ in its name; or `folder`, the folder that the recording is in;
            or `fold`, the folder below the label's, as published data sets have folds; or `TABLE.csv:COLUMN`, a column
            of a table whose first column names recordings, with or without their label; or else a regular expression,
            whose first group, or whole match, in the file's name is the group, such as `^[^_]+`.

    Raises:
        InputError: the table or its column is not there, or the regular expression is wrong. The function raises it for
            a recording that the table lacks or the expression does not match.
    """
    if group_by == "recording":
        return _speaker_or_recording
    if group_by == "fold":
        return _fold_of
    if group_by == "folder":
        return lambda recording: str(Path(recording).parent)
    table, colon, column = group_by.rpartition(":")
    if colon and table.lower().endswith(".csv"):
        return _table_rule(Path(table), column)
    try:
        expression = re.compile(group_by)
    except re.error as error:
        raise InputError(
            f"--group_by: expected recording, folder, TABLE.csv:COLUMN or a regular expression, received {group_by!r} "
            f"({error})."
        ) from error

    def matched(recording: str) -> str:
        match = expression.search(Path(recording).name)
        if match is None:
            raise InputError(f"--group_by: {group_by!r} does not match the name of {printable(recording)}.")
        return match.group(1) if expression.groups else match.group()

    return matched


def _speaker_or_recording(recording: str) -> str:
    """Return the speaker that `xxxx_nohash_n.wav` names, who says other labels too, or else the recording."""
    speaker, separator, _ = Path(recording).name.rpartition(NO_HASH)
    return speaker if separator else recording


def _fold_of(recording: str) -> str:
    parts = Path(recording).parts
    if len(parts) < 3:
        raise InputError(
            f"--group_by: expected {printable(recording)} in a fold, such as label/fold1/name.wav or as UrbanSound8K "
            "and ESC-50 are published, received none. Leave the option away, or group by something else."
        )
    return parts[1]


def _table_rule(path: Path, column: str) -> Callable[[str], str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            names = rows.fieldnames or []
            if column not in names[1:]:
                raise InputError(
                    f"--group_by: {printable(path)} has no column {column!r} behind its first; expected one of "
                    f"{', '.join(names[1:])}."
                )
            groups = {row[names[0]]: row[column] for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--group_by: {printable(path)} cannot be read as a table ({error}).") from error

    def looked_up(recording: str) -> str:
        for name in (recording, Path(recording).name, Path(recording).stem):
            if name in groups:
                return groups[name]
        raise InputError(f"--group_by: {printable(path)} has no row for {printable(recording)}.")

    return looked_up


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


def deal_out(
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


def _check_labels(image_dir: Path, labels: Sequence[str], with_pictures: set[str]) -> None:
    if not with_pictures - {UNKNOWN_LABEL}:
        raise InputError(
            f"--image_dir: {printable(image_dir)} holds no picture in any label folder. Make some from recordings with "
            "python data_maker.py, or put pictures there."
        )
    without = [printable(label) for label in labels if label not in with_pictures]
    if without:
        raise InputError(
            f"--image_dir: no picture for {_named('label', without)} in {printable(image_dir)}. Add some, or remove "
            "the empty folder."
        )
    if len(labels) < 2:  # there is one, since there are pictures
        raise InputError(
            f"--image_dir: {printable(image_dir)} has one label, {printable(labels[0])}; a classifier needs two or "
            "more to choose between. Add a folder for another label."
        )


def _check_groups(groups_of: dict[str, set[str]], wanted: Iterable[str]) -> None:
    sides = list(wanted)
    poor = [
        f"{printable(label)} ({len(groups)})" for label, groups in sorted(groups_of.items()) if len(groups) < len(sides)
    ]
    if poor:
        raise InputError(
            f"Too few recordings to hold any out: each label needs {len(sides)}, one each for {', '.join(sides)}, "
            f"but there are fewer for {_named('label', poor)}. Add recordings, or pass --validation_percentage 0, or "
            "--testing_percentage 0 as well, to do without those sides."
        )


def _named(noun: str, names: list[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{noun}{'s' if len(names) > 1 else ''} {', '.join(names[:most])}{more}"


def _read_all(paths: list[Path], ledger: Ledger) -> tuple[dict[Path, dict], dict[str, str]]:
    recalled = ledger.recall_all()
    known: dict[Path, dict] = {}
    failures = {}
    unread: list[tuple[Path, Stamp]] = []
    for path in paths:
        absolute = os.path.abspath(path)
        try:
            stamp = stamp_of(path)
        except OSError as error:
            failures[str(path)] = f"it cannot be read ({error.strerror})"
            continue
        remembered = recalled.get(absolute)
        if remembered is not None and remembered[0] == stamp:
            known[path] = remembered[1]
        else:
            unread.append((path, stamp))
    with ThreadPoolExecutor() as pool:
        notes = []
        for (path, stamp), value in zip(unread, pool.map(_read_or_explain, [path for path, _ in unread]), strict=True):
            if isinstance(value, str):
                failures[str(path)] = value
                continue
            known[path] = value
            notes.append((os.path.abspath(path), stamp, value))
    ledger.note(notes)
    return known, failures


def _read_or_explain(path: Path) -> dict | str:
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    about = read_about(content)
    return {
        "sha256": sha256_of(content),
        "recording": about.get("recording"),
        "offset_seconds": about.get("offset_seconds", 0.0),
        "seconds": about.get("seconds", 0.0),
        "level_dbfs": about.get("level_dbfs"),
        "recipe": about.get("recipe"),
    }


def _implied_recording(name: str) -> str:
    before, separator, _ = name.rpartition(NO_HASH)
    return before if separator else name
