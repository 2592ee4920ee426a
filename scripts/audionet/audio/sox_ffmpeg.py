"""The programs SoX and FFmpeg: how they are called, and what they say when they fail."""

import functools
import logging
import os
import re
import selectors
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import numpy as np

from audionet.errors import InputError
from audionet.files import brief, printable

SOX_16_BITS = ("-e", "signed-integer", "-b", "16")

LOSSLESS_SUFFIXES = frozenset({".wav", ".flac", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64", ".rf64"})

FFMPEG_FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,eac3,flac,flv,gsm,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,"
    "mpeg,mpegts,ogg,rm,sln,sox,tak,tta,voc,w64,wav,wv"
)

# A file of any name may hold a playlist, with which FFmpeg would open other files or ask other machines.
SAFE_FFMPEG = (
    *("ffmpeg", "-nostdin", "-v", "error"),
    *("-protocol_whitelist", "file", "-format_whitelist", FFMPEG_FORMATS),
)

FFMPEG_LAYOUTS = {b"mono": 1, b"stereo": 2, b"quad": 4}

LEAST_PATIENCE_SECONDS = 60.0
BYTES_A_SECOND_OF_PATIENCE = 50_000  # six seconds of mp3 at 64 kbit/s; SoX decodes hundreds in a second

# A header of some bytes makes SoX ask for gigabytes; decoding takes it megabytes.
SOX = ("sh", "-c", 'ulimit -v 2000000 2>/dev/null; exec sox "$@"', "sox")

TIME_CHANGING = frozenset({"silence", "vad", "trim", "pad", "tempo", "speed", "stretch", "repeat", "reverse", "delay"})

EFFECTS = frozenset(
    {
        *("allpass", "band", "bandpass", "bandreject", "bass", "bend", "biquad", "channels", "chorus"),
        *("compand", "contrast", "dcshift", "deemph", "delay", "dither", "divide", "downsample", "earwax"),
        *("echo", "echos", "equalizer", "fade", "flanger", "gain", "highpass", "hilbert", "loudness"),
        *("lowpass", "mcompand", "norm", "oops", "overdrive", "pad", "phaser", "pitch", "rate", "remix"),
        *("repeat", "reverb", "reverse", "riaa", "silence", "sinc", "speed", "splice", "stat", "stats"),
        *("stretch", "swap", "synth", "tempo", "treble", "tremolo", "trim", "upsample", "vad", "vol"),
    }
)

# They read or write files or load libraries, and a recipe may be a stranger's.
FILE_EFFECTS = frozenset(
    {"fir", "firfit", "input", "ladspa", "newfile", "noiseprof", "noisered", "output", "restart", "spectrogram", ":"}
)


def effect_arguments(effects: str) -> list[str]:
    """Return a SoX effect chain as arguments of the program, which uses no files and starts no program by them.

    Whatever precedes the first effect would be a file to SoX, or with a bar at its start a program to run.

    Raises:
        InputError: it is no chain of effects, or has one that uses files.
    """
    try:
        arguments = shlex.split(effects)
    except ValueError as error:
        raise InputError(f"sox_effects: expected a SoX effect chain, received {brief(effects)!r} ({error}).") from error
    names = [argument.casefold() for argument in arguments]
    if names and names[0] not in EFFECTS:
        raise InputError(
            f"sox_effects: expected a chain that begins with an effect of SoX that uses no files, such as norm or "
            f"silence, received {brief(arguments[0])!r}."
        )
    if used := FILE_EFFECTS.intersection(names):
        raise InputError(f"sox_effects: expected effects that use no files, received {min(used)!r}. Leave it out.")
    return arguments


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
    sox = _pysox()
    noise = np.random.default_rng(0).normal(0, 3_000, 16_000).astype(np.int16)
    chain = sox.Transformer().set_globals(verbosity=1)
    try:
        chain.build(
            input_array=noise, sample_rate_in=16_000, output_filepath="-n", extra_args=effect_arguments(effects)
        )
    except sox.SoxError as error:
        reason = str(error).partition("Stderr: ")[2]
        raise InputError(f"--sox_effects: SoX does not accept {effects!r}: SoX: {last_line(reason)}") from error


def changes_time(effects: str) -> bool:
    """Tell whether a SoX effect chain moves sounds, so that offsets are no longer those of the source."""
    return not TIME_CHANGING.isdisjoint(effect_arguments(effects))


@functools.cache
def has_sox() -> bool:
    """Tell whether the sox program is installed."""
    return shutil.which("sox") is not None


@functools.cache
def has_ffmpeg() -> bool:
    """Tell whether the ffmpeg program is installed."""
    return shutil.which("ffmpeg") is not None


class DecoderError(Exception):
    """One decoder does not read the file; its text says which and why, and the next one is tried."""


def sox_command(source: Path) -> list[str]:
    """Return how a call of SoX begins.

    Dither is noise from a random generator: without it the same recording gives the same samples again.
    """
    # An mp3 put together of several has the length of the first in its header. A wav may end in what is no sound.
    length = [] if source.suffix.lower() in LOSSLESS_SUFFIXES else ["--ignore-length"]
    return [*SOX, "-D", "-V1", "--no-glob", *length, str(source)]  # with globs, a[1].mp3 would mean a1.mp3


def sox_form(source: Path) -> tuple[int, int]:
    """Return how many samples a second and how many channels a recording has, according to SoX.

    Raises:
        DecoderError: SoX does not read it.
    """
    told = run_program("SoX", [*SOX, "--info", str(source)], seconds=patience_seconds(source)).decode(errors="replace")
    channels, rate_hz = (re.search(rf"^{name} *: (\d+)", told, re.MULTILINE) for name in ("Channels", "Sample Rate"))
    if not channels or not rate_hz:
        raise DecoderError("SoX: tells neither rate nor channels")
    return int(rate_hz[1]), int(channels[1])


def ffmpeg_form(source: Path) -> tuple[int, int | None]:
    """Return how many samples a second a recording has and, where it says so, how many channels, according to FFmpeg.

    Raises:
        DecoderError: FFmpeg does not read it.
    """
    # It ends with an error, since no output is named, after it has told of the input.
    command = [*SAFE_FFMPEG, "-v", "info", "-hide_banner", "-i", f"file:{source}"]
    told = _finished("FFmpeg", command, patience_seconds(source)).stderr
    stream = re.search(rb"Stream #0:\d+.*: Audio: .*?, (\d+) Hz, (?:(\d+) channels|(\d)\.(\d)|(\w+))?", told)
    if not stream:
        raise program_error("FFmpeg", told)
    _, several, speakers, woofers, layout = stream.groups()
    if speakers:
        return int(stream[1]), int(speakers) + int(woofers)
    return int(stream[1]), int(several) if several else FFMPEG_LAYOUTS.get(layout)


@functools.cache
def _pysox() -> ModuleType:
    import sox  # which runs the program twice, and would tell of its absence

    logging.getLogger("sox").setLevel(logging.ERROR)  # it warns of suffixes that it does not know
    module: ModuleType = sox
    return module


def patience_seconds(source: Path) -> float:
    """Return how long to wait for a program that decodes a recording: a minute, and a second for every 50 kB."""
    size = 0
    with suppress(OSError):  # it is gone, as the program will say
        size = source.stat().st_size
    return LEAST_PATIENCE_SECONDS + size / BYTES_A_SECOND_OF_PATIENCE


def run_program(name: str, command: Sequence[str], *, seconds: float) -> bytes:
    """Return what a program writes, and raise its last word if it fails, or where it takes longer than `seconds`."""
    done = _finished(name, command, seconds)
    if done.returncode != 0:
        raise program_error(name, done.stderr)
    return done.stdout


def _finished(name: str, command: Sequence[str], seconds: float) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise _unfinished(name, seconds) from error


def _unfinished(name: str, seconds: float) -> DecoderError:
    return DecoderError(f"{name}: was not done with it after {seconds:.0f} s")


def program_error(name: str, stderr: bytes) -> DecoderError:
    """Return a program's last word as an error."""
    return DecoderError(f"{name}: {last_line(stderr.decode(errors='replace'))}")


def program_blocks(name: str, command: Sequence[str], *, block_bytes: int, seconds: float) -> Iterator[bytes]:
    """Yield what a program writes in blocks of `block_bytes`, the last of which may be shorter.

    It is ended when no more is asked for. Only the time that is spent waiting for it counts.

    Raises:
        DecoderError: it fails, which its last word explains, or it was waited for longer than `seconds`.
    """
    with (
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr) as process,
        selectors.DefaultSelector() as selector,
    ):
        assert process.stdout is not None  # it is a pipe
        selector.register(process.stdout, selectors.EVENT_READ)
        left_seconds = seconds
        block = bytearray()
        try:
            while True:
                begun = time.monotonic()
                if left_seconds <= 0 or not selector.select(left_seconds):
                    raise _unfinished(name, seconds)
                left_seconds -= time.monotonic() - begun
                part = os.read(process.stdout.fileno(), block_bytes - len(block))
                block += part
                if block and (not part or len(block) == block_bytes):
                    yield bytes(block)
                    block.clear()
                if not part:
                    break
            status = process.wait(max(1.0, left_seconds))
        except subprocess.TimeoutExpired as error:
            raise _unfinished(name, seconds) from error
        finally:
            process.kill()
        if status != 0:
            stderr.seek(0)
            raise program_error(name, stderr.read())


def last_line(text: str) -> str:
    """Return the last line of a text that says something, fit to print."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(lines[-1].rstrip(".")) if lines else "gave no reason"
