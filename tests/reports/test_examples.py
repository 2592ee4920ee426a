"""Mistakes and example clips, with the picture and the sound."""

import shutil

import pytest

from audionet.evaluation import test_set
from audionet.evaluation.evaluate import evaluate_folder
from audionet.models.classifier import Classifier
from audionet.reports import examples


@pytest.fixture
def classifier(saved) -> Classifier:
    return Classifier.load(saved / "retrained_model")


class TestMistakes:
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
