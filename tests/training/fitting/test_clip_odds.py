"""Log odds in the comparison space, as the open-set detector takes them: labels that vary along the same few ways."""

import dataclasses
import json

import numpy as np
import pytest

from audionet.errors import ClassifierError
from audionet.models.background import NetworkKey
from audionet.models.bottleneck_cache import Rows
from audionet.models.classifier import Classifier
from audionet.models.openset import BY_LOGITS, BY_ODDS, OpenSetDetector
from audionet.training.fitting.background_fitting import fit_background
from audionet.training.fitting.openset_fitting import ClipOdds, LeftOutLabels, ScoredClips, fit_open_set
from audionet.training.fitting.similarity_fitting import (
    ComparedSamples,
    background_odds,
    fit_fused_similarity,
    fit_similarity,
    label_prototypes,
    odds_out_of_fold,
)

DIMENSION, RECORDINGS, CHUNKS = 24, 4, 8
BACKGROUND = 12  # labels, the first ones; strangers are the last
STRANGERS = 12


def world(labels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return bottlenecks, label ids and recordings of a background's labels, one's own and strangers."""
    rng = np.random.default_rng(0)
    ways = rng.normal(size=(3, DIMENSION))
    numbers = np.repeat(np.arange(BACKGROUND + labels + STRANGERS), RECORDINGS * CHUNKS)
    centres = 1.5 * rng.normal(size=(numbers[-1] + 1, DIMENSION))
    rows = centres[numbers] + 4 * rng.normal(size=(len(numbers), 3)) @ ways + rng.normal(size=(len(numbers), DIMENSION))
    return rows.astype(np.float32), numbers, np.arange(len(numbers)) // CHUNKS


def background_of(rows: np.ndarray, numbers: np.ndarray, recordings: np.ndarray):
    return fit_background(
        Rows(rows),
        numbers,
        recordings=recordings,
        views=np.zeros(len(rows), int),
        slices={"rows": (0, DIMENSION)},
        key=NetworkKey("fake", "a" * 64),
        origin="twelve labels",
        licence="CC0",
    ).at("rows")


class Case:
    """A few labels of one's own, the space of their samples and a background, and strangers."""

    def __init__(self, labels: int):
        rows, numbers, recordings = world(labels)
        of_background, of_strangers = numbers < BACKGROUND, numbers >= BACKGROUND + labels
        of_own = ~of_background & ~of_strangers
        background = background_of(rows[of_background], numbers[of_background], recordings[of_background])
        ids, names = numbers[of_own] - BACKGROUND, np.unique(recordings[of_own], return_inverse=True)[1]
        nothing = np.zeros(len(ids), int)
        self.samples = ComparedSamples((rows[of_own],), ids, names, nothing, (background,))
        self.space = fit_fused_similarity(self.samples, [fit_similarity(self.samples)])
        self.folds, self.strangers = names % 2, rows[of_strangers]
        self.prototypes = label_prototypes(self.samples, self.space)
        every = np.arange(len(ids))
        self.odds = ClipOdds(
            np.ones(len(ids), bool),
            odds_out_of_fold(self.samples, self.space, self.folds, every),
            np.empty((0, labels), np.float32),
            background_odds(self.samples, self.space, labels),
            self.prototypes,
        )
        # Logits that tell labels apart but little else, as those of few labels do.
        logits = np.eye(labels)[ids] + 0.3 * np.random.default_rng(1).normal(size=(len(ids), labels))
        self.known = ScoredClips(logits, names, ids, nothing, self.folds)
        self.left_out = [
            LeftOutLabels(np.array([label]), np.delete(0.7 + logits[ids == label], label, axis=1))
            for label in range(labels if labels > 2 else 0)
        ]

    def accepted(self, fitted: OpenSetDetector) -> float:
        odds = self.space.log_odds(self.strangers, self.prototypes)
        return float((fitted.chunk_scores(fitted.evidence(np.zeros_like(odds), odds)) >= fitted.threshold(1)).mean())


@pytest.fixture(scope="module", params=[2, 4])
def case(request):
    return Case(request.param)


def test_strangers_pass_by_log_odds_as_often_as_stated_also_where_labels_are_few(case):
    fitted = fit_open_set(case.known, left_out=case.left_out, odds=case.odds)
    assert fitted.scored_by == BY_ODDS and fitted.fitted_on == "left-out labels and labels of the background"
    assert case.accepted(fitted) < 3 * fitted.stated_rate
    assert fitted.chunk_false_reject_rate < 0.3
    assert case.accepted(fitted.at_rate(0.001)) <= case.accepted(fitted.at_rate(0.1))


def test_logits_that_tell_strangers_as_well_apart_are_kept():
    case = Case(4)
    sure = case.known.with_logits(20 * np.eye(4)[case.known.label_ids] + 0.1 * case.known.logits)
    left_out = [
        LeftOutLabels(np.array([label]), 0.1 * np.ones((int((sure.label_ids == label).sum()), 3))) for label in range(4)
    ]
    fitted = fit_open_set(sure, left_out=left_out, odds=case.odds)
    assert fitted.scored_by == BY_LOGITS and fitted.prototypes is None
    plain = fit_open_set(sure, left_out=left_out)
    assert fitted.to_json() == plain.to_json()


def test_log_odds_that_cannot_keep_the_rate_are_left():
    """Strangers score as high as what is known, so that keeping them out would refuse most of the known."""
    case = Case(4)
    rng = np.random.default_rng(0)
    blurred = dataclasses.replace(
        case.odds,
        known=rng.normal(size=case.odds.known.shape).astype(np.float32),
        of_background=[rng.normal(size=CHUNKS).astype(np.float32) for _ in range(12)],
    )
    useless = case.known.with_logits(-case.known.logits)
    fitted = fit_open_set(useless, left_out=case.left_out, odds=blurred)
    assert fitted.scored_by == BY_LOGITS


def test_impostors_that_are_there_decide_alone(case):
    strangers = case.space.log_odds(case.strangers, case.prototypes)
    nothing = np.zeros(len(strangers), int)
    unknown = ScoredClips(np.zeros_like(strangers), np.arange(len(strangers)) // CHUNKS, nothing, nothing, nothing)
    odds = dataclasses.replace(case.odds, unknown=strangers)
    fitted = fit_open_set(case.known, unknown=unknown, odds=odds)
    assert fitted.fitted_on == "impostors" and fitted.unknown_recordings == STRANGERS * RECORDINGS


def test_a_recording_takes_no_part_in_the_prototypes_that_it_is_compared_with(case):
    """One recording moved far away changes the odds of others with its label, and its own with others as they were."""
    rows = case.samples.tables[0].copy()
    moved = case.samples.recordings == 0
    rows[moved] += 100
    samples = dataclasses.replace(case.samples, tables=(rows,))
    samples.__dict__["without_labels"] = case.samples.without_labels  # the same spaces
    every = np.arange(len(rows))
    odds = odds_out_of_fold(samples, case.space, case.folds, every)
    is_same_fold = (case.folds == case.folds[0]) & ~moved
    assert odds[is_same_fold] == pytest.approx(case.odds.known[is_same_fold], abs=1e-4)
    is_other_fold = case.folds != case.folds[0]
    assert np.abs(odds[is_other_fold, 0] - case.odds.known[is_other_fold, 0]).max() > 1


def test_a_chunk_is_likelier_of_its_own_label_than_of_another(case):
    odds, ids = case.odds.known, case.samples.label_ids
    assert (odds.argmax(axis=1) == ids).mean() > 0.9
    some = odds_out_of_fold(case.samples, case.space, case.folds, np.arange(5, 9))
    assert some == pytest.approx(odds[5:9], abs=1e-4)


def test_background_odds_are_the_highest_of_as_many_others_as_there_are_labels():
    few, more = (np.concatenate(Case(labels).odds.of_background) for labels in (2, 4))
    assert len(few) > len(more) > 100 and more.mean() > few.mean()


def test_odds_keep_to_their_clips_in_another_order():
    known = np.arange(6.0).reshape(3, 2)
    odds = ClipOdds(np.array([True, False, True, True]), known, np.empty((0, 2)), (), np.empty((2, 3)))
    taken = odds.take(np.array([3, 1, 0, 2]))
    assert taken.is_scored.tolist() == [True, False, True, True]
    assert taken.known.tolist() == [known[2].tolist(), known[0].tolist(), known[1].tolist()]


def with_odds(trained: Classifier) -> Classifier:
    """The same classifier, scored by log odds with a prototype for each label."""
    space = trained.similarity
    rows = np.random.default_rng(0).normal(size=(3, trained.dimension)).astype(np.float32)
    prototypes = np.stack([space.prototype(row[None]) for row in rows]).astype(np.float16).astype(np.float32)
    trained.open_set = dataclasses.replace(trained.open_set, scored_by=BY_ODDS, prototypes=prototypes)
    return trained


@pytest.fixture
def by_odds(saved, tmp_path):
    classifier = with_odds(Classifier.load(saved / "retrained_model"))
    folder = tmp_path / "by_odds"
    folder.mkdir()
    classifier.save(folder)
    return folder


def test_a_saved_classifier_scores_by_log_odds_as_before_it_was_saved(saved, by_odds, speakers):
    clip = next(speakers.rglob("*.mp3"))
    before, after = with_odds(Classifier.load(saved / "retrained_model")), Classifier.load(by_odds)
    answers = [one.score(clip) for one in (before, after)]
    assert answers[0].score == answers[1].score and answers[0].threshold == answers[1].threshold
    assert after.score(clip).score != Classifier.load(saved / "retrained_model").score(clip).score
    scores = after.scores([after.inputs_of(chunk) for chunk in np.zeros((1, after.recipe.chunk_samples), np.float32)])
    assert scores.odds.shape == (1, 3)


def test_the_timeline_goes_by_the_same_scores(by_odds, speakers):
    classifier, clip = Classifier.load(by_odds), next(speakers.rglob("*.mp3"))
    timeline = classifier.timeline(clip, hop_seconds=classifier.recipe.chunk_seconds)
    scores = [span.score for span in timeline.non_silent_spans]
    assert scores and all(np.isfinite(scores)) and len(scores) == 1
    assert scores[0] == pytest.approx(classifier.score(clip).score, abs=0.5)


@pytest.mark.parametrize(("field", "value"), [("similarity", None), ("scored_by", "sums")])
def test_a_detector_without_what_it_goes_by_is_refused(by_odds, field, value):
    path = by_odds / "classifier.json"
    about = json.loads(path.read_text())
    if field == "similarity":
        about["similarity"] = value
    else:
        about["open_set"][field] = value
    del about["sha256"]["classifier.json"]
    path.write_text(json.dumps(about))
    with pytest.raises(ClassifierError, match="open_set"):
        Classifier.load(by_odds)
