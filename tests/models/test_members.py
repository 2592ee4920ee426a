"""Classifiers of several members: a network that looks, and one that listens."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import FakeBackbone, FakeListener, training_run_of

from audionet.data.dataset import read_dataset
from audionet.errors import ClassifierError, InputError
from audionet.evaluation import test_set
from audionet.evaluation.scoring import score_sources
from audionet.features.recipes import find_recipe
from audionet.inference.explain import explain
from audionet.models.classifier import Classifier
from audionet.models.pooling import log_softmax
from audionet.training.holdout import HoldoutPlan
from audionet.training.model_selection import select_model
from audionet.training.settings import HeadSettings, HoldoutSettings
from audionet.training.trainer import TrainedModel
from audionet.training.training_data import MemberNetwork, gather_training_data

LOOKING, LISTENING = "fake:log_mel", "fake_listener"


@pytest.fixture(scope="module")
def both(drawn, tmp_path_factory):
    """The training data of a network that looks and of one that listens."""
    bottleneck_dir = tmp_path_factory.mktemp("members") / "bottlenecks"
    dataset = read_dataset(drawn, bottleneck_dir / "pictures.sqlite")
    networks = (
        MemberNetwork.of(LOOKING, FakeBackbone(), dataset.recipe, ("rows",)),
        MemberNetwork.of(LISTENING, FakeListener(), dataset.recipe, ("classic",)),
    )
    return gather_training_data(
        dataset, *networks, bottleneck_dir=bottleneck_dir, holdout=HoldoutSettings(views=2), previous=HoldoutPlan()
    )


@pytest.fixture(scope="module")
def selected_both(both):
    """Heads of both, neither of which is left out."""
    with pytest.MonkeyPatch.context() as patched:
        weights = "audionet.training.model_selection.fusion_weights"
        patched.setattr(weights, lambda members: np.array([1.0, 0.5]))
        return select_model(both, bottlenecks=["rows"], settings=HeadSettings(head="lda"))


@pytest.fixture(scope="module")
def run(both, selected_both):
    return training_run_of(TrainedModel(both, selected_both, (FakeBackbone(), FakeListener())))


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("committee") / "model"
    run.save(folder)
    return folder


@pytest.fixture(scope="module")
def classifier(folder) -> Classifier:
    return Classifier.load(folder)


def test_networks_see_the_same_samples(both):
    looking, listening = both.seen_by(0).samples, both.seen_by(1).samples
    assert np.array_equal(looking.label_ids, listening.label_ids) and np.array_equal(looking.views, listening.views)
    assert looking.bottlenecks("rows").shape == (len(both.samples), 96)
    assert listening.bottlenecks("classic").shape == (len(both.samples), 24)


def test_answers_are_the_weighted_sum_of_those_of_the_members(classifier, spoken):
    path = next(spoken.rglob("*.mp3"))
    answer = classifier.score(path)
    _, bottlenecks = classifier.chunk_bottlenecks(path)
    parts = np.split(bottlenecks, [96], axis=1)
    logits = sum(
        member.weight * member.head.logits(part) for member, part in zip(classifier.members, parts, strict=True)
    )
    assert np.log(answer.chunk_probabilities) == pytest.approx(log_softmax(logits), abs=1e-3)
    assert answer.left_out == () and "left_out" not in answer.to_json()


def test_training_scores_as_the_saved_classifier_does(run, selected_both, both, classifier, speakers):
    tested = both.select("testing", views=False).pictures()
    expected = selected_both.logits(both, "testing", views=False)
    scored = {one.recording: one.logits for one in score_sources(classifier, test_set.find_audio(speakers)).scored}
    for row, example in enumerate(tested):
        number = round(example.offset_seconds / 2)
        np.testing.assert_allclose(scored[example.recording][number], expected[row], atol=2e-2)


def test_a_picture_is_answered_by_the_member_that_looks_alone(classifier, drawn):
    picture = next(drawn.rglob("*.jpg"))
    answer = classifier.score(picture)
    assert answer.left_out == (LISTENING,) and answer.to_json()["left_out"] == [LISTENING]
    alone = classifier.members[0]
    expected = alone.head.probabilities(alone.bottlenecks([alone.input.of_picture(read(picture))]))
    assert answer.probabilities == pytest.approx(expected[0], abs=1e-5)
    assert (answer.threshold is None) == (alone.open_set is None)


def read(path):
    from audionet.features.image_io import read_picture

    return read_picture(path)


def test_a_classifier_of_several_members_is_the_same_when_loaded(run, classifier, folder):
    assert [member.name for member in classifier.members] == [LOOKING, LISTENING]
    assert classifier.fingerprint == run.classifier.fingerprint
    about = json.loads((folder / "classifier.json").read_text())
    assert about["format"] == 2 and [one["name"] for one in about["members"]] == [LOOKING, LISTENING]
    assert (folder / "backbone_2.pb").is_file()


@pytest.mark.parametrize("name", ["backbone.pb", "backbone_2.pb", "head.npz"])
def test_a_damaged_file_of_any_member_is_named(folder, tmp_path, name):
    shutil.copytree(folder, tmp_path / "model")
    content = bytearray((tmp_path / "model" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "model" / name).write_bytes(content)
    with pytest.raises(ClassifierError, match=f"{name} is damaged"):
        Classifier.load(tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    with pytest.raises(ClassifierError, match=name):
        Classifier.load(tmp_path / "model")


def test_timelines_explanations_and_streams_are_of_the_sum(classifier, spoken, tmp_path):
    path = next(spoken.rglob("*.mp3"))
    assert classifier.timeline(path).spans
    explanation = explain(classifier, path)
    answer = classifier.score(path)
    best = answer.chunk_probabilities[:, answer.labels.index(explanation.label)].max()
    assert explanation.probability == pytest.approx(float(best), abs=1e-3)
    classifier.warm_up()


def test_pictures_cannot_be_compared_where_a_member_listens(classifier, drawn):
    with pytest.raises(InputError, match=r"fake_listener.*not all look at it"):
        classifier.chunk_bottlenecks(next(drawn.rglob("*.jpg")))


def test_recordings_and_pictures_of_a_folder_are_scored(classifier, speakers, drawn):
    of_recordings = score_sources(classifier, test_set.find_audio(speakers)).scored
    of_pictures = score_sources(classifier, test_set.find_pictures(drawn)).scored
    assert len(of_recordings) == len(of_pictures) == 15
    assert all(len(one.logits) == 2 for one in of_recordings)


def test_a_member_that_only_listens_cannot_look_at_pictures(classifier, drawn, spoken):
    listening = replace(classifier.members[1], weight=1.0)
    ear = Classifier(labels=classifier.labels, members=(listening,), about={})
    assert ear.score(next(spoken.rglob("*.mp3"))).labels == classifier.labels
    with pytest.raises(InputError, match="listens to sound and cannot look at pictures"):
        ear.score(next(drawn.rglob("*.jpg")))


def test_another_drawing_is_drawn_of_the_same_chunks(drawn, tmp_path):
    dataset = read_dataset(drawn, tmp_path / "pictures.sqlite")
    other = replace(find_recipe("default", picture="log_mel_3"))
    networks = (
        MemberNetwork.of("first", FakeBackbone(), dataset.recipe, ("rows",)),
        MemberNetwork.of("second", FakeBackbone(digest="1" * 16), other, ("rows",)),
        MemberNetwork.of("third", FakeBackbone(digest="2" * 16), dataset.recipe, ("rows",)),
    )
    data = gather_training_data(
        dataset, *networks, bottleneck_dir=tmp_path, holdout=HoldoutSettings(views=1), previous=HoldoutPlan()
    )
    first, second, third = (data.seen_by(number).samples.bottlenecks("rows")[:] for number in range(3))
    assert np.array_equal(first, third)
    assert first.shape == second.shape and not np.allclose(first, second, atol=1)


def test_a_label_is_enrolled_in_the_spaces_of_all_members(folder, spoken, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    classifier = Classifier.load(tmp_path / "model")
    clips = sorted((spoken / "alice").rglob("*.mp3")) if (spoken / "alice").is_dir() else sorted(spoken.rglob("*.mp3"))
    assert classifier.enroll("somebody", clips[:1]) > 0
    again = Classifier.load(tmp_path / "model")
    assert again.labels[-1] == "somebody" and again.enrolled["somebody"].shape == (96 + 24,)
    assert again.score(clips[0]).nearest_label == "somebody"
    space = again.comparison_space()
    places = space.places(again.chunk_bottlenecks(clips[0])[1])
    assert np.linalg.norm(places, axis=1) == pytest.approx(1, abs=1e-4)
    assert space.probability(places.mean(axis=0), places.mean(axis=0)) > 0.5


@pytest.mark.parametrize(("name", "held"), [("graph", 2), ("onnx", 2), ("tflite", 1)])
def test_an_export_holds_the_members_that_its_format_can(classifier, speakers, tmp_path, name, held):
    from audionet.export.export import export_classifier, exported, with_suffix
    from audionet.export.formats import FORMATS
    from audionet.export.parity import find_parity_clips

    if name == "tflite":
        pytest.importorskip("ai_edge_litert", reason="LiteRT writes it")
    if name == "onnx":
        pytest.importorskip("tf2onnx", reason="tf2onnx writes it")
    clips = find_parity_clips(classifier, test_set.find_audio(speakers))
    output = with_suffix(tmp_path / "export", name)
    parity = export_classifier(classifier, output, format_name=name, input_kind="waveform", clips=clips)
    assert parity.agreeing == parity.chunks
    assert len(exported(classifier, FORMATS[name], input_kind="waveform").members) == held
    assert len(exported(classifier, FORMATS[name], input_kind="picture").members) == 1
