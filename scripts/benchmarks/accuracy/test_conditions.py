"""Chunks held out, clean and altered: by noise, filters, rooms and codecs, some of kinds that augmented views have.

What is random depends on the sound, the condition and the seed alone, so that every system is given the same samples,
whatever its pictures look like and whatever else is in the folder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audionet.audio.chunks import filled
from audionet.audio.codecs import missing_codecs
from audionet.data.augmentation import BABBLERS, ChunkFile, View, read_chunk, view_for
from audionet.evaluation.robustness import Condition, ConditionContext
from audionet.features.extraction import NetworkInput, inputs_of
from audionet.features.recipes import Recipe
from audionet.files import sha256_of

VERSION = 1  # goes up by one when a condition comes out otherwise
BABBLE = "babble 15 dB"

SUMMED_CONDITIONS: Mapping[str, Condition] = {
    "clean": Condition("clean", "", None),
    "white noise 20 dB": Condition("white noise", "20 dB", 20),
    "white noise 10 dB": Condition("white noise", "10 dB", 10),
    "random EQ ±8 dB": Condition("random EQ", "±8 dB", 8),
    "EQ and noise 15 dB": Condition("random EQ ±8 dB and white noise", "15 dB", 15),
    "GSM": Condition("codec", "gsm", None, codec="gsm"),
}
"""Their errors are added up: those that the speaker encoder was measured under first."""

OTHER_CONDITIONS: Mapping[str, Condition] = {
    "pink noise 15 dB": Condition("pink noise", "15 dB", 15),
    BABBLE: Condition("babble", "15 dB", 15),
    "room 0.6 s": Condition("room", "0.6 s", 0.6),
    "mu-law": Condition("codec", "mu_law", None, codec="mu_law"),
    "mp3 24 kbit/s": Condition("codec", "mp3_24", None, codec="mp3_24"),
    "clipping 5 %": Condition("clipping", "5%", 0.05),
    "gain -20 dB": Condition("gain", "-20 dB", -20),
    "Opus 7 kbit/s": Condition("codec", "opus", None, codec="opus"),
    "low-pass 2 kHz": Condition("low-pass", "2 kHz", 2_000),
    "a tenth faster": Condition("speed", "×1.1", 1.1),
    "Vorbis 20 kbit/s": Condition("codec", "vorbis", None, codec="vorbis"),
    "one reflection": Condition("reflection", "-2 dB", -2),
    "packets lost 15 %": Condition("packets lost", "15%", 0.15),
    "32 levels": Condition("quantization", "32 levels", 32),
}
"""The last four are of kinds that no view has."""

CONDITIONS = {**SUMMED_CONDITIONS, **OTHER_CONDITIONS}
"""Those of the benchmark of accuracy."""

VERIFICATION_CONDITIONS: Mapping[str, Condition] = {
    "clean": SUMMED_CONDITIONS["clean"],
    "telephone": Condition("telephone band", "", None),
    "pink noise 10 dB": Condition("pink noise", "10 dB", 10),
    "room 0.6 s": OTHER_CONDITIONS["room 0.6 s"],
}
"""Those of the benchmark of verification."""

_ALL_CONDITIONS = {**CONDITIONS, **VERIFICATION_CONDITIONS}


@dataclass(frozen=True)
class AlteredChunk:
    """A chunk under a condition, yet to be made."""

    chunk: ChunkFile
    condition: str  # a name out of `CONDITIONS` or `VERIFICATION_CONDITIONS`
    seed: int
    others: tuple[ChunkFile, ...]  # chunks of other labels to mix in, where the condition needs them
    recipe: Recipe

    @property
    def key(self) -> str:
        """SHA-256 in hexadecimal of all that decides how it comes out."""
        parts = [VERSION, self.condition, self.seed, self.chunk.sha256, *(other.sha256 for other in self.others)]
        return sha256_of("/".join(map(str, ("disturbed", *parts))).encode())


ChunkVariant = View | AlteredChunk


def available_conditions() -> tuple[list[str], dict[str, str]]:
    """Return the conditions that this machine can make, and the reason by name for each of the others."""
    missing = missing_codecs()
    skipped = {name: missing[each.codec] for name, each in CONDITIONS.items() if each.codec in missing}
    return [name for name in CONDITIONS if name not in skipped], skipped


def apply_condition(chunks: Sequence[ChunkFile], condition: str, *, seed: int, recipe: Recipe) -> list[AlteredChunk]:
    """Return chunks under a condition; babble is mixed of those of other labels."""
    return [
        AlteredChunk(chunk, condition, seed, _babblers(chunk, chunks, seed) if condition == BABBLE else (), recipe)
        for chunk in chunks
    ]


def _babblers(chunk: ChunkFile, chunks: Sequence[ChunkFile], seed: int) -> tuple[ChunkFile, ...]:
    others = sorted((other for other in chunks if other.label != chunk.label), key=lambda other: other.sha256)
    rng = np.random.default_rng(int(sha256_of(f"{seed}/{chunk.sha256}".encode())[:16], 16))
    return tuple(others[place] for place in rng.permutation(len(others))[:BABBLERS])


def as_sound(item: AlteredChunk) -> np.ndarray:
    """Return the samples of an altered chunk, float32, shape (chunk_samples,).

    Raises:
        PictureError: a chunk's wav cannot be read.
    """
    recipe = item.recipe
    samples, *others = (read_chunk(chunk, recipe) for chunk in (item.chunk, *item.others))
    key = sha256_of(f"{item.condition}/{item.seed}/".encode() + samples.tobytes())
    rng = np.random.default_rng(int(key[:16], 16))
    altered = _ALL_CONDITIONS[item.condition].alter(samples, ConditionContext(recipe.sample_rate_hz, rng, others))
    return filled(altered, recipe.chunk_samples, sample_rate_hz=recipe.sample_rate_hz, padding=recipe.padding)


def as_inputs(item: ChunkVariant, inputs: Sequence[NetworkInput]) -> list[np.ndarray]:
    """Return a view or an altered chunk as several networks are given it, an array for each; its sound is made once.

    Raises:
        PictureError: a chunk's wav cannot be read.
    """
    return view_for(item, inputs) if isinstance(item, View) else inputs_of(as_sound(item), inputs)
