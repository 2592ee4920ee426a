"""Write sound: wav files, and pieces cut out of recordings."""

import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from audionet.audio.decoding import opened_sound
from audionet.audio.sox_ffmpeg import (
    LOSSLESS_SUFFIXES,
    SAFE_FFMPEG,
    SOX_16_BITS,
    DecoderError,
    has_ffmpeg,
    has_sox,
    last_line,
    patience_seconds,
    run_program,
    sox_command,
    sox_form,
)
from audionet.errors import RecordingError
from audionet.files import printable, write_bytes
from audionet.regular_files import open_regular
from audionet.scratch import temporary_folder

PIECES_AT_ONCE = 1000  # as many as a command line holds easily


def write_wav(path: Path, samples: np.ndarray, *, sample_rate_hz: int) -> None:
    """Write float32 samples of shape (n,) in -1..1 as 16-bit wav, whole or not at all."""
    content = io.BytesIO()  # written by us, because libsndfile does not say that a disk is full
    with wave.open(content, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(sample_rate_hz)
        wav.writeframes(pcm16(samples).tobytes())
    write_bytes(path, content.getvalue())


def pcm16(samples: np.ndarray) -> np.ndarray:
    """Return float samples in -1..1 in 16 bits, little-endian int16, same shape."""
    return np.asarray(np.clip(np.rint(samples * 32_768), -32_768, 32_767), "<i2")


@dataclass(frozen=True)
class Piece:
    """A stretch of a recording, and the wav file that it is to become."""

    start_seconds: float
    end_seconds: float
    path: Path


def cut_out(recording: Path, pieces: Sequence[Piece]) -> None:
    """Write pieces of a recording as wav with the rate and the channels that it has, each whole or not at all.

    The recording is any file that `read_blocks` reads. Pieces are in the order of time and do not overlap.

    Raises:
        RecordingError: the recording cannot be decoded.
    """
    recording = Path(recording).absolute()
    cutters = [_cut_sndfile] if recording.suffix.lower() in LOSSLESS_SUFFIXES else []
    cutters += [_cut_sox] if has_sox() else []
    cutters += [_cut_ffmpeg] if has_ffmpeg() else []
    reasons = []
    for cut_pieces in [*cutters, _cut_sndfile]:
        try:
            for start in range(0, len(pieces), PIECES_AT_ONCE):
                cut_pieces(recording, pieces[start : start + PIECES_AT_ONCE])
            return
        except DecoderError as error:
            reasons.append(str(error))
    raise RecordingError(f"{printable(recording)} cannot be cut: {'; '.join(reasons)}.")


def _cut_sndfile(recording: Path, pieces: Sequence[Piece]) -> None:
    try:
        file = open_regular(recording)
    except OSError as error:
        raise DecoderError(f"libsndfile: {error.strerror}") from error
    try:
        with file, opened_sound(file.fileno(), recording) as sound:
            for piece in pieces:
                first = min(round(piece.start_seconds * sound.samplerate), sound.frames)
                sound.seek(first)
                samples = sound.read(round(piece.end_seconds * sound.samplerate) - first, always_2d=True)
                _write_piece(piece, samples, sound.samplerate, sound.subtype)
    except soundfile.LibsndfileError as error:
        raise DecoderError(f"libsndfile: {last_line(error.error_string)}") from error


def _cut_sox(recording: Path, pieces: Sequence[Piece]) -> None:
    """Let SoX decode once and keep all pieces in a row: to seek in an mp3, it would decode from the start."""
    rate_hz, _ = sox_form(recording)
    places = [(round(one.start_seconds * rate_hz), round(one.end_seconds * rate_hz)) for one in pieces]
    trim = [f"={place}s" for ends in places for place in ends]
    with temporary_folder() as scratch:
        kept = scratch / "kept.wav"
        command = [*sox_command(recording), *SOX_16_BITS, str(kept), "trim", *trim]
        run_program("SoX", command, seconds=patience_seconds(recording))
        with soundfile.SoundFile(kept) as sound:
            for piece, (first, behind) in zip(pieces, places, strict=True):
                _write_piece(piece, sound.read(behind - first, always_2d=True), rate_hz)


def _cut_ffmpeg(recording: Path, pieces: Sequence[Piece]) -> None:
    for piece in pieces:
        place = ["-ss", f"{piece.start_seconds:.6f}", "-t", f"{piece.end_seconds - piece.start_seconds:.6f}"]
        command = [*SAFE_FFMPEG, *place, "-i", f"file:{recording}", "-map", "0:a:0"]
        command += ["-f", "wav", "-c:a", "pcm_s16le", "-"]
        wav = run_program("FFmpeg", command, seconds=patience_seconds(recording))
        samples, rate_hz = soundfile.read(io.BytesIO(wav), always_2d=True)
        _write_piece(piece, samples, rate_hz)


def _write_piece(piece: Piece, samples: np.ndarray, rate_hz: int, subtype: str = "PCM_16") -> None:
    wav = io.BytesIO()  # written by us, because libsndfile does not say that a disk is full
    kept = subtype if soundfile.check_format("WAV", subtype) and subtype.startswith("PCM") else "PCM_16"
    soundfile.write(wav, samples, rate_hz, subtype=kept, format="WAV")
    write_bytes(piece.path, wav.getvalue())
