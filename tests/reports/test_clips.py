"""Clips of recordings, with the picture and the sound."""

import shutil

import pytest

from audionet.evaluation import test_set
from audionet.evaluation.evaluate import evaluate_folder
from audionet.models.classifier import Classifier
from audionet.reports import clips


@pytest.fixture
def classifier(saved) -> Classifier:
    return Classifier.load(saved / "retrained_model")


class TestClips:
    def test_recordings_can_be_seen_and_heard(self, classifier, spoken):
        sources = test_set.find_audio(spoken)
        evaluation = evaluate_folder(classifier, sources)
        found = clips.clips_of(evaluation["recordings"], classifier, sources)
        assert {clip.recording for clip in found} == {source.recording for source in sources}
        assert all(clip.picture.shape[2] == 3 and len(clip.samples) == 32_000 for clip in found)

    def test_each_label_has_pictures_of_several_recordings(self, classifier, spoken):
        sources = test_set.find_audio(spoken)
        pictures = clips.pictures_of(classifier, sources)
        assert list(pictures) == list(classifier.labels)
        assert all(1 <= len(some) <= clips.PICTURES_A_LABEL for some in pictures.values())

    @pytest.mark.parametrize("left_out", ["", "*.wav"])
    def test_pictures_can_be_heard_if_their_sound_was_kept(self, classifier, drawn, tmp_path, left_out):
        folder = tmp_path / "pictures"
        shutil.copytree(drawn / "bob", folder / "alice", ignore=shutil.ignore_patterns(left_out))
        sources = test_set.find_pictures(folder)
        evaluation = evaluate_folder(classifier, sources)
        (first, *_) = clips.clips_of(evaluation["recordings"], classifier, sources)
        assert first.picture is not None and (first.samples is None) == bool(left_out)

    def test_a_recording_that_is_gone_is_shown_without_its_sound(self, classifier, spoken, tmp_path):
        folder = shutil.copytree(spoken, tmp_path / "audio")
        (folder / "alice").rename(folder / "was alice")
        (folder / "bob").rename(folder / "alice")
        sources = test_set.find_audio(folder)
        evaluation = evaluate_folder(classifier, sources)
        shutil.rmtree(folder)
        assert all(one.samples is None for one in clips.clips_of(evaluation["recordings"], classifier, sources))
