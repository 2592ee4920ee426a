"""Section of a report: which labels are named right, and what they are taken for."""

import numpy as np

from audionet.files import printable
from audionet.reports import figures
from audionet.reports.elements import LEVELS, NOT_TESTED, Json, LeftOut, Section, missing_reason, percent, table
from audionet.reports.sections.recordings import pair_key

NAME = "Label by label"
MOST_BARS = 30
MOST_MATRIX_LABELS = 16


def labels_section(evaluation: Json | None) -> Section | LeftOut:
    """Show which labels are named right and what they are taken for."""
    if not evaluation:
        return LeftOut(NAME, NOT_TESTED)
    if len(evaluation.get("labels") or []) == 1:
        return LeftOut(NAME, "there is one label alone, which nothing is taken for")
    rows = [row for row in evaluation.get("per_label") or [] if row["recordings"]]
    if not rows:
        return LeftOut(NAME, missing_reason(evaluation, "recording", "no recording of a known label was tested"))
    rows.sort(key=lambda row: [_recall(row, level) for level in LEVELS])
    shown = rows[:MOST_BARS]
    section = Section("labels", "Which labels it gets right")
    which = "Every label" if len(shown) == len(rows) else f"The {len(shown)} of {len(rows)} labels that fare worst"
    section.lines.append(
        f"{which}, the worst first. The table has precision as well: how often an answer with that label is right."
    )
    alt = (
        f"Bars of the share of recordings and chunks found, for {len(shown)} labels. Worst: "
        f"{printable(shown[0]['label'])}, {percent(shown[0]['recording']['recall'])} of its recordings."
    )
    series = {f"{level}s found": [row[level]["recall"] for row in shown] for level in LEVELS}
    plot = figures.bars([row["label"] for row in shown], series, alt=alt)
    section.figures.append((plot, "Share of each label's recordings (bars) and chunks (marks) that are named right."))
    _add_matrix(section, evaluation)
    scores = ("found", "precision", "F1")
    columns = ("Label", "Recordings", *scores, "Chunks", *scores)
    section.tables.append(table("Scores of every label", columns, [_label_cells(row) for row in rows]))
    _add_pairs(section, evaluation)
    return section


def _recall(row: Json, level: str) -> float:
    return 2 if row[level]["recall"] is None else row[level]["recall"]


def _label_cells(row: Json) -> tuple[str, ...]:
    cells = [row["label"]]
    for level in LEVELS:
        cells += [str(row[f"{level}s"]), *(percent(row[level][key]) for key in ("recall", "precision", "f1"))]
    return tuple(cells)


def _add_pairs(section: Section, evaluation: Json) -> None:
    pairs = evaluation.get("mistakes") or []
    if not pairs:
        section.lines.append("No recording was taken for another label.")
        return
    rows = [(row["label"], row["answer"], str(row["recordings"])) for row in pairs]
    section.tables.append(table("What is taken for what", ("True label", "Answer", "Recordings"), rows, most_open=6))


def _add_matrix(section: Section, evaluation: Json) -> None:
    labels, counts = _confusion(evaluation)
    if not labels:
        return
    wrong = counts - np.diag(np.diag(counts))
    shown = np.flatnonzero(counts.sum(axis=1) + counts.sum(axis=0))
    which = "that were tested or answered"
    if len(shown) > MOST_MATRIX_LABELS or evaluation.get("confusion") is None:
        which = "that are confused most"
        shown = np.sort(np.argsort(-(wrong.sum(axis=1) + wrong.sum(axis=0)), kind="stable")[:MOST_MATRIX_LABELS])
    alt = f"Confusion matrix of {len(shown)} labels: {np.trace(counts)} recordings right, {wrong.sum()} wrong."
    names = [labels[row] for row in shown]
    keys = [[pair_key(evaluation["labels"], label, answer) for answer in names] for label in names]
    plot = figures.confusion_matrix(names, counts[np.ix_(shown, shown)], keys=keys, alt=alt)
    caption = (
        "Recordings by true label and answer, whether it was refused or not; shades are shares of a row, right ones on "
        "the diagonal. A number leads to its recordings."
    )
    if len(shown) < len(evaluation["labels"]):
        caption = f"The {len(shown)} of {len(evaluation['labels'])} labels {which}. {caption}"
    section.figures.append((plot, caption))


def _confusion(evaluation: Json) -> tuple[list[str], np.ndarray]:
    """Return labels and their confusion; of labels too many for a table, those that are in the commonest mistakes."""
    if evaluation.get("confusion") is not None:
        return list(evaluation["labels"]), np.array(evaluation["confusion"])
    pairs = evaluation.get("mistakes") or []
    labels = list(dict.fromkeys(label for pair in pairs for label in (pair["label"], pair["answer"])))
    columns = {label: column for column, label in enumerate(labels[:MOST_MATRIX_LABELS])}
    counts = np.zeros((len(columns), len(columns)), int)
    for pair in pairs:
        if pair["label"] in columns and pair["answer"] in columns:
            counts[columns[pair["label"]], columns[pair["answer"]]] = pair["recordings"]
    for row in evaluation["per_label"]:
        if row["label"] in columns and row["recordings"]:
            column = columns[row["label"]]
            counts[column, column] = round(row["recording"]["recall"] * row["recordings"])
    return list(columns), counts
