"""The benchmark of unknown labels, with a small network."""

import json
import shutil

import numpy as np
import pytest
from conftest import FakeBackbone, load_fake

from audionet.data.dataset import read_dataset
from audionet.data.preprocessing import make_pictures
from audionet.features.recipes import find_recipe
from audionet.training.settings import HeadSettings, HoldoutSettings
from benchmarks import open_set
from benchmarks.default_training import DefaultTraining
from benchmarks.label_holdout import draws_of

LABELS = ("alice", "bob", "carol", "dave")


@pytest.fixture(scope="module")
def four_speakers(speakers, tmp_path_factory):
    """Pictures of three speakers, one of whom has two names: dave is told from carol by chance alone."""
    folder = tmp_path_factory.mktemp("four")
    audio_dir = shutil.copytree(speakers, folder / "audio")
    shutil.copytree(audio_dir / "carol", audio_dir / "dave")
    make_pictures(audio_dir, folder / "images", recipe=find_recipe("default"))
    return read_dataset(folder / "images", folder / "pictures.sqlite")


@pytest.fixture(scope="module")
def result(four_speakers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bottlenecks")
    training = DefaultTraining((FakeBackbone(),), ("rows",), folder, HoldoutSettings(views=0), HeadSettings(head="lda"))
    return open_set.measure(four_speakers, draws_of(LABELS, held_out=1, count=4), training)


def test_all_recordings_of_a_label_held_out_are_unknown(result):
    assert sorted(label for draw in result["draws"] for label in draw["held_out"]) == list(LABELS)
    assert result["n_unknown"] == 4 * 5 and result["n_known"] == 4 * 3


def test_an_unknown_label_with_the_voice_of_a_known_one_is_not_detected(result):
    by_label = {draw["held_out"][0]: draw["score"]["recording"]["auroc"] for draw in result["draws"]}
    assert min(by_label["alice"], by_label["bob"]) > max(by_label["carol"], by_label["dave"])


def test_means_are_those_of_the_draws_and_json_can_hold_all(result):
    rates = [draw["probability"]["chunk"]["false_accept_rate"] for draw in result["draws"]]
    assert result["mean"]["probability"]["chunk"]["false_accept_rate"] == pytest.approx(np.mean(rates))
    assert json.loads(json.dumps(result)) == result


def test_one_label_alone_is_told_from_all_others_but_its_double(four_speakers, tmp_path, capsys):
    training = DefaultTraining((FakeBackbone(),), ("rows",), tmp_path, HoldoutSettings(views=0))
    result = open_set.measure_one_class(four_speakers, training)
    by_label = {row["label"]: row["recording"]["auroc"] for row in result["labels"]}
    assert list(by_label) == list(LABELS)
    assert by_label["alice"] == by_label["bob"] == 1 > max(by_label["carol"], by_label["dave"])
    assert result["mean"]["recording"]["auroc"] == pytest.approx(np.mean(list(by_label.values())))
    open_set.print_one_class(result)
    assert "to refuse 5% of its next clips" in capsys.readouterr().out


def test_the_script_prints_and_writes_what_was_measured(speakers, tmp_path, monkeypatch, capsys):
    import bench

    monkeypatch.setattr("audionet.models.backbones.backbone.load_backbone", load_fake)
    monkeypatch.setattr("audionet.training.trainer.candidate_bottlenecks", lambda *_, **__: ("rows",))
    audio_dir = shutil.copytree(speakers, tmp_path / "voices")
    shutil.copytree(audio_dir / "carol", audio_dir / "dave")
    (audio_dir / "bob" / "broken.mp3").write_text("no sound")
    arguments = ["open-set", "--audio_dir", audio_dir, "--draws", "1", "--output_dir", tmp_path / "out"]
    assert bench.main([str(argument) for argument in arguments]) == 1
    printed = capsys.readouterr()
    assert "Means over 1 draws of 1 of 4 labels" in printed.out
    assert "broken.mp3" in printed.err
    assert json.loads((tmp_path / "out" / "voices" / "unknown.json").read_text())["n_unknown"] == 5
