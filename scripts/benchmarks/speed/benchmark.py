"""How fast each step is beside its rivals, and how time and memory scale: measured, shown and written."""

import re
from dataclasses import replace
from typing import Any

from audionet.console import log
from audionet.errors import check
from audionet.files import printable, write_json, write_text
from audionet.tables import markdown, print_tables
from benchmarks.options import SpeedOptions
from benchmarks.speed import scaling, speed_tables, steps
from benchmarks.speed.workload import FULL_SIZES, Sizes, Workload


def run(options: SpeedOptions) -> int:
    """Measure, print and write tables."""
    sizes = FULL_SIZES if options.full else Sizes()
    sizes = replace(sizes, **{name: wanted for name in vars(sizes) if (wanted := getattr(options, name)) is not None})
    workload = Workload(options.output_dir / "made", sizes, options.audio_dir, options.engine)
    chosen, scaled = (
        [name for name in names if re.search(options.steps, name)] for names in (steps.STEPS, scaling.SCALED_STEPS)
    )
    check(bool(chosen or scaled), f"--steps: {options.steps!r} matches none of: {', '.join(steps.STEPS)}.")
    result: dict[str, Any] = {
        "machine": speed_tables.machine(),
        "rounds": options.rounds,
        "growth_rounds": options.scaling_rounds,
        "sizes": vars(sizes),
        "steps": [],
        "growth": [],
    }
    for name in chosen:
        log(name)
        result["steps"].append(steps.measure(name, steps.STEPS[name](workload), rounds=options.rounds))
        write_json(options.output_dir / "speed.json", result)  # so that a killed run keeps what it measured
    for name in scaled if options.scaling else ():
        log(f"Scaling: {name}")
        result["growth"].append(scaling.measure_scaling(name, workload, rounds=options.scaling_rounds))
        write_json(options.output_dir / "speed.json", result)
    tables, introduction = speed_tables.tables(result), speed_tables.introduction(result)
    print_tables(tables, introduction)
    write_text(options.output_dir / "speed.md", markdown(tables, introduction))
    speed_tables.plot(result, options.output_dir / "speed.png")
    print(f"Tables and plot: {printable(options.output_dir / 'speed.md')}, speed.json and speed.png beside it")
    return 0
