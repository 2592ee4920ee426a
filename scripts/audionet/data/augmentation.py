"""Augmented views: the same chunk as another microphone, room, line or street would have delivered it.

A head that is trained on clean sound alone takes the noise for the voice. Each chunk is therefore trained on as a few
views too, whose bottlenecks are cached like any other. They are broad on purpose: not made for one benchmark, and each
the same again for the same chunk, number and seed. The kinds take turns:

    1  sometimes faster or slower; another frequency response, and white noise
    2  a room, sometimes distortion; another frequency response, sometimes white noise, and sometimes a codec
    3  sometimes a narrow band; another frequency response, sometimes noise, and a codec
    4  sometimes a room; another frequency response, and babble, tones, or noise of any colour that may swell
    5  higher or lower, or another tempo; another frequency response; a band of frequencies and a stretch of time of the
       picture are covered

The fifth is for those who ask for more than the four of the default, as it does least for recordings of other rooms and
lines. Chunks that are short enough to hold one word each have half as many views more, of a kind that model selection
may leave out: it helps to tell words of unknown voices apart, and makes voices harder to tell apart.

    -  faster or slower, by up to a quarter; another frequency response

Source of the covers: D. Park et al., "SpecAugment", Interspeech 2019.
"""

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from audionet.audio import effects
from audionet.audio.chunks import WORD_SECONDS, Chunk, filled
from audionet.audio.codecs import missing_codecs, through_codec
from audionet.audio.decoding import read_wav
from audionet.errors import PictureError, RecordingError
from audionet.features.extraction import NetworkInput, served_picture
from audionet.features.recipes import Recipe
from audionet.files import sha256_of

VERSION = 3  # goes up by one when views come out otherwise
BABBLERS = 6
EQUALIZER_DB = 8.0
SPEED_RANGE = 0.12  # as a logarithm: a tenth or so faster or slower
SPEAKING_RATE_RANGE = 0.22  # the same for words
TEMPO_RANGE = 0.25  # the same at one pitch
PITCH_SEMITONES = 2.0
VOICE_RATE_HZ = 32_000  # sound of a higher rate is no voice, and no codec of telephones would leave anything of it
WIDEST_MASK = 0.15  # of the picture's height, and of its width
TELEPHONE_CODECS = ("gsm", "mu_law", "adpcm", "opus")
COLORS: tuple[effects.Color, ...] = ("white", "pink", "brown")


@dataclass(frozen=True)
class ChunkFile:
    """A chunk kept as wav beside its picture."""

    wav: Path
    seconds: float  # how much of it is not repetition
    sha256: str  # of its picture, which stands for its content and its recipe
    label: str


@dataclass(frozen=True)
class ViewKind:
    """One kind of views."""

    name: str
    # Takes samples, their rate, other chunks and a generator, and gives the altered samples.
    alter: Callable[[np.ndarray, int, Sequence[np.ndarray], np.random.Generator], np.ndarray]
    needs_others: bool = False  # whether it mixes in other chunks
    is_masked: bool = False  # whether a band and a stretch of its picture are covered
    is_optional: bool = False  # whether model selection may leave it out


@dataclass(frozen=True)
class View:
    """A view that is yet to be made."""

    chunk: ChunkFile
    number: int  # which view of the chunk, from 0
    seed: int  # another seed, another view
    others: tuple[ChunkFile, ...]  # chunks of other labels to mix in, where the kind needs them
    recipe: Recipe
    kind: ViewKind  # what is done to the chunk

    @property
    def key(self) -> str:
        """SHA-256 in hexadecimal of all that decides how the view comes out."""
        parts = [VERSION, self.number, self.seed, self.chunk.sha256, *(other.sha256 for other in self.others)]
        if self.kind.is_optional:
            parts.append(self.kind.name)
        return sha256_of("/".join(map(str, ("view", *parts))).encode())


def plan_views(chunks: Sequence[ChunkFile], *, count: int, seed: int, recipe: Recipe) -> list[list[View]]:
    """Return views for each chunk, each the same again whatever else is among the chunks, or nearly so.

    There are `count` of them, and of words half as many more, those that are optional.

    Chunks are of training recordings only, since they are mixed into one another, and were drawn by the recipe.
    """
    ring = sorted(chunks, key=lambda chunk: chunk.sha256)
    places = [chunk.sha256 for chunk in ring]
    kinds = kinds_of(count, recipe)
    return [
        [
            View(chunk, number, seed, _others(kind, chunk, number, seed, ring, places), recipe, kind)
            for number, kind in enumerate(kinds)
        ]
        for chunk in chunks
    ]


def _others(
    kind: ViewKind, chunk: ChunkFile, number: int, seed: int, ring: Sequence[ChunkFile], places: Sequence[str]
) -> tuple[ChunkFile, ...]:
    if not kind.needs_others:
        return ()
    # Whoever follows on the ring is the same after most additions, so that cached views stay valid.
    start = bisect.bisect(places, sha256_of(f"{seed}/{number}/{chunk.sha256}".encode()))
    following = (ring[(start + step) % len(ring)] for step in range(len(ring)))
    return tuple(islice((other for other in following if other.label != chunk.label), BABBLERS))


def draw_view(view: View) -> np.ndarray:
    """Return the picture of a view, uint8, shape (picture_height, picture_width, 3).

    Raises:
        PictureError: a chunk's wav cannot be read.
    """
    return _drawn(view, sound_of(view), view.recipe)


def view_for(view: View, inputs: Sequence[NetworkInput]) -> list[np.ndarray]:
    """Return a view as several networks are given it, an array for each; its sound is made once.

    Raises:
        PictureError: a chunk's wav cannot be read.
    """
    sound = sound_of(view)
    return [
        one.of_chunk(sound) if one.is_sound else one.of_picture(_drawn(view, sound, one.recipe or view.recipe))
        for one in inputs
    ]


def _drawn(view: View, sound: np.ndarray, recipe: Recipe) -> np.ndarray:
    picture = served_picture(sound, recipe)
    return mask(picture, rng=np.random.default_rng(int(view.key[16:32], 16))) if view.kind.is_masked else picture


def sound_of(view: View) -> np.ndarray:
    """Return the samples of a view, float32, shape (chunk_samples,).

    Raises:
        PictureError: a chunk's wav cannot be read.
    """
    recipe = view.recipe
    altered = make_view(
        read_chunk(view.chunk, recipe),
        kind=view.kind,
        sample_rate_hz=recipe.sample_rate_hz,
        others=[read_chunk(other, recipe) for other in view.others],
        rng=np.random.default_rng(int(view.key[:16], 16)),
    )
    return filled(altered, recipe.chunk_samples, sample_rate_hz=recipe.sample_rate_hz, padding=recipe.padding)


def mask(picture: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """Cover a band of frequencies and a stretch of time, up to `WIDEST_MASK` wide, with the picture's mean."""
    masked: np.ndarray = picture.copy()
    for axis, size in enumerate(picture.shape[:2]):
        length = int(rng.integers(int(WIDEST_MASK * size) + 1))
        start = int(rng.integers(size - length + 1))
        np.moveaxis(masked, axis, 0)[start : start + length] = round(picture.mean())
    return masked


def read_chunk(chunk: ChunkFile, recipe: Recipe) -> np.ndarray:
    """Return the sound of a chunk, float32, shape (n,).

    Raises:
        PictureError: the wav cannot be read.
    """
    try:
        samples = read_wav(chunk.wav)
    except RecordingError as error:
        raise PictureError(str(error)) from error
    return Chunk(0, 0.0, samples, chunk.seconds, recipe.sample_rate_hz).sound


def make_view(
    samples: np.ndarray, *, kind: ViewKind, sample_rate_hz: int, others: Sequence[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Return one view of a chunk, float32 samples in -1..1 as the chunk's; a change of speed changes their number.

    Babble is mixed of `others`, other chunks of the training recordings.
    """
    view = kind.alter(samples, sample_rate_hz, others, rng)
    peak = float(np.abs(view).max())
    return (view / peak * 0.99 if peak > 0.99 else view).astype(np.float32)


def _microphone(samples: np.ndarray, rate: int, others: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.5:
        samples = effects.change_speed(samples, factor=float(np.exp(rng.uniform(-SPEED_RANGE, SPEED_RANGE))))
    return _noisy(_equalized(samples, rate, rng), rng, 5, 20)


def _hall(samples: np.ndarray, rate: int, others: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    view = _in_a_room(samples, rate, rng)
    if rng.random() < 0.3:
        view = _distorted(view, rng)
    view = _equalized(view, rate, rng)
    if rng.random() < 0.5:
        view = _noisy(view, rng, 8, 25)
    fate = rng.random()
    if fate < 0.35:
        return _coded(view, rate, rng, TELEPHONE_CODECS)
    return _coded(view, rate, rng, ("mp3_24", "mp3_16")) if fate < 0.5 else view


def _line(samples: np.ndarray, rate: int, others: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    view = _equalized(_narrowed(samples, rate, rng) if rng.random() < 0.4 else samples, rate, rng)
    if rng.random() < 0.3:
        view = _noisy(view, rng, 10, 30, color=COLORS[rng.integers(len(COLORS))])
    return _coded(view, rate, rng, TELEPHONE_CODECS)


def _street(samples: np.ndarray, rate: int, others: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    view = _equalized(_in_a_room(samples, rate, rng) if rng.random() < 0.3 else samples, rate, rng)
    company = rng.random()
    if others and company < 0.35:
        return effects.add_babble(view, snr_db=rng.uniform(5, 20), others=others, rng=rng)
    add = effects.add_tones if company > 0.75 else effects.add_swelling_noise
    return add(view, sample_rate_hz=rate, snr_db=rng.uniform(3, 20), rng=rng)


def _voice(samples: np.ndarray, rate: int, others: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.5:
        semitones = rng.uniform(-PITCH_SEMITONES, PITCH_SEMITONES)
        view = effects.change_pitch(samples, sample_rate_hz=rate, semitones=semitones)
    else:
        factor = float(np.exp(rng.uniform(-TEMPO_RANGE, TEMPO_RANGE)))
        view = effects.change_tempo(samples, sample_rate_hz=rate, factor=factor)
    return _equalized(view, rate, rng)


def _rate(samples: np.ndarray, rate: int, others: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    factor = float(np.exp(rng.uniform(-SPEAKING_RATE_RANGE, SPEAKING_RATE_RANGE)))
    return _equalized(effects.change_speed(samples, factor=factor), rate, rng)


KINDS = (
    ViewKind("microphone", _microphone),
    ViewKind("hall", _hall),
    ViewKind("line", _line),
    ViewKind("street", _street, needs_others=True),
    ViewKind("voice", _voice, is_masked=True),
)
"""They take turns in this order."""

RATE = ViewKind("speaking rate", _rate, is_optional=True)


def kinds_of(count: int, recipe: Recipe) -> tuple[ViewKind, ...]:
    """Return the kind of each view of a chunk drawn by a recipe, where `count` are asked for."""
    more = count // 2 if recipe.chunk_seconds <= WORD_SECONDS else 0
    return tuple(KINDS[number % len(KINDS)] for number in range(count)) + more * (RATE,)


def _equalized(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    return effects.equalize(samples, sample_rate_hz=rate, depth_db=EQUALIZER_DB, rng=rng)


def _noisy(
    samples: np.ndarray,
    rng: np.random.Generator,
    lowest_db: float,
    highest_db: float,
    *,
    color: effects.Color = "white",
) -> np.ndarray:
    return effects.add_noise(samples, snr_db=rng.uniform(lowest_db, highest_db), color=color, rng=rng)


def _coded(samples: np.ndarray, rate: int, rng: np.random.Generator, codecs: Sequence[str]) -> np.ndarray:
    if rate > VOICE_RATE_HZ:
        return samples
    available = [codec for codec in codecs if codec not in missing_codecs()]
    codec = str(rng.choice(available)) if available else None
    return through_codec(samples, sample_rate_hz=rate, codec=codec) if codec else samples


def _in_a_room(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    return effects.reverberate(
        samples,
        sample_rate_hz=rate,
        rt60_seconds=rng.uniform(0.15, 1.0),
        direct_db=rng.uniform(-2, 12),
        damping=rng.uniform(0, 0.8),
        echoes=int(rng.integers(9)),
        rng=rng,
    )


def _distorted(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.5:
        return effects.clip(samples, share=rng.uniform(0.02, 0.15))
    return effects.overdrive(samples, gain_db=rng.uniform(0, 20))


def _narrowed(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Leave a band of at least 600 Hz to 1,800 Hz, which small loudspeakers and old lines still carry.

    Of sound at rates that are not those of voices, it is as large a part of the band.
    """
    usual = rate if not 8_000 <= rate <= VOICE_RATE_HZ else 16_000
    ends_hz = (np.array(ends) * usual / 16_000 for ends in ((1_800, 6_000), (80, 600)))
    highest_hz, lowest_hz = (np.exp(rng.uniform(*np.log(ends))) for ends in ends_hz)
    return effects.high_pass(
        effects.low_pass(samples, sample_rate_hz=rate, cutoff_hz=highest_hz),
        sample_rate_hz=rate,
        cutoff_hz=lowest_hz,
    )
