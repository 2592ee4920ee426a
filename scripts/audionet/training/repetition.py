"""Repeating a run by its record: the options that it had, and whether the classifier is the same again.

The same recordings, options, weights and versions give the same bytes. Where something differs, what does is named.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from audionet.errors import InputError
from audionet.evaluation.runs import read_run
from audionet.files import brief, printable
from audionet.json_files import validated
from audionet.wording import listed

Options = TypeVar("Options")

OUTPUTS = ("output_model", "output_graph", "output_labels", "report")
"""Options of what a run writes, which a repetition does not write over."""
SCRIPT = "retrain.py"


def options_of(path: Path, kind: type[Options]) -> Options:
    """Return the options that the training in a record had, with outputs that are named after it.

    Args:
        path: the record.
        kind: the dataclass of options, with dataclasses for groups of them.

    Raises:
        InputError: it is no record of a training, or has options that there are none of.
    """
    record = read_run(path)
    arguments = record.get("arguments") or {}
    if record.get("script") != SCRIPT or "image_dir" not in arguments:
        raise InputError(f"--again: expected the record of a training, but {printable(path)} is of another run.")
    if unknown := _unknown(arguments, kind):
        raise InputError(
            f"--again: {printable(path)} has options that this version does not know: {listed(unknown)}. Repeat it "
            f"with the version that it names, {_shown((record.get('versions') or {}).get('audionet'))}."
        )
    beside = {name: _again(Path(arguments[name])) for name in OUTPUTS if arguments.get(name)}
    given = {name: value for name, value in arguments.items() if value is not None}
    try:
        return validated(TypeAdapter(kind), given | beside | {"again": path})
    except ValueError as error:
        raise InputError(f"--again: {printable(path)} cannot be repeated ({brief(error)}).") from error


def sentences(record: Mapping[str, Any], repeated: Mapping[str, Any]) -> tuple[bool, list[str]]:
    """Return whether a run gave the same bytes as its record has, and what there is to say of it.

    Both are records of trainings; `repeated` is that of the second.
    """
    before, after = (dict((one.get("classifier") or {}).get("files") or {}) for one in (record, repeated))
    if not before or not after:
        lacking = "The record" if not before else "This run"
        return False, [f"{lacking} has no checksums of a classifier, so that nothing tells whether it is the same."]
    if before == after:
        return True, [f"The same again: all {len(before)} files have the same bytes."]
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    differences = _differences(record, repeated)
    reasons = (
        f"What differs besides: {listed(differences, 8)}."
        if differences
        else ("Recordings, weights, versions and environment are the same.")
    )
    return False, [f"Not the same: {listed([printable(name) for name in names], 8)} differ.", reasons]


def _again(path: Path) -> Path:
    return path.with_name(f"{path.stem}_again{path.suffix}")


def _unknown(arguments: Mapping[str, Any], kind: Any) -> list[str]:
    """Return the names of arguments that a dataclass of options, or of groups of them, has no field for."""
    known = {one.name: one for one in fields(kind)}
    unknown = [printable(name) for name in arguments if name not in known]
    for name, value in arguments.items():
        if name in known and isinstance(value, Mapping) and is_dataclass(known[name].default_factory):
            unknown += _unknown(value, known[name].default_factory)
    return unknown


def _differences(record: Mapping[str, Any], repeated: Mapping[str, Any]) -> list[str]:
    """Return what differs between two runs, apart from what came of them."""
    found = []
    for part in ("versions", "environment"):
        one, other = (dict(run.get(part) or {}) for run in (record, repeated))
        found += [
            f"{printable(name)} {_shown(one.get(name))} and {_shown(other.get(name))}"
            for name in sorted(one.keys() | other.keys())
            if one.get(name) != other.get(name)
        ]
    if record.get("commit") != repeated.get("commit"):
        found.append(f"the commit, {_shown(record.get('commit'))} and {_shown(repeated.get('commit'))}")
    data, weights = (
        [(run.get(part) or {}).get(name) for run in (record, repeated)]
        for part, name in (("data", "fingerprint"), ("classifier", "weights"))
    )
    found += ["the recordings"] if data[0] != data[1] else []
    return found + (["the pretrained weights"] if weights[0] != weights[1] else [])


def _shown(value: Any) -> str:
    return "none" if value is None else printable(value)
