"""What a training run comes to: how it is tested, and what it leaves behind."""

import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from conftest import SPEAKERS, FakeBackbone, noise, voice, write_sound, write_speakers
from PIL import Image

from audionet.data.dataset import UNKNOWN_LABEL, read_dataset
from audionet.errors import InputError
from audionet.files import mark_folder
from audionet.training.cross_validation import cross_validate, score_held_out
from audionet.training.model_selection import select_model
from audionet.training.settings import HeadSettings, HoldoutSettings
from audionet.training.trainer import TrainedModel
from audionet.training.training_data import TrainingData, gather_training_data, with_unknown, without_fold
from audionet.training.training_run import check_replaceable, finish

choose_lda = partial(select_model, candidates=["rows"], settings=HeadSettings(head="lda"))


def learn_lda(material: TrainingData) -> TrainedModel:
    return TrainedModel(material, choose_lda(material), FakeBackbone())


@pytest.fixture
def collect(drawn, tmp_path, backbone):
    """Gather the pictures of the speakers with other settings, and with impostors."""

    def collect(*, negatives=None, **holdout):
        settings = HoldoutSettings(**{"views": 0, **holdout})
        dataset = read_dataset(drawn, tmp_path / "ledger.sqlite")
        if negatives:
            dataset, failures = with_unknown(dataset, negatives, tmp_path / "bottlenecks")
            assert not failures
        return gather_training_data(
            dataset, backbone, bottleneck_dir=tmp_path / "bottlenecks", holdout=settings
        ), settings

    return collect


@pytest.fixture
def strangers(tmp_path):
    """Recordings of none of the labels."""
    for number in range(4):
        write_sound(tmp_path / "strangers" / "deep" / f"{number}.wav", noise(4.0, seed=number))
    return tmp_path / "strangers"


def test_voices_that_differ_are_told_apart_on_recordings_held_out(trained):
    assert trained.metrics["recording"]["accuracy"] == 1
    assert trained.metrics["recording"]["n"] == len(SPEAKERS)


def test_chunks_and_recordings_of_each_side_are_counted(trained):
    sides = trained.metrics["training"]["sides"]
    assert {side: counts["recordings"] for side, counts in sides.items()} == {
        "training": 9,
        "validation": 3,
        "testing": 3,
    }
    assert sum(counts["chunks"] for counts in sides.values()) == 30


def test_confusion_counts_the_recordings_held_out(trained):
    assert np.sum(trained.metrics["confusion"]) == trained.metrics["recording"]["n"]


def test_a_score_is_that_of_the_head_on_the_testing_side(gathered, chosen, trained):
    scored = score_held_out(chosen, gathered)
    assert {one.recording for one in scored} == {name for name, side in trained.sides.items() if side == "testing"}
    answers = [trained.classifier.labels[one.logits.mean(axis=0).argmax()] for one in scored]
    assert answers == [one.label for one in scored]


def test_a_run_is_saved_with_its_scores_and_its_split(saved, trained):
    folder = saved / "retrained_model"
    assert json.loads((folder / "metrics.json").read_text()) == json.loads(json.dumps(trained.metrics))
    assert json.loads((folder / "split.json").read_text()) == trained.sides
    assert (saved / "labels.txt").read_text() == "alice\nbob\ncarol\n"


def test_saving_again_replaces_the_folder(trained, tmp_path):
    for _ in range(2):
        trained.save(tmp_path / "model", graph=tmp_path / "graph.pb", labels=tmp_path / "labels.txt")
    assert {path.name for path in tmp_path.iterdir()} == {"model", "graph.pb", "labels.txt"}


def test_the_report_tells_the_score_and_what_to_type_next(trained, tmp_path, speakers):
    score, claimed, _, refusal, where, command = trained.closing_lines(tmp_path / "my model")
    assert score.startswith("On recordings that training never saw: 3 of 3 recordings right")
    assert "Guessing would get 33%" in score
    assert "would have claimed" in claimed
    assert "Unknown clips are refused" in refusal
    assert str(tmp_path / "my model") in where
    assert f"--model '{tmp_path}/my model' {speakers}" in command


def test_the_clip_named_next_was_never_seen(trained, speakers):
    assert trained.sides[str(trained.example_clip.relative_to(speakers))] == "testing"


def test_a_new_an_empty_and_an_earlier_folder_may_be_replaced(tmp_path):
    (tmp_path / "empty").mkdir()
    mark_folder(tmp_path / "earlier", "classifier")
    for name in ("new", "empty", "earlier"):
        check_replaceable(tmp_path / name)


def test_a_folder_or_file_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").touch()
    mark_folder(tmp_path / "pictures", "pictures")
    for name in ("precious", "pictures", "precious/thesis.txt"):
        with pytest.raises(InputError, match="--output_model: expected a new folder or an earlier classifier"):
            check_replaceable(tmp_path / name)


# Cross-validation


def test_every_recording_is_held_out_once_and_the_classifier_is_trained_on_all(collect, tmp_path):
    material, settings = collect(folds=5)
    choice = choose_lda(material)
    cross_validation = cross_validate(material, learn_lda, settings)
    run = finish(material, choice, FakeBackbone(), cross_validation=cross_validation)
    assert run.metrics["recording"]["n"] == 15
    assert run.metrics["chunk"]["n"] == 30
    assert run.metrics["chunk"]["accuracy"] > 0.9
    assert set(run.sides.values()) == {"training", "validation"}
    assert "each in one of 5 folds: 1" in run.closing_lines(tmp_path / "model")[0]


def test_nothing_of_a_fold_takes_part_in_the_heads_that_score_it(collect):
    material, settings = collect(folds=5, views=1)
    spoilt_bottlenecks, spoilt_views = material.bottlenecks.copy(), material.views.copy()
    in_fold = material.folds == 2
    spoilt_bottlenecks[in_fold] = 1000
    spoilt_views[in_fold[material.view_rows]] = 1000
    spoilt = replace(material, bottlenecks=spoilt_bottlenecks, views=spoilt_views)
    first, second = (choose_lda(without_fold(one, 2, holdout=settings)) for one in (material, spoilt))
    assert np.array_equal(first.head.weights, second.head.weights)


def test_views_mix_only_what_is_in_the_same_fold(collect, monkeypatch):
    planned = []
    monkeypatch.setattr(
        "audionet.training.training_data.plan_views", lambda chunks, **_: planned.append(chunks) or [[]] * len(chunks)
    )
    material, _ = collect(folds=5, views=1)
    folds = {example.sha256: fold for example, fold in zip(material.examples, material.folds, strict=True)}
    assert [{folds[chunk.sha256] for chunk in together} for together in planned] == [{fold} for fold in range(5)]


def test_more_folds_than_recordings_are_refused_before_the_network_starts(collect, backbone):
    with pytest.raises(InputError, match="--folds: 15 recordings or groups of them are too few for 16"):
        collect(folds=16)
    assert backbone.pictures_seen == 0


def test_folds_that_leave_a_label_nothing_to_choose_by_are_refused(drawn, tmp_path, backbone):
    image_dir = shutil.copytree(drawn, tmp_path / "images")
    for jpg in (image_dir / "carol").glob("[2-9]_*.jpg"):
        jpg.unlink()
    dataset = read_dataset(image_dir, tmp_path / "ledger.sqlite")
    with pytest.raises(InputError, match="Too few recordings"):
        gather_training_data(dataset, backbone, bottleneck_dir=tmp_path / "cache", holdout=HoldoutSettings(folds=3))


# A test folder


def test_a_test_folder_gives_the_score_and_all_else_is_trained_on(collect, tmp_path):
    test_dir = write_speakers(tmp_path / "test", recordings=2)
    write_sound(test_dir / "mallory" / "0.wav", noise(4.0))
    (test_dir / "bob" / "broken.mp3").write_text("no sound")
    material, _ = collect(test_dir=test_dir)
    run = finish(material, choose_lda(material), FakeBackbone(), test_dir=test_dir)
    assert set(run.sides.values()) == {"training", "validation"}
    assert run.metrics["recording"]["n"] == 6
    assert run.metrics["data"]["unknown_labels"] == {"mallory": 1}
    assert list(run.failures) == ["bob/broken.mp3"]
    assert f"On the recordings in {test_dir}: 6 of 6" in run.closing_lines(tmp_path / "model")[0]


def test_a_test_recording_that_was_trained_on_is_found_by_its_content(collect, speakers, tmp_path):
    test_dir = tmp_path / "test"
    write_sound(test_dir / "bob" / "new.wav", voice("bob", seed=77))
    shutil.copy(speakers / "bob" / "3.mp3", test_dir / "bob" / "another name.mp3")
    material, _ = collect(test_dir=test_dir)
    run = finish(material, choose_lda(material), FakeBackbone(), test_dir=test_dir)
    assert [row["recording"] for row in run.metrics["recordings"] if row["in_training"]] == ["bob/another name.mp3"]


def test_a_test_folder_of_pictures_is_scored_too(collect, drawn):
    material, _ = collect(test_dir=drawn)
    run = finish(material, choose_lda(material), FakeBackbone(), test_dir=drawn)
    assert run.metrics["recording"]["n"] == 15


def test_a_test_folder_of_strangers_alone_has_no_accuracy(collect, strangers, tmp_path):
    material, _ = collect(test_dir=strangers)
    run = finish(material, choose_lda(material), FakeBackbone(), test_dir=strangers)
    assert "there is no accuracy" in run.closing_lines(tmp_path / "model")[0]


# Impostors


def test_negatives_teach_what_unknown_is_like_and_some_are_held_out_to_test_it(collect, strangers):
    material, _ = collect(negatives=strangers)
    named = {
        side: {material.impostor_examples[row].recording for row in rows}
        for side, rows in material.impostor_rows.items()
    }
    assert {side: len(recordings) for side, recordings in named.items()} == {
        "training": 3,
        "validation": 0,
        "testing": 1,
    }
    assert not named["training"] & named["testing"]
    choice = choose_lda(material)
    assert choice.open_set.fitted_on == "impostors" and choice.open_set.unknown_recordings == 3
    run = finish(material, choice, FakeBackbone())
    assert run.metrics["open_set"]["n_unknown"] == 1
    assert run.metrics["open_set"]["auroc"] == 1
    assert len(run.classifier.training_keys) == 2 * (12 + 3)


def test_every_impostor_is_held_out_once_in_a_cross_validation(collect, strangers):
    material, settings = collect(negatives=strangers, folds=4)
    scored = cross_validate(material, learn_lda, settings).scored
    assert sorted(one.recording for one in scored if one.label == UNKNOWN_LABEL) == [
        f"{UNKNOWN_LABEL}/strangers/deep/{number}.wav" for number in range(4)
    ]


def test_pictures_of_strangers_serve_as_well_as_their_recordings(collect, strangers, tmp_path):
    drawn_before, _ = collect(negatives=strangers)
    of_recordings = drawn_before.impostor_examples[0].path.parent.parent
    of_pictures, _ = collect(negatives=of_recordings)
    assert np.array_equal(drawn_before.impostors, of_pictures.impostors)


def test_a_single_impostor_is_learned_from(collect, tmp_path):
    write_sound(tmp_path / "one" / "radio.wav", noise(4.0))
    material, _ = collect(negatives=tmp_path / "one")
    assert len(material.impostor_rows["training"]) == 2 and not len(material.impostor_rows["testing"])


@pytest.mark.parametrize("kind", ["empty", "a picture of another kind"])
def test_negatives_that_are_of_no_use_are_refused(collect, tmp_path, kind):
    folder = tmp_path / "negatives"
    folder.mkdir()
    if kind == "a picture of another kind":
        Image.new("RGB", (40, 40)).save(folder / "photo.png")
    with pytest.raises(InputError, match="--negatives: "):
        collect(negatives=folder)
