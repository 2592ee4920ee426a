"""Scores of answers and of confidences."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from audionet.evaluation import metrics
from audionet.evaluation.metrics import accuracy, balanced_accuracy, confusion, log_loss, rows_by_group

TRUE = np.array([0, 0, 0, 1])
ANSWERS = np.array([0, 0, 1, 1])

answers = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1).map(lambda pairs: np.array(pairs).T)


def test_accuracy_is_the_share_of_right_answers():
    assert accuracy(TRUE, ANSWERS) == 0.75


def test_no_label_counts_more_in_balanced_accuracy():
    assert balanced_accuracy(TRUE, ANSWERS) == pytest.approx((2 / 3 + 1) / 2)


def test_always_answering_the_same_is_as_good_as_guessing_when_balanced():
    assert balanced_accuracy(TRUE, np.zeros(4, int)) == 0.5


def test_log_loss_is_that_of_the_true_label():
    probabilities = np.array([[0.5, 0.5], [0.9, 0.1]])
    assert log_loss(np.array([0, 1]), np.log(probabilities)) == pytest.approx(-(np.log(0.5) + np.log(0.1)) / 2)


@given(answers)
def test_confusion_counts_every_answer_once(pairs):
    true, answered = pairs
    counts = confusion(true, answered, 4)
    assert counts.sum() == len(true)
    assert np.array_equal(counts.sum(axis=1), np.bincount(true, minlength=4))
    assert np.trace(counts) / len(true) == pytest.approx(accuracy(true, answered))


@given(answers)
def test_right_answers_score_one_and_wrong_ones_nothing(pairs):
    true, _ = pairs
    assert accuracy(true, true) == balanced_accuracy(true, true) == 1
    assert accuracy(true, true + 1) == balanced_accuracy(true, true + 1) == 0


@given(st.lists(st.sampled_from("abc")))
def test_every_row_is_in_its_group(groups):
    rows = rows_by_group(groups)
    assert sorted(row for group in rows.values() for row in group) == list(range(len(groups)))
    assert all(groups[row] == name for name, group in rows.items() for row in group)


def test_scores_of_labels_are_those_of_the_confusion():
    scores = metrics.label_scores(TRUE, ANSWERS, 3)
    np.testing.assert_allclose(scores.precision, [1, 1 / 2, np.nan])
    np.testing.assert_allclose(scores.recall, [2 / 3, 1, np.nan])
    np.testing.assert_allclose(scores.f1, [4 / 5, 2 / 3, np.nan])
    assert list(scores.support) == [3, 1, 0]


@given(answers)
def test_scores_of_labels_agree_with_scikit_learn(pairs):
    true, answered = pairs
    ours = metrics.label_scores(true, answered, 4)
    theirs = sklearn.metrics.precision_recall_fscore_support(true, answered, labels=range(4), zero_division=np.nan)
    for mine, other in zip((ours.precision, ours.recall, ours.support), (*theirs[:2], theirs[3]), strict=True):
        np.testing.assert_allclose(mine, other)


def test_an_impossible_answer_does_not_cost_everything():
    assert np.isfinite(log_loss(np.array([1]), np.array([[0.0, -np.inf]])))


class TestCalibration:
    def test_error_is_the_distance_of_confidence_from_accuracy(self):
        confidences = np.r_[np.full(50, 0.6), np.full(50, 0.9)]
        right = np.r_[np.arange(50) < 20, np.arange(50) < 45]  # 40 % and 90 %
        table = metrics.reliability(confidences, right, bins=2)
        assert [row.accuracy for row in table] == [0.4, 0.9]
        assert metrics.calibration_error(table) == pytest.approx(0.5 * 0.2)

    def test_honest_confidence_has_hardly_any_error(self):
        rng = np.random.default_rng(0)
        confidences = rng.uniform(0.3, 1, 20_000)
        table = metrics.reliability(confidences, rng.random(20_000) < confidences)
        assert metrics.calibration_error(table) < 0.02

    @given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=400))
    def test_every_answer_is_in_one_bin(self, pairs):
        confidences, right = map(np.array, zip(*pairs, strict=True))
        table = metrics.reliability(confidences, right)
        assert sum(row.n for row in table) == len(pairs)
        assert 0 <= metrics.calibration_error(table) <= 1
        assert all(row.low <= row.confidence + 1e-9 and row.confidence <= row.high + 1e-9 for row in table)

    def test_few_answers_get_few_bins(self):
        assert len(metrics.reliability(np.linspace(0, 1, 12), np.ones(12, bool))) == 1

    def test_nothing_has_no_error(self):
        assert metrics.calibration_error(metrics.reliability(np.empty(0), np.empty(0, bool))) is None
