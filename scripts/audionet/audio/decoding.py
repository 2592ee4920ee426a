"""Decode any recording to mono float32 at one sample rate.

Decoders are tried in turn until one succeeds. Lossless files that libsndfile reads need no other process. Everything
else, and everything with effects, goes through SoX; then come libsndfile and FFmpeg. A recording is decoded in blocks,
so that memory does not grow with its length.
"""

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import soundfile
import soxr

from audionet.audio.sox_ffmpeg import (
    LOSSLESS_SUFFIXES,
    SAFE_FFMPEG,
    SOX_16_BITS,
    DecoderError,
    has_ffmpeg,
    has_sox,
    last_line,
    piped,
    sox_command,
    sox_rate_hz,
)
from audionet.errors import RecordingError
from audionet.files import printable, walk_files

SUFFIXES = LOSSLESS_SUFFIXES | {
    *(".mp3", ".mp2", ".ogg", ".oga", ".opus", ".m4a", ".m4b", ".aac", ".mp4", ".mov", ".mkv"),
    *(".mka", ".webm", ".wma", ".amr", ".ac3", ".ape", ".wv", ".gsm", ".snd", ".voc", ".sph"),
}

STDIN = Path("-")  # sound that another program sends; a file of that name has a folder to go with it
BLOCK_SECONDS = 30


def is_recording(path: Path) -> bool:
    """Tell by its suffix, in any letter case, whether a file is taken for a recording; `STDIN` is one."""
    return path == STDIN or path.suffix.lower() in SUFFIXES


def find_recordings(folder: Path) -> list[Path]:
    """Return the recordings below `folder`, sorted, hidden files and our own folders left out."""
    return [path for path in walk_files(folder) if is_recording(path)]


def read_wav(path: Path) -> np.ndarray:
    """Return the samples of a file that `write_wav` wrote, float32, shape (n,), in -1..1.

    Raises:
        RecordingError: the file is not there or cannot be read.
    """
    try:
        samples: np.ndarray = soundfile.read(os.fsencode(path), dtype="float32")[0]
    except (soundfile.LibsndfileError, OSError) as error:
        raise RecordingError(f"{printable(path)} cannot be read ({last_line(str(error))}).") from error
    return samples


def read_blocks(
    path: Path, *, sample_rate_hz: int, effects: str = "", block_seconds: float = 1.0
) -> Iterator[np.ndarray]:
    """Yield a recording as consecutive blocks of mono float32 samples, each of shape (n,), in -1..1.

    Args:
        path: the recording, in any format that SoX, libsndfile or FFmpeg reads; or `STDIN`, as wav.
        sample_rate_hz: the rate to resample to.
        effects: a SoX effect chain that the sound goes through, such as `norm -3`.
        block_seconds: how much of what comes by stdin to wait for.

    Raises:
        RecordingError: no decoder reads the file; the message holds the reason of each.
    """
    if path == STDIN:
        yield from _read_stdin(sample_rate_hz, block_seconds)
        return
    path = Path(path).absolute()  # a relative name may begin with a dash, which programs take for an option
    if not path.is_file():
        raise RecordingError(f"{printable(path)} is not a file; expected a recording.")
    if path.stat().st_size == 0:
        raise RecordingError(f"{printable(path)} is empty. Remove it or copy it again.")
    reasons = []
    found_nothing = False
    for decode in _decoders(path, effects):
        blocks = decode(path, sample_rate_hz, effects)
        try:
            first = next(blocks, None)
        except DecoderError as error:
            reasons.append(str(error))
            continue
        if first is not None:
            yield first
            with suppress(DecoderError):  # what was recorded before the damage is good
                yield from blocks
            return
        found_nothing = True  # the next decoder may make more of a damaged file
    if found_nothing:
        return
    raise RecordingError(
        f"{printable(path)} cannot be decoded; expected a sound file. "
        + "; ".join(reasons)
        + ". Remove it or convert it to wav."
    )


def form_of(path: Path) -> tuple[int, float] | None:
    """Return a recording's samples per second and its length in seconds, or None where no header tells them."""
    if path == STDIN:
        return None
    try:
        form = soundfile.info(os.fsencode(path))
    except (soundfile.LibsndfileError, OSError):
        return None
    return (form.samplerate, form.frames / form.samplerate) if form.frames else None


def _decoders(path: Path, effects: str) -> list[Callable[[Path, int, str], Iterator[np.ndarray]]]:
    if effects:
        return [_decode_sox]
    sox = [_decode_sox] if has_sox() else []
    ffmpeg = [_decode_ffmpeg] if has_ffmpeg() else []
    if path.suffix.lower() in LOSSLESS_SUFFIXES:
        return [_decode_sndfile, *sox, *ffmpeg]
    # libsndfile stops short in mp3 of a varying bit rate whose header does not tell the length.
    return [*sox, *ffmpeg, _decode_sndfile]


def _decode_sox(path: Path, sample_rate_hz: int, effects: str) -> Iterator[np.ndarray]:
    # Raw samples, because a wav header holds no more than two gigabytes, and not resampled, which soxr does in a tenth
    # of the time.
    rate_hz = sox_rate_hz(path)
    form = ["-t", "raw", *SOX_16_BITS, "-r", str(rate_hz), "-c", "1"]
    with piped("SoX", [*sox_command(path), *form, "-", *shlex.split(effects)]) as pipe:
        yield from _decode_stream(pipe.fileno(), sample_rate_hz, raw_rate_hz=rate_hz)


def _read_stdin(sample_rate_hz: int, block_seconds: float) -> Iterator[np.ndarray]:
    try:
        yield from _decode_stream(sys.stdin.fileno(), sample_rate_hz, block_seconds)
    except DecoderError as error:
        raise RecordingError(f"-: expected wav on stdin ({error}). Send it with sox voice.mp3 -t wav - |.") from error


def _decode_sndfile(path: Path, sample_rate_hz: int, effects: str) -> Iterator[np.ndarray]:
    # Bytes, because soundfile refuses a name that is not valid UTF-8 when given as text.
    return _decode_stream(os.fsencode(path), sample_rate_hz)


def _decode_stream(
    source: bytes | int, sample_rate_hz: int, block_seconds: float = 1.0, *, raw_rate_hz: int | None = None
) -> Iterator[np.ndarray]:
    """Decode a file's name, or what comes through an open file descriptor, which may be raw samples of 16 bits."""
    raw = {"samplerate": raw_rate_hz, "channels": 1, "format": "RAW", "subtype": "PCM_16"} if raw_rate_hz else {}
    try:
        with soundfile.SoundFile(source, closefd=False, **raw) as sound:
            sound.seekable = lambda: False  # it would seek after each read, which tears a gap into mp3
            resample = soxr.ResampleStream(sound.samplerate, sample_rate_hz, 1, dtype="float32").resample_chunk
            as_it_is = sound.samplerate == sample_rate_hz
            # A second at a time, since a damaged block is lost as a whole. Its own `blocks` would return what happens
            # to be in memory for what a truncated file lacks.
            buffer = np.empty((round(block_seconds * sound.samplerate), sound.channels), np.float32)
            while len(block := sound.read(out=buffer)):
                mono = block[:, 0].copy() if sound.channels == 1 else block.mean(axis=1, dtype=np.float32)
                if not np.isfinite(mono).all():
                    mono = np.nan_to_num(mono, posinf=1.0, neginf=-1.0)
                yield mono if as_it_is else resample(mono)
            if not as_it_is:
                yield resample(np.empty(0, np.float32), last=True)
    except (soundfile.LibsndfileError, OSError, ValueError) as error:
        raise DecoderError(f"libsndfile: {last_line(getattr(error, 'error_string', str(error)))}") from error


def _decode_ffmpeg(path: Path, sample_rate_hz: int, effects: str) -> Iterator[np.ndarray]:
    command = [*SAFE_FFMPEG, "-i", f"file:{path}"]
    command += ["-map", "0:a:0", "-ac", "1", "-ar", str(sample_rate_hz), "-f", "f32le", "-"]
    with piped("FFmpeg", command) as pipe:
        while block := pipe.read(4 * BLOCK_SECONDS * sample_rate_hz):
            yield np.frombuffer(block[: len(block) // 4 * 4], "<f4")
