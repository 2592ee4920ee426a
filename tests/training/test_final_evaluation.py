"""How good a classifier is on recordings that training never saw: held out, in folds, or in a folder of their own."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeBackbone, noise, training_run_of, voice, write_sound, write_speakers
from PIL import Image

from audionet.commands.train import closing_lines
from audionet.data.dataset import read_dataset
from audionet.data.splits import SPLITS
from audionet.errors import InputError
from audionet.files import UNKNOWN_LABEL
from audionet.models.bottleneck_cache import Rows
from audionet.training.final_evaluation import cross_validate, evaluate_folds, evaluate_test_dir, score_held_out
from audionet.training.model_selection import SelectedModel, select_model
from audionet.training.settings import HeadSettings, HoldoutSettings
from audionet.training.trainer import TrainedModel
from audionet.training.training_data import TrainingData, gather_training_data, with_unknown
from audionet.training.training_run import TrainingRun, build_classifier


def select_lda(data: TrainingData) -> SelectedModel:
    return select_model(data, bottlenecks=["rows"], settings=HeadSettings(head="lda"))


def train_lda(data: TrainingData) -> TrainedModel:
    return TrainedModel(data, select_lda(data), (FakeBackbone(),))


class LdaTrainer:
    """Trains on any of the splits of some data, as `Trainer` does."""

    def __init__(self, data: TrainingData):
        self.data = data

    train = staticmethod(train_lda)


def run_with_test_dir(data: TrainingData, test_dir: Path) -> TrainingRun:
    model = train_lda(data)
    classifier = build_classifier(model, {})
    final = evaluate_test_dir(test_dir, classifier)
    return TrainingRun.of(model, classifier, final)


@pytest.fixture
def collect(drawn, tmp_path, backbone):
    """Gather the pictures of the speakers with other settings, and with unknown recordings."""

    def collect(*, negatives=None, **holdout):
        settings = HoldoutSettings(**{"views": 0, **holdout})
        dataset = read_dataset(drawn, tmp_path / "pictures.sqlite", group_by=settings.group_by)
        if negatives:
            dataset, failures = with_unknown(dataset, negatives, tmp_path / "bottlenecks")
            assert not failures
        return gather_training_data(
            dataset, backbone, bottleneck_dir=tmp_path / "bottlenecks", holdout=settings
        ), settings

    return collect


@pytest.fixture
def unknown(tmp_path):
    """Recordings of none of the labels."""
    for number in range(4):
        write_sound(tmp_path / "unknown" / "deep" / f"{number}.wav", noise(4.0, seed=number))
    return tmp_path / "unknown"


def test_a_score_is_that_of_the_head_on_the_testing_split(gathered, selected, trained):
    scored = score_held_out(selected, gathered)
    assert {one.recording for one in scored} == {name for name, split in trained.splits.items() if split == "testing"}
    answers = [trained.classifier.labels[one.logits.mean(axis=0).argmax()] for one in scored]
    assert answers == [one.label for one in scored]


# Cross-validation


def test_every_recording_is_held_out_once_and_the_classifier_is_trained_on_all(collect, tmp_path):
    data, settings = collect(folds=5)
    final = evaluate_folds(LdaTrainer(data), {}, holdout=settings)
    run = training_run_of(train_lda(data), final=final)
    assert run.metrics["recording"]["n"] == 15
    assert run.metrics["chunk"]["n"] == 30
    assert run.metrics["chunk"]["accuracy"] > 0.9
    assert set(run.splits.values()) == {"training", "validation"}
    assert "each in one of 5 folds: 1" in closing_lines(run, tmp_path / "model")[0]


def test_intervals_of_folds_take_the_recordings_of_a_group_together(collect, tmp_path):
    data, settings = collect(folds=5, group_by="[0-9]")
    final = evaluate_folds(LdaTrainer(data), {}, holdout=settings)
    assert (final.evaluation["data"]["recordings"], final.evaluation["data"]["groups"]) == (15, 5)
    assert "over 5 groups" in closing_lines(training_run_of(train_lda(data), final=final), tmp_path / "model")[0]


def test_nothing_of_a_fold_takes_part_in_the_heads_that_score_it(collect):
    data, settings = collect(folds=5, views=1)
    table = data.samples.table[:]
    table[data.samples.folds == 2] = 1000
    spoilt = replace(data, samples=replace(data.samples, table=Rows(table)))
    first, second = (select_lda(one.without_fold(2, holdout=settings)) for one in (data, spoilt))
    assert np.array_equal(first.members[0].head.weights, second.members[0].head.weights)


def test_views_mix_only_what_is_in_the_same_fold(collect, monkeypatch):
    planned = []
    monkeypatch.setattr(
        "audionet.training.training_data.plan_views", lambda chunks, **_: planned.append(chunks) or [[]] * len(chunks)
    )
    data, _ = collect(folds=5, views=1)
    folds = {one.sha256: fold for one, fold in zip(data.samples.pictures(), data.samples.folds, strict=True)}
    assert [{folds[chunk.sha256] for chunk in together} for together in planned] == [{fold} for fold in range(5)]


def test_more_folds_than_recordings_are_refused_before_the_network_starts(collect, backbone):
    with pytest.raises(InputError, match="--folds: 15 recordings or groups of them are too few for 16"):
        collect(folds=16)
    assert backbone.pictures_seen == 0


def test_folds_that_leave_a_label_nothing_for_validation_are_refused(drawn, tmp_path, backbone):
    image_dir = shutil.copytree(drawn, tmp_path / "images")
    for jpg in (image_dir / "carol").glob("[2-9]_*.jpg"):
        jpg.unlink()
    dataset = read_dataset(image_dir, tmp_path / "pictures.sqlite")
    with pytest.raises(InputError, match="Too few recordings"):
        gather_training_data(dataset, backbone, bottleneck_dir=tmp_path / "cache", holdout=HoldoutSettings(folds=3))


# A test folder


def test_a_test_folder_gives_the_score_and_all_else_is_trained_on(collect, tmp_path):
    test_dir = write_speakers(tmp_path / "test", recordings=2)
    write_sound(test_dir / "mallory" / "0.wav", noise(4.0))
    (test_dir / "bob" / "broken.mp3").write_text("no sound")
    data, _ = collect(test_dir=test_dir)
    run = run_with_test_dir(data, test_dir)
    assert set(run.splits.values()) == {"training", "validation"}
    assert run.metrics["recording"]["n"] == 6
    assert run.metrics["data"]["unknown_labels"] == {"mallory": 1}
    assert list(run.failures) == ["bob/broken.mp3"]
    assert f"On the recordings in {test_dir}: 6 of 6" in closing_lines(run, tmp_path / "model")[0]


def test_a_test_recording_that_was_trained_on_is_found_by_its_content(collect, speakers, tmp_path):
    test_dir = tmp_path / "test"
    write_sound(test_dir / "bob" / "new.wav", voice("bob", seed=77))
    shutil.copy(speakers / "bob" / "3.mp3", test_dir / "bob" / "another name.mp3")
    data, _ = collect(test_dir=test_dir)
    run = run_with_test_dir(data, test_dir)
    assert [row["recording"] for row in run.metrics["recordings"] if row["in_training"]] == ["bob/another name.mp3"]


def test_a_test_folder_of_pictures_is_scored_too(collect, drawn):
    data, _ = collect(test_dir=drawn)
    run = run_with_test_dir(data, drawn)
    assert run.metrics["recording"]["n"] == 15


def test_a_test_folder_of_unknown_recordings_alone_has_no_accuracy(collect, unknown, tmp_path):
    data, _ = collect(test_dir=unknown)
    run = run_with_test_dir(data, unknown)
    assert "there is no accuracy" in closing_lines(run, tmp_path / "model")[0]


# Recordings of none of the labels


def test_some_unknown_recordings_fit_the_open_set_detector_and_others_test_it(collect, unknown):
    data, _ = collect(negatives=unknown)
    named = {split: {one.recording for one in data.select(split, unknown=True).pictures()} for split in SPLITS}
    assert {split: len(recordings) for split, recordings in named.items()} == {
        "training": 3,
        "validation": 0,
        "testing": 1,
    }
    assert not named["training"] & named["testing"]
    model = train_lda(data)
    assert model.selected.open_set.fitted_on == "impostors" and model.selected.open_set.unknown_recordings == 3
    run = training_run_of(model)
    assert run.metrics["open_set"]["n_unknown"] == 1
    assert run.metrics["open_set"]["auroc"] == 1
    assert len(run.classifier.training_keys) == 2 * (12 + 3)


def test_every_unknown_recording_is_held_out_once_in_a_cross_validation(collect, unknown):
    data, settings = collect(negatives=unknown, folds=4)
    scored = cross_validate(LdaTrainer(data), holdout=settings)
    assert sorted(one.recording for one in scored if one.label == UNKNOWN_LABEL) == [
        f"{UNKNOWN_LABEL}/unknown/deep/{number}.wav" for number in range(4)
    ]


def test_pictures_of_unknown_recordings_serve_as_well_as_their_recordings(collect, unknown, tmp_path):
    drawn_before, _ = collect(negatives=unknown)
    of_recordings = drawn_before.select(*SPLITS, unknown=True).pictures()[0].path.parent.parent
    of_pictures, _ = collect(negatives=of_recordings)
    first, second = (data.select(*SPLITS, unknown=True).table[:] for data in (drawn_before, of_pictures))
    assert len(first) and np.array_equal(first, second)


def test_a_single_unknown_recording_is_trained_on(collect, tmp_path):
    write_sound(tmp_path / "one" / "radio.wav", noise(4.0))
    data, _ = collect(negatives=tmp_path / "one")
    assert len(data.select("training", unknown=True)) == 2 and not len(data.select("testing", unknown=True))


@pytest.mark.parametrize("kind", ["empty", "a picture of another kind"])
def test_negatives_that_are_of_no_use_are_refused(collect, tmp_path, kind):
    folder = tmp_path / "negatives"
    folder.mkdir()
    if kind == "a picture of another kind":
        Image.new("RGB", (40, 40)).save(folder / "photo.png")
    with pytest.raises(InputError, match="--negatives: "):
        collect(negatives=folder)
