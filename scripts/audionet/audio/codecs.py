"""Codecs: encode a clip and decode it again, as a telephone or a podcast would."""

import functools
import io
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from audionet.audio.effects import as_float32, fit_length

HEADROOM = 0.95  # of full scale, left before a codec


@dataclass(frozen=True)
class Codec:
    """A way to store or send sound, as libsndfile offers it."""

    description: str
    sample_rate_hz: int
    container: str  # libsndfile's name of the format
    subtype: str  # libsndfile's name of the encoding
    compression: float | None = None  # 0 to 1, where the encoding has a choice; the bit rate follows from it


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
    """Encode a clip by a codec out of `CODECS` and decode it again, in memory; its rate, length and place are kept.

    A clip that is louder than 95 % of full scale is turned down first.

    Raises:
        soundfile.LibsndfileError: this machine's libsndfile lacks the codec, as `missing_codecs` would have told.
    """
    if not len(samples):
        return as_float32(samples)
    row = CODECS[codec]
    loudness = np.abs(samples).max()
    fitting = as_float32(samples * min(1, HEADROOM / max(loudness, 1e-12)))
    sent = soxr.resample(fitting, sample_rate_hz, row.sample_rate_hz)
    received = _encoded_and_decoded(sent, row)
    return fit_length(soxr.resample(received, row.sample_rate_hz, sample_rate_hz), len(samples))


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
    return fit_length(decoded, len(samples))
