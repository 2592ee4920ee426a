"""The options of each part, on the command line of `python -m torture`."""

import importlib.util
import os
import re
import secrets
from dataclasses import dataclass, field
from typing import Literal

from audionet.errors import check


@dataclass(frozen=True)
class PartOptions:
    """Options that every part has."""

    seed: int = field(default_factory=lambda: secrets.randbelow(10**6))
    """Repeat what this seed gave. By default another one each time."""
    cases: str = ""
    """Only the cases whose name matches this regular expression."""

    def __post_init__(self) -> None:
        check(self.seed >= 0, f"--seed: expected 0 or more, received {self.seed}.")
        try:
            re.compile(self.cases)
        except re.error as error:
            check(False, f"--cases: expected a regular expression, received {self.cases!r} ({error}).")

    def wants(self, case: str) -> bool:
        """Whether a case is to be tried."""
        return re.search(self.cases, case) is not None


@dataclass(frozen=True)
class AllOptions(PartOptions):
    """Every part, one after the other."""


@dataclass(frozen=True)
class ReaderOptions(PartOptions):
    """Read a classifier while it is replaced: load it, label with it, and load it as the page does."""

    times: int = 1000
    """How often each reader reads at least."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.times >= 1, f"--times: expected 1 or more, received {self.times}.")


@dataclass(frozen=True)
class TrialOptions(PartOptions):
    """Options of parts whose trials have folders of their own."""

    trial: str = ""
    """This trial alone, by its name."""
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    """How many trials side by side. By default one a core."""
    keep: bool = False
    """Keep the folders of trials that failed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.jobs >= 1, f"--jobs: expected 1 or more, received {self.jobs}.")


@dataclass(frozen=True)
class KillOptions(TrialOptions):
    """Kill each command, at random and wherever it writes, and run it again."""

    scale: float = 1.0
    """How many trials at random, as a multiple of what each case has."""
    points: int | None = None
    """At how many of the points where a case writes it is killed, too. By default at all of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.scale >= 0, f"--scale: expected 0 or more, received {self.scale}.")
        check(self.points is None or self.points >= 0, f"--points: expected 0 or more, received {self.points}.")


@dataclass(frozen=True)
class DiskOptions(TrialOptions):
    """Give each command a disk that is too small, and then one that is not."""

    every: int | None = None
    """Kilobytes between two sizes of up to 1 MB. By default 4 up to 64 kB, and 32 from there on."""
    failpoints: bool = False
    """Let writes fail instead, as where no disk may be mounted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.every is None or self.every >= 4, f"--every: expected 4 or more, received {self.every}.")


@dataclass(frozen=True)
class TeachingOptions(TrialOptions):
    """Kill the page while it is taught."""

    kills: int = 8
    """How often."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.kills >= 1, f"--kills: expected 1 or more, received {self.kills}.")


@dataclass(frozen=True)
class FuzzOptions(PartOptions):
    """Give every reader of outside data files that were valid once, and see them refused or read right."""

    inputs: int = 10_000
    """How many each reader gets."""
    engine: Literal["hypothesis", "atheris"] = "hypothesis"
    """What chooses them: chance, or the code that they reach, which needs atheris: pip install atheris."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.inputs >= 1, f"--inputs: expected 1 or more, received {self.inputs}.")
        is_there = self.engine != "atheris" or importlib.util.find_spec("atheris") is not None
        check(is_there, "--engine: atheris is not installed: pip install atheris, or leave the option away.")


@dataclass(frozen=True)
class PageOptions(PartOptions):
    """Send requests to the page, a third of them hostile, and kill it in between."""

    requests: int = 1000
    """How many."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.requests >= 1, f"--requests: expected 1 or more, received {self.requests}.")
