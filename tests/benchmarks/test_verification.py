"""The benchmark of comparisons, with a small network."""

import json
import shutil

import numpy as np
import pytest
from conftest import FakeBackbone, load_fake

from audionet.data.dataset import read_dataset
from audionet.data.preprocessing import make_pictures
from audionet.errors import InputError
from audionet.features.recipes import find_recipe
from audionet.training.fitting.comparisons import by_recording, compare_recordings
from audionet.training.settings import HeadSettings, HoldoutSettings
from benchmarks import verification
from benchmarks.default_training import DefaultTraining
from benchmarks.label_holdout import Draw

LABELS = ("alice", "bob", "carol", "dave", "erin")


def five_speakers(speakers, audio_dir):
    """Three voices under five names: dave is carol, and erin is alice."""
    shutil.copytree(speakers, audio_dir)
    shutil.copytree(audio_dir / "carol", audio_dir / "dave")
    shutil.copytree(audio_dir / "alice", audio_dir / "erin")
    return audio_dir


@pytest.fixture(scope="module")
def dataset(speakers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("five")
    make_pictures(five_speakers(speakers, folder / "audio"), folder / "images", recipe=find_recipe("default"))
    return read_dataset(folder / "images", folder / "pictures.sqlite")


@pytest.fixture(scope="module")
def measure(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bottlenecks")

    training = DefaultTraining(FakeBackbone(), ("rows",), folder, HoldoutSettings(views=0), HeadSettings(head="lda"))

    def measure(*held_out: tuple[str, ...], **encoders):
        draws = [Draw(unknown, tuple(label for label in LABELS if label not in unknown)) for unknown in held_out]
        return verification.measure(dataset, draws, training, encoders)

    return measure


def test_no_recording_is_compared_with_itself():
    places, recordings = np.eye(4, dtype=np.float32), np.array(["a/1", "a/1", "a/2", "b/1"])
    compared = compare_recordings(places, np.array(["a", "a", "a", "b"]), recordings)
    assert set(compared.scores) == {0.0}
    assert (compared.is_same.sum(), (~compared.is_same).sum()) == (3, 5)
    _, are_same = by_recording(compared)
    assert (are_same.sum(), (~are_same).sum()) == (2, 4)


def test_different_voices_are_another_label_and_one_voice_under_two_names_is_not(measure):
    apart, alike = measure(("alice", "bob"), ("carol", "dave"))["draws"]
    assert apart["systems"]["AudioNet"]["recording"]["eer"] < 0.1
    assert alike["systems"]["AudioNet"]["recording"]["eer"] > 0.3
    assert (apart["n_same"]["recording"], apart["n_other"]["recording"]) == (2 * 5 * 4, 2 * 5 * 5)


def test_an_encoder_is_given_the_same_chunks(measure, dataset):
    encoded = []

    def oracle(examples):
        encoded.extend(example.recording for example in examples)
        return np.array([[1, 0] if example.recording.startswith("alice") else [0, 1] for example in examples])

    result = measure(("alice", "bob"), Oracle=oracle)
    assert result["mean"]["Oracle"]["chunk"] == {"eer": 0, "auroc": 1}
    assert {name.partition("/")[0] for name in encoded} == {"alice", "bob"}
    assert len(encoded) == sum(example.label in ("alice", "bob") for example in dataset.examples)
    assert json.loads(json.dumps(result)) == result


def test_means_are_those_of_the_draws(measure):
    result = measure(("alice", "bob"), ("carol", "dave"))
    rates = [draw["systems"]["AudioNet"]["chunk"]["auroc"] for draw in result["draws"]]
    assert result["mean"]["AudioNet"]["chunk"]["auroc"] == pytest.approx(np.mean(rates))


def test_one_label_alone_has_nothing_to_be_compared_with(measure):
    with pytest.raises(InputError, match="Hold out two labels or more"):
        measure(("alice",))


def test_the_script_prints_and_writes_what_was_measured(speakers, tmp_path, monkeypatch, capsys):
    import bench

    monkeypatch.setattr("audionet.models.backbones.backbone.load_backbone", load_fake)
    monkeypatch.setattr("benchmarks.default_training.candidate_bottlenecks", lambda *_, **__: ("rows",))
    audio_dir = five_speakers(speakers, tmp_path / "voices")
    (audio_dir / "bob" / "broken.mp3").write_text("no sound")
    arguments = [
        "verification",
        "--audio_dir",
        audio_dir,
        "--draws",
        "1",
        "--no_peers",
        "--output_dir",
        tmp_path / "out",
    ]
    assert bench.main([str(argument) for argument in arguments]) == 1
    printed = capsys.readouterr()
    assert "Means over 1 draws of 2 of 5 labels" in printed.out
    assert "broken.mp3" in printed.err
    assert len(json.loads((tmp_path / "out" / "voices" / "verify.json").read_text())["draws"]) == 1
