"""Lists of trials, as VoxCeleb has them: whether two files are of the same speaker, and their names.

    1 id10270/5r0dWxy17C8/00001.wav id10270/GWXujl-xAVM/00033.wav
    0 id10270/5r0dWxy17C8/00001.wav id10309/0b1inHMAr6o/00002.wav

Columns are parted by spaces or by tabs. A name with spaces has tabs around it, or double quotes.
"""

import csv
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from audionet.errors import InputError, check
from audionet.files import brief, printable
from audionet.regular_files import read_regular
from audionet.wording import counted


@dataclass(frozen=True, slots=True)
class Trial:
    """A line of a list: two files, and whether they are of the same speaker."""

    line: int  # in the list, from 1
    is_same: bool
    first: str  # a name below the folder of recordings
    second: str

    @property
    def speakers(self) -> tuple[str | None, str | None]:
        """The first folder of each name, or None where it has none."""
        return _first_folder(self.first), _first_folder(self.second)


def _first_folder(name: str) -> str | None:
    folder, slash, _ = name.partition("/")
    return folder if slash else None


def read_trials(path: Path) -> list[Trial]:
    """Return the trials of a list; empty lines are passed over.

    Raises:
        InputError: the list cannot be read or is empty, or a line of it is no trial.
    """
    try:
        text = read_regular(path).decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise InputError(
            f"--trials: {printable(path)} cannot be read ({error.strerror}). Name a list of trials, such as "
            "`1 a.wav b.wav` on each line."
        ) from error
    trials = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            trials.append(_trial(line.strip(" \r"), number, f"--trials: line {number} of {printable(path)}"))
    check(bool(trials), f"--trials: {printable(path)} holds no trial. Expected `1 a.wav b.wav` on each line.")
    return trials


def _trial(line: str, number: int, where: str) -> Trial:
    check("\0" not in line, f"{where}: expected text, received NUL bytes; this is no list of trials.")
    has_tabs = "\t" in line
    try:
        (columns,) = csv.reader([line], delimiter="\t" if has_tabs else " ", skipinitialspace=not has_tabs, strict=True)
    except csv.Error as error:
        raise InputError(
            f"{where}: the columns cannot be told apart ({error}): {brief(line)!r}. A quoted name ends with its quote."
        ) from error
    check(
        len(columns) == 3,
        f"{where}: expected `1 a.wav b.wav`, three columns with spaces or tabs between, received "
        f"{counted(len(columns), 'column')}: {brief(line)!r}. A name with spaces needs tabs around it, or double "
        "quotes.",
    )
    same, *names = columns
    check(
        same in ("0", "1"),
        f"{where}: expected 1 (the same speaker) or 0 (another) in the first column, received {brief(same)!r}.",
    )
    first, second = (_checked_name(name, where) for name in names)
    return Trial(number, same == "1", first, second)


def _checked_name(name: str, where: str) -> str:
    path = PurePosixPath(name)
    check(
        bool(path.parts) and not path.is_absolute() and ".." not in path.parts,
        f"{where}: expected the name of a file below --audio_dir, received {brief(name)!r}.",
    )
    return str(path)
