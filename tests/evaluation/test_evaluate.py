"""Every documented key is there, and JSON can hold it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored_examples import LABELS, plain, scored_folder

from audionet.errors import InputError
from audionet.evaluation.evaluate import evaluate
from audionet.evaluation.scored_recording import ScoredRecording


class TestKeys:
    def test_accuracy_has_its_interval_and_its_number_beside_it(self):
        result = plain(evaluate(scored_folder(), LABELS))
        assert result["recording"]["accuracy"] == pytest.approx(11 / 12) and result["recording"]["n"] == 12
        assert result["chunk"]["accuracy"] == pytest.approx(44 / 48) and result["chunk"]["n"] == 48
        low, high = result["recording"]["ci95"]
        assert 0.6 < low < 11 / 12 < high <= 1

    def test_every_documented_key_is_there(self):
        result = plain(evaluate(scored_folder(unknown=3), LABELS))
        levels = {"n", "accuracy", "ci95", "balanced_accuracy", "macro_f1", "log_loss", "top_k_accuracy"}
        assert levels <= set(result["chunk"]) and levels <= set(result["recording"])
        assert {"ece", "bins", "recording"} <= set(result["calibration"])
        detection = {"auroc", "eer", "min_dcf", "p_target", "false_accept_rate", "false_reject_rate", "det", "chunk"}
        assert detection <= set(result["open_set"])
        assert {"auroc", "eer", "min_dcf", "n_target", "n_nontarget", "chunk"} <= set(result["verification"])

    def test_each_recording_is_listed_with_its_answer(self):
        row = evaluate(scored_folder(), LABELS)["recordings"][0]
        assert (row["recording"], row["label"], row["answer"], row["right"]) == ("alice/0.mp3", "alice", "carol", False)
        assert row["chunks"] == 4 and row["chunks_right"] == 0 and 0.9 < row["probability"] < 1

    def test_the_same_again_is_the_same(self):
        assert evaluate(scored_folder(unknown=3), LABELS) == evaluate(scored_folder(unknown=3), LABELS)


class TestBadInput:
    def test_a_logit_that_is_no_number_is_refused(self):
        damaged = ScoredRecording("a", "alice", np.array([[np.nan, 0, 0]], np.float32))
        with pytest.raises(InputError, match="NaN"):
            evaluate([damaged], LABELS)

    @given(st.lists(st.tuples(st.sampled_from((*LABELS, "mallory")), st.integers(1, 5)), min_size=1, max_size=8))
    def test_whatever_is_there_json_can_hold(self, folder):
        rng = np.random.default_rng(len(folder))
        recordings = [
            ScoredRecording(f"{label}/{number}", label, rng.normal(0, 3, (chunks, 3)))
            for number, (label, chunks) in enumerate(folder)
        ]
        result = plain(evaluate(recordings, LABELS))
        assert len(result["recordings"]) == len(folder)
