"""Label suspects: recordings whose label is likely wrong, by heads that were not trained on them.

Each recording is scored by heads of discriminant analysis that were trained without its group. Those that another label
fits better are left out of training, and all are scored once more: what is labelled wrongly spoils the label that it is
in. Probabilities are taken relative to what is usual for their label, so that a label that is hard to tell, whose
recordings all have low ones, does not make all of them suspect.

Source: C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70
(2021): thresholds by label, pruning, training again. The package cleanlab, which is by the authors, would bring pandas
along for these few lines.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from audionet.audio.decoding import read_wav
from audionet.audio.fingerprints import Fingerprint, fingerprint_of, shared_across
from audionet.console import progress_bar
from audionet.data.dataset import Dataset, Example, levels_of
from audionet.data.splits import SPLITS
from audionet.data.verdicts import Verdict
from audionet.evaluation.metrics import LEAST_PROBABILITY, rows_by_group
from audionet.features.image_io import read_picture
from audionet.models.backbones.settings import BackboneSettings
from audionet.models.pooling import log_softmax, loudness_weights, pool
from audionet.reports.elements import Clip
from audionet.training.fitting.calibration import best_temperature, spread
from audionet.training.head_fitting import HeadFitter
from audionet.training.holdout import HoldoutPlan
from audionet.training.leak_audit import folds_of_groups
from audionet.training.settings import HeadSettings, HoldoutSettings, TrainingSettings
from audionet.training.trainer import Trainer, check_settings
from audionet.training.training_data import Samples, TrainingData, read_pictures, wav_of

MOST_FOLDS = 10
ROUNDS = 2
SUSPICIOUS = 0.5  # score from which on another label fits better
SAME_SOUND = 0.75  # score, or more, of a recording whose sound is under another label too
UNLIKE_ALL = 0.5  # probability below which a recording is like none of the labels
COLUMNS = ("recording", "label", "suggested", "score", "why", "verdict")


@dataclass(frozen=True)
class Suspect:
    """A recording, and how likely its label is wrong."""

    recording: str
    label: str
    suggested: str  # the label that fits best among the others
    score: float  # 0 to 1; above `SUSPICIOUS` the suggested label fits better than its own
    why: str  # in a few words

    @property
    def is_likely(self) -> bool:
        """Whether the label is rather wrong than right."""
        return self.score > SUSPICIOUS


def find_suspects(
    data: TrainingData,
    *,
    fingerprints: Mapping[str, Fingerprint] | None = None,
    seed: int = 0,
) -> list[Suspect]:
    """Return all recordings of labels with two groups or more, the likeliest mistake first.

    Args:
        data: what to train on; splits and views do not count.
        fingerprints: by recording, of those that may be the same sound under two labels.
        seed: of the folds.
    """
    networks = [data.seen_by(number).select(*SPLITS, views=False) for number in range(1 + len(data.others))]
    names = [network.bottlenecks[0] for network in data.networks]
    judged = _judgeable(networks[0])
    networks = [samples.take(judged) for samples in networks]
    samples = networks[0]
    labels = [data.labels[label_id] for label_id in np.unique(samples.label_ids)]
    if len(labels) < 2:
        return []
    label_ids = np.unique(samples.label_ids, return_inverse=True)[1]
    folds = folds_of_groups(label_ids, samples.group_ids(), MOST_FOLDS, np.random.default_rng(seed))
    recordings = rows_by_group([example.recording for example in samples.pictures()])
    weights = _weights(samples, recordings)
    given = np.array([label_ids[rows[0]] for rows in recordings.values()])
    is_trusted = np.ones(len(samples), bool)
    with progress_bar(
        total=ROUNDS * len(np.unique(folds)) * len(networks),
        description="Judging",
        unit="heads",
    ) as bar:
        for _ in range(ROUNDS):
            of_each = [
                _out_of_fold(HeadFitter(name, "lda", HeadSettings(), seed), network, folds, is_trusted, bar)
                for network, name in zip(networks, names, strict=True)
            ]
            logits = np.sum([one / spread(one) for one in of_each], axis=0)
            log_probabilities = log_softmax(logits / best_temperature(logits, label_ids))
            pooled = np.array([pool(log_probabilities[rows], weights[rows]) for rows in recordings.values()])
            suggested, scores = confident_alternatives(pooled, given)
            is_trusted = _trusted(samples, label_ids, recordings, scores)
    same = _same_sound(samples, recordings, fingerprints or {})
    found = [
        Suspect(
            name,
            labels[given[row]],
            labels[suggested[row]],
            float(scores[row]),
            _why(pooled[row], scores[row]),
        )
        for row, name in enumerate(recordings)
    ]
    found = [_with_same_sound(one, same) for one in found]
    return sorted(found, key=lambda one: -one.score)


def confident_alternatives(probabilities: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each recording the other label that fits best, int, and how much better it does, float in 0..1.

    Args:
        probabilities: out-of-fold, shape (recordings, labels).
        given: the label of each recording, int, shape (recordings,).
    """
    rows = np.arange(len(given))
    usual = np.array(
        [
            probabilities[given == label, label].mean() if (given == label).any() else 1.0
            for label in range(probabilities.shape[1])
        ]
    )
    relative = np.maximum(probabilities, LEAST_PROBABILITY) / np.maximum(usual, LEAST_PROBABILITY)
    own = relative[rows, given]
    others = relative.copy()
    others[rows, given] = -np.inf
    suggested = others.argmax(axis=1)
    best = others[rows, suggested]
    return suggested, best / (best + own)


def _judgeable(samples: Samples) -> np.ndarray:
    """Return which samples are of labels with two groups or more: bool, shape (n,)."""
    groups = samples.group_ids()
    pairs = np.unique(np.stack([samples.label_ids, groups], axis=1), axis=0)
    labels, counts = np.unique(pairs[:, 0], return_counts=True)
    return np.asarray(np.isin(samples.label_ids, labels[counts >= 2]))


def _weights(samples: Samples, recordings: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return how much each chunk counts in its recording, as classifiers weigh them: shape (n,)."""
    pictures = samples.pictures()
    weights = np.ones(len(samples))
    for rows in recordings.values():
        levels = levels_of([pictures[row] for row in rows])
        if levels:
            weights[rows] = loudness_weights(levels)
    return weights


def _out_of_fold(
    fitter: HeadFitter,
    samples: Samples,
    folds: np.ndarray,
    is_trusted: np.ndarray,
    bar: tqdm,
) -> np.ndarray:
    """Return the logits of samples by heads that were trained on what is trusted outside of their fold."""
    labels = np.unique(samples.label_ids)
    logits = np.zeros((len(samples), len(labels)), np.float32)
    for fold in np.unique(folds):
        training = (folds != fold) & is_trusted
        if len(np.unique(samples.label_ids[training])) < len(labels):
            training = folds != fold
        head = fitter.fit(samples.take(training))
        logits[folds == fold] = head.logits(samples.take(folds == fold).bottlenecks(fitter.bottleneck))
        bar.update()
    return logits


def _trusted(
    samples: Samples,
    label_ids: np.ndarray,
    recordings: Mapping[str, np.ndarray],
    scores: np.ndarray,
) -> np.ndarray:
    """Return which samples to train on: those of recordings that no other label fits better; bool, shape (n,)."""
    is_trusted = np.ones(len(samples), bool)
    for rows, score in zip(recordings.values(), scores, strict=True):
        is_trusted[rows] = score < SUSPICIOUS
    for label in np.unique(label_ids):  # one that is mostly suspect is not told by what is left of it
        rows = label_ids == label
        if is_trusted[rows].mean() < SUSPICIOUS:
            is_trusted[rows] = True
    return is_trusted


def _why(probabilities: np.ndarray, score: float) -> str:
    if probabilities.max() < UNLIKE_ALL:
        return "like none of the labels"
    return "another label fits better" if score > SUSPICIOUS else "its label fits"


def _same_sound(
    samples: Samples,
    recordings: Mapping[str, np.ndarray],
    fingerprints: Mapping[str, Fingerprint],
) -> dict[str, str]:
    """Return a recording of another label that holds the same sound, by recording."""
    pictures = samples.pictures()
    label_of = {name: pictures[rows[0]].label for name, rows in recordings.items()}
    sides: dict[str, dict[str, Fingerprint]] = {}
    for name, label in label_of.items():
        if name in fingerprints:
            sides.setdefault(label, {})[name] = fingerprints[name]
    found: dict[str, str] = {}
    for shared in shared_across(sides):
        found.setdefault(shared.first, shared.second)
        found.setdefault(shared.second, shared.first)
    return found


def _with_same_sound(suspect: Suspect, same: Mapping[str, str]) -> Suspect:
    if suspect.recording not in same:
        return suspect
    why = f"the same sound as {same[suspect.recording]}"
    return replace(suspect, score=max(suspect.score, SAME_SOUND), why=why)


def csv_of(suspects: Sequence[Suspect], verdicts: Mapping[str, Verdict]) -> str:
    """Return suspects as a table in CSV, with the verdicts that there are."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in suspects:
        verdict = verdicts.get(one.recording)
        suggested = verdict.label if verdict and verdict.label else one.suggested
        own = verdict.verdict if verdict else ""
        writer.writerow([one.recording, one.label, suggested, f"{one.score:.4f}", one.why, own])
    return file.getvalue()


@dataclass(frozen=True)
class JudgedFolder:
    """What came of judging the labels of a folder of recordings."""

    suspects: list[Suspect]  # of all recordings that were judged, the likeliest mistake first
    dataset: Dataset
    lonely: tuple[str, ...]  # labels that could not be judged, since they have one group
    failures: dict[str, str]  # reason by recording that could not be read

    def clips_of(self, suspects: Sequence[Suspect]) -> dict[str, Clip]:
        """Return the loudest chunk of each of some recordings, to look at and to listen to, by recording."""
        wanted = {one.recording for one in suspects}
        examples: dict[str, list[Example]] = {}
        for example in self.dataset.examples:
            if example.recording in wanted:
                examples.setdefault(example.recording, []).append(example)
        recipe = self.dataset.recipe
        return {name: clip_of(some, recipe.sample_rate_hz if recipe else 0) for name, some in examples.items()}


def clip_of(examples: Sequence[Example], sample_rate_hz: int) -> Clip:
    """Return the loudest of some chunks of a recording, to look at and to listen to."""
    example = max(examples, key=lambda one: one.level_dbfs or 0.0)
    wav = wav_of(example)
    return Clip(
        recording=example.recording,
        label=example.label,
        offset_seconds=example.offset_seconds,
        picture=read_picture(example.path),
        samples=read_wav(wav) if wav.is_file() else None,
        sample_rate_hz=sample_rate_hz,
    )


def judge_folder(
    audio_dir: Path,
    backbone: BackboneSettings,
    *,
    group_by: str = "recording",
    bottleneck_dir: Path,
) -> JudgedFolder:
    """Judge the labels that recordings have by their folders; the pictures and bottlenecks are those of training.

    Raises:
        InputError: there are fewer than two labels, or not enough recordings.
    """
    # Nothing is held out: each recording is judged without itself.
    holdout = HoldoutSettings(testing_percentage=0, validation_percentage=0, views=0, group_by=group_by)
    settings = TrainingSettings(backbone=backbone, holdout=holdout)
    check_settings(settings)
    pictures = read_pictures(audio_dir, recipe=None, bottleneck_dir=bottleneck_dir, holdout=holdout)
    trainer = Trainer(
        pictures.dataset,
        settings,
        bottleneck_dir=bottleneck_dir,
        previous=HoldoutPlan(),
    )
    fingerprints = {name: fingerprint_of(stats) for name, stats in pictures.chunk_stats.items()}
    suspects = find_suspects(trainer.data, fingerprints=fingerprints)
    judged = {one.label for one in suspects}
    lonely = tuple(label for label in pictures.dataset.labels if label not in judged)
    return JudgedFolder(suspects, pictures.dataset, lonely, pictures.failures | trainer.data.failures)
