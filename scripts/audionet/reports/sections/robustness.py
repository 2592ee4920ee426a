"""Section of a report: how scores fall as the sound becomes worse."""

from collections.abc import Sequence

from audionet.reports import figures
from audionet.reports.elements import LEVELS, NOT_TESTED, Json, LeftOut, Section, percent, range_text, table

NAME = "Robustness sweep"
LONGEST_PLOT = 24  # rows of a sweep, beyond which there are two plots

_Row = tuple[str, float, Sequence[float] | None]


def robustness_section(evaluation: Json | None) -> Section | LeftOut:
    """Show how scores fall as the sound becomes worse."""
    if not evaluation:
        return LeftOut(NAME, NOT_TESTED)
    rows = evaluation.get("sweep") or []
    level = next((level for level in reversed(LEVELS) if any(_scores(row, level) for row in rows)), "")
    if not level:
        return LeftOut(NAME, "none was asked for; audionet evaluate --sweep makes one")
    able = [(_condition(row), _scores(row, level)) for row in rows if _scores(row, level)]
    clean = next((scores["accuracy"] for name, scores in able if name == "clean"), None)
    worst, least = min(((name, scores["accuracy"]) for name, scores in able), key=lambda each: each[1])
    section = Section("sweep", "Under noise, codecs and other conditions")
    against = "" if clean is None else f", against {percent(clean)} as they are"
    section.lines.append(
        f"The same recordings, altered before they are scored. Worst: {worst}, {percent(least)} of {level}s "
        f"right{against}."
    )
    for half in _halves([(name, scores["accuracy"], scores.get("ci95")) for name, scores in able]):
        alt = f"Share of {level}s right under {len(half)} conditions, from {half[0][0]} to {half[-1][0]}."
        caption = f"Share of {level}s right, with 95% intervals. The dashed line is clean sound."
        section.figures.append((figures.conditions(half, clean=clean, alt=alt), caption))
    columns = ("Condition", "Chunks right", "95%", "Recordings right", "95%")
    section.tables.append(table("Every condition", columns, [_condition_cells(row) for row in rows], most_open=0))
    return section


def _condition(row: Json) -> str:
    return str(row.get("condition") or row.get("name") or f"{row.get('family', '')} {row.get('level', '')}".strip())


def _scores(row: Json, level: str) -> Json:
    """Return the scores of a condition, empty where there are none."""
    scores = row.get(level) or {}
    return scores if scores.get("accuracy") is not None else {}


def _condition_cells(row: Json) -> tuple[str, ...]:
    cells = [_condition(row)]
    for level in reversed(LEVELS):
        scores = _scores(row, level)
        cells += [percent(scores.get("accuracy")), range_text(*scores["ci95"]) if scores.get("ci95") else "–"]
    return tuple(cells)


def _halves(rows: Sequence[_Row]) -> list[Sequence[_Row]]:
    """Return two halves of many rows, which have room side by side, or few as they are."""
    middle = (len(rows) + 1) // 2
    return [rows[:middle], rows[middle:]] if len(rows) > LONGEST_PLOT else [rows]
