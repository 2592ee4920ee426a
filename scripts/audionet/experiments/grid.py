"""Grids: a TOML file of options of data and training, and the cells of the experiment that follow from it.

    recipe, picture, chunk_seconds ...  any option of `audionet data` that says how pictures look
    head = ["lda", "softmax"]           any option of `audionet train`; a list gives one cell for each value
    random_seed = [0, 1, 2]             every cell is repeated for each seed
    folds = 5                           what decides which recordings are tested is the same for all cells

    [baseline]                          the cell that the others are compared with, by default the first
    head = "lda"

All that is wrong with a grid is found before anything runs, and said at once.
"""

import dataclasses
import difflib
import itertools
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from audionet.cli import changed
from audionet.errors import AudioNetError, InputError
from audionet.features.recipes import find_recipe, redrawn
from audionet.features.settings import PictureSettings
from audionet.files import brief, digest_of, printable
from audionet.models.backbones.member_names import parse_members
from audionet.models.backbones.settings import BackboneSettings
from audionet.regular_files import read_regular
from audionet.training.settings import HeadSettings, HoldoutSettings, NetworkSettings, TrainingSettings
from audionet.training.trainer import check_settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_FOLDS = 5
MOST_CELLS = 1_000
MOST_FAULTS = 20  # of a message
SAME_FOR_ALL = ("folds", "group_by", "negatives")
"""Options that decide which recordings are tested; with other ones in other cells, scores would not compare."""
NOT_IN_GRIDS = {
    "test_dir": "cells are scored by cross-validation; leave it away",
    "testing_percentage": "cells are scored by cross-validation; use folds",
    "background": "it has no part in which label is named; leave it away",
}
OF_GRADIENTS = ("label_smoothing", "focal", "rate_schedule", "warmup")  # of softmax and of whole networks
OF_SOFTMAX = ("how_many_training_steps", "learning_rate", "train_batch_size", "l2", "hidden_units", "dropout", "mixup")


@dataclass(frozen=True)
class CellSettings:
    """All that a cell of a grid can choose."""

    pictures: PictureSettings = field(default_factory=PictureSettings)
    backbone: BackboneSettings = field(default_factory=BackboneSettings)
    holdout: HoldoutSettings = field(default_factory=HoldoutSettings)
    head: HeadSettings = field(default_factory=HeadSettings)
    whole: NetworkSettings = field(default_factory=NetworkSettings)

    def training(self, *, seed: int) -> TrainingSettings:
        """Return what training takes of it."""
        holdout = replace(self.holdout, random_seed=seed)
        return TrainingSettings(self.pictures.recipe, self.backbone, holdout, self.head, self.whole)

    def seen(self) -> str:
        """Return what decides the samples and their bottlenecks: the same for cells that differ in the head alone."""
        parts = {"backbone": self.backbone, "holdout": self.holdout, "whole": self.whole}
        settings = {name: {key: str(value) for key, value in vars(part).items()} for name, part in parts.items()}
        return digest_of({"recipe": self.pictures.chosen_recipe().digest, **settings})

    def meaning(self) -> dict[str, Any]:
        """Return as JSON what decides the outcome: the same for settings that differ in what has no effect."""
        head, whole = self.head, self.whole
        if head.head not in ("auto", "softmax") or whole.network:
            head = replace(head, **{name: getattr(HeadSettings(), name) for name in OF_SOFTMAX})
        if whole.network:
            head = replace(head, head="auto")
        if head.head not in ("auto", "softmax") and whole.network is None and whole.fine_tune is None:
            head = replace(head, **{name: getattr(HeadSettings(), name) for name in OF_GRADIENTS})
        if not head.hidden_units:
            head = replace(head, dropout=HeadSettings().dropout)
        if whole.network is None and whole.fine_tune is None:
            whole = NetworkSettings()
        recipe = self.pictures.chosen_recipe()
        members: Any = self.backbone.members
        if members != "auto" and not whole.network:
            members = [
                [name.architecture, redrawn(recipe, name.drawing).digest] for name in parse_members(self.backbone)
            ]
        backbone = replace(self.backbone, members="auto")
        parts = {"backbone": backbone, "holdout": self.holdout, "head": head, "whole": whole}
        settings = {name: {key: str(value) for key, value in vars(part).items()} for name, part in parts.items()}
        return {"recipe": recipe.digest, "members": members, **settings}


@dataclass(frozen=True)
class Cell:
    """One way to draw and to train."""

    name: str  # what varies, such as `head lda, picture pcen`
    options: Mapping[str, Any]  # the same, by option
    settings: CellSettings
    same_as: tuple[str, ...] = ()  # the names of other cells that mean the same

    @property
    def digest(self) -> str:
        """What stands for all that decides its outcome but the recordings."""
        return digest_of(self.settings.meaning())


@dataclass(frozen=True)
class Grid:
    """The cells of an experiment, no two of which mean the same."""

    cells: tuple[Cell, ...]
    varied: tuple[str, ...]  # the options that differ between cells
    fixed: Mapping[str, Any]  # the others that the grid has
    seeds: tuple[int, ...]
    baseline: str  # the name of the cell that the others are compared with


def read_grid(path: Path) -> Grid:
    """Read a grid; the module's docstring says what it holds.

    Raises:
        InputError: it cannot be read, or something in it cannot be; all of that is named.
    """
    try:
        value = tomllib.loads(read_regular(path).decode("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{printable(path)} cannot be read as TOML ({brief(error)}).") from error
    try:
        return grid_of(value)
    except _GridError as error:
        faults = [*error.faults[:MOST_FAULTS], *(["and more"] if len(error.faults) > MOST_FAULTS else [])]
        raise InputError("\n  ".join([f"{printable(path)} cannot be run. Nothing was begun.", *faults])) from error


class _GridError(InputError):
    def __init__(self, faults: list[str]):
        super().__init__("; ".join(faults))
        self.faults = faults


def grid_of(value: Mapping[str, Any]) -> Grid:
    """Return the grid that options, each with a value or a list of values, and perhaps a `baseline` stand for.

    Raises:
        InputError: some of it cannot be.
    """
    options = {name: one if isinstance(one, list) else [one] for name, one in value.items() if name != "baseline"}
    faults: list[str] = []
    checked = {name: _checked(name, values, faults) for name, values in options.items()}
    options = {name: values for name, values in checked.items() if values}
    seeds = tuple(options.pop("random_seed", [0]))
    varied = tuple(name for name, values in options.items() if len(values) > 1)
    count = 1
    for values in options.values():
        count *= len(values)
    if count > MOST_CELLS:
        raise _GridError([f"expected {MOST_CELLS} cells at most, received {count}; take some values away"])
    cells = [
        _cell(dict(zip(options, chosen, strict=True)), varied, faults)
        for chosen in itertools.product(*options.values())
    ]
    found = [cell for cell in cells if cell is not None]
    for name in SAME_FOR_ALL:
        if name not in checked and len({getattr(cell.settings.holdout, name) for cell in found}) > 1:
            faults.append(f"{name}: the recipes come with different ones, and it must be the same for all; give one")
    if any(cell.settings.holdout.folds < 2 for cell in found):
        faults.append("folds: expected 2 or more, as cells are scored by cross-validation")
    if faults:
        raise _GridError(list(dict.fromkeys(faults)))
    baseline = _baseline(value.get("baseline", {}), found, varied)
    fixed = {name: values[0] for name, values in options.items() if name not in varied}
    return Grid(_without_same(found, baseline), varied, fixed, seeds, baseline)


def _annotations() -> dict[str, Any]:
    groups = [one.default_factory for one in dataclasses.fields(CellSettings)]
    return {one.name: one.type for group in groups for one in dataclasses.fields(group)}  # type: ignore[arg-type]


def _checked(name: str, values: list[Any], faults: list[str]) -> list[Any]:
    """Return the values of an option as its type has them, and add what is wrong with them to `faults`."""
    annotations = _annotations()
    shown = printable(name)
    if name in NOT_IN_GRIDS:
        faults.append(f"{shown}: {NOT_IN_GRIDS[name]}")
        return []
    if name not in annotations:
        near = difflib.get_close_matches(name, annotations, 1)
        faults.append(f"{shown}: there is no such option{f'; did you mean {near[0]}?' if near else ''}")
        return []
    if name in SAME_FOR_ALL and len(values) > 1:
        faults.append(f"{shown}: it must be the same for all cells, so that their scores compare; give one value")
    if not values:
        faults.append(f"{shown}: expected a value or a list of values, received an empty list")
    found = []
    adapter = TypeAdapter(annotations[name])
    for value in values:
        try:
            is_flag = isinstance(value, bool) and annotations[name] is not bool
            one = None if is_flag or isinstance(value, dict | list) else adapter.validate_python(value)
            if one is None:
                raise ValueError("expected a text or a number")
            changed(CellSettings(), {name: one})
        except ValidationError as error:
            expected = error.errors(include_url=False)[0]["msg"].replace("Input should be", "expected")
            faults.append(f"{shown}: {brief(expected)}, received {brief(repr(value))}")
        except (ValueError, InputError) as error:
            text = str(error).removeprefix(f"--{name}: ")
            faults.append(
                f"{shown}: {brief(text).rstrip('.')}"
                + ("" if "received" in text else f", received {brief(repr(value))}")
            )
        else:
            if one in found:
                faults.append(f"{shown}: {brief(repr(value))} is there twice")
            found.append(one)
    return found


def _cell(options: Mapping[str, Any], varied: tuple[str, ...], faults: list[str]) -> Cell | None:
    """Return the cell of some options, or None, and add what is wrong with them together to `faults`."""
    own = {name: options[name] for name in varied}
    name = ", ".join(f"{option} {printable(value)}" for option, value in own.items()) or "as given"
    try:
        settings = _settings_of(options)
        check_settings(settings.training(seed=0))
    except AudioNetError as error:
        faults.append(str(error).rstrip("."))
        return None
    return Cell(name, {option: _plain(value) for option, value in own.items()}, settings)


def _settings_of(options: Mapping[str, Any]) -> CellSettings:
    """Return settings as the recipe among the options has them, with the other options."""
    recipe = find_recipe(options.get("recipe", PictureSettings().recipe))
    of_recipe = dict(recipe.training)
    for name in ("testing_percentage", "test_dir"):
        of_recipe.pop(name, None)
    return changed(CellSettings(), {"folds": DEFAULT_FOLDS, **of_recipe, **options})


def _baseline(wanted: Any, cells: list[Cell], varied: tuple[str, ...]) -> str:
    """Return the name of the first cell with the options wanted."""
    if not isinstance(wanted, dict) or (unknown := [name for name in wanted if name not in varied]):
        names = ", ".join(varied) or "none, as there is one cell"
        received = ", ".join(map(printable, unknown)) if isinstance(wanted, dict) else brief(repr(wanted))
        raise _GridError([f"baseline: expected options that differ between cells ({names}), received {received}"])
    plain = {name: _plain(value) for name, value in wanted.items()}
    for cell in cells:
        if all(str(cell.options[name]) == str(value) for name, value in plain.items()):
            return cell.name
    received = ", ".join(f"{name} {printable(value)}" for name, value in plain.items())
    raise _GridError([f"baseline: expected values that a cell has, received {received}"])


def _without_same(cells: list[Cell], baseline: str) -> tuple[Cell, ...]:
    """Return the cells without those that mean the same as another, which has their names; the baseline stays."""
    kept: dict[str, Cell] = {}
    for cell in sorted(cells, key=lambda cell: cell.name != baseline):  # it is stable
        first = kept.setdefault(cell.digest, cell)
        if first is not cell:
            kept[cell.digest] = replace(first, same_as=(*first.same_as, cell.name))
    order = {cell.name: place for place, cell in enumerate(cells)}
    return tuple(sorted(kept.values(), key=lambda cell: order[cell.name]))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
