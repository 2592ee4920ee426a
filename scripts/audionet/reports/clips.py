"""Clips and pictures for a report, read again from the recordings that were tested."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from audionet.audio import decoding
from audionet.console import progress_bar
from audionet.errors import PictureError, RecordingError
from audionet.evaluation.test_set import Source
from audionet.features.extraction import chunks_by_recipe, served_picture
from audionet.features.image_io import read_picture
from audionet.models.classifier import Classifier
from audionet.reports.elements import Clip
from audionet.reports.sections.recordings import worst_first

MOST_CLIPS = 40  # of a report, which holds their sound
MOST_LABELS = 16  # of which pictures are shown
PICTURES_A_LABEL = 4


def clips_of(rows: Sequence[Mapping[str, Any]], classifier: Classifier, sources: Sequence[Source]) -> tuple[Clip, ...]:
    """Return clips of the worst of `evaluation["recordings"]`, each the chunk that is surest of the answer."""
    by_name = {(source.recording, source.label): source for source in sources}
    shown = [row for row in worst_first(rows) if (row["recording"], row["label"]) in by_name][:MOST_CLIPS]
    with progress_bar(total=len(shown), description="Clips", unit="clips") as bar:
        clips = []
        for row in shown:
            source = by_name[row["recording"], row["label"]]
            clips.append(_clip(source, classifier, row["telling_seconds"] or 0.0))
            bar.update()
    return tuple(clips)


def pictures_of(classifier: Classifier, sources: Sequence[Source]) -> dict[str, list[np.ndarray]]:
    """Return pictures of the first chunks of some recordings, by label, each uint8, shape (height, width, 3)."""
    pictures: dict[str, list[np.ndarray]] = {label: [] for label in classifier.labels[:MOST_LABELS]}
    for source in sources:
        if len(of_label := pictures.get(source.label, [])) < PICTURES_A_LABEL:
            first = source.offsets_seconds[0] if source.offsets_seconds else 0.0
            picture = _clip(source, classifier, first).picture
            of_label += [] if picture is None else [picture]
    return {label: some for label, some in pictures.items() if some}


def _clip(source: Source, classifier: Classifier, offset_seconds: float) -> Clip:
    """Return the chunk of a recording at an offset, without what cannot be read any more."""
    recipe = classifier.recipe
    picture = samples = None
    try:
        if recipe is None or not decoding.is_recording(source.paths[0]):
            nearest = np.argmin(np.abs(np.array(source.offsets_seconds) - offset_seconds))
            path = source.paths[int(nearest)]
            picture = read_picture(path)
            if looking := [one for one in classifier.inputs if not one.is_sound]:
                picture = looking[0].of_picture(picture)
            wav = path.with_suffix(".wav")
            samples = decoding.read_wav(wav) if recipe and wav.is_file() else None
        else:
            chunks = chunks_by_recipe(source.paths[0], recipe)
            chunk = next(chunk for chunk in chunks if chunk.offset_seconds >= offset_seconds - recipe.chunk_seconds / 2)
            picture, samples = served_picture(chunk.samples, recipe), chunk.sound
    except (RecordingError, PictureError, StopIteration):
        picture = samples = None
    return Clip(
        recording=source.recording,
        label=source.label,
        offset_seconds=offset_seconds,
        picture=picture,
        samples=samples,
        sample_rate_hz=recipe.sample_rate_hz if recipe else 0,
    )
