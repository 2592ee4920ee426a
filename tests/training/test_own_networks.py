"""A user's own networks as members of a classifier: trained, saved, loaded, and scored without TensorFlow."""

import shutil
import subprocess
import sys

import numpy as np
import onnx_writer as onnx
import pytest
from conftest import run_audionet, training_run_of

from audionet.data.dataset import read_dataset
from audionet.errors import InputError
from audionet.models.backbones.settings import BackboneSettings
from audionet.models.classifier import Classifier
from audionet.training.settings import HeadSettings, HoldoutSettings, TrainingSettings
from audionet.training.trainer import Trainer, candidate_members

pytest.importorskip("openvino", reason="OpenVINO alone runs ONNX files")

HZ = np.geomspace(100, 4_000, 24)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIONET_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def ear(tmp_path_factory):
    """An ONNX file that tells how much of some tones there is in each frame of sounds [n, samples] at 16 kHz."""
    waves = np.exp(2j * np.pi * HZ[:, None] * np.arange(400) / 16_000) * np.hanning(400)
    kernel = np.concatenate([waves.real, waves.imag])[:, None].astype(np.float32)
    nodes = [
        onnx.node("Unsqueeze", ["sounds", "axes"], "channels"),
        onnx.node("Conv", ["channels", "kernel"], "tones", strides=[160], kernel_shape=[400]),
        onnx.node("Abs", ["tones"], "embedding"),
    ]
    tensors = [onnx.tensor("kernel", kernel), onnx.tensor("axes", np.array([1], np.int64))]
    values = [onnx.value("sounds", (None, None))], [onnx.value("embedding", (None, 48, None))]
    path = tmp_path_factory.mktemp("onnx") / "ear.onnx"
    path.write_bytes(onnx.model(nodes, *values, tensors))
    return path


@pytest.fixture(scope="module")
def eye(tmp_path_factory):
    """An ONNX file that tells the mean of each row of pictures [n, 32, 32, 3]."""
    nodes = [
        onnx.node("ReduceMean", ["pictures"], "rows", axes=[2], keepdims=0),
        onnx.node("Reshape", ["rows", "shape"], "vectors"),
    ]
    values = [onnx.value("pictures", (None, 32, 32, 3))], [onnx.value("vectors", (None, 96))]
    path = tmp_path_factory.mktemp("onnx") / "eye.onnx"
    path.write_bytes(onnx.model(nodes, *values, [onnx.tensor("shape", np.array([-1, 96], np.int64))]))
    return path


def settings_of(**backbone):
    return TrainingSettings(
        backbone=BackboneSettings(**backbone), head=HeadSettings(head="lda"), holdout=HoldoutSettings(views=1)
    )


def test_an_onnx_file_is_trained_saved_loaded_and_scored(ear, drawn, spoken, tmp_path):
    dataset = read_dataset(drawn, tmp_path / "pictures.sqlite")
    trainer = Trainer(dataset, settings_of(architecture="onnx", onnx_file=ear), bottleneck_dir=tmp_path / "bottlenecks")
    run = training_run_of(trainer.train(trainer.data))
    run.save(tmp_path / "model")
    classifier = Classifier.load(tmp_path / "model")
    (member,) = classifier.members
    assert (member.name, member.input.samples, member.dimension) == ("onnx", 32_000, 48)
    path = next((spoken / "anna").rglob("*.mp3")) if (spoken / "anna").is_dir() else next(spoken.rglob("*.mp3"))
    answer = classifier.score(path)
    assert answer.labels[int(answer.probabilities.argmax())] == path.parent.name
    assert answer.probabilities == pytest.approx(run.classifier.score(path).probabilities, abs=1e-5)
    program = "import sys, audionet; print(audionet.Classifier.load(sys.argv[1]).score(sys.argv[2]).labels); "
    program += "assert not {'tensorflow', 'keras', 'onnx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program, tmp_path / "model", path], check=True, capture_output=True)
    assert run_audionet("inspect", "--model", tmp_path / "model") == 0


def test_own_networks_that_look_and_listen_are_members_side_by_side(ear, eye, drawn, tmp_path):
    import tensorflow as tf

    class Ear(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="waveform")])
        def __call__(self, waveform):
            return tf.abs(tf.signal.stft(waveform, 256, 256))

    tf.saved_model.save(Ear(), str(tmp_path / "module"))
    dataset = read_dataset(drawn, tmp_path / "pictures.sqlite")
    settings = BackboneSettings(members="tfhub + onnx", tfhub_module=str(tmp_path / "module"), onnx_file=eye)
    looking, listening = (one.network for one in candidate_members(dataset, TrainingSettings(backbone=settings)))
    assert (looking.name, looking.input.is_sound, looking.backbone.height) == ("onnx:log_mel", False, 32)
    assert (listening.name, listening.input.is_sound, listening.backbone.dimension) == ("tfhub", True, 129)


def test_a_network_that_listens_needs_the_wavs_and_no_drawing(ear, drawn, tmp_path):
    shutil.copytree(drawn, tmp_path / "pictures")
    for wav in (tmp_path / "pictures").rglob("*.wav"):
        wav.unlink()
    dataset = read_dataset(tmp_path / "pictures", tmp_path / "pictures.sqlite")
    with pytest.raises(InputError, match="onnx needs the wav beside each picture"):
        candidate_members(dataset, settings_of(architecture="onnx", onnx_file=ear))
    with pytest.raises(InputError, match="expected for onnx no drawing, as it listens, received 'log_mel'"):
        candidate_members(
            read_dataset(drawn, tmp_path / "more.sqlite"), settings_of(members="onnx:log_mel", onnx_file=ear)
        )


@pytest.mark.slow
def test_a_classifier_of_an_onnx_file_is_trained_without_a_graph_and_not_exported(eye, drawn, tmp_path, capsys):
    arguments = ["--image_dir", drawn, "--architecture", "onnx", "--onnx_file", eye, "--views", 1, "--head", "lda"]
    places = {
        name: tmp_path / name
        for name in ("output_model", "output_graph", "output_labels", "bottleneck_dir", "summaries_dir", "runs_dir")
    }
    written = [text for name, path in places.items() for text in (f"--{name}", path)]
    assert run_audionet("train", *arguments, *written, "--report", tmp_path / "report.html") == 0
    shown = capsys.readouterr().err
    assert "output_graph is not written: onnx:log_mel is out of an ONNX file, which OpenVINO alone runs." in shown
    assert not places["output_graph"].exists()
    exported = ["export", "--model", places["output_model"], "--format", "graph", "--output", tmp_path / "export.pb"]
    assert run_audionet(*exported, "--input", "picture", "--image_dir", drawn) == 2
    assert "No export can hold onnx: it is out of an ONNX file" in capsys.readouterr().err
