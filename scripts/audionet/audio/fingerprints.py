"""Acoustic fingerprints: which recordings hold the same sound, whatever their files are called.

A fingerprint is a recording's spectral peaks, which survive codecs and cuts, and the digests of its chunks, which tell
copies of the shortest sounds. `landmarks` finds what two fingerprints share.
"""

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from audionet.audio.landmarks import find_matches, join_peaks
from audionet.audio.measurements import ChunkStats, peaks_of
from audionet.files import printable

SHIFT_SECONDS = 0.2  # a smaller one is a codec's delay


@dataclass(frozen=True)
class SharedSound:
    """Two recordings that hold the same sound."""

    first: str
    second: str
    first_side: str  # the split that the first is in, such as `testing`; empty where there are no splits
    second_side: str  # the same of the second
    seconds: float  # how much sound they share, roughly
    offset_seconds: float  # where in `second` the beginning of `first` would be
    is_identical: bool  # whether they are the same, sample by sample

    def sentence(self) -> str:
        """Return what was found, in words."""
        first, second = (
            f"{printable(name)} ({side})" if side else printable(name)
            for name, side in ((self.first, self.first_side), (self.second, self.second_side))
        )
        if self.is_identical:
            return f"{first} is {second}, sample by sample."
        shift = f", {abs(self.offset_seconds):.1f} s apart" if abs(self.offset_seconds) > SHIFT_SECONDS else ""
        return f"{first} shares {self.seconds:.0f} s of sound with {second}{shift}."


@dataclass(frozen=True)
class Fingerprint:
    """An acoustic fingerprint of a recording, the same or nearly so however it was encoded and cut."""

    peaks: np.ndarray  # int64, shape (n, 2), as `landmarks.join_peaks` gives them
    digests: tuple[str, ...]  # of its chunks, in order
    seconds: float  # of sound


def fingerprint_of(chunks: Sequence[ChunkStats]) -> Fingerprint:
    """Return the fingerprint of a recording from the statistics of its chunks."""
    return Fingerprint(
        peaks=join_peaks([(chunk["offset_seconds"], peaks_of(chunk)) for chunk in chunks]),
        digests=tuple(chunk["digest"] for chunk in chunks),
        seconds=sum(chunk["measures"]["seconds"] for chunk in chunks),
    )


def pack_fingerprints(fingerprints: Mapping[str, Fingerprint]) -> bytes:
    """Return fingerprints as the bytes of an npz file without pickle, about 330 kB an hour of sound.

    Kept with a classifier, they tell whether a recording was trained on.
    """
    arrays: dict[str, np.ndarray] = {
        "names": np.array(list(fingerprints), dtype=np.str_),
        "seconds": np.array([fingerprint.seconds for fingerprint in fingerprints.values()]),
        "chunks": np.array([len(fingerprint.digests) for fingerprint in fingerprints.values()], int),
        "digests": np.array([digest for each in fingerprints.values() for digest in each.digests], dtype="U16"),
        "lengths": np.array([len(fingerprint.peaks) for fingerprint in fingerprints.values()], int),
        "peaks": np.concatenate([np.empty((0, 2)), *(each.peaks for each in fingerprints.values())]).astype(np.uint32),
    }
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def unpack_fingerprints(arrays: Mapping[str, np.ndarray]) -> dict[str, Fingerprint]:
    """Return what `pack_fingerprints` packed, from the arrays of the file by name.

    Raises:
        ValueError: they do not fit together.
    """
    missing = {"names", "seconds", "chunks", "digests", "lengths", "peaks"} - set(arrays)
    if missing:
        raise ValueError(f"{sorted(missing)[0]} is missing")
    count, peaks, digests = len(arrays["names"]), arrays["peaks"], arrays["digests"]
    is_whole = (
        all(arrays[name].shape == (count,) for name in ("seconds", "chunks", "lengths"))
        and _adds_up(arrays["lengths"], peaks)
        and _adds_up(arrays["chunks"], digests)
        and (peaks.dtype.kind, digests.dtype.kind, arrays["names"].dtype.kind) == ("u", "U", "U")
        and peaks.shape[1:] == (2,)
    )
    if not is_whole:
        raise ValueError("expected peaks and digests for each recording")
    peaks_of_each = np.split(peaks.astype(np.int64), np.cumsum(arrays["lengths"])[:-1])
    digests_of_each = np.split(digests, np.cumsum(arrays["chunks"])[:-1])
    return {
        str(name): Fingerprint(peaks_of_each[row], tuple(map(str, digests_of_each[row])), float(arrays["seconds"][row]))
        for row, name in enumerate(arrays["names"])
    }


def _adds_up(counts: np.ndarray, items: np.ndarray) -> bool:
    return bool(counts.dtype.kind == "i" and (counts >= 0).all() and counts.sum() == len(items))


def shared_within(fingerprints: Mapping[str, Fingerprint]) -> tuple[SharedSound, ...]:
    """Find recordings that hold the same sound, re-encoded, shifted or re-cut; the surest first."""
    return shared_across({recording: {recording: found} for recording, found in fingerprints.items()}, name_sides=False)


def shared_across(
    sides: Mapping[str, Mapping[str, Fingerprint]], *, name_sides: bool = True
) -> tuple[SharedSound, ...]:
    """Find recordings on different sides that hold the same sound, re-encoded, shifted or re-cut; the surest first.

    Sound of less than two seconds is found only where it is the same, sample by sample. Sides may have recordings of
    the same name; `name_sides` decides whether the result says which sides they are.
    """
    every = {(side, name): found for side, recordings in sides.items() for name, found in recordings.items()}
    shared = {pair: (0.0, 0.0, True) for pair in _identical(every)}
    peaks = {key: fingerprint.peaks for key, fingerprint in every.items()}
    for match in find_matches(peaks, sides={key: key[0] for key in every}):
        shared.setdefault((match.first, match.second), (match.seconds, match.offset_seconds, False))
    return tuple(
        SharedSound(
            first=first[1],
            second=second[1],
            first_side=first[0] if name_sides else "",
            second_side=second[0] if name_sides else "",
            seconds=min(seconds or every[first].seconds, every[first].seconds, every[second].seconds),
            offset_seconds=offset_seconds,
            is_identical=is_identical,
        )
        for (first, second), (seconds, offset_seconds, is_identical) in shared.items()
    )


def _identical(every: Mapping[tuple[str, str], Fingerprint]) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    groups = defaultdict(list)
    for key, fingerprint in every.items():
        groups[fingerprint.digests].append(key)
    return [
        (first, second)
        for digests, keys in groups.items()
        if digests
        for first, second in pairwise(keys)  # a chain: of fifty copies, not every pair of them
        if first[0] != second[0]
    ]
