"""ONNX files as a user's own networks."""

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import onnx_writer as onnx
import pytest

from audionet.errors import InputError, WeightsError
from audionet.models.backbones.backbone import load_backbone
from audionet.models.backbones.engines import open_graph

pytest.importorskip("openvino", reason="OpenVINO alone runs ONNX files")

KERNEL = np.random.default_rng(0).normal(size=(4, 1, 8)).astype(np.float32)  # four filters, which move on by 8


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIONET_CACHE", str(tmp_path / "cache"))


def listening(path, *, shape=(None, None), output="embedding", rank=3, kernel=None, given=("embedding",)):
    """Write a network that gives what four filters hear in each frame: [n, 4, frames], or [4, frames]."""
    axes = {1: [0, 1], 2: [1], 3: []}[len(shape)]
    nodes = [
        onnx.node("Unsqueeze", ["sounds", "axes"], "channels")
        if axes
        else onnx.node("Identity", ["sounds"], "channels"),
        onnx.node("Conv", ["channels", "kernel"], "filtered", strides=[8], kernel_shape=[8]),
        onnx.node("Relu", ["filtered"], "embedding"),
        onnx.node("ReduceMax", ["embedding"], "loudest", axes=[1], keepdims=1),
    ]
    tensors = [kernel or onnx.tensor("kernel", KERNEL), onnx.tensor("axes", np.array(axes, np.int64))]
    outputs = [onnx.value(name, (None, 4 if name == "embedding" else 1, None)) for name in given]
    path.write_bytes(onnx.model(nodes, [onnx.value("sounds", shape)], outputs, tensors))
    return path


def heard(sounds):
    """Compute the same: the mean over frames of what each filter hears, float32 [n, 4]."""
    frames = sounds.reshape(len(sounds), -1, 8)
    return np.maximum(frames @ KERNEL[:, 0].T, 0).mean(axis=1)


def looking(path, *, shape=(None, None, None, 3), kind=onnx.FLOAT):
    """Write a network that gives the mean of each colour."""
    axes = [2, 3] if shape[1] == 3 else [1, 2]
    nodes = [onnx.node("Cast", ["pictures"], "floats", to=onnx.FLOAT)]
    nodes += [onnx.node("ReduceMean", ["floats"], "colours", axes=axes, keepdims=0)]
    path.write_bytes(onnx.model(nodes, [onnx.value("pictures", shape, kind)], [onnx.value("colours", (None, 3))]))
    return path


def some_sounds(count=3, samples=800):
    return np.random.default_rng(1).uniform(-1, 1, (count, samples)).astype(np.float32)


def load(path, **options):
    return load_backbone("onnx", onnx_file=path, **options)


@pytest.mark.parametrize("shape", [(None, None), (1, None), (None, 1, None), (None,), (None, 800), (1, 800)])
def test_an_onnx_file_that_takes_sound_listens(tmp_path, shape):
    backbone, sounds = load(listening(tmp_path / "own.onnx", shape=shape), samples=800), some_sounds()
    assert (backbone.listens, backbone.samples, backbone.sample_rate_hz, backbone.dimension) == (True, 800, 16_000, 4)
    np.testing.assert_allclose(backbone(sounds), heard(sounds), rtol=1e-4)
    assert backbone(sounds[:0]).shape == (0, 4)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, (0, 0.2, 1)),
        ("picture", (0, 0.2, 1)),
        ("picture 0..255", (0, 51, 255)),
        ("picture -1..1", (-1, -0.6, 1)),
        ("picture imagenet", (-0.485 / 0.229, (0.2 - 0.456) / 0.224, (1 - 0.406) / 0.225)),
    ],
)
@pytest.mark.parametrize("shape", [(None, None, None, 3), (None, 3, None, None), (1, 3, 224, 224)])
def test_an_onnx_file_that_takes_pictures_looks_at_the_levels_that_are_said(tmp_path, shape, said, expected):
    backbone = load(looking(tmp_path / "own.onnx", shape=shape), network_input=said)
    assert (backbone.listens, backbone.height, backbone.width) == (False, 224, 224)
    pictures = np.full((2, 224, 224, 3), (0, 51, 255), np.uint8)
    np.testing.assert_allclose(backbone(pictures), [expected] * 2, rtol=2e-3, atol=2e-3)


def test_a_network_that_takes_bytes_is_given_bytes(tmp_path):
    path = looking(tmp_path / "own.onnx", kind=onnx.UINT8)
    backbone = load(path, image_size=(32, 48))
    np.testing.assert_allclose(backbone(np.full((1, 32, 48, 3), (0, 51, 255), np.uint8)), [(0, 51, 255)])
    with pytest.raises(
        InputError, match=r"--network_input: expected picture 0\.\.255 for own\.onnx, which takes bytes"
    ):
        load(path, network_input="picture -1..1")


@pytest.mark.parametrize("given", [("embedding", "loudest"), ("loudest", "embedding")])
def test_the_embedding_is_found_by_its_name(tmp_path, given):
    backbone = load(listening(tmp_path / "own.onnx", given=given), samples=800)
    np.testing.assert_allclose(backbone(some_sounds()), heard(some_sounds()), rtol=1e-4)


def test_the_sample_rate_that_is_said_is_the_networks(tmp_path):
    backbone = load(listening(tmp_path / "own.onnx"), samples=400, network_input="sound 8000")
    assert backbone.sample_rate_hz == 8_000
    assert backbone.digest != load(tmp_path / "own.onnx", samples=400).digest


def test_a_length_that_the_network_was_not_made_for_is_refused_with_the_one_it_was(tmp_path):
    path = listening(tmp_path / "own.onnx", shape=(None, 16_000))
    with pytest.raises(WeightsError, match=r"sounds of 2 s at 16000 Hz, 32000 .*made for 16000.*--chunk_seconds 1,"):
        load(path, samples=32_000)


def test_sound_that_is_too_short_for_the_network_is_refused_in_one_line(tmp_path):
    with pytest.raises(WeightsError, match=r"sounds of 4 samples at 16000 Hz, received own\.onnx") as caught:
        load(listening(tmp_path / "own.onnx"), samples=4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "own.onnx, which listens to sound, received ordinary pictures"),
        ({"samples": 800, "image_size": 96}, "no --image_size for own.onnx, which listens"),
        ({"samples": 800, "network_input": "picture"}, r"takes pictures alone.*received .*own\.onnx, which takes f32"),
        ({"samples": 800, "weights": "other.pth"}, "and no --weights"),
        ({"samples": 800, "engine": "tensorflow"}, "which OpenVINO alone runs"),
    ],
)
def test_options_that_do_not_fit_an_onnx_file_are_refused(tmp_path, options, message):
    path = listening(tmp_path / "own.onnx")
    with pytest.raises((InputError, WeightsError), match=message):
        load(path, **options)(some_sounds())


def test_what_neither_looks_nor_listens_is_refused(tmp_path):
    twice = [onnx.node("Add", ["first", "second"], "sum")]
    values = [onnx.value(name, (None, 8)) for name in ("first", "second")]
    (tmp_path / "own.onnx").write_bytes(onnx.model(twice, values, [onnx.value("sum", (None, 8))]))
    with pytest.raises(WeightsError, match=r"pictures or sounds alone.*takes f32 \[\?,8\], f32 \[\?,8\]\. Export it"):
        load(tmp_path / "own.onnx", samples=8)


def test_an_output_without_a_fixed_length_is_refused(tmp_path):
    nodes = [onnx.node("NonZero", ["sounds"], "places"), onnx.node("Cast", ["places"], "out", to=onnx.FLOAT)]
    content = onnx.model(nodes, [onnx.value("sounds", (None,))], [onnx.value("out", (None, None))])
    (tmp_path / "own.onnx").write_bytes(content)
    with pytest.raises(WeightsError, match=r"vectors of a fixed length, received own\.onnx, which gives out \["):
        load(tmp_path / "own.onnx", samples=800)


def test_a_graph_holds_all_numbers_and_is_the_same_in_every_process(tmp_path):
    path = listening(tmp_path / "own.onnx")
    graph = load(path, samples=800).graph
    program = """
import hashlib, sys
import openvino
openvino.opset13.constant(1.0)
from audionet.models.backbones.backbone import load_backbone
print(hashlib.sha256(load_backbone("onnx", onnx_file=sys.argv[1], samples=800).graph).hexdigest())
"""
    shutil.rmtree(tmp_path / "cache")
    shown = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == hashlib.sha256(graph).hexdigest()
    path.unlink()
    run = open_graph(graph, input_name="sounds")
    np.testing.assert_allclose(run(some_sounds()), heard(some_sounds()), rtol=1e-4)


def test_an_onnx_file_is_frozen_once(tmp_path):
    path = listening(tmp_path / "own.onnx")
    assert load(path, samples=800) == load(path, samples=800)
    assert len(list((tmp_path / "cache").rglob("*.pb"))) == 1
    assert load(path, samples=1_600).digest != load(path, samples=800).digest


@pytest.mark.parametrize("position", [0, 40, -30])
def test_a_damaged_graph_is_refused(tmp_path, position):
    graph = bytearray(load(listening(tmp_path / "own.onnx"), samples=800).graph)
    graph[position] ^= 255
    with pytest.raises(WeightsError, match="whole frozen graph"):
        open_graph(bytes(graph), engine="openvino", input_name="sounds")


def test_numbers_beside_the_file_are_read_and_told_apart(tmp_path):
    def kernel(name):
        return onnx.tensor("kernel", KERNEL, outside={"location": name, "offset": "0", "length": str(KERNEL.nbytes)})

    folder = tmp_path / "network"
    folder.mkdir()
    (folder / "numbers.bin").write_bytes(KERNEL.tobytes())
    path = listening(folder / "own.onnx", kernel=kernel("numbers.bin"))
    first = load(path, samples=800)
    np.testing.assert_allclose(first(some_sounds()), heard(some_sounds()), rtol=1e-4)
    (folder / "numbers.bin").write_bytes((2 * KERNEL).tobytes())
    np.testing.assert_allclose(load(path, samples=800)(some_sounds()), 2 * heard(some_sounds()), rtol=1e-4)
    (folder / "numbers.bin").unlink()
    with pytest.raises(WeightsError, match=r"Expected numbers\.bin beside .*Copy both"):
        load(path, samples=800)


def test_onnx_weights_are_described(tmp_path):
    described = json.loads(json.dumps(load(listening(tmp_path / "own.onnx"), samples=800).describe()))
    assert described["weights"]["origin"] == "ONNX file own.onnx"
    assert (described["architecture"], described["bottleneck"], described["dimension"]) == ("onnx", "classic", 4)
