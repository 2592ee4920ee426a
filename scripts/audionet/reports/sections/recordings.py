"""Sections of a report: every recording with its answer and its sound, the map of them, and pictures of each label."""

from collections.abc import Mapping, Sequence

import numpy as np

from audionet.files import printable
from audionet.models.answer import UNKNOWN
from audionet.reports import figures
from audionet.reports.elements import (
    MOST_ROWS,
    NOT_TESTED,
    Clip,
    Json,
    LeftOut,
    RecordingRow,
    Section,
    missing_reason,
    picture_uri,
)
from audionet.wording import counted

RECORDINGS_NAME = "Every recording"
MAP_NAME = "Map of the recordings"
PICTURES_NAME = "Pictures by label"

RIGHT, WRONG, REFUSED = "named right", "named wrong", "refused as unknown"
UNKNOWN_NAMED, UNKNOWN_REFUSED = "unknown, but named", "unknown, and refused"
OUTCOMES = (WRONG, UNKNOWN_NAMED, REFUSED, RIGHT, UNKNOWN_REFUSED)  # the worst first
MISTAKES = frozenset({WRONG, UNKNOWN_NAMED, REFUSED})


def outcome_of(row: Json) -> str:
    """Return what became of a row of `evaluation["recordings"]`: one of `OUTCOMES`."""
    is_refused = row["accepted"] is False
    if not row["known"]:
        return UNKNOWN_REFUSED if is_refused else UNKNOWN_NAMED
    return REFUSED if is_refused else RIGHT if row["right"] else WRONG


def worst_first(recordings: Sequence[Json]) -> list[Json]:
    """Return the rows of `evaluation["recordings"]`: mistakes first, the surest of them first, then the least sure.

    Every pair of label and answer gets one turn among the mistakes before any gets its second, so that no label crowds
    the rest out.
    """
    turns: dict[tuple[str, str], int] = {}
    ranked = []
    for row in sorted(recordings, key=lambda row: -row["probability"]):
        outcome = outcome_of(row)
        is_mistake = outcome in MISTAKES
        pair = row["label"], row["answer"]
        turns[pair] = turns.get(pair, -1) + 1
        doubt = -row["probability"] if is_mistake else row["probability"]
        ranked.append(((not is_mistake, turns[pair] if is_mistake else 0, OUTCOMES.index(outcome), doubt), row))
    return [row for _, row in sorted(ranked, key=lambda each: each[0])]


def recordings_section(evaluation: Json | None, clips: Sequence[Clip]) -> Section | LeftOut:
    """Show what became of every recording; the worst can be looked at and listened to."""
    rows = (evaluation or {}).get("recordings") or []
    if not rows:
        return LeftOut(RECORDINGS_NAME, NOT_TESTED)
    section = Section("recordings", RECORDINGS_NAME)
    wrong = sum(outcome_of(row) in MISTAKES for row in rows)
    section.lines.append(
        f"{counted(wrong, 'mistake')} in {counted(len(rows), 'recording')}, the worst first. Look and listen: is the "
        "label right, is it another voice, is it noise?"
        if wrong
        else f"No mistake in {counted(len(rows), 'recording')}; those that it was least sure of come first."
    )
    clip_of = {(clip.recording, clip.label): clip for clip in clips}
    keys = {id(row): recording_key(number) for number, row in enumerate(rows)}
    section.recordings = [
        _recording_row(row, keys[id(row)], evaluation or {}, clip_of.get((row["recording"], row["label"])))
        for row in worst_first(rows)[:MOST_ROWS]
    ]
    if len(rows) > MOST_ROWS:
        section.lines.append(f"The first {MOST_ROWS} are shown; the evaluation as JSON has them all.")
    return section


def recording_key(number: int) -> str:
    """Return the id on the page of the recording with a number in `evaluation["recordings"]`."""
    return f"recording-{number + 1}"


def pair_key(labels: Sequence[str], label: str, answer: str) -> str:
    """Return what stands on the page for a true label and the label that it was taken for."""
    return f"is-{labels.index(label) + 1 if label in labels else 'unknown'}-as-{labels.index(answer) + 1}"


def _recording_row(row: Json, key: str, evaluation: Json, clip: Clip | None) -> RecordingRow:
    outcome = outcome_of(row)
    is_refused = row["accepted"] is False
    return RecordingRow(
        key=key,
        pair=pair_key(evaluation["labels"], row["label"], row["answer"]),
        recording=printable(row["recording"]),
        label=printable(row["label"]),
        answer=UNKNOWN if is_refused else printable(row["answer"]),
        nearest=printable(row["answer"]) if is_refused else "",
        outcome=outcome,
        is_mistake=outcome in MISTAKES,
        probability=row["probability"],
        chunks="" if row["chunks_right"] is None else f"{row['chunks_right']} of {row['chunks']}",
        clip=clip,
    )


def map_section(evaluation: Json | None) -> Section | LeftOut:
    """Show the recordings within a circle of labels."""
    if not evaluation:
        return LeftOut(MAP_NAME, NOT_TESTED)
    found, rows = evaluation.get("map"), evaluation.get("recordings") or []
    if not found:
        return LeftOut(MAP_NAME, missing_reason(evaluation, "map", "it takes three to thirty labels"))
    outcomes = [outcome_of(row) for row in rows]
    points = [
        figures.MapPoint(x, y, outcome, recording_key(number))
        for number, ((x, y), outcome) in enumerate(zip(found["positions"], outcomes, strict=True))
    ]
    section = Section("map", MAP_NAME)
    section.lines.append(
        "Each mark is a recording, drawn towards the labels that it could be: at a label it is sure, between two it "
        "could be either, in the middle it could be anything. Labels that resemble each other are neighbours. A mark "
        "leads to its recording."
    )
    alt = f"{counted(len(points), 'recording')} within a circle of {len(found['labels'])} labels."
    kinds = [kind for kind in (RIGHT, WRONG, UNKNOWN_REFUSED, UNKNOWN_NAMED, REFUSED) if kind in outcomes]
    section.figures.append(
        (figures.recording_map(found["labels"], points, kinds=kinds, alt=alt), "Recordings by what they resemble.")
    )
    return section


def pictures_section(pictures: Mapping[str, Sequence[np.ndarray]]) -> Section | LeftOut:
    """Show pictures of some recordings of each label, each uint8, shape (height, width, 3)."""
    if not pictures:
        return LeftOut(PICTURES_NAME, "there are no pictures to show")
    section = Section("pictures", PICTURES_NAME)
    section.lines.append(
        "What the network sees of a recording's first chunk: time to the right, low frequencies at the bottom. What "
        "you can tell apart, it can; where a label's pictures differ by their background alone, it may learn that."
    )
    section.pictures = [(printable(label), [picture_uri(one) for one in some]) for label, some in pictures.items()]
    return section
