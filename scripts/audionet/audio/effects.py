"""Effects on sound: noise, rooms, microphones, telephones, speed. Samples in, samples out.

Training uses these functions for augmented views, evaluation for the robustness sweep. Each takes float32 samples of
shape (n,), mono, and returns float32 samples. Levels and rates have units in their names; whatever is random comes from
the `rng` that is passed in, so that the same generator gives the same result. Nothing here keeps state between two
clips: what becomes of a clip does not depend on its neighbours.

Levels are relative to the clip's own root mean square, so pass the sound alone, without the zeros that fill a chunk:
`snr_db` is how many decibels what is added lies below it.
Results may exceed full scale, except where a recorder would have clipped them, as `amplify` does.

    noise       add_noise, add_babble, add_swelling_noise, add_tones, colored_noise
    channel     equalize, low_pass, high_pass, telephone_band, reverberate, reflect
    level       amplify, clip, overdrive, quantize
    time        lose_packets, change_speed, change_tempo, change_pitch
"""

import functools
from collections.abc import Sequence
from typing import Literal

import numpy as np
import scipy.fft
import scipy.signal
import soxr

Color = Literal["white", "pink", "brown"]

# Power falls with frequency to this power: 0, 3 and 6 dB an octave.
COLORS: dict[Color, int] = {"white": 0, "pink": 1, "brown": 2}
DEEPEST_HZ = 50  # below, coloured noise rises no further: microphones and loudspeakers carry none of it
BABBLERS = 6  # enough that no single voice can be followed
PITCH_RATIO = 2 ** (1 / 12)  # of a semitone


# Noise


def add_noise(samples: np.ndarray, *, snr_db: float, rng: np.random.Generator, color: Color = "white") -> np.ndarray:
    """Add steady noise."""
    return _add(samples, colored_noise(len(samples), color=color, rng=rng), snr_db)


def add_babble(
    samples: np.ndarray, *, snr_db: float, others: Sequence[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Add a murmur of other clips, six at a time, each equally loud and begun anywhere.

    The others are at the same rate and of any length; without any the clip stays as it is. They should not be of the
    clip's own label: its own voice would be no disturbance.
    """
    audible = [other for other in others if _rms(other) > 0]
    if not audible or not len(samples):
        return as_float32(samples)
    murmur = np.zeros(len(samples))
    for number in rng.integers(len(audible), size=BABBLERS):
        other = audible[number]
        murmur += np.resize(np.roll(other, -rng.integers(len(other))), len(samples)) / _rms(other)
    return _add(samples, murmur, snr_db)


def add_swelling_noise(
    samples: np.ndarray, *, sample_rate_hz: int, snr_db: float, rng: np.random.Generator
) -> np.ndarray:
    """Add noise of a random colour and spectrum that may swell and fade, as streets, engines, crowds and waves make.

    It swells 0.3 to 8 times a second, or not at all.
    """
    colors = list(COLORS)
    noise = colored_noise(len(samples), color=colors[rng.integers(len(colors))], rng=rng)
    noise = equalize(noise, sample_rate_hz=sample_rate_hz, depth_db=15, rng=rng)
    if rng.random() < 0.5:
        turns = rng.uniform(0.3, 8) * np.arange(len(samples)) / sample_rate_hz + rng.random()
        noise = noise * (1 + rng.uniform(0.3, 0.9) * np.sin(2 * np.pi * turns))
    return _add(samples, noise, snr_db)


def add_tones(samples: np.ndarray, *, sample_rate_hz: int, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Add one to four steady tones of 50 to 1,500 Hz, each of up to eleven partials, as mains, motors and chords do."""
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
    """Return `count` samples of noise of root mean square 1, float32."""
    if count == 0:
        return np.empty(0, np.float32)
    noise = rng.standard_normal(count, dtype=np.float32)
    if COLORS[color]:
        # The lowest three thousandths of the spectrum are 50 Hz at 16 kHz; the exact rate matters little.
        bins = np.maximum(np.arange(count // 2 + 1), max(1, count * DEEPEST_HZ / 16_000))
        spectrum = scipy.fft.rfft(noise) * bins ** (-COLORS[color] / 2)
        spectrum[0] = 0
        noise = scipy.fft.irfft(spectrum, count)
    return as_float32(noise / max(_rms(noise), 1e-12))


# Channel


def equalize(samples: np.ndarray, *, sample_rate_hz: int, depth_db: float, rng: np.random.Generator) -> np.ndarray:
    """Send a clip through a random channel: a smooth curve of gains over frequency, as microphones and rooms have.

    The curve has 4 to 10 gains between minus and plus `depth_db`, spread evenly over the octaves from 50 Hz upwards.
    """
    if not len(samples):
        return as_float32(samples)
    knots = int(rng.integers(4, 11))
    knots_hz = np.geomspace(50, sample_rate_hz / 2, knots)
    gains_db = rng.uniform(-depth_db, depth_db, knots)
    # Zeros behind the clip keep its end from ringing into its beginning.
    size = scipy.fft.next_fast_len(len(samples) + sample_rate_hz // 20, real=True)
    hertz = scipy.fft.rfftfreq(size, 1 / sample_rate_hz)
    curve_db = np.interp(np.log(np.maximum(hertz, 1)), np.log(knots_hz), gains_db)
    spectrum = scipy.fft.rfft(samples, size) * (10 ** (curve_db / 20)).astype(np.float32)
    return as_float32(scipy.fft.irfft(spectrum, size)[: len(samples)])


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

    The tail falls by 60 dB in `rt60_seconds`: 0.3 in a living room, 1 in a hall. The direct sound's energy is
    `direct_db` over it; 10 is close to the microphone, -5 is across the room. `damping`, 0 to below 1, is how much
    duller it is, as curtains and bookshelves make it. That many `echoes` from walls stand out from it, 2 to 60 ms after
    the sound.

    Source: J. Moorer, "About This Reverberation Business", Computer Music Journal 3 (1979): a room's response sounds
    like white noise under an exponential.
    """
    if not len(samples):
        return as_float32(samples)
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
    return as_float32(wet * (_rms(samples) / max(_rms(wet), 1e-12)))


def reflect(samples: np.ndarray, *, sample_rate_hz: int, delay_seconds: float, gain_db: float) -> np.ndarray:
    """Add one reflection, as a table or a wall near the microphone gives: a comb of notches over frequency."""
    delayed = np.zeros(len(samples), np.float32)
    delay = round(delay_seconds * sample_rate_hz)
    delayed[delay:] = samples[: max(0, len(samples) - delay)]
    return as_float32(samples + 10 ** (gain_db / 20) * delayed)


# Level


def amplify(samples: np.ndarray, *, gain_db: float) -> np.ndarray:
    """Turn a clip up or down, as a recorder would: rounded to 16 bits and clipped at full scale."""
    return as_float32(np.clip(np.round(samples * 10 ** (gain_db / 20) * 32768), -32768, 32767) / 32768)


def clip(samples: np.ndarray, *, share: float) -> np.ndarray:
    """Cut off the loudest samples, a share of 0 to 1, as an overdriven microphone does."""
    if not len(samples):
        return as_float32(samples)
    ceiling = np.quantile(np.abs(samples), 1 - share)
    return as_float32(np.clip(samples, -ceiling, ceiling))


def overdrive(samples: np.ndarray, *, gain_db: float) -> np.ndarray:
    """Press a clip together softly, as tubes and small loudspeakers do; its loudest sample stays what it is.

    The quiet parts are driven up by `gain_db`; 20 is harsh.
    """
    peak = np.abs(samples).max(initial=0)
    if peak == 0:
        return as_float32(samples)
    gain = 10 ** (gain_db / 20)
    return as_float32(np.tanh(gain * samples / peak) * peak / np.tanh(gain))


def quantize(samples: np.ndarray, *, levels: int) -> np.ndarray:
    """Round a clip to so many levels between its loudest sample and the opposite."""
    step = 2 * np.abs(samples).max(initial=0) / (levels - 1)
    return as_float32(np.round(samples / step) * step) if step else as_float32(samples)


# Time


def lose_packets(
    samples: np.ndarray, *, sample_rate_hz: int, share: float, packet_seconds: float = 0.02, rng: np.random.Generator
) -> np.ndarray:
    """Silence a share, 0 to 1, of the packets of a clip, as a bad connection does."""
    packet = max(1, round(packet_seconds * sample_rate_hz))
    arrived = rng.random(-(-len(samples) // packet)) >= share
    return as_float32(samples * np.repeat(arrived, packet)[: len(samples)])


def change_speed(samples: np.ndarray, *, factor: float) -> np.ndarray:
    """Play a clip `factor` times as fast, as a tape would, in round(n / factor) samples: its pitch changes along."""
    count = round(len(samples) / factor)
    if not count:
        return np.empty(0, np.float32)
    return fit_length(soxr.resample(as_float32(samples), factor, 1.0), count)


def change_tempo(samples: np.ndarray, *, sample_rate_hz: int, factor: float) -> np.ndarray:
    """Speak `factor` times as fast at the same pitch, in round(n / factor) samples.

    Source: J. Laroche and M. Dolson, "Improved Phase Vocoder Time-Scale Modification of Audio", 1999.
    """
    count = round(len(samples) / factor)
    window = 2 ** round(np.log2(sample_rate_hz * 0.04))  # about 40 ms: several periods of a voice
    if factor == 1 or len(samples) < 2 * window:
        return fit_length(as_float32(samples), count)
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
    return fit_length(as_float32(stretched), count)


def change_pitch(samples: np.ndarray, *, sample_rate_hz: int, semitones: float) -> np.ndarray:
    """Raise or lower a clip's pitch, resonances included, at the same length."""
    factor = PITCH_RATIO**semitones
    slower = change_tempo(samples, sample_rate_hz=sample_rate_hz, factor=1 / factor)
    return fit_length(change_speed(slower, factor=factor), len(samples))


# Parts of the above


def _add(samples: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Add noise at a level; silence has none to be measured against and stays silent."""
    loudness = _rms(noise)
    if loudness == 0:
        return as_float32(samples)
    return as_float32(samples + noise * (_rms(samples) / loudness * 10 ** (-snr_db / 20)))


def _filtered(samples: np.ndarray, sample_rate_hz: int, kind: str, cutoff_hz: float) -> np.ndarray:
    if not len(samples) or cutoff_hz >= sample_rate_hz / 2:
        return as_float32(samples)
    return as_float32(scipy.signal.sosfilt(_butterworth(kind, cutoff_hz, sample_rate_hz), samples))


@functools.lru_cache(maxsize=64)
def _butterworth(kind: str, cutoff_hz: float, sample_rate_hz: int) -> np.ndarray:
    sections: np.ndarray = scipy.signal.butter(8, cutoff_hz, kind, fs=sample_rate_hz, output="sos")
    return sections


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def fit_length(samples: np.ndarray, count: int) -> np.ndarray:
    """Return `count` samples, float32: what is beyond is cut off, what is missing is zero."""
    return as_float32(np.pad(samples[:count], (0, max(0, count - len(samples)))))


def as_float32(samples: np.ndarray) -> np.ndarray:
    """Return samples as float32, without a copy where they are."""
    return np.asarray(samples, np.float32)
