"""Two evaluations on the same recordings."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from scored_examples import LABELS, in_groups, plain, scored, scored_folder

from audionet.errors import InputError
from audionet.evaluation import comparison
from audionet.evaluation.comparison import mcnemar, paired_differences
from audionet.evaluation.evaluate import evaluate
from audionet.evaluation.intervals import group_weights


class TestStatistics:
    def test_only_what_one_of_both_gets_right_counts(self):
        right_a = np.array([1, 1, 1, 1, 0, 0], bool)
        right_b = np.array([1, 1, 0, 1, 1, 0], bool)
        assert mcnemar(right_a, right_b) == (1, 1, 1.0)

    def test_known_probability(self):
        right_a = np.r_[np.zeros(8, bool), np.ones(20, bool)]
        only_a, only_b, p_value = mcnemar(right_a, np.ones(28, bool))
        assert (only_a, only_b) == (0, 8)
        assert p_value == pytest.approx(2 / 2**8)

    def test_equal_runs_do_not_differ(self):
        assert mcnemar(np.ones(5, bool), np.ones(5, bool)) == (0, 0, 1.0)

    @given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
    def test_recordings_on_their_own_are_compared_as_mcnemar_did(self, pairs):
        right_a, right_b = np.array(pairs).T
        only_a, only_b, p_value = mcnemar(right_a, right_b)
        theirs = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
        assert p_value == pytest.approx(theirs)

    def test_recordings_of_a_group_count_as_one_that_could_be_the_other_way_round(self):
        right_b = np.ones(12, bool)
        assert mcnemar(~right_b, right_b, np.arange(12) // 4) == (0, 12, pytest.approx(2 / 2**3))

    def test_exchanging_the_runs_exchanges_the_sign(self):
        weights = group_weights(np.zeros(10, int), resamples=50)
        right_a, right_b, rows = np.arange(10), np.full(10, 5), np.full(10, 10)
        forth = paired_differences(right_a, right_b, rows, rows, weights=weights)
        back = paired_differences(right_b, right_a, rows, rows, weights=weights)
        np.testing.assert_allclose(forth, -back)


class TestComparing:
    @pytest.fixture
    def runs(self, tmp_path):
        return evaluate(scored_folder(wrong=4), LABELS), evaluate(scored_folder(wrong=0), LABELS)

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

    def test_recordings_of_a_group_are_resampled_together(self, runs):
        result = comparison.compare(*(evaluate(in_groups(scored_folder(wrong=wrong), 4), LABELS) for wrong in (4, 0)))
        assert result["groups"] == 3
        assert result["recording"]["p_value"] == 1
        assert "over 3 groups" in result["words"]
        low, high = result["recording"]["ci95"]
        alone = comparison.compare(*runs)["recording"]["ci95"]
        assert high - low > alone[1] - alone[0]

    def test_an_evaluation_of_earlier_versions_has_each_recording_on_its_own(self, runs):
        before = plain(runs[0])
        for row in before["recordings"]:
            del row["group"]
        assert comparison.compare(before, before)["groups"] == 12

    def test_only_recordings_that_both_have_are_compared(self, runs):
        fewer = evaluate([one for one in scored_folder(wrong=0) if one.label != "bob"], LABELS)
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

    @pytest.mark.parametrize(
        ("changes", "place"),
        [
            ({"right": "yes"}, "right"),
            ({"chunks": 0}, "chunks"),
            ({"chunks_right": 1000}, "more chunks are right than there are"),
            ({"chunks": 10**400}, "chunks"),
            ({"recording": ["a.mp3"]}, "recording"),
            ({"known": None}, "known"),
        ],
    )
    def test_an_evaluation_whose_recordings_are_not_as_written_is_refused(self, runs, tmp_path, changes, place):
        rows = plain(runs[0]["recordings"])
        (tmp_path / "a.json").write_text(json.dumps({"recordings": [rows[0] | changes, *rows[1:]]}))
        with pytest.raises(InputError, match=f"not as audionet evaluate writes them .*{place}"):
            comparison.read_evaluation(str(tmp_path / "a.json"), runs_dir=tmp_path)

    def test_a_name_that_is_nothing_says_what_to_do(self, tmp_path):
        with pytest.raises(InputError, match="audionet runs lists"):
            comparison.read_evaluation("nothing", runs_dir=tmp_path)
