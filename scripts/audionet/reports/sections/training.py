"""Section of a report: how the head was trained and what else was tried."""

from collections.abc import Sequence

from audionet.files import printable
from audionet.reports import figures
from audionet.reports.elements import Json, LeftOut, Section, Table, percent, table
from audionet.reports.figures import Figure
from audionet.reports.sections.members import TERMS as WORTH_TERMS
from audionet.reports.sections.members import worth_in_words, worth_table

NAME = "Training"


TERMS = [
    ("Top layer", "what was trained: from the numbers that the network gives to one score a label."),
    ("Read at", "the layers of the network that these numbers are taken from."),
    (
        "Validation",
        "the share of chunks that were right in recordings set aside for choosing between these rows: the mean of the "
        "recordings as they are and of altered versions, in noise and through codecs, with every label counting alike.",
    ),
    ("Temperature", "what scores are divided by, so that it is as often right as it is sure; above 1 it was too sure."),
]


def training_section(training: Json | None) -> Section | LeftOut:
    """Show how the top layer was trained and what else was tried."""
    if not training:
        return LeftOut(NAME, "nothing is known of the training run")
    section = Section("training", "How it was trained")
    for curve in training.get("curves") or []:
        section.figures += _curve_plots(curve)
    if verdicts := training.get("verdicts"):
        counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
        section.lines.append(f"Verdicts of people on labels that were obeyed, by recording: {counts}.")
    about = training.get("training") or training
    if len(members := about.get("members") or []) > 1:
        section.lines.append(worth_in_words(members))
        section.tables.append(worth_table(members))
        section.terms += WORTH_TERMS
    if attempts := about.get("attempts"):
        section.tables.append(_table_of(attempts))
        section.terms += TERMS
    if not section.figures and not section.tables:
        return LeftOut(NAME, "the training run left neither curves nor attempts")
    if not section.figures:
        is_solved = about.get("trainer", "softmax") != "softmax"
        reason = "this top layer is solved in one step" if is_solved else "they were not kept"
        section.lines.append(f"There are no learning curves: {reason}.")
    return section


def _table_of(attempts: Sequence[Json]) -> Table:
    of_several = any(row.get("network") for row in attempts)
    columns = (*(["Network"] if of_several else []), "Top layer", "Read at", "Decay", "Steps", "Validation")
    rows = [
        (
            *([str(row.get("network") or "")] if of_several else []),
            *(str(row["trainer"]), str(row["bottleneck"]), f"{row.get('l2', 0):g}", str(row.get("steps", ""))),
            percent(row.get("validation_accuracy")),
        )
        for row in attempts
    ]
    kept = f"the first {'of each network ' if of_several else ''}was kept unless another was better"
    return table(f"Everything that was tried; {kept} by more than a standard error", columns, rows)


def _curve_plots(curve: Json) -> list[tuple[Figure, str]]:
    plots = []
    for key, ylabel in (("accuracy", "Accuracy"), ("log_loss", "Log loss")):
        series = {split: curve[split][key] for split in ("training", "validation") if curve.get(split)}
        if not series or len(curve["steps"]) < 2:
            continue
        ends = ", ".join(f"{split} {values[-1]:.3f}" for split, values in series.items())
        caption = f"{ylabel} of {printable(curve['name'])} while it was trained."
        alt = f"{caption} After {curve['steps'][-1]} steps: {ends}."
        is_share = key == "accuracy"
        plot = figures.curves(curve["steps"], series, ylabel=ylabel.lower(), is_share=is_share, alt=alt)
        plots.append((plot, caption))
    return plots
