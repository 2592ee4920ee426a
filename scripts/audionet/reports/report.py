"""One page about a classifier: how good, how sure, on what, and what it gets wrong, to be seen and heard.

The page is a single HTML file that opens offline. It asks nobody for anything: style, plots, pictures and sound are
inside, there is no script, and a content security policy in the page holds browsers to that. Labels and file names may
hold any characters.

    report = Report(title="Speakers", evaluation=evaluation, data_audit=audit, card=card_of(about, labels))
    write_report(Path("report.html"), report)

What a report lacks is left out of the page, with a line that says why.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from audionet.evaluation.data_audit import DataAudit
from audionet.evaluation.leakage import LeakAudit
from audionet.files import printable, write_text
from audionet.reports import sections
from audionet.reports.elements import ExampleClip, Json, LeftOutError, Mistake, ModelCard, Section, decimal, percent

TEMPLATES = Path(__file__).with_name("templates")
STATIC = Path(__file__).with_name("static")  # what the report has in common with the page of app.py
TEMPLATE_NAME = "report.html.j2"
MOST_NAMED_LABELS = 12

USES = (
    "Sorting and searching recordings like those it was trained on, where a person looks at what matters.",
    "It knows its labels and nothing else. What it scored here says little of other rooms, microphones or languages.",
)
NEVER = (
    "Identifying people who have not agreed to it. A voice is personal data.",
    "Decisions about security or access: a voice can be copied, played back and synthesised.",
    "Decisions about somebody's work, health, credit or freedom, or as evidence of who said something.",
)


@dataclass(frozen=True)
class Report:
    """Everything on the page; whatever is None or empty is left out, and the page says so.

    Attributes:
        title: of the page, such as the data set's name.
        subtitle: a line below: the classifier's folder, the test folder, the date.
        evaluation: as `evaluation.evaluate` returns it, perhaps with `sweep`: a list of conditions, each with
            `family`, `level` and, like the evaluation itself, `chunk` and `recording`.
        training: `metrics.json` of the training run, perhaps with `curves`: a list of `name`, `steps` and, by side,
            `accuracy` and `log_loss`.
        data_audit: of the recordings; by default the evaluation's own.
        leak_audit: of the split; by default the training run's own.
        mistakes: the worst first, as `sections.pick_mistakes` ranks them.
        heard: some clips, to show how the classifier takes sound in.
        card: the model card.
    """

    title: str
    subtitle: str = ""
    evaluation: Json | None = None
    training: Json | None = None
    data_audit: DataAudit | None = None
    leak_audit: LeakAudit | None = None
    mistakes: tuple[Mistake, ...] = ()
    heard: tuple[ExampleClip, ...] = ()
    card: ModelCard | None = None


@dataclass(frozen=True)
class Number:
    """A number of the headline: what, how much, and how sure that is."""

    name: str
    value: str
    detail: str = ""


def write_report(path: Path, report: Report) -> None:
    """Write the page to `path`, whole or not at all; half a megabyte, and with a thousand labels a few."""
    write_text(path, render(report))


def render(report: Report) -> str:
    """Return the page as HTML."""
    import jinja2  # for this alone

    shown, left_out = _sections(report)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([TEMPLATES, STATIC]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    return environment.get_template(TEMPLATE_NAME).render(
        report=report, verdict=_verdict(report), headline=_headline(report), sections=shown, left_out=left_out
    )


def card_of(about: Json, labels: Sequence[str], *, more: Sequence[tuple[str, str]] = ()) -> ModelCard:
    """Return the model card of a classifier.

    Args:
        about: the classifier's `about`, of which `backbone` and `training` are used.
        labels: the classifier's.
        more: further facts, such as the minutes that it was trained on.
    """
    backbone, training = about.get("backbone", {}), about.get("training", {})
    weights = backbone.get("weights", {})
    facts = [
        ("Labels", f"{len(labels)}: {_listed(labels)}"),
        ("Trained on", _sizes(training.get("sides", {}))),
        ("Network", " ".join(filter(None, [backbone.get("architecture"), weights.get("note")]))),
        ("Read at", training.get("bottleneck") or backbone.get("bottleneck")),
        ("Weights from", weights.get("origin")),
        ("Licence of the weights", weights.get("licence") or ("not stated by their source" if weights else "")),
        ("Top layer", training.get("trainer")),
        ("Temperature", f"{training['temperature']:.2f}" if "temperature" in training else ""),
        *more,
    ]
    return ModelCard(tuple((name, str(text)) for name, text in facts if text), USES, NEVER)


def _sizes(sides: Json) -> str:
    learnt = [sides[side] for side in ("training", "validation") if side in sides]
    recordings, chunks = (sum(side[key] for side in learnt) for key in ("recordings", "chunks"))
    return f"{recordings} recordings, {chunks} chunks" if learnt else ""


def _listed(labels: Sequence[str]) -> str:
    shown = ", ".join(map(printable, labels[:MOST_NAMED_LABELS]))
    return f"{shown} and {len(labels) - MOST_NAMED_LABELS} more" if len(labels) > MOST_NAMED_LABELS else shown


def _sections(report: Report) -> tuple[list[Section], list[tuple[str, str]]]:
    """Return the sections that there are, and the names of the others with the reason why there are not."""
    evaluation = report.evaluation
    builders = {
        "Label by label": lambda: sections.labels_section(evaluation),
        "The worst mistakes": lambda: sections.mistakes_section(report.mistakes, evaluation),
        "How it hears": lambda: sections.heard_section(report.heard),
        "Calibration": lambda: sections.calibration_section(evaluation),
        "Known or unknown": lambda: sections.open_set_section(evaluation),
        "Robustness sweep": lambda: sections.sweep_section(evaluation),
        "Leak audit": lambda: sections.leak_section(_leak_audit(report), evaluation),
        "Data audit": lambda: sections.data_section(_data_audit(report)),
        "Training": lambda: sections.training_section(report.training),
        "Model card": lambda: sections.card_section(report.card),
    }
    shown, left_out = [], []
    for name, build in builders.items():
        try:
            shown.append(build())
        except LeftOutError as reason:
            left_out.append((name, str(reason)))
    return shown, left_out


def _data_audit(report: Report) -> DataAudit | None:
    """Return the audit of the recordings: the one that was passed on, or the evaluation's own."""
    within = (report.evaluation or {}).get("data_audit")
    return report.data_audit or (DataAudit.from_json(within) if within else None)


def _leak_audit(report: Report) -> LeakAudit | None:
    """Return the audit of the split: the one that was passed on, or the training run's own."""
    within = (report.training or {}).get("leak_audit")
    return report.leak_audit or (LeakAudit.from_json(within) if within else None)


def _verdict(report: Report) -> str:
    """Return the score in a sentence or two."""
    evaluation = report.evaluation or {}
    recording = evaluation.get("recording") or {}
    if recording.get("accuracy") is None:
        return "No recording of a known label was held out, so there is no score to believe."
    verdict = f"{round(recording['accuracy'] * recording['n'])} of {recording['n']} recordings are named right."
    if interval := recording.get("ci95"):
        verdict += (
            f" Of other recordings like these it would be between {percent(interval[0])} and {percent(interval[1])}, "
            "at 95% confidence."
        )
    if learnt := sum(bool(row.get("in_training")) for row in evaluation.get("recordings") or []):
        verdict += f" But {learnt} of those tested were trained on, so the score is too good."
    return verdict


def _headline(report: Report) -> list[Number]:
    evaluation = report.evaluation or {}
    recording, chunk = (evaluation.get(level) or {} for level in ("recording", "chunk"))
    open_set, calibration = evaluation.get("open_set") or {}, evaluation.get("calibration") or {}
    labels = evaluation.get("labels") or []
    found = [
        Number(
            "Recordings right",
            percent(recording.get("accuracy")),
            _doubt(recording, "ci95", f"of {recording.get('n')}"),
        ),
        Number("Chunks right", percent(chunk.get("accuracy")), _doubt(chunk, "ci95", f"of {chunk.get('n')}")),
        Number(
            "Labels weighed alike",
            percent(recording.get("balanced_accuracy")),
            _doubt(recording, "balanced_accuracy_ci95", "balanced accuracy"),
        ),
        Number("By guessing", percent(1 / len(labels) if labels else None), f"{len(labels)} labels"),
        Number("Calibration error", percent(calibration.get("ece")), "how far off its confidence is"),
        Number(
            "Known or unknown",
            decimal(open_set.get("auroc")),
            _doubt(open_set, "auroc_ci95", "area under ROC", decimal),
        ),
    ]
    return [number for number in found if number.value != "–"] if recording.get("accuracy") is not None else []


def _doubt(scores: Json, key: str, what: str, form: Callable[[float], str] = percent) -> str:
    interval = scores.get(key)
    return f"{what}, 95%: {form(interval[0])} to {form(interval[1])}" if interval else what
