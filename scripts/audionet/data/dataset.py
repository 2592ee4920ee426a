"""Folders of pictures become examples, and examples are split by recording.

    image_dir/alice/monday_00000.jpg    label alice, recording alice/monday.mp3 (the jpg says so)
    image_dir/cats/tom_nohash_1.png     label cats, recording cats/tom: whatever precedes _nohash_ belongs together
    image_dir/yes/ab12_nohash_0_00000.jpg  label yes, recording yes/ab12_nohash_0.wav: speaker ab12 stays together too
    image_dir/cats/stray.png            label cats, a recording of its own
    image_dir/_unknown_/radio_00000.jpg unknown: of none of the labels, for the open-set detector

All pictures of a recording are in one split. Otherwise the classifier could score by recognising the
recording, its room and its microphone, and would disappoint with the next one.
"""

import json
import os
from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

from audionet.data.groups import NO_HASH
from audionet.data.listed_clips import clip_groups, read_clips
from audionet.errors import InputError, PictureError
from audionet.features.image_io import is_picture, read_about, read_picture_file
from audionet.features.recipes import Recipe
from audionet.file_cache import FileCache, FileStamp, file_stamp
from audionet.files import UNKNOWN_LABEL, files_below, labelled_files, printable, sha256_of
from audionet.wording import named_list


@dataclass(frozen=True)
class Example:
    """One picture of a data set."""

    path: Path
    label: str  # its folder's name
    recording: str  # such as `alice/monday.mp3`
    offset_seconds: float  # where in the recording it starts
    sha256: str  # of the file's bytes
    seconds: float = 0.0  # how long it is; 0 for ordinary pictures
    group: str = ""  # what must be in one split, by default the recording; a session, a site or a microphone
    level_dbfs: float | None = None  # how loud the chunk is; None for ordinary pictures
    split: str = ""  # that a table has it in; empty where none does
    weight: float = 1.0  # how much it counts in training

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.recording)


@dataclass(frozen=True)
class Dataset:
    """The pictures of a folder."""

    folder: Path
    labels: tuple[str, ...]  # sorted; the position of a label is its id everywhere
    examples: tuple[Example, ...]  # sorted by label and name
    recipe: Recipe | None  # what the pictures were drawn by, or None for ordinary pictures
    failures: dict[str, str]  # reason by picture that cannot be read
    unknown: tuple[Example, ...] = ()  # pictures of none of the labels


def levels_of(examples: Sequence[Example]) -> tuple[float, ...]:
    """Return how loud each of some chunks is, or nothing if that is not known of all."""
    levels = tuple(example.level_dbfs for example in examples if example.level_dbfs is not None)
    return levels if len(levels) == len(examples) else ()


def read_dataset(image_dir: Path, cache_path: Path, *, group_by: str = "recording") -> Dataset:
    """List the pictures of every label folder, at any depth; only what the cache lacks or has changed is read.

    What must be in one split is said by `group_by`, as `group_rule` reads it, and by the table of clips beside them.

    Raises:
        InputError: there is no label, a label has no picture, the pictures are of several recipes, or
            `group_by` cannot be applied.
    """
    listed = read_clips(image_dir)
    rule = clip_groups(group_by, listed)
    unlisted: dict[Path, str] = {}
    pictures = labelled_files(image_dir, option="--image_dir", wanted=is_picture, failures=unlisted)
    labels = tuple(label for label in pictures if label != UNKNOWN_LABEL)
    check_labels(image_dir, labels, {label for label, files in pictures.items() if files})
    examples, recipe, failures = _read_examples(pictures, image_dir, cache_path, rule)
    examples = [
        replace(example, split=said.split, weight=said.weight) if (said := listed.get(example.recording)) else example
        for example in examples
    ]
    failures |= {str(below): reason for below, reason in unlisted.items()}
    known_examples = tuple(example for example in examples if example.label != UNKNOWN_LABEL)
    unknown = tuple(example for example in examples if example.label == UNKNOWN_LABEL)
    return Dataset(image_dir, labels, known_examples, recipe, failures, unknown)


def read_unknown(folder: Path, cache_path: Path, *, recipe: Recipe | None) -> tuple[list[Example], dict[str, str]]:
    """List the pictures of a folder, at any depth, as unknown: of none of the labels.

    The recipe is that of the pictures of the labels, None if they are ordinary ones.

    Returns:
        tuple: the examples, and the reason by picture for each that cannot be read.

    Raises:
        InputError: there is no picture, or they were drawn by another recipe.
    """
    unlisted: dict[Path, str] = {}
    pictures = {UNKNOWN_LABEL: files_below(folder, wanted=is_picture, failures=unlisted)}
    examples, found, failures = _read_examples(pictures, folder, cache_path, lambda recording: recording)
    failures |= {str(below): reason for below, reason in unlisted.items()}
    if not examples:
        raise InputError(
            f"--negatives: {printable(folder)} holds nothing that can be read. Put "
            f"{'recordings' if recipe else 'pictures'} of none of the labels there, or name another folder."
        )
    if (found and found.digest) != (recipe and recipe.digest):
        raise InputError(
            f"--negatives: {printable(folder)} holds {f'pictures of recipe {found.name}' if found else 'pictures'}, "
            f"which do not compare with {f'those of recipe {recipe.name}' if recipe else 'ordinary ones'}. Name a "
            "folder of recordings, or of pictures that were made in the same way."
        )
    return [replace(one, recording=f"{UNKNOWN_LABEL}/{one.recording}", group="") for one in examples], failures


def _read_examples(
    pictures: Mapping[str, Mapping[str, Path]], folder: Path, cache_path: Path, rule: Callable[[str], str]
) -> tuple[list[Example], Recipe | None, dict[str, str]]:
    """Read what pictures, by label and name, say of themselves, and the one recipe that they were drawn by."""
    listed = [(label, name, path) for label, files in pictures.items() for name, path in files.items()]
    with FileCache(cache_path, context=NO_HASH) as cache:
        known, failures = _read_all([path for _, _, path in listed], cache)
    examples = []
    recipes: dict[str, dict[str, Any]] = {}
    for label, name, path in listed:
        if path not in known:
            continue
        value = known[path]
        if value["recipe"]:
            recipes.setdefault(json.dumps(value["recipe"], sort_keys=True), value["recipe"])
        recording = value["recording"] or _implied_recording(name)
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
    if len({Recipe.from_json(recipe).digest for recipe in recipes.values()}) > 1:
        raise InputError(
            f"{printable(folder)} holds pictures of {len(recipes)} recipes, which do not compare. Make them again: "
            "audionet data."
        )
    return examples, Recipe.from_json(next(iter(recipes.values()))) if recipes else None, failures


def check_labels(image_dir: Path, labels: Sequence[str], filled: Container[str], *, noun: str = "picture") -> None:
    """Raise InputError where there is no label, or one is not `filled`: its folder has no such file."""
    without = [printable(label) for label in labels if label not in filled]
    if len(without) == len(labels):
        raise InputError(
            f"--image_dir: {printable(image_dir)} holds no {noun} in any label folder. Make pictures from recordings "
            "with audionet data, or put some there."
        )
    if without:
        raise InputError(
            f"--image_dir: no {noun} for {named_list('label', without)} in {printable(image_dir)}. Add some, or "
            "remove the empty folder."
        )


def _read_all(paths: list[Path], cache: FileCache) -> tuple[dict[Path, dict[str, Any]], dict[str, str]]:
    cached = cache.items()
    known: dict[Path, dict[str, Any]] = {}
    failures = {}
    unread: list[tuple[Path, FileStamp]] = []
    for path in paths:
        absolute = os.path.abspath(path)
        try:
            stamp = file_stamp(path)
        except OSError as error:
            failures[str(path)] = f"it cannot be read ({error.strerror})"
            continue
        cached_stamp, value = cached.get(absolute, (None, None))
        if cached_stamp == stamp and _is_about(value):
            known[path] = value
        else:
            unread.append((path, stamp))
    with ThreadPoolExecutor() as pool:
        new = []
        for (path, stamp), value in zip(unread, pool.map(_read_or_explain, [path for path, _ in unread]), strict=True):
            if isinstance(value, str):
                failures[str(path)] = value
                continue
            known[path] = value
            new.append((os.path.abspath(path), stamp, value))
    cache.put(new)
    return known, failures


def _is_about(value: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether a row of the cache is as `_read_or_explain` makes it; others are read again."""
    if not isinstance(value, dict):
        return False
    numbers = [value.get("offset_seconds"), value.get("seconds"), value.get("level_dbfs") or 0.0]
    return (
        isinstance(value.get("sha256"), str)
        and isinstance(value.get("recording", 0), str | None)
        and isinstance(value.get("recipe", 0), dict | None)
        and all(isinstance(number, int | float) for number in numbers)
    )


def _read_or_explain(path: Path) -> dict[str, Any] | str:
    try:
        content = read_picture_file(path)
        about = read_about(content, name=printable(path))
    except PictureError as error:
        return str(error)
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
