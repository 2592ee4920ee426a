"""The section on known and unknown clips: the curves, and where the threshold in use lies on them."""

import pytest

from audionet.reports import figures
from audionet.reports.elements import LeftOut, Section
from audionet.reports.sections.open_set import open_set_section

DET = {"thresholds": [0.0, 1.0, 2.0], "false_accepts": [1.0, 0.2, 0.0], "false_rejects": [0.0, 0.1, 1.0]}


def level(**more):
    return {"auroc": 0.9, "eer": 0.15, "min_dcf": 0.5, "n_known": 30, "n_unknown": 20, "det": DET, **more}


@pytest.fixture
def evaluation():
    rates = {"stated_rate": 0.01, "false_accept_rate": 0.02, "false_reject_rate": 0.3}
    chunk = level(false_accept_rate=0.08, false_reject_rate=0.4)
    verification = level(n_target=30, n_nontarget=60)
    return {"open_set": level(**rates, chunk=chunk), "verification": {**verification, "chunk": verification}}


def figure_of(evaluation) -> figures.Figure:
    section = open_set_section(evaluation)
    assert isinstance(section, Section)
    return section.figures[0][0]


def test_the_threshold_in_use_is_a_mark_on_the_curves_of_unknown_clips(evaluation):
    figure = figure_of(evaluation)
    assert "accepts 2% of unknown recordings and rejects 30%." in figure.alt
    assert "accepts 8% of unknown chunks and rejects 40%." in figure.alt
    for part in (evaluation["open_set"], evaluation["open_set"]["chunk"]):
        del part["false_accept_rate"], part["false_reject_rate"]
    without = figure_of(evaluation)
    assert "threshold in use" not in without.alt
    assert figure.svg.count("<use ") - without.svg.count("<use ") == 2


@pytest.mark.parametrize(("accepts", "rejects"), [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0)])
def test_a_mark_at_the_end_of_the_axes_is_within_them(evaluation, accepts, rejects):
    evaluation["open_set"] |= {"false_accept_rate": accepts, "false_reject_rate": rejects}
    assert "NaN" not in figure_of(evaluation).svg and "inf" not in figure_of(evaluation).svg


def test_an_evaluation_of_an_earlier_version_without_a_threshold_has_curves_alone(evaluation):
    evaluation["open_set"] |= {"false_accept_rate": None, "false_reject_rate": None}
    assert "unknown recordings and" not in figure_of(evaluation).alt


def test_without_scores_the_section_is_left_out():
    assert isinstance(open_set_section(None), LeftOut)
