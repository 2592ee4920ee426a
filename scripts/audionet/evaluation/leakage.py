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
from audionet.evaluation.intervals import resampled
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


@dataclass(frozen=True)
class SplitComparison:
    """What splits of chunks by chance claim, beside splits of whole groups that are alike in everything else."""

    by_chance: float  # share of chunks right, the mean over the draws
    by_group: float  # the same of whole groups held out
    difference_ci95: tuple[float, float] | None  # of the former minus the latter, by group
    draws: int
    recordings: int
    groups: int

    @property
    def is_leak(self) -> bool:
        """Whether splits by chance surely claim more."""
        return self.difference_ci95 is not None and self.difference_ci95[0] > 0

    def sentence(self) -> str:
        """Return what was found, in words."""
        unit = "recordings" if self.groups == self.recordings else "groups"
        over = resampled({"recordings": self.recordings, "groups": self.groups})
        words = (
            f"Split by chance, chunk by chunk, heads of equal training are right about {self.by_chance:.1%}, and about "
            f"{self.by_group:.1%} where whole {unit} are held out ({self.draws} draws each): "
        )
        points = f"{100 * (self.by_chance - self.by_group):+.1f} points"
        if self.difference_ci95 is not None:
            low, high = (100 * value for value in self.difference_ci95)
            points += f" (95 % interval {low:+.1f} to {high:+.1f} {over})"
        return words + points + (" would have been a leak." if self.is_leak else ", so that no leak can be told.")


_COMPARED_KEYS = {
    "by_chance": "claimed_accuracy",
    "by_group": "by_group_accuracy",
    "difference_ci95": "difference_ci95",
    "draws": "draws",
    "recordings": "recordings",
    "groups": "groups",
}


@dataclass(frozen=True)
class LeakAudit:
    """What a split of chunks by chance would have claimed, and which sound is in two splits of a careful one."""

    held_out_accuracy: float | None  # share of chunks right, of recordings held out; None if none were
    comparison: SplitComparison | None  # of ways to split; None where they were not compared
    chunks: int  # how many of recordings held out were tested
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
        """Return the honest score, and what other splits would have claimed, in words."""
        found = [self.comparison.sentence()] if self.comparison else []
        if self.held_out_accuracy is None:
            return ["Without recordings held out for testing there is no honest score.", *found]
        honest = (
            f"Honest score: {self.held_out_accuracy:.1%} of {self.chunks} chunks right, of recordings that training "
            "never saw."
        )
        return [honest, *found]

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
        value = {"honest_accuracy": self.held_out_accuracy, "claimed_accuracy": None, "chunks": self.chunks}
        if self.comparison:
            value |= {_COMPARED_KEYS[name]: of_it for name, of_it in asdict(self.comparison).items()}
        return value | {"shared": [asdict(shared) for shared in self.shared], "compared": self.compared}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "LeakAudit":
        """Rebuild an audit from `to_json`; what earlier versions claimed by a single draw is left out."""
        comparison = None
        if "draws" in value:
            fields = {name: value[key] for name, key in _COMPARED_KEYS.items()}
            ends = fields["difference_ci95"]
            comparison = SplitComparison(**fields | {"difference_ci95": tuple(ends) if ends else None})
        return cls(
            held_out_accuracy=value["honest_accuracy"],
            comparison=comparison,
            chunks=value["chunks"],
            shared=tuple(SharedSound(**shared) for shared in value["shared"]),
            compared=value["compared"],
        )
