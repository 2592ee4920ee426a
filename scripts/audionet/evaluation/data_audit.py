"""What to know about recordings before believing a score: how they sound, and which of them hold the same sound.

The test for a channel shortcut is a small classifier by bandwidth, noise floor and level alone: where it does well, so
would one that learned microphones instead of labels.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from audionet.audio.fingerprints import SharedSound, fingerprint_of, shared_within
from audionet.audio.measurements import ChunkStats, covered_seconds
from audionet.audio.source_band import band_sentences
from audionet.files import printable
from audionet.wording import counted, listed

Item = TypeVar("Item")

MEASURES = ("level_dbfs", "peak_dbfs", "noise_floor_dbfs", "bandwidth_hz", "clipped_share", "silent_share")

IMBALANCE = 3  # times the sound of another label
FEWEST_RECORDINGS = 3  # one for each split
CLIPPED_SHARE = 0.001  # audible in speech from about here
SILENT_SHARE = 0.5
DECIBELS_APART = 10
BANDWIDTH_SHARE = 0.75  # of the usual

SHORTCUT_MEASURES = ("bandwidth_hz", "noise_floor_dbfs", "level_dbfs")
SHORTCUT_CHUNKS = 20  # of each recording, spread over it
SHORTCUT_RECORDINGS = 400  # more take long and tell no more
SHORTCUT_LABELS = 40
SHORTCUT_FOLDS = 5
SHORTCUT_MARGIN = 0.2  # of the way from guessing to always right
UNLIKELY = 0.001

NAMED_AT_MOST = 5


@dataclass(frozen=True)
class SoundSummary:
    """How a recording or a label sounds."""

    name: str  # the recording or the label
    label: str  # the label it belongs to; the same as `name` for a label
    recordings: int  # how many; 1 for a recording
    minutes: float  # of sound
    level_dbfs: float  # power of what is not silent; the median over the label's recordings
    peak_dbfs: float  # the highest
    noise_floor_dbfs: float  # power of the quietest tenth; the median
    bandwidth_hz: float  # the highest frequency with sound; the median
    clipped_share: float  # of the samples
    silent_share: float  # of the time


@dataclass(frozen=True)
class ChannelShortcut:
    """How well bandwidth, noise floor and level alone name the label of a recording."""

    right: int  # recordings named right, each by a classifier that never saw it
    recordings: int  # how many were tried
    chance: float  # the share that always answering the commonest label gets right

    @property
    def accuracy(self) -> float:
        """The share of recordings named right."""
        return self.right / self.recordings

    @property
    def is_above_chance(self) -> bool:
        """Whether that is well above chance: hardly by luck, and by a margin that matters."""
        from scipy.special import bdtrc  # the binomial tail alone: all of scipy.stats takes a second

        by_luck = bdtrc(self.right - 1, self.recordings, self.chance)
        return bool(by_luck < UNLIKELY and self._is_by_a_margin)

    @property
    def _is_by_a_margin(self) -> bool:
        return self.accuracy >= self.chance + SHORTCUT_MARGIN * (1 - self.chance)

    def sentence(self) -> str:
        """Return what that means, in words."""
        score = f"{self.right} of {self.recordings} recordings ({self.accuracy:.0%}; guessing gets {self.chance:.0%})"
        if self.is_above_chance:
            return (
                f"The recording channel alone gives labels away: a tiny classifier that knows nothing but bandwidth, "
                f"noise floor and level names {score}. A good score may be the microphone's, not the label's. Test on "
                "recordings made elsewhere, or record every label through the same channel."
            )
        if self._is_by_a_margin:
            return (
                f"Whether the recording channel alone gives labels away cannot be told: bandwidth, noise floor and "
                f"level name {score}, which may be luck with so few."
            )
        return f"The recording channel alone does not give labels away: bandwidth, noise floor and level name {score}."


@dataclass(frozen=True)
class DataAudit:
    """How a folder of recordings sounds."""

    labels: tuple[SoundSummary, ...]  # sorted by name
    recordings: tuple[SoundSummary, ...]  # sorted by name
    shared: tuple[SharedSound, ...]  # recordings that hold the same sound
    channel_shortcut: ChannelShortcut | None  # None where it cannot be computed
    warnings: tuple[str, ...]  # sentences about what is wrong; each names the worst
    facts: tuple[str, ...]  # sentences about the rest

    def to_json(self) -> dict[str, Any]:
        """Return the audit as a JSON object."""
        return {"giveaway" if name == "channel_shortcut" else name: value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "DataAudit":
        """Rebuild an audit from `to_json`."""
        return cls(
            labels=tuple(SoundSummary(**sounds) for sounds in value["labels"]),
            recordings=tuple(SoundSummary(**sounds) for sounds in value["recordings"]),
            shared=tuple(SharedSound(**shared) for shared in value["shared"]),
            channel_shortcut=ChannelShortcut(**value["giveaway"]) if value["giveaway"] else None,
            warnings=tuple(value["warnings"]),
            facts=tuple(value["facts"]),
        )


def audit_data(
    chunk_stats: Mapping[str, Sequence[ChunkStats]], labels: Mapping[str, str], *, for_training: bool = True
) -> DataAudit:
    """Describe recordings and say what is wrong with them.

    Args:
        chunk_stats: by recording, the statistics of its chunks, at least one each.
        labels: by recording.
        for_training: whether they are to be trained on, for which there may be too few of them.
    """
    recordings = tuple(_sounds_of_recording(name, labels[name], chunk_stats[name]) for name in sorted(chunk_stats))
    by_label: dict[str, list[SoundSummary]] = defaultdict(list)
    for recording in recordings:
        by_label[recording.label].append(recording)
    summaries = tuple(_sounds_of_label(label, by_label[label]) for label in sorted(by_label))
    shared = shared_within({name: fingerprint_of(chunk_stats[name]) for name in sorted(chunk_stats)})
    shortcut = find_channel_shortcut(chunk_stats, labels)
    warnings = [
        *_about_amounts(summaries),
        *(_about_too_few(summaries) if for_training else []),
        *_about_sound(recordings),
        *_about_differences(summaries),
        *band_sentences({name: of_one[0]["source"] for name, of_one in chunk_stats.items() if "source" in of_one[0]}),
        *_about_shared(shared, labels),
    ]
    facts = [_size(summaries)]
    if shortcut is None:
        facts.append(
            "Whether the recording channel gives labels away cannot be told: that takes two labels with two recordings."
        )
    else:
        (warnings if shortcut.is_above_chance else facts).append(shortcut.sentence())
    if not shared:
        facts.append("No two recordings hold the same sound.")
    return DataAudit(summaries, recordings, shared, shortcut, tuple(warnings), tuple(facts))


def _sounds_of_recording(name: str, label: str, chunk_stats: Sequence[ChunkStats]) -> SoundSummary:
    measures = {key: np.array([chunk["measures"][key] for chunk in chunk_stats]) for key in ("seconds", *MEASURES)}
    seconds = measures["seconds"]
    return SoundSummary(
        name=name,
        label=label,
        recordings=1,
        minutes=covered_seconds(chunk_stats) / 60,
        level_dbfs=_mean_level(measures["level_dbfs"], seconds),
        peak_dbfs=float(measures["peak_dbfs"].max()),
        noise_floor_dbfs=float(np.median(measures["noise_floor_dbfs"])),
        bandwidth_hz=float(np.median(measures["bandwidth_hz"])),
        clipped_share=float(np.average(measures["clipped_share"], weights=seconds)),
        silent_share=float(np.average(measures["silent_share"], weights=seconds)),
    )


def _sounds_of_label(label: str, recordings: Sequence[SoundSummary]) -> SoundSummary:
    minutes = [recording.minutes for recording in recordings]
    return SoundSummary(
        name=label,
        label=label,
        recordings=len(recordings),
        minutes=sum(minutes),
        level_dbfs=float(np.median([recording.level_dbfs for recording in recordings])),
        peak_dbfs=max(recording.peak_dbfs for recording in recordings),
        noise_floor_dbfs=float(np.median([recording.noise_floor_dbfs for recording in recordings])),
        bandwidth_hz=float(np.median([recording.bandwidth_hz for recording in recordings])),
        clipped_share=float(np.average([recording.clipped_share for recording in recordings], weights=minutes)),
        silent_share=float(np.average([recording.silent_share for recording in recordings], weights=minutes)),
    )


def _mean_level(levels: np.ndarray, seconds: np.ndarray) -> float:
    return float(10 * np.log10(np.average(10 ** (levels / 10), weights=seconds)))


def _size(labels: Sequence[SoundSummary]) -> str:
    recordings, minutes = sum(label.recordings for label in labels), sum(label.minutes for label in labels)
    return f"{counted(len(labels), 'label')}, {counted(recordings, 'recording')}, {minutes:.1f} minutes of sound."


def _about_amounts(labels: Sequence[SoundSummary]) -> list[str]:
    if not labels:
        return []
    most, least = (choose(labels, key=lambda label: label.minutes) for choose in (max, min))
    if most.minutes < IMBALANCE * least.minutes:
        return []
    return [
        f"Labels are unbalanced: {printable(most.name)} has {most.minutes:.1f} minutes, {printable(least.name)} "
        f"{least.minutes:.1f}. Scores that weigh labels alike, such as balanced accuracy, tell more."
    ]


def _about_too_few(labels: Sequence[SoundSummary]) -> list[str]:
    few = [label.name for label in labels if label.recordings < FEWEST_RECORDINGS]
    if not few:
        return []
    return [
        f"{counted(len(few), 'label')} with fewer than {FEWEST_RECORDINGS} recordings, too few to train, to choose "
        f"and to test on: {_named(few)}."
    ]


def _about_sound(recordings: Sequence[SoundSummary]) -> list[str]:
    sentences = []
    clipped = _worst(recordings, "clipped_share", above=CLIPPED_SHARE)
    if clipped:
        sentences.append(
            f"{counted(len(clipped), 'recording')} clipped: "
            f"{_named([f'{r.name} ({r.clipped_share:.1%} of samples)' for r in clipped])}. Record at a lower level."
        )
    silent = _worst(recordings, "silent_share", above=SILENT_SHARE)
    if silent:
        sentences.append(
            f"{counted(len(silent), 'recording')} mostly silent: "
            f"{_named([f'{r.name} ({r.silent_share:.0%} of the time)' for r in silent])}. Trim them, for example with "
            '--sox_effects "silence 1 0.1 1% -1 0.1 1%".'
        )
    return sentences


def _worst(recordings: Sequence[SoundSummary], measure: str, *, above: float) -> list[SoundSummary]:
    found = [recording for recording in recordings if getattr(recording, measure) > above]
    return sorted(found, key=lambda recording: -getattr(recording, measure))


def _about_differences(labels: Sequence[SoundSummary]) -> list[str]:
    if len(labels) < 2:
        return []
    sentences = []
    usual_hz = float(np.median([label.bandwidth_hz for label in labels]))
    narrow = [label for label in labels if label.bandwidth_hz < BANDWIDTH_SHARE * usual_hz]
    if narrow:
        sentences.append(
            f"Nothing is heard above {_named([f'{n.bandwidth_hz / 1000:.1f} kHz in {n.name}' for n in narrow])}, while "
            f"the usual label reaches {usual_hz / 1000:.1f} kHz: a telephone, a coarse codec, or no "
            "treble in the sound?"
        )
    for measure, what in (("level_dbfs", "level"), ("noise_floor_dbfs", "noise floor")):
        values = np.array([getattr(label, measure) for label in labels])
        usual = float(np.median(values))
        odd = [labels[row] for row in np.argsort(-np.abs(values - usual)) if abs(values[row] - usual) > DECIBELS_APART]
        if odd:
            sentences.append(
                f"The {what} differs: {_named([f'{o.name} ({getattr(o, measure):.0f} dBFS)' for o in odd])}, while the "
                f"usual label has {usual:.0f} dBFS."
            )
    return sentences


def _about_shared(shared: Sequence[SharedSound], labels: Mapping[str, str]) -> list[str]:
    groups = {
        "The same sound is under two labels": [s for s in shared if labels[s.first] != labels[s.second]],
        "The same sound is there twice": [s for s in shared if labels[s.first] == labels[s.second]],
    }
    return [
        f"{what}: " + " ".join([*(each.sentence() for each in found[:NAMED_AT_MOST]), *and_more(found)])
        for what, found in groups.items()
        if found
    ]


def find_channel_shortcut(
    chunk_stats: Mapping[str, Sequence[ChunkStats]], labels: Mapping[str, str]
) -> ChannelShortcut | None:
    """Try to name the labels of recordings by bandwidth, noise floor and level alone.

    A logistic regression on these three measures of each chunk and their products, cross-validated so that all chunks
    of a recording are in one fold; a recording's chunks vote. Of many labels or recordings only some are tried.

    Returns:
        None where fewer than two labels have two recordings.
    """
    chosen = _chosen_recordings(chunk_stats, labels)
    if not chosen:
        return None
    from sklearn.linear_model import LogisticRegression  # a second, for this alone
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    by_recording = [spread(chunk_stats[name], SHORTCUT_CHUNKS) for name in chosen]
    features = np.array(
        [[chunk["measures"][measure] for measure in SHORTCUT_MEASURES] for of_one in by_recording for chunk in of_one]
    )
    groups = np.repeat(np.arange(len(chosen)), [len(of_one) for of_one in by_recording])
    names, recording_label_ids = np.unique([labels[name] for name in chosen], return_inverse=True)
    label_ids = recording_label_ids[groups]
    folds = min(SHORTCUT_FOLDS, int(np.bincount(recording_label_ids).min()))
    votes = np.zeros((len(chosen), len(names)))
    for training, testing in StratifiedGroupKFold(folds, shuffle=True, random_state=0).split(
        features, label_ids, groups
    ):
        model = make_pipeline(
            StandardScaler(), PolynomialFeatures(2), StandardScaler(), LogisticRegression(max_iter=2000, tol=1e-3)
        ).fit(features[training], label_ids[training])
        known = model[-1].classes_
        np.add.at(votes, (groups[testing][:, None], known[None]), np.log(model.predict_proba(features[testing]) + 1e-9))
        votes[np.ix_(np.unique(groups[testing]), np.setdiff1d(np.arange(len(names)), known))] = -np.inf
    right = int((votes.argmax(axis=1) == recording_label_ids).sum())
    return ChannelShortcut(right, len(chosen), float(np.bincount(recording_label_ids).max() / len(chosen)))


def _chosen_recordings(chunk_stats: Mapping[str, Sequence[ChunkStats]], labels: Mapping[str, str]) -> list[str]:
    of_label: dict[str, list[str]] = defaultdict(list)
    for name in sorted(chunk_stats):
        of_label[labels[name]].append(name)
    able = [label for label in sorted(of_label) if len(of_label[label]) >= 2]
    if len(able) < 2:
        return []
    able = spread(able, SHORTCUT_LABELS)
    return [name for label in able for name in spread(of_label[label], max(2, SHORTCUT_RECORDINGS // len(able)))]


def spread(values: Sequence[Item], most: int) -> list[Item]:
    """Return at most `most` of the values, evenly spread."""
    if len(values) <= most:
        return list(values)
    return [values[int(position)] for position in np.linspace(0, len(values) - 1, most)]


def _named(names: Sequence[str]) -> str:
    return listed(list(map(printable, names)), NAMED_AT_MOST)


def and_more(found: Sequence[object]) -> list[str]:
    """Return how many of what was found are not named, or nothing where all are."""
    return [f"… and {len(found) - NAMED_AT_MOST} more."] if len(found) > NAMED_AT_MOST else []
