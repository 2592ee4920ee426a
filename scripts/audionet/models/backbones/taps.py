"""Taps: at which layers a network is read, and how their maps are pooled to a bottleneck."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audionet.errors import InputError
from audionet.models.backbones import network_builders
from audionet.models.backbones.architectures import Architecture


@dataclass(frozen=True)
class TapReading:
    """One tap and what is kept of its map: `segments` of time, or 0 for the average over height and width."""

    tap: str
    segments: int


@dataclass(frozen=True)
class BottleneckSpec:
    """A checked bottleneck text; `parts` maps each part's text, in its one canonical form, to what it reads."""

    parts: Mapping[str, TapReading]

    @property
    def text(self) -> str:
        """The bottleneck in its canonical form, which is the same for all ways to write it."""
        return "+".join(self.parts)


def parse_bottleneck(text: str, architecture: Architecture) -> BottleneckSpec:
    """Check a bottleneck text against an architecture's taps.

    Raises:
        InputError: an unknown tap (the message lists the known ones), a bad number of segments, or a part given twice.
    """
    parts: dict[str, TapReading] = {}
    for part in text.split("+"):
        reading = _parse_part(part.strip(), architecture)
        canonical = _canonical(reading, architecture)
        if canonical in parts:
            raise InputError(
                f"Expected each part of a bottleneck once, received {canonical} twice in {text!r}; remove one."
            )
        parts[canonical] = reading
    return BottleneckSpec(parts)


def candidate_bottlenecks(
    architecture: Architecture, bottleneck: str = "auto", *, of_sound: bool = True
) -> tuple[str, ...]:
    """Return the bottlenecks that a choice lies between, in canonical form, the preferred one first.

    Any `bottleneck` but `auto` leaves no choice. A TF Hub module shows nothing of its inside, so that whatever is asked
    for, its output serves. For ordinary pictures the last layer, which knows things and animals, is tried first; for
    sound it has never been the best.

    Raises:
        InputError: the architecture has no such bottleneck.
    """
    if bottleneck != "auto" and architecture.build is not None:
        return (parse_bottleneck(bottleneck, architecture).text,)
    texts = architecture.candidate_bottlenecks if of_sound else ("classic", architecture.default_bottleneck)
    return tuple(dict.fromkeys(parse_bottleneck(text, architecture).text for text in texts))


def union_of(bottlenecks: Iterable[str]) -> str:
    """Return the bottleneck that has every part of several ones, each once."""
    return "+".join(dict.fromkeys(part for bottleneck in bottlenecks for part in bottleneck.split("+")))


def _parse_part(part: str, architecture: Architecture) -> TapReading:
    if part == "classic":
        return TapReading(architecture.classic_tap, segments=0)
    tap, at, pooling = part.partition("@")
    if tap not in architecture.taps:
        raise InputError(
            f"Expected a bottleneck of {architecture.name} out of {', '.join(['classic', *architecture.taps])} "
            f"(a tap may end in @mean or @2, @3, …; join several by +), received {part!r}; choose one of them."
        )
    if not at:
        return TapReading(tap, segments=1)
    if pooling == "mean":
        return TapReading(tap, segments=0)
    if not re.fullmatch(r"[1-9][0-9]{0,2}", pooling):
        raise InputError(
            f"Expected {tap}@mean or {tap}@ and a number of time segments from 1, received {part!r}; correct it."
        )
    return TapReading(tap, segments=int(pooling))


def _canonical(reading: TapReading, architecture: Architecture) -> str:
    if reading == TapReading(architecture.classic_tap, segments=0):
        return "classic"
    return reading.tap + {0: "@mean", 1: ""}.get(reading.segments, f"@{reading.segments}")


def slices_of(spec: BottleneckSpec, dimensions: Sequence[int]) -> dict[str, tuple[int, int]]:
    """Return the columns of each part of a bottleneck, as (first, behind the last) pairs."""
    ends = np.cumsum(dimensions).tolist()
    return {part: (end - size, end) for part, size, end in zip(spec.parts, dimensions, ends, strict=True)}


def tap_vectors(
    network: network_builders.Network,
    architecture: Architecture,
    spec: BottleneckSpec,
    *,
    training: bool | None = False,
) -> Callable[[Any], list[Any]]:
    """Return the function from pictures to the pooled vectors of a bottleneck's parts."""
    layers = {reading.tap: architecture.taps[reading.tap] for reading in spec.parts.values()}
    read = network.reader(list(layers.values()), training=training)

    def vectors(pictures: Any) -> list[Any]:
        maps = dict(zip(layers, read(pictures), strict=True))
        return [_pooled(maps[reading.tap], reading) for reading in spec.parts.values()]

    return vectors


def _pooled(maps: Any, reading: TapReading) -> Any:
    """Pool maps [n, height, width, channels] to vectors [n, d]."""
    from keras import ops

    height, width, channels = maps.shape[1:]
    if reading.segments == 0:
        return ops.mean(maps, axis=(1, 2))
    if reading.segments > width:
        raise InputError(
            f"Expected at most {width} time segments at {reading.tap} for pictures of this width, "
            f"received {reading.segments}; ask for fewer."
        )
    if reading.segments == 1:
        return ops.reshape(ops.mean(maps, axis=2), (-1, height * channels))
    segments = ops.einsum("nhwc,ws->nhsc", maps, segment_weights(width, reading.segments))
    return ops.reshape(segments, (-1, height * reading.segments * channels))


def segment_weights(width: int, segments: int) -> np.ndarray:
    """Return the share of each column in each of some equal segments of time.

    A column that a border cuts belongs to both sides, by its parts, so that segments are equal for any width.

    Returns:
        float32 [width, segments], each column of which sums to 1.
    """
    columns = np.arange(width)[:, None]
    borders = np.arange(segments + 1)[None, :] * width / segments
    overlap = np.minimum(columns + 1, borders[:, 1:]) - np.maximum(columns, borders[:, :-1])
    shares: np.ndarray = (np.clip(overlap, 0, None) * segments / width).astype(np.float32)
    return shares
