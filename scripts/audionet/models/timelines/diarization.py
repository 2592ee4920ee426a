"""The speakers of a recording, found by clustering, as the states of its hops; those who are known get their names.

A speaker is judged as a clip of its own is, by the classifier's open-set detector and all that the speaker says; of a
classifier without a detector nobody is known. Others are called `speaker 1`, `speaker 2` and so on, in the order in
which they begin.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audionet.models.fused_similarity import FusedSimilarity
from audionet.models.pooling import log_softmax
from audionet.models.similarity import Similarity
from audionet.models.timelines.speaker_clustering import PlacedChunks, find_speakers, inner_rows
from audionet.models.timelines.timeline import ScoredChunks, Span, runs


@dataclass(frozen=True)
class Speaker:
    """One of the speakers of a recording."""

    label: str  # a label of the classifier, or `speaker 1` and so on
    is_known: bool  # whether it is a label of the classifier
    score: float | None  # of the open-set detector, by all that the speaker says; None without a detector


@dataclass(frozen=True, eq=False)
class SpeakerHops:
    """Who speaks in each hop, as `timeline.find_spans` takes it."""

    labels: tuple[str, ...]
    logits: np.ndarray  # float32, shape (hops, labels)
    speakers: tuple[Speaker, ...]
    states: np.ndarray  # int, shape (hops,), the number of a speaker
    log_odds: np.ndarray  # float32, shape (hops, speakers), that a hop is of the same voice as all of a speaker's
    hop_seconds: float

    @classmethod
    def of(
        cls,
        scored: ScoredChunks,
        places: np.ndarray,
        space: Similarity | FusedSimilarity,
        *,
        is_silent: np.ndarray,
        speakers: int | None,
    ) -> "SpeakerHops":
        """Find the speakers of a recording, as many as there are to be or, for None, as there seem to be.

        `places`, float16, shape (chunks, dimensions), are those of the chunks in the space, as `Projection` gives them;
        `is_silent`, bool, shape (steps,), tells which of every `STEP_SECONDS` belong to a pause.
        """
        placed = PlacedChunks.of(scored, places, is_silent)
        speakers_found, states = name_speakers(
            scored, placed, find_speakers(placed, speakers=speakers), each_once=speakers is not None
        )
        prototypes = placed.prototypes(states[placed.middles], np.arange(len(speakers_found)))
        odds = space.slope * placed.products(prototypes) + space.offset
        return cls(
            scored.labels,
            scored.hop_logits(),
            speakers_found,
            states,
            scored.mean_over_hops(odds),
            scored.hop_seconds,
        )

    def span(self, start_seconds: float, end_seconds: float, state: int) -> Span:
        """Return a span of one speaker, with its nearest label and its scores."""
        first = int(start_seconds / self.hop_seconds)
        hops = slice(first, max(first + 1, math.ceil(end_seconds / self.hop_seconds)))
        speaker = self.speakers[state]
        probabilities = log_softmax(self.logits[hops]).mean(axis=0)
        nearest = self.labels.index(speaker.label) if speaker.is_known else int(probabilities.argmax())
        same_voice = float(1 / (1 + np.exp(-self.log_odds[hops, state].mean(dtype=np.float64))))
        return Span(
            start_seconds=start_seconds,
            end_seconds=end_seconds,
            kind="known" if speaker.is_known else "speaker",
            label=speaker.label,
            nearest=self.labels[nearest],
            probability=float(np.exp(probabilities[nearest])) if speaker.is_known else same_voice,
            score=speaker.score,
        )


def name_speakers(
    scored: ScoredChunks, placed: PlacedChunks, states: np.ndarray, *, each_once: bool
) -> tuple[tuple[Speaker, ...], np.ndarray]:
    """Name the speakers who are known, given who speaks in each hop, int, shape (hops,), numbered from 0.

    Speakers who get the same name are one; but if each label is given once at most, it goes to whom it fits best.
    Returns the speakers and, numbered as these are, who speaks in each hop.
    """
    free = _free_names(scored.labels)
    if scored.open_set is None:
        return tuple(Speaker(next(free), False, None) for _ in range(states.max() + 1)), states
    judged = [
        scored.judge_rows(_rows_of(placed, states == number), scored.open_set) for number in range(states.max() + 1)
    ]
    best = {label: max(score for other, score in judged if other == label) for label, _ in judged}
    found: list[Speaker] = []
    for label, score in judged:
        is_known = label < len(scored.labels) and not (each_once and score < best[label])
        found.append(Speaker(scored.labels[label] if is_known else next(free), is_known, score))
    names = list(dict.fromkeys(speaker.label for speaker in found))
    merged = np.array([names.index(speaker.label) for speaker in found])
    return tuple(next(one for one in found if one.label == name) for name in names), merged[states]


def _rows_of(placed: PlacedChunks, has_turn: np.ndarray) -> np.ndarray:
    """Return chunks within a speaker's turns, one behind the other; `has_turn`, bool, is of each hop."""
    is_own = has_turn[placed.middles]
    turns = [np.arange(*run) for run in runs(is_own) if is_own[run[0]]]
    rows = np.concatenate([inner_rows(turn, placed.hops_a_chunk)[:: placed.hops_a_chunk] for turn in turns])
    clean = rows[placed.is_clean[rows]]
    return clean if len(clean) else rows


def _free_names(labels: Sequence[str]) -> Iterator[str]:
    """Yield `speaker 1`, `speaker 2` and so on, without those that are labels."""
    number = 0
    while True:
        number += 1
        if f"speaker {number}" not in labels:
            yield f"speaker {number}"
