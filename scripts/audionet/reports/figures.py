"""Plots for a page: numbers in, inline SVG out, which takes its colours and its typeface from the page around it.

Matplotlib draws with colours that stand for the page's CSS variables, and they are put in afterwards: the same plot is
dark on light or light on dark. Text stays text, so that it can be read out, searched and copied. Every plot is as wide
as a phone and says in words what it shows; where colour tells two things apart, a mark or a dash does so too.
"""

import html
import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from audionet.files import printable, sha256_of

WIDTH = 440  # CSS pixels: a phone's, and half a desk's
FONT_SIZE = 14
LONGEST_NAME = 22
POINTS_AN_INCH = 72  # of SVG, so that a point is a pixel

# What stands for the page's CSS variables until the SVG is done; colours that nobody would choose.
INK, MUTED, RULE, ACCENT, OTHER, PAPER = ("#010203", "#020304", "#030405", "#040506", "#050607", "#060708")
VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", ACCENT: "accent", OTHER: "other", PAPER: "paper"}

ON_PAGE = "page:"  # stands for a link to an id on the same page

DET_TICKS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Figure:
    """A plot."""

    svg: str  # an SVG element for the inside of a page; safe to include as it is
    alt: str  # what it shows, in words


def shorten(name: str, longest: int = LONGEST_NAME) -> str:
    """Return a label or recording for a plot: on one line, its middle left out where it is long."""
    name = printable(name)
    return name if len(name) <= longest else f"{name[: longest * 2 // 3 - 1]}…{name[-(longest // 3) :]}"


def bars(names: Sequence[str], series: Mapping[str, Sequence[float | None]], *, alt: str) -> Figure:
    """Draw shares by name: the first series as bars, a second as open marks."""
    (first, values), *others = series.items()
    positions = np.arange(len(names))
    with _canvas(height=70 + 22 * len(names)) as (figure, axes):
        axes.barh(positions, _numbers_of(values), height=0.62, color=ACCENT, alpha=0.75, label=first)
        for name, other in others:
            axes.plot(_numbers_of(other), positions, "D", ms=5, mfc=PAPER, mec=OTHER, mew=1.6, label=name, zorder=3)
        _share_axis(axes.xaxis, axes.set_xlim)
        _names_down(axes, names)
        if others:
            _legend(axes, order=list(series))
        return _finish(figure, alt)


def amounts(names: Sequence[str], values: Sequence[float], *, unit: str, alt: str) -> Figure:
    """Draw amounts by name as bars."""
    with _canvas(height=70 + 22 * len(names)) as (figure, axes):
        axes.barh(np.arange(len(names)), values, height=0.62, color=ACCENT, alpha=0.75)
        axes.set_xlabel(unit)
        _names_down(axes, names)
        return _finish(figure, alt)


def confusion_matrix(labels: Sequence[str], counts: np.ndarray, *, keys: Sequence[Sequence[str]], alt: str) -> Figure:
    """Draw counts: true label down, answer across; each row's shades add up to one.

    Each cell leads to the id on the page that `keys` has at its place.
    """
    size = len(labels)
    cell = np.clip((WIDTH - 150) / size, 22, 42)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    text_size = min(FONT_SIZE, cell * 0.55)
    with _canvas(height=cell * size + 140, width=max(WIDTH, cell * size + 150)) as (figure, axes):
        for row, column in np.ndindex(size, size):
            _add_square(axes, (column - 0.5, row - 0.5), RULE, alpha=0.3)
        for row, column in zip(*np.nonzero(counts), strict=True):
            share = shares[row, column]
            colour = ACCENT if row == column else OTHER
            corner = (column - 0.5, row - 0.5)
            link = f"{ON_PAGE}{keys[row][column]}"
            _add_square(axes, corner, colour, alpha=0.12 + 0.88 * share, link=link)
            ink = PAPER if share > 0.7 else INK
            text = axes.text(column, row, counts[row, column], ha="center", va="center", color=ink, size=text_size)
            text.set_url(link)
        axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")
        names = [shorten(label, 16) for label in labels]
        axes.set_xticks(range(size), names, rotation=90)
        axes.set_yticks(range(size), names)
        axes.tick_params(length=0, labelsize=min(FONT_SIZE, max(11, cell * 0.5)))
        axes.set_xlabel("answer")
        axes.set_ylabel("true label")
        axes.grid(visible=False)
        return _finish(figure, alt)


def reliability(levels: Mapping[str, Sequence[Mapping[str, float]]], *, alt: str) -> Figure:
    """Draw how often answers are right against how sure they were, by level: bins of `confidence`, `accuracy`, `n`."""
    with _canvas(height=360) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=MUTED, lw=1, dashes=(4, 3))
        for (name, bins), colour, mark in zip(levels.items(), (ACCENT, OTHER), "oD", strict=False):
            confidences, accuracies, counts = (
                np.array([each[key] for each in bins], float) for key in ("confidence", "accuracy", "n")
            )
            sizes = 20 + 130 * counts / counts.max()
            axes.plot(confidences, accuracies, color=colour, lw=1.3)
            axes.scatter(
                confidences,
                accuracies,
                sizes,
                color=PAPER,
                edgecolors=colour,
                lw=1.8,
                marker=mark,
                label=name,
                zorder=3,
                clip_on=False,
            )
        _share_axis(axes.xaxis, axes.set_xlim)
        _share_axis(axes.yaxis, axes.set_ylim)
        axes.set(xlabel="how sure the answers were", ylabel="how often they were right")
        _legend(axes, inside=True)
        return _finish(figure, alt)


def detection(
    curves: Mapping[str, Mapping[str, Sequence[float]]], *, points: Mapping[str, tuple[float, float]], alt: str
) -> Figure:
    """Draw the trade-off between two errors, both axes in normal deviates, in which curves are nearly straight.

    Each of the `curves` has `false_accepts` and `false_rejects`; `points` are both errors at the threshold in use, by
    the names of some of the curves.

    Source: A. Martin et al., The DET Curve in Assessment of Detection Task Performance, Eurospeech 1997.
    """
    from scipy.special import ndtri  # a normal deviate by its rank; only reports should wait for it

    low, high = DET_TICKS[0], DET_TICKS[-1]
    ticks = ndtri(DET_TICKS)
    names = [f"{tick:.1%}" if tick < 0.01 else f"{tick:.0%}" for tick in DET_TICKS]
    styles = [(ACCENT, "-"), (OTHER, (0, (5, 2))), (INK, (0, (1, 1.5))), (MUTED, (0, (6, 2, 1, 2)))]
    with _canvas(height=440) as (figure, axes):
        axes.plot(ticks[[0, -1]], ticks[[0, -1]], color=MUTED, lw=1, dashes=(4, 3), zorder=1)
        for (name, curve), (colour, dashes) in zip(curves.items(), styles, strict=False):
            accepts, rejects = _deviates([curve["false_accepts"], curve["false_rejects"]])
            axes.plot(accepts, rejects, color=colour, lw=2, ls=dashes, label=name, drawstyle="steps-post")
            if name in points:
                axes.plot(*_deviates(points[name]), "o", ms=8, mfc=PAPER, mec=colour, mew=2, clip_on=False, zorder=4)
        axes.set_xticks(ticks, names, rotation=45)
        axes.set_yticks(ticks, names)
        axes.set(xlim=ndtri([low * 0.8, high]), ylim=ndtri([low * 0.8, high]))
        axes.set(xlabel="unknown that are accepted", ylabel="known that are rejected")
        _legend(axes, columns=2)
        return _finish(figure, alt)


def _deviates(rates: Any) -> np.ndarray:
    """Return rates as normal deviates, those beyond the ticks at the end of the axes."""
    from scipy.special import ndtri  # as above

    outermost = DET_TICKS[0] * 0.8
    return np.asarray(ndtri(np.clip(np.array(rates, float), outermost, 1 - outermost)))


def conditions(rows: Sequence[tuple[str, float, Sequence[float] | None]], *, clean: float | None, alt: str) -> Figure:
    """Draw the name, share and 95 % interval of each condition, against the share without any, which is `clean`."""
    with _canvas(height=60 + 19 * len(rows)) as (figure, axes):
        if clean is not None:
            axes.axvline(clean, color=MUTED, lw=1, dashes=(4, 3))
        for position, (_, share, interval) in enumerate(rows):
            if interval:
                axes.plot(interval, [position] * 2, color=ACCENT, lw=2, alpha=0.45, solid_capstyle="butt")
            axes.plot([share], [position], "o", ms=6, color=ACCENT)
        _share_axis(axes.xaxis, axes.set_xlim)
        _names_down(axes, [name for name, _, _ in rows], longest=30)
        return _finish(figure, alt)


def curves(
    steps: Sequence[float], series: Mapping[str, Sequence[float]], *, ylabel: str, is_share: bool, alt: str
) -> Figure:
    """Draw lines over training steps: the first solid, the second dashed."""
    with _canvas(height=270) as (figure, axes):
        for (name, values), colour, dashes in zip(series.items(), (ACCENT, OTHER), ("-", (0, (5, 2))), strict=False):
            axes.plot(steps, values, color=colour, lw=2, ls=dashes, label=name)
        if is_share:
            _share_axis(axes.yaxis)
        else:
            axes.set_ylim(bottom=0)
        axes.set(xlabel="step", ylabel=ylabel)
        _legend(axes)
        return _finish(figure, alt)


Growth = tuple[float, float, Sequence[float] | None]
"""A size, a share, and its 95 % interval."""


def growth(points: Sequence[Growth], *, forecast: Growth | None, xlabel: str, alt: str) -> Figure:
    """Draw shares with intervals over sizes that double, and a forecast as an open mark behind a dashed line."""
    sizes, shares = [size for size, _, _ in points], [share for _, share, _ in points]
    with _canvas(height=280) as (figure, axes):
        axes.plot(sizes, shares, "o-", color=ACCENT, lw=2, ms=6, label="measured")
        for size, _, found in points:
            if found:
                axes.plot([size, size], found, color=ACCENT, lw=2, alpha=0.45, solid_capstyle="butt")
        if forecast:
            size, share, found = forecast
            axes.plot([sizes[-1], size], [shares[-1], share], color=OTHER, lw=1.5, dashes=(4, 3))
            if found:
                axes.plot([size, size], found, color=OTHER, lw=2, alpha=0.6, solid_capstyle="butt")
            axes.plot([size], [share], "D", ms=7, mfc=PAPER, mec=OTHER, mew=1.8, label="forecast", zorder=3)
        ticks = [*sizes, *([forecast[0]] if forecast else [])]
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        _share_axis(axes.yaxis)
        axes.set(xlabel=xlabel, ylabel="right")
        _legend(axes)
        return _finish(figure, alt)


@dataclass(frozen=True)
class MapPoint:
    """A recording on a map."""

    x: float  # in -1..1
    y: float  # in -1..1
    kind: str  # what became of it, for the legend
    key: str  # the id on the page that it leads to


MAP_STYLES = (("o", ACCENT, ACCENT), ("X", OTHER, OTHER), ("s", PAPER, MUTED), ("D", PAPER, OTHER))  # mark, face, edge


def recording_map(labels: Sequence[str], points: Sequence[MapPoint], *, kinds: Sequence[str], alt: str) -> Figure:
    """Draw recordings within a circle of labels: the nearer to one, the likelier it is.

    Labels stand at equal distances, the first to the right, counter-clockwise. `kinds` is the order of the legend, four
    at most. Each point leads to its row on the page.
    """
    angles = 2 * np.pi * np.arange(len(labels)) / len(labels)
    with _canvas(height=WIDTH + 40) as (figure, axes):
        around = np.linspace(0, 2 * np.pi, 200)
        axes.plot(np.cos(around), np.sin(around), color=RULE, lw=1, zorder=1)
        for label, angle in zip(labels, angles, strict=True):
            across, up = np.cos(angle), np.sin(angle)
            side = "left" if across > 0.3 else "right" if across < -0.3 else "center"
            above = "bottom" if up > 0.3 else "top" if up < -0.3 else "center"
            axes.text(1.09 * across, 1.09 * up, shorten(label, 14), ha=side, va=above, color=INK, size=FONT_SIZE - 1)
        for kind, (mark, face, edge) in zip(kinds, MAP_STYLES, strict=False):
            some = [point for point in points if point.kind == kind]
            if some:
                drawn = axes.scatter(
                    [point.x for point in some],
                    [point.y for point in some],
                    42,
                    marker=mark,
                    facecolors=face,
                    edgecolors=edge,
                    alpha=0.75,
                    label=kind,
                    zorder=3,
                )
                drawn.set_urls([f"{ON_PAGE}{point.key}" for point in some])
        axes.set(xlim=(-1.1, 1.1), ylim=(-1.12, 1.12), aspect="equal")
        axes.set_axis_off()
        _legend(axes, columns=2)
        return _finish(figure, alt)


def spans(rows: Sequence[tuple[str, float, float]], *, ends: tuple[str, str], unit: str, alt: str) -> Figure:
    """Draw two values by name as the ends of a line, the first as an open mark, the second as a full one."""
    positions = np.arange(len(rows))
    firsts, seconds = (np.array([row[column] for row in rows]) for column in (1, 2))
    with _canvas(height=90 + 20 * len(rows)) as (figure, axes):
        axes.hlines(positions, firsts, seconds, color=RULE, lw=3)
        axes.plot(firsts, positions, "o", ms=6, mfc=PAPER, mec=OTHER, mew=1.6, label=ends[0])
        axes.plot(seconds, positions, "o", ms=6, color=ACCENT, label=ends[1])
        axes.set_xlabel(unit)
        _names_down(axes, [row[0] for row in rows])
        _legend(axes)
        return _finish(figure, alt)


def _numbers_of(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], float)


@contextmanager
def _canvas(*, height: float, width: float = WIDTH) -> Iterator[tuple[Any, Any]]:
    """Yield a figure and its axes, of a size in pixels, in the style of the page."""
    import matplotlib  # half a second, and only for reports
    from matplotlib.figure import Figure as Canvas  # without pyplot, which would keep every figure

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "audionet",  # the same plot again is the same bytes again
        "text.parse_math": False,  # a label may hold dollar signs
        "axes.unicode_minus": True,
        "font.size": FONT_SIZE,
        "font.family": ["DejaVu Sans"],  # comes with matplotlib, so that the layout is the same everywhere
        "text.color": INK,
        "axes.labelcolor": MUTED,
        "axes.labelsize": FONT_SIZE,
        "axes.edgecolor": RULE,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": RULE,
        "grid.linewidth": 0.8,
        "xtick.color": RULE,
        "ytick.color": RULE,
        "xtick.labelcolor": MUTED,
        "ytick.labelcolor": MUTED,
        "xtick.labelsize": FONT_SIZE - 1,
        "ytick.labelsize": FONT_SIZE - 1,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "legend.frameon": False,
        "legend.fontsize": FONT_SIZE - 1,
    }
    with matplotlib.rc_context(style), warnings.catch_warnings():
        # The page's typeface draws the text, so it does not matter what matplotlib's own lacks.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        warnings.filterwarnings("ignore", message=r"Matplotlib currently does not support")
        figure = Canvas(
            figsize=(width / POINTS_AN_INCH, height / POINTS_AN_INCH), dpi=POINTS_AN_INCH, layout="constrained"
        )
        yield figure, figure.add_subplot()


def _finish(figure: Any, alt: str) -> Figure:
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Figure(_themed(file.getvalue(), alt), alt)


def _themed(svg: str, alt: str) -> str:
    """Turn matplotlib's file into an element of a page: its colours the page's, its ids its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    prefix = f"plot-{sha256_of((svg + alt).encode())[:8]}-"
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'href="#', f'href="#{prefix}', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}", svg)
    svg = svg.replace(f'href="{ON_PAGE}', 'href="#')
    role = "group" if "<a " in svg else "img"  # what is within an image, its links too, is hidden from who cannot see
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    svg = re.sub(r"font: ([^;\"]*?)([\d.]+px) [^;\"]*", r"font-size: \2", svg)  # the typeface is the page's
    opening = re.match(r"<svg[^>]*>", svg)
    assert opening is not None  # matplotlib wrote it
    view_box = re.search(r'viewBox="([^"]*)"', opening[0])
    assert view_box is not None
    width = float(view_box[1].split()[2])
    return (
        f'<svg viewBox="{view_box[1]}" style="--natural: {width:.0f}px" role="{role}" aria-label="{html.escape(alt)}" '
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">' + svg[opening.end() :]
    )


def _share_axis(axis: Any, set_limits: Any = None) -> None:
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1))
    if set_limits:
        set_limits(-0.02, 1.02)


def _names_down(axes: Any, names: Sequence[str], *, longest: int = LONGEST_NAME) -> None:
    axes.set_yticks(range(len(names)), [shorten(name, longest) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.grid(axis="y", visible=False)


def _legend(axes: Any, *, inside: bool = False, columns: int = 3, order: Sequence[str] = ()) -> None:
    handles, names = axes.get_legend_handles_labels()
    if order:
        by_name = dict(zip(names, handles, strict=True))
        handles, names = [by_name[name] for name in order], list(order)
    if inside:
        axes.legend(handles, names, loc="upper left", handlelength=2.2)
    else:
        axes.figure.legend(handles, names, loc="outside upper left", ncols=columns, handlelength=2.2, columnspacing=1.4)


def _add_square(axes: Any, corner: tuple[float, float], colour: str, *, alpha: float, link: str | None = None) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, alpha=alpha, edgecolor=PAPER, linewidth=1, url=link))
