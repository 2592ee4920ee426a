"""Recordings and pictures of a test folder are scored as the classifier scores them one by one."""

from dataclasses import replace

import numpy as np
import pytest

from audionet.errors import InputError
from audionet.evaluation import test_set
from audionet.evaluation.scoring import score_sources
from audionet.models.classifier import Classifier


@pytest.fixture
def classifier(saved) -> Classifier:
    return Classifier.load(saved / "retrained_model")


class TestScoring:
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

    def test_recordings_are_nothing_for_a_classifier_of_ordinary_pictures(self, classifier, spoken):
        classifier.networks = classifier.members = (replace(classifier.members[0], recipe=None),)
        with pytest.raises(InputError, match="--image_dir"):
            score_sources(classifier, test_set.find_audio(spoken))
