"""Section of a report: how well known clips are told from unknown ones, and true claims of a label from false."""

from audionet.reports import figures
from audionet.reports.elements import NOT_TESTED, Json, LeftOut, Section, decimal, missing_reason, percent, table

NAME = "Known or unknown"


TERMS = [
    ("False accept, false reject", "an unknown recording that is named; a known one that is refused."),
    ("AUROC", "how often a known recording scores above an unknown one: 1 is always, 0.5 is by chance."),
    ("EER", "the equal error rate: both errors at the threshold at which they are equal; 0 is best."),
    (
        "minDCF",
        "the least cost of both errors over all thresholds, where true claims are rare; 0 is best, 1 is useless.",
    ),
    ("The plot (DET)", "detection error trade-off: both errors for every threshold there could be."),
]


def open_set_section(evaluation: Json | None) -> Section | LeftOut:
    """Show how well known is told from unknown, and true claims of a label from false ones."""
    if not evaluation:
        return LeftOut(NAME, NOT_TESTED)
    open_set, verification = evaluation.get("open_set") or {}, evaluation.get("verification") or {}
    parts = {
        "unknown, recordings": open_set,
        "unknown, chunks": open_set.get("chunk") or {},
        "claims, recordings": verification,
        "claims, chunks": verification.get("chunk") or {},
    }
    curves = {name: part["det"] for name, part in parts.items() if part.get("det")}
    no_unknown = missing_reason(evaluation, "open_set.auroc", "no recording of an unknown label was tested")
    if not curves:
        return LeftOut(NAME, no_unknown)
    section = Section("unknown", "Known or unknown, and is it who they claim?")
    if open_set.get("det") is None:
        section.lines.append(f"Known against unknown is not shown: {no_unknown}.")
    elif open_set.get("stated_rate") is not None and open_set.get("false_accept_rate") is not None:
        section.lines.append(
            f"At its threshold, meant to accept {percent(open_set['stated_rate'])} of unknown clips, it accepts "
            f"{percent(open_set['false_accept_rate'])} of {open_set['n_unknown']} unknown recordings and rejects "
            f"{percent(open_set['false_reject_rate'])} of {open_set['n_known']} known ones."
        )
    elif open_set.get("stated_false_reject_rate") is not None:
        section.lines.append(
            f"At its threshold, meant to refuse {percent(open_set['stated_false_reject_rate'])} of known clips (false "
            f"alarms), it refuses {percent(open_set['false_reject_rate'])} of {open_set['n_known']} known recordings "
            f"and accepts {percent(open_set['false_accept_rate'])} of {open_set['n_unknown']} unknown ones. Up to a "
            f"tenth of false alarms, the partial area under ROC is {decimal(open_set['pauc'])}."
        )
    points = {
        name: (part["false_accept_rate"], part["false_reject_rate"])
        for name, part in parts.items()
        if name in curves and part.get("false_accept_rate") is not None and part.get("false_reject_rate") is not None
    }
    alt = f"Detection error trade-off: false accepts against false rejects of {'; '.join(curves)}."
    for name, (accepts, rejects) in points.items():
        unit = name.split()[-1]
        alt += f" The threshold in use accepts {percent(accepts)} of unknown {unit} and rejects {percent(rejects)}."
    caption = (
        "Unknown recordings, and false claims of a label, that pass, against true ones that do not, for every "
        "threshold. Nearer the lower left is better. A circle is the threshold in use; it lies beside the curve where "
        "recordings of different lengths have different ones."
    )
    section.figures.append((figures.detection(curves, points=points, alt=alt), caption))
    rows = [_detection_cells(name, part) for name, part in parts.items() if part.get("auroc") is not None]
    section.terms = TERMS
    section.tables.append(table("Telling apart", ("What", "True", "False", "AUROC", "EER", "minDCF"), rows))
    return section


def _detection_cells(name: str, part: Json) -> tuple[str, ...]:
    true, false = part.get("n_known", part.get("n_target")), part.get("n_unknown", part.get("n_nontarget"))
    return (name, str(true), str(false), decimal(part["auroc"]), percent(part["eer"]), decimal(part.get("min_dcf")))
