"""What came of a grid: a table of its cells, how each compares with the baseline, and whether one surely is best."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from audionet.evaluation.comparison import SIGNIFICANT, compare, holm
from audionet.evaluation.intervals import resampled
from audionet.experiments.cells import CellResult, GridResult
from audionet.experiments.grid import Grid
from audionet.files import printable
from audionet.wording import counted, listed

Level = Literal["chunk", "recording"]


def summarise(grid: Grid, found: GridResult, *, level: Level) -> dict[str, Any]:
    """Return what came of a grid as JSON.

    Returns:
        `cells`, a list in the order of the grid: `name`, `options`, `same_as`, `scores` as evaluation gives them
        without the recordings, `train_seconds`, `score_ms`, `size_bytes`, and for all but the baseline
        `against_baseline`, as `compare` gives it, with `p_holm` under the `level`; `varied`, `fixed`, `seeds`,
        `baseline`, `level`; `failures` by cell and `unreadable` by recording; and `verdict`, sentences.
    """
    results = found.results
    others = [name for name in results if name != grid.baseline]
    against = _against(results, grid.baseline, others, level) if grid.baseline in results else {}
    cells = [
        {
            "name": cell.name,
            "options": dict(cell.options),
            "same_as": list(cell.same_as),
            "scores": {key: value for key, value in results[cell.name].scores.items() if key != "recordings"},
            "train_seconds": results[cell.name].train_seconds,
            "score_ms": results[cell.name].score_ms,
            "size_bytes": results[cell.name].size_bytes,
            **({"against_baseline": against[cell.name]} if cell.name in against else {}),
        }
        for cell in grid.cells
        if cell.name in results
    ]
    return {
        "cells": cells,
        "varied": list(grid.varied),
        "fixed": {name: str(value) for name, value in grid.fixed.items()},
        "seeds": list(grid.seeds),
        "baseline": grid.baseline,
        "level": level,
        "failures": found.failures,
        "unreadable": found.unreadable,
        "verdict": _verdict(results, level),
    }


def _against(
    results: Mapping[str, CellResult], one: str, others: Sequence[str], level: Level
) -> dict[str, dict[str, Any]]:
    """Return how other cells compare with one, with p values that allow for so many comparisons."""
    found = {name: compare(results[one].scores, results[name].scores) for name in others}
    for name, p_holm in zip(others, holm([found[name][level]["p_value"] for name in others]), strict=True):
        found[name][level]["p_holm"] = p_holm
    return found


def _verdict(results: Mapping[str, CellResult], level: Level) -> list[str]:
    """Return in sentences which cell is the best, if one surely is, and else which cannot be told from it."""
    accuracies = {name: result.scores[level]["accuracy"] for name, result in results.items()}
    if not accuracies:
        return ["No cell could be scored."]
    best = max(accuracies, key=lambda name: accuracies[name])
    share = f"{accuracies[best]:.1%} of {level}s right without a threshold"
    if len(results) == 1:
        return [f"{printable(best)}: {share}."]
    others = [name for name in results if name != best]
    against = _against(results, best, others, level)
    alike = [name for name in others if against[name][level]["p_holm"] >= SIGNIFICANT]
    over = resampled(results[best].scores["data"])
    if not alike:
        p_most = max(against[name][level]["p_holm"] for name in others)
        return [
            f"The winner is {printable(best)}: {share}, and surely better than each other cell (paired tests {over}, "
            f"Holm's correction, p at most {p_most:.2g}).",
            _flatters(len(results)),
        ]
    quickest = min([best, *alike], key=lambda name: results[name].score_ms)
    return [
        f"There is no winner. {printable(best)} has the most, {share}, but {counted(len(alike), 'other cell')} of "
        f"{len(others)} cannot be told from it by these recordings (paired tests {over}, Holm's correction): "
        f"{listed([printable(name) for name in alike], 5).replace(', ', '; ')}.",
        f"Of these, {printable(quickest)} answers the quickest, in {results[quickest].score_ms:.1f} ms a chunk.",
        _flatters(len(results)),
    ]


def _flatters(count: int) -> str:
    return f"The highest of {count} scores flatters a little: of new recordings, expect slightly less."


COLUMNS = (
    *("chunks", "recordings", "refused", "EER", "unknown EER", "AUROC"),
    *("train s", "ms a chunk", "MB", "difference", "p (Holm)"),
)


def rows_of(summary: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the headings and the rows of a table of the cells; columns that no cell has anything for are left out."""
    varied, level = summary["varied"], summary["level"]
    rows = [
        (*(printable(cell["options"][name]) for name in varied), *_numbers(cell, level, summary["baseline"]))
        for cell in summary["cells"]
    ]
    headings = (*varied, *COLUMNS)
    kept = [
        column
        for column in range(len(headings))
        if column < len(varied) or any(row[column] not in ("–", "baseline") for row in rows)
    ]
    return tuple(headings[column] for column in kept), [tuple(row[column] for column in kept) for row in rows]


def _numbers(cell: Mapping[str, Any], level: Level, baseline: str) -> tuple[str, ...]:
    scores = cell["scores"]
    recording, open_set, verification = scores["recording"], scores["open_set"], scores["verification"]
    compared = cell.get("against_baseline", {}).get(level)
    is_baseline = cell["name"] == baseline
    points = f"{100 * compared['difference']:+.1f}{_range(compared['ci95'], signed=True)}" if compared else ""
    return (
        f"{_share(scores['chunk']['accuracy'])}{_range(scores['chunk']['ci95'])}",
        f"{_share(recording['accuracy'])}{_range(recording['ci95'])}",
        _share(recording.get("refused")),
        _share(verification.get("eer")),
        f"{_share(open_set.get('eer'))}{_range(open_set.get('eer_ci95'))}",
        "–" if open_set.get("auroc") is None else f"{open_set['auroc']:.3f}",
        f"{cell['train_seconds']:.1f}",
        f"{cell['score_ms']:.1f}",
        f"{cell['size_bytes'] / 1e6:.1f}",
        "baseline" if is_baseline else points or "–",
        "baseline" if is_baseline else f"{compared['p_holm']:.2g}" if compared else "–",
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _range(interval: Sequence[float] | None, *, signed: bool = False) -> str:
    if not interval:
        return ""
    low, high = (100 * value for value in interval)
    return f" ({low:+.1f} to {high:+.1f})" if signed else f" ({low:.0f}-{high:.0f})"


def csv_of(summary: Mapping[str, Any]) -> str:
    """Return the cells as a table of numbers in CSV, one row a cell, with a row for each that failed."""
    level = summary["level"]
    columns = [
        *("cell", *summary["varied"], "same_as"),
        *("chunk_accuracy", "chunk_low", "chunk_high", "recording_accuracy", "recording_low", "recording_high"),
        *("named_right", "refused", "verification_eer", "open_set_eer", "open_set_auroc"),
        *("train_seconds", "score_ms", "size_bytes", "difference", "p_value", "p_holm", "failed"),
    ]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for cell in summary["cells"]:
        scores, compared = cell["scores"], cell.get("against_baseline", {}).get(level, {})
        chunk, recording = scores["chunk"], scores["recording"]
        writer.writerow(
            [
                *(cell["name"], *(cell["options"][name] for name in summary["varied"]), "; ".join(cell["same_as"])),
                *(chunk["accuracy"], *(chunk["ci95"] or ("", ""))),
                *(recording["accuracy"], *(recording["ci95"] or ("", ""))),
                *(recording.get("named_right"), recording.get("refused"), scores["verification"].get("eer")),
                *(scores["open_set"].get("eer"), scores["open_set"].get("auroc")),
                *(cell["train_seconds"], cell["score_ms"], cell["size_bytes"]),
                *(compared.get("difference"), compared.get("p_value"), compared.get("p_holm"), ""),
            ]
        )
    for name, reason in summary["failures"].items():
        writer.writerow([printable(name), *[""] * (len(columns) - 2), printable(reason)])
    return file.getvalue()
