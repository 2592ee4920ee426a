"""How time and memory of each step grow with what there is to do: measured at 1, 10 and 100 times as much.

A cost that is in proportion to the work has an exponent of 1, one that does not depend on it of 0. What a process takes
to start weighs on the smallest size, so that the exponent of time is also given for the last tenfold alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.steps import OURS, cold, drawing, labelling, training, warm
from benchmarks.speed.timing import Contestant, script, spread, take_turns
from benchmarks.speed.workload import Workshop

TENFOLDS = (100, 10, 1)  # what the full size is divided by
PIECE_SECONDS = 30.0  # of a recording to draw


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of the straight line that fits the logarithm of costs over that of sizes best."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def fitted(sizes: Sequence[float], costs: Sequence[float]) -> dict[str, float]:
    """Return the exponent of all sizes, and of the last two."""
    return {"exponent": exponent(sizes, costs), "last_exponent": exponent(sizes[-2:], costs[-2:])}


def draw_pieces(workshop: Workshop, share: int) -> Contestant:
    """Draw mp3s of half a minute, or of the user's."""
    if workshop.audio_dir:
        whole = workshop.long_recordings
    else:
        count = max(1, round(60 * workshop.sizes.long_minutes / PIECE_SECONDS))
        whole = workshop.recordings("piece", count, seconds=PIECE_SECONDS, suffix=".mp3")
    source = _share(workshop, whole, share)
    return drawing(source, workshop.output("ours"), workshop.seconds_of(source))


def draw_short(workshop: Workshop, share: int) -> Contestant:
    """Draw wavs of one second."""
    source = _share(workshop, workshop.short_recordings, share)
    return drawing(source, workshop.output("ours"), sum(workshop.drawn(source)[1].recordings.values()))


def draw_nothing(workshop: Workshop, share: int) -> Contestant:
    """Draw wavs of one second that are drawn already."""
    source = _share(workshop, workshop.short_recordings, share)
    image_dir, tally = workshop.drawn(source)
    command = script("data_maker.py", "--audio_dir", source, "--image_dir", image_dir, "--no-keep_wav")
    return Contestant(OURS, sum(tally.recordings.values()), command)


def compute(workshop: Workshop, share: int) -> Contestant:
    """Compute bottlenecks of the default network."""
    source = workshop.part(workshop.pictures, _divided(workshop.sizes.pictures, share))
    return cold(workshop, source, "efficientnet_lite0", None, name=OURS)


def read(workshop: Workshop, share: int) -> Contestant:
    """Read bottlenecks from the cache."""
    return warm(workshop, _divided(workshop.sizes.cached_pictures, share))


def train(workshop: Workshop, share: int, trainer: str) -> Contestant:
    """Train on cached bottlenecks; for softmax, the steps stay as many."""
    count = _divided(workshop.sizes.cached_pictures, share)
    return replace(training(workshop, count, trainer), units=count)


def label_pictures(workshop: Workshop, share: int) -> Contestant:
    """Label pictures in one load."""
    count = _divided(workshop.sizes.labelled_pictures, share)
    return labelling(workshop, workshop.part(workshop.pictures, count), count)


def label_sound(workshop: Workshop, share: int) -> Contestant:
    """Label one long mp3."""
    seconds = 60 * workshop.sizes.labelled_minutes / share
    source = workshop.recordings("hour", 1, seconds=seconds, suffix=".mp3")
    return labelling(workshop, source, seconds)


GROWING: Mapping[str, tuple[str, Callable[[Workshop, int], Contestant]]] = {
    "draw mp3s": ("seconds of sound", draw_pieces),
    "draw wavs of 1 s": ("recordings", draw_short),
    "draw with nothing to do": ("recordings", draw_nothing),
    "bottlenecks EfficientNet-Lite0, default tap": ("pictures", compute),
    "bottlenecks from a warm cache": ("pictures", read),
    "train softmax": ("pictures", partial(train, trainer="softmax")),
    "train lda": ("pictures", partial(train, trainer="lda")),
    "label pictures": ("pictures", label_pictures),
    "label one long mp3": ("seconds of sound", label_sound),
}
"""By name: what is counted, and what is run at a share of the full size."""


def measure_growth(name: str, workshop: Workshop, *, rounds: int) -> dict[str, Any]:
    """Measure a step at a hundredth, a tenth and the whole of its size.

    Returns:
        dict: `name`, `unit`, `sizes`, `seconds` and `peak_bytes` at each, and `time` and `memory`, as `fitted` gives.
    """
    unit, contestant_at = GROWING[name]
    rungs = [replace(contestant_at(workshop, share), name=f"1/{share}") for share in TENFOLDS]
    timings = take_turns(rungs, rounds=rounds, watch_memory=True)
    sizes = [rung.units for rung in rungs]
    seconds = [spread([timing.seconds for timing in timings[rung.name]])["median"] for rung in rungs]
    peak_bytes = [spread([timing.peak_bytes for timing in timings[rung.name]])["median"] for rung in rungs]
    return {
        "name": name,
        "unit": unit,
        "sizes": sizes,
        "seconds": seconds,
        "peak_bytes": peak_bytes,
        "time": fitted(sizes, seconds),
        "memory": fitted(sizes, peak_bytes),
    }


def _share(workshop: Workshop, source: Path, share: int) -> Path:
    return workshop.part(source, max(1, workshop.count(source) // share))


def _divided(size: int, share: int) -> int:
    return max(4, size // share)  # a picture of each label
