"""How the heads that are tried do on validation, shown in the progress bar while they are trained."""

import re
from dataclasses import dataclass

from tqdm import tqdm

SCORE = re.compile(r"accuracy ([\d.]+) %, log loss ([\d.]+) after step (\d+) of (.+)\]")


@dataclass(frozen=True)
class ValidationScore:
    """How a head does on the validation pictures, augmented views left out."""

    name: str  # what is trained, and on what
    step: int  # after which it was scored, from 1; a head that is fitted in closed form has one
    accuracy: float  # 0..1
    log_loss: float  # in nats

    @classmethod
    def of_bar(cls, line: str) -> "ValidationScore | None":
        """Return what a line tells that a progress bar has written, if it tells of a head."""
        found = SCORE.search(line)
        if found is None:
            return None
        percent, loss, step, name = found.groups()
        return cls(name, int(step), round(float(percent) / 100, 6), float(loss))

    def show(self, bar: tqdm) -> None:
        """Show it in a progress bar."""
        percent, loss = 100 * self.accuracy, self.log_loss
        bar.set_postfix_str(f"accuracy {percent:.1f} %, log loss {loss:.3f} after step {self.step} of {self.name}")
