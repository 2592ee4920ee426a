"""What to do next, by what an evaluation found: in words for everybody, what matters most first."""

from collections import Counter
from collections.abc import Sequence

from audionet.evaluation.data_audit import DataAudit
from audionet.evaluation.leakage import LeakAudit
from audionet.files import printable
from audionet.reports.elements import Json
from audionet.wording import counted, listed

MOST_STEPS = 6
MOST_NAMED = 3
MOST_PAIRS = 2
FEW_RECORDINGS = 20  # tested, below which an interval says more about them than about the classifier
WEAK_RECALL = 0.9
LITTLE_SOUND = 0.6  # of what the labels have in the median


def next_steps(evaluation: Json | None, *, data_audit: DataAudit | None, leak_audit: LeakAudit | None) -> list[str]:
    """Return what a user should do next, at most six sentences or two each; none if nothing was tested."""
    if not evaluation or not evaluation.get("recordings"):
        return []
    rows = evaluation["recordings"]
    steps = [
        *_about_leaks(rows, leak_audit),
        *_about_channels(data_audit),
        *_about_confused_labels(rows),
        *_about_weak_labels(evaluation, data_audit),
        *_about_refusals(rows),
        *_about_few_recordings(rows),
        *_about_unknown(rows),
    ]
    if not steps:
        steps = [
            "Nothing stands out. Test it on recordings of another day, room or microphone: audionet evaluate "
            "--audio_dir FOLDER."
        ]
    return steps[:MOST_STEPS]


def _about_leaks(rows: Sequence[Json], audit: LeakAudit | None) -> list[str]:
    learnt = [row["recording"] for row in rows if row["in_training"]]
    if learnt:
        return [
            f"Leave out what was trained on, {counted(len(learnt), 'recording')} of those tested, to get a score to "
            "believe: audionet evaluate --exclude_training."
        ]
    if audit and audit.shared:
        shared = audit.shared[0]
        return [
            f"Remove one of each pair of recordings that hold the same sound, such as {printable(shared.first)} and "
            f"{printable(shared.second)}, and train again."
        ]
    return []


def _about_channels(audit: DataAudit | None) -> list[str]:
    if audit is None or audit.channel_shortcut is None or not audit.channel_shortcut.is_above_chance:
        return []
    labels = {label.name: label for label in audit.labels}
    usual = sorted(label.noise_floor_dbfs for label in labels.values())[len(labels) // 2]
    odd = max(labels.values(), key=lambda label: abs(label.noise_floor_dbfs - usual))
    return [
        f"Labels can be told apart by their recording channel alone. {printable(odd.name)} differs most: a noise floor "
        f"of {odd.noise_floor_dbfs:.0f} dBFS where {usual:.0f} is usual. Record some of it as the others were, or test "
        "on recordings made elsewhere."
    ]


def _about_confused_labels(rows: Sequence[Json]) -> list[str]:
    pairs = Counter(
        tuple(sorted((row["label"], row["answer"]))) for row in rows if row["known"] and not row["right"]
    ).most_common(MOST_PAIRS)
    return [
        f"{printable(first)} and {printable(second)} are taken for each other in {counted(count, 'recording')}. Listen "
        "to these: if their labels are right, record more of both, under the same conditions."
        for (first, second), count in pairs
        if count > 1
    ]


def _about_weak_labels(evaluation: Json, audit: DataAudit | None) -> list[str]:
    weak = [row for row in evaluation.get("per_label") or [] if row["recordings"] and _recall(row) < WEAK_RECALL]
    steps = []
    if weak:
        weak.sort(key=_recall)
        names = [
            f"{printable(row['label'])} ({round(_recall(row) * row['recordings'])} of {row['recordings']} right)"
            for row in weak
        ]
        steps.append(f"Record more of {listed(names, MOST_NAMED)}: another day, another place.")
    minutes = {label.name: label.minutes for label in audit.labels} if audit else {}
    usual = sorted(minutes.values())[len(minutes) // 2] if minutes else 0
    short = sorted((name for name in minutes if minutes[name] < LITTLE_SOUND * usual), key=minutes.__getitem__)
    if short:
        names = [f"{printable(name)} ({minutes[name]:.1f} minutes)" for name in short]
        steps.append(f"There is little sound of {listed(names, MOST_NAMED)}; {usual:.1f} minutes are usual here.")
    return steps


def _recall(row: Json) -> float:
    return float(row["recording"]["recall"])


def _about_refusals(rows: Sequence[Json]) -> list[str]:
    refused = [row for row in rows if row["known"] and row["accepted"] is False]
    if not refused:
        return []
    counts = Counter(row["label"] for row in refused).most_common()
    names = [f"{printable(label)} ({count})" for label, count in counts]
    return [
        f"Known recordings are refused as unknown: {listed(names, MOST_NAMED)}. More recordings of these labels, made "
        "as those will be that it is to label, teach it what else they sound like."
    ]


def _about_few_recordings(rows: Sequence[Json]) -> list[str]:
    known = sum(row["known"] for row in rows)
    if known >= FEW_RECORDINGS:
        return []
    return [
        f"The score rests on {counted(known, 'recording')}. Let every recording be tested in its turn: audionet train "
        "--folds 5."
    ]


def _about_unknown(rows: Sequence[Json]) -> list[str]:
    if any(not row["known"] for row in rows):
        return []
    return [
        "Nothing unknown was tested. Give it sound that is none of its labels, to train and to test on: audionet train "
        "--negatives FOLDER."
    ]
