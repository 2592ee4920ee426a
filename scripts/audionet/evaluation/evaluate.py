"""Logits in, an evaluation out: one JSON object that screens, reports and comparisons read.

Its keys, where `ci95` is a 95 % interval as [low, high] by bootstrap over recordings, and null stands for a number that
cannot be computed, the reason for which is in `not_computed`:

    format                  1
    labels                  names, in the order of the classifier's outputs
    data                    recordings, chunks: of known labels; unknown_recordings, unknown_chunks; unknown_labels, the
                            recordings by folder that the classifier has no label for
    chunk, recording        n, accuracy, ci95, balanced_accuracy, balanced_accuracy_ci95, macro_f1, macro_f1_ci95,
                            log_loss, log_loss_ci95, top_k_accuracy: by k, as text
    per_label               a list: label, recordings, chunks, and for each level precision, recall, f1
    confusion               recordings: true label by row, answer by column; null beyond 200 labels
    mistakes                a list, the most frequent first: label, answer, recordings
    calibration             of chunks: ece, binning, bins: a list of low, high, confidence, accuracy, n; and `recording`
                            with the same
    open_set                known against unknown recordings: auroc, auroc_ci95, eer, eer_ci95, min_dcf, p_target,
                            n_known, n_unknown, det; false_accept_rate, false_accept_rate_ci95, false_reject_rate,
                            false_reject_rate_ci95 at the classifier's threshold, stated_rate; score; and `chunk` with
                            the same. Without unknown recordings only what needs none.
    verification            true against false claims of a label, by recording: auroc, eer, min_dcf, p_target,
                            n_target, n_nontarget, det; and `chunk` with the same
    recordings              a list: recording, label, known, answer, probability, label_probability, right, score,
                            accepted, chunks, chunks_right, telling_seconds, where its chunk that speaks loudest for the
                            answer begins, in_training, how many of its chunks were trained on, roughly
    not_computed            sentences, by the dotted name of what is null

`det` has the lists `thresholds`, `false_accepts` and `false_rejects`, up to 200 points. `testset.evaluate_folder` adds

    data.fingerprint        of the content, labels and names of the recordings
    model                   architecture, bottleneck, fingerprint, head
    failures                reason by recording that could not be read
    excluded                recordings left out since they were in training
    training_known          whether the classifier tells what it was trained on
    shared_with_training    sentences about sound that is in training too
    data_audit              how the recordings sound, as `audit.DataAudit` gives it; null for pictures
    sweep                   if wanted, a list, `clean` first: name, family, level, strength, and chunk and recording
                            with n, accuracy, ci95
    sweep_skipped           reason by name of conditions that this machine cannot make
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import groupby

import numpy as np

from audionet.evaluation import intervals, metrics
from audionet.evaluation.detection import (
    TARGET_PRIOR,
    DetectionCurve,
    auroc,
    detection_curve,
    equal_error_rate,
    least_cost,
    verification_trials,
)
from audionet.evaluation.intervals import RecordingSums, recording_weights, share_interval
from audionet.models.openset import OpenSetDetector
from audionet.models.pooling import log_softmax, loudness_weights, pool

FORMAT = 1
TOP_K = (2, 3, 5, 10)
MOST_CONFUSION_LABELS = 200
MOST_MISTAKES = 100
CURVE_POINTS = 200
CURVE_RESAMPLES = 500  # each of which goes through all clips again
MOST_FALSE_CLAIMS = 1_000_000  # a thousand labels make thousands of claims a recording


@dataclass(frozen=True)
class ScoredRecording:
    """What a classifier's head says of one recording.

    Attributes:
        recording: its name, such as `alice/monday.mp3`.
        label: its folder, which the classifier need not know.
        logits: float32, shape (chunks, labels), one chunk or more.
        offsets_seconds: where in the recording each chunk begins; empty if that is not known.
        in_training: how many of its chunks the classifier was trained on, roughly.
        open_set: what tells known from unknown by the logits of this head, if there is any.
        levels_dbfs: how loud each chunk is, so that gaps count less; empty if that is not known.
    """

    recording: str
    label: str
    logits: np.ndarray
    offsets_seconds: tuple[float, ...] = ()
    in_training: int = 0
    open_set: OpenSetDetector | None = None
    levels_dbfs: tuple[float, ...] = ()

    @property
    def weights(self) -> np.ndarray:
        """How much each chunk counts, shape (chunks,), as the classifier weighs them."""
        return loudness_weights(self.levels_dbfs) if self.levels_dbfs else np.ones(len(self.logits))


def evaluate(scored: Sequence[ScoredRecording], labels: Sequence[str], *, seed: int = 0) -> dict:
    """Evaluate a classifier on recordings that it was not trained on.

    Args:
        scored: the recordings, at least one of them, by one head or by the heads of a cross-validation. Labels that are
            not among `labels` count as unknown.
        labels: of the classifier.
        seed: of the resamples that intervals rest on.

    Returns:
        dict: as the module's docstring says.

    Raises:
        InputError: a logit is NaN.
    """
    metrics.check_scores(np.concatenate([one.logits for one in scored]), name="logits")
    if any(one.open_set is None for one in scored):  # of several heads, not all could learn it
        scored = [replace(one, open_set=None) for one in scored]
    numbers = {label: number for number, label in enumerate(labels)}
    known = [one for one in scored if one.label in numbers]
    unknown = [one for one in scored if one.label not in numbers]
    not_computed: dict[str, str] = {}
    result = {
        "format": FORMAT,
        "labels": list(labels),
        "data": _sizes(known, unknown),
        **_closed_set(known, numbers, seed, not_computed),
        "open_set": _open_set(known, unknown, seed, not_computed),
        "verification": _verification(known, unknown, numbers, not_computed),
        "recordings": [_row(one, labels) for one in scored],
        "not_computed": not_computed,
    }
    return {key: _without_nan(value) for key, value in result.items()}


def accuracies(scored: Sequence[ScoredRecording], labels: Sequence[str], *, seed: int = 0) -> dict:
    """Return `n`, `accuracy` and `ci95` of chunks and recordings alone, for a sweep; all must be of known labels."""
    if not scored:
        return {level: {"n": 0, "accuracy": None, "ci95": None} for level in ("chunk", "recording")}
    metrics.check_scores(np.concatenate([one.logits for one in scored]), name="logits")
    numbers = {label: number for number, label in enumerate(labels)}
    levels = {"chunk": _chunks(scored, numbers), "recording": _recordings(scored, numbers)}
    weights = recording_weights(levels["recording"].numbers, seed=seed)
    return {name: _accuracy(level, weights) for name, level in levels.items()}


def _sizes(known: Sequence[ScoredRecording], unknown: Sequence[ScoredRecording]) -> dict:
    return {
        "recordings": len(known),
        "chunks": sum(len(one.logits) for one in known),
        "unknown_recordings": len(unknown),
        "unknown_chunks": sum(len(one.logits) for one in unknown),
        "unknown_labels": dict(sorted(Counter(one.label for one in unknown).items())),
    }


# Which label


def _closed_set(
    known: Sequence[ScoredRecording], numbers: Mapping[str, int], seed: int, not_computed: dict[str, str]
) -> dict:
    if not known:
        reason = "no recording in the test folder is of a label that the classifier knows"
        names = ("chunk", "recording", "confusion", "calibration")
        not_computed.update(dict.fromkeys(names, reason))
        nothing = {"n": 0, "accuracy": None, "ci95": None}
        return {
            "chunk": nothing,
            "recording": dict(nothing),
            "per_label": [],
            "confusion": None,
            "mistakes": [],
            "calibration": {"ece": None, "bins": []},
        }
    levels = {"chunk": _chunks(known, numbers), "recording": _recordings(known, numbers)}
    weights = recording_weights(levels["recording"].numbers, seed=seed)
    if len(known) == 1:
        not_computed["ci95"] = "one recording tells nothing about how recordings vary"
    calibration = _calibration(levels["chunk"]) | {"recording": _calibration(levels["recording"])}
    return {
        **{name: _scores(level, weights) for name, level in levels.items()},
        "per_label": _per_label(levels, numbers),
        "confusion": _confusion(levels["recording"], len(numbers), not_computed),
        "mistakes": _mistakes(levels["recording"], list(numbers)),
        "calibration": calibration,
    }


@dataclass(frozen=True)
class _Level:
    """Chunks, or recordings as a whole: true labels, log probabilities and the recording of each."""

    numbers: np.ndarray
    log_probabilities: np.ndarray
    recordings: np.ndarray

    @property
    def answers(self) -> np.ndarray:
        return self.log_probabilities.argmax(axis=1)


def _chunks(known: Sequence[ScoredRecording], numbers: Mapping[str, int]) -> _Level:
    counts = [len(one.logits) for one in known]
    return _Level(
        np.repeat([numbers[one.label] for one in known], counts),
        np.concatenate([log_softmax(one.logits) for one in known]),
        np.repeat(np.arange(len(known)), counts),
    )


def _recordings(known: Sequence[ScoredRecording], numbers: Mapping[str, int]) -> _Level:
    return _Level(
        np.array([numbers[one.label] for one in known]),
        np.stack([_pooled(one) for one in known]),
        np.arange(len(known)),
    )


def _pooled(one: ScoredRecording) -> np.ndarray:
    """Return the log probabilities of a recording as a whole, as the classifier pools them."""
    return np.log(np.maximum(pool(log_softmax(one.logits), one.weights), metrics.LEAST_PROBABILITY))


def _scores(level: _Level, weights: np.ndarray) -> dict:
    sums = RecordingSums(level.numbers, level.log_probabilities, level.recordings)
    one_label = level.log_probabilities.shape[1] < 2
    ks = [k for k in TOP_K if k < level.log_probabilities.shape[1]]
    accuracy, balanced, f1 = (float(score()[0]) for score in (sums.accuracy, sums.balanced_accuracy, sums.macro_f1))
    interval = partial(_share_interval, rows=len(level.numbers), recordings=sums.count)
    return {
        "n": len(level.numbers),
        "accuracy": accuracy,
        "ci95": interval(accuracy, sums.accuracy(weights)),
        "balanced_accuracy": balanced,
        "balanced_accuracy_ci95": interval(balanced, sums.balanced_accuracy(weights)),
        "macro_f1": f1,
        "macro_f1_ci95": interval(f1, sums.macro_f1(weights)),
        "log_loss": float(sums.log_loss()[0]),
        "log_loss_ci95": _interval(sums.log_loss(weights), sums.count),
        "top_k_accuracy": {} if one_label else {str(k): float(sums.top_k_accuracy(k)[0]) for k in ks},
    }


def _accuracy(level: _Level, weights: np.ndarray) -> dict:
    sums = RecordingSums(level.numbers, level.log_probabilities, level.recordings)
    share = float(sums.accuracy()[0])
    interval = _share_interval(share, sums.accuracy(weights), rows=len(level.numbers), recordings=sums.count)
    return {"n": len(level.numbers), "accuracy": share, "ci95": interval}


def _per_label(levels: Mapping[str, _Level], numbers: Mapping[str, int]) -> list[dict]:
    scores = {name: metrics.label_scores(level.numbers, level.answers, len(numbers)) for name, level in levels.items()}
    return [
        {
            "label": label,
            "recordings": int(scores["recording"].support[number]),
            "chunks": int(scores["chunk"].support[number]),
            **{
                name: {
                    "precision": float(level.precision[number]),
                    "recall": float(level.recall[number]),
                    "f1": float(level.f1[number]),
                }
                for name, level in scores.items()
            },
        }
        for label, number in numbers.items()
    ]


def _confusion(level: _Level, label_count: int, not_computed: dict[str, str]) -> list[list[int]] | None:
    if label_count > MOST_CONFUSION_LABELS:
        not_computed["confusion"] = f"a table of {label_count} labels would be too large; `mistakes` has what is in it"
        return None
    return metrics.confusion(level.numbers, level.answers, label_count).tolist()


def _mistakes(level: _Level, labels: Sequence[str]) -> list[dict]:
    wrong = np.flatnonzero(level.numbers != level.answers)
    counts = Counter((int(level.numbers[row]), int(level.answers[row])) for row in wrong)
    return [
        {"label": labels[number], "answer": labels[answer], "recordings": count}
        for (number, answer), count in counts.most_common(MOST_MISTAKES)
    ]


def _calibration(level: _Level) -> dict:
    table = metrics.reliability(np.exp(level.log_probabilities.max(axis=1)), level.numbers == level.answers)
    return {
        "ece": metrics.calibration_error(table),
        "binning": "equal mass",
        "bins": [asdict(row) for row in table],
    }


# Any label at all


def _open_set(
    known: Sequence[ScoredRecording],
    unknown: Sequence[ScoredRecording],
    seed: int,
    not_computed: dict[str, str],
) -> dict:
    open_set = [*known, *unknown][0].open_set
    if open_set is None:
        not_computed["open_set.false_reject_rate"] = "the classifier has no threshold for unknown clips"
    if not unknown:
        not_computed["open_set.auroc"] = (
            "no recording is of an unknown label; give some by --negatives, or in a folder named _unknown_"
        )
    if not known:
        not_computed["open_set.auroc"] = "no recording is of a label that the classifier knows"
    return {
        "score": "likelihood ratio" if open_set else "log probability",
        "stated_rate": open_set.stated_rate if open_set else None,
        **_detection(known, unknown, seed, by_chunk=False),
        "chunk": _detection(known, unknown, seed, by_chunk=True),
    }


def _detection(
    known: Sequence[ScoredRecording],
    unknown: Sequence[ScoredRecording],
    seed: int,
    *,
    by_chunk: bool,
) -> dict:
    """Return how well known and unknown clips are told apart; at either level intervals are by recording."""
    sides = [_Side.of(recordings, by_chunk=by_chunk) for recordings in (known, unknown)]
    draws = [recording_weights(np.zeros(side.recordings, int), seed=seed) for side in sides]
    scores = [side.scores for side in sides]
    result = _curve_scores(detection_curve(*scores), n_known=len(scores[0]), n_unknown=len(scores[1]))
    resampled = [
        detection_curve(
            *scores, known_weights=known_draw[sides[0].owners], unknown_weights=unknown_draw[sides[1].owners]
        )
        for known_draw, unknown_draw in zip(draws[0][:CURVE_RESAMPLES], draws[1][:CURVE_RESAMPLES], strict=True)
    ]
    for name, score in (("auroc", auroc), ("eer", equal_error_rate)):
        values = np.array([score(curve) for curve in resampled if curve])
        least = {"rows": min(map(len, scores)), "recordings": min(len(known), len(unknown))}
        result[f"{name}_ci95"] = _share_interval(result[name], values, **least)
    for name, index, wrong in (("false_accept_rate", 1, True), ("false_reject_rate", 0, False)):
        side = sides[index]
        mistakes = side.accepted == wrong
        result[name] = float(mistakes.mean()) if len(mistakes) else None
        result[f"{name}_ci95"] = _rate_interval(mistakes, side.owners, draws[index]) if len(mistakes) else None
    return result


@dataclass(frozen=True)
class _Side:
    """Known or unknown clips: their scores, the recording of each, and which are accepted, if there is a threshold."""

    scores: np.ndarray
    owners: np.ndarray
    accepted: np.ndarray
    recordings: int

    @classmethod
    def of(cls, recordings: Sequence[ScoredRecording], *, by_chunk: bool) -> "_Side":
        if not recordings:
            return cls(np.empty(0), np.empty(0, int), np.empty(0, bool), 0)
        counts = [len(one.logits) if by_chunk else 1 for one in recordings]
        owners = np.repeat(np.arange(len(recordings)), counts)
        scores = np.concatenate([_known_scores(*judged) for judged in _judged(recordings, by_chunk)])
        if recordings[0].open_set is None:
            return cls(scores, owners, np.empty(0, bool), len(recordings))
        thresholds = [
            one.open_set.threshold(1 if by_chunk else one.weights.sum()) for one in recordings if one.open_set
        ]
        return cls(scores, owners, scores >= np.repeat(thresholds, counts), len(recordings))


_Judged = tuple[OpenSetDetector | None, np.ndarray, np.ndarray]


def _judged(recordings: Sequence[ScoredRecording], by_chunk: bool) -> Iterator[_Judged]:
    """Yield what tells known from unknown with the clips that it judges, in order, and how many chunks each is worth.

    The clips are all chunks, or the means of each recording: float64, shape (clips, labels), logits, or what an open
    set makes of them.
    """
    for _, of_one in groupby(recordings, key=lambda one: id(one.open_set)):
        judged = list(of_one)
        open_set = judged[0].open_set
        clips = [open_set.evidence(one.logits) if open_set else one.logits.astype(np.float64) for one in judged]
        if by_chunk:
            chunks = np.concatenate(clips)
            yield open_set, chunks, np.ones(len(chunks))
        else:
            means = [np.average(rows, axis=0, weights=one.weights) for one, rows in zip(judged, clips, strict=True)]
            yield open_set, np.stack(means), np.array([one.weights.sum() for one in judged])


def _known_scores(open_set: OpenSetDetector | None, clips: np.ndarray, worths: np.ndarray) -> np.ndarray:
    """Score clips: by likelihood ratio, or for want of it by the log probability of the answer."""
    return (open_set.claims(clips, worths) if open_set else log_softmax(clips)).max(axis=1)


def _rate_interval(mistakes: np.ndarray, owners: np.ndarray, draws: np.ndarray) -> list[float] | None:
    recordings = draws.shape[1]
    sums = np.bincount(owners, mistakes, recordings), np.bincount(owners, minlength=recordings)
    drawn = draws @ sums[0] / (draws @ sums[1])
    return _share_interval(float(mistakes.mean()), drawn, rows=len(mistakes), recordings=recordings)


def _verification(
    known: Sequence[ScoredRecording],
    unknown: Sequence[ScoredRecording],
    numbers: Mapping[str, int],
    not_computed: dict[str, str],
) -> dict:
    """Return how well true claims of a label are told from false ones; unknown clips make false claims only."""
    result = {}
    for name, by_chunk in (("recording", False), ("chunk", True)):
        sides = [*known, *unknown]
        counts = [len(one.logits) if by_chunk else 1 for one in sides]
        true = np.repeat([numbers.get(one.label, -1) for one in sides], counts)
        claims = np.concatenate(
            [
                judge.claims(clips, worths) if judge else _log_odds(clips)
                for judge, clips, worths in _judged(sides, by_chunk)
            ]
        )
        targets, others = verification_trials(true, claims)
        if len(others) > MOST_FALSE_CLAIMS:
            others = np.random.default_rng(0).choice(others, MOST_FALSE_CLAIMS, replace=False)
        curve = detection_curve(targets, others)
        result[name] = _curve_scores(curve, n_target=len(targets), n_nontarget=len(others))
    if result["recording"]["auroc"] is None:
        not_computed["verification.auroc"] = "claims need a recording of a known label, and a second label"
    return {**result["recording"], "chunk": result["chunk"]}


def _log_odds(logits: np.ndarray) -> np.ndarray:
    log_probabilities = log_softmax(logits).clip(max=-1e-12)
    return log_probabilities - np.log(-np.expm1(log_probabilities))


def _curve_scores(curve: DetectionCurve | None, **sizes: int) -> dict:
    if curve is None:
        return {"auroc": None, "eer": None, "min_dcf": None, "p_target": TARGET_PRIOR, **sizes, "det": None}
    return {
        "auroc": auroc(curve),
        "eer": equal_error_rate(curve),
        "min_dcf": least_cost(curve),
        "p_target": TARGET_PRIOR,
        **sizes,
        "det": _thinned(curve),
    }


def _thinned(curve: DetectionCurve) -> dict:
    """Return points of a curve for a plot: those nearest to an even spread over both rates; without infinity."""
    thresholds = np.minimum(curve.thresholds, np.nextafter(curve.thresholds[-2], np.inf))
    progress = curve.false_rejects - curve.false_accepts  # rises from -1 to 1
    wanted = np.searchsorted(progress, np.linspace(-1, 1, CURVE_POINTS)).clip(max=len(progress) - 1)
    rows = np.unique(np.concatenate([[0], wanted, [len(progress) - 1]]))
    fields = {"thresholds": thresholds, "false_accepts": curve.false_accepts, "false_rejects": curve.false_rejects}
    return {name: np.round(values[rows], 6).tolist() for name, values in fields.items()}


# One by one


def _row(one: ScoredRecording, labels: Sequence[str]) -> dict:
    log_probabilities = _pooled(one)
    answer = int(log_probabilities.argmax())
    number = labels.index(one.label) if one.label in labels else None
    return {
        "recording": one.recording,
        "label": one.label,
        "known": number is not None,
        "answer": labels[answer],
        "probability": float(np.exp(log_probabilities[answer])),
        "label_probability": None if number is None else float(np.exp(log_probabilities[number])),
        "right": number == answer if number is not None else None,
        "score": float(_known_scores(*next(_judged([one], by_chunk=False)))[0]),
        "accepted": one.open_set.accepts(one.logits, one.weights) if one.open_set else None,
        "chunks": len(one.logits),
        "chunks_right": None if number is None else int((one.logits.argmax(axis=1) == number).sum()),
        "telling_seconds": _telling_seconds(one, answer),
        "in_training": one.in_training,
    }


def _interval(values: np.ndarray, recordings: int) -> list[float] | None:
    drawn = intervals.interval(values) if recordings > 1 else None
    return list(drawn) if drawn else None


def _telling_seconds(one: ScoredRecording, answer: int) -> float | None:
    if not one.offsets_seconds:
        return None
    return float(one.offsets_seconds[int(log_softmax(one.logits)[:, answer].argmax())])


def _share_interval(share: float | None, values: np.ndarray, *, rows: int, recordings: int) -> list[float] | None:
    if share is None or recordings < 2:
        return None
    drawn = share_interval(share, values, rows=rows, recordings=recordings)
    return list(drawn) if drawn else None


def _without_nan(value: object) -> object:
    """Return JSON that holds null where it held NaN, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
