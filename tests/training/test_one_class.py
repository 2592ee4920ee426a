"""One label alone: from a folder of normal recordings to a verdict about others."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import RATE_HZ, FakeBackbone, FakeListener, run_audionet, voice, write_sound, write_speakers

from audionet.app.worker_tasks import live_answer
from audionet.audio.decoding import read_blocks
from audionet.data.dataset import read_dataset
from audionet.data.preprocessing import make_pictures
from audionet.errors import InputError
from audionet.features.recipes import find_recipe
from audionet.inference.audio_blocks import AudioBlock
from audionet.inference.streaming import stream_predictions
from audionet.models.classifier import Classifier
from audionet.training.holdout import HoldoutPlan
from audionet.training.one_class import select_one_class
from audionet.training.settings import HeadSettings, HoldoutSettings
from audionet.training.trainer import TrainedModel
from audionet.training.training_data import MemberNetwork, gather_training_data
from audionet.training.training_run import build_classifier

SETTINGS = HeadSettings()


@pytest.fixture(scope="module")
def normal(tmp_path_factory) -> Path:
    """Twelve recordings of one voice, and nothing else."""
    return write_speakers(tmp_path_factory.mktemp("normal") / "audio", speakers=("alice",), recordings=12)


@pytest.fixture(scope="module")
def pictures(normal):
    folder = normal.parent / "images"
    make_pictures(normal, folder, recipe=find_recipe("default"))
    return read_dataset(folder, normal.parent / "pictures.sqlite")


def classifier_of(dataset, *networks, settings=SETTINGS, testing_percentage=20) -> Classifier:
    holdout = HoldoutSettings(views=0, testing_percentage=testing_percentage)
    named = [MemberNetwork.of(one.architecture, one, dataset.recipe, (next(iter(one.slices)),)) for one in networks]
    data = gather_training_data(
        dataset, *named, bottleneck_dir=dataset.folder.parent / "bottlenecks", holdout=holdout, previous=HoldoutPlan()
    )
    selected = select_one_class(data, bottlenecks=named[0].bottlenecks, settings=settings)
    return build_classifier(TrainedModel(data, selected, tuple(networks)), {})


@pytest.fixture(scope="module")
def classifier(pictures):
    return classifier_of(pictures, FakeBackbone())


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Other recordings of the same voice, and of another."""
    folder = tmp_path_factory.mktemp("clips")
    return {
        speaker: [write_sound(folder / speaker / f"{speaker}{n}.mp3", voice(speaker, seed=900 + n)) for n in range(6)]
        for speaker in ("alice", "bob")
    }


def test_what_is_like_the_label_scores_above_what_is_not(classifier, clips):
    scores = {speaker: [classifier.score(clip).score for clip in clips[speaker]] for speaker in clips}
    assert min(scores["alice"]) > max(scores["bob"])


def test_the_verdict_is_the_label_or_unknown(classifier, clips):
    assert [classifier.score(clip).label for clip in clips["bob"]] == ["unknown"] * 6
    assert [classifier.score(clip).label for clip in clips["alice"]].count("alice") >= 5


def test_scores_count_in_deviations_of_recordings_that_the_head_did_not_see(classifier, clips):
    scores = [classifier.score(clip).score for clip in clips["alice"]]
    assert abs(np.mean(scores)) < 2


def test_a_lower_rate_of_false_alarms_lowers_the_threshold(pictures):
    strict, lenient = (
        classifier_of(pictures, FakeBackbone(), settings=HeadSettings(false_reject_rate=rate)).open_set
        for rate in (0.2, 0.01)
    )
    assert lenient.threshold(1) < strict.threshold(1)
    assert "meant to refuse 1% of the next known ones" in lenient.sentence()


def test_two_members_answer_together_and_each_alone(pictures, clips):
    pair = classifier_of(pictures, FakeBackbone(), FakeListener())
    assert len(pair.members) == 2
    scores = {speaker: [pair.score(clip).score for clip in clips[speaker]] for speaker in clips}
    assert min(scores["alice"]) > max(scores["bob"])
    assert all(member.open_set is not None for member in pair.members)


def test_it_comes_back_from_its_folder_as_it_was(classifier, clips, tmp_path):
    from audionet.files import whole_folder

    with whole_folder(tmp_path / "model") as scratch:
        classifier.save(scratch)
    loaded = Classifier.load(tmp_path / "model")
    for speaker in clips:
        assert loaded.score(clips[speaker][0]).score == pytest.approx(classifier.score(clips[speaker][0]).score)
    with pytest.raises(InputError, match="another --false_reject_rate, or with --negatives"):
        Classifier.load(tmp_path / "model", false_accept_rate=0.01)


def test_a_timeline_says_where_it_is_unusual(classifier, tmp_path):
    sound = np.concatenate([voice("alice", seed=901, seconds=12), voice("bob", seed=901, seconds=12)])
    spans = classifier.timeline(write_sound(tmp_path / "both.mp3", sound)).spans
    assert [span.label for span in spans] == ["alice", "unknown"]
    assert spans[0].end_seconds == pytest.approx(12, abs=1.5)


def test_no_export_can_hold_it_and_this_is_said(classifier):
    from audionet.export.frozen_graph import frozen_graph, why_no_graph

    assert "one label alone" in why_no_graph(classifier)
    with pytest.raises(InputError, match="No export can hold this classifier"):
        frozen_graph(classifier)


class TestCommands:
    @pytest.fixture
    def train(self, normal, tmp_path, monkeypatch):
        """Train by the command on the folder of one voice, or on another."""
        from conftest import load_fake

        monkeypatch.setattr("audionet.models.backbones.backbone.load_backbone", load_fake)
        monkeypatch.setattr("audionet.training.trainer.candidate_bottlenecks", lambda *_, **__: ("rows",))

        def train(*arguments: object, image_dir: Path = normal) -> int:
            outputs = {"output_model": "model", "output_graph": "graph.pb", "output_labels": "labels.txt"}
            outputs |= {"bottleneck_dir": "bottlenecks", "summaries_dir": "summaries", "runs_dir": "runs"}
            places = [f"--{name}={tmp_path / place}" for name, place in {**outputs, "report": "report.html"}.items()]
            return run_audionet("train", f"--image_dir={image_dir}", "--views=0", *places, *arguments)

        return train

    def test_trained_labelled_and_evaluated(self, train, clips, tmp_path, capsys):
        assert train() == 0
        said = capsys.readouterr()
        assert "One label alone, alice" in said.err and "graph.pb is not written" in said.err
        assert "recordings named right" in said.out and "guessing" not in said.out
        assert "meant to refuse 5% of the next known ones" in said.out
        report = (tmp_path / "report.html").read_text()
        assert "there is one label alone, which nothing is taken for" in report and "By guessing" not in report
        assert run_audionet("label", "--model", tmp_path / "model", clips["alice"][0], clips["bob"][0]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert re.search(r"alice0.mp3: alice \(its score, -?\d+\.\d, is at or above -\d+\.\d\)$", lines[0])
        assert re.search(r"bob0.mp3: unknown \(its score, -\d+\.\d, is below -\d+\.\d\)$", lines[1])
        test_dir = tmp_path / "test"
        for speaker, paths in clips.items():
            for path in paths:
                (test_dir / speaker).mkdir(parents=True, exist_ok=True)
                (test_dir / speaker / path.name).write_bytes(path.read_bytes())
        options = (
            "--json",
            tmp_path / "test.json",
            "--report",
            tmp_path / "test.html",
            "--runs_dir",
            tmp_path / "runs",
        )
        assert run_audionet("evaluate", "--model", tmp_path / "model", "--audio_dir", test_dir, *options) == 0
        found = json.loads((tmp_path / "test.json").read_text())
        assert found["open_set"]["auroc"] == 1 and found["open_set"]["pauc"] == 1
        assert found["open_set"]["stated_false_reject_rate"] == 0.05
        said = capsys.readouterr().out
        assert "partial AUROC" in said and "guessing" not in said and "accuracy, no threshold" not in said
        assert "meant to refuse 5" in (tmp_path / "test.html").read_text()

    def test_with_unknown_recordings_the_threshold_keeps_their_rate(self, train, clips, tmp_path, capsys):
        assert train("--negatives", clips["bob"][0].parent) == 0
        assert "fitted on impostors to let 5% pass" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--head", "lda"), "--head lda tells labels apart"),
            (("--network", "cnvrg"), "--network and --fine_tune train a network to tell labels apart"),
        ],
    )
    def test_what_takes_two_labels_is_refused(self, train, options, message, capsys):
        assert train(*options) == 2
        assert message in capsys.readouterr().err

    def test_one_recording_is_too_few(self, train, tmp_path, capsys):
        audio_dir = write_speakers(tmp_path / "audio", speakers=("alice",), recordings=1)
        assert train("--testing_percentage=0", "--validation_percentage=0", image_dir=audio_dir) == 2
        assert "One label alone, alice, needs two recordings or more" in capsys.readouterr().err


def saved_in(folder: Path, classifier: Classifier) -> Path:
    from audionet.files import whole_folder

    with whole_folder(folder) as scratch:
        classifier.save(scratch)
    return folder


def test_a_timeline_prints_the_score_of_each_part_and_no_probability(classifier, tmp_path, capsys):
    sound = np.concatenate([voice("alice", seed=901, seconds=12), voice("bob", seed=901, seconds=12)])
    clip = write_sound(tmp_path / "both.mp3", sound)
    assert run_audionet("timeline", clip, "--model", saved_in(tmp_path / "model", classifier)) == 0
    printed = capsys.readouterr().out
    usual, unusual = (span.score for span in classifier.timeline(clip).spans)
    assert f"{usual:.1f}" in printed and f"{unusual:.1f}" in printed and "score" in printed
    assert "%" not in printed and "nearest" not in printed


def test_a_stream_says_how_usual_the_sound_is(classifier, tmp_path):
    both = np.concatenate([voice("alice", seed=901, seconds=12), voice("bob", seed=901, seconds=12)])
    clip = write_sound(tmp_path / "both.mp3", both)  # as what it was trained on was
    sound = np.concatenate(list(read_blocks(clip, sample_rate_hz=RATE_HZ)))
    step = RATE_HZ // 2
    starts = range(0, len(sound), step)
    blocks = [AudioBlock(sound[start : start + step], start / RATE_HZ, 0.0) for start in starts]
    found = list(stream_predictions(classifier, blocks, hop_seconds=0.5, now=lambda: 0.0))
    usual = [one for one in found if 4 <= one.end_seconds <= 12]
    unusual = [one for one in found if one.end_seconds >= 16]
    assert {one.label for one in usual} == {"alice"} and {one.label for one in unusual} == {"unknown"}
    assert min(one.score for one in usual) > max(one.score for one in unusual)
    assert f"alice  score {usual[0].score:.1f}  (" in usual[0].sentence()


def test_the_page_is_told_how_usual_what_it_hears_is(classifier, clips, tmp_path):
    model = saved_in(tmp_path / "model", classifier)
    answers = [live_answer(model=model, path=clips[speaker][0], session=speaker) for speaker in ("alice", "bob")]
    assert answers[0].score > answers[1].score
    quiet = write_sound(tmp_path / "quiet.wav", np.zeros(RATE_HZ, np.float32))
    assert live_answer(model=model, path=quiet, session="quiet").score is None


def test_several_labels_have_a_probability_and_no_score_in_a_stream(saved):
    several = Classifier.load(saved / "retrained_model")
    blocks = [AudioBlock(voice("alice", seed=1, seconds=4), 0.0, 0.0)]
    (found,) = stream_predictions(several, blocks, hop_seconds=2.0, now=lambda: 0.0)
    assert found.score is None and "%" in found.sentence()
