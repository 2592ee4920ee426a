"""Every format answers as its classifier, through its own runtime."""

import json
import zipfile

import numpy as np
import pytest
from conftest import SAMPLE_AUDIO, member_of
from exported import place, skip_without

from audionet.evaluation.test_set import find_audio
from audionet.export.export import describe, export_classifier
from audionet.export.formats import FORMATS, Tolerance
from audionet.export.parity import ParityClips, find_parity_clips
from audionet.models.classifier import Classifier

pytest.importorskip("tensorflow", reason="exports need tensorflow", exc_type=ImportError)


@pytest.mark.parametrize("input_kind", ["waveform", "picture"])
@pytest.mark.parametrize("name", FORMATS)
def test_an_export_answers_as_its_classifier_through_its_own_runtime(export, trained, tmp_path, name, input_kind):
    skip_without(name)
    parity = export(name, input_kind)
    assert parity.agreeing == parity.chunks > 0
    assert parity.classifier_right.recordings == parity.export_right.recordings == 3
    opened = FORMATS[name].open(place(tmp_path, name))
    about, run = opened.about, opened.run
    assert about["labels"] == list(trained.classifier.labels)
    assert about["recipe"]["sample_rate_hz"] == 16_000
    shape = (1, about["chunk_samples"]) if input_kind == "waveform" else (1, about["height"], about["width"], 3)
    assert run(np.full(shape, 0.1, np.float32)).sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", ["saved_model", "keras", "graph", "onnx", "openvino"])
def test_chunks_score_the_same_alone_and_together(export, parity_clips, tmp_path, name):
    skip_without(name)
    export(name)
    run = FORMATS[name].open(place(tmp_path, name)).run
    sounds = np.stack([clip.samples for clip in parity_clips.held_out[:3]])
    assert run(sounds) == pytest.approx(np.concatenate([run(sound[None]) for sound in sounds]), abs=1e-4)


def test_labels_travel_in_a_tflite_file_for_readers_of_its_metadata(export, trained, tmp_path):
    skip_without("tflite")
    export("tflite")
    with zipfile.ZipFile(place(tmp_path, "tflite")) as archive:
        assert archive.read("labels.txt").decode().splitlines() == list(trained.classifier.labels)


@pytest.mark.parametrize(
    ("drift", "disagreeing", "chunks", "allowed"),
    [(0.0, 1, 5, True), (0.0, 2, 5, False), (0.011, 0, 100, False), (0.01, 2, 200, True), (0.0, 3, 200, False)],
)
def test_one_chunk_may_always_differ_and_then_the_share_that_is_tolerated(drift, disagreeing, chunks, allowed):
    assert Tolerance(0.01, 0.01).allows(drift=drift, disagreeing=disagreeing, chunks=chunks) is allowed


@pytest.fixture(scope="module")
def real():
    """A classifier with the default network and a head of chance, and clips of the sample speakers."""
    from audionet.features.recipes import find_recipe
    from audionet.models.backbones.backbone import load_backbone
    from audionet.models.head import Head

    backbone = load_backbone("efficientnet_lite0", bottleneck="block3")
    labels = tuple(sorted(folder.name for folder in SAMPLE_AUDIO.iterdir() if folder.is_dir()))
    weights = np.random.default_rng(0).normal(0, 0.02, (backbone.dimension, len(labels))).astype(np.float32)
    classifier = Classifier(
        labels=labels,
        members=(member_of(backbone, Head(weights, np.zeros(len(labels), np.float32)), recipe=find_recipe("default")),),
        about={},
    )
    held_out = find_parity_clips(classifier, find_audio(SAMPLE_AUDIO)).held_out[::10]
    return classifier, ParityClips(held_out, held_out)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["keras", "tflite_int8", "onnx"])
def test_a_pretrained_network_survives_the_way(real, tmp_path, name):
    skip_without(name)
    classifier, clips = real
    parity = export_classifier(classifier, place(tmp_path, name), format_name=name, input_kind="waveform", clips=clips)
    assert parity.chunks == 12
    assert json.dumps(describe(classifier, input_kind="waveform"))
