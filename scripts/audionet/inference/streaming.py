"""Predictions while the sound is still coming in: from a microphone, from another program, or from a file at its pace.

    source -> AudioBlock: samples, and when they were received -> the last chunk -> prediction every hop, with latency

Every source gives the same blocks, so that what is tested on a file is what a microphone meets. Where a source lost
sound, or its clock jumped, the window starts anew behind the gap and the gap is logged; times stay those of the source.
Where scoring cannot keep up, predictions are left out, and those that are made are about sound of two seconds ago at
most. What has been alike since the last change is judged as a clip of its own, known or unknown, as in a timeline; the
first answer therefore rests on little. A stream that ends between two hops gets one prediction more, of its last chunk.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from audionet.audio.chunks import SHORTEST_SECONDS, SILENCE_PEAK, Chunk, filled
from audionet.audio.measurements import chunk_level_dbfs
from audionet.console import log
from audionet.errors import RecordingError
from audionet.features.recipes import Recipe
from audionet.files import printable
from audionet.inference.audio_blocks import GAP_SECONDS, AudioBlock
from audionet.models.answer import UNKNOWN
from audionet.models.classifier import ChunkScores, Classifier
from audionet.models.openset import OpenSetDetector
from audionet.models.pooling import log_softmax, loudness_weights, pool
from audionet.models.timelines.change_points import in_units_of_noise, stretches
from audionet.wording import clock

MOST_BEHIND_SECONDS = 2.0  # what is older is passed over, since an answer about it would come too late
SWITCH_COST = 1.0  # less than a timeline's, which may look ahead
REMEMBERED_SECONDS = 60.0  # of sound that is alike; more hardly changes a verdict


@dataclass(frozen=True)
class StreamPrediction:
    """The prediction for the last chunk of a stream.

    Attributes:
        start_seconds: where the chunk begins, by the clock of the source.
        end_seconds: where it ends.
        label: a label, `unknown`, or nothing for silence.
        probability: of that label in the chunk, or of the nearest one; 0 for silence.
        latency_seconds: from when the last sample was there until the prediction was.
        lost_seconds: how much sound is missing before this chunk.
        score: of one label alone, how usual the sound is since it last changed; else None.
    """

    start_seconds: float
    end_seconds: float
    label: str
    probability: float
    latency_seconds: float
    lost_seconds: float = 0.0
    score: float | None = None

    def sentence(self) -> str:
        """Return the time, the label with its probability, the one label's score or `silence`, and the latency."""
        how_sure = f"{self.probability:.1%}" if self.score is None else f"score {self.score:.1f}"
        what = f"{printable(self.label)}  {how_sure}" if self.label else "silence"
        return f"{clock(self.end_seconds, tenths=True)}  {what}  ({self.latency_seconds * 1000:.0f} ms)"


def stream_predictions(
    classifier: Classifier,
    blocks: Iterable[AudioBlock],
    *,
    hop_seconds: float,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[StreamPrediction]:
    """Yield a prediction for the last chunk every `hop_seconds`.

    Args:
        classifier: one of sound.
        blocks: at the classifier's sample rate, in order.
        hop_seconds: how often, in time of the source.
        now: the clock that `received_at` is read from.

    Raises:
        InputError: the classifier was trained on ordinary pictures.
    """
    recipe = classifier.recipe_for("The sound")
    window = _Window(recipe)
    smoother = StreamSmoother(classifier, hop_seconds=hop_seconds)
    classifier.warm_up()
    due = lost = 0.0
    last: AudioBlock | None = None
    is_new = False
    for block in blocks:
        missing = block.start_seconds - window.end_seconds if last else 0.0
        if abs(missing) > GAP_SECONDS:
            lost += abs(missing)
            window.restart()
            smoother.restart()
        if not window.samples.size:
            due = block.start_seconds + min(hop_seconds, recipe.chunk_seconds)
        window.add(block)
        last, is_new = block, True
        behind = now() - block.received_at
        if window.end_seconds + GAP_SECONDS / 10 < due:
            continue
        due = max(due + hop_seconds, window.end_seconds - hop_seconds)
        if behind > MOST_BEHIND_SECONDS:
            continue  # the blocks that wait are newer
        yield _predict(window, smoother, block, now, lost)
        lost, is_new = 0.0, False
    if last and is_new and window.samples.size >= SHORTEST_SECONDS * recipe.sample_rate_hz:
        yield _predict(window, smoother, last, now, lost)


class _Window:
    """The last chunk of a stream, or what there is of it."""

    def __init__(self, recipe: Recipe):
        self._recipe = recipe
        self.samples = np.empty(0, np.float32)
        self.end_seconds = 0.0

    def restart(self) -> None:
        self.samples = np.empty(0, np.float32)

    def add(self, block: AudioBlock) -> None:
        self.samples = np.concatenate([self.samples, block.samples])[-self._recipe.chunk_samples :]
        self.end_seconds = block.start_seconds + len(block.samples) / self._recipe.sample_rate_hz

    @property
    def start_seconds(self) -> float:
        return self.end_seconds - len(self.samples) / self._recipe.sample_rate_hz

    @property
    def is_silent(self) -> bool:
        return bool(np.abs(self.samples).max() < SILENCE_PEAK)


class StreamSmoother:
    """The path of a timeline as far as it is known, and a verdict on what has been alike since the last change."""

    def __init__(self, classifier: Classifier, *, hop_seconds: float):
        recipe = classifier.recipe_for("The sound")
        self.classifier = classifier
        self._cost = SWITCH_COST / hop_seconds
        self._hops_a_chunk = max(1, round(recipe.chunk_seconds / hop_seconds))
        self._most_chunks = round(REMEMBERED_SECONDS / hop_seconds)
        self.restart()

    def restart(self) -> None:
        """Forget what came before, as behind a silence or a gap."""
        self._best = np.zeros(1)  # one for all states
        self._state = -1
        self._scores: list[ChunkScores] = []  # of the chunks since the state changed, one by one
        self._levels: list[float] = []
        self.score: float | None = None
        """Of what has been alike since the last change, as `OpenSetDetector.score` gives it."""

    def step(self, scores: ChunkScores, level_dbfs: float) -> int:
        """Take the scores of one chunk, and return the state: a label's index; behind the last, unknown."""
        open_set = self.classifier.open_set
        weights = log_softmax(scores.logits[0].astype(np.float64))
        if open_set:
            evidence = open_set.evidence(scores.logits, scores.odds)
            lacking = open_set.threshold(1) - open_set.chunk_scores(evidence)[0]
            weights = np.append(weights, weights.max() + lacking)
        stayed = np.maximum(self._best, np.max(self._best) - self._cost)
        self._best = stayed - np.max(stayed) + weights
        state = int(self._best.argmax())
        if state != self._state:
            self._state, self._scores, self._levels = state, [], []
        self._scores = [*self._scores, scores][-self._most_chunks :]
        self._levels = [*self._levels, level_dbfs][-self._most_chunks :]
        return self._judged(state, open_set) if open_set else state

    def answer(self, samples: np.ndarray) -> tuple[str, str, float]:
        """Return label, or unknown, nearest label and its probability for the last sound, which is not silent.

        Samples are float32, shape (n,), n at most that of a chunk, at the rate of the classifier's recipe.
        """
        recipe = self.classifier.recipe_for("The sound")
        rate_hz = recipe.sample_rate_hz
        whole = filled(samples, recipe.chunk_samples, sample_rate_hz=rate_hz, padding=recipe.padding)
        chunk = Chunk(0, 0.0, whole, len(samples) / rate_hz, rate_hz)
        ((_, scores),) = self.classifier.scores_by_batch([chunk])
        probabilities = np.exp(log_softmax(scores.logits[0]))
        state = self.step(scores, chunk_level_dbfs(chunk))
        is_known = state < len(self.classifier.labels)
        nearest = state if is_known else int(probabilities.argmax())
        label = self.classifier.labels[nearest]
        return label if is_known else UNKNOWN, label, float(probabilities[nearest])

    def _judged(self, state: int, open_set: OpenSetDetector) -> int:
        """Judge what is alike up to now as a clip of its own is, as `ScoredChunks.judge` does in a timeline."""
        scores, hops = ChunkScores.joined(self._scores), np.arange(len(self._scores))
        places = in_units_of_noise(open_set.space.places(scores.logits), hops, hops_a_chunk=self._hops_a_chunk)
        first, end = stretches(places, hops_a_chunk=self._hops_a_chunk)[-1]
        rows = hops[first:end][:: -self._hops_a_chunk]  # one behind the other, the last one among them
        loudness = loudness_weights([self._levels[row] for row in rows])
        self.score = open_set.score(open_set.evidence(scores.logits, scores.odds)[rows], loudness)
        if self.score < open_set.threshold(float(loudness.sum())):
            return len(self.classifier.labels)
        if state < len(self.classifier.labels):
            return state
        return int(pool(log_softmax(scores.logits[rows]), loudness).argmax())


def _predict(
    window: _Window, smoother: StreamSmoother, block: AudioBlock, now: Callable[[], float], lost: float
) -> StreamPrediction:
    label, probability, score = "", 0.0, None
    if window.is_silent:
        smoother.restart()
    else:
        label, _, probability = smoother.answer(window.samples)
        score = smoother.score if smoother.classifier.has_one_class else None
    return StreamPrediction(
        window.start_seconds, window.end_seconds, label, probability, max(0.0, now() - block.received_at), lost, score
    )


def latency_summary(seconds: Iterable[float]) -> str:
    """Word how long predictions, at least one, took: `latency 45 ms in the middle, 80 ms at most, of 120 decisions`."""
    sorted_ms = sorted(1000 * one for one in seconds)
    middle = sorted_ms[math.floor((len(sorted_ms) - 1) / 2)]
    return f"latency {middle:.0f} ms in the middle, {sorted_ms[-1]:.0f} ms at most, of {len(sorted_ms)} decisions"


def print_stream(classifier: Classifier, blocks: Iterable[AudioBlock], *, name: str, hop_seconds: float) -> bool:
    """Print the predictions for a source as they are made, log their latencies, and return whether it could be read."""
    log(f"Listening to {name}.")
    latencies: list[float] = []
    try:
        for prediction in stream_predictions(classifier, blocks, hop_seconds=hop_seconds):
            latencies.append(prediction.latency_seconds)
            if prediction.lost_seconds:
                log(f"{prediction.lost_seconds:.1f} s of sound are missing before {clock(prediction.end_seconds)}.")
            print(prediction.sentence(), flush=True)
    except RecordingError as error:
        log(f"Set aside: {error}")
        return False
    finally:  # also when the user ends it
        if latencies:
            log(f"{name}: {latency_summary(latencies)}.")
    if not latencies:
        log(f"{name} is too short for a decision.")
    return True
