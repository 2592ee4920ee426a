"""Timelines of many recordings: print them, write them to files, cut labelled parts out of the recordings."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from audionet.audio import decoding
from audionet.audio.sox_ffmpeg import changes_time
from audionet.audio.writing import Piece, cut_out
from audionet.console import log, progress_bar
from audionet.distributed import cluster
from audionet.distributed.storage import is_remote
from audionet.errors import AudioNetError, InputError, RecordingError
from audionet.files import printable
from audionet.inference.batch_scoring import MismatchWarnings, side_by_side, unique_name
from audionet.inference.prediction_file import SPAN_COLUMNS, PredictionFile, span_rows
from audionet.inference.settings import TimelineSettings
from audionet.inference.timelines.timeline_formats import write_labels
from audionet.inference.timelines.timeline_plot import write_overview
from audionet.models.classifier import Classifier
from audionet.models.timelines.timeline import Span, Timeline
from audionet.tables import print_table
from audionet.wording import clock


def print_timelines(classifier: Classifier, clips: Iterable[Path], settings: TimelineSettings, *, as_json: bool) -> int:
    """Print the labelled spans of recordings, write and cut out what is wanted, and return how many failed."""
    failed = 0
    for clip, timeline in make_timelines(classifier, clips, settings):
        if isinstance(timeline, AudioNetError):
            log(f"Set aside: {timeline}")
            failed += 1
        elif as_json:
            for span in timeline.spans:
                print(json.dumps({"file": str(clip), **asdict(span)}))
        else:
            how_sure = "score" if classifier.has_one_class else "probability"
            print_table(
                ("from", "to", "label", how_sure),
                [_table_row(span, by_score=classifier.has_one_class) for span in timeline.non_silent_spans],
                title=printable(clip),
                numbers=("from", "to", how_sure),
            )
    return failed


def _table_row(span: Span, *, by_score: bool) -> tuple[str, str, str, str]:
    how_sure = f"{span.probability:.1%}" if span.has_name else f"nearest is {printable(span.nearest)}"
    return (
        clock(span.start_seconds, tenths=True),
        clock(span.end_seconds, tenths=True),
        printable(span.label),
        f"{span.score:.1f}" if by_score and span.score is not None else how_sure,
    )


def write_timelines(
    classifier: Classifier, clips: Iterable[Path], output: Path, settings: TimelineSettings, *, resume: bool
) -> int:
    """Write a row for every span of recordings that `output` holds none of, and return how many recordings failed."""
    model = classifier.fingerprint
    with PredictionFile(output, columns=SPAN_COLUMNS, model=model, resume=resume, spans=True) as predictions:
        new_clips = (clip for clip in clips if clip not in predictions)
        for clip, timeline in make_timelines(classifier, new_clips, settings):
            predictions.write(
                span_rows(clip, timeline if isinstance(timeline, AudioNetError) else timeline.spans, model=model)
            )
    predictions.log_summary()
    return predictions.failed


def make_timelines(
    classifier: Classifier, clips: Iterable[Path], settings: TimelineSettings
) -> Iterator[tuple[Path, Timeline | AudioNetError]]:
    """Yield each recording with its timeline, whose files are written, or with the reason why there is none."""
    if settings.speakers is not None:
        classifier.comparison_space()  # a classifier without one is refused at once, and not for each recording
    names: dict[str, Path] = {}
    if classifier.recipe and changes_time(classifier.recipe.sox_effects):
        log(
            f"The classifier's SoX effects ({classifier.recipe.sox_effects}) move sounds to other times: those of a "
            "timeline are not those of the recording. Train without such effects to have them so."
        )
    for clip, timeline in _timelines_of(classifier, clips, settings):
        try:
            if isinstance(timeline, AudioNetError):
                raise timeline
            _note_missing_speakers(timeline, settings.speakers)
            name = unique_name(clip, names)
            if settings.timeline_dir:
                _write_files(timeline, classifier, settings.timeline_dir / name, settings.formats)
            if settings.export_clips:
                export_clips(timeline, settings.export_clips, name=name, min_probability=settings.above)
        except AudioNetError as error:
            yield clip, error
        else:
            yield clip, timeline


def _timelines_of(
    classifier: Classifier, clips: Iterable[Path], settings: TimelineSettings
) -> Iterator[tuple[Path, Timeline | AudioNetError]]:
    """Yield each recording with its timeline: one after the other with all cores, or side by side on a cluster."""
    work = _TimelineWork(classifier, settings)
    if cluster.is_connected():
        yield from side_by_side(work.of_clip, clips, recipe=classifier.recipe, description="Timelines")
        return
    mismatches = MismatchWarnings(classifier.recipe)
    for clip in clips:
        try:
            mismatches.check(clip)
            yield clip, work.of_clip(clip)
        except AudioNetError as error:
            yield clip, error


@dataclass(frozen=True, eq=False)
class _TimelineWork:
    classifier: Classifier
    settings: TimelineSettings

    def of_clip(self, clip: Path) -> Timeline:
        if is_remote(clip):
            raise InputError(f"{printable(clip)}: a timeline takes a file on this machine; copy it here first.")
        return _timeline_of(self.classifier, clip, self.settings)


def _note_missing_speakers(timeline: Timeline, speakers: object) -> None:
    found = len({span.label for span in timeline.non_silent_spans})
    if isinstance(speakers, int) and found < speakers:
        log(f"{printable(timeline.path)}: {speakers} speakers were asked for, and the sound has turns of {found} only.")


def _timeline_of(classifier: Classifier, clip: Path, settings: TimelineSettings) -> Timeline:
    if not decoding.is_recording(clip):
        raise InputError(f"{printable(clip)} is no recording; a timeline takes recordings.")
    form = decoding.form_of(clip)
    with progress_bar(total=round(form[1]) if form else None, description=clip.name[:30], unit="s of sound") as bar:
        return classifier.timeline(
            clip,
            hop_seconds=settings.hop,
            min_seconds=settings.min_seconds,
            speakers=settings.speakers,
            on_seconds=lambda seconds: bar.update(round(seconds) - bar.n),
        )


def _write_files(timeline: Timeline, classifier: Classifier, stem: Path, formats: Iterable[str]) -> None:
    recipe = classifier.recipe_for(timeline.path)
    write_labels(timeline, stem, [name for name in formats if name != "picture"], recipe=recipe)
    if "picture" in formats and timeline.path != decoding.STDIN:  # which was read to its end
        write_overview(stem.with_name(f"{stem.name}.png"), timeline, recipe)


def export_clips(timeline: Timeline, folder: Path, *, name: str, min_probability: float) -> list[Path]:
    """Cut the labelled parts out of a recording: folder/label/name_from-to_probability.wav.

    Args:
        timeline: of a recording.
        folder: where to.
        name: of the recording, for file names.
        min_probability: of the label.

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
        for span in timeline.non_silent_spans
        if span.has_name and (span.probability or 0) >= min_probability
    ]
    if pieces:
        cut_out(timeline.path, pieces)
    return [piece.path for piece in pieces]
