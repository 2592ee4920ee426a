"""What the file of a recording holds beside what is drawn of it: its own sample rate, and how far up its sound goes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile

from audionet.audio.decoding import STDIN, form_of, opened_sound
from audionet.audio.measurements import mean_spectrum_db
from audionet.files import printable
from audionet.regular_files import open_regular
from audionet.wording import counted, in_hertz

FIRST_LOW_HZ = 100.0  # a band that begins below holds whatever anybody would want in it
MEASURED_SECONDS = 4.0  # from the start
REACH_RANGE_DB = 40.0  # below the loudest frequency; weaker is rarely what a label is about
WORTH_DRAWING = 1.1  # times the highest frequency drawn: less beyond it is of no account
MOST_BELOW_SHARE = 0.5  # of the power below the band


def source_band(path: Path, *, low_hz: float, high_hz: float) -> dict[str, float]:
    """Return what a recording holds, and the band that is drawn of it.

    Returns:
        dict: `rate_hz`, its own samples a second; `low_hz` and `high_hz` as given; and where the file can hold more
        than that, `reach_hz`, the highest frequency within 40 dB of the loudest, and `below_share`, the share of its
        power below `low_hz`. Empty where no header tells the rate.
    """
    form = form_of(path)
    if form is None:
        return {}
    rate_hz = form[0]
    found = {"rate_hz": float(rate_hz), "low_hz": low_hz, "high_hz": high_hz}
    is_measured = rate_hz / 2 > WORTH_DRAWING * high_hz or low_hz > FIRST_LOW_HZ
    samples = _beginning(path) if is_measured else np.empty(0, np.float32)
    if not samples.any():
        return found
    levels = mean_spectrum_db(samples, sample_rate_hz=rate_hz)
    frequencies = np.linspace(0, rate_hz / 2, len(levels))
    power = 10 ** (levels / 10)
    audible = np.flatnonzero(levels > levels.max() - REACH_RANGE_DB)
    below = float(power[frequencies < low_hz].sum() / power.sum())
    return {**found, "reach_hz": round(float(frequencies[audible[-1]])), "below_share": round(below, 3)}


def _beginning(path: Path) -> np.ndarray:
    """Return the first seconds of a recording, its channels mixed, or nothing where libsndfile does not read it."""
    assert path != STDIN  # which has no header to tell its form
    try:
        with open_regular(path) as file, opened_sound(file.fileno(), path) as sound:
            samples: np.ndarray = sound.read(round(MEASURED_SECONDS * sound.samplerate), "float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError):
        return np.empty(0, np.float32)
    mixed: np.ndarray = np.nan_to_num(samples.mean(axis=1, dtype=np.float32)) if len(samples) else samples[:, 0]
    return mixed


def band_sentences(bands: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Say of recordings, by name, what `source_band` returned: what is cut off, and what they cannot hold."""
    cut = {name: band for name, band in bands.items() if band.get("reach_hz", 0) > WORTH_DRAWING * band["high_hz"]}
    below = {name: band for name, band in bands.items() if band.get("below_share", 0) > MOST_BELOW_SHARE}
    short = {name: band for name, band in bands.items() if band["rate_hz"] / 2 * WORTH_DRAWING < band["high_hz"]}
    total = counted(len(bands), "recording")
    sentences = []
    if cut:
        highest = max(cut, key=lambda name: cut[name]["reach_hz"])
        sentences.append(
            f"Pictures end at {in_hertz(cut[highest]['high_hz'])}, and {len(cut)} of {total} hold sound above, up to "
            f"{in_hertz(cut[highest]['reach_hz'])} in {printable(highest)}. If labels differ there, draw it: "
            f"--sample_rate_hz {cut[highest]['rate_hz']:.0f}."
        )
    if below:
        most = max(below, key=lambda name: below[name]["below_share"])
        sentences.append(
            f"Pictures begin at {in_hertz(below[most]['low_hz'])}, and most of the sound of {len(below)} of {total} "
            f"lies below, {below[most]['below_share']:.0%} in {printable(most)}. If that is not noise, lower --low_hz."
        )
    if short:
        lowest = min(short, key=lambda name: short[name]["rate_hz"])
        sentences.append(
            f"Pictures reach {in_hertz(short[lowest]['high_hz'])}, and {len(short)} of {total} were sampled too low to "
            f"hold that, {printable(lowest)} {short[lowest]['rate_hz']:.0f} times a second: they are empty above "
            f"{in_hertz(short[lowest]['rate_hz'] / 2)}, which may give labels away. Draw all up to there: --high_hz "
            f"{short[lowest]['rate_hz'] / 2:.0f}."
        )
    return sentences
