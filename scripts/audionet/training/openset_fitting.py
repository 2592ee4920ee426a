"""Fit the open-set detector: where the labels lie, and the threshold below which a clip is unknown."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from audionet.models.openset import OpenSet, Space

FALSE_ACCEPT_RATE = 0.05

MOST_REFUSED = 0.1  # of known clips: where labels are alike, the stated rate of false accepts may cost too much to keep

# Fewer do not show how differently one voice comes out on another day: what is known in noise is then spared too, and
# three deviations are kept from the mean.
FEW_RECORDINGS = 16

SPARED_SHARE = 0.02  # of known clips that a threshold may reject when it moves up into the gap below the others

GAP_SHARE = 0.5  # how far up it moves: unknown clips of another day score higher, but known ones score lower

# Labels are left out a quarter at a time, each of which costs a head. Leaving out one at a time costs more and promises
# too much: 9.6 % of the chunks of unheard voices passed instead of the 5 % stated, against 6.7 % by quarters.
MOST_PARTS = 4

FEWEST_LABELS = 3  # of which one can be left out, and two remain to choose between

LARGEST_POOL = 64  # chunks; more hardly change a mean


@dataclass(frozen=True)
class Clips:
    """Chunks that a head has scored.

    Attributes:
        logits: shape (n, labels).
        recordings: int, shape (n,), which chunks belong together, in their order of time.
        numbers: int, shape (n,), the true labels; None for unknown clips.
        views: int, shape (n,), which augmented view of its recording each is a chunk of, 0 for the recording as it is;
            None if all are as they are.
    """

    logits: np.ndarray
    recordings: np.ndarray
    numbers: np.ndarray | None = None
    views: np.ndarray | None = None

    def by_recording(self) -> list[np.ndarray]:
        """Return the logits of each recording, and of each view of it."""
        views = np.zeros(len(self.logits), int) if self.views is None else self.views
        order = np.lexsort((views, self.recordings))  # stable, so that chunks stay in order
        keys = np.stack([self.recordings, views])[:, order]
        starts = np.flatnonzero(np.any(np.diff(keys, axis=1), axis=0)) + 1
        return np.split(self.logits[order], starts) if len(order) else []

    def pooled(self, chunks: int) -> np.ndarray:
        """Return the mean logits of every `chunks` chunks in a row, shape (m, labels); a shorter rest is left out."""
        wholes = [rows[: len(rows) // chunks * chunks] for rows in self.by_recording()]
        means = [rows.reshape(-1, chunks, rows.shape[1]).mean(axis=1, dtype=np.float64) for rows in wholes]
        return np.concatenate(means) if means else np.empty((0, self.logits.shape[1]))

    def as_they_are(self) -> "Clips":
        """Leave the views out."""
        return self if self.views is None else self.take(self.views == 0)

    def take(self, rows: np.ndarray) -> "Clips":
        """Return some of the chunks."""
        numbers, views = (None if values is None else values[rows] for values in (self.numbers, self.views))
        return Clips(self.logits[rows], self.recordings[rows], numbers, views)


def fit_open_set(
    known: Clips,
    *,
    impostors: Clips | None = None,
    logits_without: Callable[[np.ndarray], np.ndarray] | None = None,
    false_accept_rate: float = FALSE_ACCEPT_RATE,
) -> OpenSet | None:
    """Fit a threshold at a stated rate of false accepts.

    Args:
        known: chunks of every label, scored by a head that was not trained on their recordings; and of their augmented
            views, if noisy clips are to be accepted too.
        impostors: chunks of none of the labels, scored by such a head; the best there is, if there are any.
        logits_without: given some label numbers, trains a head on all others and returns its logits for the chunks of
            `known` that have these labels, in their order: shape (chunks, labels - left out). Called a few times, if
            there are no impostors.
        false_accept_rate: the share of unknown recordings that may be accepted.

    Returns:
        OpenSet, or None where some label has no chunk among the known ones.
    """
    label_count = known.logits.shape[1]
    if known.numbers is None or len(np.unique(known.numbers)) < label_count or label_count < 2:
        return None
    space = Space.fit(known.logits, known.numbers)
    unknown: list[tuple[Space, Clips]]
    if impostors is not None and len(impostors.logits):
        fitted_on, unknown = "impostors", [(space, impostors)]
    elif logits_without is not None and label_count >= FEWEST_LABELS:
        fitted_on, unknown = (
            "left-out labels",
            list(_left_out(known, known.numbers, logits_without)),
        )
    else:
        fitted_on, unknown = "known recordings alone", []
    counts = _chunk_counts([known, *(clips for _, clips in unknown)])
    may_relent = fitted_on != "impostors"
    thresholds = np.array(
        [_threshold_for(chunks, space, known, unknown, false_accept_rate, may_relent=may_relent) for chunks in counts]
    )
    draft = OpenSet(
        space=space,
        chunk_counts=counts,
        thresholds=thresholds,
        stated_rate=false_accept_rate,
        fitted_on=fitted_on,
        unknown_recordings=sum(len(np.unique(clips.recordings)) for _, clips in unknown),
        chunk_false_accept_rate=None,
        chunk_false_reject_rate=0.0,
        false_accept_rate=None,
        false_reject_rate=0.0,
    )
    return _measured(draft, known, unknown)


def _left_out(
    known: Clips, numbers: np.ndarray, logits_without: Callable[[np.ndarray], np.ndarray]
) -> Iterator[tuple[Space, Clips]]:
    """Yield the labels, a few at a time, as clips that are unknown in the space of the others."""
    label_count = known.logits.shape[1]
    # Neighbours by name, such as two sessions of a voice, are left out together no more often than by chance.
    order = np.random.default_rng(0).permutation(label_count)
    for left_out in np.array_split(order, min(MOST_PARTS, label_count)):
        kept = np.setdiff1d(np.arange(label_count), left_out)
        is_unknown = np.isin(numbers, left_out)
        space = Space.fit(known.logits[~is_unknown][:, kept], np.searchsorted(kept, numbers[~is_unknown]))
        strangers = dataclasses.replace(
            known.take(is_unknown), logits=np.asarray(logits_without(left_out)), numbers=None
        )
        yield space, strangers


def _chunk_counts(clips: Sequence[Clips]) -> np.ndarray:
    """Return 1, 2, 4 and so on, as far as every kind of clip has recordings of that length."""
    longest = min(max(map(len, kind.by_recording())) for kind in clips)
    return 2 ** np.arange(int(np.log2(min(longest, LARGEST_POOL))) + 1)


def _threshold_for(
    chunks: int,
    space: Space,
    known: Clips,
    unknown: Sequence[tuple[Space, Clips]],
    false_accept_rate: float,
    *,
    may_relent: bool,
) -> float:
    """Return the threshold that so many unknown clips pass; where known ones lie far above it, some way up to them.

    Labels left out are no real strangers: where keeping the rate for them would refuse too many known clips, the
    threshold may relent, and `OpenSet` says how many it lets pass.

    Next time's unknown clips are others. With n to judge by, the quantile is therefore taken as if there were one more,
    which passes everything (conformal prediction: V. Vovk et al., 2005).
    """
    known_scores = space.score(known.pooled(chunks))
    clean_scores = space.score(known.as_they_are().pooled(chunks))
    are_few = len(np.unique(known.recordings)) < FEW_RECORDINGS
    spared = float(np.quantile(known_scores if are_few else clean_scores, SPARED_SHARE))
    unknown_scores = [part.score(clips.pooled(chunks)) for part, clips in unknown]
    if not unknown_scores:
        return float(np.quantile(known_scores, false_accept_rate))
    scores = np.sort(np.concatenate(unknown_scores))
    place = min(int(np.ceil((len(scores) + 1) * (1 - false_accept_rate))), len(scores)) - 1
    passed = float(np.nextafter(scores[place], np.inf))
    wanted = passed + GAP_SHARE * max(spared - passed, 0)
    if not may_relent:
        return wanted
    relented = min(wanted, max(float(np.quantile(clean_scores, MOST_REFUSED)), spared))
    return min(relented, float(clean_scores.mean() - 3 * clean_scores.std())) if are_few else relented


def _measured(draft: OpenSet, known: Clips, unknown: Sequence[tuple[Space, Clips]]) -> OpenSet:
    """Fill in how often the threshold was wrong about the clips that it was fitted on, their views left out."""
    known = known.as_they_are()
    unknown = [(space, clips.as_they_are()) for space, clips in unknown]

    def accepts(space: Space, clips: Sequence[np.ndarray]) -> list[bool]:
        part = dataclasses.replace(draft, space=space)
        return [part.accepts(logits) for logits in clips]

    known_by_chunk = draft.space.score(known.logits) >= draft.threshold(1)
    unknown_by_chunk = [space.score(clips.logits) >= draft.threshold(1) for space, clips in unknown]
    unknown_by_recording = [accepted for space, clips in unknown for accepted in accepts(space, clips.by_recording())]
    return dataclasses.replace(
        draft,
        chunk_false_reject_rate=float(1 - known_by_chunk.mean()),
        false_reject_rate=float(1 - np.mean(accepts(draft.space, known.by_recording()))),
        chunk_false_accept_rate=float(np.concatenate(unknown_by_chunk).mean()) if unknown else None,
        false_accept_rate=float(np.mean(unknown_by_recording)) if unknown else None,
    )
