"""Whole networks, trained on pictures so small that it takes a moment."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import run_python, training_run_of
from PIL import Image

from audionet.data.dataset import Dataset, read_dataset
from audionet.errors import InputError
from audionet.files import read_mark
from audionet.models.backbones.engines import open_graph
from audionet.models.backbones.settings import BackboneSettings
from audionet.training import finetuning, trainer
from audionet.training.settings import HeadSettings, HoldoutSettings, NetworkSettings, TrainingSettings
from audionet.training.trainer import TrainedModel, Trainer

LABELS = ("checks", "columns", "rows")
SETTINGS = TrainingSettings(
    backbone=BackboneSettings(image_size=16),
    whole=NetworkSettings(network="cnvrg", epochs=12, network_batch_size=16, network_rate=0.003),
    holdout=HoldoutSettings(views=0),
)


def train(
    dataset: Dataset, settings: TrainingSettings, *, bottleneck_dir: Path, summaries_dir: Path | None = None
) -> TrainedModel:
    training = Trainer(dataset, settings, bottleneck_dir=bottleneck_dir)
    return training.train(training.data, summaries_dir=summaries_dir)


def pattern(label: str, rng: np.random.Generator) -> np.ndarray:
    """Return stripes across, stripes down or both, uint8, shape (20, 20, 3), in noise."""
    stripes = np.resize([0, 0, 100, 100], 20)
    rows, columns = np.roll(stripes, rng.integers(4))[:, None], np.roll(stripes, rng.integers(4))[None, :]
    picture = {"rows": rows + 0 * columns, "columns": columns + 0 * rows, "checks": (rows + columns) % 200}[label]
    return np.repeat((picture + rng.integers(0, 60, (20, 20)))[:, :, None], 3, axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def patterns(tmp_path_factory):
    """Three labels of twenty pictures each, fit for a network that knows nothing yet."""
    folder = tmp_path_factory.mktemp("patterns")
    rng = np.random.default_rng(0)
    for label in LABELS:
        (folder / "images" / label).mkdir(parents=True)
        for number in range(20):
            Image.fromarray(pattern(label, rng)).save(folder / "images" / label / f"{number}.png")
    return folder / "images"


@pytest.fixture(scope="module")
def dataset(patterns):
    return read_dataset(patterns, patterns.parent / "pictures.sqlite")


@pytest.fixture(scope="module")
def model(dataset, patterns):
    return train(
        dataset, SETTINGS, bottleneck_dir=patterns.parent / "bottlenecks", summaries_dir=patterns.parent / "summaries"
    )


@pytest.fixture(scope="module")
def saved_model(model, patterns):
    run = training_run_of(model)
    folder = patterns.parent / "model"
    run.save(folder)
    return folder


def test_a_network_learns_from_scratch_what_it_is_shown(model):
    run = training_run_of(model)
    assert run.metrics["chunk"]["accuracy"] >= 0.75
    assert model.selected.best.trainer == "cnvrg from scratch"
    assert model.selected.members[0].temperature > 0


def test_it_is_saved_as_a_classifier_that_needs_no_tensorflow(saved_model, patterns):
    pytest.importorskip("openvino", reason="without OpenVINO, TensorFlow has to score")
    program = (
        "import sys; from audionet.models.classifier import Classifier\n"
        f"print(Classifier.load({str(saved_model)!r}).score({str(patterns / 'rows' / '0.png')!r}).nearest_label)\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
    )
    done = run_python("-c", program)
    assert (done.stdout, done.returncode) == ("rows\n", 0), done.stderr


def test_backbone_and_head_give_what_the_network_gave(model, dataset):
    pixels = np.stack(
        [np.asarray(Image.open(one.path).resize((16, 16), Image.Resampling.BILINEAR)) for one in dataset.examples]
    )
    features = open_graph(model.backbones[0].graph, engine="tensorflow")(pixels)
    whole = model.selected.members[0].head.logits(features)
    assert np.abs(whole - model.selected.members[0].head.logits(model.data.samples.table)).max() < 0.02


def test_learning_curves_of_both_splits_are_kept_and_drawn(model, patterns):
    (curve,) = training_run_of(model).metrics["curves"]
    assert curve["training"].keys() == curve["validation"].keys() == {"accuracy", "log_loss"}
    assert len(curve["steps"]) == len(curve["training"]["log_loss"])
    assert read_mark(patterns.parent / "summaries")["kind"] == "summaries"


def test_the_weights_that_did_best_on_validation_are_kept(model):
    losses = model.selected.best.curve["log_loss"]
    assert model.selected.best.steps == model.selected.best.curve["steps"][int(np.argmin(losses))]


def test_the_same_run_is_found_again(model, dataset, patterns, monkeypatch):
    monkeypatch.setattr(finetuning._NetworkFit, "_fit", None)
    again = train(dataset, SETTINGS, bottleneck_dir=patterns.parent / "bottlenecks")
    assert np.array_equal(again.selected.members[0].head.weights, model.selected.members[0].head.weights)


def test_another_rate_of_false_accepts_takes_no_other_training(model, dataset, patterns, monkeypatch):
    monkeypatch.setattr(finetuning._NetworkFit, "_fit", None)
    settings = replace(SETTINGS, head=HeadSettings(false_accept_rate=0.4))
    again = train(dataset, settings, bottleneck_dir=patterns.parent / "bottlenecks")
    assert (model.selected.open_set.stated_rate, again.selected.open_set.stated_rate) == (0.05, 0.4)


def test_a_killed_run_goes_on_where_it_was(dataset, tmp_path, monkeypatch, capsys):
    rounds = []
    note = finetuning._Progress.note

    def note_or_die(progress, model, epoch, logs):
        rounds.append(epoch)
        stop = note(progress, model, epoch, logs)
        if len(rounds) == 3:
            raise KeyboardInterrupt
        return stop

    monkeypatch.setattr(finetuning._Progress, "note", note_or_die)
    settings = replace(SETTINGS, whole=replace(SETTINGS.whole, epochs=4))
    with pytest.raises(KeyboardInterrupt):
        train(dataset, settings, bottleneck_dir=tmp_path)
    model = train(dataset, settings, bottleneck_dir=tmp_path)
    assert rounds == [0, 1, 2, 2, 3]
    assert "going on after round 3" in capsys.readouterr().err
    assert len(model.selected.best.curve["steps"]) == 4


def test_a_run_without_validation_keeps_the_last_weights(dataset, tmp_path):
    settings = replace(
        SETTINGS,
        whole=replace(SETTINGS.whole, epochs=2),
        holdout=replace(SETTINGS.holdout, validation_percentage=0),
    )
    selected = train(dataset, settings, bottleneck_dir=tmp_path).selected
    assert (selected.best.validation_accuracy, selected.members[0].temperature, selected.open_set) == (None, 1.0, None)
    assert selected.best.steps == selected.best.curve["steps"][-1]


def test_brightness_is_that_of_the_training_split_alone(dataset, tmp_path):
    seen = []
    settings = replace(SETTINGS, whole=NetworkSettings(network="simple_audio", epochs=1))

    def spied(pictures, activation, mean, variance):
        seen.append((mean, variance))
        return finetuning.SMALL_CNNS["cnvrg"].build(pictures, activation, mean, variance)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            finetuning.SMALL_CNNS, "simple_audio", replace(finetuning.SMALL_CNNS["simple_audio"], build=spied)
        )
        data = train(dataset, settings, bottleneck_dir=tmp_path).data
    pixels = [
        np.asarray(Image.open(picture.path).resize((16, 16), Image.Resampling.BILINEAR), float)
        for picture in data.select("training").pictures()
    ]
    assert seen == [(pytest.approx(np.mean(pixels)), pytest.approx(np.var(pixels)))]


def test_an_unknown_network_lists_the_known():
    with pytest.raises(InputError, match="--network: expected one of cnvrg, simple_audio, efficientnet_lite0"):
        trainer.check_settings(TrainingSettings(whole=NetworkSettings(network="resnet")))


def test_pictures_too_small_for_a_network_are_refused(dataset, tmp_path):
    with pytest.raises(InputError, match="--image_size: expected at least 16 pixels for cnvrg, received 8"):
        train(dataset, replace(SETTINGS, backbone=BackboneSettings(image_size=8)), bottleneck_dir=tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "--epochs: expected 1 to"),
        ({"network_rate": 0.0}, "--network_rate: expected 1e-09 to 10"),
        ({"fine_tune": 0}, "--fine_tune: expected 1 to"),
        ({"fine_tune": "all", "network": "cnvrg"}, "leave --fine_tune or --network away"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        NetworkSettings(**settings)


@pytest.mark.slow
def test_fine_tuning_goes_on_from_the_head_and_keeps_the_better(drawn, tmp_path, capsys):
    settings = TrainingSettings(
        backbone=BackboneSettings(bottleneck="block3", image_size=96),
        holdout=HoldoutSettings(views=1),
        whole=NetworkSettings(fine_tune=4, epochs=1, steps_per_epoch=2),
    )
    dataset = read_dataset(drawn, tmp_path / "pictures.sqlite")
    model = train(dataset, settings, bottleneck_dir=tmp_path / "bottlenecks")
    said = capsys.readouterr().err
    assert "after fine-tuning of the last 4 layers: accuracy" in said
    kept_after = "Kept: after" in said
    assert (model.selected.best.trainer == "fine-tuning of the last 4 layers") == kept_after
    assert model.selected.candidates[-1].trainer == "fine-tuning of the last 4 layers"
    assert len(json.dumps(training_run_of(model).metrics)) > 1000


@pytest.mark.slow
def test_fine_tuning_starts_at_the_head(drawn, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        finetuning._NetworkFit,
        "_fit",
        lambda fit, folder, steps: fit.progress.note(
            fit._model, 0, {"loss": 0.0, "accuracy": 0.0, "val_loss": 0.0, "val_accuracy": 0.0}
        ),
    )
    settings = TrainingSettings(
        backbone=BackboneSettings(bottleneck="block3", image_size=96),
        holdout=HoldoutSettings(views=0),
        whole=NetworkSettings(fine_tune="all", epochs=1),
    )
    dataset = read_dataset(drawn, tmp_path / "pictures.sqlite")
    train(dataset, settings, bottleneck_dir=tmp_path / "bottlenecks")
    before, after = re.search(r"log loss ([0-9.]+) and ([0-9.]+)[.]", capsys.readouterr().err).groups()
    assert float(after) == pytest.approx(float(before), abs=0.01)


@pytest.mark.slow
def test_fine_tuning_needs_validation(drawn, tmp_path):
    settings = TrainingSettings(
        backbone=BackboneSettings(bottleneck="block3", image_size=96),
        holdout=HoldoutSettings(views=0, validation_percentage=0),
        whole=NetworkSettings(fine_tune="all"),
    )
    dataset = read_dataset(drawn, tmp_path / "pictures.sqlite")
    with pytest.raises(InputError, match="--fine_tune: expected validation recordings"):
        train(dataset, settings, bottleneck_dir=tmp_path / "bottlenecks")


def test_loss_rates_and_average_are_those_asked_for(dataset, patterns):
    head = HeadSettings(label_weights="rows=2", label_smoothing=0.1, focal=1, rate_schedule="cosine", warmup=0.1)
    whole = replace(SETTINGS.whole, weight_averaging=0.9, staged=True, rate_decay=0.9, epochs=6)
    asked = replace(SETTINGS, head=head, whole=whole)
    folder = patterns.parent / "asked"
    trained = train(dataset, asked, bottleneck_dir=folder)
    again = train(dataset, asked, bottleneck_dir=folder)  # found as it was kept, the average included
    assert np.array_equal(trained.selected.members[0].head.weights, again.selected.members[0].head.weights)
    plain = train(dataset, replace(asked, whole=replace(whole, weight_averaging=0.0)), bottleneck_dir=folder)
    assert not np.array_equal(trained.selected.members[0].head.weights, plain.selected.members[0].head.weights)
    assert len([path for path in (folder / "training").iterdir() if path.is_dir()]) == 2
    losses = trained.selected.best.curve["training"]["log_loss"]
    assert losses[-1] < losses[0]


def test_a_weight_for_a_label_that_there_is_not_is_refused(dataset, tmp_path):
    with pytest.raises(InputError, match="--label_weights: expected labels out of checks, columns, rows, received tea"):
        Trainer(dataset, replace(SETTINGS, head=HeadSettings(label_weights="tea=2")), bottleneck_dir=tmp_path)
