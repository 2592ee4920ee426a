"""What a network of the user's own takes and gives, told by the shapes of its tensors and by `--network_input`.

    sound [RATE]         the sound itself at a sample rate in hertz, by default 16000: "sound 8000"
    picture [LEVELS]     pictures with levels 0..1 (the default), -1..1, 0..255 or imagenet: "picture -1..1"

Pictures are [n, height, width, 3] or [n, 3, height, width]; sounds, in -1..1, are [samples], [n, samples] or
[n, 1, samples]. Vectors are the output that is called an embedding, or else the widest; what there is one of for each
frame or place is averaged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from audionet.console import log
from audionet.errors import InputError, WeightsError
from audionet.files import brief

SAMPLE_RATE_HZ = 16_000  # of networks that listen, where nobody says otherwise
IMAGE_SIZE = 224  # pixels, where a network takes pictures of any size
LEAST_RATE_HZ, MOST_RATE_HZ = 1_000, 192_000

BYTES = "0..255"

Shape = tuple[int | None, ...]  # None where a length is not fixed


@dataclass(frozen=True)
class Levels:
    """What becomes of levels in 0..255: they are divided, then something is added; in each of three channels."""

    divisors: tuple[float, float, float]
    offsets: tuple[float, float, float] = (0.0, 0.0, 0.0)


LEVELS: Mapping[str, Levels] = {
    "0..1": Levels((255.0,) * 3),
    "-1..1": Levels((127.5,) * 3, (-1.0,) * 3),
    BYTES: Levels((1.0,) * 3),
    # The mean and the deviation of ImageNet's colours, which networks of torchvision take away and divide by.
    "imagenet": Levels(
        (255 * 0.229, 255 * 0.224, 255 * 0.225), (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225)
    ),
}  # fmt: skip


@dataclass(frozen=True)
class OwnInput:
    """What the user says that a network takes."""

    kind: Literal["picture", "sound"] | None = None  # None: its shape tells
    levels: str | None = None  # out of `LEVELS`; None: 0..255 where it takes bytes, and else 0..1
    sample_rate_hz: int = SAMPLE_RATE_HZ

    @property
    def wanted(self) -> str:
        """What the network is to take, in words."""
        return {"picture": "pictures", "sound": "sounds"}.get(self.kind or "", "pictures or sounds")


def parse_network_input(text: str | None) -> OwnInput:
    """Return what a text such as "sound 8000" or "picture -1..1" says; None says nothing.

    Raises:
        InputError: it is none of these.
    """
    match (text or "").split():
        case [] if text is None:
            return OwnInput()
        case ["sound"]:
            return OwnInput("sound")
        case ["sound", rate] if rate.isascii() and rate.isdigit() and len(rate) < 10:
            if not LEAST_RATE_HZ <= int(rate) <= MOST_RATE_HZ:
                raise InputError(
                    f"--network_input: expected a sample rate of {LEAST_RATE_HZ} to {MOST_RATE_HZ} Hz, received {rate}."
                )
            return OwnInput("sound", sample_rate_hz=int(rate))
        case ["picture"]:
            return OwnInput("picture")
        case ["picture", levels] if levels in LEVELS:
            return OwnInput("picture", levels)
    raise InputError(
        f"--network_input: expected sound or picture, then a sample rate such as 16000 or levels out of "
        f"{', '.join(LEVELS)}, received {brief(repr(text))}. Write, for example, 'sound 16000' or 'picture 0..1'."
    )


@dataclass(frozen=True)
class Taken:
    """What a network takes."""

    shape: Shape
    listens: bool

    @property
    def is_channels_first(self) -> bool:
        """Whether pictures are [n, 3, height, width]."""
        return not self.listens and self.shape[3] != 3

    @property
    def is_one(self) -> bool:
        """Whether it takes one picture or sound at a time."""
        return len(self.shape) == 1 or self.shape[0] == 1

    @property
    def picture_size(self) -> tuple[int, int]:
        """The height and the width of its pictures, in pixels."""
        height, width = self.shape[2:] if self.is_channels_first else self.shape[1:3]
        return height or IMAGE_SIZE, width or IMAGE_SIZE

    def of_one(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of one picture of a height and width, or of one sound of a number of samples."""
        if self.listens:
            return (*[1] * (len(self.shape) - 1), *size)
        return (1, 3, *size) if self.is_channels_first else (1, *size, 3)

    def allows(self, size: Sequence[int]) -> bool:
        """Tell whether it takes pictures of a height and width, or sounds of a number of samples."""
        fits = zip(self.shape, self.of_one(size), strict=True)
        return all(fixed in (None, length) for fixed, length in fits)

    def described(self, size: Sequence[int], declared: OwnInput) -> str:
        """Return in words pictures of a height and width, or sounds of a number of samples."""
        if self.listens:
            return f"sounds of {size[0]} samples at {declared.sample_rate_hz} Hz"
        return f"pictures of {size[0]} x {size[1]} pixels"


def taken_by(shape: Shape, declared: OwnInput) -> Taken | None:
    """Return what a network with an input of a shape takes, or None if these are no pictures and no sounds."""
    kind = None
    if len(shape) == 4 and 3 in (shape[1], shape[3]) and shape[0] in (None, 1):
        kind = "picture"
    elif 1 <= len(shape) <= 3 and all(length in (None, 1) for length in shape[:-1]):
        kind = "sound"
    return Taken(shape, kind == "sound") if kind and declared.kind in (None, kind) else None


def check_length(taken: Taken, samples: int, declared: OwnInput, *, name: str) -> None:
    """Raise WeightsError unless a network takes sounds of so many samples."""
    if not taken.allows((samples,)):
        rate, length = declared.sample_rate_hz, taken.shape[-1] or 0
        raise WeightsError(
            f"Expected a network that takes sounds of {samples / rate:g} s at {rate} Hz, {samples} samples, received "
            f"{name}, which was made for {length}. Draw pictures again with --chunk_seconds {length / rate:g}, or say "
            f"its sample rate, such as --network_input 'sound {SAMPLE_RATE_HZ}'."
        )


def levels_of(declared: OwnInput, *, takes_bytes: bool, name: str) -> Levels:
    """Return what becomes of the levels of pictures.

    Raises:
        InputError: the network takes bytes, and other levels were said.
    """
    if takes_bytes and declared.levels not in (None, BYTES):
        raise InputError(
            f"--network_input: expected picture {BYTES} for {name}, which takes bytes, received {declared.levels}."
        )
    return LEVELS[declared.levels or (BYTES if takes_bytes else "0..1")]


@dataclass(frozen=True)
class Given:
    """An output of a network."""

    name: str
    shape: Shape


def vector_axis(shape: Shape, taken: Taken) -> int | None:
    """Return the axis of an output along which its vectors lie, or None if it has none of a fixed length."""
    if taken.is_channels_first and len(shape) == 4:
        return 1 if shape[1] else None
    first = 0 if taken.is_one else 1
    return next((axis for axis in reversed(range(first, len(shape))) if shape[axis] not in (None, 0, 1)), None)


def averaged_axes(shape: Shape, taken: Taken) -> list[int]:
    """Return the axes of an output that are averaged over: all but its vectors', and how many inputs there are."""
    first = 0 if taken.is_one else 1
    return [axis for axis in range(first, len(shape)) if axis != vector_axis(shape, taken)]


def chosen_output(outputs: Sequence[Given], taken: Taken, *, name: str) -> int:
    """Return which output holds the vectors: one named as such, or else the widest.

    Raises:
        WeightsError: none has vectors of a fixed length.
    """
    widths = [_width(output.shape, taken) for output in outputs]
    if not any(widths):
        given = ", ".join(f"{output.name or 'output'} {_text(output.shape)}" for output in outputs)
        raise WeightsError(
            f"Expected a network that gives vectors of a fixed length, received {name}, which gives "
            f"{brief(given) or 'nothing of numbers'}. Export it with its last dimension fixed."
        )

    words = [output.name.lower() for output in outputs]
    ranks = [(width > 0, word in _NAMES, "embed" in word, width) for word, width in zip(words, widths, strict=True)]
    chosen = ranks.index(max(ranks))
    if sum(map(bool, widths)) > 1 and "embed" not in words[chosen] and words[chosen] not in _NAMES:
        log(
            f"Note: no output of {name} is called an embedding; the widest is read, {outputs[chosen].name or chosen}, "
            f"with {widths[chosen]} numbers."
        )
    return chosen


_NAMES = ("embedding", "embeddings", "feature_vector", "default")


def _width(shape: Shape, taken: Taken) -> int:
    axis = vector_axis(shape, taken)
    return 0 if axis is None else shape[axis] or 0


def _text(shape: Shape) -> str:
    return f"[{', '.join('?' if length is None else str(length) for length in shape)}]"
