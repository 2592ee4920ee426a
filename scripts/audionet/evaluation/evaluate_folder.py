"""Score a test folder and evaluate the scores."""

from collections.abc import Sequence
from typing import Any

from audionet.errors import InputError
from audionet.evaluation.data_audit import audit_data
from audionet.evaluation.evaluate import evaluate
from audionet.evaluation.leakage import training_keys
from audionet.evaluation.robustness import sweep
from audionet.evaluation.runs import data_digest
from audionet.evaluation.scoring import ScoredFolder, score_sources
from audionet.evaluation.test_set import Source
from audionet.models.classifier import Classifier


def evaluate_folder(
    classifier: Classifier,
    sources: Sequence[Source],
    *,
    exclude_training: bool = False,
    with_sweep: bool = False,
    jobs: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Score a test folder and evaluate the scores.

    Args:
        classifier: what to test.
        sources: the recordings, known and unknown.
        exclude_training: leave out those that were in training.
        with_sweep: score them under other conditions too.
        jobs: how many processes read and draw, by default one a core.
        seed: of the intervals.

    Returns:
        As the docstring of `evaluate` says.

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
