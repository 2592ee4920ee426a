"""Spoken words, made by espeak-ng in many voices: a stand-in for Speech Commands where that cannot be fetched.

    folder/yes/annie_nohash_0.wav    16 kHz, 1 s, as Speech Commands has it: the speaker precedes _nohash_

A speaker is one of espeak-ng's voice variants with an accent, a pitch and a speed of his own, from which each take
strays a little. Every clip has another loudness, another beginning, and noise.
"""

import io
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import soxr

from audionet.audio.effects import Color, add_noise
from audionet.audio.writing import write_wav
from audionet.console import progress_bar
from audionet.errors import InputError
from audionet.files import mark_folder, read_mark, whole_folder
from audionet.parallel import process_pool

WORDS = ("down", "go", "left", "no", "right", "stop", "up", "yes")
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-029", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
NOT_A_VOICE = re.compile("robo|whisper|croak|demonic|announcer|fast|unirobot", re.IGNORECASE)
COLORS: tuple[Color, ...] = ("white", "pink", "brown")
RATE_HZ = 16_000
KIND = "words"
VERSION = 2  # goes up by one when clips come out otherwise


@dataclass(frozen=True)
class _Utterance:
    word: str
    variant: str
    take: int
    seed: int


def speak_words(folder: Path, *, speakers: int, takes: int, seed: int = 0) -> None:
    """Fill a folder, new or made here, with WORDS, each said `takes` times by every speaker, unless it holds them.

    Raises:
        InputError: espeak-ng is not installed, or has fewer voices.
    """
    about = {"speakers": speakers, "takes": takes, "seed": seed, "version": VERSION}
    if (read_mark(folder) or {}) == {"kind": KIND, **about}:
        return
    if shutil.which("espeak-ng") is None:
        raise InputError(
            "The words are spoken by the program espeak-ng, which is not installed. Install it (Debian: apt-get "
            "install espeak-ng; macOS: brew install espeak-ng), or name a folder of recordings with --audio_dir."
        )
    variants = _variants()
    if len(variants) < speakers:
        raise InputError(
            f"--speakers: expected {len(variants)} at most, as many as espeak-ng has, received {speakers}."
        )
    chosen = np.random.default_rng(seed).permutation(variants)[:speakers]
    utterances = [
        _Utterance(word, str(variant), take, seed) for word in WORDS for variant in chosen for take in range(takes)
    ]
    with whole_folder(folder) as scratch, process_pool(2) as pool:
        for word in WORDS:
            (scratch / word).mkdir()
        with progress_bar(total=len(utterances), description="Speaking", unit="words") as bar:
            for _ in pool.map(partial(_write, folder=scratch), utterances, chunksize=16):
                bar.update()
        mark_folder(scratch, KIND, **about)


def _variants() -> list[str]:
    listing = _run_espeak("--voices=variant").decode(errors="replace")
    files = re.findall(r"!v/(\S+)", listing)
    return sorted(name for name in set(files) if not NOT_A_VOICE.search(name))


def _write(utterance: _Utterance, *, folder: Path) -> None:
    name = f"{utterance.variant.lower()}_nohash_{utterance.take}.wav"
    write_wav(folder / utterance.word / name, spoken(utterance), sample_rate_hz=RATE_HZ)


def spoken(utterance: _Utterance) -> np.ndarray:
    """Return a word as somebody says it, float32, shape (16000,), in -1..1."""
    key = f"{utterance.seed}/{utterance.variant}"
    habits = np.random.default_rng(list(key.encode()))
    accent, pitch, words_a_minute = str(habits.choice(ACCENTS)), habits.uniform(20, 80), habits.uniform(120, 210)
    rng = np.random.default_rng(list(f"{key}/{utterance.word}/{utterance.take}".encode()))
    wav = _run_espeak(
        *("-v", f"{accent}+{utterance.variant}", "--stdout", utterance.word),
        *("-p", str(round(np.clip(pitch + rng.normal(0, 6), 0, 99)))),
        *("-s", str(round(words_a_minute * rng.uniform(0.85, 1.15)))),
    )
    samples, rate_hz = soundfile.read(io.BytesIO(wav), dtype="float32")
    audible = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    voice = soxr.resample(samples[audible[0] : audible[-1] + 1], rate_hz, RATE_HZ)[:RATE_HZ]
    start = rng.integers(RATE_HZ - len(voice) + 1)
    clip = np.zeros(RATE_HZ, np.float32)
    clip[start : start + len(voice)] = voice
    noisy = add_noise(clip, snr_db=rng.uniform(10, 30), rng=rng, color=COLORS[rng.integers(len(COLORS))])
    return np.asarray(noisy / np.abs(noisy).max() * 10 ** (rng.uniform(-20, -1) / 20), np.float32)


def _run_espeak(*arguments: str) -> bytes:
    return subprocess.run(["espeak-ng", *arguments], capture_output=True, check=True).stdout
