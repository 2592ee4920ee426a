"""Section of a report: whether answers are as often right as they are sure."""

from audionet.reports import figures
from audionet.reports.elements import NOT_TESTED, Json, LeftOut, Section, missing_reason, percent, range_text, table

NAME = "Calibration"


def calibration_section(evaluation: Json | None) -> Section | LeftOut:
    """Show whether answers are as often right as they are sure."""
    if not evaluation:
        return LeftOut(NAME, NOT_TESTED)
    calibration = evaluation.get("calibration") or {}
    bins = {"chunks": calibration.get("bins"), "recordings": (calibration.get("recording") or {}).get("bins")}
    levels = {name: rows for name, rows in bins.items() if rows}
    if calibration.get("ece") is None or not levels:
        return LeftOut(NAME, missing_reason(evaluation, "calibration", "there are no answers to count"))
    error = percent(calibration["ece"])
    section = Section("calibration", "Is it as sure as it is right?")
    section.lines.append(
        f"Where it says 90%, it should be right nine times in ten. On chunks it is off by {error} on average (expected "
        "calibration error)."
    )
    alt = f"Reliability diagram: how often {' and '.join(levels)} are right against how sure the answers were."
    caption = "Below the dashed line it is too sure, above it too modest. Larger marks stand for more answers."
    section.figures.append((figures.reliability(levels, alt=alt), caption))
    rows = [
        (range_text(row["low"], row["high"]), percent(row["confidence"]), percent(row["accuracy"]), str(row["n"]))
        for row in levels.get("chunks", [])
    ]
    columns = ("Between", "Mean", "Right", "Chunks")
    section.tables.append(table("Chunks by how sure the answer was", columns, rows, most_open=15))
    return section
