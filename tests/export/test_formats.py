import dataclasses
import importlib
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLE_AUDIO, write_sound

from audionet.errors import ExportError, InputError
from audionet.evaluation.test_set import find_audio, find_pictures
from audionet.export import export as export_module
from audionet.export import formats
from audionet.export.formats import FORMATS, Tolerance
from audionet.export.frozen_graph import picture_graph, waveform_graph
from audionet.export.parity import Clip, compare, find_clips
from audionet.models.classifier import Classifier
from audionet.models.classifier_folder import write_enrolled

tf = pytest.importorskip("tensorflow", reason="exports need tensorflow", exc_type=ImportError)

FOLDERS = {"saved_model", "openvino"}


def place(folder: Path, name: str) -> Path:
    return folder / f"voices{FORMATS[name].suffix}"


def skip_without(name: str) -> None:
    for package in FORMATS[name].packages:
        pytest.importorskip(package, reason=f"the format {name} needs {package}", exc_type=ImportError)


@pytest.fixture(scope="module")
def clips(trained, speakers) -> tuple[list[Clip], list[Clip]]:
    return find_clips(trained.classifier, find_audio(speakers))


@pytest.fixture
def export(trained, clips, tmp_path):
    def export(name: str, takes: export_module.Input = "waveform", **changes):
        held_out, trained_on = clips
        kept = {"held_out": held_out, "trained_on": trained_on} | changes
        return export_module.export(trained.classifier, place(tmp_path, name), format_name=name, takes=takes, **kept)

    return export


@pytest.mark.parametrize("takes", ["waveform", "picture"])
@pytest.mark.parametrize("name", FORMATS)
def test_an_export_answers_as_its_classifier_through_its_own_runtime(export, trained, tmp_path, name, takes):
    skip_without(name)
    parity = export(name, takes)
    assert parity.agreeing == parity.chunks > 0
    assert parity.recordings_right == (3, 3)
    about, run = FORMATS[name].open(place(tmp_path, name))
    assert about["labels"] == list(trained.classifier.labels)
    assert about["recipe"]["sample_rate_hz"] == 16_000
    shape = (1, about["chunk_samples"]) if takes == "waveform" else (1, about["height"], about["width"], 3)
    assert run(np.full(shape, 0.1, np.float32)).sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", ["saved_model", "keras", "graph", "onnx", "openvino"])
def test_chunks_score_the_same_alone_and_together(export, clips, tmp_path, name):
    skip_without(name)
    export(name)
    _, run = FORMATS[name].open(place(tmp_path, name))
    sounds = np.stack([clip.samples for clip in clips[0][:3]])
    assert run(sounds) == pytest.approx(np.concatenate([run(sound[None]) for sound in sounds]), abs=1e-4)


@pytest.mark.parametrize("name", ["graph", "saved_model"])
def test_an_export_that_answers_otherwise_is_not_kept(export, trained, tmp_path, monkeypatch, name):
    head = trained.classifier.head
    backwards = dataclasses.replace(head, weights=-head.weights, biases=-head.biases)
    monkeypatch.setattr(
        export_module,
        "waveform_graph",
        lambda classifier, batch: waveform_graph(_with_head(trained.classifier, backwards), batch=batch),
    )
    with pytest.raises(ExportError, match="was not kept, since it answers otherwise: It agrees with the classifier"):
        export(name)
    assert not list(tmp_path.iterdir())


def _with_head(classifier, head):
    """A classifier of the same network with another head; the one given stays as it is."""
    changed = object.__new__(type(classifier))
    vars(changed).update(vars(classifier), head=head)
    return changed


def test_an_earlier_export_is_replaced_and_what_is_not_one_stays(export, tmp_path):
    export("saved_model")
    export("saved_model")
    theirs = place(tmp_path, "saved_model")
    (theirs / "audionet.json").unlink()
    with pytest.raises(InputError, match=r"is something else\. Choose another name"):
        export("saved_model")
    assert (theirs / "saved_model.pb").exists()


def test_a_name_of_another_format_is_refused(trained, tmp_path):
    with pytest.raises(InputError, match=r"expected a name that ends in \.onnx for --format onnx"):
        export_module.check_output(tmp_path / "voices.tflite", FORMATS["onnx"], "onnx")


def test_a_missing_package_is_named_with_what_to_type(export, monkeypatch):
    monkeypatch.setitem(FORMATS, "onnx", dataclasses.replace(FORMATS["onnx"], packages=("no_such_package",)))
    with pytest.raises(
        InputError, match=r"needs no_such_package, which is not installed\. Type: pip install '\./scripts\[export\]'"
    ):
        export("onnx")


def test_eight_bits_need_something_to_calibrate_on(export):
    skip_without("tflite_int8")
    with pytest.raises(InputError, match="calibrated on recordings that the classifier was trained on"):
        export("tflite_int8", trained_on=[])


def test_labels_travel_in_a_tflite_file_for_readers_of_its_metadata(export, trained, tmp_path):
    skip_without("tflite")
    export("tflite")
    with zipfile.ZipFile(place(tmp_path, "tflite")) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(trained.classifier.labels)


def test_what_was_trained_on_is_told_by_its_sound_whatever_it_is_called(trained, speakers, tmp_path):
    sides = trained.sides
    for name, side in sides.items():
        if side != "validation":
            target = tmp_path / Path(name).parts[0] / f"{side}-{Path(name).name}"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes((speakers / name).read_bytes())
    held_out, trained_on = find_clips(trained.classifier, find_audio(tmp_path))
    assert {Path(clip.recording).name.partition("-")[0] for clip in held_out} == {"testing"}
    assert {Path(clip.recording).name.partition("-")[0] for clip in trained_on} == {"training"}


def test_pictures_can_be_compared_on_instead(export, trained, drawn):
    held_out, trained_on = find_clips(trained.classifier, find_pictures(drawn))
    assert held_out and trained_on and held_out[0].samples is None
    assert export("graph", "picture", held_out=held_out).agreeing == len(held_out)
    with pytest.raises(InputError, match="compared on recordings; name --audio_dir"):
        export("graph", held_out=held_out)


def test_recordings_of_other_labels_are_no_basis_to_compare_on(trained, tmp_path):
    write_sound(tmp_path / "stranger" / "1.wav", np.zeros(16_000) + 0.1)
    with pytest.raises(InputError, match="none is of a label that this classifier knows"):
        find_clips(trained.classifier, find_audio(tmp_path))


def test_drift_and_disagreement_are_counted(trained, clips):
    held_out, _ = clips
    inputs = [np.zeros((1, 1), np.float32)] * len(held_out)
    parity = compare(
        trained.classifier, held_out, inputs, lambda _: np.array([[0, 0, 1]], np.float32), Tolerance(0.01, 0.01)
    )
    carol = sum(clip.label == "carol" for clip in held_out)
    assert parity.right == (len(held_out), carol)
    assert parity.agreeing == carol
    assert 0.6 < parity.drift < parity.largest_drift <= 1 + 1e-6


def test_gaps_count_as_little_for_a_recording_as_they_do_in_scoring(trained, clips):
    one = [clip for clip in clips[0] if clip.label == "alice"]
    alice, gap = np.float32([[0.9, 0.1, 0]]), np.float32([[0, 0, 1]])
    recording = [one[0], *(dataclasses.replace(one[0], level_dbfs=one[0].level_dbfs - 60) for _ in range(3))]
    answers = iter([alice, alice, gap, gap, gap])  # the first one warms up
    inputs = [np.zeros((1, 1), np.float32)] * 4
    parity = compare(trained.classifier, recording, inputs, lambda _: next(answers), Tolerance(0.01, 0.01))
    assert parity.right == (4, 1) and parity.recordings_right == (1, 1)


@pytest.mark.parametrize(
    ("drift", "disagreeing", "chunks", "allowed"),
    [(0.0, 1, 5, True), (0.0, 2, 5, False), (0.011, 0, 100, False), (0.01, 2, 200, True), (0.0, 3, 200, False)],
)
def test_one_chunk_may_always_differ_and_then_the_share_that_is_tolerated(drift, disagreeing, chunks, allowed):
    assert Tolerance(0.01, 0.01).allows(drift=drift, disagreeing=disagreeing, chunks=chunks) is allowed


def test_an_operation_without_a_counterpart_in_keras_is_named(trained):
    from audionet.export.keras_graph import keras_model

    graph = picture_graph(trained.classifier)
    next(node for node in graph.node if node.op == "Softmax").op = "LogSoftmax"
    with pytest.raises(InputError, match="has the operation LogSoftmax, which has no counterpart in Keras"):
        keras_model(graph)


# The script


def call(*arguments: object) -> int:
    return importlib.import_module("export").main([str(argument) for argument in arguments])


def test_the_script_compares_and_says_where_the_export_is(saved, speakers, tmp_path, capsys):
    model = saved / "retrained_model"
    target = tmp_path / "voices.pb"
    assert call("--model", model, "--format", "graph", "--output", target, "--audio_dir", speakers) == 0
    shown = capsys.readouterr().out
    assert "It agrees with the classifier on" in shown and "3 of 3" in shown and str(target) in shown


def test_the_script_says_which_labels_are_left_out(saved, speakers, tmp_path, capsys):
    model = shutil.copytree(saved / "retrained_model", tmp_path / "model")
    write_enrolled(model, {"hiss": np.ones(Classifier.load(model).about["backbone"]["dimension"], np.float32)})
    target = tmp_path / "voices.pb"
    assert call("--model", model, "--format", "graph", "--output", target, "--audio_dir", speakers) == 0
    assert "It leaves out what was enrolled: hiss." in capsys.readouterr().out


def test_a_drift_ends_the_script_with_status_1(saved, speakers, tmp_path, monkeypatch, capsys):
    never = dataclasses.replace(formats.FORMATS["graph"], tolerance=Tolerance(-1.0, 0.0))
    monkeypatch.setitem(formats.FORMATS, "graph", never)
    target = tmp_path / "voices.pb"
    status = call(
        "--model", saved / "retrained_model", "--format", "graph", "--output", target, "--audio_dir", speakers
    )
    assert status == 1
    assert not target.exists()
    assert "was not kept" in capsys.readouterr().err


def test_pictures_are_refused_for_an_export_that_takes_sound(capsys):
    assert call("--format", "onnx", "--output", "a.onnx", "--image_dir", "b") == 2
    assert "--image_dir needs --input picture" in capsys.readouterr().err


# With a real network


@pytest.mark.slow
@pytest.mark.parametrize("name", ["keras", "tflite_int8", "onnx"])
def test_a_pretrained_network_survives_the_way(real, tmp_path, name):
    skip_without(name)
    classifier, (held_out, _) = real
    parity = export_module.export(
        classifier, place(tmp_path, name), format_name=name, takes="waveform", held_out=held_out, trained_on=held_out
    )
    assert parity.chunks == 12
    assert json.dumps(export_module.describe(classifier, takes="waveform"))


@pytest.fixture(scope="module")
def real():
    """A classifier with the default network and a head of chance, and clips of the sample speakers."""
    from audionet.features.recipes import find_recipe
    from audionet.models.backbones.backbone import load_backbone
    from audionet.models.classifier import Classifier
    from audionet.models.head import Head

    backbone = load_backbone("efficientnet_lite0", bottleneck="block3")
    labels = tuple(sorted(folder.name for folder in SAMPLE_AUDIO.iterdir() if folder.is_dir()))
    weights = np.random.default_rng(0).normal(0, 0.02, (backbone.dimension, len(labels))).astype(np.float32)
    classifier = Classifier(
        labels=labels,
        recipe=find_recipe("default"),
        head=Head(weights, np.zeros(len(labels), np.float32)),
        graph=backbone.graph,
        about={"backbone": backbone.describe()},
    )
    held_out, trained_on = find_clips(classifier, find_audio(SAMPLE_AUDIO))
    return classifier, (held_out[::10], trained_on)
