"""Data sets as they are published: a table names the label and the fold of each recording.

    UrbanSound8K/metadata/UrbanSound8K.csv    slice_file_name, fold, class  ->  audio/fold5/100032-3-0-0.wav
    ESC-50/meta/esc50.csv                     filename, fold, category      ->  audio/1-100032-A-0.wav

Such a recording goes by the name that it would have in folders of labels: `dog_bark/fold5/100032-3-0-0.wav`, so that
`--group_by fold` keeps folds together. To add a data set, add a row to `PUBLISHED_DATASETS`.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audionet.errors import InputError
from audionet.files import brief, printable


@dataclass(frozen=True)
class PublishedDataset:
    """How a published data set is laid out."""

    name: str
    table: Path  # from its folder, in CSV with a line of headings
    file: str  # the column with the recording's file name; its fold is in the column `fold`
    label: str  # the column with its label
    place: str  # where the recording is, given `file` and `fold`


PUBLISHED_DATASETS = (
    PublishedDataset(
        "UrbanSound8K",
        table=Path("metadata/UrbanSound8K.csv"),
        file="slice_file_name",
        label="class",
        place="audio/fold{fold}/{file}",
    ),
    PublishedDataset(
        "ESC-50",
        table=Path("meta/esc50.csv"),
        file="filename",
        label="category",
        place="audio/{file}",
    ),
)


def find_published_dataset(audio_dir: Path) -> PublishedDataset | None:
    """Return the published data set that a folder holds, or None for folders of labels."""
    return next((one for one in PUBLISHED_DATASETS if (audio_dir / one.table).is_file()), None)


def listed_recordings(audio_dir: Path, published: PublishedDataset) -> dict[str, Path]:
    """Return the file by recording's name, such as `dog_bark/fold5/100032-3-0-0.wav`, for each row of the table.

    Files need not be there.

    Raises:
        InputError: the table cannot be read, lacks a column, has no row, or has a row that cannot name a file.
    """
    table = audio_dir / published.table
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            _check_columns(table, published, reader.fieldnames or [])
            rows = [
                [(row[column] or "").strip() for column in (published.label, "fold", published.file)] for row in reader
            ]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"--audio_dir: {printable(table)} cannot be read as a table ({brief(error)}).") from error
    if not rows:
        raise InputError(f"--audio_dir: expected a row for each recording in {printable(table)}, received none.")
    for number, parts in enumerate(rows, start=2):
        if any(not part or part.startswith(".") or "/" in part or "\0" in part for part in parts):
            raise InputError(
                f"--audio_dir: expected a label, a fold and a file name in line {number} of {printable(table)}, "
                f"received {brief(', '.join(parts))}. Correct the line."
            )
    return {
        f"{label}/fold{fold}/{name}": audio_dir / published.place.format(fold=fold, file=name)
        for label, fold, name in rows
    }


def _check_columns(table: Path, published: PublishedDataset, names: Sequence[str]) -> None:
    file, label = published.file, published.label
    missing = [column for column in (file, label, "fold") if column not in names]
    if missing:
        raise InputError(
            f"--audio_dir: expected columns {file}, {label} and fold in {printable(table)}, as {published.name} has "
            f"them, received {brief(', '.join(names))}, without {', '.join(missing)}."
        )
