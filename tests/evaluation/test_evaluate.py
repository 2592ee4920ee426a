"""Every documented key is there, and JSON can hold it; what cannot be read or was trained on is told."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import voice, write_sound
from hypothesis import given
from hypothesis import strategies as st
from scored_examples import LABELS, plain, scored_folder, with_open_set

from audionet.audio.fingerprints import fingerprint_of
from audionet.errors import InputError
from audionet.evaluation import test_set
from audionet.evaluation.evaluate import evaluate, evaluate_folder
from audionet.evaluation.leakage import content_keys
from audionet.evaluation.scored_recording import ScoredRecording
from audionet.evaluation.scoring import score_sources
from audionet.models.classifier import Classifier
from audionet.models.openset import BY_LOGITS


@pytest.fixture
def classifier(saved) -> Classifier:
    return Classifier.load(saved / "retrained_model")


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


class TestFolders:
    def test_a_recording_that_cannot_be_read_is_set_aside_by_name(self, classifier, spoken, tmp_path):
        folder = shutil.copytree(spoken, tmp_path / "audio")
        (folder / "alice" / "broken.mp3").write_bytes(b"no sound" * 100)
        write_sound(folder / "bob" / "silent.wav", np.zeros(16_000, np.float32))
        result = evaluate_folder(classifier, test_set.find_audio(folder))
        assert set(result["failures"]) == {"alice/broken.mp3", "bob/silent.wav"}
        assert "silent" in result["failures"]["bob/silent.wav"]
        assert result["recording"]["n"] == 6

    def test_negatives_and_strange_folders_are_unknown(self, classifier, spoken, tmp_path):
        folder = shutil.copytree(spoken, tmp_path / "audio")
        write_sound(folder / "_unknown_" / "a.wav", voice("alice", seed=50))
        write_sound(tmp_path / "negatives" / "deep" / "b.wav", voice("bob", seed=51))
        sources = test_set.find_sources(audio_dir=folder, image_dir=None, negatives=tmp_path / "negatives")
        result = evaluate_folder(classifier, sources)
        assert result["data"]["unknown_labels"] == {"_unknown_": 2} and result["recording"]["n"] == 6
        assert result["open_set"]["auroc"] is not None

    def test_what_was_in_training_is_found_by_its_content_and_can_be_left_out(
        self, classifier, speakers, drawn, spoken, tmp_path
    ):
        folder = shutil.copytree(spoken, tmp_path / "audio")
        shutil.copy(speakers / "alice" / "0.mp3", folder / "bob" / "another name.mp3")
        classifier.training_keys = content_keys(drawn.glob("alice/0_*.jpg"))
        sources = test_set.find_audio(folder)
        assert score_sources(classifier, sources).in_training == ["bob/another name.mp3"]
        result = evaluate_folder(classifier, sources, exclude_training=True)
        assert result["excluded"] == ["bob/another name.mp3"] and result["recording"]["n"] == 6

    def test_what_was_in_training_is_found_even_if_it_was_encoded_and_cut_otherwise(self, classifier, tmp_path):
        sound = voice("alice", seed=77, seconds=20.0)
        sound[100_000:220_000] += voice("bob", seed=78, seconds=7.5)
        write_sound(tmp_path / "trained" / "alice" / "a.wav", sound)
        write_sound(tmp_path / "tested" / "bob" / "b.ogg", sound[10_000:])
        trained = score_sources(classifier, test_set.find_audio(tmp_path / "trained"))
        classifier.fingerprints = {name: fingerprint_of(stats) for name, stats in trained.chunk_stats.items()}
        result = evaluate_folder(classifier, test_set.find_audio(tmp_path / "tested"))
        assert result["recordings"][0]["in_training"] > 3
        assert "alice/a.wav" in result["shared_with_training"][0]

    def test_it_says_how_the_recordings_sound(self, classifier, spoken):
        result = evaluate_folder(classifier, test_set.find_audio(spoken))
        assert {row["label"] for row in result["data_audit"]["labels"]} == set(LABELS)

    def test_the_most_telling_chunk_is_named(self, classifier, spoken):
        result = evaluate_folder(classifier, test_set.find_audio(spoken))
        assert all(row["telling_seconds"] in (0, 2, 4) for row in result["recordings"])

    def test_nothing_left_to_test_on_is_an_error(self, classifier, speakers, drawn):
        classifier.training_keys = content_keys(drawn.rglob("*.jpg"))
        with pytest.raises(InputError, match="15 were in training"):
            evaluate_folder(classifier, test_set.find_audio(speakers), exclude_training=True)


def test_what_a_user_gets_is_counted_beside_the_accuracy_without_a_threshold(classifier):
    recordings = scored_folder(unknown=2, wrong=2)
    plain_scores = evaluate(recordings, LABELS)["recording"]
    assert (plain_scores["named_right"], plain_scores["refused"]) == (plain_scores["accuracy"], 0)
    by_logits = replace(classifier.open_set, scored_by=BY_LOGITS, prototypes=None)
    scores = sorted(by_logits.score(by_logits.evidence(one.logits)) for one in recordings)
    for bound in scores:
        strict = replace(by_logits, chunk_counts=np.ones(1, int), thresholds=np.full(1, bound))
        result = evaluate(with_open_set(recordings, strict), LABELS)
        recording, rows = result["recording"], [row for row in result["recordings"] if row["known"]]
        assert recording["accuracy"] == plain_scores["accuracy"]
        assert recording["refused"] == np.mean([not row["accepted"] for row in rows])
        assert recording["named_right"] == np.mean([row["accepted"] and row["right"] for row in rows])
        assert recording["named_wrong"] == np.mean([row["accepted"] and not row["right"] for row in rows])
        low, high = recording["named_right_ci95"]
        assert low <= recording["named_right"] <= high
