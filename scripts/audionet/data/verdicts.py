"""Verdicts on labels: what a person decided about recordings, in a small table beside them that training obeys.

    audio_dir/audionet_verdicts.csv

        recording,verdict,label
        alice/3.mp3,relabel,bob
        alice/7.mp3,leave out,
        carol/1.mp3,keep,

The recordings themselves are never touched.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from audionet.console import log
from audionet.data.dataset import Dataset, Example
from audionet.errors import InputError
from audionet.files import (
    UNKNOWN_LABEL,
    brief,
    one_writer,
    printable,
    read_mark,
    write_text,
)
from audionet.regular_files import open_regular

VERDICTS_NAME = "audionet_verdicts.csv"
COLUMNS = ("recording", "verdict", "label")
WAIT_SECONDS = 30.0  # that a reviewer waits for another, who writes for a moment

Kind = Literal["keep", "relabel", "leave out"]


@dataclass(frozen=True)
class Verdict:
    """What a person decided about a recording's label."""

    recording: str  # below the folder of recordings, such as `alice/3.mp3`
    verdict: Kind
    label: str = ""  # the right one, to relabel


def read_table(path: Path, *, option: str) -> list[dict[str, str]]:
    """Return the rows of a table in CSV, by column, with what lacks at the end of a row empty.

    Raises:
        InputError: it cannot be read, or has no column `recording` or `verdict`.
    """
    try:
        with io.TextIOWrapper(
            open_regular(path),
            newline="",
            encoding="utf-8-sig",
            errors="surrogateescape",
        ) as file:
            table = csv.DictReader(file, restval="")
            names = [name.strip() for name in table.fieldnames or []]
            table.fieldnames = names
            if not {"recording", "verdict"} <= set(names):
                raise InputError(
                    f"{option}: expected columns recording and verdict in {printable(path)}, received "
                    f"{brief(', '.join(names)) or 'none'}."
                )
            return [{name: text for name, text in row.items() if isinstance(text, str)} for row in table]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{option}: {printable(path)} cannot be read as a table ({brief(error)}).") from error


def verdicts_of(rows: Iterable[Mapping[str, str]], faults: list[str]) -> dict[str, Verdict]:
    """Return the verdicts in a table by recording, and add a sentence to `faults` for each row that has none to obey.

    Rows without a verdict are passed over. The label of one to relabel is in the column `label`, or `suggested`. Of
    several verdicts on a recording, none is obeyed unless they are the same.
    """
    found: dict[str, Verdict] = {}
    for row in rows:
        recording, kind = row["recording"], " ".join(row["verdict"].lower().split())
        if not kind:
            continue
        if kind not in get_args(Kind):
            faults.append(f"{printable(recording)}: expected keep, relabel or leave out, received {brief(kind)!r}")
            continue
        label = row.get("suggested") or row.get("label") or ""
        one = Verdict(recording, kind, label if kind == "relabel" else "")  # type: ignore[arg-type]
        if kind == "relabel" and not label:
            faults.append(f"{printable(recording)}: expected the right label beside the verdict relabel, received none")
        elif found.setdefault(recording, one) != one:
            faults.append(f"{printable(recording)}: expected one verdict, received several that differ")
    at_fault = {fault.partition(": ")[0] for fault in faults}
    return {name: one for name, one in found.items() if printable(name) not in at_fault}


def read_verdicts(audio_dir: Path) -> tuple[dict[str, Verdict], list[str]]:
    """Return the verdicts beside recordings by recording, and a sentence for each row that cannot be obeyed.

    Raises:
        InputError: the table cannot be read.
    """
    path = audio_dir / VERDICTS_NAME
    if not path.exists():
        return {}, []
    faults: list[str] = []
    return verdicts_of(read_table(path, option="--audio_dir"), faults), faults


def add_verdicts(audio_dir: Path, verdicts: Mapping[str, Verdict]) -> int:
    """Add verdicts to those beside recordings, the later in place of the earlier, and return how many there are then.

    Several people may do so at once: none loses what another wrote.

    Raises:
        InputError: the table cannot be read or written.
    """
    with one_writer(audio_dir, option="--audio_dir", wait_seconds=WAIT_SECONDS):
        earlier, faults = read_verdicts(audio_dir)
        if faults:
            raise InputError(f"{printable(audio_dir / VERDICTS_NAME)} cannot be added to: {faults[0]}. Mend it first.")
        every = {**earlier, **verdicts}
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((one.recording, one.verdict, one.label) for _, one in sorted(every.items()))
        try:
            write_text(audio_dir / VERDICTS_NAME, file.getvalue())
        except OSError as error:
            raise InputError(
                f"--audio_dir: {printable(audio_dir / VERDICTS_NAME)} cannot be written ({error.strerror})."
            ) from error
    return len(every)


def verdicts_on(folder: Path) -> dict[str, Verdict]:
    """Return the verdicts on the recordings in a folder, or on those that its pictures were drawn from, by recording.

    Rows that cannot be obeyed are named.

    Raises:
        InputError: the table cannot be read.
    """
    audio_dir = (read_mark(folder) or {}).get("audio_dir")
    verdicts, faults = read_verdicts(Path(audio_dir) if isinstance(audio_dir, str) else folder)
    for fault in faults:
        log(f"Note: {fault}.")
    return verdicts


@dataclass(frozen=True)
class Obeyed:
    """A data set as verdicts have it, and what became of them."""

    dataset: Dataset
    counts: dict[str, int]  # recordings by verdict; empty where there are none
    faults: tuple[str, ...]  # a sentence for each that could not be obeyed


def obey(dataset: Dataset, verdicts: Mapping[str, Verdict]) -> Obeyed:
    """Relabel and leave out recordings of a data set as verdicts say.

    A verdict on a recording that is gone, or with a label that the data set has not, is a fault and changes nothing.

    Raises:
        InputError: nothing is left of a label.
    """
    if not verdicts:
        return Obeyed(dataset, {}, ())
    faults, obeyed = [], {}
    there = {example.recording for example in (*dataset.examples, *dataset.unknown)}
    for name, one in verdicts.items():
        if name not in there:
            faults.append(f"{printable(name)}: there is a verdict on it, but it is not among the recordings")
        elif one.verdict == "relabel" and one.label not in (
            *dataset.labels,
            UNKNOWN_LABEL,
        ):
            faults.append(f"{printable(name)}: its verdict is {printable(one.label)}, and there is no such label")
        else:
            obeyed[name] = one
    examples = [_judged(example, obeyed) for example in (*dataset.examples, *dataset.unknown)]
    kept = [example for example in examples if example is not None]
    known = sorted((one for one in kept if one.label != UNKNOWN_LABEL), key=lambda one: one.label)  # it is stable
    changed = replace(
        dataset,
        examples=tuple(known),
        unknown=tuple(one for one in kept if one.label == UNKNOWN_LABEL),
    )
    lost = [label for label in dataset.labels if not any(example.label == label for example in known)]
    if lost:
        raise InputError(
            f"The verdicts leave no recording of {printable(lost[0])}. Change one in {VERDICTS_NAME} beside the "
            "recordings, or remove the label's folder."
        )
    return Obeyed(changed, dict(Counter(one.verdict for one in obeyed.values())), tuple(faults))


def _judged(example: Example, verdicts: Mapping[str, Verdict]) -> Example | None:
    one = verdicts.get(example.recording)
    if one is None or one.verdict == "keep":
        return example
    return replace(example, label=one.label) if one.verdict == "relabel" else None
