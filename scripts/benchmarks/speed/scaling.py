"""How time and memory of each step scale with what there is to do: measured at 1, 10 and 100 times as much.

A cost that is in proportion to the work has an exponent of 1, one that does not depend on it of 0. What a process takes
to start weighs on the smallest size, so that the exponent of time is also given for the last tenfold alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed import steps
from benchmarks.speed.timing import Competitor, spread, take_turns
from benchmarks.speed.workload import Workload

TENFOLDS = (100, 10, 1)  # what the full size is divided by
PIECE_SECONDS = 30.0  # of a recording to draw


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of the straight line that fits the logarithm of costs over that of sizes best."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def fitted(sizes: Sequence[float], costs: Sequence[float]) -> dict[str, float]:
    """Return the exponent of all sizes, and of the last two."""
    return {"exponent": exponent(sizes, costs), "last_exponent": exponent(sizes[-2:], costs[-2:])}


def _draw_pieces(workload: Workload, share: int) -> Competitor:
    """Draw mp3s of half a minute, or of the user's."""
    if workload.audio_dir:
        whole = workload.long_recordings
    else:
        count = max(1, round(60 * workload.sizes.long_minutes / PIECE_SECONDS))
        whole = workload.recordings("piece", count, seconds=PIECE_SECONDS, suffix=".mp3")
    source = _share(workload, whole, share)
    return steps.draw(workload, source, workload.seconds_of(source))


def _draw_short(workload: Workload, share: int) -> Competitor:
    source = _share(workload, workload.short_recordings, share)
    return steps.draw(workload, source, sum(workload.drawn(source)[1].recordings.values()))


def _draw_nothing(workload: Workload, share: int) -> Competitor:
    return steps.draw_again(workload, _share(workload, workload.short_recordings, share))


def _compute_bottlenecks(workload: Workload, share: int) -> Competitor:
    source = workload.part(workload.pictures, _divided(workload.sizes.pictures, share))
    return steps.compute_bottlenecks(workload, source, "efficientnet_lite0", None)


def _read_bottlenecks(workload: Workload, share: int) -> Competitor:
    return steps.read_bottlenecks(workload, _divided(workload.sizes.cached_pictures, share))


def _train(workload: Workload, share: int, trainer: str) -> Competitor:
    """Train on cached bottlenecks, counted in pictures; for softmax, the steps stay as many."""
    count = _divided(workload.sizes.cached_pictures, share)
    return replace(steps.train(workload, count, trainer), units=count)


def _label_pictures(workload: Workload, share: int) -> Competitor:
    count = _divided(workload.sizes.labelled_pictures, share)
    return steps.label(workload, workload.part(workload.pictures, count), count)


def _label_sound(workload: Workload, share: int) -> Competitor:
    seconds = 60 * workload.sizes.labelled_minutes / share
    return steps.label(workload, workload.recordings("hour", 1, seconds=seconds, suffix=".mp3"), seconds)


def _share(workload: Workload, source: Path, share: int) -> Path:
    return workload.part(source, max(1, workload.count(source) // share))


def _divided(size: int, share: int) -> int:
    return max(4, size // share)  # a picture of each label


SCALED_STEPS: Mapping[str, tuple[str, Callable[[Workload, int], Competitor]]] = {
    "draw mp3s": ("seconds of sound", _draw_pieces),
    "draw wavs of 1 s": ("recordings", _draw_short),
    "draw with nothing to do": ("recordings", _draw_nothing),
    "bottlenecks EfficientNet-Lite0, default tap": ("pictures", _compute_bottlenecks),
    "bottlenecks from a warm cache": ("pictures", _read_bottlenecks),
    "train softmax": ("pictures", partial(_train, trainer="softmax")),
    "train lda": ("pictures", partial(_train, trainer="lda")),
    "label pictures": ("pictures", _label_pictures),
    "label one long mp3": ("seconds of sound", _label_sound),
}
"""By name: what is counted, and what is run at a share of the full size."""


def measure_scaling(name: str, workload: Workload, *, rounds: int) -> dict[str, Any]:
    """Measure a step at a hundredth, a tenth and the whole of its size.

    Returns:
        dict: `name`, `unit`, `sizes`, `seconds` and `peak_bytes` at each, and `time` and `memory`, as `fitted` gives.
    """
    unit, competitor_at = SCALED_STEPS[name]
    scaled = [replace(competitor_at(workload, share), name=f"1/{share}") for share in TENFOLDS]
    timings = take_turns(scaled, rounds=rounds, watch_memory=True)
    sizes = [each.units for each in scaled]
    seconds = [spread([timing.seconds for timing in timings[each.name]])["median"] for each in scaled]
    peak_bytes = [spread([timing.peak_bytes for timing in timings[each.name]])["median"] for each in scaled]
    return {
        "name": name,
        "unit": unit,
        "sizes": sizes,
        "seconds": seconds,
        "peak_bytes": peak_bytes,
        "time": fitted(sizes, seconds),
        "memory": fitted(sizes, peak_bytes),
    }
