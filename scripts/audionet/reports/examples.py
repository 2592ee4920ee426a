"""An evaluation of a test folder becomes a report, the worst mistakes with their picture and their sound."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audionet.audio import decoding
from audionet.errors import ClassifierError, PictureError, RecordingError
from audionet.evaluation.test_set import Source
from audionet.features.extraction import chunks_by_recipe, served_picture
from audionet.features.image_io import fit_pictures, read_picture
from audionet.models.classifier import Classifier
from audionet.models.classifier_folder import read_metrics
from audionet.reports.elements import ExampleClip, Mistake
from audionet.reports.report import Report, write_report
from audionet.reports.sections.clips import pick_mistakes
from audionet.reports.sections.model_card import card_of

MOST_EXAMPLES = 2  # labels of which a clip is shown


def report_test(
    path: Path, evaluation: Mapping[str, Any], classifier: Classifier, sources: Sequence[Source], *, model: Path
) -> None:
    """Write the report of what `evaluate_folder` returned; the metrics in the folder `model` tell of the training."""
    report = Report(
        title=model.resolve().name,
        subtitle=f"Tested on {evaluation['data']['recordings']} recordings of known labels and "
        f"{evaluation['data']['unknown_recordings']} of unknown ones.",
        evaluation=evaluation,
        training=_metrics_of(model),
        mistakes=mistakes_of(evaluation["recordings"], classifier, sources),
        example_clips=example_clips_of(classifier, sources),
        card=card_of(classifier.about, classifier.labels),
    )
    write_report(path, report)


def mistakes_of(
    rows: Sequence[Mapping[str, Any]], classifier: Classifier, sources: Sequence[Source]
) -> tuple[Mistake, ...]:
    """Return the worst mistakes among `evaluation["recordings"]`, each with the chunk that misled most."""
    by_name = {(source.recording, source.label): source for source in sources}
    return tuple(
        _mistake(row, by_name[row["recording"], row["label"]], classifier)
        for row in pick_mistakes(rows)
        if (row["recording"], row["label"]) in by_name
    )


def example_clips_of(classifier: Classifier, sources: Sequence[Source]) -> tuple[ExampleClip, ...]:
    """Return the first chunk of one recording of each of the first labels, drawn; none of ordinary pictures."""
    first_of = {source.label: source for source in reversed(sources)}
    clips = []
    for label in [label for label in classifier.labels if label in first_of][:MOST_EXAMPLES]:
        source = first_of[label]
        picture, samples = _picture_and_sound(
            source, classifier, source.offsets_seconds[0] if source.offsets_seconds else 0
        )
        if classifier.recipe and picture is not None and samples is not None:
            clips.append(ExampleClip(source.recording, label, picture, samples, classifier.recipe.sample_rate_hz))
    return tuple(clips)


def _mistake(row: Mapping[str, Any], source: Source, classifier: Classifier) -> Mistake:
    offset = row["telling_seconds"] or 0.0
    picture, samples = _picture_and_sound(source, classifier, offset)
    return Mistake(
        recording=row["recording"],
        label=row["label"],
        answer=row["answer"],
        probability=row["probability"],
        offset_seconds=offset,
        picture=picture,
        samples=samples,
        sample_rate_hz=classifier.recipe.sample_rate_hz if classifier.recipe else 0,
    )


def _picture_and_sound(
    source: Source, classifier: Classifier, offset: float
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the picture and the sound of a chunk, or None for what cannot be read any more."""
    recipe = classifier.recipe
    try:
        if recipe is None or not decoding.is_recording(source.paths[0]):
            nearest = np.argmin(np.abs(np.array(source.offsets_seconds) - offset))
            path = source.paths[int(nearest)]
            backbone = classifier.about["backbone"]
            (picture,) = fit_pictures([read_picture(path)], height=backbone["height"], width=backbone["width"])
            wav = path.with_suffix(".wav")
            return picture, decoding.read_wav(wav) if recipe and wav.is_file() else None
        chunks = chunks_by_recipe(source.paths[0], recipe)
        chunk = next(chunk for chunk in chunks if chunk.offset_seconds >= offset - recipe.chunk_seconds / 2)
    except (RecordingError, PictureError, StopIteration):
        return None, None
    return served_picture(chunk.samples, recipe), chunk.sound


def _metrics_of(model: Path) -> dict[str, Any] | None:
    try:
        return read_metrics(model) or None
    except ClassifierError:
        return None
