"""How well the scores of a list of trials tell the same speaker from another, with intervals by speaker."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from audionet.evaluation.detection_metrics import (
    CURVE_RESAMPLES,
    RARE_TARGET_PRIOR,
    TARGET_PRIOR,
    DetectionCurve,
    RankedScores,
    auroc,
    curve_points,
    equal_error_rate,
    least_cost,
)
from audionet.evaluation.intervals import group_weights, json_interval, share_interval

PRIORS = (TARGET_PRIOR, RARE_TARGET_PRIOR)


def trial_scores(
    is_same: np.ndarray, scores: np.ndarray, speakers: Sequence[tuple[str | None, str | None]], *, seed: int = 0
) -> dict[str, Any]:
    """Return the rates of a list of trials.

    Args:
        is_same: bool, shape (n,), whether both sides of a trial are of the same speaker.
        scores: shape (n,), the higher, the likelier they are.
        speakers: of both sides of each trial; None where that is not known.
        seed: of the resamples.

    Returns:
        dict: `eer`, `auroc`, `min_dcf` by the share of true claims, `det` with points of the curve (`thresholds`,
        `false_accepts`, `false_rejects`), `eer_ci95` and `min_dcf_ci95`, `n_target`, `n_nontarget`, how many `speakers`
        there are, and `not_computed` with the reason for what is None.

    Raises:
        InputError: a score is NaN.
    """
    is_same, scores = np.asarray(is_same, bool), np.asarray(scores, np.float64)
    ranked, curve = RankedScores(scores[is_same], scores[~is_same]), None
    sizes = {"n_target": int(is_same.sum()), "n_nontarget": int((~is_same).sum())}
    not_computed = {}
    if sizes["n_target"] and sizes["n_nontarget"]:
        curve = ranked.curve()
    if curve is None:
        nothing = dict.fromkeys(("eer", "eer_ci95", "auroc", "min_dcf", "min_dcf_ci95", "det", "speakers"))
        not_computed["eer"] = "rates need trials of the same speaker, 1, and of another, 0"
        return {**nothing, **sizes, "not_computed": not_computed}
    names = sorted({name for pair in speakers for name in pair if name is not None})
    intervals: dict[str, Any] = {"eer_ci95": None, "min_dcf_ci95": None, "speakers": None}
    if all(name is not None for pair in speakers for name in pair):
        numbers = {name: number for number, name in enumerate(names)}
        pairs = np.array([[numbers[name] for name in pair if name is not None] for pair in speakers])
        intervals = {**_intervals(ranked, curve, is_same, pairs, seed), "speakers": len(names)}
        if intervals["eer_ci95"] is None:
            not_computed["eer_ci95"] = f"{len(names)} speakers are too few to draw from"
    else:
        not_computed["eer_ci95"] = "the first folder of a name is taken for its speaker, and not all names have one"
    return {
        "eer": equal_error_rate(curve),
        "auroc": auroc(curve),
        "min_dcf": _least_costs(curve),
        "det": curve_points(curve),
        **intervals,
        **sizes,
        "not_computed": not_computed,
    }


def _intervals(
    ranked: RankedScores, curve: DetectionCurve, is_same: np.ndarray, pairs: np.ndarray, seed: int
) -> dict[str, Any]:
    """Return the intervals of rates by drawing speakers; `pairs`, int, shape (n, 2), has those of each trial.

    A trial of two speakers counts as often as both were drawn together, one within a speaker as often as that was.

    Source: N. Poh, A. Martin and S. Bengio, "Performance Generalization in Biometric Authentication Using Joint
    User-Specific and Sample Bootstraps", IEEE Transactions on Pattern Analysis and Machine Intelligence, 2007.
    """
    count = int(pairs.max()) + 1
    is_within = pairs[:, 0] == pairs[:, 1]
    eers: list[float] = []
    costs: dict[str, list[float]] = {f"{prior:g}": [] for prior in PRIORS}
    for draw in group_weights(np.zeros(count, int), resamples=CURVE_RESAMPLES, seed=seed):
        weights = np.where(is_within, draw[pairs[:, 0]], draw[pairs[:, 0]] * draw[pairs[:, 1]])
        drawn = ranked.curve(weights[is_same], weights[~is_same])
        eers.append(equal_error_rate(drawn) if drawn else np.nan)
        for prior, cost in (_least_costs(drawn) if drawn else dict.fromkeys(costs, np.nan)).items():
            costs[prior].append(cost)
    rows = int(min(is_same.sum(), (~is_same).sum()))
    return {
        "eer_ci95": _interval(equal_error_rate(curve), eers, rows=rows, speakers=count),
        "min_dcf_ci95": {
            prior: _interval(cost, costs[prior], rows=rows, speakers=count)
            for prior, cost in _least_costs(curve).items()
        },
    }


def _interval(share: float, values: Sequence[float], *, rows: int, speakers: int) -> list[float] | None:
    drawn = share_interval(share, np.array(values), rows=rows, groups=min(speakers, rows))
    return json_interval(drawn, groups=speakers)


def _least_costs(curve: DetectionCurve) -> dict[str, float]:
    return {f"{prior:g}": least_cost(curve, target_prior=prior) for prior in PRIORS}
