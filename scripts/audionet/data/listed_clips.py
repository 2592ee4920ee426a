"""Clips that a table lists: parts of recordings, or whole ones, each with its label and, where wanted, its split.

    image_dir/audionet_clips.csv    recording,path,start,end,label,split,group,weight

A clip goes by a name of its own, `wren/site1/a_3.2-5.1.wav` for what is heard from 3.2 s to 5.1 s in site1/a.wav, and
is a recording everywhere: it has an answer of its own, and its times stay in its name. The table stands beside its
pictures, so that training and evaluation obey splits, groups and weights.
"""

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from audionet.data.groups import group_rule
from audionet.errors import InputError
from audionet.files import brief, printable, write_text
from audionet.regular_files import open_regular

CLIPS_NAME = "audionet_clips.csv"
COLUMNS = ("recording", "path", "start", "end", "label", "split", "group", "weight")


@dataclass(frozen=True)
class Listing:
    """What the table beside pictures says about a clip."""

    split: str
    group: str
    weight: float


@dataclass(frozen=True)
class Clip:
    """A part of a recording, or all of it, with its label."""

    source: Path  # the file of the recording
    name: str  # the same, below the folder of recordings
    label: str
    start_seconds: float = 0.0
    end_seconds: float | None = None  # None until the end
    split: str = ""  # training, validation or testing; empty where nobody said
    group: str = ""  # what must be in one split
    weight: float = 1.0  # how much it counts in training

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the recording."""
        return not self.start_seconds and self.end_seconds is None

    @property
    def stop(self) -> float:
        """The end in seconds, infinite if it is that of the recording."""
        return math.inf if self.end_seconds is None else self.end_seconds

    @property
    def recording(self) -> str:
        """The name it goes by: its label, its recording and its times."""
        path = Path(self.name)
        end = "" if self.end_seconds is None else plain(self.end_seconds)
        times = "" if self.is_whole else f"_{plain(self.start_seconds)}-{end}"
        return str(Path(self.label) / path.with_name(f"{path.stem}{times}{path.suffix}"))

    @property
    def listing(self) -> Listing:
        """What the table beside its pictures is to say about it."""
        return Listing(self.split, self.group, self.weight)

    def until(self, end_seconds: float) -> "Clip":
        """Return the clip with another end."""
        return replace(self, end_seconds=end_seconds)

    def another(self, label: str, start_seconds: float, end_seconds: float) -> "Clip":
        """Return another part of the same recording, in the same split, of another label."""
        return replace(self, label=label, start_seconds=start_seconds, end_seconds=end_seconds, weight=1.0)


def plain(number: float) -> str:
    """Return a number to the millionth, without zeros behind."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def clip_groups(group_by: str, listed: Mapping[str, Listing]) -> Callable[[str], str]:
    """Return the function from a recording's name to the group it belongs to, as `groups.group_rule` does.

    Grouped by recording, clips are in the groups that the table beside their pictures names.

    Raises:
        InputError: as `group_rule` does.
    """
    rule = group_rule(group_by)
    if group_by != "recording" or not listed:
        return rule

    def listed_group(recording: str) -> str:
        said = listed[recording].group if recording in listed else ""
        return said or rule(recording)

    return listed_group


def write_clips(image_dir: Path, clips: Iterable[Clip]) -> None:
    """Write the table of clips beside their pictures, or remove it where there are none."""
    rows = [
        [
            clip.recording,
            clip.name,
            plain(clip.start_seconds),
            "" if clip.end_seconds is None else plain(clip.end_seconds),
            clip.label,
            clip.split,
            clip.group,
            plain(clip.weight),
        ]
        for clip in clips
    ]
    if not rows:
        (image_dir / CLIPS_NAME).unlink(missing_ok=True)
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    write_text(image_dir / CLIPS_NAME, text.getvalue())


def read_clips(image_dir: Path) -> dict[str, Listing]:
    """Return what the table beside pictures says, by recording; empty where there is none.

    Raises:
        InputError: the table is damaged.
    """
    path = image_dir / CLIPS_NAME
    try:
        with io.TextIOWrapper(open_regular(path), newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = list(csv.DictReader(file))
            return {row["recording"]: Listing(row["split"], row["group"], float(row["weight"])) for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(
            f"{printable(path)} cannot be read as a table of clips ({brief(error)}). Draw the recordings again: "
            "audionet data."
        ) from error
