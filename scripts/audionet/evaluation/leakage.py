"""Leakage: what was trained on and tested on too, and what a careless split would have claimed."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audionet.audio.fingerprints import SharedSound
from audionet.errors import PictureError
from audionet.evaluation.data_audit import NAMED_AT_MOST, and_more
from audionet.features.image_io import read_picture_file
from audionet.files import sha256_of
from audionet.models.classifier import Classifier
from audionet.wording import counted


def content_key(content: bytes) -> int:
    """Return 64 bits that stand for a picture, whatever is noted in its comment: its recording's name, for one."""
    return int(sha256_of(_without_comment(content))[:16], 16)


def content_keys(paths: Iterable[Path]) -> np.ndarray:
    """Return the keys of picture files, sorted, uint64: what a classifier keeps of those that it was trained on."""
    keys = set()
    for path in paths:
        with suppress(PictureError):  # taken away since it was trained on
            keys.add(content_key(read_picture_file(path)))
    return np.array(sorted(keys), np.uint64)


def training_keys(classifier: Classifier) -> frozenset[int]:
    """Return the keys of the pictures that a classifier was trained on; none, if it did not keep them."""
    return frozenset(map(int, classifier.training_keys))


def _without_comment(content: bytes) -> bytes:
    """Cut the comments out of a jpg; anything else comes back as it is."""
    if not content.startswith(b"\xff\xd8"):
        return content
    kept, place = [content[:2]], 2
    while content[place : place + 1] == b"\xff" and content[place + 1 : place + 2] not in (b"\xda", b""):
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        if content[place + 1 : place + 2] != b"\xfe":
            kept.append(content[place:end])
        place = max(end, place + 4)
    return b"".join([*kept, content[place:]])


_JSON_KEYS = {"held_out_accuracy": "honest_accuracy", "chance_split_accuracy": "claimed_accuracy"}


@dataclass(frozen=True)
class LeakAudit:
    """What a split of chunks by chance would have claimed, and which sound is in two splits of a careful one."""

    held_out_accuracy: float | None  # share of chunks right, of recordings held out; None if none were
    chance_split_accuracy: float | None  # of a split by chance, chunk by chunk; None where not computed
    chunks: int  # how many were tested, either way
    shared: tuple[SharedSound, ...]  # sound that is in two splits
    compared: int  # how many recordings were compared; 0 where there was no sound to compare

    def sentences(self) -> list[str]:
        """Return what was found, in words, the pairs by name."""
        pairs = [f"  {shared.sentence()}" for shared in self.shared[:NAMED_AT_MOST]]
        return [
            *self.score_sentences(),
            self.sound_sentence(),
            *pairs,
            *(f"  {more}" for more in and_more(self.shared)),
        ]

    def score_sentences(self) -> list[str]:
        """Return the honest score and the other one, in words."""
        if self.held_out_accuracy is None or self.chance_split_accuracy is None:
            return ["Without recordings held out for testing there is no honest score to compare with."]
        gap = 100 * (self.chance_split_accuracy - self.held_out_accuracy)
        leak = f"{gap:.1f} points of that would have been a leak" if gap >= 0.05 else "here that makes no difference"
        return [
            f"Honest score: {self.held_out_accuracy:.1%} of {self.chunks} chunks right, of recordings that training "
            "never saw.",
            f"A split by chance, chunk by chunk, would have claimed {self.chance_split_accuracy:.1%}: {leak}.",
        ]

    def sound_sentence(self) -> str:
        """Return whether there is sound in two splits, in words."""
        if not self.compared:
            return "There was no sound to compare, so the same sound may be in two splits."
        if not self.shared:
            compared = counted(self.compared, "recording")
            return f"No sound is in two splits; {compared} were compared by acoustic fingerprint."
        pairs = "1 pair of recordings" if len(self.shared) == 1 else f"{len(self.shared)} pairs of recordings"
        return (
            f"{pairs} in two splits hold the same sound, so the score is too good. Keep one recording of "
            "each pair and train again."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the audit as a JSON object."""
        return {_JSON_KEYS.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "LeakAudit":
        """Rebuild an audit from `to_json`."""
        fields = {name: value[_JSON_KEYS.get(name, name)] for name in cls.__dataclass_fields__}
        return cls(**fields | {"shared": tuple(SharedSound(**shared) for shared in value["shared"])})


def chance_split(count: int, *, tested: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Split `count` chunks by chance, whatever recording they are of, as a careless split would.

    Returns:
        The rows to train on and the `tested` rows to test on, int, each ascending.
    """
    order = rng.permutation(count)
    return np.sort(order[tested:]), np.sort(order[:tested])
