"""Sound in: decode any recording to mono float32 at one sample rate, cut it into chunks. The only caller of SoX.

Decoders are tried in turn until one succeeds. Lossless files that libsndfile reads need no other process. Everything
else, and everything with effects, goes through SoX; then come libsndfile and FFmpeg. A recording is decoded in blocks,
so that memory does not grow with its length.
"""

import functools
import io
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
import soundfile
import soxr

from audionet.errors import InputError, RecordingError
from audionet.features.recipes import Recipe
from audionet.files import printable, walk_files, write_bytes

SOX_16_BITS = ("-e", "signed-integer", "-b", "16")
LOSSLESS_SUFFIXES = frozenset({".wav", ".flac", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64", ".rf64"})
SUFFIXES = LOSSLESS_SUFFIXES | frozenset(
    [
        ".mp3",
        ".mp2",
        ".ogg",
        ".oga",
        ".opus",
        ".m4a",
        ".m4b",
        ".aac",
        ".mp4",
        ".mov",
        ".mkv",
        ".mka",
        ".webm",
        ".wma",
        ".amr",
        ".ac3",
        ".ape",
        ".wv",
        ".gsm",
        ".snd",
        ".voc",
        ".sph",
    ]
)

STDIN = Path("-")  # sound that another program sends; a file of that name has a folder to go with it
FFMPEG_FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,eac3,flac,flv,gsm,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,"
    "mpeg,mpegts,ogg,rm,sln,sox,tak,tta,voc,w64,wav,wv"
)
# A file of any name may hold a playlist, with which FFmpeg would open other files or ask other machines.
SAFE_FFMPEG = (
    *("ffmpeg", "-nostdin", "-v", "error"),
    *("-protocol_whitelist", "file", "-format_whitelist", FFMPEG_FORMATS),
)
TIME_CHANGING = frozenset({"silence", "vad", "trim", "pad", "tempo", "speed", "stretch", "repeat", "reverse", "delay"})
BLOCK_SECONDS = 30
PIECES_AT_ONCE = 1000  # as many as a command line holds easily
SILENCE_PEAK = 1e-4  # -80 dBFS: three steps of 16-bit sound; no microphone is that quiet
SHORTEST_PERIOD_SECONDS = 0.5
SHORTEST_SECONDS = 0.02  # one window of analysis


@dataclass(frozen=True)
class Chunk:
    """A slice of a recording.

    Attributes:
        index: 0 for the first of the recording.
        offset_seconds: where it starts, in the recording as decoded.
        samples: float32, shape (chunk_samples,), in -1..1; a short one is filled until it is long enough.
        seconds: how long it is without what it was filled with.
    """

    index: int
    offset_seconds: float
    samples: np.ndarray
    seconds: float


def is_recording(path: Path) -> bool:
    """Tell by its suffix, in any letter case, whether a file is taken for a recording; `STDIN` is one."""
    return path == STDIN or path.suffix.lower() in SUFFIXES


def find_recordings(folder: Path) -> list[Path]:
    """Return the recordings below `folder`, sorted, hidden files and our own folders left out."""
    return [path for path in walk_files(folder) if is_recording(path)]


def chunks_by_recipe(path: Path, recipe: Recipe) -> Iterator[Chunk]:
    """Yield the chunks of a recording that pictures are drawn of by a recipe, in order.

    Raises:
        RecordingError: no decoder reads the file, or it holds no sound.
    """
    chunks = read_chunks(
        path,
        sample_rate_hz=recipe.sample_rate_hz,
        chunk_seconds=recipe.chunk_seconds,
        effects=recipe.sox_effects,
        padding=recipe.padding,
    )
    return islice(chunks, 1) if recipe.long_clips == "crop" else chunks


def read_chunks(
    path: Path,
    *,
    sample_rate_hz: int,
    chunk_seconds: float,
    effects: str = "",
    hop_seconds: float | None = None,
    padding: str = "repeat",
) -> Iterator[Chunk]:
    """Yield a recording's chunks in order, silent ones left out.

    Chunks do not overlap, unless they start every `hop_seconds`. A last chunk shorter than half a chunk is dropped; a
    longer one, or a recording shorter than a chunk, is filled, by default with itself, as `filled` does it.

    Raises:
        RecordingError: no decoder reads the file, or it holds no sound.
    """
    blocks = read_blocks(path, sample_rate_hz=sample_rate_hz, effects=effects)
    yield from chunks_of(
        blocks,
        name=path,
        sample_rate_hz=sample_rate_hz,
        chunk_seconds=chunk_seconds,
        hop_seconds=hop_seconds,
        padding=padding,
    )


def chunks_of(
    blocks: Iterable[np.ndarray],
    *,
    name: object,
    sample_rate_hz: int,
    chunk_seconds: float,
    hop_seconds: float | None = None,
    padding: str = "repeat",
) -> Iterator[Chunk]:
    """Yield the chunks of a recording that is decoded already, as `read_chunks` does it.

    Args:
        blocks: float32 samples, each block of shape (n,).
        name: what to call the recording in an error.
        sample_rate_hz: of the samples.
        chunk_seconds: how long a chunk is.
        hop_seconds: how much later the next one starts, by default a chunk.
        padding: how a short one is filled, as for `filled`.

    Raises:
        RecordingError: the blocks hold no sound.
    """
    chunk_samples = round(chunk_seconds * sample_rate_hz)
    hop_samples = round((hop_seconds or chunk_seconds) * sample_rate_hz)
    total_samples = 0
    any_sound = False
    for index, samples in enumerate(cut(blocks, chunk_samples, hop_samples)):
        total_samples = index * hop_samples + len(samples)
        if len(samples) < SHORTEST_SECONDS * sample_rate_hz or np.abs(samples).max() < SILENCE_PEAK:
            continue
        any_sound = True
        yield Chunk(
            index=index,
            offset_seconds=index * hop_samples / sample_rate_hz,
            samples=filled(samples, chunk_samples, sample_rate_hz=sample_rate_hz, padding=padding),
            seconds=len(samples) / sample_rate_hz,
        )
    if total_samples < SHORTEST_SECONDS * sample_rate_hz:
        raise RecordingError(
            f"{printable(name)} holds {total_samples / sample_rate_hz:.5f} s of sound; expected at least "
            f"{SHORTEST_SECONDS} s. Remove it or record it again."
        )
    if not any_sound:
        raise RecordingError(
            f"{printable(name)} is silent: no sample of its {total_samples / sample_rate_hz:.1f} s is louder than "
            f"{20 * math.log10(SILENCE_PEAK):.0f} dBFS. Remove it or record it again."
        )


def filled(samples: np.ndarray, chunk_samples: int, *, sample_rate_hz: int, padding: str = "repeat") -> np.ndarray:
    """Repeat samples until they fill a chunk; what is shorter than half a second is followed by silence up to that.

    Repeated sounds are told apart better than sounds in silence, as long as they do not turn into a tone.

    Args:
        samples: float32, shape (n,), n above 0.
        chunk_samples: how many there shall be; more are cut off.
        sample_rate_hz: of the samples.
        padding: `repeat`, or `zeros` for silence instead, as some tutorials have it.
    """
    if padding == "zeros":
        return np.pad(samples[:chunk_samples], (0, max(0, chunk_samples - len(samples))))
    silence = max(0, round(SHORTEST_PERIOD_SECONDS * sample_rate_hz) - len(samples))
    return np.resize(np.pad(samples, (0, silence)), chunk_samples)


def cut(blocks: Iterable[np.ndarray], chunk_samples: int, hop_samples: int | None = None) -> Iterator[np.ndarray]:
    """Yield slices of `chunk_samples` from consecutive blocks of float32 samples, each of shape (n,).

    Slices start every `hop_samples`, `chunk_samples` at most, by default one behind the other. The last ones may be
    shorter; those less than half as long are dropped, unless there is no other.
    """
    hop_samples = hop_samples or chunk_samples
    rest = np.empty(0, np.float32)
    is_first = True
    for block in blocks:
        rest = np.concatenate([rest, block])
        starts = range(0, len(rest) - chunk_samples + 1, hop_samples)
        for start in starts:
            yield rest[start : start + chunk_samples]
            is_first = False
        rest = rest[len(starts) * hop_samples :]
    for start in range(0, len(rest), hop_samples):
        if is_first or 2 * (len(rest) - start) >= chunk_samples:
            yield rest[start : start + chunk_samples]
            is_first = False


def cut_evenly(blocks: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """Yield consecutive samples `count` at a time, at last those that are left; nothing is dropped."""
    rest = np.empty(0, np.float32)
    for block in blocks:
        rest = np.concatenate([rest, block])
        while len(rest) >= count:
            yield rest[:count]
            rest = rest[count:]
    if len(rest):
        yield rest


def write_wav(path: Path, samples: np.ndarray, *, sample_rate_hz: int) -> None:
    """Write float32 samples of shape (n,) in -1..1 as 16-bit wav, whole or not at all."""
    content = io.BytesIO()  # written by us, because libsndfile does not say that a disk is full
    with wave.open(content, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(sample_rate_hz)
        wav.writeframes(np.clip(np.rint(samples * 32_768), -32_768, 32_767).astype("<i2").tobytes())
    write_bytes(path, content.getvalue())


@dataclass(frozen=True)
class Piece:
    """A stretch of a recording, and the wav file that it is to become."""

    start_seconds: float
    end_seconds: float
    path: Path


def cut_out(recording: Path, pieces: Sequence[Piece]) -> None:
    """Write pieces of a recording as wav with the rate and the channels that it has, each whole or not at all.

    Args:
        recording: any that `read_blocks` reads, but for stdin.
        pieces: in the order of time; they must not overlap.

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
        except _DecoderError as error:
            reasons.append(str(error))
    raise RecordingError(f"{printable(recording)} cannot be cut: {'; '.join(reasons)}.")


def _cut_sndfile(recording: Path, pieces: Sequence[Piece]) -> None:
    try:
        with soundfile.SoundFile(os.fsencode(recording)) as sound:
            for piece in pieces:
                first = min(round(piece.start_seconds * sound.samplerate), sound.frames)
                sound.seek(first)
                samples = sound.read(round(piece.end_seconds * sound.samplerate) - first, always_2d=True)
                _write_piece(piece, samples, sound.samplerate, sound.subtype)
    except soundfile.LibsndfileError as error:
        raise _DecoderError(f"libsndfile: {_last_line(error.error_string)}") from error


def _cut_sox(recording: Path, pieces: Sequence[Piece]) -> None:
    """Let SoX decode once and keep all pieces in a row: to seek in an mp3, it would decode from the start."""
    rate_hz = _sox_rate(recording)
    places = [(round(one.start_seconds * rate_hz), round(one.end_seconds * rate_hz)) for one in pieces]
    trim = [f"={place}s" for ends in places for place in ends]
    with tempfile.TemporaryDirectory(prefix="audionet-") as scratch:
        kept = Path(scratch) / "kept.wav"
        _run("SoX", [*_sox(recording), *SOX_16_BITS, str(kept), "trim", *trim])
        with soundfile.SoundFile(kept) as sound:
            for piece, (first, behind) in zip(pieces, places, strict=True):
                _write_piece(piece, sound.read(behind - first, always_2d=True), rate_hz)


def _cut_ffmpeg(recording: Path, pieces: Sequence[Piece]) -> None:
    for piece in pieces:
        place = ["-ss", f"{piece.start_seconds:.6f}", "-t", f"{piece.end_seconds - piece.start_seconds:.6f}"]
        command = [*SAFE_FFMPEG, *place, "-i", f"file:{recording}", "-map", "0:a:0"]
        wav = _run("FFmpeg", [*command, "-f", "wav", "-c:a", "pcm_s16le", "-"])
        samples, rate_hz = soundfile.read(io.BytesIO(wav), always_2d=True)
        _write_piece(piece, samples, rate_hz)


def _write_piece(piece: Piece, samples: np.ndarray, rate_hz: int, subtype: str = "PCM_16") -> None:
    wav = io.BytesIO()  # written by us, because libsndfile does not say that a disk is full
    kept = subtype if soundfile.check_format("WAV", subtype) and subtype.startswith("PCM") else "PCM_16"
    soundfile.write(wav, samples, rate_hz, subtype=kept, format="WAV")
    write_bytes(piece.path, wav.getvalue())


def read_wav(path: Path) -> np.ndarray:
    """Return the samples of a file that `write_wav` wrote, float32, shape (n,), in -1..1.

    Raises:
        RecordingError: the file is not there or cannot be read.
    """
    try:
        return soundfile.read(os.fsencode(path), dtype="float32")[0]
    except (soundfile.LibsndfileError, OSError) as error:
        raise RecordingError(f"{printable(path)} cannot be read ({_last_line(str(error))}).") from error


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
        except _DecoderError as error:
            reasons.append(str(error))
            continue
        if first is not None:
            yield first
            yield from _until_damage(blocks)
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


def check_effects(effects: str) -> None:
    """Try a SoX effect chain on a moment of noise, so that a mistake in it is reported once and at the start.

    Raises:
        InputError: SoX is not there or does not accept the chain.
    """
    if not effects:
        return
    if not has_sox():
        raise InputError(
            "--sox_effects needs the sox program, which is not installed. Install it (Debian: apt-get install sox "
            "libsox-fmt-mp3; macOS: brew install sox), or leave the option away."
        )
    with tempfile.TemporaryDirectory() as scratch:
        noise = Path(scratch) / "noise.wav"
        soundfile.write(noise, np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000, subtype="PCM_16")
        try:
            _run("SoX", [*_sox(noise), "-n", *shlex.split(effects)])
        except _DecoderError as error:
            raise InputError(f"--sox_effects: SoX does not accept {effects!r}: {error}") from error


def changes_time(effects: str) -> bool:
    """Tell whether a SoX effect chain moves sounds, so that offsets are no longer those of the source."""
    return not TIME_CHANGING.isdisjoint(shlex.split(effects))


@functools.cache
def has_sox() -> bool:
    """Tell whether the sox program is installed."""
    return shutil.which("sox") is not None


@functools.cache
def has_ffmpeg() -> bool:
    """Tell whether the ffmpeg program is installed."""
    return shutil.which("ffmpeg") is not None


class _DecoderError(Exception):
    """One decoder does not read the file; its text says which and why, and the next one is tried."""


def _decoders(path: Path, effects: str) -> list[Callable[[Path, int, str], Iterator[np.ndarray]]]:
    if effects:
        return [_decode_sox]
    sox = [_decode_sox] if has_sox() else []
    ffmpeg = [_decode_ffmpeg] if has_ffmpeg() else []
    if path.suffix.lower() in LOSSLESS_SUFFIXES:
        return [_decode_sndfile, *sox, *ffmpeg]
    # libsndfile stops short in mp3 of a varying bit rate whose header does not tell the length.
    return [*sox, *ffmpeg, _decode_sndfile]


def _until_damage(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield blocks up to where a file is damaged: what was recorded before is good."""
    try:
        yield from blocks
    except _DecoderError:
        return


def _decode_sox(path: Path, sample_rate_hz: int, effects: str) -> Iterator[np.ndarray]:
    # Raw samples, because a wav header holds no more than two gigabytes, and not resampled, which soxr does in a tenth
    # of the time.
    rate_hz = _sox_rate(path)
    form = ["-t", "raw", *SOX_16_BITS, "-r", str(rate_hz), "-c", "1"]
    with _piped("SoX", [*_sox(path), *form, "-", *shlex.split(effects)]) as pipe:
        yield from _decode_stream(pipe.fileno(), sample_rate_hz, raw_rate_hz=rate_hz)


def _sox(source: Path) -> list[str]:
    """Return how a call of SoX begins.

    Dither is noise from a random generator: without it the same recording gives the same samples again.
    """
    # An mp3 put together of several has the length of the first in its header. A wav may end in what is no sound.
    length = [] if source.suffix.lower() in LOSSLESS_SUFFIXES else ["--ignore-length"]
    return ["sox", "-D", "-V1", "--no-glob", *length, str(source)]  # with globs, a[1].mp3 would mean a1.mp3


def _sox_rate(source: Path) -> int:
    """Return how many samples a second a recording has, according to SoX."""
    answer = _run("SoX", ["sox", "--i", "-r", str(source)])
    if not answer.strip().isdigit():
        raise _fault("SoX", b"")
    return int(answer)


def _run(name: str, command: Sequence[str]) -> bytes:
    """Return what a program writes, and raise its last word if it fails."""
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise _fault(name, done.stderr)
    return done.stdout


def _fault(name: str, stderr: bytes) -> _DecoderError:
    return _DecoderError(f"{name}: {_last_line(stderr.decode(errors='replace'))}")


@contextmanager
def _piped(name: str, command: Sequence[str]) -> Iterator[IO[bytes]]:
    """Yield what a program writes, and raise its last word if it fails.

    Leaving the block early closes the pipe, at which the program ends by itself.
    """
    with (
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr) as process,
    ):
        assert process.stdout is not None  # it is a pipe
        yield process.stdout
        process.stdout.close()
        if process.wait() not in (0, -signal.SIGPIPE):
            stderr.seek(0)
            raise _fault(name, stderr.read())


class _Stream(soundfile.SoundFile):
    """A sound file read from beginning to end: soundfile seeks after each read, which tears a gap into mp3."""

    def seekable(self) -> bool:
        """Tell soundfile not to seek."""
        return False


def _read_stdin(sample_rate_hz: int, block_seconds: float) -> Iterator[np.ndarray]:
    try:
        yield from _decode_stream(sys.stdin.fileno(), sample_rate_hz, block_seconds)
    except _DecoderError as error:
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
        with _Stream(source, closefd=False, **raw) as sound:
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
        raise _DecoderError(f"libsndfile: {_last_line(getattr(error, 'error_string', str(error)))}") from error


def _decode_ffmpeg(path: Path, sample_rate_hz: int, effects: str) -> Iterator[np.ndarray]:
    command = [*SAFE_FFMPEG, "-i", f"file:{path}"]
    command += ["-map", "0:a:0", "-ac", "1", "-ar", str(sample_rate_hz), "-f", "f32le", "-"]
    with _piped("FFmpeg", command) as pipe:
        while block := pipe.read(4 * BLOCK_SECONDS * sample_rate_hz):
            yield np.frombuffer(block[: len(block) // 4 * 4], "<f4")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(lines[-1].rstrip(".")) if lines else "gave no reason"
