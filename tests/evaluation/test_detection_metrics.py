"""Known against unknown clips, and true against false claims, at every threshold."""

from dataclasses import replace

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from scored_examples import LABELS, in_groups, plain, scored, scored_folder, with_open_set

from audionet.errors import InputError
from audionet.evaluation.detection_metrics import (
    auroc,
    detection_curve,
    equal_error_rate,
    least_cost,
    partial_auroc,
    verification_trials,
)
from audionet.evaluation.evaluate import evaluate
from audionet.evaluation.scored_recording import ScoredRecording
from audionet.reports import evaluation_tables
from audionet.training.fitting.openset_fitting import ScoredClips, fit_open_set

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
        # The threshold 6 takes no unknown clip and misses half of the known: 0.01 * 0.5 / 0.01.
        assert least_cost(curve) == pytest.approx(0.5)

    def test_the_cost_of_rarer_true_claims_counts_false_ones_for_more(self):
        curve = detection_curve(np.array([2.0, 4, 6, 8]), np.r_[np.zeros(1000), 7.0])
        # A threshold above 7 misses three of four; one at 2 accepts one of 1001 false claims.
        assert least_cost(curve, target_prior=0.01) == pytest.approx(99 / 1001)
        assert least_cost(curve, target_prior=0.001) == pytest.approx(0.75)

    @given(scores, scores)
    def test_area_of_few_false_alarms_agrees_with_scikit_learn(self, known, unknown):
        is_unknown = np.r_[np.zeros(len(known)), np.ones(len(unknown))]
        theirs = sklearn.metrics.roc_auc_score(is_unknown, -np.r_[known, unknown], max_fpr=0.1)
        assert partial_auroc(detection_curve(known, unknown)) == pytest.approx(theirs)

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


@pytest.fixture(scope="module")
def open_set():
    rng = np.random.default_rng(0)
    label_ids, recording_ids, views = np.repeat(np.arange(3), 20), np.arange(60) // 4, np.zeros(60, int)
    known = ScoredClips(
        rng.normal(0, 0.3, (60, 3)) + 4 * np.eye(3)[label_ids], recording_ids, label_ids, views, folds=recording_ids % 2
    )
    unknown = ScoredClips(rng.normal(0, 0.3, (60, 3)), recording_ids, views - 1, views, folds=views)
    return fit_open_set(known, unknown=unknown)


class TestOpenSet:
    def test_a_label_that_the_classifier_does_not_know_counts_as_unknown(self):
        result = evaluate(scored_folder(unknown=3), LABELS)
        assert result["data"]["unknown_labels"] == {"mallory": 3} and result["data"]["unknown_recordings"] == 3
        assert result["recording"]["n"] == 12
        assert result["recordings"][-1]["known"] is False and result["recordings"][-1]["right"] is None

    def test_unknown_recordings_are_told_apart(self, open_set):
        result = evaluate(with_open_set(scored_folder(unknown=6), open_set), LABELS)["open_set"]
        assert result["auroc"] == 1 and result["eer"] == 0
        assert result["false_accept_rate"] == 0 and result["false_reject_rate"] == 0
        assert result["chunk"]["n_unknown"] == 24 and result["n_unknown"] == 6

    def test_no_mistake_in_a_few_recordings_is_not_certainty(self, open_set):
        low, high = evaluate(with_open_set(scored_folder(unknown=6), open_set), LABELS)["open_set"][
            "false_accept_rate_ci95"
        ]
        assert low == 0 and high == pytest.approx(1 - 0.025 ** (1 / 6))

    def test_recordings_of_a_group_are_resampled_together(self, open_set):
        alone = with_open_set(scored_folder(unknown=6), open_set)
        grouped = in_groups(alone, 3)
        assert evaluate(grouped, LABELS)["data"]["unknown_groups"] == 2
        widths = [
            np.ptp(evaluate(recordings, LABELS)["open_set"]["false_accept_rate_ci95"])
            for recordings in (alone, grouped)
        ]
        assert widths[1] > widths[0]

    def test_the_rates_are_what_the_recordings_say(self, open_set):
        result = evaluate(with_open_set(scored_folder(unknown=6), open_set), LABELS)
        known = [row["accepted"] for row in result["recordings"] if row["known"]]
        assert result["open_set"]["false_reject_rate"] == pytest.approx(1 - np.mean(known))

    def test_recordings_scored_by_several_heads_are_each_judged_by_their_own(self, open_set):
        strict = replace(open_set, thresholds=open_set.thresholds + 1000)
        recordings = scored_folder(unknown=6)
        by_turns = [replace(one, open_set=(open_set, strict)[n % 2]) for n, one in enumerate(recordings)]
        rows = evaluate(by_turns, LABELS)["recordings"]
        alone = evaluate(with_open_set(recordings, open_set), LABELS)["recordings"]
        assert [row["accepted"] for row in rows[::2]] == [row["accepted"] for row in alone[::2]]
        assert not any(row["accepted"] for row in rows[1::2])
        assert [row["score"] for row in rows] == pytest.approx([row["score"] for row in alone])

    def test_where_one_head_has_no_threshold_none_is_used(self, open_set):
        recordings = with_open_set(scored_folder(unknown=3), open_set)
        result = evaluate([*recordings[:-1], replace(recordings[-1], open_set=None)], LABELS)
        assert result["open_set"]["false_accept_rate"] is None
        assert "open_set.false_reject_rate" in result["not_computed"]

    def test_without_unknown_recordings_it_says_so(self, open_set):
        result = plain(evaluate(with_open_set(scored_folder(), open_set), LABELS))
        assert result["open_set"]["auroc"] is None and result["open_set"]["false_accept_rate"] is None
        assert result["open_set"]["false_reject_rate"] == 0
        assert "--negatives" in result["not_computed"]["open_set.auroc"]

    def test_without_a_threshold_it_says_so(self):
        result = evaluate(scored_folder(unknown=3), LABELS)
        assert result["open_set"]["false_reject_rate"] is None and result["open_set"]["auroc"] > 0.9
        assert "threshold" in result["not_computed"]["open_set.false_reject_rate"]

    def test_with_unknown_recordings_alone_there_is_no_accuracy(self):
        result = plain(evaluate([scored("1.mp3", "mallory")], LABELS))
        assert result["chunk"]["accuracy"] is None and result["confusion"] is None
        assert "knows" in result["not_computed"]["recording"]
        assert "no accuracy" in evaluation_tables.headline(result)

    def test_true_claims_are_told_from_false_ones(self):
        result = evaluate(scored_folder(unknown=2, wrong=0), LABELS)["verification"]
        assert result["n_target"] == 12 and result["n_nontarget"] == 12 * 2 + 2 * 3
        assert result["auroc"] == 1 and result["eer"] == 0

    def test_curves_are_short_enough_for_a_page_and_keep_their_ends(self):
        rng = np.random.default_rng(0)
        many = [
            ScoredRecording(str(number), label, rng.normal(0, 1, (1, 3)) + np.eye(3)[index % 3])
            for number in range(400)
            for index, label in enumerate((*LABELS, "mallory"))
        ]
        curve = evaluate(many, LABELS)["open_set"]["det"]
        assert len(curve["thresholds"]) <= 202
        assert (curve["false_accepts"][0], curve["false_rejects"][0]) == (1, 0)
        assert (curve["false_accepts"][-1], curve["false_rejects"][-1]) == (0, 1)
        assert np.isfinite(curve["thresholds"]).all()
