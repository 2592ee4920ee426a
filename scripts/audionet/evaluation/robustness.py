"""Robustness: accuracy under noise, rooms, codecs and other conditions."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audionet.audio.codecs import through_codec
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
