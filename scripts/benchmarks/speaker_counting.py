"""Timelines of voices that nobody trained on: how many are counted, and how much time is given to another.

    labels held out -> conversations of 2, 4, ... of them -> timelines, speakers counted or given -> error rates

A classifier is trained on the labels that are not held out, or on those of another folder. Which speaker is which voice
is chosen so that the error is least.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audionet.cli import EXIT_FAILED
from audionet.console import log, progress_bar
from audionet.data.dataset import Dataset
from audionet.errors import InputError
from audionet.models.classifier import Classifier
from audionet.models.timelines.timeline import Timeline
from audionet.tables import Table
from audionet.training.fitting.similarity_fitting import FEWEST_LABELS
from benchmarks.default_training import train_without
from benchmarks.diarization import by_label, check_metrics, error_rates
from benchmarks.options import DiarizationOptions
from benchmarks.recording_holdout import dataset_of
from benchmarks.synthetic_conversation import write_conversation


@dataclass(frozen=True)
class VoiceDraw:
    """Voices for conversations, those of a smaller one among those of a larger one, and who was trained on others."""

    voices: tuple[str, ...]
    classifier: Classifier


def run(options: DiarizationOptions) -> int:
    """Train, write conversations, make their timelines, and print what is wrong; return 1 if a recording failed."""
    check_metrics()
    dataset, failures = dataset_of(options.audio_dir, options.folder, group_by=options.group_by)
    most = len(dataset.labels) - (0 if options.train_dir else FEWEST_LABELS)
    if max(options.counts) > most:
        raise InputError(
            f"--speakers: expected {most} at most of {len(dataset.labels)} labels, received {max(options.counts)}. "
            "Name a folder of other labels to train on with --train_dir."
        )
    other = None
    if options.train_dir:
        folder = options.output_dir / options.train_dir.resolve().name
        other, more_failures = dataset_of(options.train_dir, folder, group_by=options.group_by)
        failures = failures | more_failures
    measured = []
    with progress_bar(total=options.draws * len(options.counts), description="Timelines", unit="conversations") as bar:
        for number, draw in enumerate(voice_draws(dataset, other, options)):
            for count in options.counts:
                measured.append(measure(draw, count, number=number, dataset=dataset, options=options))
                log(sentence(measured[-1]))
                bar.update()
    tables = {"Speakers without names": result_table(measured)}
    trained_on = "another folder" if other else f"the other {len(dataset.labels) - max(options.counts)} labels"
    about = (
        f"{options.draws} conversations of {options.seconds:g} s each; the classifier was trained on {trained_on}. "
        "Error: share of the time spoken that is missed, falsely detected or given to another speaker."
    )
    options.write(options.folder / "speakers.json", {"conversations": measured}, tables, about)
    return EXIT_FAILED if failures else 0


def voice_draws(dataset: Dataset, other: Dataset | None, options: DiarizationOptions) -> Iterator[VoiceDraw]:
    """Train without the voices of each draw, or once on another data set, and yield the draws."""
    classifier = train_without(other, (), options, members=options.members) if other else None
    for number in range(options.draws):
        rng = np.random.default_rng([options.random_seed, number])
        voices = tuple(str(label) for label in rng.permutation(list(dataset.labels))[: max(options.counts)])
        yield VoiceDraw(voices, classifier or train_without(dataset, voices, options, members=options.members))


def measure(
    draw: VoiceDraw, count: int, *, number: int, dataset: Dataset, options: DiarizationOptions
) -> dict[str, Any]:
    """Return what comes of a conversation of the first `count` voices of a draw, and write it as mp3.

    Returns:
        dict: `speakers`; `voices`, those who have a turn; `counted`; `error` and `confusion` where they were counted,
        `error_given` where their number was given.
    """
    labels = {each.recording: each.label for each in dataset.examples if each.label in draw.voices[:count]}
    truth = write_conversation(
        options.folder / f"conversation-{count}-{number}.mp3",
        by_label(labels, options.audio_dir),
        seconds=options.seconds,
        seed=options.random_seed + number,
        recipe=draw.classifier.recipe_for(options.audio_dir),
    )
    found = draw.classifier.timeline(truth.path, hop_seconds=options.hop, speakers="auto")
    given = draw.classifier.timeline(truth.path, hop_seconds=options.hop, speakers=count)
    rates = error_rates(truth, found, by_name=False)["strict"]
    return {
        "speakers": count,
        "voices": labels_of(truth),
        "counted": len(labels_of(found)),
        "error": rates["error_rate"],
        "confusion": rates["confusion"],
        "error_given": error_rates(truth, given, by_name=False)["strict"]["error_rate"],
    }


def sentence(one: Mapping[str, Any]) -> str:
    """Return one sentence for the screen on a conversation, as `measure` describes it."""
    return (
        f"{len(one['voices'])} voices: {one['counted']} counted, {one['error']:.1%} of the time wrong; "
        f"{one['error_given']:.1%} where their number was given."
    )


def labels_of(timeline: Timeline) -> list[str]:
    """Return the labels and speakers of a timeline, sorted."""
    return sorted({span.label for span in timeline.non_silent_spans})


def result_table(measured: Sequence[dict[str, Any]]) -> Table:
    """Return a row for each number of speakers: those counted, and means of the errors with the largest in brackets."""
    rows = []
    for count in dict.fromkeys(one["speakers"] for one in measured):
        some = [one for one in measured if one["speakers"] == count]
        rows.append(
            [
                str(count),
                ", ".join(f"{one['counted']} of {len(one['voices'])}" for one in some),
                *(
                    f"{np.mean([one[name] for one in some]):.1%} ({max(one[name] for one in some):.1%})"
                    for name in ("error", "confusion", "error_given")
                ),
            ]
        )
    return ["speakers", "counted", "error", "of it confusion", "error, their number given"], rows
