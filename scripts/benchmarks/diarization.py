"""A benchmark of timelines: a long conversation whose truth is known, and how much of it is given to the wrong voice.

    recordings held out -> turns in random order -> conversation.mp3, conversation.rttm -> timeline -> error rate

Turns are cut anywhere out of the recordings, so that their chunks are none that a test of chunks would have heard; a
conversation much longer than the recordings repeats their sound. Labels that are left out of training are strangers:
their turns are `unknown` in the truth.
"""

import importlib.util
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from audionet.audio import decoding
from audionet.data.dataset import Dataset
from audionet.errors import InputError
from audionet.features.recipes import Recipe
from audionet.files import whole_file
from audionet.inference.timeline import Span, Timeline, make_timeline
from audionet.models.classifier import UNKNOWN, Classifier
from audionet.training.settings import HoldoutSettings
from audionet.training.training_data import gather_training_data
from audionet.training.training_run import finish
from benchmarks.accuracy import DefaultTraining

TURN_SECONDS = (3.0, 30.0)  # the shortest and the longest, evenly spread over their logarithms
PAUSE_SECONDS = (0.3, 3.0)
PAUSE_SHARE = 0.3  # of turns that a pause follows
COLLAR_SECONDS = 0.25  # on either side of each change, as the NIST evaluations leave it out


def train_without(
    dataset: Dataset,
    strangers: Sequence[str],
    *,
    training: DefaultTraining,
    bottleneck_dir: Path,
    holdout: HoldoutSettings,
) -> Classifier:
    """Train on all recordings of all labels but the strangers."""
    examples = tuple(example for example in dataset.examples if example.label not in strangers)
    labels = tuple(label for label in dataset.labels if label not in strangers)
    name = f"without {len(strangers)} strangers"  # a split is remembered by the folder's name
    known = replace(dataset, examples=examples, labels=labels, folder=dataset.folder / name)
    gathered = gather_training_data(
        known, training.load(), bottleneck_dir=bottleneck_dir, holdout=replace(holdout, testing_percentage=0)
    )
    choice = training.choose(gathered)
    return finish(gathered, choice, training.load(choice.best.bottleneck)).classifier


def by_label(labels: Mapping[str, str], audio_dir: Path) -> dict[str, list[Path]]:
    """Return the files of each label, sorted.

    Args:
        labels: by recording, which is a path from `audio_dir`.
        audio_dir: where the recordings are.
    """
    return {
        label: [audio_dir / recording for recording in sorted(labels) if labels[recording] == label]
        for label in sorted(set(labels.values()))
    }


@dataclass(frozen=True)
class Turn:
    """A stretch of one recording, or a pause.

    Attributes:
        label: who speaks; None for a pause.
        start: in samples of the recording.
        samples: how many.
    """

    label: str | None
    start: int
    samples: int


def plan_turns(
    lengths: Mapping[str, int], *, seconds: float, sample_rate_hz: int, rng: np.random.Generator
) -> Iterator[Turn]:
    """Yield turns and pauses until a conversation is long enough; nobody has two turns in a row.

    Args:
        lengths: of each label's sound, in samples; of two labels at least.
        seconds: how long the conversation is to be.
        sample_rate_hz: of the samples.
        rng: decides who speaks when, and for how long.
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
    """Write a conversation as mp3 and return who speaks when.

    Args:
        path: where to, as mp3.
        recordings: that each label's turns are cut out of.
        seconds: how long it is to be.
        seed: another seed, another conversation.
        recipe: whose sample rate it gets.

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


def with_strangers(truth: Timeline, strangers: Sequence[str]) -> Timeline:
    """Call the turns of strangers unknown."""
    spans = [replace(span, kind="unknown", label=UNKNOWN) if span.label in strangers else span for span in truth.spans]
    return replace(truth, spans=tuple(spans))


def measure(model: Path, path: Path, *, hop_seconds: float) -> tuple[Timeline, float, float]:
    """Return a recording's timeline, the seconds that it took, loading included, and the process's memory in MB."""
    begun = time.perf_counter()
    timeline = make_timeline(Classifier.load(model), path, hop_seconds=hop_seconds)
    seconds = time.perf_counter() - begun
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss
    return timeline, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def missing_scorer() -> str:
    """Return what to do if the scorer is not installed, else nothing."""
    if importlib.util.find_spec("pyannote") and importlib.util.find_spec("pyannote.metrics"):
        return ""
    return "Error rates are computed by pyannote.metrics: pip install -r tests/requirements-timeline.txt"


def error_rates(truth: Timeline, found: Timeline) -> dict[str, dict[str, float]]:
    """Return diarization error rates `strict` and `with_collar`, each with its parts, as shares of the time spoken.

    Labels are names here, not clusters: a voice is right under its own name only.

    Returns:
        dict: by kind, `error_rate`, `missed`, `false_alarm`, `confusion`, and `seconds` that were judged.
    """
    from pyannote.core import Annotation, Segment
    from pyannote.metrics.identification import IdentificationErrorRate

    def annotation(timeline: Timeline) -> Annotation:
        annotated = Annotation(uri=timeline.path.stem)
        for span in timeline.non_silent_spans:
            annotated[Segment(span.start_seconds, span.end_seconds)] = span.label
        return annotated

    whole = Segment(0.0, max(truth.seconds, found.seconds))
    rates = {}
    for kind, collar in (("strict", 0.0), ("with_collar", 2 * COLLAR_SECONDS)):
        metric = IdentificationErrorRate(collar=collar)  # it wants the width of both sides together
        parts = metric(annotation(truth), annotation(found), uem=_as_timeline(whole), detailed=True)
        total = parts["total"]
        rates[kind] = {
            "error_rate": parts["identification error rate"],
            "missed": parts["missed detection"] / total,
            "false_alarm": parts["false alarm"] / total,
            "confusion": parts["confusion"] / total,
            "seconds": total,
        }
    return {kind: {name: float(value) for name, value in rate.items()} for kind, rate in rates.items()}


def _as_timeline(segment: object) -> object:
    from pyannote.core import Timeline as Segments

    return Segments([segment])
