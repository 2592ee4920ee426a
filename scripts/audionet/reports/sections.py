"""The parts of a report: numbers in; words, plots, tables and clips out, ready for the template.

Each builder takes what it is about and returns a `Section`, or raises `LeftOutError` with the reason why there is
nothing to show. Tables and plots stay readable with a thousand labels: plots show the worst, tables have the rest.
"""

from collections.abc import Sequence

import numpy as np

from audionet.evaluation.data_audit import DataAudit, Sounds
from audionet.evaluation.leakage import LeakAudit
from audionet.files import printable
from audionet.reports import figures
from audionet.reports.elements import (
    MOST_OPEN_ROWS,
    ExampleClip,
    Json,
    LeftOutError,
    Mistake,
    ModelCard,
    Section,
    Table,
    decimal,
    needed,
    percent,
    picture_uri,
    range_text,
    signed,
    sound_uri,
    table,
    why,
)
from audionet.reports.figures import Figure

MOST_BARS = 30
MOST_MATRIX_LABELS = 16
LONGEST_PLOT = 24  # rows of a sweep, beyond which there are two plots
MOST_SHARED = 50
MOST_MISTAKES = 12
LEVELS = ("recording", "chunk")


# Labels


def labels_section(evaluation: Json | None) -> Section:
    """Show which labels are named right and what they are taken for."""
    evaluation = needed(evaluation)
    rows = [row for row in evaluation.get("per_label") or [] if row["recordings"]]
    if not rows:
        raise LeftOutError(why(evaluation, "recording", "no recording of a known label was tested"))
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
    plot = figures.confusion_matrix([labels[row] for row in shown], counts[np.ix_(shown, shown)], alt=alt)
    caption = "Recordings by true label and answer; shades are shares of a row, right ones on the diagonal."
    if len(shown) < len(evaluation["labels"]):
        caption = f"The {len(shown)} of {len(evaluation['labels'])} labels {which}. {caption}"
    section.figures.append((plot, caption))


def _confusion(evaluation: Json) -> tuple[list[str], np.ndarray]:
    """Return labels and their confusion; of labels too many for a table, those that are in the commonest mistakes."""
    if evaluation.get("confusion") is not None:
        return list(evaluation["labels"]), np.array(evaluation["confusion"])
    pairs = evaluation.get("mistakes") or []
    labels = list(dict.fromkeys(label for pair in pairs for label in (pair["label"], pair["answer"])))
    numbers = {label: number for number, label in enumerate(labels[:MOST_MATRIX_LABELS])}
    counts = np.zeros((len(numbers), len(numbers)), int)
    for pair in pairs:
        if pair["label"] in numbers and pair["answer"] in numbers:
            counts[numbers[pair["label"]], numbers[pair["answer"]]] = pair["recordings"]
    for row in evaluation["per_label"]:
        if row["label"] in numbers and row["recordings"]:
            number = numbers[row["label"]]
            counts[number, number] = round(row["recording"]["recall"] * row["recordings"])
    return list(numbers), counts


# Mistakes


def pick_mistakes(recordings: Sequence[Json], *, most: int = MOST_MISTAKES) -> list[Json]:
    """Return the rows of `evaluation["recordings"]` that are worst wrong, the surest first.

    Unknown recordings that were accepted count as wrong. Every pair of label and answer gets one turn before any gets
    its second, so that no label crowds the rest out.
    """
    wrong = [row for row in recordings if row["right"] is False or (not row["known"] and row["accepted"])]
    turns: dict[tuple[str, str], int] = {}
    order = []
    for row in sorted(wrong, key=lambda row: -row["probability"]):
        pair = row["label"], row["answer"]
        turns[pair] = turns.get(pair, -1) + 1
        order.append((turns[pair], row))
    return [row for _, row in sorted(order, key=lambda each: each[0])[:most]]


def mistakes_section(mistakes: Sequence[Mistake], evaluation: Json | None) -> Section:
    """Show clips that were answered wrong, to look at and to listen to."""
    if not mistakes:
        recordings = (evaluation or {}).get("recordings") or []
        all_right = any(row["right"] for row in recordings) and not pick_mistakes(recordings)
        raise LeftOutError("every recording was named right" if all_right else "there are no clips to show")
    section = Section("mistakes", "The worst mistakes")
    section.lines.append(
        "The classifier was surest of these, and wrong. Look and listen: is the label right, is it another voice, is "
        "it noise?"
    )
    section.clips = [_clip(mistake) for mistake in mistakes[:MOST_MISTAKES]]
    return section


def _clip(mistake: Mistake) -> dict[str, str]:
    seconds = int(mistake.offset_seconds)
    return {
        "recording": printable(mistake.recording),
        "label": printable(mistake.label),
        "answer": printable(mistake.answer),
        "probability": percent(mistake.probability),
        "offset": f"{seconds // 60}:{seconds % 60:02d}",
        "picture": "" if mistake.picture is None else picture_uri(mistake.picture),
        "sound": "" if mistake.samples is None else sound_uri(mistake.samples, mistake.sample_rate_hz),
    }


def heard_section(heard: Sequence[ExampleClip]) -> Section:
    """Show some clips as waveforms and as the pictures that the classifier sees."""
    if not heard:
        raise LeftOutError("there is no sound to show")
    section = Section("heard", "How it hears")
    section.lines.append("A sound, and the picture of it that the network looks at: time runs to the right.")
    for clip in heard:
        caption = f"{printable(clip.label)}: {printable(clip.recording)}"
        seconds = len(clip.samples) / clip.sample_rate_hz
        alt = f"Waveform and spectrogram of {seconds:.1f} seconds of {caption}."
        section.figures.append((figures.sound(clip.samples, clip.sample_rate_hz, clip.picture, alt=alt), caption))
    return section


# Confidence


def calibration_section(evaluation: Json | None) -> Section:
    """Show whether answers are as often right as they are sure."""
    evaluation = needed(evaluation)
    calibration = evaluation.get("calibration") or {}
    bins = {"chunks": calibration.get("bins"), "recordings": (calibration.get("recording") or {}).get("bins")}
    levels = {name: rows for name, rows in bins.items() if rows}
    if calibration.get("ece") is None or not levels:
        raise LeftOutError(why(evaluation, "calibration", "there are no answers to count"))
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


def open_set_section(evaluation: Json | None) -> Section:
    """Show how well known is told from unknown, and true claims of a label from false ones."""
    evaluation = needed(evaluation)
    open_set, verification = evaluation.get("open_set") or {}, evaluation.get("verification") or {}
    parts = {
        "unknown, recordings": open_set,
        "unknown, chunks": open_set.get("chunk") or {},
        "claims, recordings": verification,
        "claims, chunks": verification.get("chunk") or {},
    }
    curves = {name: part["det"] for name, part in parts.items() if part.get("det")}
    no_unknown = why(evaluation, "open_set.auroc", "no recording of an unknown label was tested")
    if not curves:
        raise LeftOutError(no_unknown)
    section = Section("unknown", "Known or unknown, and is it who they claim?")
    if open_set.get("det") is None:
        section.lines.append(f"Known against unknown is not shown: {no_unknown}.")
    elif open_set.get("stated_rate") is not None and open_set.get("false_accept_rate") is not None:
        section.lines.append(
            f"At its threshold, meant to accept {percent(open_set['stated_rate'])} of unknown clips, it accepts "
            f"{percent(open_set['false_accept_rate'])} of {open_set['n_unknown']} unknown recordings and rejects "
            f"{percent(open_set['false_reject_rate'])} of {open_set['n_known']} known ones."
        )
    alt = f"Detection error trade-off: false accepts against false rejects of {'; '.join(curves)}."
    caption = (
        "Unknown recordings, and false claims of a label, that pass, against true ones that do not, for every "
        "threshold. Nearer the lower left is better."
    )
    section.figures.append((figures.detection(curves, alt=alt), caption))
    rows = [_detection_cells(name, part) for name, part in parts.items() if part.get("auroc") is not None]
    section.tables.append(table("Telling apart", ("What", "True", "False", "AUROC", "EER", "minDCF"), rows))
    return section


def _detection_cells(name: str, part: Json) -> tuple[str, ...]:
    true, false = part.get("n_known", part.get("n_target")), part.get("n_unknown", part.get("n_nontarget"))
    return (name, str(true), str(false), decimal(part["auroc"]), percent(part["eer"]), decimal(part.get("min_dcf")))


# Robustness


def sweep_section(evaluation: Json | None) -> Section:
    """Show how scores fall as the sound becomes worse."""
    evaluation = needed(evaluation)
    rows = evaluation.get("sweep") or []
    level = next((level for level in reversed(LEVELS) if any(_scores(row, level) for row in rows)), "")
    if not level:
        raise LeftOutError("none was asked for; evaluate.py --sweep makes one")
    able = [(_condition(row), _scores(row, level)) for row in rows if _scores(row, level)]
    clean = next((scores["accuracy"] for name, scores in able if name == "clean"), None)
    worst, least = min(((name, scores["accuracy"]) for name, scores in able), key=lambda each: each[1])
    section = Section("sweep", "On a worse line")
    against = "" if clean is None else f", against {percent(clean)} as they are"
    section.lines.append(
        f"The same recordings, made worse before they are heard. Worst: {worst}, {percent(least)} of {level}s "
        f"right{against}."
    )
    for half in _halves([(name, scores["accuracy"], scores.get("ci95")) for name, scores in able]):
        alt = f"Share of {level}s right under {len(half)} conditions, from {half[0][0]} to {half[-1][0]}."
        caption = f"Share of {level}s right, with 95% intervals. The dashed line is clean sound."
        section.figures.append((figures.conditions(half, clean=clean, alt=alt), caption))
    columns = ("Condition", "Chunks right", "95%", "Recordings right", "95%")
    section.tables.append(table("Every condition", columns, [_condition_cells(row) for row in rows], most_open=0))
    return section


def _condition(row: Json) -> str:
    return str(row.get("condition") or row.get("name") or f"{row.get('family', '')} {row.get('level', '')}".strip())


def _scores(row: Json, level: str) -> Json:
    """Return the scores of a condition, empty where there are none."""
    scores = row.get(level) or {}
    return scores if scores.get("accuracy") is not None else {}


def _condition_cells(row: Json) -> tuple[str, ...]:
    cells = [_condition(row)]
    for level in reversed(LEVELS):
        scores = _scores(row, level)
        cells += [percent(scores.get("accuracy")), range_text(*scores["ci95"]) if scores.get("ci95") else "–"]
    return tuple(cells)


def _halves(rows: Sequence) -> list[Sequence]:
    """Return two halves of many rows, which have room side by side, or few as they are."""
    middle = (len(rows) + 1) // 2
    return [rows[:middle], rows[middle:]] if len(rows) > LONGEST_PLOT else [rows]


# Audits


def leak_section(audit: LeakAudit | None, evaluation: Json | None) -> Section:
    """Show what a careless split would have claimed, and sound that is on two sides."""
    section = Section("leaks", "Could the score be a leak?")
    if evaluation and "shared_with_training" in evaluation:
        _add_training_sound(section, evaluation)
    if audit is None:
        if not section.lines and not section.warnings:
            raise LeftOutError("no split was made here; every training run makes and audits one")
        return section
    if section.lines or section.warnings:
        section.lines.append("Of its training:")
    section.lines += audit.score_sentences()
    (section.warnings if audit.shared else section.lines).append(audit.sound_sentence())
    if audit.honest_accuracy is not None and audit.claimed_accuracy is not None:
        values = [audit.honest_accuracy, audit.claimed_accuracy]
        alt = f"Two bars: split by recording {percent(values[0])}, chunks split by chance {percent(values[1])}."
        plot = figures.bars(["by recording, as here", "chunks by chance"], {"chunks right": values}, alt=alt)
        section.figures.append((plot, "What the same classifier would have scored with each way to split the chunks."))
    if audit.shared:
        columns = ("Recording", "on side", "Recording", "on side", "Shared", "How")
        rows = [
            (
                *(shared.first, shared.first_side, shared.second, shared.second_side, f"{shared.seconds:.0f} s"),
                "the same samples" if shared.is_identical else f"{abs(shared.offset_seconds):.1f} s apart",
            )
            for shared in audit.shared[:MOST_SHARED]
        ]
        section.tables.append(table("Sound on two sides", columns, rows))
    return section


def _add_training_sound(section: Section, evaluation: Json) -> None:
    shared = evaluation["shared_with_training"]
    trained_on = [row["recording"] for row in evaluation["recordings"] if row["in_training"]]
    if trained_on:
        section.warnings.append(
            f"The classifier was trained on sound that was tested here, so the score is too good: {len(trained_on)} of "
            f"{len(evaluation['recordings'])} recordings. Leave them out: evaluate.py --exclude_training."
        )
        rows = [(sentence,) for sentence in (shared or map(printable, trained_on))][:MOST_SHARED]
        section.tables.append(table("Tested and trained on", ("Which",), rows))
    elif evaluation.get("training_known"):
        section.lines.append("No recording that was tested here holds sound that the classifier was trained on.")
    else:
        section.lines.append("The classifier does not tell what it was trained on, so it may be what was tested here.")


def data_section(audit: DataAudit | None) -> Section:
    """Show how the recordings sound, and what is wrong with them."""
    if audit is None:
        raise LeftOutError("the recordings were not measured")
    section = Section("data", "The recordings", lines=list(audit.facts), warnings=list(audit.warnings))
    section.figures += [_levels_plot(audit.labels), _minutes_plot(audit.labels)] if audit.labels else []
    section.tables.append(_sounds_table("By label", "Label", audit.labels))
    section.tables.append(_sounds_table("By recording", "Recording", audit.recordings, most_open=0))
    return section


def _levels_plot(labels: Sequence[Sounds]) -> tuple[Figure, str]:
    shown = sorted(labels, key=lambda label: label.level_dbfs - label.noise_floor_dbfs)[:MOST_BARS]
    least = shown[0].level_dbfs - shown[0].noise_floor_dbfs
    alt = f"Noise floor and level of {len(shown)} labels. Least apart: {printable(shown[0].name)}, {least:.0f} dB."
    rows = [(label.name, label.noise_floor_dbfs, label.level_dbfs) for label in shown]
    plot = figures.spans(rows, ends=("noise floor", "level"), unit="dBFS", alt=alt)
    caption = "Noise floor and level: where the line is short, there is little above the noise."
    return plot, caption + _which(shown, labels, "least between them")


def _minutes_plot(labels: Sequence[Sounds]) -> tuple[Figure, str]:
    shown = sorted(labels, key=lambda label: label.minutes)[:MOST_BARS]
    alt = (
        f"Minutes of sound of {len(shown)} labels, from {shown[0].minutes:.1f} of {printable(shown[0].name)} to "
        f"{shown[-1].minutes:.1f} of {printable(shown[-1].name)}."
    )
    plot = figures.amounts([label.name for label in shown], [label.minutes for label in shown], unit="minutes", alt=alt)
    return plot, "Minutes of sound of each label." + _which(shown, labels, "least")


def _which(shown: Sequence, every: Sequence, having: str) -> str:
    return "" if len(shown) == len(every) else f" Here, the {len(shown)} of {len(every)} labels with the {having}."


def _sounds_table(caption: str, name: str, rows: Sequence[Sounds], *, most_open: int = MOST_OPEN_ROWS) -> Table:
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


# Training


def training_section(training: Json | None) -> Section:
    """Show how the top layer was trained and what else was tried."""
    if not training:
        raise LeftOutError("nothing is known of the training run")
    section = Section("training", "How it was trained")
    for curve in training.get("curves") or []:
        section.figures += _curve_plots(curve)
    attempts = training.get("attempts") or []
    if attempts:
        columns = ("Top layer", "Read at", "Decay", "Steps", "Validation", "Temperature")
        rows = [
            (
                *(str(row["trainer"]), str(row["bottleneck"]), f"{row.get('l2', 0):g}", str(row.get("steps", ""))),
                *(percent(row.get("validation_accuracy")), decimal(row.get("temperature"), 2)),
            )
            for row in attempts
        ]
        caption = (
            "Everything that was tried; the first was kept unless another was better by more than a standard error"
        )
        section.tables.append(table(caption, columns, rows))
    if not section.figures and not section.tables:
        raise LeftOutError("the training run left neither curves nor attempts")
    if not section.figures:
        is_solved = training.get("trainer", "softmax") != "softmax"
        reason = "this top layer is solved in one step" if is_solved else "they were not kept"
        section.lines.append(f"There are no learning curves: {reason}.")
    return section


def _curve_plots(curve: Json) -> list[tuple[Figure, str]]:
    plots = []
    for key, ylabel in (("accuracy", "Accuracy"), ("log_loss", "Log loss")):
        series = {side: curve[side][key] for side in ("training", "validation") if curve.get(side)}
        if not series or len(curve["steps"]) < 2:
            continue
        ends = ", ".join(f"{side} {values[-1]:.3f}" for side, values in series.items())
        caption = f"{ylabel} of {printable(curve['name'])} while it was trained."
        alt = f"{caption} After {curve['steps'][-1]} steps: {ends}."
        is_share = key == "accuracy"
        plot = figures.curves(curve["steps"], series, ylabel=ylabel.lower(), is_share=is_share, alt=alt)
        plots.append((plot, caption))
    return plots


def card_section(card: ModelCard | None) -> Section:
    """Show what somebody should know who is handed the classifier."""
    if card is None:
        raise LeftOutError("nothing is known of the classifier")
    return Section("card", "Model card", card=card)


# Words and numbers
