"""Groups of command-line options: which clips, where predictions go, how timelines are made."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from audionet.cli import Paths, Positional
from audionet.errors import check
from audionet.features.recipes import CHANNEL_EXPECTED, is_channel
from audionet.ranges import between, check_ranges

TimelineFormat = Literal["audacity", "raven", "rttm", "srt", "picture"]


@dataclass(frozen=True)
class ClipSettings:
    """Which recordings and pictures."""

    files: Positional[Paths] = ()
    """Recordings, pictures, folders of them, patterns such as 'clips/*.mp3', or - for wav on stdin."""
    image: Paths = ()
    """The same, as an option."""
    from_file: Path | None = None
    """A list of more of them, one a line; - for a list on stdin."""
    channel: str | None = None
    """Which channel to hear: mean of all, left, right, a number from 1, each on its own, or loudest. By default that of
    training."""

    def __post_init__(self) -> None:
        check(
            self.channel is None or is_channel(self.channel),
            f"--channel: expected {CHANNEL_EXPECTED}, received {str(self.channel)[:40]!r}.",
        )

    @property
    def paths(self) -> tuple[Path, ...]:
        """What was named on the command line itself."""
        return (*self.files, *self.image)

    def check_named(self) -> None:
        """Check that there is at least one.

        Raises:
            InputError: there is none.
        """
        check(bool(self.paths or self.from_file), "Expected a recording, a picture or a folder of them to label.")


@dataclass(frozen=True)
class ThresholdSettings:
    """How much unknown sound may be given a label.

    Raises:
        InputError: the rate is outside its range.
    """

    false_accept_rate: Annotated[float | None, between(0.0001, 0.5)] = None
    """Share of unknown sound that may be given a label: 0.01, for example. By default that of training."""

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class OutputSettings:
    """Where predictions go.

    Raises:
        InputError: the options contradict each other.
    """

    json: bool = False
    """Print one JSON object a line instead of a table."""
    output: Path | None = None
    """File for the answers instead of the screen: .csv, .jsonl or .parquet."""
    resume: bool = False
    """Go on with --output: pass over what it holds an answer for."""

    def __post_init__(self) -> None:
        check(self.output is not None or not self.resume, "--resume goes on with --output; name that file as well.")
        check(self.output is None or not self.json, "--json and --output: expected one of them; name it .jsonl.")


@dataclass(frozen=True)
class TimelineSettings:
    """How timelines are made, and which files of them are written.

    Raises:
        InputError: a setting is outside its range.
    """

    timeline_dir: Path | None = None
    """Folder for timelines as other programs read them, and as pictures."""
    formats: tuple[TimelineFormat, ...] = ("audacity", "raven", "rttm", "srt", "picture")
    """Which files to write there."""
    hop: Annotated[float, between(0.05, 600)] = 0.5
    """Seconds between decisions."""
    min_seconds: Annotated[float, between(0, 86_400)] = 0.5
    """Shorter spans are given to their neighbours."""
    speakers: Annotated[int | Literal["auto"] | None, between(1, 1_000)] = None
    """Tell voices apart that are no label, as "speaker 1" and so on: how many there are, or auto to count them.
    One has the turn where two speak at once."""
    export_clips: Path | None = None
    """Folder for the labelled parts of recordings, cut out of the original sound."""
    above: Annotated[float, between(0, 1)] = 0.8
    """How probable the label of such a part must be."""

    def __post_init__(self) -> None:
        check_ranges(self)
        check(bool(self.formats), "--formats: expected one at least.")
