"""A background made of a folder of labels, and classifiers of few labels that rest on it."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import RATE_HZ, load_fake, noise, tone, write_sound

from audionet.models.background import BackgroundSpace, NetworkKey, read_background, write_background
from audionet.models.classifier import Classifier


def call(script: str, *arguments: object) -> int:
    return importlib.import_module(script).main([str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def fake_network(monkeypatch):
    monkeypatch.setattr("audionet.models.backbones.backbone.load_backbone", load_fake)
    monkeypatch.setattr("audionet.training.trainer.candidate_bottlenecks", lambda *_, **__: ("rows",))


def hum(pitch: int, *, seed: int, seconds: float = 6.0) -> np.ndarray:
    """A hum of one pitch, louder and softer by chance, in noise of another loudness each time."""
    rng = np.random.default_rng(seed)
    envelope = np.repeat(rng.uniform(0.1, 1, round(seconds * 4)), RATE_HZ // 4)
    return tone(pitch, seconds) * envelope + noise(seconds, seed=seed, level=float(rng.uniform(0.002, 0.05)))


def humming(folder: Path, pitches: range, *, recordings: int = 3) -> Path:
    for pitch in pitches:
        for number in range(recordings):
            write_sound(folder / f"{pitch}Hz" / f"{number}.wav", hum(pitch, seed=pitch + number))
    return folder


@pytest.fixture
def others(tmp_path) -> Path:
    return humming(tmp_path / "others", range(300, 2_300, 250))


def make(others: Path, output: Path, *options: object) -> int:
    cache = output.parent / "cache"
    return call("background", "--audio_dir", others, "--output", output, "--bottleneck_dir", cache, *options)


def train(folder: Path, model: Path, *options: object) -> int:
    places = {
        name: model.parent / f"{model.name}_{name}"
        for name in ("bottleneck_dir", "summaries_dir", "output_graph", "output_labels", "report", "runs_dir")
    }
    named = [text for name, path in places.items() for text in (f"--{name}", path)]
    return call("retrain", "--image_dir", folder, "--output_model", model, "--head", "lda", *named, *options)


def test_a_file_says_whose_recordings_it_rests_on(others, tmp_path, capsys):
    path = tmp_path / "b.npz"
    assert make(others, path, "--origin", "eight hums", "--licence", "CC0") == 0
    assert "eight hums (CC0)" in capsys.readouterr().out
    (space,) = read_background(path)
    assert (space.labels, space.recordings) == (8, 24)
    assert call("background", "--show", path) == 0
    shown = capsys.readouterr().out
    assert "For fake" in shown and "8 labels, 24 recordings" in shown and "eight hums (CC0)" in shown


def test_recordings_that_cannot_be_read_are_named_and_the_rest_go_on(others, tmp_path, capsys):
    (others / "300Hz" / "broken.mp3").write_text("no sound")
    assert make(others, tmp_path / "b.npz") == 1
    assert "broken.mp3" in capsys.readouterr().err
    assert read_background(tmp_path / "b.npz")[0].recordings == 24


def test_a_file_keeps_what_it_holds_for_other_networks(others, tmp_path):
    path = tmp_path / "b.npz"
    make(others, path)
    (space,) = read_background(path)
    other = space_for(space, NetworkKey("other", "c" * 64, height=32, width=32))
    write_background(path, [other, space])
    make(others, path, "--origin", "again")
    assert [(one.key.architecture, one.origin) for one in read_background(path)] == [
        ("fake", "again"),
        ("other", other.origin),
    ]


def space_for(space: BackgroundSpace, key: NetworkKey) -> BackgroundSpace:
    import dataclasses

    return dataclasses.replace(space, key=key)


def test_too_few_labels_are_refused(tmp_path, capsys):
    few = humming(tmp_path / "few", range(300, 1_000, 250))
    assert make(few, tmp_path / "b.npz") == 2
    assert "--audio_dir: expected 6 labels or more with two recordings each" in capsys.readouterr().err
    assert not (tmp_path / "b.npz").exists()


@pytest.mark.parametrize("count", [2, 4])
def test_a_classifier_of_few_labels_compares_clips_by_a_background(others, tmp_path, capsys, count):
    path, model = tmp_path / "b.npz", tmp_path / "model"
    make(others, path, "--origin", "eight hums", "--licence", "CC0")
    folder = humming(tmp_path / "own", range(425, 425 + 250 * count, 250))
    assert train(folder, model, "--background", path) == 0
    classifier = Classifier.load(model)
    space = classifier.comparison_space()
    assert space.is_of_background and "eight hums (CC0)" in space.background
    assert "of the background, left out of it in turn" in space.sentence()
    strange = [write_sound(tmp_path / f"{n}.wav", hum(p, seed=n)) for n, p in enumerate((1_925, 1_925, 2_175))]
    capsys.readouterr()
    for second, verdict in ((strange[1], True), (strange[2], False)):
        assert call("verify", strange[0], second, "--model", model, "--json") == 0
        assert json.loads(capsys.readouterr().out)["same"] is verdict
    assert call("inspect_model", "--model", model) == 0
    assert "eight hums (CC0)" in capsys.readouterr().out


def test_none_leaves_two_labels_without_comparisons(others, tmp_path, capsys):
    folder = humming(tmp_path / "own", range(425, 900, 250))
    assert train(folder, tmp_path / "model", "--background", "none") == 0
    clip = folder / "425Hz" / "0.wav"
    capsys.readouterr()
    assert call("verify", clip, clip, "--model", tmp_path / "model") == 1
    assert "cannot compare clips" in capsys.readouterr().err


def test_a_member_that_a_file_has_nothing_for_is_named(others, tmp_path, capsys, monkeypatch):
    path = tmp_path / "b.npz"
    make(others, path)
    (space,) = read_background(path)
    write_background(path, [space_for(space, NetworkKey("other", "c" * 64, height=64, width=64, recipe="bells"))])
    monkeypatch.setattr("audionet.training.trainer.SHIPPED", path)
    folder = humming(tmp_path / "own", range(425, 1_200, 250))
    capsys.readouterr()
    assert train(folder, tmp_path / "model") == 0
    assert "Note: the background has nothing for efficientnet_lite0:log_mel at rows" in capsys.readouterr().err
    assert Classifier.load(tmp_path / "model").comparison_space().background == ""


def test_a_file_of_another_network_or_recipe_is_refused_before_the_work(others, tmp_path, capsys):
    path = tmp_path / "b.npz"
    make(others, path)
    (space,) = read_background(path)
    write_background(path, [space_for(space, NetworkKey("other", "c" * 64, height=64, width=64, recipe="bells"))])
    folder = humming(tmp_path / "own", range(425, 900, 250))
    assert train(folder, tmp_path / "model", "--background", path) == 2
    said = capsys.readouterr().err
    assert "--background: expected one for fake" in said and "other" in said and "bells" in said
    assert not (tmp_path / "model").exists()
    assert train(folder, tmp_path / "model", "--background", tmp_path / "missing.npz") == 2
    assert "missing.npz cannot be read" in capsys.readouterr().err
