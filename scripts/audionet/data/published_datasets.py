"""Data sets as they are published: their tables and folders name the label, the split and the fold of each recording.

    UrbanSound8K/metadata/UrbanSound8K.csv    slice_file_name, fold, class  ->  audio/fold5/100032-3-0-0.wav
    ESC-50/meta/esc50.csv                     filename, fold, category      ->  audio/1-100032-A-0.wav
    speech_commands/testing_list.txt          yes/ab12_nohash_0.wav, and validation_list.txt; _background_noise_/
    VoxCeleb1/iden_split.txt                  3 id10001/1zcIwhmdeo4/00001.wav: training, validation, testing
    LibriSpeech/SPEAKERS.TXT                  dev-clean/84/121123/84-121123-0000.flac, by speaker

A recording goes by the name that it would have in folders of labels: `dog_bark/fold5/100032-3-0-0.wav`, so that
`--group_by fold` keeps folds together. To add a data set, add a row to `PUBLISHED_DATASETS`.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from audionet.audio import decoding
from audionet.data.listed_clips import Clip
from audionet.errors import InputError
from audionet.files import UNKNOWN_LABEL, brief, files_below, label_folders, printable
from audionet.regular_files import read_regular

BACKGROUND_NOISE = "_background_noise_"
VOXCELEB_SPLITS = {"1": "training", "2": "validation", "3": "testing"}
VOXCELEB_FOLDERS = ("wav", ".", "dev/wav", "test/wav")
LIBRISPEECH_SUBSET = re.compile(r"(train|dev|test)-(clean|other)(-\d+)?")


@dataclass(frozen=True)
class PublishedDataset:
    """How a published data set is laid out."""

    name: str
    marks: tuple[str, ...]  # files that are there in its folder, and tell it from others
    list_clips: Callable[[Path], Iterator[Clip]]  # its recordings, given its folder; files need not be there


@dataclass(frozen=True)
class FoldTable:
    """A table in CSV, with a line of headings, of which each row names a recording, its label and its fold."""

    name: str
    table: str  # from the data set's folder
    file: str  # the column with the recording's file name; its fold is in the column `fold`
    label: str  # the column with its label
    place: str  # where the recording is, given `file` and `fold`

    def clips(self, audio_dir: Path) -> Iterator[Clip]:
        """Yield the recordings that the table lists.

        Raises:
            InputError: the table cannot be read, lacks a column, has no row, or has a row that cannot name a file.
        """
        table = audio_dir / self.table
        try:
            with table.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.DictReader(file)
                self._check_columns(table, reader.fieldnames or [])
                rows = [[(row[column] or "").strip() for column in (self.label, "fold", self.file)] for row in reader]
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
            label, fold, name = parts
            yield Clip(audio_dir / self.place.format(fold=fold, file=name), f"fold{fold}/{name}", label)

    def _check_columns(self, table: Path, names: Sequence[str]) -> None:
        missing = [column for column in (self.file, self.label, "fold") if column not in names]
        if missing:
            raise InputError(
                f"--audio_dir: expected columns {self.file}, {self.label} and fold in {printable(table)}, as "
                f"{self.name} has them, received {brief(', '.join(names))}, without {', '.join(missing)}."
            )


URBAN_SOUND = FoldTable(
    "UrbanSound8K",
    table="metadata/UrbanSound8K.csv",
    file="slice_file_name",
    label="class",
    place="audio/fold{fold}/{file}",
)
ESC_50 = FoldTable("ESC-50", table="meta/esc50.csv", file="filename", label="category", place="audio/{file}")


def _speech_commands(audio_dir: Path) -> Iterator[Clip]:
    """Yield words by their folders, in the splits that two lists name; background noise is of none of the labels."""
    split_of: dict[str, str] = {}
    for split, name in (("validation", "validation_list.txt"), ("testing", "testing_list.txt")):
        split_of |= {line.strip(): split for line in _lines(audio_dir / name) if line.strip()}
    for folder in label_folders(audio_dir, option="--audio_dir"):
        files = files_below(folder, root=audio_dir, wanted=decoding.is_recording)
        if folder.name == BACKGROUND_NOISE:
            yield from (Clip(path, name, UNKNOWN_LABEL) for name, path in files.items())
            continue
        for name, path in files.items():
            below = str(Path(name).relative_to(folder.name))
            yield Clip(path, below, folder.name, split=split_of.pop(name, "training"))
    for name, split in split_of.items():  # which are not there
        label, slash, below = name.partition("/")
        if slash and below and ".." not in Path(name).parts:
            yield Clip(audio_dir / name, below, label, split=split)


def _voxceleb(audio_dir: Path) -> Iterator[Clip]:
    """Yield the utterances of the list for identification, in its splits; those of a video are a group.

    Raises:
        InputError: a line of the list is of another form.
    """
    table = audio_dir / "iden_split.txt"

    @cache
    def place_of(speaker: str) -> Path:
        places = [audio_dir / folder for folder in VOXCELEB_FOLDERS]
        return next((place for place in places if (place / speaker).is_dir()), places[0])

    for number, line in enumerate(_lines(table), start=1):
        if not line.strip():
            continue
        split, _, name = line.strip().partition(" ")
        parts = name.strip().split("/")
        if split not in VOXCELEB_SPLITS or len(parts) != 3 or any(not part or part.startswith(".") for part in parts):
            raise InputError(
                f"--audio_dir: expected `1 id10001/1zcIwhmdeo4/00001.wav` in line {number} of {printable(table)}, "
                f"received {brief(line.strip())!r}. Correct the line."
            )
        speaker, video, file = parts
        source = place_of(speaker) / speaker / video / file
        yield Clip(source, f"{video}/{file}", speaker, split=VOXCELEB_SPLITS[split], group=f"{speaker}/{video}")


def _librispeech(audio_dir: Path) -> Iterator[Clip]:
    """Yield the utterances of all subsets that are there, by speaker.

    Raises:
        InputError: no subset is there.
    """
    subsets = [one for one in label_folders(audio_dir, option="--audio_dir") if LIBRISPEECH_SUBSET.fullmatch(one.name)]
    if not subsets:
        raise InputError(
            f"--audio_dir: expected subsets of LibriSpeech in {printable(audio_dir)}, such as dev-clean, received none."
        )
    for subset in subsets:
        for name, path in files_below(subset, wanted=decoding.is_recording).items():
            speaker, slash, below = name.partition("/")
            if slash:
                yield Clip(path, f"{subset.name}/{below}", speaker)


PUBLISHED_DATASETS = (
    PublishedDataset("UrbanSound8K", marks=(URBAN_SOUND.table,), list_clips=URBAN_SOUND.clips),
    PublishedDataset("ESC-50", marks=(ESC_50.table,), list_clips=ESC_50.clips),
    PublishedDataset("Speech Commands", marks=("validation_list.txt", "testing_list.txt"), list_clips=_speech_commands),
    PublishedDataset("VoxCeleb1", marks=("iden_split.txt",), list_clips=_voxceleb),
    PublishedDataset("LibriSpeech", marks=("SPEAKERS.TXT",), list_clips=_librispeech),
)


def find_published_dataset(audio_dir: Path) -> PublishedDataset | None:
    """Return the published data set that a folder holds, or None for folders of labels."""
    return next(
        (one for one in PUBLISHED_DATASETS if all((audio_dir / mark).is_file() for mark in one.marks)),
        None,
    )


def published_recordings(audio_dir: Path) -> dict[str, Clip]:
    """Return each recording of a published data set by its name, such as `dog_bark/fold5/100032-3-0-0.wav`.

    Files need not be there. Empty for folders of labels.

    Raises:
        InputError: its table or its folders are not as it is published.
    """
    published = find_published_dataset(audio_dir)
    return {clip.recording: clip for clip in published.list_clips(audio_dir)} if published else {}


def _lines(path: Path) -> list[str]:
    """Return the lines of a list; raise InputError if it cannot be read."""
    try:
        return read_regular(path).decode("utf-8-sig", "surrogateescape").splitlines()
    except OSError as error:
        raise InputError(f"--audio_dir: {printable(path)} cannot be read ({error.strerror}).") from error
