"""The programs SoX and FFmpeg: how they are called, and what they say when they fail."""

import functools
import logging
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO

import numpy as np

from audionet.errors import InputError
from audionet.files import printable

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

TIME_CHANGING = frozenset({"silence", "vad", "trim", "pad", "tempo", "speed", "stretch", "repeat", "reverse", "delay"})


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
        chain.build(input_array=noise, sample_rate_in=16_000, output_filepath="-n", extra_args=shlex.split(effects))
    except sox.SoxError as error:
        reason = str(error).partition("Stderr: ")[2]
        raise InputError(f"--sox_effects: SoX does not accept {effects!r}: SoX: {last_line(reason)}") from error


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


class DecoderError(Exception):
    """One decoder does not read the file; its text says which and why, and the next one is tried."""


def sox_command(source: Path) -> list[str]:
    """Return how a call of SoX begins.

    Dither is noise from a random generator: without it the same recording gives the same samples again.
    """
    # An mp3 put together of several has the length of the first in its header. A wav may end in what is no sound.
    length = [] if source.suffix.lower() in LOSSLESS_SUFFIXES else ["--ignore-length"]
    return ["sox", "-D", "-V1", "--no-glob", *length, str(source)]  # with globs, a[1].mp3 would mean a1.mp3


def sox_rate_hz(source: Path) -> int:
    """Return how many samples a second a recording has, according to SoX.

    Raises:
        DecoderError: SoX does not read it.
    """
    sox = _pysox()
    try:
        return int(sox.file_info.sample_rate(source))
    except (sox.SoxiError, OSError, ValueError) as error:
        cause = error.__context__  # which has what SoX said
        said = cause.stderr if isinstance(cause, subprocess.CalledProcessError) else str(error).encode()
        raise program_error("SoX", said) from error


@functools.cache
def _pysox() -> ModuleType:
    import sox  # which runs the program twice, and would tell of its absence

    logging.getLogger("sox").setLevel(logging.ERROR)  # it warns of suffixes that it does not know
    module: ModuleType = sox
    return module


def run_program(name: str, command: Sequence[str]) -> bytes:
    """Return what a program writes, and raise its last word if it fails."""
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise program_error(name, done.stderr)
    return done.stdout


def program_error(name: str, stderr: bytes) -> DecoderError:
    """Return a program's last word as an error."""
    return DecoderError(f"{name}: {last_line(stderr.decode(errors='replace'))}")


@contextmanager
def piped(name: str, command: Sequence[str]) -> Iterator[IO[bytes]]:
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
            raise program_error(name, stderr.read())


def last_line(text: str) -> str:
    """Return the last line of a text that says something, fit to print."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(lines[-1].rstrip(".")) if lines else "gave no reason"
