import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SCRIPTS, run_python, voice, write_sound
from hypothesis import given
from hypothesis import strategies as st

from audionet.audio.fingerprints import fingerprint_of
from audionet.errors import InputError
from audionet.evaluation import comparison, robustness, summary, test_set
from audionet.evaluation.evaluate import ScoredRecording, accuracies, evaluate
from audionet.evaluation.evaluate_folder import evaluate_folder
from audionet.evaluation.leakage import content_key, content_keys
from audionet.evaluation.robustness import SWEEP, ConditionContext, altered_clips, sweep
from audionet.evaluation.runs import read_runs
from audionet.evaluation.scoring import score_sources
from audionet.features.image_io import encode_jpg
from audionet.models.classifier import Classifier
from audionet.reports import examples
from audionet.training.openset_fitting import Clips, fit_open_set

LABELS = ("alice", "bob", "carol")


def scored(
    recording: str, label: str, *, answer: str | None = None, chunks: int = 4, sure: float = 4.0, in_training: int = 0
) -> ScoredRecording:
    """Return a recording whose chunks are all answered alike, or not at all clearly if of a stranger."""
    number = LABELS.index(answer or label) if (answer or label) in LABELS else 0
    logits = np.random.default_rng(len(recording)).normal(0, 0.3, (chunks, len(LABELS))).astype(np.float32)
    logits[:, number] += sure if (answer or label) in LABELS else 0
    return ScoredRecording(f"{label}/{recording}", label, logits, in_training=in_training)


def judged(recordings: list[ScoredRecording], open_set) -> list[ScoredRecording]:
    return [replace(one, open_set=open_set) for one in recordings]


def a_test_folder(*, strangers: int = 0, wrong: int = 1) -> list[ScoredRecording]:
    """Return four recordings a label, of which `wrong` are mistaken for carol's, and some of strangers."""
    known = [
        scored(f"{number}.mp3", label, answer="carol" if number < wrong and label == "alice" else None)
        for label in LABELS
        for number in range(4)
    ]
    return known + [scored(f"{number}.mp3", "mallory") for number in range(strangers)]


def plain(value):
    """What a reader of the file gets."""
    return json.loads(json.dumps(value, allow_nan=False))


class TestKeys:
    def test_accuracy_has_its_interval_and_its_number_beside_it(self):
        result = plain(evaluate(a_test_folder(), LABELS))
        assert result["recording"]["accuracy"] == pytest.approx(11 / 12) and result["recording"]["n"] == 12
        assert result["chunk"]["accuracy"] == pytest.approx(44 / 48) and result["chunk"]["n"] == 48
        low, high = result["recording"]["ci95"]
        assert 0.6 < low < 11 / 12 < high <= 1

    def test_every_documented_key_is_there(self):
        result = plain(evaluate(a_test_folder(strangers=3), LABELS))
        levels = {"n", "accuracy", "ci95", "balanced_accuracy", "macro_f1", "log_loss", "top_k_accuracy"}
        assert levels <= set(result["chunk"]) and levels <= set(result["recording"])
        assert {"ece", "bins", "recording"} <= set(result["calibration"])
        detection = {"auroc", "eer", "min_dcf", "p_target", "false_accept_rate", "false_reject_rate", "det", "chunk"}
        assert detection <= set(result["open_set"])
        assert {"auroc", "eer", "min_dcf", "n_target", "n_nontarget", "chunk"} <= set(result["verification"])

    def test_the_confusion_counts_recordings(self):
        result = evaluate(a_test_folder(), LABELS)
        assert result["confusion"] == [[3, 0, 1], [0, 4, 0], [0, 0, 4]]
        assert result["mistakes"] == [{"label": "alice", "answer": "carol", "recordings": 1}]

    def test_each_recording_is_listed_with_its_answer(self):
        row = evaluate(a_test_folder(), LABELS)["recordings"][0]
        assert (row["recording"], row["label"], row["answer"], row["right"]) == ("alice/0.mp3", "alice", "carol", False)
        assert row["chunks"] == 4 and row["chunks_right"] == 0 and 0.9 < row["probability"] < 1

    def test_the_same_again_is_the_same(self):
        assert evaluate(a_test_folder(strangers=3), LABELS) == evaluate(a_test_folder(strangers=3), LABELS)

    def test_a_label_that_was_not_tested_has_no_recall(self):
        result = plain(evaluate([scored("1.mp3", "alice"), scored("2.mp3", "alice")], LABELS))
        rows = {row["label"]: row for row in result["per_label"]}
        assert rows["bob"]["recording"] == {"precision": None, "recall": None, "f1": None}
        assert rows["alice"]["recording"]["recall"] == 1


@pytest.fixture(scope="module")
def open_set():
    rng = np.random.default_rng(0)
    numbers = np.repeat(np.arange(3), 20)
    logits = rng.normal(0, 0.3, (60, 3)) + 4 * np.eye(3)[numbers]
    strangers = Clips(rng.normal(0, 0.3, (60, 3)), np.arange(60) // 4)
    return fit_open_set(Clips(logits, np.arange(60) // 4, numbers), impostors=strangers)


class TestUnknown:
    def test_a_label_that_the_classifier_does_not_know_counts_as_unknown(self):
        result = evaluate(a_test_folder(strangers=3), LABELS)
        assert result["data"]["unknown_labels"] == {"mallory": 3} and result["data"]["unknown_recordings"] == 3
        assert result["recording"]["n"] == 12
        assert result["recordings"][-1]["known"] is False and result["recordings"][-1]["right"] is None

    def test_strangers_are_told_apart(self, open_set):
        result = evaluate(judged(a_test_folder(strangers=6), open_set), LABELS)["open_set"]
        assert result["auroc"] == 1 and result["eer"] == 0
        assert result["false_accept_rate"] == 0 and result["false_reject_rate"] == 0
        assert result["chunk"]["n_unknown"] == 24 and result["n_unknown"] == 6

    def test_no_mistake_in_a_few_recordings_is_not_certainty(self, open_set):
        low, high = evaluate(judged(a_test_folder(strangers=6), open_set), LABELS)["open_set"]["false_accept_rate_ci95"]
        assert low == 0 and high == pytest.approx(1 - 0.025 ** (1 / 6))

    def test_the_rates_are_what_the_recordings_say(self, open_set):
        result = evaluate(judged(a_test_folder(strangers=6), open_set), LABELS)
        known = [row["accepted"] for row in result["recordings"] if row["known"]]
        assert result["open_set"]["false_reject_rate"] == pytest.approx(1 - np.mean(known))

    def test_recordings_scored_by_several_heads_are_each_judged_by_their_own(self, open_set):
        strict = replace(open_set, thresholds=open_set.thresholds + 1000)
        recordings = a_test_folder(strangers=6)
        by_turns = [replace(one, open_set=(open_set, strict)[n % 2]) for n, one in enumerate(recordings)]
        rows = evaluate(by_turns, LABELS)["recordings"]
        alone = evaluate(judged(recordings, open_set), LABELS)["recordings"]
        assert [row["accepted"] for row in rows[::2]] == [row["accepted"] for row in alone[::2]]
        assert not any(row["accepted"] for row in rows[1::2])
        assert [row["score"] for row in rows] == pytest.approx([row["score"] for row in alone])

    def test_where_one_head_has_no_threshold_none_is_used(self, open_set):
        recordings = judged(a_test_folder(strangers=3), open_set)
        result = evaluate([*recordings[:-1], replace(recordings[-1], open_set=None)], LABELS)
        assert result["open_set"]["false_accept_rate"] is None
        assert "open_set.false_reject_rate" in result["not_computed"]

    def test_without_strangers_it_says_so(self, open_set):
        result = plain(evaluate(judged(a_test_folder(), open_set), LABELS))
        assert result["open_set"]["auroc"] is None and result["open_set"]["false_accept_rate"] is None
        assert result["open_set"]["false_reject_rate"] == 0
        assert "--negatives" in result["not_computed"]["open_set.auroc"]

    def test_without_a_threshold_it_says_so(self):
        result = evaluate(a_test_folder(strangers=3), LABELS)
        assert result["open_set"]["false_reject_rate"] is None and result["open_set"]["auroc"] > 0.9
        assert "threshold" in result["not_computed"]["open_set.false_reject_rate"]

    def test_with_strangers_alone_there_is_no_accuracy(self):
        result = plain(evaluate([scored("1.mp3", "mallory")], LABELS))
        assert result["chunk"]["accuracy"] is None and result["confusion"] is None
        assert "knows" in result["not_computed"]["recording"]
        assert "no accuracy" in summary.headline(result)

    def test_true_claims_are_told_from_false_ones(self):
        result = evaluate(a_test_folder(strangers=2, wrong=0), LABELS)["verification"]
        assert result["n_target"] == 12 and result["n_nontarget"] == 12 * 2 + 2 * 3
        assert result["auroc"] == 1 and result["eer"] == 0

    def test_curves_are_short_enough_for_a_page_and_keep_their_ends(self):
        rng = np.random.default_rng(0)
        many = [
            ScoredRecording(str(number), label, rng.normal(0, 1, (1, 3)) + np.eye(3)[index % 3])
            for number in range(400)
            for index, label in enumerate((*LABELS, "mallory"))
        ]
        curve = evaluate(many, LABELS)["open_set"]["det"]
        assert len(curve["thresholds"]) <= 202
        assert (curve["false_accepts"][0], curve["false_rejects"][0]) == (1, 0)
        assert (curve["false_accepts"][-1], curve["false_rejects"][-1]) == (0, 1)
        assert np.isfinite(curve["thresholds"]).all()


class TestBadInput:
    def test_a_logit_that_is_no_number_is_refused(self):
        damaged = ScoredRecording("a", "alice", np.array([[np.nan, 0, 0]], np.float32))
        with pytest.raises(InputError, match="NaN"):
            evaluate([damaged], LABELS)

    def test_one_recording_has_no_interval(self):
        result = plain(evaluate([scored("1.mp3", "alice")], LABELS))
        assert result["recording"]["accuracy"] == 1 and result["recording"]["ci95"] is None
        assert "one recording" in result["not_computed"]["ci95"]

    def test_one_recording_of_each_label_has_one(self):
        result = evaluate([scored("1.mp3", label) for label in LABELS], LABELS)
        assert result["recording"]["ci95"] == [pytest.approx(0.025 ** (1 / 3)), 1.0]

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

    @given(st.lists(st.tuples(st.sampled_from((*LABELS, "mallory")), st.integers(1, 5)), min_size=1, max_size=8))
    def test_whatever_is_there_json_can_hold(self, folder):
        rng = np.random.default_rng(len(folder))
        recordings = [
            ScoredRecording(f"{label}/{number}", label, rng.normal(0, 3, (chunks, 3)))
            for number, (label, chunks) in enumerate(folder)
        ]
        result = plain(evaluate(recordings, LABELS))
        assert len(result["recordings"]) == len(folder)


class TestComparing:
    @pytest.fixture
    def runs(self, tmp_path):
        return evaluate(a_test_folder(wrong=4), LABELS), evaluate(a_test_folder(wrong=0), LABELS)

    def test_counts_what_only_one_gets_right(self, runs):
        result = comparison.compare(*runs)
        assert (result["recording"]["only_a_right"], result["recording"]["only_b_right"]) == (0, 4)
        assert result["recording"]["p_value"] == pytest.approx(2 / 2**4)
        assert result["recording"]["difference"] == pytest.approx(4 / 12)
        assert result["chunk"]["difference"] == pytest.approx(16 / 48)
        assert result["recording"]["ci95"][0] > 0

    def test_puts_it_in_words(self, runs):
        words = comparison.compare(*runs)["words"]
        assert "12 recordings" in words and "A is right about 8 and B about 12" in words
        assert "may well be chance" in words and "+33.3 points" in words

    def test_a_clear_difference_is_called_one(self):
        worse, better = (
            evaluate([scored(f"{n}.mp3", label, answer=answer) for n in range(8) for label in LABELS[:2]], LABELS)
            for answer in ("carol", None)
        )
        assert "B is better, and hardly by chance" in comparison.compare(worse, better)["words"]
        assert "A is better, and hardly by chance" in comparison.compare(better, worse)["words"]

    def test_equal_runs_do_not_differ(self, runs):
        words = comparison.compare(runs[0], runs[0])["words"]
        assert "no difference" in words

    def test_only_recordings_that_both_have_are_compared(self, runs):
        fewer = evaluate([one for one in a_test_folder(wrong=0) if one.label != "bob"], LABELS)
        result = comparison.compare(runs[0], fewer)
        assert result["recordings"] == 8 and result["only_a_has"] == 4
        assert "4 more were tested on A alone" in result["words"]

    def test_with_none_in_common_there_is_nothing_to_compare(self, runs):
        stranger = evaluate([scored("other.mp3", "alice")], LABELS)
        with pytest.raises(InputError, match="none of A's 12"):
            comparison.compare(runs[0], stranger)

    def test_evaluations_are_found_as_file_folder_or_run(self, runs, tmp_path):
        record = {"format": 1, "id": "20260101-000000-0123abcd", "started": "2026-01-01T00:00:00+00:00"}
        (tmp_path / "model").mkdir()
        for path, value in {
            "a.json": runs[0],
            "model/metrics.json": runs[0],
            "20260101-000000-0123abcd.json": record | {"scores": runs[0]},
        }.items():
            (tmp_path / path).write_text(json.dumps(value))
        for name in (tmp_path / "a.json", tmp_path / "model", "0123"):
            found = comparison.read_evaluation(str(name), runs_dir=tmp_path)
            assert found["recordings"] == plain(runs[0]["recordings"])

    @pytest.mark.parametrize(
        ("content", "message"), [("{", "cannot be read"), ("[]", "lists no rec"), ("{}", "lists no rec")]
    )
    def test_a_file_that_is_no_evaluation_is_refused(self, tmp_path, content, message):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(InputError, match=message):
            comparison.read_evaluation(str(tmp_path / "a.json"), runs_dir=tmp_path)

    def test_a_name_that_is_nothing_says_what_to_do(self, tmp_path):
        with pytest.raises(InputError, match=r"runs\.py lists"):
            comparison.read_evaluation("nothing", runs_dir=tmp_path)


class TestContentKeys:
    PICTURE = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)

    def test_a_picture_is_the_same_whatever_it_is_said_to_be_of(self):
        about = {"recipe": {}, "recording": "alice/monday.mp3"}
        one, two = (encode_jpg(self.PICTURE, quality=95, about=words) for words in (about, None))
        assert one != two and content_key(one) == content_key(two)

    def test_another_picture_is_another(self):
        keys = {content_key(encode_jpg(picture, quality=95)) for picture in (self.PICTURE, 255 - self.PICTURE)}
        assert len(keys) == 2

    @given(st.binary(max_size=50))
    def test_whatever_follows_a_jpg_marker_has_a_key(self, content):
        assert content_key(b"\xff\xd8" + content) >= 0

    def test_keys_are_sorted_and_each_is_there_once(self, tmp_path):
        paths = [tmp_path / f"{number}.png" for number in range(5)]
        for number, path in enumerate(paths):
            path.write_bytes(bytes([number // 2]))
        keys = content_keys(paths)
        assert keys.dtype == np.uint64 and len(keys) == 3 and (np.diff(keys.astype(object)) > 0).all()


class TestAlteredClips:
    SOUNDS = (np.full(1_600, 0.5, np.float32), np.full(1_600, 0.25, np.float32), np.full(900, 0.1, np.float32))

    @pytest.mark.parametrize("condition", SWEEP, ids=lambda condition: condition.name)
    def test_no_condition_leaves_nothing(self, condition):
        at = ConditionContext(1_600, np.random.default_rng(0))
        clips = altered_clips(self.SOUNDS, condition, at, chunk_samples=1_600)
        assert len(clips) >= 2 and all(0 < len(clip) <= 1_600 for clip in clips)

    def test_short_clips_are_cut_from_the_chunks(self):
        condition = next(one for one in SWEEP if one.clip_seconds == 0.5)
        clips = altered_clips(self.SOUNDS, condition, ConditionContext(1_600, None), chunk_samples=1_600)
        assert [len(clip) for clip in clips] == [800, 800, 800, 800, 800]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory) -> Path:
    """Two recordings a speaker that no other fixture has; not to be changed."""
    folder = tmp_path_factory.mktemp("spoken") / "audio"
    for speaker in LABELS:
        for number in range(2):
            write_sound(folder / speaker / f"{number}.mp3", voice(speaker, seed=1_000 + number, seconds=6.0))
    return folder


@pytest.fixture
def classifier(saved) -> Classifier:
    return Classifier.load(saved / "retrained_model")


class TestFolders:
    def test_scores_are_those_of_the_classifier(self, classifier, spoken):
        result = score_sources(classifier, test_set.find_audio(spoken))
        assert len(result.scored) == 6
        for one in result.scored:
            answer = classifier.score(spoken / one.recording)
            probabilities = np.exp(one.logits - one.logits.max(1, keepdims=True))
            probabilities /= probabilities.sum(axis=1, keepdims=True)
            np.testing.assert_allclose(probabilities, answer.chunk_probabilities, atol=1e-5)

    def test_pictures_of_recordings_score_as_the_recordings(self, classifier, speakers, drawn):
        of_pictures = score_sources(classifier, test_set.find_pictures(drawn)).scored
        of_recordings = score_sources(classifier, test_set.find_audio(speakers)).scored
        by_name = {one.recording: one.logits for one in of_recordings}
        assert {one.recording for one in of_pictures} == set(by_name)
        for one in of_pictures:
            np.testing.assert_allclose(one.logits, by_name[one.recording], atol=1e-4)

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
        classifier.fingerprints = {name: fingerprint_of(notes) for name, notes in trained.notes.items()}
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

    @pytest.mark.parametrize("find", [test_set.find_audio, test_set.find_pictures, test_set.find_negatives])
    def test_an_empty_folder_is_an_error(self, find, tmp_path):
        (tmp_path / "alice").mkdir()
        with pytest.raises(InputError, match="holds no"):
            find(tmp_path)

    def test_recordings_are_nothing_for_a_classifier_of_ordinary_pictures(self, classifier, spoken):
        classifier.recipe = None
        with pytest.raises(InputError, match="--image_dir"):
            score_sources(classifier, test_set.find_audio(spoken))


@pytest.mark.slow
class TestSweep:
    def test_every_condition_is_scored_on_every_recording(self, classifier, spoken):
        swept, skipped = sweep(classifier, test_set.find_audio(spoken))
        assert swept[0]["name"] == "clean"
        assert len(swept) + len(skipped) == len(SWEEP)
        for condition in swept:
            assert condition["recording"]["n"] == 6 and 0 <= condition["chunk"]["accuracy"] <= 1

    def test_a_codec_that_is_missing_is_skipped_with_its_reason(self, classifier, spoken, monkeypatch):
        monkeypatch.setattr(robustness, "missing_codecs", lambda: {"gsm": "it is not there"})
        assert sweep(classifier, test_set.find_audio(spoken))[1] == {"codec gsm": "it is not there"}

    def test_clean_is_what_evaluation_says(self, classifier, spoken):
        sources = test_set.find_audio(spoken)
        result = evaluate_folder(classifier, sources, with_sweep=True)
        clean = result["sweep"][0]
        assert clean["chunk"]["accuracy"] == result["chunk"]["accuracy"]


def test_strangers_alone_cannot_be_swept(classifier, tmp_path):
    write_sound(tmp_path / "mallory" / "a.wav", voice("alice", seed=1))
    with pytest.raises(InputError, match="--sweep"):
        sweep(classifier, test_set.find_audio(tmp_path))


class TestReporting:
    def test_the_worst_mistakes_can_be_seen_and_heard(self, classifier, spoken, tmp_path):
        folder = shutil.copytree(spoken, tmp_path / "audio")
        (folder / "alice").rename(folder / "was alice")
        (folder / "bob").rename(folder / "alice")  # so that all of them are mistaken
        sources = test_set.find_audio(folder)
        evaluation = evaluate_folder(classifier, sources)
        mistakes = examples.mistakes_of(evaluation["recordings"], classifier, sources)
        of_known_labels = [mistake.label for mistake in mistakes if mistake.label in classifier.labels]
        assert of_known_labels == ["alice", "alice"]
        for mistake in (one for one in mistakes if one.label == "alice"):
            assert mistake.picture.shape[2] == 3 and len(mistake.samples) == 32_000 and mistake.answer != "alice"

    @pytest.mark.parametrize("left_out", ["", "*.wav"])
    def test_mistakes_in_pictures_can_be_seen_and_heard_if_their_sound_was_kept(
        self, classifier, drawn, tmp_path, left_out
    ):
        folder = tmp_path / "pictures"
        shutil.copytree(drawn / "bob", folder / "alice", ignore=shutil.ignore_patterns(left_out))
        sources = test_set.find_pictures(folder)
        evaluation = evaluate_folder(classifier, sources)
        (first, *_) = examples.mistakes_of(evaluation["recordings"], classifier, sources)
        assert first.picture is not None and (first.samples is None) == bool(left_out)

    def test_a_recording_that_is_gone_is_shown_without_its_sound(self, classifier, spoken, tmp_path):
        folder = shutil.copytree(spoken, tmp_path / "audio")
        (folder / "alice").rename(folder / "was alice")
        (folder / "bob").rename(folder / "alice")
        sources = test_set.find_audio(folder)
        evaluation = evaluate_folder(classifier, sources)
        shutil.rmtree(folder)
        assert all(one.samples is None for one in examples.mistakes_of(evaluation["recordings"], classifier, sources))


class TestScript:
    def test_prints_a_table_and_writes_the_evaluation(self, saved, spoken, tmp_path):
        outcome = run_python(
            *(SCRIPTS / "evaluate.py", "--model", saved / "retrained_model", "--audio-dir", spoken),
            *("--json", tmp_path / "evaluation.json", "--report", tmp_path / "report.html"),
            *("--runs_dir", tmp_path / "runs"),
        )
        assert outcome.returncode == 0, outcome.stderr
        assert "</html>" in (tmp_path / "report.html").read_text() and "report.html" in outcome.stdout
        assert "of 6 recordings right" in outcome.stdout and "balanced accuracy" in outcome.stdout
        evaluation = json.loads((tmp_path / "evaluation.json").read_text())
        assert evaluation["recording"]["n"] == 6
        (record,) = read_runs(tmp_path / "runs")[0]
        assert record["scores"]["recording"] == evaluation["recording"]
        assert record["data"]["fingerprint"] == evaluation["data"]["fingerprint"]
        assert comparison.compare_named(record["id"], record["id"], runs_dir=tmp_path / "runs")["recordings"] == 6

    def test_fails_for_a_bad_recording_and_scores_the_others(self, saved, spoken, tmp_path):
        folder = shutil.copytree(spoken, tmp_path / "audio")
        (folder / "alice" / "broken.mp3").write_bytes(b"no sound")
        outcome = run_python(
            SCRIPTS / "evaluate.py",
            *("--model", saved / "retrained_model", "--audio_dir", folder, "--runs_dir", tmp_path / "runs"),
        )
        assert outcome.returncode == 1
        assert "alice/broken.mp3" in outcome.stderr and "of 6 recordings" in outcome.stdout

    def test_compares_two_evaluations(self, tmp_path):
        for name, wrong in (("a", 4), ("b", 0)):
            (tmp_path / f"{name}.json").write_text(json.dumps(evaluate(a_test_folder(wrong=wrong), LABELS)))
        outcome = run_python(SCRIPTS / "evaluate.py", "--compare", tmp_path / "a.json", tmp_path / "b.json")
        assert outcome.returncode == 0 and "A is right about 8 and B about 12" in outcome.stdout

    @pytest.mark.parametrize(
        "arguments", [(), ("--audio_dir", "a", "--image_dir", "b"), ("--image_dir", "b", "--sweep")]
    )
    def test_refuses_what_it_cannot_do(self, arguments):
        outcome = run_python(SCRIPTS / "evaluate.py", *arguments)
        assert outcome.returncode == 2 and "Error" in outcome.stderr
