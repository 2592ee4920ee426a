"""The page about an experiment: its cells in a table and a plot, how they compare, and what is surely better."""

from collections.abc import Sequence

from audionet.files import printable
from audionet.reports import figures
from audionet.reports.elements import Json, LeftOut, Section, table
from audionet.reports.page import Page, render_page
from audionet.reports.sections.learning_curve import learning_curve_section
from audionet.wording import counted

MOST_DRAWN = 40
TERMS = [
    ("Cell", "one way to draw pictures and to train: a value for each option that varies."),
    (
        "Chunks, recordings",
        "the share that is right without a threshold for unknown sound, in recordings that training never saw; with "
        "95 % intervals that take the chunks of a recording together.",
    ),
    ("Refused", "the share of recordings with a known label that are taken for unknown."),
    (
        "EER",
        "the equal error rate of claims: each recording is compared with each label, and as many true claims are "
        "refused as false ones are accepted. Unknown EER: of unknown recordings against known ones.",
    ),
    (
        "Difference, p (Holm)",
        "percentage points more than the baseline, and how likely chance would make such a difference, enlarged for "
        "the number of comparisons; below 0.05 it is hardly chance.",
    ),
    (
        "Train, ms a chunk, MB",
        "seconds of one training with all bottlenecks in the cache; milliseconds to decode, draw and answer a chunk; "
        "the size of the classifier's folder.",
    ),
]


def experiment_page(
    summary: Json, columns: Sequence[str], rows: Sequence[tuple[str, ...]], *, title: str, folds: int
) -> str:
    """Return the page about an experiment as HTML; the `summary`, `columns` and `rows` are as experiments give them."""
    cells = summary["cells"]
    seeds = summary["seeds"]
    repeated = f", repeated for {len(seeds)} seeds" if len(seeds) > 1 else ""
    page = Page(
        kind="Experiment",
        title=title,
        subtitle=f"{counted(len(cells), 'cell')}, all scored in the same {folds} folds{repeated}.",
        verdict=" ".join(summary["verdict"]),
        sections=[
            _cells_section(columns, rows),
            _plot_section(summary),
            *([learning_curve_section(summary["learning_curve"])] if "learning_curve" in summary else []),
            _failures_section(summary),
            _about(summary),
        ],
    )
    return render_page(page)


def _cells_section(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Section | LeftOut:
    if not rows:
        return LeftOut("Cells", "no cell could be scored")
    section = Section("cells", "Every cell")
    section.tables.append(table("Scores of every cell", columns, rows, most_open=len(rows)))
    section.terms += TERMS
    return section


def _plot_section(summary: Json) -> Section | LeftOut:
    level, cells = summary["level"], summary["cells"]
    ranked = sorted(cells, key=lambda cell: -cell["scores"][level]["accuracy"])[:MOST_DRAWN]
    if len(ranked) < 2:
        return LeftOut("Cells side by side", "there are fewer than two")
    baseline = next((cell for cell in cells if cell["name"] == summary["baseline"]), None)
    section = Section("plot", "Cells side by side")
    section.lines.append(
        f"The share of {level}s that are right, the best first, with 95 % intervals. The dashed line is the baseline, "
        f"{printable(summary['baseline'])}. Cells whose intervals overlap may still surely differ: all are scored on "
        "the same recordings, and the paired tests make use of it."
    )
    rows = [(_short_name(cell), cell["scores"][level]["accuracy"], cell["scores"][level]["ci95"]) for cell in ranked]
    alt = f"{counted(len(rows), 'cell')}; the best is {rows[0][0]}, with {rows[0][1]:.1%} of {level}s right."
    share = baseline["scores"][level]["accuracy"] if baseline else None
    section.figures.append((figures.conditions(rows, clean=share, alt=alt), f"Share of {level}s right, by cell."))
    return section


def _short_name(cell: Json) -> str:
    return ", ".join(printable(value) for value in cell["options"].values()) or cell["name"]


def _failures_section(summary: Json) -> Section | LeftOut:
    failures, unreadable = summary["failures"], summary["unreadable"]
    if not failures and not unreadable:
        return LeftOut("What failed", "no cell and no recording failed")
    section = Section("failures", "What failed")
    for caption, found in (("Cells that failed", failures), ("Recordings that could not be read", unreadable)):
        if found:
            section.tables.append(table(caption, ("Name", "Reason"), list(found.items())))
    return section


def _about(summary: Json) -> Section:
    section = Section("about", "How it was done")
    fixed = [(name, printable(value)) for name, value in summary["fixed"].items()]
    seeds = ("random_seed", ", ".join(map(str, summary["seeds"])))
    section.tables.append(table("Options that are the same for all cells", ("Option", "Value"), [*fixed, seeds]))
    same = [(name, cell["name"]) for cell in summary["cells"] for name in cell["same_as"]]
    if same:
        section.tables.append(table("Cells that mean the same as another", ("Cell", "Stands for it"), same))
    return section
