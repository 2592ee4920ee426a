"""Which label is where in a long recording: chunks that overlap, the likeliest path, verdicts on its parts, spans.

    chunks every hop -> logits -> mean over the chunks that cover a hop -> likeliest path -> stretches, judged -> Span

The path is that of a hidden Markov model whose states are the labels and `unknown`. A label's weight in a hop is its
log-probability there; unknown weighs as much as the likeliest label where the best of the chunks that cover the hop
just reaches the threshold, more below it and less above. The best one, because a chunk in which two voices change over
is like neither. Each change of state costs `SWITCH_COST`, so that one odd chunk makes no span of its own. Silence is
cut out by level, at a finer step than the hop.

A chunk tells little, so that the path alone calls nearly everything known where labels are few. Each run of one state
is therefore judged as a clip of its own, by the same detector and the threshold for as much sound as it has. It is
divided before where the sound changes over within it: somebody unknown may be nearest to the label that speaks before.
One or two chunks between known voices are too little to refuse anybody by: there the path decides.

Switch cost and silence were chosen on two conversations of half an hour, put together from 12 voices as `bench.py` does
it, by a classifier that was trained on 80 s of each; the way to judge on conversations of known voices and others, by
18 classifiers of four to eight voices. `numbers.md` has what came of it.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from audionet.audio.chunks import SILENCE_PEAK
from audionet.errors import RecordingError
from audionet.files import printable
from audionet.models.answer import UNKNOWN
from audionet.models.openset import OpenSetDetector
from audionet.models.pooling import log_softmax, loudness_weights, pool
from audionet.models.timelines import change_points

HOP_SECONDS = 0.5
MIN_SECONDS = 0.5
SWITCH_COST = 4.0  # seconds of being e times likelier that a change has to be worth
FEWEST_CHUNKS = 2  # of a stretch that is refused where known ones surround it; of fewer the path decides
STEP_SECONDS = 0.05  # at which levels are taken
PAUSE_SECONDS = 0.5  # shorter silence is part of speaking
SILENT_DB = 40.0  # below the loud parts of the recording
LOUD_SHARE = 0.95
QUIETEST_POWER = 1e-12

Kind = Literal["known", "speaker", "unknown", "silence"]


@dataclass(frozen=True)
class Span:
    """A part of a recording with one label, of one speaker whom none of the labels names, unknown or silent."""

    start_seconds: float  # from the beginning of the recording, as it is played
    end_seconds: float
    kind: Kind
    label: str = ""  # the label, or `speaker 1` and so on, or `unknown`, or nothing for silence
    nearest: str = ""  # the likeliest label, known or not; nothing for silence
    # Of the nearest label, the geometric mean over the span; of a speaker, that the span is of the same voice as all
    # that the speaker says, if it is as likely as not; None for silence.
    probability: float | None = None
    # Of the open-set detector, for the stretch that the span is in, or for the speaker; None without a detector.
    score: float | None = None

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end_seconds - self.start_seconds

    @property
    def has_name(self) -> bool:
        """Whether it is told whose it is: a label's or a speaker's."""
        return self.kind in ("known", "speaker")


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


@dataclass(frozen=True, eq=False)
class ScoredChunks:
    """The chunks of a recording, one every hop, scored; silent ones are left out."""

    labels: tuple[str, ...]
    logits: np.ndarray  # float32, shape (chunks, labels)
    first_hops: np.ndarray  # int, shape (chunks,), ascending, the hop that each begins with
    levels_dbfs: np.ndarray  # float64, shape (chunks,), how loud each is
    hops: int  # of the recording
    hops_a_chunk: int
    hop_seconds: float
    open_set: OpenSetDetector | None  # None: nothing is unknown
    odds: np.ndarray | None = None  # float32, shape (chunks, trained labels), where the detector goes by them

    def hop_logits(self) -> np.ndarray:
        """Return the mean logits of the chunks that cover each hop: float32, shape (hops, labels)."""
        return self.mean_over_hops(self.logits)

    def mean_over_hops(self, values: np.ndarray) -> np.ndarray:
        """Return the mean values, shape (chunks, width), of the chunks that cover each hop: float32, (hops, width)."""
        counts = self._over_hops(np.add, np.ones((len(values), 1)))
        return np.asarray(self._over_hops(np.add, values) / np.maximum(counts, 1), np.float32)

    def weights(self, hop_logits: np.ndarray) -> np.ndarray:
        """Return the weight of each label and, with a detector, of unknown: shape (hops, labels or labels + 1)."""
        of_labels = log_softmax(hop_logits)
        if self.open_set is None:
            return of_labels
        scores = self.open_set.chunk_scores(self.open_set.evidence(self.logits, self.odds))[:, None]
        best = np.nan_to_num(self._over_hops(np.fmax, scores, start=np.nan)[:, 0])
        return np.column_stack([of_labels, of_labels.max(axis=1) + self.open_set.threshold(1) - best])

    def stretches(self, path: np.ndarray, open_set: OpenSetDetector) -> list[tuple[int, int]]:
        """Return (first hop, behind the last) of what is to be judged together, by the state of each hop.

        That is one run of the same state, or several parts of it, where the sound changes over within the run.
        """
        places = open_set.space.places(self.logits)
        places = change_points.in_units_of_noise(places, self.first_hops, hops_a_chunk=self.hops_a_chunk)
        middles = np.minimum(self.first_hops + self.hops_a_chunk // 2, self.hops - 1)
        found: list[tuple[int, int]] = []
        for start, end in runs(path):
            first, last = np.searchsorted(middles, [start, end])
            alike = change_points.stretches(places[first:last], hops_a_chunk=self.hops_a_chunk)
            changes = [int(middles[first + behind]) for _, behind in alike[:-1]]
            found += pairwise([start, *changes, end])
        return found

    def judge(self, start: int, end: int, open_set: OpenSetDetector) -> tuple[int, float]:
        """Return the state of a stretch, from one hop to before another, and its score.

        It is judged as a clip of its own is, by the chunks within it, one behind the other. What is shorter than a
        chunk is judged by the chunk that covers it best, with what surrounds it.
        """
        is_within = (self.first_hops >= start) & (self.first_hops < end)
        is_within &= (self.first_hops + self.hops_a_chunk <= end) | (end == self.hops)
        rows = np.flatnonzero(is_within & ((self.first_hops - start) % self.hops_a_chunk == 0))
        if not len(rows):
            middles = self.first_hops + self.hops_a_chunk / 2
            rows = np.array([np.abs(middles - (start + end) / 2).argmin()])
        return self.judge_rows(rows, open_set)

    def judge_rows(self, rows: np.ndarray, open_set: OpenSetDetector) -> tuple[int, float]:
        """Return the state of some chunks, by their row numbers, as those of one clip, and its score."""
        weights = loudness_weights(self.levels_dbfs[rows].tolist())
        nearest = int(pool(log_softmax(self.logits[rows]), weights).argmax())
        odds = None if self.odds is None else self.odds[rows]
        score = open_set.score(open_set.evidence(self.logits[rows], odds), weights)
        return (nearest if score >= open_set.threshold(float(weights.sum())) else len(self.labels)), score

    def _over_hops(self, combine: np.ufunc, values: np.ndarray, *, start: float = 0.0) -> np.ndarray:
        return over_hops(combine, values, self.first_hops, hops=self.hops, hops_a_chunk=self.hops_a_chunk, start=start)


@dataclass(frozen=True, eq=False)
class JudgedHops:
    """The state of each hop, after every stretch was judged."""

    labels: tuple[str, ...]
    logits: np.ndarray  # float32, shape (hops, labels)
    states: np.ndarray  # int, shape (hops,), the index of a label; behind the last, unknown
    scores: np.ndarray | None  # float64, shape (hops,), of the stretch that a hop is in; None without a detector
    hop_seconds: float

    @classmethod
    def of(cls, chunks: ScoredChunks) -> "JudgedHops":
        """Divide a recording into stretches, and judge each."""
        logits = chunks.hop_logits()
        states = likeliest_path(chunks.weights(logits), switch_cost=SWITCH_COST / chunks.hop_seconds)
        scores = None
        if chunks.open_set:
            path, scores = states.copy(), np.zeros(chunks.hops)
            stretches = chunks.stretches(path, chunks.open_set)
            for start, end in stretches:
                states[start:end], scores[start:end] = chunks.judge(start, end, chunks.open_set)
            is_refused = [bool(states[start] == len(chunks.labels)) for start, _ in stretches]
            least_hops = FEWEST_CHUNKS * chunks.hops_a_chunk
            for start, end in short_between_known(stretches, is_refused, least_hops=least_hops):
                states[start:end] = path[start:end]
        return cls(chunks.labels, logits, states, scores, chunks.hop_seconds)

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


def short_between_known(
    stretches: list[tuple[int, int]], is_refused: Sequence[bool], *, least_hops: int
) -> list[tuple[int, int]]:
    """Return the refused stretches of less than `least_hops` that have known ones beside them, and no others."""
    found = []
    for place, (start, end) in enumerate(stretches):
        beside = [*is_refused[max(0, place - 1) : place], *is_refused[place + 1 : place + 2]]
        if is_refused[place] and end - start < least_hops and beside and not any(beside):
            found.append((start, end))
    return found


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


class Hops(Protocol):
    """What `find_spans` needs to know of the hops of a recording: whose each is."""

    @property
    def states(self) -> np.ndarray:
        """A number of each hop, int, shape (hops,), 0 or more."""

    @property
    def hop_seconds(self) -> float:
        """How long a hop is."""

    def span(self, start_seconds: float, end_seconds: float, state: int) -> Span:
        """Return a span of one state."""


def find_spans(hops: Hops, is_silent: np.ndarray, *, seconds: float, min_seconds: float = MIN_SECONDS) -> list[Span]:
    """Turn the state of each hop, and which steps are silent, into spans without gaps."""
    hop_of_step = ((np.arange(len(is_silent)) + 0.5) * STEP_SECONDS / hops.hop_seconds).astype(int)
    states = np.where(is_silent, SILENT, hops.states[np.minimum(hop_of_step, len(hops.states) - 1)])
    states = without_short_runs(states, round(min_seconds / STEP_SECONDS))
    spans = []
    for start, end in runs(states):
        start_seconds, end_seconds = start * STEP_SECONDS, seconds if end == len(states) else end * STEP_SECONDS
        state = int(states[start])
        if state == SILENT:
            spans.append(Span(start_seconds, end_seconds, "silence"))
        else:
            spans.append(hops.span(start_seconds, end_seconds, state))
    return spans


def make_timeline(path: Path, hops: Hops, level_meter: LevelMeter, *, min_seconds: float) -> Timeline:
    """Divide a recording into spans by whose its hops are, and its levels.

    One that is silent throughout, but for what is shorter than `min_seconds`, raises RecordingError.
    """
    is_silent = silent_steps(level_meter.levels)
    spans = find_spans(hops, is_silent, seconds=level_meter.seconds, min_seconds=min_seconds)
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
