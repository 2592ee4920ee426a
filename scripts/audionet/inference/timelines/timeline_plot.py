"""Pictures for people: a recording's spectrogram from beginning to end, with its labelled spans below it.

A long recording is broken into rows, as a text is into lines. Every span carries its label where there is room, so that
colours are not all that tells labels apart; unknown is hatched, and silence is left open.
"""

import math
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from audionet.audio import decoding
from audionet.features.recipes import Recipe
from audionet.features.spectrogram import mel_filters, power_spectra
from audionet.files import whole_file
from audionet.models.timelines.timeline import Span, Timeline
from audionet.reports.figures import shorten
from audionet.wording import clock

TICKS = {5: 1, 10: 2, 20: 5, 30: 5, 60: 10, 120: 20, 300: 60, 600: 120, 900: 180, 1800: 300, 3600: 600}
"""Seconds between ticks, by the seconds of a row."""
MOST_ROWS = 9
COLUMNS_A_ROW = 1000
WINDOW_SAMPLES = 1024
BANDS = 96
RANGE_DB = 70.0
WIDTH_INCHES = 14.0
ROW_INCHES = 1.25
DOTS_AN_INCH = 110
INK, PAPER, UNKNOWN_COLOUR = "#1b1b1b", "#ffffff", "#b9b9b9"
CHARACTERS_A_ROW = 150  # of small print that fit side by side


def write_overview(path: Path, timeline: Timeline, recipe: Recipe) -> None:
    """Write the picture of a timeline as png, whole or not at all.

    Args:
        path: where to.
        timeline: of a recording.
        recipe: whose frequencies are shown, and whose effects the sound goes through.
    """
    row_seconds = next((each for each in TICKS if timeline.seconds <= each * MOST_ROWS), None)
    row_seconds = row_seconds or math.ceil(timeline.seconds / MOST_ROWS)
    rows = max(1, math.ceil(timeline.seconds / row_seconds))
    column_seconds = row_seconds / COLUMNS_A_ROW
    levels = long_spectrogram(timeline.path, recipe, column_seconds=column_seconds)
    colours = _colours({span.label for span in timeline.non_silent_spans if span.has_name})
    with figure_of(height_inches=rows * ROW_INCHES + 1.0) as figure:
        panels = figure.subplots(
            2 * rows, 1, squeeze=False, gridspec_kw={"height_ratios": [3, 1] * rows, "hspace": 0.02}
        )[:, 0]
        for row in range(rows):
            begin = row * row_seconds
            part = levels[:, row * COLUMNS_A_ROW : (row + 1) * COLUMNS_A_ROW]
            _draw_sound(panels[2 * row], part, begin, begin + part.shape[1] * column_seconds, begin + row_seconds)
            _draw_spans(panels[2 * row + 1], timeline.spans, begin, begin + row_seconds, colours)
        _draw_legend(figure, timeline, colours)
        with whole_file(path) as scratch:
            figure.savefig(scratch, dpi=DOTS_AN_INCH, facecolor=PAPER)


def long_spectrogram(path: Path, recipe: Recipe, *, column_seconds: float) -> np.ndarray:
    """Return a recording's spectrogram on the mel scale, in decibels below its loudest point, shape (bands, columns).

    Every sample counts, however long the recording and however wide the columns.
    """
    filters = mel_filters(
        sample_rate_hz=recipe.sample_rate_hz,
        fft_samples=WINDOW_SAMPLES,
        bands=BANDS,
        low_hz=recipe.low_hz,
        high_hz=recipe.high_hz,
    )
    blocks = decoding.read_blocks(
        path, sample_rate_hz=recipe.sample_rate_hz, effects=recipe.sox_effects, channel=recipe.channel
    )
    column_samples = column_seconds * recipe.sample_rate_hz
    powers = [power_spectra(one, WINDOW_SAMPLES, 1)[0] @ filters for one in _columns(blocks, column_samples)]
    levels: np.ndarray = 10 * np.log10(np.maximum(np.stack(powers, axis=1), 1e-12))
    clipped: np.ndarray = np.clip(levels - levels.max(), -RANGE_DB, 0).astype(np.float32)
    return clipped


def _columns(blocks: Iterable[np.ndarray], column_samples: float) -> Iterator[np.ndarray]:
    """Yield slices of that many samples on average, which need not be a whole number."""
    rest = np.empty(0, np.float32)
    taken = column = 0
    for block in blocks:
        rest = np.concatenate([rest, block])
        while (wanted := round((column + 1) * column_samples) - taken) <= len(rest):
            yield rest[:wanted]
            rest = rest[wanted:]
            taken += wanted
            column += 1
    if len(rest):
        yield rest


def _draw_sound(panel: Any, levels: np.ndarray, begin: float, end: float, row_end: float) -> None:
    if levels.shape[1]:
        panel.imshow(
            levels,
            origin="lower",
            aspect="auto",
            cmap="gray_r",
            vmin=-RANGE_DB,
            vmax=0,
            extent=(begin, end, 0, len(levels)),
        )
    panel.set(xlim=(begin, row_end), xticks=[], yticks=[])


def _draw_spans(panel: Any, spans: Iterable[Span], begin: float, end: float, colours: dict[str, Any]) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    for span in spans:
        first, last = max(span.start_seconds, begin), min(span.end_seconds, end)
        if span.kind == "silence" or first >= last:
            continue
        panel.axvspan(
            first,
            last,
            facecolor=colours[span.label] if span.has_name else PAPER,
            edgecolor=PAPER if span.has_name else UNKNOWN_COLOUR,
            hatch=None if span.has_name else "////",
            linewidth=0.6,
            alpha=0.7 if span.has_name else None,
        )
        room = int((last - first) / (end - begin) * CHARACTERS_A_ROW)
        if room >= 3:
            text = shorten(span.label, max(room, 3)) if room >= 6 else span.label[:room]
            panel.text((first + last) / 2, 0.5, text, ha="center", va="center", size=7.5, color=INK, clip_on=True)
    panel.set(xlim=(begin, end), ylim=(0, 1), yticks=[])
    panel.xaxis.set_major_locator(MultipleLocator(TICKS.get(round(end - begin), (end - begin) / 6)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: clock(seconds, tenths=end - begin < 10)))
    panel.tick_params(labelsize=7.5, length=2)


def _draw_legend(figure: Any, timeline: Timeline, colours: dict[str, Any]) -> None:
    from matplotlib.patches import Patch

    seconds = {label: sum(span.seconds for span in timeline.spans if span.label == label) for label in colours}
    names = {label: f"{shorten(label)} {clock(seconds[label])}" for label in colours}
    patches = [Patch(facecolor=colour, alpha=0.7, label=names[label]) for label, colour in colours.items()]
    unknown = sum(span.seconds for span in timeline.spans if span.kind == "unknown")
    if unknown:
        patches.append(
            Patch(facecolor=PAPER, edgecolor=UNKNOWN_COLOUR, hatch="////", label=f"unknown {clock(unknown)}")
        )
    figure.suptitle(f"{shorten(timeline.path.name, 60)}, {clock(timeline.seconds)}", size=11, x=0.01, ha="left")
    figure.legend(handles=patches[:40], loc="outside lower left", ncols=8, frameon=False, fontsize=8)


def _colours(labels: Iterable[str]) -> dict[str, Any]:
    from matplotlib import colormaps

    tab20 = colormaps["tab20"](range(20))
    palette = [*tab20[::2], *tab20[1::2]]  # full ones first, then pale ones
    return {label: palette[number % len(palette)] for number, label in enumerate(sorted(labels))}


@contextmanager
def figure_of(*, height_inches: float, width_inches: float = WIDTH_INCHES) -> Iterator[Any]:
    """Yield a figure, without pyplot, which would keep every one."""
    import matplotlib  # half a second, and only for pictures
    from matplotlib.figure import Figure

    style: Any = {"text.parse_math": False, "font.size": 9, "font.family": ["DejaVu Sans"], "hatch.linewidth": 0.6}
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support")
        yield Figure(figsize=(width_inches, height_inches), layout="constrained")
