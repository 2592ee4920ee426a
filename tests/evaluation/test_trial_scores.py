"""The scores of a list of trials, and their intervals by speaker."""

import json

import numpy as np
import pytest

from audionet.evaluation.detection_metrics import detection_curve, equal_error_rate, least_cost
from audionet.evaluation.trial_scores import trial_scores


def trials_of(speakers: int, clips: int, *, seed: int = 0, spread: float = 1.0):
    """Return every pair of some speakers' clips: whether both are of one, its score, and both speakers."""
    rng = np.random.default_rng(seed)
    places = np.repeat(rng.normal(0, 1, (speakers, 4)), clips, axis=0) + rng.normal(0, spread, (speakers * clips, 4))
    owners = np.repeat([f"id{number}" for number in range(speakers)], clips)
    first, second = np.triu_indices(len(places), 1)
    scores = -np.linalg.norm(places[first] - places[second], axis=1)
    return owners[first] == owners[second], scores, list(zip(owners[first], owners[second], strict=True))


def test_the_rates_are_those_of_the_curve():
    is_same, scores, speakers = trials_of(12, 4)
    found = trial_scores(is_same, scores, speakers)
    curve = detection_curve(scores[is_same], scores[~is_same])
    assert found["eer"] == equal_error_rate(curve)
    assert found["min_dcf"] == {"0.01": least_cost(curve), "0.001": least_cost(curve, target_prior=0.001)}
    assert (found["n_target"], found["n_nontarget"], found["speakers"]) == (is_same.sum(), (~is_same).sum(), 12)
    accepts, rejects = found["det"]["false_accepts"], found["det"]["false_rejects"]
    assert (accepts[0], rejects[0], accepts[-1], rejects[-1]) == (1, 0, 0, 1)
    assert json.loads(json.dumps(found)) == found


def test_intervals_hold_what_other_speakers_give_about_as_often_as_they_say():
    rates = [trial_scores(*trials_of(20, 3, seed=seed)) for seed in range(40)]
    expected = np.mean([one["eer"] for one in rates])
    within = [one["eer_ci95"][0] <= expected <= one["eer_ci95"][1] for one in rates]
    assert np.mean(within) >= 0.85


def test_more_clips_of_the_same_speakers_do_not_make_the_interval_much_narrower():
    few, many = (np.ptp(trial_scores(*trials_of(8, clips, seed=3))["eer_ci95"]) for clips in (3, 12))
    assert many > 0.5 * few


def test_no_mistake_is_not_certainty():
    found = trial_scores(*trials_of(6, 3, spread=0.001))
    assert found["eer"] == 0 and found["eer_ci95"][0] == 0 < found["eer_ci95"][1]
    assert found["min_dcf"]["0.01"] == 0 < found["min_dcf_ci95"]["0.01"][1]


@pytest.mark.parametrize("missing", [True, False])
def test_with_one_kind_of_trial_there_is_no_rate_and_the_reason_is_said(missing):
    is_same, scores, speakers = trials_of(4, 2)
    kept = np.flatnonzero(is_same != missing)
    found = trial_scores(is_same[kept], scores[kept], [speakers[row] for row in kept])
    assert found["eer"] is None and found["det"] is None and found["min_dcf"] is None
    assert "1" in found["not_computed"]["eer"] and "0" in found["not_computed"]["eer"]


def test_two_speakers_are_too_few_for_an_interval_and_that_is_said():
    found = trial_scores(*trials_of(2, 3))
    assert found["eer"] is not None and found["eer_ci95"] is None
    assert "speakers" in found["not_computed"]["eer_ci95"]


def test_names_without_a_folder_give_rates_without_intervals():
    is_same, scores, speakers = trials_of(4, 2)
    found = trial_scores(is_same, scores, [(None, second) for _, second in speakers])
    assert found["eer"] is not None and found["eer_ci95"] is None and found["speakers"] is None
    assert "folder" in found["not_computed"]["eer_ci95"]
