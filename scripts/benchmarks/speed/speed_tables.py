"""Speed and scaling as tables, and as a plot."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audionet.errors import InputError
from audionet.evaluation.runs import versions
from audionet.files import whole_file
from audionet.tables import Table
from benchmarks.speed.steps import CLASSIC, OURS

MEBIBYTE = 2**20
PLOT_INCHES = (15, 9)


def machine() -> dict[str, str]:
    """Return what the figures depend on: processor, cores, memory and versions.

    Raises:
        InputError: `psutil`, which also watches the memory of what is measured, is not installed.
    """
    try:
        import psutil
    except ImportError as error:
        raise InputError(
            "Memory cannot be measured without psutil. Install it: pip install -r tests/requirements.txt."
        ) from error
    return {"processor": _processor(), "memory_gib": f"{psutil.virtual_memory().total / 2**30:.0f}", **versions()}


def tables(result: Mapping[str, Any]) -> dict[str, Table]:
    """Return the tables of a result by title: `steps` of `steps.measure`, and `growth` of `scaling.measure_scaling`."""
    found = {"Speed": speeds(result["steps"])}
    return found | ({"Scaling": scaling(result["growth"])} if result["growth"] else {})


def speeds(steps: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table with a row for each step: what we do in a second, and how many times as fast that is."""
    columns = ["step", "unit", "ours, a second", "ours, s", "classic, a second", "ours / classic", "ours / others"]
    return columns, [
        [
            step["name"],
            step["unit"],
            _figure(step["ways"][OURS]["speed"]["median"]),
            _figure(step["ways"][OURS]["seconds"]["median"]),
            _figure(step["ways"][CLASSIC]["speed"]["median"]) if CLASSIC in step["ways"] else "",
            _ratio(step["ratios"][CLASSIC]) if CLASSIC in step["ratios"] else "",
            "; ".join(f"{name} {_ratio(ratio)}" for name, ratio in step["ratios"].items() if name != CLASSIC),
        ]
        for step in steps
    ]


def scaling(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table with a row for each step: seconds and memory at three sizes, and the exponents."""
    columns = ["step", "sizes", "seconds", "exponent", "of the last tenfold", "memory, MiB", "exponent of memory"]
    return columns, [
        [
            row["name"],
            f"{' '.join(map(_figure, row['sizes']))} {row['unit']}",
            " ".join(map(_figure, row["seconds"])),
            f"{row['time']['exponent']:.2f}",
            f"{row['time']['last_exponent']:.2f}",
            " ".join(f"{peak / MEBIBYTE:.0f}" for peak in row["peak_bytes"]),
            f"{row['memory']['exponent']:.2f}",
        ]
        for row in rows
    ]


def introduction(result: Mapping[str, Any]) -> str:
    """Return what must be known to read the tables."""
    about = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    return (
        f"Medians of {result['rounds']} rounds in turn; in brackets the lowest and the highest of the rounds. Memory "
        f"is that of all processes together, without file caches. {about}."
    )


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Draw how many times as fast as the classic way each step is, and how time and memory grow, as a png."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=PLOT_INCHES, layout="constrained")
    ratios, seconds, memory = figure.subplots(1, 3)
    compared = [step for step in reversed(result["steps"]) if CLASSIC in step["ratios"]]
    middle = [step["ratios"][CLASSIC]["median"] for step in compared]
    below = [step["ratios"][CLASSIC]["median"] - step["ratios"][CLASSIC]["low"] for step in compared]
    above = [step["ratios"][CLASSIC]["high"] - step["ratios"][CLASSIC]["median"] for step in compared]
    ratios.barh([step["name"] for step in compared], middle, xerr=(below, above), color="steelblue")
    ratios.set(xscale="log", xlabel="times as fast as the classic way")
    for row in result["growth"]:
        times = [size / row["sizes"][0] for size in row["sizes"]]
        seconds.plot(times, row["seconds"], "o-", label=f"{row['name']}: {row['time']['last_exponent']:.2f}")
        mebibytes = [peak / MEBIBYTE for peak in row["peak_bytes"]]
        memory.plot(times, mebibytes, "o-", label=f"{row['name']}: {row['memory']['exponent']:.2f}")
    for axes, quantity in ((seconds, "seconds"), (memory, "memory, MiB")):
        axes.set(xscale="log", yscale="log", xlabel="times as much to do", ylabel=quantity)
        if result["growth"]:
            axes.legend(title="exponent", fontsize="small")
    with whole_file(path) as scratch:
        figure.savefig(scratch, dpi=100)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _ratio(ratio: Mapping[str, Any]) -> str:
    return f"x{_figure(ratio['median'])} ({_figure(ratio['low'])}-{_figure(ratio['high'])})"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
