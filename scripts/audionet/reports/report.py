"""One page about a classifier: how good, how sure, on what, and what it gets wrong, with pictures and sound.

The page is a single HTML file that opens offline. It asks nobody for anything: style, plots, pictures and sound are
inside, a content security policy in the page holds browsers to that, and its only script, which sorts a table, is named
there by its hash. Labels and file names may hold any characters.

    report = Report(title="Speakers", evaluation=evaluation, data_audit=audit, card=card_of(about, labels))
    write_report(Path("report.html"), report)

What a report lacks is left out of the page, with a line that says why.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from audionet.console import progress_bar, ticked
from audionet.errors import ClassifierError
from audionet.evaluation.data_audit import DataAudit
from audionet.evaluation.intervals import resampled
from audionet.evaluation.leakage import LeakAudit
from audionet.evaluation.test_set import Source
from audionet.files import write_text
from audionet.models.classifier import Classifier
from audionet.models.classifier_folder import read_metrics
from audionet.reports.clips import clips_of, pictures_of
from audionet.reports.elements import Clip, Json, LeftOut, ModelCard, Section, decimal, percent
from audionet.reports.next_steps import next_steps
from audionet.reports.page import Number, Page, render_page
from audionet.reports.sections.calibration import calibration_section
from audionet.reports.sections.data_audit import data_section
from audionet.reports.sections.labels import labels_section
from audionet.reports.sections.leakage import leak_section
from audionet.reports.sections.learning_curve import learning_curve_section
from audionet.reports.sections.model_card import card_of_classifier, card_section
from audionet.reports.sections.open_set import open_set_section
from audionet.reports.sections.recordings import map_section, pictures_section, recordings_section
from audionet.reports.sections.robustness import robustness_section
from audionet.reports.sections.training import training_section
from audionet.wording import answers_in_words


@dataclass(frozen=True)
class Report:
    """Everything on the page; whatever is None or empty is left out, and the page says so."""

    title: str  # of the page, such as the data set's name
    subtitle: str = ""  # a line below: the classifier's folder, the test folder, the date
    evaluation: Json | None = None  # as `evaluation.evaluate` returns it, perhaps with `sweep`
    # `metrics.json`, perhaps with `curves`: a list of `name`, `steps` and, by split, `accuracy` and `log_loss`
    training: Json | None = None
    data_audit: DataAudit | None = None  # of the recordings; by default the evaluation's own
    leak_audit: LeakAudit | None = None  # of the split; by default the training run's own
    clips: tuple[Clip, ...] = ()  # of tested recordings
    pictures: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)  # by label, uint8 (height, width, 3)
    card: ModelCard | None = None


def write_report(path: Path, report: Report) -> None:
    """Write the page to `path`, whole or not at all; half a megabyte, and with a thousand labels a few."""
    write_text(path, render(report))


def report_test(
    evaluation: Mapping[str, Any], classifier: Classifier, sources: Sequence[Source], *, model: Path
) -> str:
    """Return the report of what `evaluate_folder` returned, as HTML; the folder `model` tells of the training."""
    report = Report(
        title=model.resolve().name,
        subtitle=f"Tested on {evaluation['data']['recordings']} recordings of known labels and "
        f"{evaluation['data']['unknown_recordings']} of unknown ones.",
        evaluation=evaluation,
        training=_metrics_of(model),
        clips=clips_of(evaluation["recordings"], classifier, sources),
        pictures=pictures_of(classifier, sources),
        card=card_of_classifier(classifier),
    )
    return render(report)


def _metrics_of(model: Path) -> dict[str, Any] | None:
    try:
        return read_metrics(model) or None
    except ClassifierError:
        return None


def render(report: Report) -> str:
    """Return the page as HTML."""
    with progress_bar(total=SECTIONS, description="Report", unit="sections") as bar:
        sections = list(ticked(_sections(report), bar))
    page = Page(
        kind="Classifier report",
        title=report.title,
        subtitle=report.subtitle,
        verdict=_verdict(report),
        headline=_headline(report),
        next_steps=next_steps(report.evaluation, data_audit=_data_audit(report), leak_audit=_leak_audit(report)),
        sections=sections,
    )
    return render_page(page)


SECTIONS = 12
OF_ONE_LABEL = ("Recordings named right", "Refused as unknown", "Known or unknown")  # numbers of the headline


def _sections(report: Report) -> Iterator[Section | LeftOut]:
    yield recordings_section(report.evaluation, report.clips)
    yield labels_section(report.evaluation)
    yield map_section(report.evaluation)
    yield pictures_section(report.pictures)
    yield calibration_section(report.evaluation)
    yield open_set_section(report.evaluation)
    yield robustness_section(report.evaluation)
    yield leak_section(_leak_audit(report), report.evaluation)
    yield data_section(_data_audit(report))
    yield learning_curve_section((report.training or {}).get("learning_curve"))
    yield training_section(report.training)
    yield card_section(report.card)


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
    verdict = f"{answers_in_words(recording)}."
    if interval := recording.get("named_right_ci95", recording.get("ci95")):
        verdict += (
            f" Of other recordings like these it would name between {percent(interval[0])} and {percent(interval[1])} "
            f"right, at 95% confidence, {resampled(evaluation['data'])}."
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
            "Recordings named right",
            percent(recording.get("named_right")),
            _doubt(recording, "named_right_ci95", f"of {recording.get('n')}"),
        ),
        Number("Refused as unknown", percent(recording.get("refused")), "of recordings with a known label"),
        Number(
            "Right without a threshold",
            percent(recording.get("accuracy")),
            _doubt(recording, "ci95", f"of {recording.get('n')} recordings"),
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
    if len(labels) == 1:
        found = [number for number in found if number.name in OF_ONE_LABEL]
    return [number for number in found if number.value != "–"] if recording.get("accuracy") is not None else []


def _doubt(scores: Json, key: str, what: str, form: Callable[[float], str] = percent) -> str:
    interval = scores.get(key)
    return f"{what}, 95%: {form(interval[0])} to {form(interval[1])}" if interval else what
