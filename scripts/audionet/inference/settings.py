"""Options of timelines and of live answers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from audionet.errors import check

Format = Literal["audacity", "raven", "rttm", "srt", "picture"]


@dataclass(frozen=True)
class TimelineSettings:
    """Who is heard when in long recordings.

    Raises:
        InputError: a setting is outside its range.
    """

    timeline: bool = False
    """Say who is heard when, instead of one answer a recording."""
    timeline_dir: Path | None = None
    """Folder for timelines as other programs read them, and as pictures."""
    formats: tuple[Format, ...] = ("audacity", "raven", "rttm", "srt", "picture")
    """Which files to write there."""
    hop: float = 0.5
    """Seconds between decisions."""
    min_seconds: float = 0.5
    """Shorter spans are given to their neighbours."""
    export_clips: Path | None = None
    """Folder for the parts of recordings that are surely of a label, cut out of the original sound."""
    above: float = 0.8
    """How probable their label must be."""

    def __post_init__(self) -> None:
        check(self.hop >= 0.05, f"--hop: expected 0.05 s or more, received {self.hop:g}.")
        check(self.min_seconds >= 0, f"--min_seconds: expected 0 or more, received {self.min_seconds:g}.")
        check(0 <= self.above <= 1, f"--above: expected 0 to 1, received {self.above:g}.")
        check(bool(self.formats), "--formats: expected one at least.")

    @property
    def is_wanted(self) -> bool:
        """Whether timelines are to be made at all."""
        return self.timeline or self.timeline_dir is not None or self.export_clips is not None


@dataclass(frozen=True)
class LiveSettings:
    """Answers while the sound is coming in, and what speaks for an answer."""

    microphone: bool = False
    """Answer to what a microphone hears, until Ctrl-C."""
    device: str | None = None
    """Which microphone: a number or a name. By default the system's."""
    live: bool = False
    """Take a recording at its own pace, as a microphone would hear it; with - what another program sends."""
    explain: Path | None = None
    """Picture (.png) of what speaks for the answer; for several clips a folder of them."""

    def __post_init__(self) -> None:
        check(self.device is None or self.microphone, "--device names a microphone; give --microphone as well.")
