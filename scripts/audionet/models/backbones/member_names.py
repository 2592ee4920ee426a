"""Names for the members of a classifier, as `--members` has them: `efficientnet_lite0:log_mel + voice_encoder`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from audionet.audio.chunks import WORD_SECONDS
from audionet.errors import InputError
from audionet.features.recipes import DRAWINGS
from audionet.models.backbones.architectures import find_architecture
from audionet.models.backbones.settings import BackboneSettings

COMMITTEES: Mapping[str, tuple[str, ...]] = {
    "single": (),
    "pair": ("voice_encoder",),
    "trio": ("efficientnet_lite0:log_mel_3", "voice_encoder"),
    "words": ("voice_encoder", "speech_embedding"),
}
"""Names for members that serve well beside the network of --architecture."""

AUTO = "auto"


@dataclass(frozen=True)
class MemberName:
    """A network, and how the pictures that it looks at are drawn."""

    architecture: str
    drawing: str | None = None  # one of `DRAWINGS`; None for that of the pictures at hand, and for one that listens

    def __str__(self) -> str:
        return f"{self.architecture}:{self.drawing}" if self.drawing else self.architecture


def parse_members(settings: BackboneSettings, *, chunk_seconds: float = math.inf) -> tuple[MemberName, ...]:
    """Return the members that settings name, that of `--architecture` first.

    For `auto`, these are those of `words` where chunks are short enough to hold one word each, else those of `pair`.

    Raises:
        InputError: there is no such network or drawing, one is named twice, or `--architecture` is not among them.
    """
    automatic = "words" if chunk_seconds <= WORD_SECONDS else "pair"
    text = COMMITTEES.get(automatic if settings.members == AUTO else settings.members)
    if text is not None:
        others = [one for one in text if settings.members != AUTO or one != settings.architecture]
        names = (MemberName(settings.architecture), *map(_parse, others))
    else:
        names = tuple(_parse(one.strip()) for one in settings.members.replace(",", "+").split("+"))
        is_default = settings.architecture == BackboneSettings().architecture
        if not is_default and settings.architecture not in [name.architecture for name in names]:
            raise InputError(
                f"--members: expected {settings.architecture} among them, as --architecture names it, received "
                f"{settings.members!r}. Name it, or leave --architecture away."
            )
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"--members: expected each member once, received {twice[0]} twice. Remove one.")
    _check_own(settings, {name.architecture for name in names})
    return names


def _check_own(settings: BackboneSettings, architectures: set[str]) -> None:
    """Raise InputError unless a network of the user's own has its option, and each such option its network."""
    options = {"tfhub": ("--tfhub_module", settings.tfhub_module), "onnx": ("--onnx_file", settings.onnx_file)}
    for name, (option, value) in options.items():
        if value is not None and name not in architectures:
            raise InputError(
                f"{option}: expected --architecture {name}, or {name} among --members, for this network, received "
                f"neither. Name it, or leave {option} away."
            )
        if value is None and name in architectures:
            raise InputError(f"--members and --architecture: {name} needs {option}. Give it, or leave {name} away.")
    if settings.network_input is not None and not architectures & set(options):
        raise InputError("--network_input: expected tfhub or onnx as a network, received neither. Leave it away.")


def _parse(text: str) -> MemberName:
    architecture, colon, drawing = text.partition(":")
    try:
        row = find_architecture(architecture)
    except InputError as error:
        raise InputError(f"--members: {error} Or name one of auto, {', '.join(COMMITTEES)}.") from error
    name = MemberName(architecture, drawing if colon else None)
    check_drawing(name, listens=row.listens)
    return name


def check_drawing(name: MemberName, *, listens: bool) -> None:
    """Raise InputError if a drawing is named that there is not, or for a network that listens."""
    if name.drawing is not None and (listens or name.drawing not in DRAWINGS):
        expected = "no drawing, as it listens" if listens else f"a drawing out of {', '.join(DRAWINGS)}"
        raise InputError(f"--members: expected for {name.architecture} {expected}, received {name.drawing!r}.")
