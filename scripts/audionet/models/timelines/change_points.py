"""Where a recording changes over from one sound to another, whatever the labels: stretches that are alike throughout.

A stretch costs the squared deviations of its chunks from their mean, in units of how much neighbouring chunks differ
anyway, and a penalty for being a stretch of its own. Those that cost least in sum are found by dynamic programming.

Source: B. Jackson et al., "An Algorithm for Optimal Partitioning of Data on an Interval", IEEE Signal Processing
Letters 12 (2005).
"""

import math

import numpy as np

LONGEST_CHUNKS = 240  # of a stretch while it is searched for; what is alike beyond that is joined afterwards
NOISE_LIMITS = (0.15, 1.0)  # of a recording, in units of how much clips of one label vary
FEWEST_PAIRS = 8  # to measure the noise by
MEDIAN_OF_DIFFERENCES = 0.6745 * math.sqrt(2)  # the median of how far two standard normal numbers are apart


def in_units_of_noise(
    places: np.ndarray, first_hops: np.ndarray, *, hops_a_chunk: int, limits: tuple[float, float] = NOISE_LIMITS
) -> np.ndarray:
    """Scale chunks so that those one behind the other differ by about as much in every direction.

    Places, shape (chunks, dimensions), are scaled so that clips of one label vary by 1, which within one recording is
    too much; if they are not, others `limits` of the noise than those by default hold. `first_hops`, int, shape
    (chunks,), ascending, are the hops that they begin with.
    """
    behind = np.searchsorted(first_hops, first_hops + hops_a_chunk).clip(max=len(first_hops) - 1)
    has_next = first_hops[behind] == first_hops + hops_a_chunk
    if has_next.sum() < FEWEST_PAIRS:
        return places
    differences = np.abs(places[behind[has_next]] - places[has_next])
    noise = np.median(differences, axis=0) / MEDIAN_OF_DIFFERENCES
    return np.asarray(places / noise.clip(*limits))


def stretches(places: np.ndarray, *, hops_a_chunk: int) -> list[tuple[int, int]]:
    """Return (first, behind the last) of each stretch of chunks that are alike, in order.

    Places, shape (chunks, dimensions), have units of noise; of chunks that overlap, `hops_a_chunk` count as one.
    """
    costs = _StretchCosts(places, hops_a_chunk)
    least = np.zeros(len(places) + 1)
    begins = np.zeros(len(places) + 1, int)
    for end in range(1, len(places) + 1):
        starts = np.arange(max(0, end - LONGEST_CHUNKS), end)
        sums = least[starts] + costs.of(starts, end)
        begins[end] = starts[sums.argmin()]
        least[end] = sums.min()
    found: list[tuple[int, int]] = []
    end = len(places)
    while end > 0:
        found.append((int(begins[end]), end))
        end = int(begins[end])
    return _joined(found[::-1], costs)


class _StretchCosts:
    """What stretches cost, by sums over their chunks."""

    def __init__(self, places: np.ndarray, overlapping: int):
        dimensions = places.shape[1]
        self._sums = np.vstack([np.zeros(dimensions), np.cumsum(places, axis=0, dtype=np.float64)])
        self._squares = np.concatenate([[0.0], np.cumsum(np.square(places, dtype=np.float64).sum(axis=1))])
        self._overlapping = overlapping
        # A change anywhere in noise alone gains half the dimensions, give or take the square root of that.
        self._penalty = dimensions / 2 + 4 * math.sqrt(dimensions / 2) + 2

    def of(self, starts: np.ndarray, end: int) -> np.ndarray:
        means = np.square(self._sums[end] - self._sums[starts]).sum(axis=1) / (end - starts)
        deviations = self._squares[end] - self._squares[starts] - means
        return np.asarray(deviations / (2 * self._overlapping) + self._penalty)


def _joined(found: list[tuple[int, int]], costs: _StretchCosts) -> list[tuple[int, int]]:
    """Join neighbours that cost no more as one: they were only too long to be found together."""
    joined = found[:1]
    for start, end in found[1:]:
        before = joined[-1][0]
        of_both, first = costs.of(np.array([before, start]), end)[0], costs.of(np.array([before]), start)[0]
        if of_both <= first + costs.of(np.array([start]), end)[0]:
            joined[-1] = (before, end)
        else:
            joined.append((start, end))
    return joined
