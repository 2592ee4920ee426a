"""An evaluation in the terminal: one sentence, warnings and tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from audionet.console import log
from audionet.evaluation.intervals import resampled
from audionet.files import printable
from audionet.tables import print_table
from audionet.wording import answers_in_words, listed

MOST_LABELS = 30
MOST_SENTENCES = 10

_SCORES = (
    ("accuracy, no threshold", "accuracy", "ci95"),
    ("balanced accuracy", "balanced_accuracy", "balanced_accuracy_ci95"),
    ("macro F1", "macro_f1", "macro_f1_ci95"),
    ("log loss", "log_loss", "log_loss_ci95"),
)


def headline(evaluation: Mapping[str, Any]) -> str:
    """Return one sentence with the score that matters: how the next recording will fare."""
    recording, chunk = evaluation["recording"], evaluation["chunk"]
    if recording["accuracy"] is None:
        return "No recording is of a label that the classifier knows, so there is no accuracy to report."
    share, interval = recording.get("named_right", recording["accuracy"]), recording.get("named_right_ci95")
    answers = f"{answers_in_words(recording)} (right {_share(share)}{_range(interval)})."
    if len(evaluation["labels"]) == 1:
        return answers
    return (
        f"{answers} Without a threshold: "
        f"{_share(recording['accuracy'])} of recordings and {_share(chunk['accuracy'])} of {chunk['n']} chunks right"
        f"{_range(chunk['ci95'])}."
    )


def print_evaluation(evaluation: Mapping[str, Any]) -> None:
    """Print an evaluation, as `evaluate` gives it: results to stdout, warnings to stderr."""
    warn(evaluation)
    print(headline(evaluation))
    _print_scores(evaluation)
    if len(evaluation["labels"]) > 1:
        _print_labels(evaluation["per_label"])
    _print_detection(evaluation)
    if "sweep" in evaluation:
        _print_sweep(evaluation["sweep"], evaluation["sweep_skipped"])
    for name, reason in evaluation["not_computed"].items():
        print(f"Not computed: {name}: {reason}.")


def warn(evaluation: Mapping[str, Any]) -> None:
    """Say what a person should know before believing the scores; to stderr."""
    if not evaluation:
        return
    for recording, reason in evaluation.get("failures", {}).items():
        log(f"Set aside: {printable(recording)}: {reason}")
    trained_on = [row["recording"] for row in evaluation["recordings"] if row["in_training"]]
    if trained_on:
        log(
            f"Warning: {len(trained_on)} of {len(evaluation['recordings'])} recordings had a part in training, so that "
            "the scores flatter. Leave them out by --exclude_training."
        )
        for line in [*(evaluation.get("shared_with_training") or map(printable, trained_on))][:MOST_SENTENCES]:
            log(f"  {line}")
    if evaluation.get("excluded"):
        log(f"Left out, since they had a part in training: {_printable_list(evaluation['excluded'])}.")
    for warning in (evaluation.get("data_audit") or {}).get("warnings", ()):
        log(f"Warning: {warning}")
    unknown = evaluation["data"]["unknown_labels"]
    if unknown:
        counts = [f"{printable(label)} ({count})" for label, count in unknown.items()]
        log(f"Taken for unknown, since the classifier has no such label: {listed(counts)}.")


def _print_scores(evaluation: Mapping[str, Any]) -> None:
    levels = [evaluation["chunk"], evaluation["recording"]]
    if levels[0]["accuracy"] is None:
        return
    named = levels[1]
    rows: list[tuple[str, ...]] = [
        ("named right", "", _with_range(named["named_right"], named["named_right_ci95"])),
        ("named wrong", "", _share(named["named_wrong"])),
        ("refused as unknown", "", _share(named["refused"])),
    ]
    if len(evaluation["labels"]) > 1:  # one alone has nothing to be mistaken for
        rows += [
            (name, *(_with_range(level[score], level[interval], as_share=score != "log_loss") for level in levels))
            for name, score, interval in _SCORES
        ]
        for k in levels[0]["top_k_accuracy"]:
            rows.append((f"among the first {k}", *(_share(level["top_k_accuracy"][k]) for level in levels)))
        calibration = evaluation["calibration"]
        rows.append(("calibration error", _share(calibration["ece"]), _share(calibration["recording"]["ece"])))
    columns = ("", *(f"{level['n']} {name}" for level, name in zip(levels, ("chunks", "recordings"), strict=True)))
    title = f"Scores, with 95 % intervals {resampled(evaluation['data'])}"
    print_table(columns, rows, title=title, numbers=columns[1:])


def _print_labels(per_label: Sequence[Mapping[str, Any]]) -> None:
    tested = [row for row in per_label if row["recordings"]]
    shown = sorted(tested, key=lambda row: (row["chunk"]["f1"] or 0, row["label"]))[:MOST_LABELS]
    rows = [
        (
            printable(row["label"]),
            str(row["recordings"]),
            _share(row["recording"]["recall"]),
            str(row["chunks"]),
            *(_share(row["chunk"][score]) for score in ("precision", "recall", "f1")),
        )
        for row in shown
    ]
    title = "By label, the worst first" + (f" ({len(shown)} of {len(tested)})" if len(shown) < len(tested) else "")
    columns = ("label", "recordings", "right", "chunks", "chunk precision", "chunk recall", "chunk F1")
    if rows:
        print_table(columns, rows, title=title, numbers=columns[1:])


def _print_detection(evaluation: Mapping[str, Any]) -> None:
    """Print how well known is told from unknown, and true claims from false, as far as it can be told."""
    columns = ("", "chunks", "recordings")
    rows = []
    for key, name in (("open_set", "known from unknown"), ("verification", "true claims from false")):
        levels = [evaluation[key]["chunk"], evaluation[key]]
        if levels[1]["auroc"] is not None:
            rows += [
                (f"{name}: AUROC", *(_with_range(level["auroc"], level.get("auroc_ci95")) for level in levels)),
                *_partial_area(name, levels, evaluation["labels"]),
                (f"{name}: equal error rate", *(_with_range(level["eer"], level.get("eer_ci95")) for level in levels)),
                (f"{name}: minDCF", *(f"{level['min_dcf']:.3f}" for level in levels)),
            ]
    levels = [evaluation["open_set"]["chunk"], evaluation["open_set"]]
    for key, name in (("false_accept_rate", "unknown accepted"), ("false_reject_rate", "known refused")):
        if levels[1][key] is not None:
            rows.append((name, *(_with_range(level[key], level[f"{key}_ci95"]) for level in levels)))
    if rows:
        print_table(columns, rows, title="Known or unknown", numbers=columns[1:])


def _partial_area(name: str, levels: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return the row of what one label alone is judged by: few of its recordings should raise a false alarm."""
    if len(labels) > 1:
        return []
    chunk, recording = (f"{level['pauc']:.3f}" for level in levels)
    return [(f"{name}: partial AUROC, at most 10 % known refused", chunk, recording)]


def _print_sweep(conditions: Sequence[Mapping[str, Any]], skipped: Mapping[str, str]) -> None:
    clean = conditions[0]
    rows = [
        (
            condition["name"],
            *(_with_range(condition[level]["accuracy"], condition[level]["ci95"]) for level in ("chunk", "recording")),
            _change(condition["chunk"]["accuracy"], clean["chunk"]["accuracy"]),
            str(condition["chunk"]["n"]),
        )
        for condition in conditions
    ]
    columns = ("condition", "chunks right", "recordings right", "against clean", "chunks")
    print_table(columns, rows, title="Under other conditions", numbers=columns[1:])
    for name, reason in skipped.items():
        log(f"Skipped: {name}: {reason}")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _with_range(value: float | None, interval: Sequence[float] | None, *, as_share: bool = True) -> str:
    if value is None:
        return "-"
    shown = _share if as_share else "{:.3f}".format
    return shown(value) + (f"  [{shown(interval[0])}, {shown(interval[1])}]" if interval else "")


def _range(interval: Sequence[float] | None) -> str:
    return f", 95 % interval {interval[0]:.1%} to {interval[1]:.1%}" if interval else ""


def _change(value: float | None, clean: float | None) -> str:
    return "-" if value is None or clean is None else f"{100 * (value - clean):+.1f}"


def _printable_list(names: Sequence[str]) -> str:
    return listed([printable(name) for name in names])
