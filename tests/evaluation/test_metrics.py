import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from audionet.errors import InputError
from audionet.evaluation import metrics
from audionet.evaluation.comparison import mcnemar, paired_differences
from audionet.evaluation.detection import auroc, detection_curve, equal_error_rate, least_cost, verification_trials
from audionet.evaluation.intervals import RecordingSums, interval, recording_weights, share_interval
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
    assert metrics.macro_f1(TRUE, ANSWERS) == pytest.approx((4 / 5 + 2 / 3) / 2)


@given(answers)
def test_scores_of_labels_agree_with_scikit_learn(pairs):
    true, answered = pairs
    ours = metrics.label_scores(true, answered, 4)
    theirs = sklearn.metrics.precision_recall_fscore_support(true, answered, labels=range(4), zero_division=np.nan)
    for mine, other in zip((ours.precision, ours.recall, ours.support), (*theirs[:2], theirs[3]), strict=True):
        np.testing.assert_allclose(mine, other)
    assert metrics.macro_f1(true, answered) == pytest.approx(
        sklearn.metrics.f1_score(true, answered, average="macro", labels=np.union1d(true, answered), zero_division=0)
    )


def test_the_true_label_is_found_among_the_first_k():
    scores = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    assert [metrics.top_k_accuracy([0, 1, 2], scores, k=k) for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1])


def test_a_tie_is_broken_as_argmax_breaks_it():
    scores = np.zeros((4, 4))
    assert metrics.top_k_accuracy(np.arange(4), scores, k=1) == accuracy(np.arange(4), scores.argmax(axis=1))


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


scores = st.lists(st.integers(-5, 5), min_size=1, max_size=30).map(lambda values: np.array(values, float))


class TestDetection:
    def test_what_is_separate_is_told_apart(self):
        curve = detection_curve(np.array([3.0, 4.0]), np.array([1.0, 2.0]))
        assert auroc(curve) == 1
        assert equal_error_rate(curve) == 0
        assert least_cost(curve) == 0

    def test_what_is_alike_is_not(self):
        curve = detection_curve(np.ones(5), np.ones(3))
        assert auroc(curve) == 0.5
        assert equal_error_rate(curve) == pytest.approx(0.5)
        assert least_cost(curve) == 1

    def test_known_figures(self):
        curve = detection_curve(np.array([2.0, 4, 6, 8]), np.array([1.0, 3, 5, 0]))
        assert auroc(curve) == pytest.approx(13 / 16)  # pairs in the right order
        assert equal_error_rate(curve) == pytest.approx(0.25)
        # The threshold 6 takes no impostor and misses half of the known: 0.01 * 0.5 / 0.01.
        assert least_cost(curve) == pytest.approx(0.5)

    @given(scores, scores)
    def test_area_agrees_with_scikit_learn(self, known, unknown):
        truth = np.r_[np.ones(len(known)), np.zeros(len(unknown))]
        theirs = sklearn.metrics.roc_auc_score(truth, np.r_[known, unknown])
        assert auroc(detection_curve(known, unknown)) == pytest.approx(theirs)

    @given(scores, scores)
    def test_rates_are_what_each_threshold_does(self, known, unknown):
        curve = detection_curve(known, unknown)
        for threshold, accepts, rejects in zip(*vars(curve).values(), strict=True):
            assert accepts == pytest.approx(np.mean(unknown >= threshold))
            assert rejects == pytest.approx(np.mean(known < threshold))

    @given(scores, scores)
    def test_figures_are_rates(self, known, unknown):
        curve = detection_curve(known, unknown)
        for value in (auroc(curve), equal_error_rate(curve), least_cost(curve)):
            assert 0 <= value <= 1

    @given(scores, scores, st.integers(0, 99))
    def test_a_weight_counts_as_repetition(self, known, unknown, seed):
        weights = np.random.default_rng(seed).integers(1, 4, len(known))
        weighted = detection_curve(known, unknown, known_weights=weights)
        repeated = detection_curve(np.repeat(known, weights), unknown)
        assert auroc(weighted) == pytest.approx(auroc(repeated))
        assert equal_error_rate(weighted) == pytest.approx(equal_error_rate(repeated))

    @pytest.mark.parametrize(("known", "unknown"), [([], [1.0]), ([1.0], []), ([], [])])
    def test_with_one_kind_of_clip_there_is_no_curve(self, known, unknown):
        assert detection_curve(np.array(known), np.array(unknown)) is None

    def test_a_score_that_is_no_number_is_refused(self):
        with pytest.raises(InputError, match="NaN"):
            detection_curve(np.array([1.0, np.nan]), np.array([0.0]))

    def test_every_clip_claims_every_label_and_one_claim_is_true(self):
        true, false = verification_trials([1, -1], np.arange(6.0).reshape(2, 3))
        assert list(true) == [1.0]
        assert list(false) == [0.0, 2.0, 3.0, 4.0, 5.0]


def some_answers(seed: int = 0, *, recordings: int = 20, chunks: int = 5, labels: int = 4):
    """Return true labels, log probabilities and recordings of rows, about two thirds of them right."""
    rng = np.random.default_rng(seed)
    recording = np.repeat(np.arange(recordings), chunks)
    numbers = recording % labels
    logits = rng.normal(size=(len(numbers), labels)) + 1.5 * np.eye(labels)[numbers]
    return numbers, logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), recording


class TestIntervals:
    @given(st.integers(0, 50))
    def test_each_recording_once_gives_the_plain_scores(self, seed):
        numbers, log_probabilities, recordings = some_answers(seed)
        sums = RecordingSums(numbers, log_probabilities, recordings)
        answered = log_probabilities.argmax(axis=1)
        assert sums.accuracy() == pytest.approx(accuracy(numbers, answered))
        assert sums.balanced_accuracy() == pytest.approx(balanced_accuracy(numbers, answered))
        assert sums.macro_f1() == pytest.approx(metrics.macro_f1(numbers, answered))
        assert sums.log_loss() == pytest.approx(log_loss(numbers, log_probabilities))
        assert sums.top_k_accuracy(2) == pytest.approx(metrics.top_k_accuracy(numbers, log_probabilities, k=2))

    def test_a_resample_scores_as_the_rows_it_repeats(self):
        numbers, log_probabilities, recordings = some_answers()
        weights = recording_weights(np.arange(20) % 4, resamples=1)
        rows = np.repeat(np.arange(len(numbers)), weights[0][recordings])
        sums = RecordingSums(numbers, log_probabilities, recordings)
        answered = log_probabilities.argmax(axis=1)
        assert sums.macro_f1(weights) == pytest.approx(metrics.macro_f1(numbers[rows], answered[rows]))
        assert sums.log_loss(weights) == pytest.approx(log_loss(numbers[rows], log_probabilities[rows]))

    @given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
    def test_a_resample_has_as_many_recordings(self, labels):
        assert (recording_weights(np.array(labels), resamples=20).sum(axis=1) == len(labels)).all()

    def test_labels_with_many_recordings_keep_their_share(self):
        labels = np.repeat([0, 1], [5, 15])
        weights = recording_weights(labels)
        assert (weights[:, labels == 0].sum(axis=1) == 5).all()

    def test_the_same_seed_draws_the_same(self):
        labels = np.arange(30) % 3
        one, two, other = (recording_weights(labels, seed=seed) for seed in (1, 1, 2))
        assert np.array_equal(one, two) and not np.array_equal(one, other)

    def test_the_interval_covers_the_truth_about_as_often_as_it_says(self):
        rng = np.random.default_rng(0)
        covered = 0
        for trial in range(200):
            skill = rng.normal(0.8, 0.1, 40).clip(0, 1)  # recordings differ: that is why chunks overstate
            right = rng.binomial(10, skill)
            weights = recording_weights(np.zeros(40, int), resamples=400, seed=trial)
            low, high = interval(weights @ right / 400)
            covered += low <= 0.795 <= high  # the mean of the clipped skills
        assert 0.88 <= covered / 200 <= 0.99

    def test_chunks_alike_within_recordings_widen_the_interval(self):
        numbers, log_probabilities, recordings = some_answers(chunks=1)
        alike = [np.repeat(values, 10, axis=0) for values in (numbers, log_probabilities, recordings)]
        weights = recording_weights(np.arange(20) % 4)
        width_of = [np.ptp(interval(RecordingSums(*rows).accuracy(weights))) for rows in
                    ((numbers, log_probabilities, recordings), alike)]  # fmt: skip
        assert width_of[0] == pytest.approx(width_of[1])

    def test_all_right_is_not_certainty(self):
        low, high = share_interval(1.0, np.ones(100), rows=12, recordings=12)
        assert (low, high) == (pytest.approx(0.025 ** (1 / 12)), 1.0)
        assert share_interval(0.0, np.zeros(100), rows=12, recordings=12) == (0, pytest.approx(1 - low))

    def test_its_exact_interval_agrees_with_scipy(self):
        theirs = scipy.stats.binomtest(30, 30).proportion_ci(method="exact")
        assert share_interval(1.0, np.ones(9), rows=30, recordings=30) == pytest.approx((theirs.low, theirs.high))

    def test_chunks_count_for_less_than_as_many_recordings_and_more_than_none(self):
        lows = [
            share_interval(1.0, np.ones(9), rows=rows, recordings=recordings)[0]
            for rows, recordings in ((12, 12), (240, 12), (240, 240))
        ]
        assert lows == sorted(lows) and len(set(lows)) == 3

    def test_a_share_with_spread_keeps_its_resamples(self):
        values = np.linspace(0.5, 1, 101)
        assert share_interval(0.75, values, rows=12, recordings=12) == interval(values)

    def test_too_few_resamples_with_a_score_give_no_interval(self):
        assert interval(np.array([np.nan, np.nan, 1.0])) is None
        assert interval(np.empty(0)) is None

    def test_log_probabilities_that_are_no_numbers_are_refused(self):
        with pytest.raises(InputError, match="NaN"):
            RecordingSums(np.array([0]), np.array([[np.nan, 0.0]]), np.array([0]))


class TestComparison:
    def test_only_what_one_of_both_gets_right_counts(self):
        right_a = np.array([1, 1, 1, 1, 0, 0], bool)
        right_b = np.array([1, 1, 0, 1, 1, 0], bool)
        assert mcnemar(right_a, right_b) == (1, 1, 1.0)

    def test_known_probability(self):
        right_a = np.r_[np.zeros(8, bool), np.ones(20, bool)]
        only_a, only_b, p_value = mcnemar(right_a, np.ones(28, bool))
        assert (only_a, only_b) == (0, 8)
        assert p_value == pytest.approx(2 / 2**8)

    def test_equal_runs_do_not_differ(self):
        assert mcnemar(np.ones(5, bool), np.ones(5, bool)) == (0, 0, 1.0)

    def test_exchanging_the_runs_exchanges_the_sign(self):
        weights = recording_weights(np.zeros(10, int), resamples=50)
        right_a, right_b, rows = np.arange(10), np.full(10, 5), np.full(10, 10)
        forth = paired_differences(right_a, right_b, rows, rows, weights=weights)
        back = paired_differences(right_b, right_a, rows, rows, weights=weights)
        np.testing.assert_allclose(forth, -back)
