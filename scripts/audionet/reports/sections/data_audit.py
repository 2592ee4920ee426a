"""Section of a report: how the recordings sound, and what is wrong with them."""

from collections.abc import Sequence

from audionet.evaluation.data_audit import DataAudit, SoundSummary
from audionet.files import printable
from audionet.reports import figures
from audionet.reports.elements import MOST_OPEN_ROWS, LeftOut, Section, Table, signed, table
from audionet.reports.figures import Figure

NAME = "Data audit"
MOST_BARS = 30


def data_section(audit: DataAudit | None) -> Section | LeftOut:
    """Show how the recordings sound, and what is wrong with them."""
    if audit is None:
        return LeftOut(NAME, "the recordings were not measured")
    section = Section("data", "The recordings", lines=list(audit.facts), warnings=list(audit.warnings))
    section.figures += [_levels_plot(audit.labels), _minutes_plot(audit.labels)] if audit.labels else []
    section.tables.append(_sounds_table("By label", "Label", audit.labels))
    section.tables.append(_sounds_table("By recording", "Recording", audit.recordings, most_open=0))
    return section


def _levels_plot(labels: Sequence[SoundSummary]) -> tuple[Figure, str]:
    shown = sorted(labels, key=lambda label: label.level_dbfs - label.noise_floor_dbfs)[:MOST_BARS]
    least = shown[0].level_dbfs - shown[0].noise_floor_dbfs
    alt = f"Noise floor and level of {len(shown)} labels. Least apart: {printable(shown[0].name)}, {least:.0f} dB."
    rows = [(label.name, label.noise_floor_dbfs, label.level_dbfs) for label in shown]
    plot = figures.spans(rows, ends=("noise floor", "level"), unit="dBFS", alt=alt)
    caption = "Noise floor and level: where the line is short, there is little above the noise."
    return plot, caption + _which(shown, labels, "least between them")


def _minutes_plot(labels: Sequence[SoundSummary]) -> tuple[Figure, str]:
    shown = sorted(labels, key=lambda label: label.minutes)[:MOST_BARS]
    alt = (
        f"Minutes of sound of {len(shown)} labels, from {shown[0].minutes:.1f} of {printable(shown[0].name)} to "
        f"{shown[-1].minutes:.1f} of {printable(shown[-1].name)}."
    )
    plot = figures.amounts([label.name for label in shown], [label.minutes for label in shown], unit="minutes", alt=alt)
    return plot, "Minutes of sound of each label." + _which(shown, labels, "least")


def _which(shown: Sequence[SoundSummary], every: Sequence[SoundSummary], having: str) -> str:
    return "" if len(shown) == len(every) else f" Here, the {len(shown)} of {len(every)} labels with the {having}."


def _sounds_table(caption: str, name: str, rows: Sequence[SoundSummary], *, most_open: int = MOST_OPEN_ROWS) -> Table:
    levels = ("Level dBFS", "Peak dBFS", "Noise floor dBFS")
    columns = (name, "Recordings", "Minutes", *levels, "Bandwidth kHz", "Clipped", "Silent")
    cells = [
        (
            *(row.name, str(row.recordings), f"{row.minutes:.1f}"),
            *(signed(level) for level in (row.level_dbfs, row.peak_dbfs, row.noise_floor_dbfs)),
            *(f"{row.bandwidth_hz / 1000:.1f}", f"{row.clipped_share:.2%}", f"{row.silent_share:.0%}"),
        )
        for row in rows
    ]
    return table(caption, columns, cells, most_open=most_open)
