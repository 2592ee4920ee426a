"""Scored recordings for tests."""

import json
from dataclasses import replace

import numpy as np

from audionet.evaluation.scored_recording import ScoredRecording

LABELS = ("alice", "bob", "carol")


def scored(
    recording: str, label: str, *, answer: str | None = None, chunks: int = 4, sure: float = 4.0, in_training: int = 0
) -> ScoredRecording:
    """Return a recording whose chunks are all answered alike, or without a clear answer if the label is unknown."""
    number = LABELS.index(answer or label) if (answer or label) in LABELS else 0
    logits = np.random.default_rng(len(recording)).normal(0, 0.3, (chunks, len(LABELS))).astype(np.float32)
    logits[:, number] += sure if (answer or label) in LABELS else 0
    return ScoredRecording(f"{label}/{recording}", label, logits, in_training=in_training)


def with_open_set(recordings: list[ScoredRecording], open_set) -> list[ScoredRecording]:
    return [replace(one, open_set=open_set) for one in recordings]


def scored_folder(*, unknown: int = 0, wrong: int = 1) -> list[ScoredRecording]:
    """Return four recordings a label, of which `wrong` are mistaken for carol's, and some of unknown labels."""
    known = [
        scored(f"{number}.mp3", label, answer="carol" if number < wrong and label == "alice" else None)
        for label in LABELS
        for number in range(4)
    ]
    return known + [scored(f"{number}.mp3", "mallory") for number in range(unknown)]


def in_groups(recordings: list[ScoredRecording], size: int) -> list[ScoredRecording]:
    """Return the same recordings, so many of them that follow each other in one group."""
    return [replace(one, group=f"session {number // size}") for number, one in enumerate(recordings)]


def plain(value):
    """What a reader of the file gets."""
    return json.loads(json.dumps(value, allow_nan=False))
