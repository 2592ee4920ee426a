"""What the height in a picture of sound stands for: a frequency, or a pitch class in a chromagram."""

import numpy as np

from audionet.features.recipes import DRAWINGS, Recipe

PITCH_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
TICKS_HZ = (100, 200, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000)


def hertz_at(heights: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Return the frequencies at heights of a picture that is no chromagram, 0 at the bottom and 1 at the top."""
    if DRAWINGS[recipe.drawing].axis == "linear":
        return recipe.low_hz + heights * (recipe.high_hz - recipe.low_hz)
    low, high = hertz_to_mel(recipe.low_hz), hertz_to_mel(recipe.high_hz)
    return mel_to_hertz(low + heights * (high - low))


def frequency_range(low: float, high: float, recipe: Recipe) -> str:
    """Return in words what lies between two heights of a picture: `200 to 400 Hz`, or `pitch classes C to E`."""
    if DRAWINGS[recipe.drawing].axis == "pitch":
        first, last = (PITCH_CLASSES[min(int(height * len(PITCH_CLASSES)), 11)] for height in (low, high))
        return f"pitch classes {first} to {last}"
    low_hz, high_hz = hertz_at(np.array([low, high]), recipe)
    return f"{low_hz:.0f} to {high_hz:.0f} Hz"


def frequency_ticks(recipe: Recipe) -> list[tuple[float, str]]:
    """Return heights of a picture, from 0 at the bottom to 1 at the top, with what to write beside each."""
    if DRAWINGS[recipe.drawing].axis == "pitch":
        return [((number + 0.5) / len(PITCH_CLASSES), name) for number, name in enumerate(PITCH_CLASSES)]
    shown = [hertz for hertz in TICKS_HZ if recipe.low_hz < hertz < recipe.high_hz]
    heights = np.linspace(0, 1, recipe.picture_height)
    return list(zip(np.interp(shown, hertz_at(heights, recipe), heights).tolist(), map(str, shown), strict=True))


def axis_title(recipe: Recipe) -> str:
    """Return what the numbers or letters beside a picture are."""
    return "pitch class" if DRAWINGS[recipe.drawing].axis == "pitch" else "Hz"


def hertz_to_mel(hertz: float) -> float:
    """Return a frequency's place on the mel scale.

    Source: M. Slaney, "Auditory Toolbox", Interval Research 1998-010: linear up to 1 kHz, logarithmic above.
    """
    linear = hertz * 3 / 200
    return linear if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)


def mel_to_hertz(mel: np.ndarray) -> np.ndarray:
    """Return the frequencies at places on the mel scale."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) / 27 * np.log(6.4)))
