"""The error rate of timelines, on a long conversation whose truth is known.

    recordings held out -> conversation.mp3, conversation.truth.rttm -> timeline -> error rate

Labels may be held out of training: their turns are `unknown` in the truth. Which share of their time gets a name, and
which share of the others' time is refused, is measured on the conversation and on each recording by itself. The rival
is the verdict on the whole, applied to every part of it.
"""

import importlib.util
import resource
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from audionet.cli import EXIT_FAILED
from audionet.errors import InputError
from audionet.files import printable, whole_folder, write_text
from audionet.inference.timelines import timeline_formats
from audionet.models.answer import UNKNOWN
from audionet.models.classifier import Classifier
from audionet.models.timelines.timeline import Kind, Span, Timeline
from audionet.parallel import process_pool
from audionet.tables import print_table
from benchmarks.default_training import train_without
from benchmarks.label_holdout import draws_of
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
    check_metrics()
    folder = options.folder
    dataset, failures = dataset_of(options.audio_dir, folder, group_by=options.group_by)
    split = split_by_name(dataset, options.test)
    label_of = {example.recording: example.label for example in split.tested}
    unknown = held_out_labels(dataset.labels, options)
    classifier = train_without(split.dataset, unknown, options, members=options.members)
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
    naming = measure_naming(Classifier.load(folder / "timeline_model"), truth, found, label_of, options)
    timeline_formats.write_labels(found, folder / "conversation", timeline_formats.WRITERS, recipe=split.recipe)
    rates = error_rates(truth, found)
    print_result(rates, truth, measured)
    print_naming(naming)
    took = {"seconds": measured.seconds, "peak_megabytes": measured.peak_megabytes}
    options.write(folder / "timeline.json", {"rates": rates, **took, "naming": naming, "strangers": unknown})
    print(f"Conversation, truth, timeline, classifier: {printable(folder)}")
    return EXIT_FAILED if failures else 0


def check_metrics() -> None:
    """Raise InputError where what computes error rates is not installed."""
    if not (importlib.util.find_spec("pyannote") and importlib.util.find_spec("pyannote.metrics")):
        raise InputError("Error rates are computed by pyannote.metrics: pip install -r tests/requirements-timeline.txt")


def held_out_labels(labels: Sequence[str], options: DiarizationOptions) -> Sequence[str]:
    """Return the labels that are to be unknown, by the random seed; InputError if too few would be left."""
    if not options.held_out:
        return []
    return draws_of(labels, held_out=options.held_out, count=1, seed=options.random_seed)[0].unknown


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


def measure_naming(
    classifier: Classifier,
    truth: Timeline,
    found: Timeline,
    label_of: Mapping[str, str],
    options: DiarizationOptions,
) -> dict[str, dict[str, Any]]:
    """Return what `naming_rates` finds in the conversation and in the recordings, `by_part` and `by_the_whole`."""
    alone = [
        (single_voice(timeline, label_of[recording], classifier.labels), timeline)
        for recording in sorted(label_of)
        for timeline in [classifier.timeline(options.audio_dir / recording, hop_seconds=options.hop)]
    ]
    return {
        where: {
            "by_part": naming_rates(pairs),
            "by_the_whole": naming_rates([(of_truth, vetoed(of_found, classifier)) for of_truth, of_found in pairs]),
        }
        for where, pairs in (("conversation", [(truth, found)]), ("recordings", alone))
    }


def single_voice(timeline: Timeline, label: str, known: Sequence[str]) -> Timeline:
    """Return the truth of a recording in which all that sounds is of one label."""
    kind: Kind = "known" if label in known else "unknown"
    truth = Span(0.0, timeline.seconds, kind, label if kind == "known" else UNKNOWN)
    return replace(timeline, spans=(truth,))


def vetoed(timeline: Timeline, classifier: Classifier) -> Timeline:
    """Give all that sounds the label that the recording has as a whole."""
    answer = classifier.score(timeline.path)
    kind: Kind = "known" if answer.is_known else "unknown"
    spans = [replace(span, kind=kind, label=answer.label) for span in timeline.non_silent_spans]
    return replace(timeline, spans=tuple(spans))


def naming_rates(pairs: Iterable[tuple[Timeline, Timeline]]) -> dict[str, float | None]:
    """Return the shares of time that is named or refused wrongly, given truths and what was found.

    Returns:
        dict: `unknown_named`, of the time of unknown labels; `known_refused` and `known_misnamed`, of that of known
        ones; each None where there is no such time; `unknown_seconds` and `known_seconds`. Time that was found silent
        is left out.
    """
    seconds: dict[tuple[str, str], float] = {}
    for truth, found in pairs:
        for true in truth.non_silent_spans:
            for span in found.non_silent_spans:
                shared = min(true.end_seconds, span.end_seconds) - max(true.start_seconds, span.start_seconds)
                said = "unknown" if span.kind == "unknown" else "right" if span.label == true.label else "wrong"
                seconds[true.kind, said] = seconds.get((true.kind, said), 0.0) + max(shared, 0.0)
    totals = {kind: sum(of for (other, _), of in seconds.items() if other == kind) for kind in ("unknown", "known")}

    def share(kind: str, said: str) -> float | None:
        return seconds.get((kind, said), 0.0) / totals[kind] if totals[kind] else None

    return {
        "unknown_named": share("unknown", "wrong"),
        "known_refused": share("known", "unknown"),
        "known_misnamed": share("known", "wrong"),
        "unknown_seconds": totals["unknown"],
        "known_seconds": totals["known"],
    }


def error_rates(truth: Timeline, found: Timeline, *, by_name: bool = True) -> dict[str, dict[str, float]]:
    """Return diarization error rates `strict` and `with_collar`, each with its parts, as shares of the time spoken.

    By name, a voice is right under its own name only; else labels are clusters, each of which stands for the voice that
    makes the error least.

    Returns:
        dict: by kind, `error_rate`, `missed`, `false_alarm`, `confusion`, and `seconds` that were judged.
    """
    from pyannote.core import Segment
    from pyannote.core import Timeline as Regions
    from pyannote.metrics.diarization import DiarizationErrorRate
    from pyannote.metrics.identification import IdentificationErrorRate

    error_rate = IdentificationErrorRate if by_name else DiarizationErrorRate
    judged = Regions([Segment(0.0, max(truth.seconds, found.seconds))])
    rates = {}
    for kind, collar in (("strict", 0.0), ("with_collar", 2 * COLLAR_SECONDS)):
        metric = error_rate(collar=collar)  # it wants the width of both sides together
        parts = metric(_annotation(truth), _annotation(found), uem=judged, detailed=True)
        total = parts["total"]
        rates[kind] = {
            "error_rate": float(parts[metric.metric_name()]),
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


def print_naming(naming: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> None:
    """Print what `measure_naming` found to stdout."""
    names = ("unknown_named", "known_refused", "known_misnamed")
    rows = [
        [where, rule.replace("_", " "), *("-" if rates[name] is None else f"{rates[name]:.1%}" for name in names)]
        for where, rules in naming.items()
        for rule, rates in rules.items()
    ]
    headings = [name.replace("_", " ") for name in names]
    print_table(["share of time", "judged", *headings], rows, numbers=headings)
