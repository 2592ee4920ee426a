"""Scores under noise, codecs, rooms and more."""

import numpy as np
import pytest
from conftest import RATE_HZ, babbling, voice, write_sound

from audionet.errors import InputError
from audionet.evaluation import robustness, test_set
from audionet.evaluation.evaluate import evaluate_folder
from audionet.evaluation.robustness import SWEEP, ConditionContext, altered_clips, sweep
from audionet.models.classifier import Classifier


@pytest.fixture
def classifier(saved) -> Classifier:
    return Classifier.load(saved / "retrained_model")


def at(seed: int = 0) -> ConditionContext:
    return ConditionContext(RATE_HZ, np.random.default_rng(seed), [babbling(7), babbling(8, 5_000)])


@pytest.mark.parametrize("condition", SWEEP, ids=lambda condition: condition.name)
class TestEveryCondition:
    def test_gives_finite_float32(self, condition):
        altered = condition.alter(babbling(), at())
        assert altered.dtype == np.float32 and altered.ndim == 1 and np.isfinite(altered).all()

    def test_gives_the_same_for_the_same_generator(self, condition):
        np.testing.assert_array_equal(condition.alter(babbling(), at(3)), condition.alter(babbling(), at(3)))

    def test_leaves_its_input_alone(self, condition):
        samples = babbling()
        condition.alter(samples, at())
        np.testing.assert_array_equal(samples, babbling())

    @pytest.mark.parametrize("count", [0, 1, 2, 100])
    def test_bears_the_shortest_clips(self, condition, count):
        assert np.isfinite(condition.alter(babbling()[:count], at())).all()

    def test_bears_silence(self, condition):
        assert np.isfinite(condition.alter(np.zeros(4_000, np.float32), at())).all()


def test_names_of_conditions_are_their_own():
    assert len({condition.name for condition in SWEEP}) == len(SWEEP)


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


def test_unknown_recordings_alone_cannot_be_swept(classifier, tmp_path):
    write_sound(tmp_path / "mallory" / "a.wav", voice("alice", seed=1))
    with pytest.raises(InputError, match="--sweep"):
        sweep(classifier, test_set.find_audio(tmp_path))
