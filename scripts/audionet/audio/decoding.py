"""Decode any recording to mono float32 at one sample rate.

Decoders are tried in turn until one succeeds. Lossless files that libsndfile reads need no other process. Everything
else, and everything with effects, goes through SoX; then come libsndfile and FFmpeg. A recording is decoded in blocks,
so that memory does not grow with its length.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import soundfile
import soxr

from audionet.audio.sox_ffmpeg import (
    LOSSLESS_SUFFIXES,
    SAFE_FFMPEG,
    SOX_16_BITS,
    DecoderError,
    effect_arguments,
    ffmpeg_form,
    has_ffmpeg,
    has_sox,
    last_line,
    patience_seconds,
    program_blocks,
    sox_command,
    sox_form,
)
from audionet.console import silence_native_stderr
from audionet.errors import RecordingError
from audionet.files import printable, walk_files
from audionet.regular_files import open_regular
from audionet.wording import counted

SUFFIXES = LOSSLESS_SUFFIXES | {
    *(".mp3", ".mp2", ".ogg", ".oga", ".opus", ".m4a", ".m4b", ".aac", ".mp4", ".mov", ".mkv"),
    *(".mka", ".webm", ".wma", ".amr", ".ac3", ".ape", ".wv", ".gsm", ".snd", ".voc", ".sph"),
}

STDIN = Path("-")  # sound that another program sends; a file of that name has a folder to go with it

LOWEST_RATE_HZ = 100  # machines that turn slowly are recorded at some hundred samples a second
HIGHEST_RATE_HZ = 768_000  # the fastest converters for sound; bats take half of it
MOST_CHANNELS = 64  # as many as the largest arrays of microphones

# Fewer bytes hold no second of sound, not even of digital silence, so that a small file gives little whatever it says.
LEAST_BYTES_A_SECOND = {".mp3": 500, ".mp2": 500} | dict.fromkeys((".ogg", ".oga", ".opus", ".aac", ".amr", ".gsm"), 20)
LEAST_BYTES_OF_OTHERS = 5  # FLAC of silence at 2 kHz takes 7
TEXT_BYTES = 4_096  # that are looked at to tell text
SPARE_SECONDS = 60.0  # that any file may give, with what effects add

HEADERLESS = {".gsm": {"format": "RAW", "subtype": "GSM610", "samplerate": 8_000, "channels": 1}}
"""What libsndfile would know by a file's name, which an open file does not tell."""


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
        with open_regular(path) as file, soundfile.SoundFile(file.fileno(), closefd=False) as sound:
            samples: np.ndarray = sound.read(dtype="float32")
    except OSError as error:
        raise RecordingError(f"{printable(path)} cannot be read ({error.strerror}).") from error
    except soundfile.LibsndfileError as error:
        raise RecordingError(f"{printable(path)} cannot be read ({last_line(error.error_string)}).") from error
    return samples


def read_blocks(
    path: Path, *, sample_rate_hz: int, effects: str = "", channel: str = "mean", block_seconds: float = 1.0
) -> Iterator[np.ndarray]:
    """Yield a recording as consecutive blocks of mono float32 samples, each of shape (n,), in -1..1.

    Args:
        path: the recording, in any format that SoX, libsndfile or FFmpeg reads; or `STDIN`, as wav, which with effects
            is heard to its end before there is any block.
        sample_rate_hz: the rate to resample to.
        effects: a SoX effect chain that the sound goes through, such as `norm -3`.
        channel: the `mean` of all, or `each`, which is the same here; `left`, `right` or a number from 1; or the
            `loudest`, for which a recording is decoded once more for each channel.
        block_seconds: how much of what comes by stdin to wait for.

    Raises:
        RecordingError: no decoder reads the file, and the message holds the reason of each; or it is no regular file;
            or it lacks the channel; or its rate or channels are none that sound has, or it gives more sound than its
            bytes can hold.
    """
    if path == STDIN:
        blocks = _stdin_with_effects(sample_rate_hz, effects, channel) if effects else None
        yield from blocks or _read_stdin(sample_rate_hz, channel, block_seconds)
        return
    path = Path(path).absolute()  # a relative name may begin with a dash, which programs take for an option
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError as error:
        raise RecordingError(f"{printable(path)} is not a file; expected a recording.") from error
    except OSError as error:
        raise RecordingError(f"{printable(path)} cannot be read ({error.strerror}); expected a recording.") from error
    if size == 0:
        raise RecordingError(f"{printable(path)} is empty. Remove it or copy it again.")
    least_bytes = LEAST_BYTES_A_SECOND.get(path.suffix.lower(), LEAST_BYTES_OF_OTHERS)
    most_samples = round((SPARE_SECONDS + size / least_bytes) * sample_rate_hz)
    number = _loudest_channel(path, sample_rate_hz, effects) if channel == "loudest" else channel_number(channel)
    for block in _decode(path, sample_rate_hz, effects, number):
        most_samples -= len(block)
        if most_samples < 0:
            raise RecordingError(
                f"{printable(path)} gives more sound than its {size:,} bytes can hold, at {least_bytes} bytes a "
                "second. Its header is damaged: remove it or convert it again."
            )
        yield block


def channel_number(channel: str) -> int | None:
    """Return the number of a channel that is named by it or by its side, from 1; None for what is of all channels."""
    if channel in ("mean", "each", "loudest"):
        return None
    return {"left": 1, "right": 2}.get(channel) or int(channel)


def count_channels(path: Path) -> int:
    """Return how many channels a recording has, 1 where nothing tells."""
    path = Path(path).absolute()
    with (
        suppress(soundfile.LibsndfileError, OSError),
        open_regular(path) as file,
        opened_sound(file.fileno(), path) as sound,
    ):
        return int(sound.channels)
    for is_there, form in ((has_sox(), sox_form), (has_ffmpeg(), ffmpeg_form)):
        with suppress(DecoderError):
            if is_there and (count := form(path)[1]):
                return count
    return 1


def _loudest_channel(path: Path, sample_rate_hz: int, effects: str) -> int | None:
    """Return the number of the channel with the most power over the whole recording, None where there is but one."""
    numbers = range(1, min(count_channels(path), MOST_CHANNELS) + 1)
    if len(numbers) == 1:
        return None
    powers = [
        sum(float(np.square(block, dtype=np.float64).sum()) for block in _decode(path, sample_rate_hz, effects, number))
        for number in numbers
    ]
    return numbers[int(np.argmax(powers))]


def _decode(path: Path, sample_rate_hz: int, effects: str, channel: int | None = None) -> Iterator[np.ndarray]:
    """Yield what the first decoder that reads the file makes of it."""
    reasons = []
    found_nothing = False
    for decode in _decoders(path, effects):
        blocks = decode(path, sample_rate_hz, effects, channel)
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
    if what := _no_sound(path):
        raise RecordingError(
            f"{printable(path)} cannot be decoded: {what}. Remove it, or put a recording in its place."
        )
    raise RecordingError(
        f"{printable(path)} cannot be decoded; expected a sound file. "
        + "; ".join(reasons)
        + ". Remove it or convert it to wav."
    )


def _no_sound(path: Path) -> str:
    """Return what a file is that nobody would take for sound, or nothing."""
    try:
        with open_regular(path) as file:
            beginning = file.read(TEXT_BYTES)
    except OSError:
        return ""
    if not beginning.strip(b"\0"):
        return "it holds nothing but zeros"
    try:
        text = beginning[: len(beginning) - 4].decode() if len(beginning) == TEXT_BYTES else beginning.decode()
    except UnicodeDecodeError:
        return ""
    is_text = all(character.isprintable() or character.isspace() for character in text)
    return "it holds text" if is_text else ""


def form_of(path: Path) -> tuple[int, float] | None:
    """Return a recording's samples per second and its length in seconds, or None where no header tells them."""
    if path == STDIN:
        return None
    try:
        with open_regular(path) as file, opened_sound(file.fileno(), path) as sound:
            form: tuple[int, int] = sound.samplerate, sound.frames
    except (soundfile.LibsndfileError, OSError):
        return None
    return (form[0], form[1] / form[0]) if form[1] else None


def _decoders(path: Path, effects: str) -> list[Callable[[Path, int, str, int | None], Iterator[np.ndarray]]]:
    if effects:
        return [_decode_sox]
    sox = [_decode_sox] if has_sox() else []
    ffmpeg = [_decode_ffmpeg] if has_ffmpeg() else []
    if path.suffix.lower() in LOSSLESS_SUFFIXES:
        return [_decode_sndfile, *sox, *ffmpeg]
    # libsndfile stops short in mp3 of a varying bit rate whose header does not tell the length.
    return [*sox, *ffmpeg, _decode_sndfile]


def _decode_sox(path: Path, sample_rate_hz: int, effects: str, channel: int | None) -> Iterator[np.ndarray]:
    # Raw samples, because a wav header holds no more than two gigabytes, and not resampled, which soxr does in a tenth
    # of the time.
    rate_hz = _check_form(path, *sox_form(path), channel)
    form = ["-t", "raw", *SOX_16_BITS, "-r", str(rate_hz), "-c", "1"]
    remix = [] if channel is None else ["remix", str(channel)]
    command = [*sox_command(path), *form, "-", *remix, *effect_arguments(effects)]
    blocks = program_blocks("SoX", command, block_bytes=2 * rate_hz, seconds=patience_seconds(path))
    # 16 bits are exact in float32.
    samples = (np.frombuffer(block[: len(block) // 2 * 2], np.int16) / np.float32(32_768) for block in blocks)
    yield from _resampled(samples, rate_hz, sample_rate_hz)


def _decode_ffmpeg(path: Path, sample_rate_hz: int, effects: str, channel: int | None) -> Iterator[np.ndarray]:
    rate_hz, channels = ffmpeg_form(path)
    _check_form(path, rate_hz, channels, channel)
    heard = range(channels or 0) if channel is None else [channel - 1]
    parts = "+".join(f"{1 / len(heard):.6f}*c{number}" for number in heard)
    command = [*SAFE_FFMPEG, "-i", f"file:{path}", "-map", "0:a:0"]
    # By itself it would mix more than two as a cinema does, and leave the third out.
    command += ["-af", f"pan=mono|c0={parts}"] if channel is not None or len(heard) > 2 else []
    command += ["-ac", "1", "-ar", str(sample_rate_hz), "-f", "f32le", "-"]
    blocks = program_blocks("FFmpeg", command, block_bytes=4 * sample_rate_hz, seconds=patience_seconds(path))
    for block in blocks:
        yield np.frombuffer(block[: len(block) // 4 * 4], "<f4")


def _decode_sndfile(path: Path, sample_rate_hz: int, effects: str, channel: int | None) -> Iterator[np.ndarray]:
    try:
        with open_regular(path) as file:
            yield from _decode_stream(file.fileno(), sample_rate_hz, path, channel)
    except OSError as error:
        raise DecoderError(f"libsndfile: {error.strerror}") from error


def _read_stdin(sample_rate_hz: int, channel: str, block_seconds: float) -> Iterator[np.ndarray]:
    if channel == "loudest":
        raise RecordingError(
            "-: which channel is the loudest cannot be told before all of it was heard. Give it as a file, or name a "
            "channel by --channel."
        )
    number = channel_number(channel)
    try:
        yield from _decode_stream(sys.stdin.fileno(), sample_rate_hz, STDIN, number, block_seconds)
    except DecoderError as error:
        raise RecordingError(f"-: expected wav on stdin ({error}). Send it with sox voice.mp3 -t wav - |.") from error


def _stdin_with_effects(sample_rate_hz: int, effects: str, channel: str) -> Iterator[np.ndarray]:
    """Decode what is sent as a file is, since effects such as `norm` need all of it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "stdin.wav"
        with open(sys.stdin.fileno(), "rb", closefd=False) as sent, copy.open("wb") as file:
            shutil.copyfileobj(sent, file)
        try:
            yield from read_blocks(copy, sample_rate_hz=sample_rate_hz, effects=effects, channel=channel)
        except RecordingError as error:
            raise RecordingError(f"-: expected wav on stdin. {str(error).replace(str(copy), '-')}") from error


def _decode_stream(
    descriptor: int, sample_rate_hz: int, path: Path, channel: int | None, block_seconds: float = 1.0
) -> Iterator[np.ndarray]:
    """Decode what comes through an open file descriptor, which libsndfile has to know by its content."""
    try:
        with opened_sound(descriptor, path) as sound:
            rate_hz = _check_form(path, sound.samplerate, sound.channels, channel)
            yield from _resampled(_mono_blocks(sound, channel, block_seconds), rate_hz, sample_rate_hz)
    except (soundfile.LibsndfileError, OSError, ValueError) as error:
        raise DecoderError(f"libsndfile: {last_line(getattr(error, 'error_string', str(error)))}") from error


def opened_sound(descriptor: int, path: Path) -> soundfile.SoundFile:
    """Return an open recording for libsndfile to read; raise LibsndfileError if it cannot."""
    # What libsndfile writes about an mp3 is for programmers. Stdin may keep it waiting, and others have things to say.
    with nullcontext() if path == STDIN else silence_native_stderr():
        return soundfile.SoundFile(descriptor, closefd=False, **HEADERLESS.get(path.suffix.lower(), {}))


def _mono_blocks(sound: soundfile.SoundFile, channel: int | None, block_seconds: float) -> Iterator[np.ndarray]:
    sound.seekable = lambda: False  # it would seek after each read, which tears a gap into mp3
    # A second at a time, since a damaged block is lost as a whole. Its own `blocks` would return what happens to be in
    # memory for what a truncated file lacks.
    buffer = np.empty((round(block_seconds * sound.samplerate), sound.channels), np.float32)
    while len(block := _read_into(sound, buffer)):
        if sound.channels == 1 or channel is not None:
            mono = block[:, (channel or 1) - 1].copy()
        else:
            mono = block.mean(axis=1, dtype=np.float32)
        if not np.isfinite(mono).all():
            mono = np.nan_to_num(mono, posinf=1.0, neginf=-1.0)
        yield mono


def _read_into(sound: soundfile.SoundFile, buffer: np.ndarray) -> np.ndarray:
    with silence_native_stderr() if sound.format == "MP3" else nullcontext():
        block: np.ndarray = sound.read(out=buffer)
    return block


def _resampled(blocks: Iterable[np.ndarray], rate_hz: int, sample_rate_hz: int) -> Iterator[np.ndarray]:
    if rate_hz == sample_rate_hz:
        yield from blocks
        return
    resample = soxr.ResampleStream(rate_hz, sample_rate_hz, 1, dtype="float32").resample_chunk
    for block in blocks:
        yield resample(block)
    yield resample(np.empty(0, np.float32), last=True)


def _check_form(path: Path, rate_hz: int, channels: int | None, channel: int | None = None) -> int:
    """Return the rate that a header claims.

    Raises:
        RecordingError: no sound has that rate or those channels, or they lack the one that is asked for.
    """
    damaged = "Its header is damaged: remove it or convert it again."
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise RecordingError(
            f"{printable(path)} says that it has {rate_hz:,} samples a second; expected {LOWEST_RATE_HZ} to "
            f"{HIGHEST_RATE_HZ:,}. {damaged}"
        )
    if channels is not None and not 1 <= channels <= MOST_CHANNELS:
        raise RecordingError(
            f"{printable(path)} says that it has {channels:,} channels; expected 1 to {MOST_CHANNELS}. {damaged}"
        )
    if channels is not None and channel is not None and channel > channels:
        raise RecordingError(
            f"{printable(path)} has {counted(channels, 'channel')}, and channel {channel} is asked for. Choose another "
            "--channel, or leave the file out."
        )
    return rate_hz
