"""Intervals that take the chunks of a recording together."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from audionet.errors import InputError
from audionet.evaluation.intervals import (
    GroupSums,
    group_weights,
    interval,
    labels_of_groups,
    resampled,
    share_interval,
)
from audionet.evaluation.metrics import accuracy, balanced_accuracy, log_loss


def some_answers(seed: int = 0, *, recordings: int = 20, chunks: int = 5, labels: int = 4):
    """Return true labels, log probabilities and recordings of rows, about two thirds of them right."""
    rng = np.random.default_rng(seed)
    recording = np.repeat(np.arange(recordings), chunks)
    numbers = recording % labels
    logits = rng.normal(size=(len(numbers), labels)) + 1.5 * np.eye(labels)[numbers]
    return numbers, logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), recording


def macro_f1(label_ids: np.ndarray, answers: np.ndarray) -> float:
    labels = np.union1d(label_ids, answers)
    return sklearn.metrics.f1_score(label_ids, answers, average="macro", labels=labels, zero_division=0)


def sums_of(label_ids: np.ndarray, scores: np.ndarray) -> GroupSums:
    """Return the sums of recordings of one row each."""
    return GroupSums(np.asarray(label_ids), scores, np.arange(len(label_ids)))


class TestScores:
    def test_macro_f1_is_the_mean_over_labels_that_are_true_or_answered(self):
        answers = np.array([0, 0, 1, 1])
        assert sums_of([0, 0, 0, 1], np.eye(3)[answers]).macro_f1() == pytest.approx((4 / 5 + 2 / 3) / 2)

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
    def test_macro_f1_agrees_with_scikit_learn(self, pairs):
        true, answers = np.array(pairs).T
        assert sums_of(true, np.eye(4)[answers]).macro_f1() == pytest.approx(macro_f1(true, answers))

    def test_the_true_label_is_found_among_the_first_k(self):
        sums = sums_of([0, 1, 2], np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]))
        assert [sums.top_k_accuracy(k)[0] for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])

    def test_a_tie_is_broken_as_argmax_breaks_it(self):
        scores = np.zeros((4, 4))
        assert sums_of(np.arange(4), scores).top_k_accuracy(1) == accuracy(np.arange(4), scores.argmax(axis=1))


class TestIntervals:
    @given(st.integers(0, 50))
    def test_each_recording_once_gives_the_plain_scores(self, seed):
        numbers, log_probabilities, recordings = some_answers(seed)
        sums = GroupSums(numbers, log_probabilities, recordings)
        answered = log_probabilities.argmax(axis=1)
        assert sums.accuracy() == pytest.approx(accuracy(numbers, answered))
        assert sums.balanced_accuracy() == pytest.approx(balanced_accuracy(numbers, answered))
        assert sums.macro_f1() == pytest.approx(macro_f1(numbers, answered))
        assert sums.log_loss() == pytest.approx(log_loss(numbers, log_probabilities))
        assert sums.top_k_accuracy(2) == pytest.approx(
            sklearn.metrics.top_k_accuracy_score(numbers, log_probabilities, k=2, labels=range(4))
        )

    def test_a_resample_scores_as_the_rows_it_repeats(self):
        numbers, log_probabilities, recordings = some_answers()
        weights = group_weights(np.arange(20) % 4, resamples=1)
        rows = np.repeat(np.arange(len(numbers)), weights[0][recordings])
        sums = GroupSums(numbers, log_probabilities, recordings)
        answered = log_probabilities.argmax(axis=1)
        assert sums.macro_f1(weights) == pytest.approx(macro_f1(numbers[rows], answered[rows]))
        assert sums.log_loss(weights) == pytest.approx(log_loss(numbers[rows], log_probabilities[rows]))

    @given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
    def test_a_resample_has_as_many_recordings(self, labels):
        assert (group_weights(np.array(labels), resamples=20).sum(axis=1) == len(labels)).all()

    def test_labels_with_many_recordings_keep_their_share(self):
        labels = np.repeat([0, 1], [5, 15])
        weights = group_weights(labels)
        assert (weights[:, labels == 0].sum(axis=1) == 5).all()

    def test_groups_of_one_label_have_it_and_groups_of_several_have_none(self):
        assert labels_of_groups(np.array([3, 3, 1]), np.array([0, 0, 1])).tolist() == [3, 1]
        assert labels_of_groups(np.array([3, 2, 1]), np.array([0, 0, 1])).tolist() == [-1, -1]

    def test_what_is_resampled_is_said(self):
        assert resampled({"recordings": 12, "groups": 12}) == resampled({"recordings": 12}) == "over 12 recordings"
        assert resampled({"recordings": 12, "groups": 5}) == "over 5 groups"

    def test_the_same_seed_draws_the_same(self):
        labels = np.arange(30) % 3
        one, two, other = (group_weights(labels, seed=seed) for seed in (1, 1, 2))
        assert np.array_equal(one, two) and not np.array_equal(one, other)

    def test_the_interval_covers_the_truth_about_as_often_as_it_says(self):
        rng = np.random.default_rng(0)
        covered = 0
        for trial in range(200):
            skill = rng.normal(0.8, 0.1, 40).clip(0, 1)  # recordings differ: that is why chunks overstate
            right = rng.binomial(10, skill)
            weights = group_weights(np.zeros(40, int), resamples=400, seed=trial)
            low, high = interval(weights @ right / 400)
            covered += low <= 0.795 <= high  # the mean of the clipped skills
        assert 0.88 <= covered / 200 <= 0.99

    def test_chunks_alike_within_recordings_widen_the_interval(self):
        numbers, log_probabilities, recordings = some_answers(chunks=1)
        alike = [np.repeat(values, 10, axis=0) for values in (numbers, log_probabilities, recordings)]
        weights = group_weights(np.arange(20) % 4)
        width_of = [np.ptp(interval(GroupSums(*rows).accuracy(weights))) for rows in
                    ((numbers, log_probabilities, recordings), alike)]  # fmt: skip
        assert width_of[0] == pytest.approx(width_of[1])

    def test_all_right_is_not_certainty(self):
        low, high = share_interval(1.0, np.ones(100), rows=12, groups=12)
        assert (low, high) == (pytest.approx(0.025 ** (1 / 12)), 1.0)
        assert share_interval(0.0, np.zeros(100), rows=12, groups=12) == (0, pytest.approx(1 - low))

    def test_its_exact_interval_agrees_with_scipy(self):
        theirs = scipy.stats.binomtest(30, 30).proportion_ci(method="exact")
        assert share_interval(1.0, np.ones(9), rows=30, groups=30) == pytest.approx((theirs.low, theirs.high))

    def test_chunks_count_for_less_than_as_many_recordings_and_more_than_none(self):
        lows = [
            share_interval(1.0, np.ones(9), rows=rows, groups=recordings)[0]
            for rows, recordings in ((12, 12), (240, 12), (240, 240))
        ]
        assert lows == sorted(lows) and len(set(lows)) == 3

    def test_a_share_with_spread_keeps_its_resamples(self):
        values = np.linspace(0.5, 1, 101)
        assert share_interval(0.75, values, rows=12, groups=12) == interval(values)

    def test_too_few_resamples_with_a_score_give_no_interval(self):
        assert interval(np.array([np.nan, np.nan, 1.0])) is None
        assert interval(np.empty(0)) is None

    def test_log_probabilities_that_are_no_numbers_are_refused(self):
        with pytest.raises(InputError, match="NaN"):
            GroupSums(np.array([0]), np.array([[np.nan, 0.0]]), np.array([0]))
