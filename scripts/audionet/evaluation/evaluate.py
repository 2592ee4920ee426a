"""Logits or a test folder in, an evaluation out: one JSON object that screens, reports and comparisons read.

Its keys, where `ci95` is a 95 % interval as [low, high] by bootstrap over groups of recordings, each of which
is by default one recording, and null stands for a number that
cannot be computed, the reason for which is in `not_computed`:

    format                  1
    labels                  names, in the order of the classifier's outputs
    data                    recordings, groups, chunks: of known labels; unknown_recordings, unknown_groups,
                            unknown_chunks; unknown_labels, the recordings by folder that the classifier has no label
                            for
    chunk, recording        n, accuracy, ci95, balanced_accuracy, balanced_accuracy_ci95, macro_f1, macro_f1_ci95,
                            log_loss, log_loss_ci95, top_k_accuracy: by k, as text; all without a threshold.
                            Of recordings also the shares of answers as a user gets them: named_right,
                            named_right_ci95, named_wrong, refused: known, but below the threshold
    per_label               a list: label, recordings, chunks, and for each level precision, recall, f1
    confusion               recordings: true label by row, answer by column; null beyond 200 labels
    mistakes                a list, the most frequent first: label, answer, recordings
    calibration             of chunks: ece, binning, bins: a list of low, high, confidence, accuracy, n; and `recording`
                            with the same
    open_set                known against unknown recordings: auroc, auroc_ci95, pauc, which is McClish's partial area
                            up to a tenth of known ones refused, eer, eer_ci95, min_dcf, p_target, n_known, n_unknown,
                            det; false_accept_rate, false_accept_rate_ci95, false_reject_rate, false_reject_rate_ci95
                            at the classifier's threshold, stated_rate, or of one label alone stated_false_reject_rate;
                            score; and `chunk` with the same. Without unknown recordings only what needs none.
    verification            true against false claims of a label, by recording: auroc, eer, min_dcf, p_target,
                            n_target, n_nontarget, det; and `chunk` with the same
    recordings              a list: recording, group, label, known, answer, probability, label_probability, right,
                            score, accepted, chunks, chunks_right, telling_seconds, where the chunk begins that is
                            surest of the answer, in_training, how many of its chunks were trained on, roughly
    map                     `labels` in their order round a circle, and `positions` of the recordings, as
                            `map_recordings` gives them; null for fewer labels than three or more than thirty
    not_computed            sentences, by the dotted name of what is null

`det` has the lists `thresholds`, `false_accepts` and `false_rejects`, up to 200 points. `evaluate_folder` adds

    data.fingerprint        of the content, labels and names of the recordings
    model                   architecture, bottleneck, fingerprint, head
    failures                reason by recording that could not be read
    excluded                recordings left out since they were in training
    training_known          whether the classifier tells what it was trained on
    shared_with_training    sentences about sound that is in training too
    data_audit              how the recordings sound, as `DataAudit.to_json` gives it; null for pictures
    sweep                   if wanted, a list, `clean` first: name, family, level, strength, and chunk and recording
                            with n, accuracy, ci95
    sweep_skipped           reason by name of conditions that this machine cannot make
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from audionet.errors import InputError
from audionet.evaluation.closed_set import closed_set_scores
from audionet.evaluation.data_audit import audit_data
from audionet.evaluation.detection_metrics import open_set_score, open_set_scores, verification_scores
from audionet.evaluation.leakage import training_keys
from audionet.evaluation.metrics import check_scores
from audionet.evaluation.recording_map import map_recordings
from audionet.evaluation.robustness import sweep
from audionet.evaluation.runs import data_digest
from audionet.evaluation.scored_recording import ScoredRecording
from audionet.evaluation.scoring import ScoredFolder, score_sources
from audionet.evaluation.test_set import Source
from audionet.models.classifier import Classifier
from audionet.models.pooling import log_softmax

FORMAT = 1


def evaluate(scored: Sequence[ScoredRecording], labels: Sequence[str], *, seed: int = 0) -> dict[str, Any]:
    """Evaluate a classifier on recordings that it was not trained on; the module's docstring says what is returned.

    Args:
        scored: the recordings, at least one of them, by one head or by the heads of a cross-validation. Labels that are
            not among `labels` count as unknown.
        labels: of the classifier.
        seed: of the resamples that intervals rest on.

    Raises:
        InputError: a logit is NaN.
    """
    check_scores(np.concatenate([one.logits for one in scored]), name="logits")
    if any(one.open_set is None for one in scored):  # of several heads, not all could learn it
        scored = [replace(one, open_set=None) for one in scored]
    label_ids = {label: label_id for label_id, label in enumerate(labels)}
    known = [one for one in scored if one.label in label_ids]
    unknown = [one for one in scored if one.label not in label_ids]
    not_computed: dict[str, str] = {}
    claimants = unknown if len(labels) > 1 else []  # claims of the only label are the open set again
    result = {
        "format": FORMAT,
        "labels": list(labels),
        "data": _sizes(known, unknown),
        **closed_set_scores(known, label_ids, seed=seed, not_computed=not_computed),
        "open_set": open_set_scores(known, unknown, seed=seed, not_computed=not_computed),
        "verification": verification_scores(known, claimants, label_ids, not_computed=not_computed),
        "recordings": [_row(one, labels) for one in scored],
        "map": map_recordings(scored, labels),
        "not_computed": not_computed,
    }
    return {key: _without_nan(value) for key, value in result.items()}


def evaluate_folder(
    classifier: Classifier,
    sources: Sequence[Source],
    *,
    exclude_training: bool = False,
    with_sweep: bool = False,
    jobs: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Score the recordings of a test folder, known and unknown, and evaluate the scores as `evaluate` does.

    Args:
        classifier: what to test.
        sources: the recordings.
        exclude_training: leave out those that were in training.
        with_sweep: score them under other conditions too.
        jobs: how many processes read and draw, by default one a core.
        seed: of the intervals.

    Raises:
        InputError: no recording is left to score.
    """
    scored = score_sources(classifier, sources, jobs=jobs)
    if exclude_training:
        scored = scored.without_training()
    result = evaluate_scored(classifier, scored, seed=seed)
    if with_sweep:
        gone = {*scored.excluded, *scored.failures}
        kept = [source for source in sources if source.recording not in gone]
        result["sweep"], result["sweep_skipped"] = sweep(classifier, kept, jobs=jobs, seed=seed)
    return result


def evaluate_scored(classifier: Classifier, scored: ScoredFolder, *, seed: int = 0) -> dict[str, Any]:
    """Evaluate a test folder that was scored, as `evaluate_folder` does but for the sweep.

    Raises:
        InputError: no recording is left.
    """
    if not scored.scored:
        raise InputError(
            f"{len(scored.failures)} recordings cannot be read and {len(scored.excluded)} were in training: none is "
            f"left to test on. {next(iter(scored.failures.values()), '')}"
        )
    backbone, training = classifier.about["backbone"], classifier.about.get("training", {})
    result = evaluate(scored.scored, classifier.labels, seed=seed)
    result["model"] = {name: backbone.get(name) for name in ("architecture", "bottleneck", "fingerprint")}
    result["model"]["head"] = training.get("trainer")
    result["data"]["fingerprint"] = data_digest(
        (one.label, one.recording, str(scored.keys[one.recording])) for one in scored.scored
    )
    result["failures"] = scored.failures
    result["excluded"] = scored.excluded
    result["training_known"] = bool(training_keys(classifier) or classifier.fingerprints)
    result["shared_with_training"] = [shared.sentence() for shared in scored.shared]
    labels = {one.recording: one.label for one in scored.scored if one.recording in scored.chunk_stats}
    result["data_audit"] = (
        audit_data(scored.chunk_stats, labels, for_training=False).to_json() if scored.chunk_stats else None
    )
    return result


def _sizes(known: Sequence[ScoredRecording], unknown: Sequence[ScoredRecording]) -> dict[str, Any]:
    return {
        "recordings": len(known),
        "groups": len({one.group for one in known}),
        "chunks": sum(len(one.logits) for one in known),
        "unknown_recordings": len(unknown),
        "unknown_groups": len({one.group for one in unknown}),
        "unknown_chunks": sum(len(one.logits) for one in unknown),
        "unknown_labels": dict(sorted(Counter(one.label for one in unknown).items())),
    }


def _row(one: ScoredRecording, labels: Sequence[str]) -> dict[str, Any]:
    log_probabilities = one.pooled
    answer = int(log_probabilities.argmax())
    label_id = labels.index(one.label) if one.label in labels else None
    return {
        "recording": one.recording,
        "group": one.group,
        "label": one.label,
        "known": label_id is not None,
        "answer": labels[answer],
        "probability": float(np.exp(log_probabilities[answer])),
        "label_probability": None if label_id is None else float(np.exp(log_probabilities[label_id])),
        "right": label_id == answer if label_id is not None else None,
        "score": open_set_score(one),
        "accepted": one.is_accepted if one.open_set else None,
        "chunks": len(one.logits),
        "chunks_right": None if label_id is None else int((one.logits.argmax(axis=1) == label_id).sum()),
        "telling_seconds": _telling_seconds(one, answer),
        "in_training": one.in_training,
    }


def _telling_seconds(one: ScoredRecording, answer: int) -> float | None:
    if not one.offsets_seconds:
        return None
    return float(one.offsets_seconds[int(log_softmax(one.logits)[:, answer].argmax())])


def _without_nan(value: object) -> object:
    """Return JSON that holds null where it held NaN, which JSON has no word for."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
