"""A conversation whose truth is known: turns cut out of recordings, in random order, with pauses between.

Turns are cut anywhere out of the recordings, so that their chunks are none that a test of chunks would have scored; a
conversation much longer than the recordings repeats their sound.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from audionet.audio import decoding
from audionet.errors import InputError
from audionet.features.recipes import Recipe
from audionet.files import whole_file
from audionet.models.timelines.timeline import Span, Timeline

TURN_SECONDS = (3.0, 30.0)  # the shortest and the longest, evenly spread over their logarithms
PAUSE_SECONDS = (0.3, 3.0)
PAUSE_SHARE = 0.3  # of turns that a pause follows


@dataclass(frozen=True)
class Turn:
    """A stretch of one recording, or a pause."""

    label: str | None  # who speaks; None for a pause
    start: int  # in samples of the recording
    samples: int


def plan_turns(
    lengths: Mapping[str, int], *, seconds: float, sample_rate_hz: int, rng: np.random.Generator
) -> Iterator[Turn]:
    """Yield turns and pauses until a conversation is long enough; nobody has two turns in a row.

    The `lengths` are those of each label's sound, in samples, of two labels at least.
    """
    left = round(seconds * sample_rate_hz)
    before: str | None = None
    while left > 0:
        label = str(rng.choice([name for name in lengths if name != before]))
        wanted = round(np.exp(rng.uniform(*np.log(TURN_SECONDS))) * sample_rate_hz)
        samples = min(wanted, lengths[label], left)
        yield Turn(label, int(rng.integers(lengths[label] - samples + 1)), samples)
        before = label
        left -= samples
        if left > 0 and rng.random() < PAUSE_SHARE:
            pause = min(round(rng.uniform(*PAUSE_SECONDS) * sample_rate_hz), left)
            yield Turn(None, 0, pause)
            left -= pause


def write_conversation(
    path: Path, recordings: Mapping[str, Iterable[Path]], *, seconds: float, seed: int, recipe: Recipe
) -> Timeline:
    """Write a conversation as mp3, cut out of each label's recordings, at the recipe's rate; return who speaks when.

    Raises:
        InputError: there are fewer than two labels.
    """
    if len(recordings) < 2:
        raise InputError(f"A conversation takes two labels at least, received {len(recordings)}; hold out others.")
    rate_hz = recipe.sample_rate_hz
    sounds = {
        label: np.concatenate([block for each in paths for block in decoding.read_blocks(each, sample_rate_hz=rate_hz)])
        for label, paths in recordings.items()
    }
    lengths = {label: len(sound) for label, sound in sounds.items()}
    at = 0
    spans = []
    with whole_file(path) as scratch, soundfile.SoundFile(scratch, "w", rate_hz, 1, format="MP3") as file:
        rng = np.random.default_rng(seed)
        for turn in plan_turns(lengths, seconds=seconds, sample_rate_hz=rate_hz, rng=rng):
            place = at / rate_hz, (at + turn.samples) / rate_hz
            if turn.label is None:
                file.write(np.zeros(turn.samples, np.float32))
                spans.append(Span(*place, "silence"))
            else:
                file.write(sounds[turn.label][turn.start : turn.start + turn.samples])
                spans.append(Span(*place, "known", turn.label, turn.label))
            at += turn.samples
    return Timeline(path, at / rate_hz, tuple(spans))
