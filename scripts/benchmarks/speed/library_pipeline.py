"""What bare libraries take for the same work, without anything that makes it safe or repeatable: the machine's limit.

No file cache, no measurements for the audit, no crash-safe writes, no wav beside the picture, one decoder.
"""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import scipy.fft
import soundfile
import soxr
from PIL import Image

SIDE = 224
WINDOW_SAMPLES = 1024
RATE_HZ = 16_000
RANGE_DB = 55


def draw_recordings(audio_dir: str, image_dir: str, chunk_seconds: float) -> int:
    """Decode, transform and save every recording below a folder, on all cores; return how many pictures there are."""
    recordings = sorted(path for path in Path(audio_dir).rglob("[!.]*.*") if path.is_file())
    Path(image_dir).mkdir(parents=True)
    draw = partial(draw_recording, folder=Path(image_dir), chunk_seconds=chunk_seconds)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return sum(pool.map(draw, recordings, chunksize=1 + len(recordings) // 64))


def draw_recording(recording: Path, folder: Path, chunk_seconds: float) -> int:
    """Draw the whole chunks of a recording; return how many."""
    samples, rate_hz = soundfile.read(recording, dtype="float32", always_2d=True)
    mono = soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ)
    chunk_samples = round(chunk_seconds * RATE_HZ)
    count = max(1, len(mono) // chunk_samples)
    for index in range(count):
        picture = draw(np.resize(mono[index * chunk_samples :], chunk_samples))
        Image.fromarray(picture).save(folder / f"{recording.parent.name}_{recording.stem}_{index:05d}.jpg", quality=92)
    return count


def draw(samples: np.ndarray) -> np.ndarray:
    """Draw decibels over linear frequency in gray: samples to uint8, shape (224, 224, 3)."""
    frames = max(SIDE, 2 * len(samples) // WINDOW_SAMPLES)
    starts = np.linspace(0, len(samples) - WINDOW_SAMPLES, frames).astype(int)
    slices = np.lib.stride_tricks.sliding_window_view(samples, WINDOW_SAMPLES)[starts]
    spectra = scipy.fft.rfft(slices * np.hanning(WINDOW_SAMPLES).astype(np.float32), axis=1)
    power = spectra.real**2 + spectra.imag**2
    levels = 10 * np.log10(power.T[::-1] + 1e-12)
    brightness = np.clip((levels - levels.max()) / RANGE_DB + 1, 0, 1)
    gray = Image.fromarray((255 * brightness).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(gray.convert("RGB"))


def read_vectors(bottleneck_dir: str) -> float:
    """Read every shard of a cache into memory; return the seconds that takes."""
    start = time.perf_counter()
    for shard in sorted(Path(bottleneck_dir).rglob("*.npy")):
        np.load(shard, allow_pickle=False)
    return time.perf_counter() - start
