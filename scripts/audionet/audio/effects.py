"""What happens to sound on its way: noise, rooms, microphones, telephones. Samples in, samples out.

Training uses these functions for augmented views, evaluation for the robustness sweep. Each takes float32 samples of
shape (n,), mono, and returns float32 samples. Levels and rates have units in their names; whatever is random comes from
the `rng` that is passed in, so that the same generator gives the same result. Nothing here keeps state between two
clips: what becomes of a clip does not depend on its neighbours.

Levels are relative to the clip's own root mean square, so pass the sound alone, without the zeros that fill a chunk.
Results may exceed full scale, except where a file or a recorder would have clipped them, as `through_codec` and
`amplify` do.

    noise       add_noise, add_babble, add_swelling_noise, add_tones, colored_noise
    channel     equalize, low_pass, high_pass, telephone_band, reverberate, reflect
    level       amplify, clip, overdrive, quantize
    time        lose_packets, change_speed, change_tempo, change_pitch, crop
    codec       through_codec; CODECS names them, missing_codecs tells which this machine lacks
    sweep       SWEEP: named conditions of several strengths, for evaluate.py
"""

import functools
import inspect
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.fft
import scipy.signal
import soundfile
import soxr

Color = Literal["white", "pink", "brown"]

# Power falls with frequency to this power: 0, 3 and 6 dB an octave.
COLORS: dict[Color, int] = {"white": 0, "pink": 1, "brown": 2}
DEEPEST_HZ = 50  # below, coloured noise rises no further: microphones and loudspeakers carry none of it
BABBLERS = 6  # enough that no single voice can be followed
HEADROOM = 0.95  # of full scale, left before a codec
PITCH_RATIO = 2 ** (1 / 12)  # of a semitone


# Noise


def add_noise(samples: np.ndarray, *, snr_db: float, rng: np.random.Generator, color: Color = "white") -> np.ndarray:
    """Add steady noise.

    Args:
        samples: the clip.
        snr_db: how far the noise lies below the clip, in decibels of root mean square.
        rng: where the noise comes from.
        color: `white`, `pink` or `brown`.
    """
    return _add(samples, colored_noise(len(samples), color=color, rng=rng), snr_db)


def add_babble(
    samples: np.ndarray, *, snr_db: float, others: Sequence[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Add a murmur of other clips, six at a time, each equally loud and begun anywhere.

    Args:
        samples: the clip.
        snr_db: how far the murmur lies below the clip, in decibels of root mean square.
        others: clips at the same rate, of any length; without any the clip stays as it is. They should not be of the
            clip's own label: its own voice would be no disturbance.
        rng: chooses the clips and where they begin.
    """
    audible = [other for other in others if _rms(other) > 0]
    if not audible or not len(samples):
        return _float32(samples)
    murmur = np.zeros(len(samples))
    for number in rng.integers(len(audible), size=BABBLERS):
        other = audible[number]
        murmur += np.resize(np.roll(other, -rng.integers(len(other))), len(samples)) / _rms(other)
    return _add(samples, murmur, snr_db)


def add_swelling_noise(
    samples: np.ndarray, *, sample_rate_hz: int, snr_db: float, rng: np.random.Generator
) -> np.ndarray:
    """Add noise of a random spectrum that may swell and fade, as streets, engines, crowds and waves make.

    Args:
        samples: the clip.
        sample_rate_hz: its rate.
        snr_db: how far the noise lies below the clip, in decibels of root mean square.
        rng: draws its colour, its spectrum and whether it swells, 0.3 to 8 times a second.
    """
    colors = list(COLORS)
    noise = colored_noise(len(samples), color=colors[rng.integers(len(colors))], rng=rng)
    noise = equalize(noise, sample_rate_hz=sample_rate_hz, depth_db=15, rng=rng)
    if rng.random() < 0.5:
        turns = rng.uniform(0.3, 8) * np.arange(len(samples)) / sample_rate_hz + rng.random()
        noise = noise * (1 + rng.uniform(0.3, 0.9) * np.sin(2 * np.pi * turns))
    return _add(samples, noise, snr_db)


def add_tones(samples: np.ndarray, *, sample_rate_hz: int, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Add up to four steady tones with overtones, as mains, motors and held chords do.

    Args:
        samples: the clip.
        sample_rate_hz: its rate.
        snr_db: how far the tones lie below the clip, in decibels of root mean square.
        rng: draws their number, their pitches, 50 to 1,500 Hz, and up to eleven partials of each.
    """
    seconds = np.arange(len(samples)) / sample_rate_hz
    tones = np.zeros(len(samples))
    for _ in range(rng.integers(1, 5)):
        pitch_hz = np.exp(rng.uniform(np.log(50), np.log(1_500)))
        for partial in range(1, rng.integers(2, 13)):
            phase = rng.uniform(0, 2 * np.pi)
            if pitch_hz * partial < sample_rate_hz / 2:
                tones += np.sin(2 * np.pi * pitch_hz * partial * seconds + phase) / partial
    return _add(samples, tones, snr_db)


def colored_noise(count: int, *, color: Color, rng: np.random.Generator) -> np.ndarray:
    """Return `count` samples of noise of root mean square 1, float32.

    Args:
        count: how many.
        color: `white`, or with a power that falls by 3 (`pink`) or 6 (`brown`) dB an octave.
        rng: where it comes from.
    """
    if count == 0:
        return np.empty(0, np.float32)
    noise = rng.standard_normal(count, dtype=np.float32)
    if COLORS[color]:
        # The lowest three thousandths of the spectrum are 50 Hz at 16 kHz; the exact rate matters little.
        bins = np.maximum(np.arange(count // 2 + 1), max(1, count * DEEPEST_HZ / 16_000))
        spectrum = scipy.fft.rfft(noise) * bins ** (-COLORS[color] / 2)
        spectrum[0] = 0
        noise = scipy.fft.irfft(spectrum, count)
    return _float32(noise / max(_rms(noise), 1e-12))


# Channel


def equalize(samples: np.ndarray, *, sample_rate_hz: int, depth_db: float, rng: np.random.Generator) -> np.ndarray:
    """Send a clip through a random channel: a smooth curve of gains over frequency, as microphones and rooms have.

    Args:
        samples: the clip.
        sample_rate_hz: its rate.
        depth_db: the gains lie between minus and plus this.
        rng: draws 4 to 10 gains, spread evenly over the octaves from 50 Hz upwards.
    """
    if not len(samples):
        return _float32(samples)
    knots = int(rng.integers(4, 11))
    knots_hz = np.geomspace(50, sample_rate_hz / 2, knots)
    gains_db = rng.uniform(-depth_db, depth_db, knots)
    # Zeros behind the clip keep its end from ringing into its beginning.
    size = scipy.fft.next_fast_len(len(samples) + sample_rate_hz // 20, real=True)
    hertz = scipy.fft.rfftfreq(size, 1 / sample_rate_hz)
    curve_db = np.interp(np.log(np.maximum(hertz, 1)), np.log(knots_hz), gains_db)
    spectrum = scipy.fft.rfft(samples, size) * (10 ** (curve_db / 20)).astype(np.float32)
    return _float32(scipy.fft.irfft(spectrum, size)[: len(samples)])


def low_pass(samples: np.ndarray, *, sample_rate_hz: int, cutoff_hz: float) -> np.ndarray:
    """Take away what lies above `cutoff_hz`, 48 dB an octave; beyond half the sample rate there is nothing to take."""
    return _filtered(samples, sample_rate_hz, "lowpass", cutoff_hz)


def high_pass(samples: np.ndarray, *, sample_rate_hz: int, cutoff_hz: float) -> np.ndarray:
    """Take away what lies below `cutoff_hz`, 48 dB an octave."""
    return _filtered(samples, sample_rate_hz, "highpass", cutoff_hz)


def telephone_band(samples: np.ndarray, *, sample_rate_hz: int) -> np.ndarray:
    """Keep 300 to 3,400 Hz, which is what a telephone line carries."""
    low = low_pass(samples, sample_rate_hz=sample_rate_hz, cutoff_hz=3_400)
    return high_pass(low, sample_rate_hz=sample_rate_hz, cutoff_hz=300)


def reverberate(
    samples: np.ndarray,
    *,
    sample_rate_hz: int,
    rt60_seconds: float,
    direct_db: float = 0.0,
    damping: float = 0.0,
    echoes: int = 0,
    rng: np.random.Generator,
) -> np.ndarray:
    """Put a clip into a room: the direct sound and a tail of noise that dies away. The clip's level is kept.

    Args:
        samples: the clip.
        sample_rate_hz: its rate.
        rt60_seconds: how long the tail takes to fall by 60 dB: 0.3 in a living room, 1 in a hall.
        direct_db: the direct sound's energy over the tail's; 10 is close to the microphone, -5 is across the room.
        damping: 0 to below 1: how much duller the tail is than the sound, as curtains and bookshelves make it.
        echoes: how many early reflections from walls stand out from the tail, 2 to 60 ms after the sound.
        rng: where the tail and the echoes come from.

    Source: J. Moorer, "About This Reverberation Business", Computer Music Journal 3 (1979): a room's response sounds
    like white noise under an exponential.
    """
    if not len(samples):
        return _float32(samples)
    seconds = np.arange(max(2, round(rt60_seconds * sample_rate_hz))) / sample_rate_hz
    response = rng.standard_normal(len(seconds)) * 10 ** (-3 * seconds / rt60_seconds)  # -60 dB is a thousandth
    if damping:
        response = scipy.signal.lfilter([1 - damping], [1, -damping], response)
    for _ in range(echoes):
        delay = min(round(rng.uniform(0.002, 0.06) * sample_rate_hz), len(seconds) - 1)
        strength = rng.uniform(-3, 3) * 10 ** (-3 * seconds[delay] / rt60_seconds)
        response[delay] += strength * np.abs(response).max()
    response[0] = 0
    response *= 10 ** (-direct_db / 20) / np.sqrt(np.square(response).sum())
    response[0] = 1
    wet = scipy.signal.oaconvolve(samples, response.astype(np.float32))[: len(samples)]
    return _float32(wet * (_rms(samples) / max(_rms(wet), 1e-12)))


def reflect(samples: np.ndarray, *, sample_rate_hz: int, delay_seconds: float, gain_db: float) -> np.ndarray:
    """Add one reflection, as a table or a wall near the microphone gives: a comb of notches over frequency."""
    delayed = np.zeros(len(samples), np.float32)
    delay = round(delay_seconds * sample_rate_hz)
    delayed[delay:] = samples[: max(0, len(samples) - delay)]
    return _float32(samples + 10 ** (gain_db / 20) * delayed)


# Level


def amplify(samples: np.ndarray, *, gain_db: float) -> np.ndarray:
    """Turn a clip up or down, as a recorder would: rounded to 16 bits and clipped at full scale."""
    return _float32(np.clip(np.round(samples * 10 ** (gain_db / 20) * 32768), -32768, 32767) / 32768)


def clip(samples: np.ndarray, *, share: float) -> np.ndarray:
    """Cut off the loudest samples, as an overdriven microphone does.

    Args:
        samples: the clip.
        share: of its samples that are cut, 0 to 1.
    """
    if not len(samples):
        return _float32(samples)
    ceiling = np.quantile(np.abs(samples), 1 - share)
    return _float32(np.clip(samples, -ceiling, ceiling))


def overdrive(samples: np.ndarray, *, gain_db: float) -> np.ndarray:
    """Press a clip together softly, as tubes and small loudspeakers do; its loudest sample stays what it is.

    Args:
        samples: the clip.
        gain_db: how far the quiet parts are driven up; 20 is harsh.
    """
    peak = np.abs(samples).max(initial=0)
    if peak == 0:
        return _float32(samples)
    gain = 10 ** (gain_db / 20)
    return _float32(np.tanh(gain * samples / peak) * peak / np.tanh(gain))


def quantize(samples: np.ndarray, *, levels: int) -> np.ndarray:
    """Round a clip to so many levels between its loudest sample and the opposite."""
    step = 2 * np.abs(samples).max(initial=0) / (levels - 1)
    return _float32(np.round(samples / step) * step) if step else _float32(samples)


# Time


def lose_packets(
    samples: np.ndarray, *, sample_rate_hz: int, share: float, packet_seconds: float = 0.02, rng: np.random.Generator
) -> np.ndarray:
    """Silence some packets of a clip, as a bad connection does.

    Args:
        samples: the clip.
        sample_rate_hz: its rate.
        share: of the packets that are lost, 0 to 1.
        packet_seconds: how long each is.
        rng: which.
    """
    packet = max(1, round(packet_seconds * sample_rate_hz))
    arrived = rng.random(-(-len(samples) // packet)) >= share
    return _float32(samples * np.repeat(arrived, packet)[: len(samples)])


def change_speed(samples: np.ndarray, *, factor: float) -> np.ndarray:
    """Play a clip `factor` times as fast, as a tape would: pitch and length change together.

    Returns:
        round(n / factor) samples.
    """
    count = round(len(samples) / factor)
    if not count:
        return np.empty(0, np.float32)
    return _exactly(soxr.resample(_float32(samples), factor, 1.0), count)


def change_tempo(samples: np.ndarray, *, sample_rate_hz: int, factor: float) -> np.ndarray:
    """Speak `factor` times as fast at the same pitch.

    Returns:
        round(n / factor) samples.

    Source: J. Laroche and M. Dolson, "Improved Phase Vocoder Time-Scale Modification of Audio", 1999.
    """
    count = round(len(samples) / factor)
    window = 2 ** round(np.log2(sample_rate_hz * 0.04))  # about 40 ms: several periods of a voice
    if factor == 1 or len(samples) < 2 * window:
        return _exactly(_float32(samples), count)
    hop = window // 4
    _, _, spectra = scipy.signal.stft(samples, nperseg=window, noverlap=window - hop)
    moments = np.arange(0, spectra.shape[1] - 1, factor)
    before, share = moments.astype(int), (moments % 1).astype(np.float32)
    phases, sizes = np.angle(spectra), np.abs(spectra)
    expected = (2 * np.pi * hop / window * np.arange(len(spectra)))[:, None]
    drift = np.diff(phases, axis=1) - expected
    advance = expected + drift - 2 * np.pi * np.round(drift / (2 * np.pi))
    steps = np.concatenate([phases[:, :1], advance[:, before[:-1]]], axis=1)
    mixed = (1 - share) * sizes[:, before] + share * sizes[:, before + 1]
    _, stretched = scipy.signal.istft(mixed * np.exp(1j * steps.cumsum(axis=1)), nperseg=window, noverlap=window - hop)
    return _exactly(_float32(stretched), count)


def change_pitch(samples: np.ndarray, *, sample_rate_hz: int, semitones: float) -> np.ndarray:
    """Raise or lower a clip's pitch, resonances included, at the same length."""
    factor = PITCH_RATIO**semitones
    slower = change_tempo(samples, sample_rate_hz=sample_rate_hz, factor=1 / factor)
    return _exactly(change_speed(slower, factor=factor), len(samples))


def crop(samples: np.ndarray, *, count: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """Keep `count` samples in a row: those in the middle or, given `rng`, any; a shorter clip stays whole."""
    spare = len(samples) - count
    if spare <= 0:
        return _float32(samples)
    start = spare // 2 if rng is None else int(rng.integers(spare + 1))
    return _float32(samples[start : start + count])


# Codecs


@dataclass(frozen=True)
class Codec:
    """A way to store or send sound, as libsndfile offers it.

    Attributes:
        description: for a table.
        sample_rate_hz: at which it runs.
        container: libsndfile's name of the format.
        subtype: libsndfile's name of the encoding.
        compression: 0 to 1, where the encoding has a choice; the bit rate follows from it.
    """

    description: str
    sample_rate_hz: int
    container: str
    subtype: str
    compression: float | None = None


CODECS = {
    "gsm": Codec("GSM 6.10, mobile telephone, 13 kbit/s", 8_000, "WAV", "GSM610"),
    "mu_law": Codec("mu-law, telephone line, 64 kbit/s", 8_000, "WAV", "ULAW"),
    "a_law": Codec("A-law, telephone line, 64 kbit/s", 8_000, "WAV", "ALAW"),
    "adpcm": Codec("IMA ADPCM, answering machine, 32 kbit/s", 8_000, "WAV", "IMA_ADPCM"),
    "mp3_24": Codec("mp3 at 16 kHz, 24 kbit/s", 16_000, "MP3", "MPEG_LAYER_III", 0.9),
    "mp3_16": Codec("mp3 at 8 kHz, 16 kbit/s", 8_000, "MP3", "MPEG_LAYER_III", 0.9),
    "vorbis": Codec("Ogg Vorbis at 16 kHz, 20 kbit/s", 16_000, "OGG", "VORBIS", 0.9),
    "opus": Codec("Opus, internet telephone, 7 kbit/s", 16_000, "OGG", "OPUS", 1.0),
}

# Encoder and decoder of mp3 delay the sound by 576 + 529 samples. Where a frame is too small for the note that says so,
# they remain: LAME's technical FAQ.
MP3_DELAY_SAMPLES = 1_105


def through_codec(samples: np.ndarray, *, sample_rate_hz: int, codec: str) -> np.ndarray:
    """Encode a clip and decode it again, in memory; it comes back at its own rate and length, in its old place.

    A clip that is louder than 95 % of full scale is turned down first.

    Args:
        samples: the clip.
        sample_rate_hz: its rate.
        codec: a name out of `CODECS`.

    Raises:
        soundfile.LibsndfileError: this machine's libsndfile lacks the codec, as `missing_codecs` would have told.
    """
    if not len(samples):
        return _float32(samples)
    row = CODECS[codec]
    loudness = np.abs(samples).max()
    fitting = _float32(samples * min(1, HEADROOM / max(loudness, 1e-12)))
    sent = soxr.resample(fitting, sample_rate_hz, row.sample_rate_hz)
    received = _encoded_and_decoded(sent, row)
    return _exactly(soxr.resample(received, row.sample_rate_hz, sample_rate_hz), len(samples))


@functools.cache
def missing_codecs() -> dict[str, str]:
    """Return the reason by name of each codec that this machine's libsndfile cannot encode or decode."""
    missing = {}
    for name, row in CODECS.items():
        try:
            _encoded_and_decoded(np.zeros(row.sample_rate_hz, np.float32), row)
        except (soundfile.LibsndfileError, ValueError, TypeError) as error:
            missing[name] = f"libsndfile {soundfile.__libsndfile_version__} lacks it ({str(error).rstrip('.')})"
    return missing


def _encoded_and_decoded(samples: np.ndarray, row: Codec) -> np.ndarray:
    file = io.BytesIO()
    choices: dict[str, object] = {} if row.compression is None else {"compression_level": row.compression}
    if row.container == "MP3":
        choices["bitrate_mode"] = "CONSTANT"
    with soundfile.SoundFile(
        file, "w", row.sample_rate_hz, 1, format=row.container, subtype=row.subtype, **choices
    ) as sound:
        sound.write(np.clip(samples, -1, 1))
    file.seek(0)
    decoded, rate_hz = soundfile.read(file, dtype="float32")
    if rate_hz != row.sample_rate_hz:  # Opus may answer at 48 kHz
        decoded = soxr.resample(decoded, rate_hz, row.sample_rate_hz)
    if row.container == "MP3" and len(decoded) > len(samples):
        decoded = decoded[MP3_DELAY_SAMPLES:]
    return _exactly(decoded, len(samples))


def _add(samples: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Add noise at a level; silence has none to be measured against and stays silent."""
    loudness = _rms(noise)
    if loudness == 0:
        return _float32(samples)
    return _float32(samples + noise * (_rms(samples) / loudness * 10 ** (-snr_db / 20)))


def _filtered(samples: np.ndarray, sample_rate_hz: int, kind: str, cutoff_hz: float) -> np.ndarray:
    if not len(samples) or cutoff_hz >= sample_rate_hz / 2:
        return _float32(samples)
    return _float32(scipy.signal.sosfilt(_butterworth(kind, cutoff_hz, sample_rate_hz), samples))


@functools.lru_cache(maxsize=64)
def _butterworth(kind: str, cutoff_hz: float, sample_rate_hz: int) -> np.ndarray:
    return scipy.signal.butter(8, cutoff_hz, kind, fs=sample_rate_hz, output="sos")


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def _exactly(samples: np.ndarray, count: int) -> np.ndarray:
    return _float32(np.pad(samples[:count], (0, max(0, count - len(samples)))))


def _float32(samples: np.ndarray) -> np.ndarray:
    return np.asarray(samples, np.float32)


# The sweep


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
