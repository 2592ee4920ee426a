"""How many trials of each case were survived, and the table of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from audionet.console import log
from audionet.tables import print_table

MOST_TOLD = 10  # faults of a case; more would be the same again


@dataclass
class Tally:
    """The trials of one case of a part."""

    part: str
    case: str
    tried: int = 0
    survived: int = 0
    seconds: float = 0.0  # of all trials together
    skipped: str = ""  # why the case was not tried, if it was not

    def count(self, fault: str = "", *, trials: int = 1, seconds: float = 0.0, repeat: str = "") -> None:
        """Count trials; if there is a fault, one is not survived, and the command that repeats it is told."""
        self.tried += trials
        self.survived += trials - bool(fault)
        self.seconds += seconds
        if fault and self.failed <= MOST_TOLD:
            again = f"\n  To repeat it: {repeat}" if repeat else ""
            log(f"{self.part}: {self.case}: {fault}{again}")

    @property
    def failed(self) -> int:
        """How many trials were not survived."""
        return self.tried - self.survived


def print_tallies(tallies: Iterable[Tally]) -> None:
    """Print what was tried and survived."""
    rows = [
        (one.part, one.case, str(one.tried), str(one.survived), f"{one.seconds:.0f}", one.skipped) for one in tallies
    ]
    columns = ("part", "case", "tried", "survived", "seconds", "skipped")
    if not any(one[-1] for one in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    print_table(columns, rows, numbers=("tried", "survived", "seconds"))
