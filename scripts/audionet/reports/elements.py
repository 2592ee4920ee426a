"""The elements that sections of a report are made of: tables, clips, and numbers as text."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import soundfile
import soxr
from PIL import Image

from audionet.files import printable
from audionet.reports.figures import Figure

Json = Mapping[str, Any]

LEVELS = ("recording", "chunk")
NOT_TESTED = "no recordings were tested"

OPTION = re.compile(r"--[a-z]\w*(?: (?:[A-Z]+|\d+)\b)?")

MOST_ROWS = 2_000  # of a table; the JSON has them all
MOST_OPEN_ROWS = 12
NARROW_CHARACTERS = 48  # of a table that has room beside a figure

LARGEST_PICTURE = 224  # pixels
PICTURE_QUALITY = 80
LONGEST_CLIP_SECONDS = 6
MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


@dataclass(frozen=True)
class LeftOut:
    """A section with nothing to show."""

    name: str
    reason: str


@dataclass(frozen=True)
class Clip:
    """The chunk of a recording that speaks most for the answer, to look at and to listen to."""

    recording: str
    label: str  # the true one
    offset_seconds: float = 0.0  # where in the recording it begins
    picture: np.ndarray | None = None  # uint8, shape (height, width, 3), as the classifier saw it
    samples: np.ndarray | None = None  # float32, shape (n,), in -1..1; None for ordinary pictures
    sample_rate_hz: int = 16_000


@dataclass(frozen=True)
class ModelCard:
    """What somebody should know who is handed the classifier."""

    facts: tuple[tuple[str, str], ...]  # what and which: training, weights and their licence, network
    uses: tuple[str, ...]  # sentences about what it is for
    never: tuple[str, ...]  # sentences about what it must not be used for


@dataclass(frozen=True)
class Table:
    """A table that can be folded away."""

    caption: str
    columns: tuple[str, ...]  # headings
    rows: tuple[tuple[str, ...], ...]  # a text for each column; the first names the row
    numbers: frozenset[int]  # which columns are flushed right
    is_open: bool  # whether it is unfolded at first

    @property
    def is_narrow(self) -> bool:
        """Whether it has room beside a figure."""
        texts = [self.columns, *self.rows]
        return sum(max(map(len, column)) for column in zip(*texts, strict=True)) <= NARROW_CHARACTERS


@dataclass(frozen=True)
class RecordingRow:
    """A tested recording in the table of all of them, as texts for the page."""

    key: str  # its id on the page
    pair: str  # stands for its label and the label that it was taken for
    recording: str
    label: str
    answer: str  # what a user gets
    nearest: str  # the likeliest label, where the answer is `unknown`
    outcome: str
    is_mistake: bool
    probability: float  # of the likeliest label
    chunks: str
    clip: Clip | None  # to look at and to listen to

    @property
    def offset(self) -> str:
        """Where the clip begins, in minutes and seconds."""
        seconds = int(self.clip.offset_seconds) if self.clip else 0
        return f"{seconds // 60}:{seconds % 60:02d}"

    @cached_property
    def picture(self) -> str:
        """The clip's picture as a data URI; empty if there is none."""
        return "" if self.clip is None or self.clip.picture is None else picture_uri(self.clip.picture)

    @cached_property
    def sound(self) -> str:
        """The clip's sound as a data URI; empty if there is none."""
        clip = self.clip
        return "" if clip is None or clip.samples is None else sound_uri(clip.samples, clip.sample_rate_hz)


@dataclass
class Section:
    """A part of the page; what is empty is left out."""

    key: str
    title: str
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    figures: list[tuple[Figure, str]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    terms: list[tuple[str, str]] = field(default_factory=list)  # technical terms and what they mean, folded away
    recordings: list[RecordingRow] = field(default_factory=list)
    pictures: list[tuple[str, list[str]]] = field(default_factory=list)  # by label, data URIs
    card: ModelCard | None = None


def picture_uri(picture: np.ndarray) -> str:
    """Return a picture, uint8, shape (height, width, 3), as a data URI of a jpg."""
    image = Image.fromarray(picture)
    image.thumbnail((LARGEST_PICTURE, LARGEST_PICTURE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=PICTURE_QUALITY)
    return _data_uri("image/jpeg", file.getvalue())


def sound_uri(samples: np.ndarray, sample_rate_hz: int) -> str:
    """Return the first seconds of a clip as a data URI of mp3, which every browser plays, or else of wav."""
    samples = np.clip(samples[: LONGEST_CLIP_SECONDS * sample_rate_hz], -1, 1)
    file = io.BytesIO()
    if "MP3" not in soundfile.available_formats():  # libsndfile writes it since 1.1
        soundfile.write(file, samples, sample_rate_hz, format="WAV", subtype="PCM_16")
        return _data_uri("audio/wav", file.getvalue())
    rate_hz = min(MP3_RATES_HZ, key=lambda rate_hz: abs(rate_hz - sample_rate_hz))
    if rate_hz != sample_rate_hz:
        samples = soxr.resample(samples, sample_rate_hz, rate_hz)
    soundfile.write(file, samples, rate_hz, format="MP3", subtype="MPEG_LAYER_III")
    return _data_uri("audio/mpeg", file.getvalue())


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def missing_reason(evaluation: Json, name: str, otherwise: str) -> str:
    """Return the reason that the evaluation gives for a number that it lacks."""
    return str((evaluation.get("not_computed") or {}).get(name, otherwise))


def table(
    caption: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]], *, most_open: int = MOST_OPEN_ROWS
) -> Table:
    """Return a table of texts, unfolded if it is short, cut if it is longer than anybody reads."""
    if len(rows) > MOST_ROWS:
        caption = f"{caption}: the first {MOST_ROWS} of {len(rows)}"
    texts = tuple(tuple(map(printable, row)) for row in rows[:MOST_ROWS])
    numbers = frozenset(
        column for column in range(1, len(columns)) if texts and all(_is_number(row[column]) for row in texts)
    )
    return Table(caption, tuple(columns), texts, numbers, is_open=len(rows) <= most_open)


def _is_number(text: str) -> bool:
    return text in ("", "–") or text.lstrip("−-+")[:1].isdigit()


def percent(share: float | None) -> str:
    """Return a share as a percentage with one decimal, if that is not zero; a dash for None."""
    return "–" if share is None else f"{share:.1%}".replace(".0%", "%")


def unbroken(text: str) -> str:
    """Return a text as HTML in which no option of a command, such as `--folds 5`, is parted by the end of a line."""
    import markupsafe  # comes with jinja2, which reports alone need

    return markupsafe.Markup(OPTION.sub(r'<span class="unbroken">\g<0></span>', str(markupsafe.escape(text))))


def decimal(value: float | None, places: int = 3) -> str:
    """Return a number with so many decimals; a dash for None."""
    return "–" if value is None else f"{value:.{places}f}"


def range_text(low: float, high: float) -> str:
    """Return a range of shares as percentages."""
    return f"{percent(low)} to {percent(high)}"


def signed(value: float) -> str:
    """Return a whole number with a proper minus sign."""
    return f"{value:.0f}".replace("-", "−")
