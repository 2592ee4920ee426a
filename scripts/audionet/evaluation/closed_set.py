"""Closed set: how good the answers are, on recordings of labels that the classifier knows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from audionet.evaluation import metrics
from audionet.evaluation.intervals import GroupSums, group_weights, interval, json_interval, labels_of_groups
from audionet.evaluation.scored_recording import ScoredRecording, group_ids
from audionet.models.pooling import log_softmax

NOTHING = {"n": 0, "accuracy": None, "ci95": None}
TOP_K = (2, 3, 5, 10)
MOST_CONFUSION_LABELS = 200
MOST_MISTAKES = 100


def accuracies(scored: Sequence[ScoredRecording], labels: Sequence[str], *, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Return `n`, `accuracy` and `ci95` by `chunk` and `recording`; all recordings must be of known labels.

    Raises:
        InputError: a logit is NaN.
    """
    if not scored:
        return {level: dict(NOTHING) for level in ("chunk", "recording")}
    metrics.check_scores(np.concatenate([one.logits for one in scored]), name="logits")
    levels = _levels(scored, {label: label_id for label_id, label in enumerate(labels)})
    weights = levels["recording"].weights(seed)
    return {name: _accuracy(level.sums, weights) for name, level in levels.items()}


def closed_set_scores(
    known: Sequence[ScoredRecording], label_ids: Mapping[str, int], *, seed: int, not_computed: dict[str, str]
) -> dict[str, Any]:
    """Return the keys of an evaluation that need recordings of known labels only, as `evaluate` documents them.

    `label_ids` are the columns of the logits; `not_computed` gets the reason for each number that cannot be computed.
    """
    if not known:
        reason = "no recording in the test folder is of a label that the classifier knows"
        names = ("chunk", "recording", "confusion", "calibration")
        not_computed.update(dict.fromkeys(names, reason))
        return {
            "chunk": dict(NOTHING),
            "recording": dict(NOTHING),
            "per_label": [],
            "confusion": None,
            "mistakes": [],
            "calibration": {"ece": None, "bins": []},
        }
    levels = _levels(known, label_ids)
    weights = levels["recording"].weights(seed)
    if weights.shape[1] == 1:
        unit = "recording" if len(known) == 1 else "group"
        not_computed["ci95"] = f"one {unit} tells nothing about how {unit}s vary"
    calibration = _calibration(levels["chunk"]) | {"recording": _calibration(levels["recording"])}
    if len(label_ids) == 1:
        not_computed["calibration"] = "one label alone has a score, and no probability beside others"
        calibration = {"ece": None, "bins": []}
    scores = {name: _scores(level, weights) for name, level in levels.items()}
    scores["recording"] |= _named(known, levels["recording"], weights)
    return {
        **scores,
        "per_label": _per_label(levels, label_ids),
        "confusion": _confusion(levels["recording"], len(label_ids), not_computed),
        "mistakes": _mistakes(levels["recording"], list(label_ids)),
        "calibration": calibration,
    }


@dataclass(frozen=True)
class _Level:
    """Chunks, or recordings as a whole: true label, log probabilities and group of each row."""

    label_ids: np.ndarray
    log_probabilities: np.ndarray
    groups: np.ndarray

    @property
    def answers(self) -> np.ndarray:
        answers: np.ndarray = self.log_probabilities.argmax(axis=1)
        return answers

    @property
    def sums(self) -> GroupSums:
        return GroupSums(self.label_ids, self.log_probabilities, self.groups)

    def weights(self, seed: int) -> np.ndarray:
        return group_weights(labels_of_groups(self.label_ids, self.groups), seed=seed)


def _levels(known: Sequence[ScoredRecording], label_ids: Mapping[str, int]) -> dict[str, _Level]:
    of_recordings = np.array([label_ids[one.label] for one in known])
    groups, counts = group_ids(known), [len(one.logits) for one in known]
    of_chunks = np.concatenate([log_softmax(one.logits) for one in known])
    return {
        "chunk": _Level(np.repeat(of_recordings, counts), of_chunks, np.repeat(groups, counts)),
        "recording": _Level(of_recordings, np.stack([one.pooled for one in known]), groups),
    }


def _scores(level: _Level, weights: np.ndarray) -> dict[str, Any]:
    sums = level.sums
    ks = [k for k in TOP_K if k < level.log_probabilities.shape[1]]
    balanced, f1 = float(sums.balanced_accuracy()[0]), float(sums.macro_f1()[0])
    return {
        **_accuracy(sums, weights),
        "balanced_accuracy": balanced,
        "balanced_accuracy_ci95": sums.share_interval(balanced, sums.balanced_accuracy(weights)),
        "macro_f1": f1,
        "macro_f1_ci95": sums.share_interval(f1, sums.macro_f1(weights)),
        "log_loss": float(sums.log_loss()[0]),
        "log_loss_ci95": json_interval(interval(sums.log_loss(weights)), groups=sums.count),
        "top_k_accuracy": {str(k): float(sums.top_k_accuracy(k)[0]) for k in ks},
    }


def _accuracy(sums: GroupSums, weights: np.ndarray) -> dict[str, Any]:
    accuracy = float(sums.accuracy()[0])
    return {"n": sums.row_count, "accuracy": accuracy, "ci95": sums.share_interval(accuracy, sums.accuracy(weights))}


def _named(known: Sequence[ScoredRecording], level: _Level, weights: np.ndarray) -> dict[str, Any]:
    """Return the shares of recordings that a user gets named right, named wrong, or refused as unknown."""
    accepted = np.array([one.is_accepted for one in known])
    is_right = level.answers == level.label_ids
    right = float(np.mean(accepted & is_right))
    return {
        "named_right": right,
        "named_right_ci95": level.sums.share_interval(right, level.sums.share(accepted & is_right, weights)),
        "named_wrong": float(np.mean(accepted & ~is_right)),
        "refused": float(np.mean(~accepted)),
    }


def _per_label(levels: Mapping[str, _Level], label_ids: Mapping[str, int]) -> list[dict[str, Any]]:
    scores = {
        name: metrics.label_scores(level.label_ids, level.answers, len(label_ids)) for name, level in levels.items()
    }
    return [
        {
            "label": label,
            "recordings": int(scores["recording"].support[label_id]),
            "chunks": int(scores["chunk"].support[label_id]),
            **{
                name: {
                    "precision": float(level.precision[label_id]),
                    "recall": float(level.recall[label_id]),
                    "f1": float(level.f1[label_id]),
                }
                for name, level in scores.items()
            },
        }
        for label, label_id in label_ids.items()
    ]


def _confusion(level: _Level, label_count: int, not_computed: dict[str, str]) -> list[list[int]] | None:
    if label_count > MOST_CONFUSION_LABELS:
        not_computed["confusion"] = f"a table of {label_count} labels would be too large; `mistakes` has what is in it"
        return None
    counts: list[list[int]] = metrics.confusion(level.label_ids, level.answers, label_count).tolist()
    return counts


def _mistakes(level: _Level, labels: Sequence[str]) -> list[dict[str, Any]]:
    wrong = np.flatnonzero(level.label_ids != level.answers)
    counts = Counter((int(level.label_ids[row]), int(level.answers[row])) for row in wrong)
    return [
        {"label": labels[label_id], "answer": labels[answer], "recordings": count}
        for (label_id, answer), count in counts.most_common(MOST_MISTAKES)
    ]


def _calibration(level: _Level) -> dict[str, Any]:
    table = metrics.reliability(np.exp(level.log_probabilities.max(axis=1)), level.label_ids == level.answers)
    return {
        "ece": metrics.calibration_error(table),
        "binning": "equal mass",
        "bins": [asdict(row) for row in table],
    }
