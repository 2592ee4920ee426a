"""Robustness: accuracy under noise, rooms, codecs and other conditions."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from audionet.audio import decoding
from audionet.audio.chunks import SILENCE_PEAK, cut
from audionet.audio.codecs import missing_codecs, through_codec
from audionet.audio.effects import (
    _float32,
    add_babble,
    add_noise,
    add_swelling_noise,
    add_tones,
    amplify,
    change_speed,
    change_tempo,
    clip,
    equalize,
    lose_packets,
    low_pass,
    overdrive,
    reverberate,
    telephone_band,
)
from audionet.audio.measurements import level_dbfs
from audionet.errors import InputError, RecordingError
from audionet.evaluation.evaluate import ScoredRecording, accuracies
from audionet.evaluation.scoring import (
    drawn_jpg,
    read_source_chunks,
)
from audionet.evaluation.test_set import (
    Source,
)
from audionet.features.image_io import decode_picture
from audionet.features.recipes import Recipe
from audionet.files import sha256_of
from audionet.models.classifier import Classifier
from audionet.parallel import side_by_side


@dataclass(frozen=True)
class Circumstances:
    """What a condition may draw upon.

    Attributes:
        sample_rate_hz: of the clip.
        rng: for whatever is random.
        others: clips of other labels, for babble.
    """

    sample_rate_hz: int
    rng: np.random.Generator
    others: Sequence[np.ndarray] = ()


Alter = Callable[[np.ndarray, Circumstances], np.ndarray]


@dataclass(frozen=True)
class Condition:
    """One column of the sweep.

    Attributes:
        family: what is done, such as `white noise`.
        level: how much of it, for a table, such as `10 dB`.
        strength: the same as a number, for a plot; None where there is no more or less.
        alter: takes a clip and its circumstances, gives the altered clip, which may be of another length.
        codec: the codec that it needs, if any.
        clip_seconds: cut recordings into clips of this length first; None for chunks as they are.
        changes_length: alter a recording as a whole and cut it then.
    """

    family: str
    level: str
    strength: float | None
    alter: Alter
    codec: str | None = None
    clip_seconds: float | None = None
    changes_length: bool = False

    @property
    def name(self) -> str:
        """Family and level, which no other condition has."""
        return f"{self.family} {self.level}".strip()


def _with(function: Callable[..., np.ndarray], **settings: object) -> Alter:
    """Settle a function's settings; the rest of what it takes comes from the circumstances."""
    rest = [name for name in inspect.signature(function).parameters if name in Circumstances.__annotations__]

    def alter(samples: np.ndarray, at: Circumstances) -> np.ndarray:
        return function(samples, **settings, **{name: getattr(at, name) for name in rest})

    return alter


def _equalize_and_add_noise(
    samples: np.ndarray, *, sample_rate_hz: int, depth_db: float, snr_db: float, rng: np.random.Generator
) -> np.ndarray:
    equalized = equalize(samples, sample_rate_hz=sample_rate_hz, depth_db=depth_db, rng=rng)
    return add_noise(equalized, snr_db=snr_db, rng=rng)


def _sweep() -> Iterator[Condition]:
    yield Condition("clean", "", None, _with(_float32))
    for color in ("white", "pink"):
        for snr_db in (20, 10, 5, 0):
            yield Condition(f"{color} noise", f"{snr_db} dB", snr_db, _with(add_noise, color=color, snr_db=snr_db))
    for snr_db in (20, 10, 5):
        yield Condition("babble", f"{snr_db} dB", snr_db, _with(add_babble, snr_db=snr_db))
    yield Condition("swelling noise", "10 dB", 10, _with(add_swelling_noise, snr_db=10))
    yield Condition("tones", "10 dB", 10, _with(add_tones, snr_db=10))
    for depth_db in (4, 8, 12):
        yield Condition("random EQ", f"±{depth_db} dB", depth_db, _with(equalize, depth_db=depth_db))
    both = _with(_equalize_and_add_noise, depth_db=8, snr_db=15)
    yield Condition("random EQ ±8 dB and white noise", "15 dB", 15, both)
    for cutoff_hz in (4_000, 2_000):
        yield Condition("low-pass", f"{cutoff_hz / 1000:g} kHz", cutoff_hz, _with(low_pass, cutoff_hz=cutoff_hz))
    yield Condition("telephone band", "", None, _with(telephone_band))
    for rt60_seconds in (0.3, 0.6, 1.2):
        room = _with(reverberate, rt60_seconds=rt60_seconds)
        yield Condition("room", f"{rt60_seconds:g} s", rt60_seconds, room)
    for codec in ("gsm", "mu_law", "adpcm", "mp3_24", "mp3_16", "opus"):
        yield Condition("codec", codec, None, _with(through_codec, codec=codec), codec=codec)
    for gain_db in (-40, -20, 20):
        yield Condition("gain", f"{gain_db:+d} dB", gain_db, _with(amplify, gain_db=gain_db))
    for share in (0.01, 0.05, 0.2):
        yield Condition("clipping", f"{share:.0%}", share, _with(clip, share=share))
    yield Condition("overdrive", "20 dB", 20, _with(overdrive, gain_db=20))
    yield Condition("packets lost", "15%", 0.15, _with(lose_packets, share=0.15))
    for factor in (0.9, 0.95, 1.05, 1.1):
        yield Condition("speed", f"×{factor:g}", factor, _with(change_speed, factor=factor), changes_length=True)
    for factor in (0.8, 1.25):
        yield Condition("tempo", f"×{factor:g}", factor, _with(change_tempo, factor=factor), changes_length=True)
    for seconds in (1.0, 0.5, 0.25):
        yield Condition("short clips", f"{seconds:g} s", seconds, _with(_float32), clip_seconds=seconds)


SWEEP = tuple(_sweep())


SWEPT_CHUNKS = 20  # of each recording: 40 s of 2 s chunks

BABBLE_CLIPS = 12


@dataclass(frozen=True)
class _Swept:
    source: Source
    recipe: Recipe
    conditions: tuple[str, ...]
    babble: tuple[np.ndarray, ...]


def sweep(
    classifier: Classifier, sources: Sequence[Source], *, jobs: int | None = None, seed: int = 0
) -> tuple[list[dict], dict[str, str]]:
    """Score recordings under every condition there is, the first 20 chunks of each.

    Args:
        classifier: what to score with.
        sources: recordings; those of labels that the classifier does not know are left out.
        jobs: how many processes read and draw.
        seed: of the intervals; what is random in a condition depends on the recording and the condition alone.

    Returns:
        A list of `name`, `family`, `level`, `strength`, and `chunk` and `recording` with `n`, `accuracy` and `ci95`,
        the first of which is `clean`; and the reason by name of each condition that this machine cannot make.

    Raises:
        InputError: there is no recording of a known label.
    """
    known = [
        source for source in sources if source.label in classifier.labels and decoding.is_recording(source.paths[0])
    ]
    if not known or classifier.recipe is None:
        raise InputError("--sweep: expected recordings of labels that the classifier knows; name them by --audio_dir.")
    missing = missing_codecs()
    skipped = {condition.name: missing[condition.codec] for condition in SWEEP if condition.codec in missing}
    conditions = [condition for condition in SWEEP if condition.name not in skipped]
    babble = _babble_clips(known, classifier.recipe)
    tasks = [
        _Swept(
            source,
            classifier.recipe,
            tuple(condition.name for condition in conditions),
            tuple(clip for label, clip in babble if label != source.label),
        )
        for source in known
    ]
    scored: dict[str, list[ScoredRecording]] = {condition.name: [] for condition in conditions}
    for task, drawn in side_by_side(_draw_swept, tasks, description="Sweeping", jobs=jobs):
        if isinstance(drawn, str):
            continue  # it was named when it was scored as it is
        logits = classifier.logits([decode_picture(content) for clips in drawn.values() for content, _ in clips])
        parts = np.split(logits, np.cumsum([len(clips) for clips in drawn.values()])[:-1])
        for (name, clips), rows in zip(drawn.items(), parts, strict=True):
            if len(rows):
                levels = tuple(level for _, level in clips)
                scored[name].append(ScoredRecording(task.source.recording, task.source.label, rows, levels_dbfs=levels))
    return [_summary(condition, scored[condition.name], classifier.labels, seed) for condition in conditions], skipped


def _summary(condition: Condition, scored: Sequence[ScoredRecording], labels: Sequence[str], seed: int) -> dict:
    return {
        "name": condition.name,
        "family": condition.family,
        "level": condition.level,
        "strength": condition.strength,
        **accuracies(scored, labels, seed=seed),
    }


def _babble_clips(sources: Sequence[Source], recipe: Recipe) -> list[tuple[str, np.ndarray]]:
    """Return a chunk of a recording of each label, a dozen at most, spread over the labels."""
    first = {source.label: source for source in reversed(sources)}
    labels = sorted(first)
    clips = []
    for label in labels[:: max(1, len(labels) // BABBLE_CLIPS)][:BABBLE_CLIPS]:
        try:
            chunk = next(read_source_chunks(first[label], recipe), None)
        except RecordingError:
            continue
        if chunk is not None:
            clips.append((label, chunk.sound))
    return clips


def _draw_swept(task: _Swept) -> dict[str, list[tuple[bytes, float]]] | str:
    """Return the pictures of a recording under each condition with their levels, or the reason why there are none."""
    recipe = task.recipe
    try:
        sounds = [chunk.sound for chunk in islice(read_source_chunks(task.source, recipe), SWEPT_CHUNKS)]
    except RecordingError as error:
        return str(error)
    by_name = {condition.name: condition for condition in SWEEP}
    drawn = {}
    for name in task.conditions:
        key = sha256_of(f"{name}/{task.source.recording}".encode("utf-8", "surrogateescape"))
        at = Circumstances(recipe.sample_rate_hz, np.random.default_rng(int(key[:16], 16)), task.babble)
        clips = altered_clips(sounds, by_name[name], at, chunk_samples=recipe.chunk_samples)
        drawn[name] = [
            (
                drawn_jpg(np.resize(clip, recipe.chunk_samples), recipe),
                level_dbfs(clip, sample_rate_hz=at.sample_rate_hz),
            )
            for clip in clips
        ]
    return drawn


def altered_clips(
    sounds: Sequence[np.ndarray], condition: Condition, at: Circumstances, *, chunk_samples: int
) -> list[np.ndarray]:
    """Return a recording's chunks under a condition, without the repetition that fills a short one.

    Args:
        sounds: its chunks, float32, each of shape (n,).
        condition: what to do to them.
        at: the circumstances.
        chunk_samples: length of a chunk.
    """
    if condition.clip_seconds:
        length = min(round(condition.clip_seconds * at.sample_rate_hz), chunk_samples)
        return [condition.alter(clip, at) for clip in cut(sounds, length) if _is_sound(clip)]
    if condition.changes_length:
        altered = condition.alter(np.concatenate(sounds), at)
        return [clip for clip in cut([altered], chunk_samples) if _is_sound(clip)]
    return [condition.alter(sound, at) for sound in sounds]


def _is_sound(clip: np.ndarray) -> bool:
    return len(clip) > 0 and float(np.abs(clip).max()) >= SILENCE_PEAK
