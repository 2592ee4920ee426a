"""The command that exports a classifier."""

import dataclasses
import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from audionet.evaluation.runs import Stopwatch, write_run
from audionet.export import formats
from audionet.export.export import with_suffix
from audionet.export.formats import Tolerance
from audionet.models.classifier import Classifier
from audionet.models.classifier_folder import changing_enrolled

pytest.importorskip("tensorflow", reason="exports need tensorflow", exc_type=ImportError)


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
    with changing_enrolled(model) as enrolled:
        enrolled["hiss"] = np.ones(Classifier.load(model).about["backbone"]["dimension"], np.float32)
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


def test_an_output_without_a_suffix_gets_that_of_its_format():
    assert with_suffix(Path("out/voices"), "onnx") == Path("out/voices.onnx")
    assert with_suffix(Path("voices.v2"), "tflite_int8") == Path("voices.v2.tflite")
    assert with_suffix(Path("voices.ONNX"), "onnx") == Path("voices.ONNX")
    assert with_suffix(Path("voices.tflite"), "onnx") == Path("voices.tflite"), "which is refused"
    assert with_suffix(Path("voices"), "saved_model") == Path("voices")


def test_an_export_is_compared_on_what_the_classifier_was_trained_on(saved, speakers, tmp_path, capsys):
    model = shutil.copytree(saved / "retrained_model", tmp_path / "model")
    assert call("--model", model, "--format", "graph", "--output", tmp_path / "voices") == 2
    assert "was trained on. Name a folder by --audio_dir" in capsys.readouterr().err
    options = {"image_dir": speakers, "output_model": model}
    write_run(
        tmp_path / "runs", script="", options=options, watch=Stopwatch(), seed=0, data={}, classifier={}, scores={}
    )
    assert call("--model", model, "--format", "graph", "--output", tmp_path / "voices") == 0
    assert str(tmp_path / "voices.pb") in capsys.readouterr().out
