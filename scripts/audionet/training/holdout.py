"""What is held out of training: splits and folds that never move earlier recordings.

They are remembered:

    image_dir/audionet_splits.json       beside the pictures, whatever their folder is called and wherever it goes
    bottleneck_dir/splits/<digest>.json  for a folder that cannot be written

Both hold one plan for each way to split, by the digest of its shares, folds, groups and seed:

    {"format": 1, "plans": {"0f3c...": {"known": {"alice/1.mp3": "testing", ...}, "unknown": {}, "folds": {}}}}
"""

import errno
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, Field, InstanceOf, TypeAdapter

from audionet.console import log
from audionet.data.dataset import Example, check_labels
from audionet.data.listed_clips import clip_groups
from audionet.data.published_datasets import published_recordings
from audionet.data.splits import SPLITS, assign_folds, assign_splits
from audionet.errors import InputError
from audionet.files import SPLITS_NAME, UNKNOWN_LABEL, brief, digest_of, one_writer, printable, write_json
from audionet.json_files import parse_json, validated
from audionet.regular_files import read_regular
from audionet.training.settings import HoldoutSettings
from audionet.wording import named_list

NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)

_Group = InstanceOf[str]  # it may hold what is no Unicode, as names of files may
_Splits = dict[_Group, Annotated[str, Field(pattern=rf"^({'|'.join(SPLITS)})$")]]
_Folds = dict[_Group, Annotated[int, Field(ge=0)]]
_Schema = TypeVar("_Schema", bound=BaseModel)


class HoldoutPlan(BaseModel, frozen=True, strict=True, extra="forbid"):
    """The split and the fold of each group of recordings, by group."""

    known: _Splits = {}  # of recordings of the labels
    unknown: _Splits = {}  # of recordings of none of the labels, `training` or `testing`
    folds: _Folds = {}  # of either kind, all 0 without a cross-validation

    def updated(self, later: "HoldoutPlan") -> "HoldoutPlan":
        """Return a later plan, with what this one has of groups that are gone: they may come back."""
        return HoldoutPlan(
            known=self.known | later.known, unknown=self.unknown | later.unknown, folds=self.folds | later.folds
        )


class _SavedPlans(BaseModel, strict=True, extra="forbid"):
    format: Literal[1] = 1
    plans: dict[str, HoldoutPlan]


class _EarlierPlan(BaseModel, strict=True):
    """How earlier versions saved a plan: one a file, in the cache."""

    sides: _Splits
    impostors: _Splits = {}
    folds: _Folds = {}


@dataclass(frozen=True)
class SplitMemory:
    """Where the plan for one way to split a folder of pictures is remembered."""

    beside: Path  # the file in the folder of pictures
    cached: Path  # the file for a folder that cannot be written
    earlier: Path  # where earlier versions had it
    key: str

    @classmethod
    def of(cls, folder: Path, holdout: HoldoutSettings, *, bottleneck_dir: Path) -> "SplitMemory":
        """Return the memory of a folder of pictures, which need not exist."""
        cache, name = bottleneck_dir / "splits", str(folder.resolve())
        shares = [holdout.testing_share, holdout.validation_percentage]
        rest = [holdout.folds, holdout.group_by, holdout.random_seed]
        return cls(
            beside=folder / SPLITS_NAME,
            cached=cache / f"{digest_of(name)}.json",
            earlier=cache / f"{digest_of([name, *shares, *rest])}.json",
            key=digest_of([*map(float, shares), *rest]),
        )

    def read(self) -> HoldoutPlan:
        """Return the plan, or an empty one where there is none.

        Raises:
            InputError: a file cannot be read or holds something else.
        """
        for path in (self.beside, self.cached):
            plan = _read_plans(path).get(self.key)
            if plan is not None:
                return plan
        earlier = _read(self.earlier, _EarlierPlan)
        if earlier is None:
            return HoldoutPlan()
        return HoldoutPlan(known=earlier.sides, unknown=earlier.impostors, folds=earlier.folds)

    def save(self, plan: HoldoutPlan) -> None:
        """Remember a plan, with what was remembered of groups that are gone.

        Raises:
            InputError: as `read` does.
        """
        before = self.read()
        plan = before.updated(plan)
        if plan == before and not self.earlier.exists():
            return
        try:
            with one_writer(self.beside.parent, option="--image_dir", wait_seconds=60):
                self._write(self.beside, plan)
        except OSError as error:
            if error.errno not in NOT_WRITABLE:
                raise
            self._write(self.cached, plan)
            log(
                f"{printable(self.beside.parent)} cannot be written, so its split is remembered in "
                f"{printable(self.cached)}. If that is deleted, recordings may move when others are added."
            )
        self.earlier.unlink(missing_ok=True)

    def _write(self, path: Path, plan: HoldoutPlan) -> None:
        plans = _read_plans(path) | {self.key: plan}
        write_json(path, _SavedPlans(plans=plans).model_dump())


def _read_plans(path: Path) -> dict[str, HoldoutPlan]:
    saved = _read(path, _SavedPlans)
    return saved.plans if saved else {}


def _read(path: Path, schema: type[_Schema]) -> _Schema | None:
    """Return what a file of JSON holds, or None where there is no such file."""
    try:
        return validated(TypeAdapter(schema), parse_json(read_regular(path)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{printable(path)} cannot be read as the splits of earlier runs ({brief(error)}). Restore it from a copy, "
            "or delete it to split the recordings anew."
        ) from error


def plan_holdout(
    known: Sequence[Example], unknown: Sequence[Example], holdout: HoldoutSettings, *, previous: HoldoutPlan
) -> HoldoutPlan:
    """Give each group of recordings a split and a fold; those that an earlier plan has stay where they were.

    Splits that a table names are obeyed, unless there are folds. Where it names none for testing or for validation,
    that share of the others goes there; all else is trained on. A group that has recordings of labels and of none goes
    where the former are. A single group of unknown recordings is trained on, since the open-set detector is fitted on
    none that are tested.

    Raises:
        InputError: a label has too few groups to be in every split, or there are fewer groups than folds.
    """
    splits = _known_splits(known, holdout, previous.known)
    groups = {example.group for example in unknown}
    mixed = {group: "testing" if splits[group] == "testing" else "training" for group in groups & splits.keys()}
    if not holdout.folds:
        said = {example.group: example.split for example in unknown if example.split}
        mixed = {group: "testing" if split == "testing" else "training" for group, split in said.items()} | mixed
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


def _known_splits(examples: Sequence[Example], holdout: HoldoutSettings, previous: Mapping[str, str]) -> dict[str, str]:
    said = {} if holdout.folds else {example.group: example.split for example in examples if example.split}
    held = {group: split for group, split in said.items() if split != "training"}
    others = [example for example in examples if example.group not in held]
    lacking = {example.label for example in examples} - {example.label for example in others}
    if lacking:
        raise InputError(
            f"Nothing to train on for {named_list('label', sorted(map(printable, lacking)))}: the table has all of it "
            "in validation or testing. Correct its column split, or leave the label out."
        )
    splits = assign_splits(
        others,
        testing_percentage=0 if "testing" in held.values() else holdout.testing_share,
        validation_percentage=0 if "validation" in held.values() else holdout.validation_percentage,
        seed=holdout.random_seed,
        previous=previous,
    )
    return splits | held


def check_plan(plan: HoldoutPlan, examples: Sequence[Example], holdout: HoldoutSettings) -> None:
    """Raise InputError, before the long work, where a label has too few groups outside of a fold."""
    for fold in range(holdout.folds):
        splits_without(fold, examples, plan.folds, holdout)


def plan_recordings(
    recordings: Mapping[str, Iterable[str]], holdout: HoldoutSettings, *, image_dir: Path
) -> HoldoutPlan:
    """Return, before anything is drawn, the plan for recordings of the labels, by label.

    Those that cannot be read are found later.

    Raises:
        InputError: they are too few to train on or to hold out.
    """
    known = {label: list(names) for label, names in recordings.items() if label != UNKNOWN_LABEL}
    check_labels(image_dir, list(known), {label for label, names in known.items() if names}, noun="recording")
    published = {name: clip.listing for name, clip in published_recordings(image_dir).items()}
    rule = clip_groups(holdout.group_by, published)
    split_of = {name: said.split for name, said in published.items()}
    examples = [
        Example(Path(name), label, name, 0.0, "", group=rule(name), split=split_of.get(name, ""))
        for label, names in known.items()
        for name in names
    ]
    plan = plan_holdout(examples, [], holdout, previous=HoldoutPlan())
    check_plan(plan, examples, holdout)
    return plan


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
