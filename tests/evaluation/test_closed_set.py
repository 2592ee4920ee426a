"""Which label: scores by label and by level, and what is missing without recordings."""

import json

import numpy as np
import pytest
from scored_examples import LABELS, in_groups, plain, scored, scored_folder

from audionet.evaluation.closed_set import accuracies
from audionet.evaluation.evaluate import evaluate
from audionet.evaluation.scored_recording import ScoredRecording


class TestClosedSet:
    def test_the_confusion_counts_recordings(self):
        result = evaluate(scored_folder(), LABELS)
        assert result["confusion"] == [[3, 0, 1], [0, 4, 0], [0, 0, 4]]
        assert result["mistakes"] == [{"label": "alice", "answer": "carol", "recordings": 1}]

    def test_a_label_that_was_not_tested_has_no_recall(self):
        result = plain(evaluate([scored("1.mp3", "alice"), scored("2.mp3", "alice")], LABELS))
        rows = {row["label"]: row for row in result["per_label"]}
        assert rows["bob"]["recording"] == {"precision": None, "recall": None, "f1": None}
        assert rows["alice"]["recording"]["recall"] == 1

    def test_one_recording_has_no_interval(self):
        result = plain(evaluate([scored("1.mp3", "alice")], LABELS))
        assert result["recording"]["accuracy"] == 1 and result["recording"]["ci95"] is None
        assert "one recording" in result["not_computed"]["ci95"]

    def test_one_recording_of_each_label_has_one(self):
        result = evaluate([scored("1.mp3", label) for label in LABELS], LABELS)
        assert result["recording"]["ci95"] == [pytest.approx(0.025 ** (1 / 3)), 1.0]

    def test_recordings_of_a_group_are_resampled_together(self):
        alone = evaluate(scored_folder(wrong=2), LABELS)
        grouped = evaluate(in_groups(scored_folder(wrong=2), 2), LABELS)
        assert grouped["recording"]["accuracy"] == alone["recording"]["accuracy"]
        assert (alone["data"]["groups"], grouped["data"]["groups"]) == (12, 6)
        for level in ("recording", "chunk"):
            for score in ("ci95", "balanced_accuracy_ci95", "macro_f1_ci95", "log_loss_ci95"):
                widths = [np.ptp(result[level][score]) for result in (alone, grouped)]
                assert widths[1] > widths[0]

    def test_a_group_of_each_recording_changes_nothing(self):
        alone, grouped = (evaluate(scored, LABELS) for scored in (scored_folder(), in_groups(scored_folder(), 1)))
        assert alone["recording"] == grouped["recording"] and alone["chunk"] == grouped["chunk"]

    def test_one_group_has_no_interval(self):
        result = plain(evaluate(in_groups(scored_folder(), 99), LABELS))
        assert result["recording"]["ci95"] is None
        assert "one group tells nothing about how groups vary" in result["not_computed"]["ci95"]

    def test_a_thousand_labels(self):
        labels = [f"label {number}" for number in range(1_000)]
        logits = np.random.default_rng(0).normal(0, 1, (1_000, 2, 1_000)).astype(np.float32)
        logits[np.arange(1_000), :, np.arange(1_000)] += 5
        result = plain(
            evaluate(
                [ScoredRecording(f"{label}/1", label, rows) for label, rows in zip(labels, logits, strict=True)], labels
            )
        )
        assert result["confusion"] is None and "1000 labels" in result["not_computed"]["confusion"]
        assert len(result["per_label"]) == 1_000 and result["recording"]["accuracy"] > 0.9
        assert len(json.dumps(result)) < 2_000_000

    def test_without_a_recording_a_condition_has_no_accuracy(self):
        assert accuracies([], LABELS)["chunk"] == {"n": 0, "accuracy": None, "ci95": None}
