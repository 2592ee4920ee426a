"""Which parts of a picture speak for the answer: hide each in turn, and see what the answer loses.

A square is moved over the picture in steps of half its side. Hidden is what it covers: black in a spectrogram, which
means silence there, and the mean colour in an ordinary picture. What a point speaks for the label is the mean, over the
squares that cover it, of what the label's log-odds lose. It needs pictures and answers and nothing from inside, so that
it works for every network and head.

Source: M. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audionet.audio import decoding
from audionet.errors import InputError
from audionet.features.extraction import chunks_by_recipe, served_picture
from audionet.features.frequency_axis import axis_title, frequency_range, frequency_ticks
from audionet.features.image_io import read_picture
from audionet.features.recipes import Recipe
from audionet.files import printable, whole_file
from audionet.inference.timelines.timeline_plot import figure_of
from audionet.models.bottleneck_cache import BATCH_SIZE
from audionet.models.classifier import Classifier
from audionet.models.pooling import log_softmax
from audionet.reports.figures import shorten
from audionet.wording import clock

SQUARES = 8  # that fit side by side
STEPS_A_SQUARE = 2
TELLING_SHARE = 0.1  # of the picture: the most telling part that a sentence names
DOTS_AN_INCH = 128


@dataclass(frozen=True)
class Explanation:
    """What speaks for an answer.

    Attributes:
        label: that is explained.
        probability: of the label, nothing hidden.
        picture: uint8, shape (height, width, 3).
        evidence: float32, shape (height, width): what the label's log-odds lose where a point is hidden.
        offset_seconds: of the chunk that the picture shows; None for a picture that is not known to be one.
        recipe: of the picture, or None for an ordinary one.
    """

    label: str
    probability: float
    picture: np.ndarray
    evidence: np.ndarray
    offset_seconds: float | None
    recipe: Recipe | None

    def sentence(self) -> str:
        """Return where the most telling part is: in seconds and frequencies where that is known."""
        least = np.quantile(self.evidence, 1 - TELLING_SHARE)
        rows, columns = np.nonzero(self.evidence >= max(least, np.finfo(np.float32).tiny))
        if not len(rows):
            return f"{printable(self.label)} ({self.probability:.1%}): nothing hidden alone changes the answer."
        height, width = self.evidence.shape
        (left, right), (top, bottom) = (np.quantile(places, (0.1, 0.9)) for places in (columns, rows))
        if self.recipe is None or self.offset_seconds is None:
            where = f"from {left / width:.0%} to {right / width:.0%} of the width, {top / height:.0%} to "
            where += f"{bottom / height:.0%} of the height"
        else:
            seconds = self.offset_seconds + np.array([left, right]) / width * self.recipe.chunk_seconds
            frequencies = frequency_range(1 - bottom / height, 1 - top / height, self.recipe)
            where = f"{seconds[0]:.1f} to {seconds[1]:.1f} s, {frequencies}"
        return f"{printable(self.label)} ({self.probability:.1%}): most telling is {where}."


def explain(classifier: Classifier, path: Path) -> Explanation:
    """Explain the answer for a clip; for a recording, by its chunk that speaks clearest for the answer.

    Raises:
        AudioNetError: the clip cannot be scored.
    """
    answer = classifier.score(path)
    number = answer.labels.index(answer.nearest_label)
    if not decoding.is_recording(path):
        picture, offset, samples = read_picture(path), 0.0 if classifier.recipe else None, None
    else:
        recipe = classifier.recipe_for(path)
        offset = float(answer.chunk_offsets_seconds[answer.chunk_probabilities[:, number].argmax()])
        samples = _samples_at(path, offset, recipe)
        picture = served_picture(samples, recipe)
    evidence, probability = evidence_of(classifier, picture, number, samples=samples)
    return Explanation(answer.nearest_label, probability, picture, evidence, offset, classifier.recipe)


def evidence_of(
    classifier: Classifier, picture: np.ndarray, number: int, *, samples: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Return what each point of a picture speaks for a label, float32, (height, width), and the label's probability.

    Of several members, the one that looks at such pictures is shown what is left; the others are given the chunk that
    it is a picture of, float32 `samples` of shape (chunk_samples,), as it is. Without samples it answers alone.

    Raises:
        InputError: no member looks at pictures.
    """
    answers = _PictureAnswers(classifier, samples)
    whole = float(answers.log_odds([picture], number)[0])
    lost = np.zeros(picture.shape[:2])
    covered = np.zeros(picture.shape[:2])
    squares = list(_squares(*picture.shape[:2]))
    fill = 0 if classifier.recipe else picture.mean(axis=(0, 1)).astype(np.uint8)
    for start in range(0, len(squares), BATCH_SIZE):
        some = squares[start : start + BATCH_SIZE]
        hidden = np.repeat(picture[None], len(some), axis=0)
        for one, square in zip(hidden, some, strict=True):
            one[square] = fill
        for square, left in zip(some, answers.log_odds(list(hidden), number), strict=True):
            lost[square] += whole - left
            covered[square] += 1
    return (lost / covered).astype(np.float32), float(1 / (1 + np.exp(-whole)))


def write_explanation(path: Path, explanation: Explanation, *, name: str) -> None:
    """Write the picture with what speaks for the answer drawn over it, as png, whole or not at all.

    Args:
        path: where to.
        explanation: of a clip.
        name: of the clip, for the title.
    """
    recipe, height, width = explanation.recipe, *explanation.evidence.shape
    with figure_of(width_inches=9.0, height_inches=4.2) as figure:
        plain, over = figure.subplots(1, 2, sharey=True)
        most = max(float(np.abs(explanation.evidence).max()), 1e-6)
        gray = explanation.picture.mean(axis=2)
        plain.imshow(explanation.picture if recipe is None else gray, cmap="gray_r", aspect="auto")
        over.imshow(gray, cmap="gray_r", aspect="auto", alpha=0.6)
        shown = over.imshow(explanation.evidence, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto", alpha=0.55)
        over.contour(explanation.evidence, levels=[most / 2], colors="black", linewidths=1)
        bar = figure.colorbar(shown, ax=over, fraction=0.06)
        bar.set_label(f"speaks for {shorten(explanation.label, 16)} (log-odds lost)")
        for panel in (plain, over):
            _name_axes(panel, explanation, height, width)
        plain.set_ylabel(axis_title(recipe) if recipe else "")
        figure.suptitle(f"{shorten(name, 40)}: {shorten(explanation.label)}, {explanation.probability:.1%}", size=11)
        with whole_file(path) as scratch:
            figure.savefig(scratch, dpi=DOTS_AN_INCH, facecolor="white")


def _name_axes(panel: Any, explanation: Explanation, height: int, width: int) -> None:
    recipe, offset = explanation.recipe, explanation.offset_seconds
    if recipe is None or offset is None:
        panel.set(xticks=[], yticks=[])
        return
    shares = np.linspace(0, 1, 5)
    names = [clock(offset + share * recipe.chunk_seconds, tenths=True) for share in shares]
    panel.set_xticks(shares * (width - 1), names)
    ticks = frequency_ticks(recipe)
    panel.set_yticks([(1 - place) * (height - 1) for place, _ in ticks], [name for _, name in ticks])


def _squares(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    tall, wide = max(1, height // SQUARES), max(1, width // SQUARES)
    for top in _starts(height, tall):
        for left in _starts(width, wide):
            yield slice(top, top + tall), slice(left, left + wide)


def _starts(length: int, size: int) -> list[int]:
    step = max(1, size // STEPS_A_SQUARE)
    return sorted({*range(0, length - size, step), length - size})


class _PictureAnswers:
    """What a classifier answers when one of its members is shown other pictures, and the others are given the same."""

    def __init__(self, classifier: Classifier, samples: np.ndarray | None):
        if samples is None or len(classifier.members) == 1:
            classifier = classifier.for_pictures()
        self._classifier = classifier
        number = classifier.members.index(classifier.looking_member())
        self._member = classifier.members[number]
        start = sum(member.dimension for member in classifier.members[:number])
        self._columns = slice(start, start + self._member.dimension)
        self._chunk = None if samples is None else classifier.bottlenecks_of([classifier.inputs_of(samples)])

    def log_odds(self, pictures: list[np.ndarray], number: int) -> np.ndarray:
        """Return the logarithm of the odds of a label, by number, for each picture."""
        bottlenecks = self._member.bottlenecks([self._member.input.of_picture(picture) for picture in pictures])
        if self._chunk is not None:
            of_pictures, bottlenecks = bottlenecks, np.repeat(self._chunk, len(pictures), axis=0)
            bottlenecks[:, self._columns] = of_pictures
        log_probabilities = log_softmax(self._classifier.logits_of_bottlenecks(bottlenecks).astype(np.float64))
        others: np.ndarray = np.exp(np.delete(log_probabilities, number, axis=1)).sum(axis=1)
        log_odds: np.ndarray = log_probabilities[:, number] - np.log(others + np.finfo(float).tiny)
        return log_odds


def _samples_at(path: Path, offset_seconds: float, recipe: Recipe) -> np.ndarray:
    if path == decoding.STDIN:
        raise InputError("-: what came by stdin is gone when it is to be explained; name a file.")
    return next(
        chunk.samples for chunk in chunks_by_recipe(path, recipe) if np.isclose(chunk.offset_seconds, offset_seconds)
    )
