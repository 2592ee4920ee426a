"""Power spectra of frames of sound, a few frames at a time."""

from collections.abc import Iterator

import numpy as np

FRAMES_AT_ONCE = 32  # transformed together: so many stay in the processor's cache, where all would take twice as long


def power_blocks(
    samples: np.ndarray,
    window: np.ndarray,
    starts: np.ndarray,
    *,
    fft_samples: int | None = None,
    at_once: int = FRAMES_AT_ONCE,
) -> Iterator[np.ndarray]:
    """Yield the power spectra of frames, `at_once` of them or, at last, fewer.

    Args:
        samples: float32, shape (n,), at least as many as the window.
        window: float32, shape (window_samples,), what each frame is multiplied by.
        starts: int, shape (frames,), where each frame begins.
        fft_samples: what frames are filled up to by zeros, by default their own length.
        at_once: how many frames are transformed together.

    Yields:
        float32, shape (up to at_once, fft_samples // 2 + 1).
    """
    import scipy.fft  # a fifth of a second, which labelling a picture should not take

    frames = np.lib.stride_tricks.sliding_window_view(samples, len(window))
    filled = np.zeros((min(at_once, len(starts)), fft_samples or len(window)), np.float32)
    for first in range(0, len(starts), at_once):
        some = frames[starts[first : first + at_once]]
        np.multiply(some, window, out=filled[: len(some), : len(window)])
        squares = scipy.fft.rfft(filled[: len(some)], axis=1).view(np.float32)
        squares *= squares  # in place: fresh memory would cost more than the arithmetic
        yield squares[:, ::2] + squares[:, 1::2]
