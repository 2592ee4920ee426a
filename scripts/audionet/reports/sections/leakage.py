"""Section of a report: whether the score could be a leak."""

from audionet.evaluation.leakage import LeakAudit
from audionet.files import printable
from audionet.reports import figures
from audionet.reports.elements import Json, LeftOut, Section, percent, table

NAME = "Leak audit"
MOST_SHARED = 50


def leak_section(audit: LeakAudit | None, evaluation: Json | None) -> Section | LeftOut:
    """Show what a split of chunks by chance would have claimed, and sound that is in two splits."""
    section = Section("leaks", "Could the score be a leak?")
    if evaluation and "shared_with_training" in evaluation:
        _add_training_sound(section, evaluation)
    if audit is None:
        if not section.lines and not section.warnings:
            return LeftOut(NAME, "no split was made here; every training run makes and audits one")
        return section
    if section.lines or section.warnings:
        section.lines.append("Of its training:")
    section.lines += audit.score_sentences()
    (section.warnings if audit.shared else section.lines).append(audit.sound_sentence())
    if audit.comparison:
        values = [audit.comparison.by_group, audit.comparison.by_chance]
        alt = f"Two bars: split by recording {percent(values[0])}, chunks split by chance {percent(values[1])}."
        plot = figures.bars(["by recording, as here", "chunks by chance"], {"chunks right": values}, alt=alt)
        section.figures.append((plot, "What heads of equal training score with each way to split the chunks."))
    if audit.shared:
        columns = ("Recording", "split", "Recording", "split", "Shared", "How")
        rows = [
            (
                *(shared.first, shared.first_side, shared.second, shared.second_side, f"{shared.seconds:.0f} s"),
                "the same samples" if shared.is_identical else f"{abs(shared.offset_seconds):.1f} s apart",
            )
            for shared in audit.shared[:MOST_SHARED]
        ]
        section.tables.append(table("Sound in two splits", columns, rows))
    return section


def _add_training_sound(section: Section, evaluation: Json) -> None:
    shared = evaluation["shared_with_training"]
    trained_on = [row["recording"] for row in evaluation["recordings"] if row["in_training"]]
    if trained_on:
        section.warnings.append(
            f"The classifier was trained on sound that was tested here, so the score is too good: {len(trained_on)} of "
            f"{len(evaluation['recordings'])} recordings. Leave them out: audionet evaluate --exclude_training."
        )
        rows = [(sentence,) for sentence in (shared or map(printable, trained_on))][:MOST_SHARED]
        section.tables.append(table("Tested and trained on", ("Which",), rows))
    elif evaluation.get("training_known"):
        section.lines.append("No recording that was tested here holds sound that the classifier was trained on.")
    else:
        section.lines.append("The classifier does not tell what it was trained on, so it may be what was tested here.")
