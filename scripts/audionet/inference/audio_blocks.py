"""Blocks of live sound: from a microphone, from another program, or from a file at its own pace."""

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audionet.audio import decoding
from audionet.audio.chunks import cut_evenly
from audionet.errors import InputError, RecordingError

BLOCK_SECONDS = 0.1
GAP_SECONDS = 0.05  # clocks of sound cards and computers differ by less over a block
GAP_WITHOUT_STATUS_SECONDS = 2.0  # where the device reports no overflow, its clock has to differ by more


@dataclass(frozen=True)
class AudioBlock:
    """Some samples as they came in.

    Attributes:
        samples: float32, shape (n,), in -1..1.
        start_seconds: of the first one, by the clock of the source.
        received_at: when the last one was there, by `time.monotonic`.
    """

    samples: np.ndarray
    start_seconds: float
    received_at: float


def file_blocks(
    path: Path,
    *,
    sample_rate_hz: int,
    channel: str = "mean",
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[AudioBlock]:
    """Yield a recording's blocks when a microphone would have delivered them; `STDIN` sets its own pace.

    Raises:
        RecordingError: the recording cannot be decoded.
    """
    begun = now()
    done = 0
    for samples in cut_evenly(
        decoding.read_blocks(path, sample_rate_hz=sample_rate_hz, channel=channel, block_seconds=BLOCK_SECONDS),
        round(BLOCK_SECONDS * sample_rate_hz),
    ):
        start_seconds = done / sample_rate_hz
        done += len(samples)
        if path == decoding.STDIN:
            yield AudioBlock(samples, start_seconds, now())
            continue
        received_at = begun + done / sample_rate_hz
        sleep(max(0.0, received_at - now()))
        yield AudioBlock(samples, start_seconds, received_at)


def microphone_blocks(*, sample_rate_hz: int, device: str | None = None) -> Iterator[AudioBlock]:
    """Yield what a microphone records, until the generator is closed or the device goes away.

    Args:
        sample_rate_hz: that the sound is to have; the device is asked for it, and else resampled by the system.
        device: a name or number that sounddevice knows, by default the system's.

    Raises:
        InputError: sounddevice or PortAudio is not installed, or there is no such device.
        RecordingError: the device stopped.
    """
    return _recorded(_sounddevice(), sample_rate_hz, device)


def _recorded(sounddevice: Any, sample_rate_hz: int, device: str | None) -> Iterator[AudioBlock]:
    microphone = _Microphone(sample_rate_hz)
    chosen = int(device) if device is not None and device.isdecimal() else device
    try:
        with sounddevice.InputStream(
            samplerate=sample_rate_hz,
            blocksize=round(BLOCK_SECONDS * sample_rate_hz),
            device=chosen,
            channels=1,
            dtype="float32",
            callback=microphone.receive,
            finished_callback=microphone.finish,
        ):
            while (block := microphone.blocks.get()) is not None:
                yield block
    except (sounddevice.PortAudioError, ValueError) as error:
        raise InputError(
            f"The microphone cannot be opened ({str(error).splitlines()[0]}). Name another one by --device: a number "
            "or name that `python -m sounddevice` lists."
        ) from error
    raise RecordingError("The microphone stopped. Is it still plugged in?")


class _Microphone:
    """The callbacks of sounddevice: they put blocks into a queue, and None at the end.

    Frames are counted, which no clock does better, but for where the device's clock says that some are missing.
    """

    def __init__(self, sample_rate_hz: int):
        self.blocks: queue.Queue[AudioBlock | None] = queue.Queue()
        self._rate_hz = sample_rate_hz
        self._frames = 0
        self._first_at: float | None = None

    def receive(self, samples: np.ndarray, count: int, times: Any, status: Any) -> None:
        if self._first_at is None:
            self._first_at = times.inputBufferAdcTime
        counted, by_clock = self._frames / self._rate_hz, times.inputBufferAdcTime - self._first_at
        is_gap = by_clock - counted > (GAP_SECONDS if status else GAP_WITHOUT_STATUS_SECONDS)
        start_seconds = by_clock if is_gap else counted
        self._frames = round(start_seconds * self._rate_hz) + count
        self.blocks.put(AudioBlock(samples[:, 0].copy(), start_seconds, time.monotonic()))

    def finish(self) -> None:
        self.blocks.put(None)


def _sounddevice() -> Any:
    try:
        import sounddevice  # an optional library
    except ModuleNotFoundError as error:
        raise InputError(
            "A microphone needs the package sounddevice, which is not installed: pip install './scripts[microphone]'."
        ) from error
    except OSError as error:  # the library is there, what it stands on is not
        raise InputError(
            "A microphone needs PortAudio, which is not installed: apt-get install libportaudio2, or brew install "
            "portaudio."
        ) from error
    return sounddevice
