"""The error rate of timelines, on a long conversation whose truth is known.

    recordings held out -> conversation.mp3, conversation.truth.rttm -> timeline -> error rate

Labels may be held out of training: their turns are `unknown` in the truth.
"""

import importlib.util
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from audionet.cli import EXIT_FAILED
from audionet.data.dataset import Dataset
from audionet.errors import InputError
from audionet.files import printable, whole_folder, write_text
from audionet.inference import timeline_formats
from audionet.models.answer import UNKNOWN
from audionet.models.classifier import Classifier
from audionet.models.timeline import Timeline
from audionet.parallel import process_pool
from audionet.training.trainer import TrainedModel
from audionet.training.training_run import build_classifier
from benchmarks.default_training import DefaultTraining, load_network
from benchmarks.options import DiarizationOptions
from benchmarks.recording_holdout import dataset_of, split_by_name
from benchmarks.synthetic_conversation import write_conversation

COLLAR_SECONDS = 0.25  # on either side of each change, as the NIST evaluations leave it out


@dataclass(frozen=True)
class MeasuredTimeline:
    """A timeline, the seconds that it took, loading included, and the memory of its process."""

    timeline: Timeline
    seconds: float
    peak_megabytes: float


def run(options: DiarizationOptions) -> int:
    """Train, write a conversation, make its timeline, and print its error rates; return 1 if a recording failed."""
    if not (importlib.util.find_spec("pyannote") and importlib.util.find_spec("pyannote.metrics")):
        raise InputError("Error rates are computed by pyannote.metrics: pip install -r tests/requirements-timeline.txt")
    folder = options.folder
    dataset, failures = dataset_of(options.audio_dir, folder, group_by=options.group_by)
    split = split_by_name(dataset, options.test)
    label_of = {example.recording: example.label for example in split.tested}
    unknown = sorted(set(label_of.values()))[: options.held_out]
    training = replace(DefaultTraining.of(options), holdout=replace(options.holdout, testing_percentage=0))
    classifier = train_without(split.dataset, unknown, training)
    spoken = write_conversation(
        folder / "conversation.mp3",
        by_label(label_of, options.audio_dir),
        seconds=options.seconds,
        seed=options.random_seed,
        recipe=split.recipe,
    )
    truth = with_unknown(spoken, unknown)
    write_text(folder / "conversation.truth.rttm", timeline_formats.rttm(truth))
    with whole_folder(folder / "timeline_model") as model:
        classifier.save(model)
    with process_pool(1) as pool:  # so that the memory is its own, and not that of training
        measured = pool.submit(measure, folder / "timeline_model", truth.path, hop_seconds=options.hop).result()
    found = measured.timeline
    timeline_formats.write_labels(found, folder / "conversation", timeline_formats.WRITERS, recipe=split.recipe)
    rates = error_rates(truth, found)
    print_result(rates, truth, measured)
    took = {"seconds": measured.seconds, "peak_megabytes": measured.peak_megabytes}
    options.write(folder / "timeline.json", {"rates": rates, **took, "strangers": unknown})
    print(f"Conversation, truth, timeline, classifier: {printable(folder)}")
    return EXIT_FAILED if failures else 0


def train_without(dataset: Dataset, unknown: Sequence[str], training: DefaultTraining) -> Classifier:
    """Train on all recordings of all labels but the unknown ones."""
    examples = tuple(example for example in dataset.examples if example.label not in unknown)
    labels = tuple(label for label in dataset.labels if label not in unknown)
    training_data = training.gather(replace(dataset, examples=examples, labels=labels))
    selected = training.select(training_data)
    network = load_network(training.backbone.architecture, selected.best.bottleneck)
    return build_classifier(TrainedModel(training_data, selected, network), {})


def by_label(labels: Mapping[str, str], audio_dir: Path) -> dict[str, list[Path]]:
    """Return the files of each label, sorted, given the labels by recording, which is a path from `audio_dir`."""
    return {
        label: [audio_dir / recording for recording in sorted(labels) if labels[recording] == label]
        for label in sorted(set(labels.values()))
    }


def with_unknown(truth: Timeline, unknown: Sequence[str]) -> Timeline:
    """Call the turns of unknown labels so."""
    spans = [replace(span, kind="unknown", label=UNKNOWN) if span.label in unknown else span for span in truth.spans]
    return replace(truth, spans=tuple(spans))


def measure(model: Path, path: Path, *, hop_seconds: float) -> MeasuredTimeline:
    """Load a classifier, make a recording's timeline, and return it with what it took."""
    begun = time.perf_counter()
    timeline = Classifier.load(model).timeline(path, hop_seconds=hop_seconds)
    seconds = time.perf_counter() - begun
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss
    return MeasuredTimeline(timeline, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


def error_rates(truth: Timeline, found: Timeline) -> dict[str, dict[str, float]]:
    """Return diarization error rates `strict` and `with_collar`, each with its parts, as shares of the time spoken.

    Labels are names here, not clusters: a voice is right under its own name only.

    Returns:
        dict: by kind, `error_rate`, `missed`, `false_alarm`, `confusion`, and `seconds` that were judged.
    """
    from pyannote.core import Segment
    from pyannote.core import Timeline as Regions
    from pyannote.metrics.identification import IdentificationErrorRate

    judged = Regions([Segment(0.0, max(truth.seconds, found.seconds))])
    rates = {}
    for kind, collar in (("strict", 0.0), ("with_collar", 2 * COLLAR_SECONDS)):
        metric = IdentificationErrorRate(collar=collar)  # it wants the width of both sides together
        parts = metric(_annotation(truth), _annotation(found), uem=judged, detailed=True)
        total = parts["total"]
        rates[kind] = {
            "error_rate": float(parts["identification error rate"]),
            "missed": float(parts["missed detection"] / total),
            "false_alarm": float(parts["false alarm"] / total),
            "confusion": float(parts["confusion"] / total),
            "seconds": float(total),
        }
    return rates


def _annotation(timeline: Timeline) -> Any:
    from pyannote.core import Annotation, Segment

    annotated = Annotation(uri=timeline.path.stem)
    for span in timeline.non_silent_spans:
        annotated[Segment(span.start_seconds, span.end_seconds)] = span.label
    return annotated


def print_result(rates: Mapping[str, Mapping[str, float]], truth: Timeline, measured: MeasuredTimeline) -> None:
    """Print error rates, and what the timeline took, to stdout."""
    for kind, rate in rates.items():
        parts = [f"{name.replace('_', ' ')} {share:.2%}" for name, share in rate.items() if name != "seconds"]
        print(f"{kind.replace('_', ' ')}: {', '.join(parts)}")
    found = measured.timeline
    print(
        f"{len(truth.non_silent_spans)} turns, {len(found.non_silent_spans)} spans; {found.seconds:.0f} s in "
        f"{measured.seconds:.0f} s and {measured.peak_megabytes:.0f} MB"
    )
