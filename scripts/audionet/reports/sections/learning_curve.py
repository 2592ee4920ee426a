"""Section of a report: what more recordings, and more labels, would change."""

from collections.abc import Sequence

from audionet.reports import figures
from audionet.reports.elements import Json, LeftOut, Section, percent, table
from audionet.wording import counted

NAME = "More recordings"
TERMS = [
    (
        "Learning curve",
        "the accuracy of top layers trained on ever larger parts of the recordings, each tested on recordings that it "
        "was not trained on. They are solved by discriminant analysis on the same numbers as the classifier's.",
    ),
    (
        "Power law",
        "mistakes become fewer by the same factor each time that recordings are doubled. It is fitted to the curve, "
        "and its interval to resampled recordings.",
    ),
]


def learning_curve_section(curve: Json | None) -> Section | LeftOut:
    """Show a learning curve, as `training.learning_curve` gives it."""
    if not curve or len(curve["recordings"]) < 2:
        return LeftOut(NAME, "each label needs three recordings or more to see what more of them would change")
    section = Section("more", "What more recordings would change")
    section.lines += sentences_of(curve)
    points, forecast = curve["recordings"], curve["forecast"]["chunk"]
    sizes = [point["size"] for point in points]
    alt = f"Accuracy of chunks against recordings a label: from {_of(points[0])} at {sizes[0]} to {_of(points[-1])}."
    plot = figures.growth(
        [(point["size"], point["chunk"]["accuracy"], point["chunk"]["ci95"]) for point in points],
        forecast=(forecast["size"], forecast["accuracy"], forecast["ci95"]) if forecast else None,
        xlabel="recordings a label to train on",
        alt=alt,
    )
    section.figures.append(
        (plot, "Share of chunks that are right, with 95 % intervals; the open mark is the forecast.")
    )
    if len(curve["labels"]) > 2:
        plot = figures.growth(
            [(point["size"], point["chunk"]["accuracy"], point["chunk"]["ci95"]) for point in curve["labels"]],
            forecast=None,
            xlabel="labels to choose between",
            alt="Accuracy of chunks against the number of labels.",
        )
        section.figures.append((plot, "The same by the number of labels, drawn by chance."))
    rows = [_cells(point) for point in points]
    columns = ("Recordings a label", "Chunks right", "95 %", "Recordings right", "95 %")
    section.tables.append(table("The learning curve", columns, rows))
    section.terms += TERMS
    return section


def sentences_of(curve: Json | None) -> list[str]:
    """Return what a learning curve says of twice as many recordings: of chunks, and of recordings."""
    if not curve:
        return ["There is no learning curve: a label has one recording, so that none can be held out."]
    found = []
    for level in ("chunk", "recording"):
        last, forecast = curve["recordings"][-1][level], curve["forecast"][level]
        training = f"With {counted(curve['groups'], 'recording')} of each label to train on"
        then = f" Twice as many: about {forecast['accuracy']:.0%}{_range(forecast['ci95'])}." if forecast else ""
        found.append(f"{training}, {last['accuracy']:.0%} of {level}s are right{_range(last['ci95'])}.{then}")
    return found


def _range(found: Sequence[float] | None) -> str:
    return f" ({100 * found[0]:.0f} to {100 * found[1]:.0f} %)" if found else ""


def _of(point: Json) -> str:
    return percent(point["chunk"]["accuracy"])


def _cells(point: Json) -> tuple[str, ...]:
    cells = [str(point["size"])]
    for level in ("chunk", "recording"):
        found = point[level]["ci95"]
        cells += [percent(point[level]["accuracy"]), f"{found[0]:.0%} to {found[1]:.0%}" if found else "–"]
    return tuple(cells)
