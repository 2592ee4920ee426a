"""Robustness: accuracy under noise, rooms, codecs and other conditions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from audionet.audio import decoding, effects
from audionet.audio.chunks import SILENCE_PEAK, cut
from audionet.audio.codecs import missing_codecs, through_codec
from audionet.audio.measurements import level_dbfs
from audionet.errors import InputError, RecordingError
from audionet.evaluation.closed_set import accuracies
from audionet.evaluation.scored_recording import ScoredRecording
from audionet.evaluation.test_set import Source
from audionet.features.extraction import NetworkInput, chunks_by_recipe, inputs_of
from audionet.features.recipes import Recipe
from audionet.files import sha256_of
from audionet.models.classifier import Classifier
from audionet.parallel import side_by_side


@dataclass(frozen=True)
class ConditionContext:
    """What a condition needs besides the clip."""

    sample_rate_hz: int  # of the clip
    rng: np.random.Generator  # for whatever is random
    others: Sequence[np.ndarray] = ()  # clips of other labels, for babble


@dataclass(frozen=True)
class Condition:
    """One column of the sweep."""

    family: str  # what is done, such as `white noise`; one of `EFFECTS`, or `codec`
    level: str  # how much of it, for a table, such as `10 dB`
    strength: float | None  # the same as a number, for the effect and a plot; None where there is no more or less
    codec: str | None = None  # that it needs, if any
    clip_seconds: float | None = None  # cut recordings into clips of this length first; None for chunks as they are
    changes_length: bool = False  # alter a recording as a whole and cut it then

    @property
    def name(self) -> str:
        """Family and level, which no other condition has."""
        return f"{self.family} {self.level}".strip()

    def alter(self, samples: np.ndarray, context: ConditionContext) -> np.ndarray:
        """Return a clip, float32, shape (n,), under this condition; it may be of another length."""
        if self.codec is not None:
            return through_codec(samples, sample_rate_hz=context.sample_rate_hz, codec=self.codec)
        return EFFECTS[self.family](samples, self.strength or 0.0, context)


EFFECTS: Mapping[str, Callable[[np.ndarray, float, ConditionContext], np.ndarray]] = {
    "clean": lambda clip, _, at: effects.as_float32(clip),
    "white noise": lambda clip, snr_db, at: effects.add_noise(clip, snr_db=snr_db, rng=at.rng),
    "pink noise": lambda clip, snr_db, at: effects.add_noise(clip, snr_db=snr_db, rng=at.rng, color="pink"),
    "babble": lambda clip, snr_db, at: effects.add_babble(clip, snr_db=snr_db, others=at.others, rng=at.rng),
    "swelling noise": lambda clip, snr_db, at: effects.add_swelling_noise(
        clip, sample_rate_hz=at.sample_rate_hz, snr_db=snr_db, rng=at.rng
    ),
    "tones": lambda clip, snr_db, at: effects.add_tones(
        clip, sample_rate_hz=at.sample_rate_hz, snr_db=snr_db, rng=at.rng
    ),
    "random EQ": lambda clip, depth_db, at: effects.equalize(
        clip, sample_rate_hz=at.sample_rate_hz, depth_db=depth_db, rng=at.rng
    ),
    "random EQ ±8 dB and white noise": lambda clip, snr_db, at: effects.add_noise(
        effects.equalize(clip, sample_rate_hz=at.sample_rate_hz, depth_db=8, rng=at.rng), snr_db=snr_db, rng=at.rng
    ),
    "low-pass": lambda clip, hertz, at: effects.low_pass(clip, sample_rate_hz=at.sample_rate_hz, cutoff_hz=hertz),
    "telephone band": lambda clip, _, at: effects.telephone_band(clip, sample_rate_hz=at.sample_rate_hz),
    "room": lambda clip, seconds, at: effects.reverberate(
        clip, sample_rate_hz=at.sample_rate_hz, rt60_seconds=seconds, rng=at.rng
    ),
    "gain": lambda clip, gain_db, at: effects.amplify(clip, gain_db=gain_db),
    "clipping": lambda clip, share, at: effects.clip(clip, share=share),
    "overdrive": lambda clip, gain_db, at: effects.overdrive(clip, gain_db=gain_db),
    "packets lost": lambda clip, share, at: effects.lose_packets(
        clip, sample_rate_hz=at.sample_rate_hz, share=share, rng=at.rng
    ),
    "speed": lambda clip, factor, at: effects.change_speed(clip, factor=factor),
    "tempo": lambda clip, factor, at: effects.change_tempo(clip, sample_rate_hz=at.sample_rate_hz, factor=factor),
    "reflection": lambda clip, gain_db, at: effects.reflect(
        clip, sample_rate_hz=at.sample_rate_hz, delay_seconds=at.rng.uniform(0.0005, 0.005), gain_db=gain_db
    ),
    "quantization": lambda clip, levels, at: effects.quantize(clip, levels=round(levels)),
    "short clips": lambda clip, _, at: effects.as_float32(clip),
}
"""What is done by family, given a clip, the strength and the context."""

SWEEP = (
    Condition("clean", "", None),
    *(Condition("white noise", f"{snr_db} dB", snr_db) for snr_db in (20, 10, 5, 0)),
    *(Condition("pink noise", f"{snr_db} dB", snr_db) for snr_db in (20, 10, 5, 0)),
    *(Condition("babble", f"{snr_db} dB", snr_db) for snr_db in (20, 10, 5)),
    Condition("swelling noise", "10 dB", 10),
    Condition("tones", "10 dB", 10),
    *(Condition("random EQ", f"±{depth_db} dB", depth_db) for depth_db in (4, 8, 12)),
    Condition("random EQ ±8 dB and white noise", "15 dB", 15),
    *(Condition("low-pass", f"{hertz / 1000:g} kHz", hertz) for hertz in (4_000, 2_000)),
    Condition("telephone band", "", None),
    *(Condition("room", f"{seconds:g} s", seconds) for seconds in (0.3, 0.6, 1.2)),
    *(Condition("codec", name, None, codec=name) for name in ("gsm", "mu_law", "adpcm", "mp3_24", "mp3_16", "opus")),
    *(Condition("gain", f"{gain_db:+d} dB", gain_db) for gain_db in (-40, -20, 20)),
    *(Condition("clipping", f"{share:.0%}", share) for share in (0.01, 0.05, 0.2)),
    Condition("overdrive", "20 dB", 20),
    Condition("packets lost", "15%", 0.15),
    *(Condition("speed", f"×{factor:g}", factor, changes_length=True) for factor in (0.9, 0.95, 1.05, 1.1)),
    *(Condition("tempo", f"×{factor:g}", factor, changes_length=True) for factor in (0.8, 1.25)),
    *(Condition("short clips", f"{seconds:g} s", seconds, clip_seconds=seconds) for seconds in (1.0, 0.5, 0.25)),
)

SWEPT_CHUNKS = 20  # of each recording: 40 s of 2 s chunks
BABBLE_CLIPS = 12


@dataclass(frozen=True)
class _Swept:
    source: Source
    recipe: Recipe
    inputs: tuple[NetworkInput, ...]  # of the members
    conditions: tuple[Condition, ...]
    babble: tuple[np.ndarray, ...]


def sweep(
    classifier: Classifier, sources: Sequence[Source], *, jobs: int | None = None, seed: int = 0
) -> tuple[list[dict[str, Any]], dict[str, str]]:
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
    conditions = tuple(condition for condition in SWEEP if condition.name not in skipped)
    babble = _babble_clips(known, classifier.recipe)
    tasks = [
        _Swept(source, classifier.recipe, classifier.inputs, conditions, _of_others(babble, source.label))
        for source in known
    ]
    scored: dict[str, list[ScoredRecording]] = {condition.name: [] for condition in conditions}
    for task, drawn in side_by_side(_draw_swept, tasks, description="Sweeping", jobs=jobs):
        if isinstance(drawn, str):
            continue  # it was named when it was scored as it is
        logits = classifier.logits([given for clips in drawn.values() for given, _ in clips])
        parts = np.split(logits, np.cumsum([len(clips) for clips in drawn.values()])[:-1])
        for (name, clips), rows in zip(drawn.items(), parts, strict=True):
            if len(rows):
                levels = tuple(level for _, level in clips)
                source = task.source
                scored[name].append(
                    ScoredRecording(source.recording, source.label, rows, levels_dbfs=levels, group=source.group)
                )
    return [_summary(condition, scored[condition.name], classifier.labels, seed) for condition in conditions], skipped


def _summary(
    condition: Condition, scored: Sequence[ScoredRecording], labels: Sequence[str], seed: int
) -> dict[str, Any]:
    return {
        "name": condition.name,
        "family": condition.family,
        "level": condition.level,
        "strength": condition.strength,
        **accuracies(scored, labels, seed=seed),
    }


def _of_others(babble: Sequence[tuple[str, np.ndarray]], label: str) -> tuple[np.ndarray, ...]:
    return tuple(clip for of, clip in babble if of != label)


def _babble_clips(sources: Sequence[Source], recipe: Recipe) -> list[tuple[str, np.ndarray]]:
    """Return a chunk of a recording of each label, a dozen at most, spread over the labels."""
    first = {source.label: source for source in reversed(sources)}
    labels = sorted(first)
    clips = []
    for label in labels[:: max(1, len(labels) // BABBLE_CLIPS)][:BABBLE_CLIPS]:
        try:
            chunk = next(chunks_by_recipe(first[label].paths[0], recipe), None)
        except RecordingError:
            continue
        if chunk is not None:
            clips.append((label, chunk.sound))
    return clips


def _draw_swept(task: _Swept) -> dict[str, list[tuple[list[np.ndarray], float]]] | str:
    """Return what members are given of a recording under each condition, with levels, or why there is none."""
    recipe = task.recipe
    try:
        sounds = [chunk.sound for chunk in islice(chunks_by_recipe(task.source.paths[0], recipe), SWEPT_CHUNKS)]
    except RecordingError as error:
        return str(error)
    drawn = {}
    for condition in task.conditions:
        key = sha256_of(f"{condition.name}/{task.source.recording}".encode("utf-8", "surrogateescape"))
        context = ConditionContext(recipe.sample_rate_hz, np.random.default_rng(int(key[:16], 16)), task.babble)
        clips = altered_clips(sounds, condition, context, chunk_samples=recipe.chunk_samples)
        drawn[condition.name] = [
            (
                inputs_of(np.resize(clip, recipe.chunk_samples), task.inputs),
                level_dbfs(clip, sample_rate_hz=recipe.sample_rate_hz),
            )
            for clip in clips
        ]
    return drawn


def altered_clips(
    sounds: Sequence[np.ndarray], condition: Condition, context: ConditionContext, *, chunk_samples: int
) -> list[np.ndarray]:
    """Return a recording's chunks, float32, each of shape (n,), under a condition, without what fills a short one."""
    if condition.clip_seconds:
        length = min(round(condition.clip_seconds * context.sample_rate_hz), chunk_samples)
        return [condition.alter(clip, context) for clip in cut(sounds, length) if _is_sound(clip)]
    if condition.changes_length:
        altered = condition.alter(np.concatenate(sounds), context)
        return [clip for clip in cut([altered], chunk_samples) if _is_sound(clip)]
    return [condition.alter(sound, context) for sound in sounds]


def _is_sound(clip: np.ndarray) -> bool:
    return len(clip) > 0 and float(np.abs(clip).max()) >= SILENCE_PEAK
