"""How well clips of labels held out are told to be of the same label or of two, by how many labels the user has.

    all labels -> draws: which are held out, and which of the others are the user's own
    own labels, with and without a background -> a space -> clips of labels held out, compared

The background is fitted on labels that are neither held out nor own, or on those of another folder. Every recording of
a label held out is enrolled by itself, clean, and every other one of those held out is compared with it, clean and
altered, chunk by chunk and as a whole. A speaker encoder, which was trained on thousands of other voices, is given the
very same comparisons.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audionet.cli import EXIT_FAILED
from audionet.console import progress_bar
from audionet.data.dataset import Dataset
from audionet.errors import InputError
from audionet.evaluation.detection_metrics import detection_curve, equal_error_rate
from audionet.models.backbones.settings import BackboneSettings
from audionet.models.background import BackgroundSpace
from audionet.models.bottleneck_cache import Rows
from audionet.models.fused_similarity import FusedSimilarity
from audionet.models.similarity import Similarity
from audionet.parallel import process_pool
from audionet.tables import Table
from audionet.training.fitting.background_fitting import FEWEST_LABELS, fit_background
from audionet.training.fitting.similarity_fitting import ComparedSamples, fit_fused_similarity, fit_similarity
from audionet.training.holdout import HoldoutPlan
from audionet.training.settings import HoldoutSettings, TrainingSettings
from audionet.training.trainer import CandidateMember, candidate_members
from audionet.training.training_data import Samples, TrainingData, gather_training_data
from benchmarks.accuracy.baselines import speaker_encoder
from benchmarks.accuracy.feature_extractors import FeatureExtractor, chunk_files
from benchmarks.accuracy.test_conditions import VERIFICATION_CONDITIONS, apply_condition
from benchmarks.label_holdout import Draw, draws_of, mean_of
from benchmarks.options import VerificationOptions
from benchmarks.recording_holdout import dataset_of

LEVELS = ("chunk", "recording")
ENCODER = "speaker encoder alone"
PART = "all"  # of a bottleneck: no part of it is read by itself


@dataclass(frozen=True, eq=False)
class TestedClips:
    """Chunks of labels held out, clean and altered."""

    labels: np.ndarray  # str, shape (n,)
    recordings: np.ndarray  # str, shape (n,)
    bottlenecks: Mapping[str, np.ndarray]  # by condition, of all members side by side, shape (n, dimension)
    encoded: Mapping[str, np.ndarray]  # by condition, of the speaker encoder; empty without one

    def of_labels(self, labels: Sequence[str]) -> "TestedClips":
        """Return those of some labels."""
        rows = np.isin(self.labels, labels)
        taken = [{name: table[rows] for name, table in one.items()} for one in (self.bottlenecks, self.encoded)]
        return TestedClips(self.labels[rows], self.recordings[rows], *taken)


@dataclass(eq=False)
class BackgroundSource:
    """Labels that backgrounds are fitted on, each choice of them once."""

    members: Sequence[CandidateMember]
    data: TrainingData
    _fitted: dict[tuple[str, ...], list[BackgroundSpace] | None] = field(default_factory=dict)

    def without(self, labels: Sequence[str]) -> list[BackgroundSpace] | None:
        """Return a background of all labels but these, one space for each member; None where too few are left."""
        left = tuple(label for label in self.data.labels if label not in labels)
        if left not in self._fitted:
            self._fitted[left] = self._fit(left) if len(left) >= FEWEST_LABELS else None
        return self._fitted[left]

    def _fit(self, labels: Sequence[str]) -> list[BackgroundSpace]:
        found = []
        for number, member in enumerate(self.members):
            samples = samples_of(self.data.seen_by(number), labels)
            bottlenecks = samples.bottlenecks(member.network.bottlenecks[0])
            found.append(
                fit_background(
                    bottlenecks,
                    samples.label_ids,
                    recordings=samples.recording_ids(),
                    views=samples.views,
                    slices={PART: (0, bottlenecks.shape[1])},
                    key=member.key,
                    origin="other labels",
                    licence="",
                )
            )
        return found


def run(options: VerificationOptions) -> int:
    """Draw, fit, compare, print and write the result; return 1 if any recording had to be set aside."""
    dataset, failures = dataset_of(options.audio_dir, options.folder, group_by=options.group_by)
    held_out = options.held_out or max(2, len(dataset.labels) // 3)
    count = options.draws or -(-len(dataset.labels) // held_out)
    draws = draws_of(dataset.labels, held_out=held_out, count=count, seed=options.random_seed)
    if max(options.own_counts) > len(draws[0].known):
        raise InputError(f"--own: expected {len(draws[0].known)} at most, as {held_out} labels are held out.")
    members = candidate_members(dataset, TrainingSettings(backbone=BackboneSettings(options.architecture)))
    data, others = gather(dataset, members, options), None
    if options.background_dir:
        folder = options.output_dir / options.background_dir.resolve().name
        other, more = dataset_of(options.background_dir, folder, group_by=options.group_by)
        failures, others = failures | more, gather(other, members, options)
    result = measure(data, draws, tested_clips(dataset, members, options), members, others=others, options=options)
    whose = "those of another folder" if others else "the labels that are neither held out nor own"
    about = (
        f"Equal error rates, means over {len(draws)} draws of {held_out} of {len(dataset.labels)} labels held out. A "
        f"chunk is compared with one recording that is enrolled, clean. The background is of {whose}."
    )
    options.write(options.folder / "verify.json", result, tables_of(result), about)
    return EXIT_FAILED if failures else 0


def gather(dataset: Dataset, members: Sequence[CandidateMember], options: VerificationOptions) -> TrainingData:
    """Return everything with augmented views; what is held out is held out by label."""
    holdout = HoldoutSettings(
        random_seed=options.random_seed, group_by=options.group_by, testing_percentage=0, validation_percentage=0
    )
    networks = [member.network for member in members]
    return gather_training_data(
        dataset, *networks, bottleneck_dir=options.bottleneck_dir, holdout=holdout, previous=HoldoutPlan()
    )


def tested_clips(dataset: Dataset, members: Sequence[CandidateMember], options: VerificationOptions) -> TestedClips:
    """Return the chunks of all labels under every condition."""
    recipe = dataset.recipe
    assert recipe is not None  # the pictures were drawn of recordings
    networks = {member.network.name: member.network for member in members}
    encoder = speaker_encoder(recipe) if options.baselines else None
    if encoder:
        networks.setdefault(encoder.name, encoder)
    bottlenecks, encoded = {}, {}
    with process_pool(os.cpu_count() or 1) as pool:
        extractor = FeatureExtractor(tuple(networks.values()), options.bottleneck_dir, pool)
        for condition in VERIFICATION_CONDITIONS:
            items = apply_condition(chunk_files(dataset.examples), condition, seed=options.random_seed, recipe=recipe)
            vectors = extractor.vectors(items)
            read = [
                Rows(vectors[one.network.name]).take_columns(
                    [one.network.backbone.slices[part] for part in one.network.bottlenecks[0].split("+")]
                )[:]
                for one in members
            ]
            bottlenecks[condition] = np.concatenate(read, axis=1)
            if encoder:
                encoded[condition] = _unit(vectors[encoder.name])
    labels = np.array([example.label for example in dataset.examples])
    return TestedClips(labels, np.array([example.recording for example in dataset.examples]), bottlenecks, encoded)


def measure(
    data: TrainingData,
    draws: Sequence[Draw],
    clips: TestedClips,
    members: Sequence[CandidateMember],
    *,
    others: TrainingData | None,
    options: VerificationOptions,
) -> dict[str, Any]:
    """Compare the recordings of the labels that each draw holds out, in the space of some of the other labels.

    Returns:
        dict: `labels`; `draws`, a list of `left_out`, `own` by how many, `comparisons`, and `systems`; `mean` of these
        over the draws. `systems` has by name and condition `eer` by level, `chunk` or `recording`, and of chunks
        `false_accept_rate` and `false_reject_rate` at a probability of one half, which the speaker encoder has not.

    Raises:
        InputError: a draw holds out nothing that could be the same or another.
    """
    source = BackgroundSource(members, others or data)
    found: list[dict[str, Any]] = []
    with progress_bar(total=len(draws), description="Comparing", unit="draws") as bar:
        for number, draw in enumerate(draws):
            order = np.random.default_rng([options.random_seed, number]).permutation(list(draw.known))
            tested = clips.of_labels(draw.unknown)
            systems = {ENCODER: _by_cosine(tested)} if tested.encoded else {}
            own = {str(count): sorted(order[:count].tolist()) for count in options.own_counts}
            for count, labels in own.items():
                background = source.without([*draw.unknown, *(() if others else labels)])
                for name, spaces in (("", None), (" and a background", background)):
                    space = _space(data, labels, members, spaces) if spaces or not name else None
                    if space:
                        systems[f"{count} own{name}"] = _by_space(space, tested)
            found.append({"left_out": list(draw.unknown), "own": own, "systems": systems})
            bar.update()
    names = [name for name in found[0]["systems"] if all(name in one["systems"] for one in found)]
    means = mean_of([{name: one["systems"][name] for name in names} for one in found])
    return {"labels": list(data.labels), "draws": found, "mean": means}


def samples_of(data: TrainingData, labels: Sequence[str]) -> Samples:
    """Return the samples of some labels, with their views."""
    ids = [data.labels.index(label) for label in labels]
    return data.samples.take(np.isin(data.samples.label_ids, ids))


def _space(
    data: TrainingData,
    labels: Sequence[str],
    members: Sequence[CandidateMember],
    backgrounds: Sequence[BackgroundSpace] | None,
) -> Similarity | FusedSimilarity | None:
    """Return the space of all members as training fits it; None where there is too little for one."""
    at = [space.at(PART) for space in backgrounds] if backgrounds else [None] * len(members)
    seen = [samples_of(data.seen_by(number), labels) for number in range(len(members))]
    tables = [one.bottlenecks(member.network.bottlenecks[0]) for one, member in zip(seen, members, strict=True)]
    samples = ComparedSamples(
        tuple(tables), seen[0].label_ids, seen[0].recording_ids(), seen[0].views, backgrounds=tuple(at)
    )
    return fit_fused_similarity(samples, [fit_similarity(samples, number) for number in range(len(members))])


def _by_space(space: Similarity | FusedSimilarity, tested: TestedClips) -> dict[str, Any]:
    """Return the rates of a space, by condition."""
    clean = tested.bottlenecks["clean"]
    names = np.unique(tested.recordings)
    prototypes = np.stack([space.prototype(clean[tested.recordings == name]) for name in names])
    found = {}
    for condition, bottlenecks in tested.bottlenecks.items():
        odds = space.log_odds(bottlenecks, prototypes)
        found[condition] = _rates(odds, tested, names) | _wrong_at_half(odds, tested, names)
    return found


def _by_cosine(tested: TestedClips) -> dict[str, Any]:
    """Return the rates of the cosines of the speaker encoder's vectors, by condition."""
    names = np.unique(tested.recordings)
    clean = tested.encoded["clean"]
    prototypes = _unit(np.stack([clean[tested.recordings == name].mean(axis=0) for name in names]))
    return {condition: _rates(vectors @ prototypes.T, tested, names) for condition, vectors in tested.encoded.items()}


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float32)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))


def _pairs(tested: TestedClips, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which chunks are of the label of a recording, and which of another recording, both (chunks, names)."""
    label_of = np.array([tested.labels[tested.recordings == name][0] for name in names])
    return tested.labels[:, None] == label_of, tested.recordings[:, None] != names


def _rates(scores: np.ndarray, tested: TestedClips, names: np.ndarray) -> dict[str, Any]:
    """Return the equal error rate by level, of scores of shape (chunks, names); no recording meets itself."""
    is_same, is_other = _pairs(tested, names)
    of_recordings = np.stack([scores[tested.recordings == name].mean(axis=0) for name in names])
    label_of = np.array([tested.labels[tested.recordings == name][0] for name in names])
    pairs = {
        "chunk": (scores[is_other], is_same[is_other]),
        "recording": (
            of_recordings[~np.eye(len(names), dtype=bool)],
            (label_of[:, None] == label_of)[~np.eye(len(names), dtype=bool)],
        ),
    }
    return {"eer": {level: _equal_error_rate(*pair) for level, pair in pairs.items()}}


def _equal_error_rate(scores: np.ndarray, is_same: np.ndarray) -> float:
    curve = detection_curve(scores[is_same], scores[~is_same])
    if curve is None:
        raise InputError(
            "--held_out: labels held out are compared with each other, and here nothing is the same or "
            "nothing is another. Hold out two labels or more, with two recordings each."
        )
    return equal_error_rate(curve)


def _wrong_at_half(odds: np.ndarray, tested: TestedClips, names: np.ndarray) -> dict[str, float]:
    """Return how often chunks are judged wrongly at a probability of one half."""
    is_same, is_other = _pairs(tested, names)
    return {
        "false_accept_rate": float((odds[is_other & ~is_same] >= 0).mean()),
        "false_reject_rate": float((odds[is_other & is_same] < 0).mean()),
    }


def tables_of(result: Mapping[str, Any]) -> dict[str, Table]:
    """Return what `measure` found as tables, by title."""
    mean = result["mean"]
    conditions = list(next(iter(mean.values())))
    headings = ["space fitted on", *conditions]
    tables: dict[str, Table] = {
        f"{level} against a recording": (
            headings,
            [[name, *(f"{rates[one]['eer'][level]:.1%}" for one in conditions)] for name, rates in mean.items()],
        )
        for level in LEVELS
    }
    tables["chunks judged wrongly at 50 %: others that pass / the same refused"] = (
        headings,
        [
            [name, *(f"{rates[one]['false_accept_rate']:.1%} / {rates[one]['false_reject_rate']:.1%}" for one in rates)]
            for name, rates in mean.items()
            if name != ENCODER
        ],
    )
    return tables
