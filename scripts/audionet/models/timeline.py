"""Which label is where in a long recording: chunks that overlap, scores for each hop, the likeliest path, spans.

    chunks every hop -> logits -> mean over the chunks that cover a hop -> likeliest path -> Span

The path is that of a hidden Markov model whose states are the labels and `unknown`. A label's weight in a hop is its
log-probability there; unknown weighs as much as the likeliest label where the best of the chunks that cover the hop
just reaches the threshold, more below it and less above. The best one, because a chunk in which two voices change over
is like neither. Each change of state costs `SWITCH_COST`, so that one odd chunk makes no span of its own. Silence is
cut out by level, at a finer step than the hop.

Chosen on two conversations of half an hour, put together from 12 voices as `bench.py` does it, by a classifier
that was trained on 80 s of each. Diarization errors, all voices known: 4.0 % with a majority over 1 s, 2.7 % with this
path, both without unknown and with silence to the nearest hop; 2.1 % with unknown and with silence as it is now, 8.2 %
where the mean chunk decides about unknown. With three voices not trained on: 8.4 %, and 20 % judging whole spans.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from audionet.audio.chunks import SILENCE_PEAK
from audionet.errors import RecordingError
from audionet.files import printable
from audionet.models.answer import UNKNOWN
from audionet.models.openset import OpenSetDetector
from audionet.models.pooling import log_softmax

HOP_SECONDS = 0.5
MIN_SECONDS = 0.5
SWITCH_COST = 4.0  # seconds of being e times likelier that a change has to be worth
STEP_SECONDS = 0.05  # at which levels are taken
PAUSE_SECONDS = 0.5  # shorter silence is part of speaking
SILENT_DB = 40.0  # below the loud parts of the recording
LOUD_SHARE = 0.95
QUIETEST_POWER = 1e-12

Kind = Literal["known", "unknown", "silence"]


@dataclass(frozen=True)
class Span:
    """A part of a recording with one label, unknown or silent."""

    start_seconds: float  # from the beginning of the recording, as it is played
    end_seconds: float
    kind: Kind
    label: str = ""  # the label, or `unknown`, or nothing for silence
    nearest: str = ""  # the likeliest label, known or not; nothing for silence
    probability: float | None = None  # of the nearest label, the geometric mean over the span; None for silence
    score: float | None = None  # of the open-set detector, the mean over the span; None without a detector

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end_seconds - self.start_seconds


@dataclass(frozen=True)
class Timeline:
    """The spans of a recording, from beginning to end."""

    path: Path
    seconds: float  # how long the recording is
    spans: tuple[Span, ...]  # one behind the other, without gaps

    @property
    def non_silent_spans(self) -> list[Span]:
        """The spans that are known or unknown."""
        return [span for span in self.spans if span.kind != "silence"]


class LevelMeter:
    """Passes a recording's blocks on, each float32, shape (n,), and measures their levels."""

    def __init__(self, blocks: Iterable[np.ndarray], *, sample_rate_hz: int):
        self._blocks = blocks
        self._rate_hz = sample_rate_hz
        self._powers: list[np.ndarray] = []
        self._samples = 0

    @property
    def seconds(self) -> float:
        """How much has passed so far."""
        return self._samples / self._rate_hz

    def __iter__(self) -> Iterator[np.ndarray]:
        step = round(STEP_SECONDS * self._rate_hz)
        rest = np.empty(0, np.float32)
        for block in self._blocks:
            self._samples += len(block)
            yield block
            rest = np.concatenate([rest, block])
            whole = len(rest) // step
            self._powers.append(np.square(rest[: whole * step]).reshape(whole, step).mean(axis=1))
            rest = rest[whole * step :]
        if len(rest):
            self._powers.append(np.square(rest).mean(keepdims=True))

    @property
    def levels(self) -> np.ndarray:
        """Power every `STEP_SECONDS` in decibels below full scale, shape (steps,)."""
        powers = np.concatenate(self._powers) if self._powers else np.empty(0)
        return 10 * np.log10(np.maximum(powers, QUIETEST_POWER))


def over_hops(
    combine: np.ufunc, values: np.ndarray, first_hops: np.ndarray, *, hops: int, hops_a_chunk: int, start: float = 0.0
) -> np.ndarray:
    """Combine the values of all chunks that cover a hop, such as by `np.add`: shape (hops, width).

    Values are of shape (chunks, width); `first_hops`, int, shape (chunks,), ascending, are the hops that chunks begin
    with; a hop that no chunk covers has `start`.
    """
    combined = np.full((hops, values.shape[1]), start)
    for later in range(hops_a_chunk):
        covered = first_hops + later
        inside = covered < hops
        # No hop comes up twice, since no two chunks begin with the same one.
        combined[covered[inside]] = combine(combined[covered[inside]], values[inside])
    return combined


@dataclass(frozen=True)
class HopScores:
    """Logits and open-set scores of each hop."""

    labels: tuple[str, ...]
    logits: np.ndarray  # float32, shape (hops, labels), the mean over the chunks that cover a hop
    scores: np.ndarray | None  # shape (hops,), of the best chunk that covers a hop; None without an open-set detector
    threshold: float  # what a known chunk scores at least
    hop_seconds: float

    @classmethod
    def from_chunks(
        cls,
        labels: tuple[str, ...],
        logits: np.ndarray,
        first_hops: np.ndarray,
        *,
        hops: int,
        hop_seconds: float,
        chunk_seconds: float,
        open_set: OpenSetDetector | None = None,
    ) -> "HopScores":
        """Combine the chunks that cover each hop; silent chunks may be left out.

        Logits are float32, shape (chunks, labels); `first_hops` as for `over_hops`.
        """
        hops_a_chunk = round(chunk_seconds / hop_seconds)
        scores = open_set.chunk_scores(logits)[:, None] if open_set else np.empty((len(logits), 0))
        counts = over_hops(np.add, np.ones((len(logits), 1)), first_hops, hops=hops, hops_a_chunk=hops_a_chunk)
        sums = over_hops(np.add, logits, first_hops, hops=hops, hops_a_chunk=hops_a_chunk)
        best = over_hops(np.fmax, scores, first_hops, hops=hops, hops_a_chunk=hops_a_chunk, start=np.nan)
        return cls(
            labels=labels,
            logits=(sums / np.maximum(counts, 1)).astype(np.float32),
            scores=np.nan_to_num(best[:, 0]) if open_set else None,
            threshold=open_set.threshold(1) if open_set else 0.0,
            hop_seconds=hop_seconds,
        )

    def weights(self) -> np.ndarray:
        """Return the weight of each label and, if it can be told, of unknown: shape (hops, labels or labels + 1)."""
        of_labels = log_softmax(self.logits)
        if self.scores is None:
            return of_labels
        return np.column_stack([of_labels, of_labels.max(axis=1) + self.threshold - self.scores])

    def span(self, start_seconds: float, end_seconds: float, state: int) -> Span:
        """Return a span that is not silent, with its nearest label and its scores."""
        first = int(start_seconds / self.hop_seconds)
        hops = slice(first, max(first + 1, math.ceil(end_seconds / self.hop_seconds)))
        probabilities = log_softmax(self.logits[hops]).mean(axis=0)
        is_known = state < len(self.labels)
        nearest = state if is_known else int(probabilities.argmax())
        return Span(
            start_seconds=start_seconds,
            end_seconds=end_seconds,
            kind="known" if is_known else "unknown",
            label=self.labels[state] if is_known else UNKNOWN,
            nearest=self.labels[nearest],
            probability=float(np.exp(probabilities[nearest])),
            score=None if self.scores is None else float(self.scores[hops].mean()),
        )


def likeliest_path(weights: np.ndarray, *, switch_cost: float) -> np.ndarray:
    """Return the sequence of states with the largest sum of weights less `switch_cost`, 0 or more, for each change.

    Weights are of shape (moments, states), the states int, shape (moments,).

    Source: A. Viterbi, "Error Bounds for Convolutional Codes", 1967. All changes cost the same, so that the best state
    to come from is either the same or the best of all.
    """
    moments, states = weights.shape
    came_from = np.empty((moments, states), np.min_scalar_type(states))
    stay = np.arange(states)
    best = np.zeros(states)
    for moment in range(moments):
        leader = int(best.argmax())
        changes = best[leader] - switch_cost > best
        came_from[moment] = np.where(changes, leader, stay)
        best = np.maximum(best, best[leader] - switch_cost) + weights[moment]
    path = np.empty(moments, int)
    state = int(best.argmax())
    for moment in range(moments - 1, -1, -1):
        path[moment] = state
        state = int(came_from[moment, state])
    return path


def silent_steps(levels: np.ndarray) -> np.ndarray:
    """Return which steps, of levels in decibels, belong to a pause: bool, shape (steps,)."""
    loud = np.quantile(levels, LOUD_SHARE) if len(levels) else 0.0
    quietest = 20 * math.log10(SILENCE_PEAK)
    is_silent = levels < max(loud - SILENT_DB, quietest)
    for start, end in runs(is_silent):
        if is_silent[start] and (end - start) * STEP_SECONDS < PAUSE_SECONDS:
            is_silent[start:end] = False
    return is_silent


def runs(values: np.ndarray) -> list[tuple[int, int]]:
    """Return (first, behind the last) of each run of equal values."""
    borders = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    return [pair for pair in pairwise(borders) if pair[0] < pair[1]]


SILENT = -1


def find_spans(
    hop_scores: HopScores, is_silent: np.ndarray, *, seconds: float, min_seconds: float = MIN_SECONDS
) -> list[Span]:
    """Turn the scores of each hop, and which steps are silent, into spans without gaps."""
    path = likeliest_path(hop_scores.weights(), switch_cost=SWITCH_COST / hop_scores.hop_seconds)
    hop_of_step = ((np.arange(len(is_silent)) + 0.5) * STEP_SECONDS / hop_scores.hop_seconds).astype(int)
    states = np.where(is_silent, SILENT, path[np.minimum(hop_of_step, len(path) - 1)])
    states = without_short_runs(states, round(min_seconds / STEP_SECONDS))
    spans = []
    for start, end in runs(states):
        start_seconds, end_seconds = start * STEP_SECONDS, seconds if end == len(states) else end * STEP_SECONDS
        state = int(states[start])
        if state == SILENT:
            spans.append(Span(start_seconds, end_seconds, "silence"))
        else:
            spans.append(hop_scores.span(start_seconds, end_seconds, state))
    return spans


def make_timeline(path: Path, hop_scores: HopScores, level_meter: LevelMeter, *, min_seconds: float) -> Timeline:
    """Divide a recording into spans by the scores of its hops and its levels.

    One that is silent throughout, but for what is shorter than `min_seconds`, raises RecordingError.
    """
    is_silent = silent_steps(level_meter.levels)
    spans = find_spans(hop_scores, is_silent, seconds=level_meter.seconds, min_seconds=min_seconds)
    if all(span.kind == "silence" for span in spans):
        raise RecordingError(f"{printable(path)} holds nothing longer than {min_seconds:g} s; lower --min_seconds.")
    return Timeline(path, level_meter.seconds, tuple(spans))


def without_short_runs(states: np.ndarray, steps: int) -> np.ndarray:
    """Give runs that are shorter than `steps` to a neighbour, the shortest first.

    A run goes to its longer neighbour that is not silence, and becomes silence where there is none.
    """
    lengths = [[int(states[start]), end - start] for start, end in runs(states)]
    while True:
        short = [(length, place) for place, (state, length) in enumerate(lengths) if state != SILENT and length < steps]
        if not short:
            return np.repeat([state for state, _ in lengths], [length for _, length in lengths])
        _, place = min(short)
        beside = lengths[max(0, place - 1) : place] + lengths[place + 1 : place + 2]
        sounding = [run for run in beside if run[0] != SILENT]
        lengths[place][0] = max(sounding, key=lambda run: run[1])[0] if sounding else SILENT
        equals = groupby(lengths, key=lambda run: run[0])
        lengths = [[state, sum(length for _, length in neighbours)] for state, neighbours in equals]
