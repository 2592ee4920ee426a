"""What label_image.py does with answers and timelines: show them, write them down, cut clips out."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path

from audionet.audio import decoding
from audionet.audio.sox_ffmpeg import changes_time
from audionet.audio.writing import Piece, cut_out
from audionet.console import log, progress_bar
from audionet.errors import AudioNetError, InputError, RecordingError
from audionet.files import printable, sha256_of
from audionet.inference.batch_scoring import Remarks, score_all
from audionet.inference.explain import explain, write_explanation
from audionet.inference.label_files import write_labels
from audionet.inference.prediction_file import SPAN_COLUMNS, PredictionFile, answer_columns, answer_row, span_rows
from audionet.inference.settings import LiveSettings, TimelineSettings
from audionet.inference.streaming import Block, follow, latencies, microphone, paced
from audionet.inference.timeline import Timeline, make_timeline
from audionet.inference.timeline_plot import clock, write_overview
from audionet.models.classifier import Classifier
from audionet.models.graph_classifier import GraphClassifier
from audionet.tables import print_table


def show_answers(
    classifier: Classifier | GraphClassifier, clips: Iterable[Path], *, top_k: int, as_json: bool, jobs: int | None
) -> int:
    """Print an answer for every clip, and return how many have none."""
    failed = 0
    for clip, answer in score_all(classifier, clips, jobs=jobs):
        if isinstance(answer, AudioNetError):
            log(f"Set aside: {answer}")
            failed += 1
        elif as_json:
            print(json.dumps({"file": str(clip), **answer.to_json(top_k)}))
        else:
            print(printable(clip) + answer.doubt())
            for label, probability in answer.ranked(top_k).items():
                print(f"  {probability:6.1%}  {printable(label)}")
    return failed


def write_answers(
    classifier: Classifier | GraphClassifier,
    clips: Iterable[Path],
    output: Path,
    *,
    top_k: int,
    resume: bool,
    jobs: int | None,
) -> int:
    """Write an answer for every clip that `output` holds none for, and return how many have none."""
    model = classifier.fingerprint
    counts = _Counts()
    with PredictionFile(output, columns=answer_columns(top_k), model=model, resume=resume) as rows:
        for clip, answer in score_all(classifier, (clip for clip in clips if clip not in rows), jobs=jobs):
            rows.write([answer_row(clip, answer, model=model, top_k=top_k)])
            counts.note(answer)
    counts.say(rows.held)
    return counts.failed


def show_timelines(classifier: Classifier, clips: Iterable[Path], settings: TimelineSettings, *, as_json: bool) -> int:
    """Print who is heard when, write and cut out what is wanted, and return how many recordings failed."""
    failed = 0
    for clip, timeline in _timelines(classifier, clips, settings):
        if isinstance(timeline, AudioNetError):
            log(f"Set aside: {timeline}")
            failed += 1
        elif as_json:
            for span in timeline.spans:
                print(json.dumps({"file": str(clip), **asdict(span)}))
        else:
            print_table(
                ("from", "to", "label", "probability"),
                [
                    (
                        clock(span.start_seconds, tenths=True),
                        clock(span.end_seconds, tenths=True),
                        printable(span.label),
                        f"{span.probability:.1%}" if span.kind == "known" else f"nearest is {printable(span.nearest)}",
                    )
                    for span in timeline.heard
                ],
                title=printable(clip),
                numbers=("from", "to", "probability"),
            )
    return failed


def write_timelines(
    classifier: Classifier, clips: Iterable[Path], output: Path, settings: TimelineSettings, *, resume: bool
) -> int:
    """Write a row for every span of recordings that `output` holds none of, and return how many recordings failed."""
    model = classifier.fingerprint
    counts = _Counts()
    with PredictionFile(output, columns=SPAN_COLUMNS, model=model, resume=resume, spans=True) as rows:
        for clip, timeline in _timelines(classifier, (clip for clip in clips if clip not in rows), settings):
            rows.write(
                span_rows(clip, timeline if isinstance(timeline, AudioNetError) else timeline.spans, model=model)
            )
            counts.note(timeline)
    counts.say(rows.held)
    return counts.failed


def follow_live(classifier: Classifier, clips: Iterable[Path], settings: LiveSettings, *, hop_seconds: float) -> int:
    """Print a decision every hop while the sound comes in, and return how many sources failed."""
    failed = 0
    for source, blocks in _sources(classifier, clips, settings):
        log(f"Listening to {source}.")
        taken: list[float] = []
        try:
            for decision in follow(classifier, blocks, hop_seconds=hop_seconds):
                taken.append(decision.latency_seconds)
                if decision.lost_seconds:
                    log(
                        f"{abs(decision.lost_seconds):.1f} s of sound are missing before {clock(decision.end_seconds)}."
                    )
                heard = f"{printable(decision.label)}  {decision.probability:.1%}" if decision.label else "silence"
                print(f"{clock(decision.end_seconds, tenths=True)}  {heard}  ({taken[-1] * 1000:.0f} ms)", flush=True)
        except RecordingError as error:
            log(f"Set aside: {error}")
            failed += 1
        else:
            if not taken:
                log(f"{source} is too short for a decision.")
        finally:  # also when the user ends it
            if taken:
                log(f"{source}: {latencies(taken)}.")
    return failed


def _sources(
    classifier: Classifier, clips: Iterable[Path], settings: LiveSettings
) -> Iterator[tuple[str, Iterable[Block]]]:
    rate_hz = classifier.recipe_for("The sound").sample_rate_hz
    if classifier.recipe_for("The sound").sox_effects:
        log("The classifier's SoX effects need whole recordings; they are left out here, which may cost accuracy.")
    if settings.microphone:
        yield "the microphone", microphone(sample_rate_hz=rate_hz, device=settings.device)
    for clip in clips:
        yield printable(clip), paced(clip, sample_rate_hz=rate_hz)


def explain_all(classifier: Classifier, clips: Iterable[Path], place: Path) -> int:
    """Write for every clip what speaks for its answer, and return how many failed."""
    failed = 0
    names: dict[str, Path] = {}
    is_single = place.suffix.lower() == ".png"
    waiting = iter(clips)
    first = list(islice(waiting, 2))
    if is_single and len(first) > 1:
        raise InputError(f"--explain: {printable(place)} is one picture; for several clips name a folder.")
    for clip in chain(first, waiting):
        name = _name_of(clip, names)
        try:
            explanation = explain(classifier, clip)
        except AudioNetError as error:
            log(f"Set aside: {error}")
            failed += 1
            continue
        target = place if is_single else place / f"{name}.png"
        write_explanation(target, explanation, name=clip.name)
        print(f"{printable(clip)}: {explanation.sentence()}")
    return failed


class _Counts:
    """How many clips were labelled and how many set aside."""

    def __init__(self) -> None:
        self.done = self.failed = 0

    def note(self, outcome: object) -> None:
        self.done += 1
        if isinstance(outcome, AudioNetError):
            log(f"Set aside: {outcome}")
            self.failed += 1

    def say(self, held: int) -> None:
        before = f"; {held} {'was' if held == 1 else 'were'} labelled before" if held else ""
        log(f"{self.done} files: {self.done - self.failed} labelled, {self.failed} set aside{before}.")


def _timelines(
    classifier: Classifier, clips: Iterable[Path], settings: TimelineSettings
) -> Iterator[tuple[Path, Timeline | AudioNetError]]:
    names: dict[str, Path] = {}
    remarks = Remarks(classifier.recipe)
    if classifier.recipe and changes_time(classifier.recipe.sox_effects):
        log(
            f"The classifier's SoX effects ({classifier.recipe.sox_effects}) move sounds to other times: those of a "
            "timeline are not those of the recording. Train without such effects to have them so."
        )
    for clip in clips:
        form = decoding.form_of(clip) if decoding.is_recording(clip) else None
        with progress_bar(total=round(form[1]) if form else None, description=clip.name[:30], unit="s of sound") as bar:
            try:
                if not decoding.is_recording(clip):
                    raise InputError(f"{printable(clip)} is no recording; a timeline takes recordings.")
                remarks.heed(clip)
                timeline = make_timeline(
                    classifier,
                    clip,
                    hop_seconds=settings.hop,
                    min_seconds=settings.min_seconds,
                    on_seconds=lambda seconds: bar.update(round(seconds) - bar.n),
                )
                name = _name_of(clip, names)
                if settings.timeline_dir:
                    _write_files(timeline, classifier, settings.timeline_dir / name, settings.formats)
                if settings.export_clips:
                    export_clips(timeline, settings.export_clips, name=name, above=settings.above)
            except AudioNetError as error:
                yield clip, error
                continue
        yield clip, timeline


def _write_files(timeline: Timeline, classifier: Classifier, stem: Path, formats: Iterable[str]) -> None:
    recipe = classifier.recipe_for(timeline.path)
    write_labels(timeline, stem, [name for name in formats if name != "picture"], recipe=recipe)
    if "picture" in formats and timeline.path != decoding.STDIN:  # which has been heard and is gone
        write_overview(stem.with_name(f"{stem.name}.png"), timeline, recipe)


def export_clips(timeline: Timeline, folder: Path, *, name: str, above: float) -> list[Path]:
    """Cut out the parts of a recording that are surely of a label: folder/label/name_from-to_probability.wav.

    Args:
        timeline: of a recording.
        folder: where to.
        name: of the recording, for file names.
        above: how probable the label must be.

    Returns:
        list: the files.

    Raises:
        RecordingError: the recording came by stdin and is gone.
    """
    if timeline.path == decoding.STDIN:
        raise RecordingError("-: clips cannot be cut out of what came by stdin; name a file.")
    pieces = [
        Piece(
            span.start_seconds,
            span.end_seconds,
            folder
            / span.label.replace("/", "_")
            / f"{name}_{span.start_seconds:09.2f}-{span.end_seconds:09.2f}_{span.probability:.2f}.wav",
        )
        for span in timeline.heard
        if span.kind == "known" and (span.probability or 0) >= above
    ]
    if pieces:
        cut_out(timeline.path, pieces)
    return [piece.path for piece in pieces]


def _name_of(clip: Path, names: dict[str, Path]) -> str:
    """Return a recording's name without suffix, with something behind it where another one has the same."""
    name = "stdin" if clip == decoding.STDIN else clip.stem
    if names.setdefault(name, clip) != clip:
        name = f"{name}-{sha256_of(str(clip).encode('utf-8', 'surrogateescape'))[:8]}"
    return name
