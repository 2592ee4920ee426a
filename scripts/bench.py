"""Measure how fast each step is, against the classic way and against bare libraries, and how its cost grows.

    python bench.py
    python bench.py --full
    python bench.py --audio_dir ~/recordings --steps draw --no-growth

Everything is measured in turn, ours, theirs, ours, theirs, each in a process of its own, on recordings and pictures
that are made for it. With --audio_dir, the user's recordings are drawn, looked at and labelled instead.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from audionet.cli import run_script
from audionet.console import log
from audionet.errors import check
from audionet.files import printable
from audionet.models.backbones.settings import Engine

TF_FILES = Path(__file__).resolve().parent.parent / "tf_files"


@dataclass(frozen=True)
class BenchOptions:
    """The command line of bench.py."""

    audio_dir: Path | None = None
    """Folder of recordings of yours, one subfolder a label. By default some are made."""
    full: bool = False
    """Take sizes at which start-up no longer counts: hours of sound, ten thousand recordings, 100,000 pictures."""
    long_minutes: float | None = None
    """Minutes of sound in long mp3s."""
    short_recordings: int | None = None
    """How many wavs of one second."""
    pictures: int | None = None
    """How many pictures to compute bottlenecks of."""
    cached_pictures: int | None = None
    """How many bottlenecks the cache holds."""
    training_steps: int | None = None
    """How many steps softmax is trained for."""
    labelled_pictures: int | None = None
    """How many pictures to label."""
    labelled_minutes: float | None = None
    """Minutes of mp3 to label."""
    classic_pictures: int | None = None
    """How many pictures the classic way gets, which would take hours for all."""
    steps: str = ""
    """Measure the steps alone whose name matches this regular expression."""
    rounds: int = 3
    """How often each contestant gets its turn."""
    growth: bool = True
    """Whether to measure how time and memory grow, at a hundredth, a tenth and the whole of each size."""
    growth_rounds: int = 1
    """How often each size gets its turn."""
    engine: Engine = "auto"
    """What runs networks in our way."""
    output_dir: Path = TF_FILES / "bench" / "speed"
    """Folder for tables, plot, and everything made to measure with. It is safe to delete."""

    def __post_init__(self) -> None:
        counts = ("short_recordings", "pictures", "cached_pictures", "labelled_pictures", "classic_pictures")
        for name in (*counts, "long_minutes", "labelled_minutes", "training_steps", "rounds", "growth_rounds"):
            least = 4 if name in counts else 0.1 if name.endswith("minutes") else 1
            value = getattr(self, name)
            check(value is None or value >= least, f"--{name}: expected {least} or more, received {value}.")
        try:
            re.compile(self.steps)
        except re.error as error:
            check(False, f"--steps: expected a regular expression, received {self.steps!r} ({error}).")


def bench(options: BenchOptions) -> int:
    """Measure, print and write tables."""
    # NumPy, SciPy and the networks, which --help should not wait for.
    from audionet.files import write_json, write_text
    from audionet.tables import markdown, print_tables
    from benchmarks.speed import scaling
    from benchmarks.speed import steps as steps_module
    from benchmarks.speed import tables as tables_module
    from benchmarks.speed.workload import FULL_SIZES, QUICK_SIZES, Workshop

    sizes = (FULL_SIZES if options.full else QUICK_SIZES).changed(vars(options))
    workshop = Workshop(options.output_dir / "made", sizes, options.audio_dir, options.engine)
    chosen, growing = (
        [name for name in names if re.search(options.steps, name)] for names in (steps_module.BENCHES, scaling.GROWING)
    )
    check(bool(chosen or growing), f"--steps: {options.steps!r} matches none of: {', '.join(steps_module.BENCHES)}.")
    result: dict = {
        "machine": tables_module.machine(),
        "rounds": options.rounds,
        "growth_rounds": options.growth_rounds,
        "sizes": vars(sizes),
        "steps": [],
        "growth": [],
    }
    for name in chosen:
        log(name)
        result["steps"].append(steps_module.measure(name, steps_module.BENCHES[name](workshop), rounds=options.rounds))
        write_json(options.output_dir / "speed.json", result)  # so that a killed run keeps what it measured
    for name in growing if options.growth else ():
        log(f"Growth: {name}")
        result["growth"].append(scaling.measure_growth(name, workshop, rounds=options.growth_rounds))
        write_json(options.output_dir / "speed.json", result)
    tables, introduction = tables_module.tables(result), tables_module.introduction(result)
    print_tables(tables, introduction)
    write_text(options.output_dir / "speed.md", markdown(tables, introduction))
    tables_module.draw(result, options.output_dir / "speed.png")
    print(f"Tables and plot: {printable(options.output_dir / 'speed.md')}, speed.json and speed.png beside it")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the script and return its exit status."""
    return run_script(bench, BenchOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
