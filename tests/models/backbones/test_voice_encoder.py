"""Resemblyzer's speaker encoder gives what the original gives, with its weights or any others."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import SAMPLE_AUDIO, run_python

from audionet.errors import WeightsError
from audionet.models.backbones import voice_encoder
from audionet.models.backbones.architectures import ARCHITECTURES
from audionet.models.backbones.backbone import load_backbone
from audionet.models.backbones.engines import open_graph
from audionet.models.backbones.freezing import frozen
from audionet.models.backbones.mel_frames import mel_filters
from audionet.models.backbones.voice_encoder import MEL_FILTERS, VoiceEncoder, piece_starts
from audionet.models.backbones.weights import Weights, find_weights

UNITS, FRAMES, HOP, WINDOW = 256, 160, 160, 400

ENGINES = ("openvino", "tensorflow")

SHAPES = {"linear.weight": (UNITS, UNITS), "linear.bias": (UNITS,)}
for layer, inputs in enumerate((40, UNITS, UNITS)):
    SHAPES[f"lstm.weight_ih_l{layer}"] = (4 * UNITS, inputs)
    SHAPES[f"lstm.weight_hh_l{layer}"] = (4 * UNITS, UNITS)
    SHAPES |= {f"lstm.bias_{kind}_l{layer}": (4 * UNITS,) for kind in ("ih", "hh")}


def random_weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in SHAPES.items()}


def some_sounds(count: int, samples: int) -> np.ndarray:
    """Noise whose level rises within a sound and from one sound to the next."""
    rng = np.random.default_rng(1)
    levels = np.linspace(0.003, 0.3, count)[:, None] * np.linspace(0.2, 1, samples)
    return (rng.uniform(-1, 1, (count, samples)) * levels).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def read_piece(bands: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Run the three layers over frames [160, 40] as torch documents `LSTM`, and the linear layer."""
    for layer in range(3):
        w_i, w_h, b_i, b_h = (
            weights[f"lstm.{part}_l{layer}"].astype(float) for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        hidden = cell = np.zeros(UNITS)
        outputs = []
        for frame in bands:
            entry, forget, new, out = np.split(w_i @ frame + b_i + w_h @ hidden + b_h, 4)
            cell = sigmoid(forget) * cell + sigmoid(entry) * np.tanh(new)
            hidden = sigmoid(out) * np.tanh(cell)
            outputs.append(hidden)
        bands = np.array(outputs)
    vector = np.maximum(weights["linear.weight"] @ hidden + weights["linear.bias"], 0)
    return vector / np.linalg.norm(vector)


def embedded(sound: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """Do to one sound what `embed_utterance` does, after `normalize_volume`, in double precision."""
    sound = sound * max(1, 10 ** (-30 / 20) / np.sqrt(np.mean(sound.astype(float) ** 2)))
    padded = np.pad(sound, (WINDOW // 2, 40_000))
    frames = np.stack([padded[start : start + WINDOW] for start in range(0, len(padded) - WINDOW, HOP)])
    window = np.sin(np.pi * np.arange(WINDOW) / WINDOW) ** 2
    bands = np.abs(np.fft.rfft(frames * window)) ** 2 @ MEL_FILTERS
    pieces = [read_piece(bands[start : start + FRAMES], weights) for start in piece_starts(len(sound))]
    mean = np.mean(pieces, axis=0)
    return mean / np.linalg.norm(mean)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("samples", [4_000, 32_000])
def test_the_graph_computes_what_numpy_does(engine, samples):
    weights, sounds = random_weights(), some_sounds(3, samples)
    graph, dimensions = frozen(lambda fed: [VoiceEncoder(weights, samples)(fed)], (samples,))
    vectors = open_graph(graph, engine=engine, input_name="sounds")(sounds)
    assert dimensions == [UNITS]
    np.testing.assert_allclose(vectors, [embedded(sound, weights) for sound in sounds], atol=1e-5)


def test_silence_has_a_vector_of_unit_length_too():
    graph, _ = frozen(lambda fed: [VoiceEncoder(random_weights(), 8_000)(fed)], (8_000,))
    vectors = open_graph(graph, input_name="sounds")(np.zeros((1, 8_000), np.float32))
    assert np.linalg.norm(vectors) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(
    ("samples", "starts"),
    [
        (1_600, [0]),
        (25_600, [0]),  # the second piece would have half of its sound
        (31_519, [0]),
        (31_520, [0, 77]),  # three quarters
        (32_000, [0, 77]),
        (80_000, [0, 77, 154, 231, 308]),
    ],
)
def test_sounds_are_cut_into_the_pieces_of_the_original(samples, starts):
    assert piece_starts(samples) == starts


def test_the_mel_filters_are_librosas():
    """Some of `librosa.filters.mel(sr=16000, n_fft=400, n_mels=40)`, version 0.11."""
    filters = mel_filters(fft_samples=400, bands=40, low_hz=0, high_hz=8_000)
    assert filters.shape == (201, 40)
    places = [(1, 0), (2, 0), (30, 15), (100, 31), (190, 39)]
    expected = [0.0073902095, 0.0124045210, 0.0109181376, 0.0028009061, 0.0012151540]
    np.testing.assert_allclose([filters[place] for place in places], expected, rtol=1e-5)
    np.testing.assert_array_equal(filters[[0, 200]], 0)


def test_weights_of_another_network_are_refused(tmp_path, monkeypatch):
    file = Weights(path=tmp_path / "mine.pt", format="torch", origin="", sha256="", licence="", note="")
    arrays = random_weights()
    for name, wrong, message in [
        ("linear.bias", None, "Expected an array linear.bias"),
        ("lstm.weight_ih_l0", np.zeros((1024, 80), np.float32), r"\(1024, 40\) for lstm.weight_ih_l0, .*\(1024, 80\)"),
    ]:
        changed = {key: array for key, array in {**arrays, name: wrong}.items() if array is not None}
        monkeypatch.setattr(voice_encoder, "read_arrays", lambda weights, changed=changed: changed)
        with pytest.raises(WeightsError, match=rf"{message}.*mine\.pt.*weights of another network"):
            voice_encoder.voice_encoder(file, samples=32_000)


def test_a_keras_file_is_refused(tmp_path):
    (tmp_path / "mine.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(WeightsError, match=r"torch state dict.*in the format keras"):
        load_backbone("voice_encoder", weights=tmp_path / "mine.h5", samples=32_000)


def test_without_any_source_the_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIONET_CACHE", str(tmp_path))
    broken = [sys.executable, "-c", "import sys; sys.exit('ERROR: no such package')"]
    monkeypatch.setattr("audionet.models.backbones.weights._registry_command", lambda source: broken)
    monkeypatch.setattr("audionet.models.backbones.weights._installed_file", lambda source: None)
    with pytest.raises(WeightsError, match=r"for voice_encoder from(.|\n)*pypi package Resemblyzer 0\.1\.4: ERROR: no"):
        load_backbone("voice_encoder", samples=32_000)


CLIPS = [
    # Recording, its first second, how many samples, and what they are multiplied by.
    ("allison_smith/01.mp3", 5, 32_000, 1),
    ("carlo_flora/02.mp3", 11, 32_000, 0.02),
    ("june_wallack/03.mp3", 3, 8_000, 1),
    ("ru_ivrvoice/01.mp3", 12, 80_000, 1),
    ("allison_smith/03.mp3", 20, 25_600, 2),
    ("carlo_flora/01.mp3", 7, 48_000, 0.3),
]

ORIGINAL = Path(__file__).with_name("voice_encoder_vectors.npy")
"""float32 [6, 256]: `embed_utterance` of the clips after `normalize_volume(clip, -30, increase_only=True)`.

Made by Resemblyzer 0.1.4 with torch 2.13.0 and librosa 0.11.0 on a CPU.
"""


def clip(name: str, first_second: int, samples: int, factor: float) -> np.ndarray:
    start = first_second * 16_000
    sound, rate_hz = soundfile.read(SAMPLE_AUDIO / name, start=start, stop=start + samples, dtype="float32")
    assert rate_hz == 16_000
    return sound * np.float32(factor)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The registry's weights, and a cache with none of the graphs that other code may have frozen."""
    path = find_weights("voice_encoder", ARCHITECTURES["voice_encoder"].sources).path
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIONET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield path


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("row", "described"), list(enumerate(CLIPS)), ids=[name for name, *_ in CLIPS])
def test_speech_is_embedded_as_the_original_does(weights, engine, row, described):
    sound = clip(*described)
    backbone = load_backbone("voice_encoder", weights=weights, samples=len(sound), engine=engine)
    assert (backbone.dimension, backbone.sample_rate_hz, backbone.bottleneck) == (UNITS, 16_000, "classic")
    np.testing.assert_allclose(backbone(sound[None])[0], np.load(ORIGINAL)[row], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_sounds_vector_does_not_depend_on_the_others(weights, engine):
    sounds = some_sounds(37, 8_000)
    backbone = load_backbone("voice_encoder", weights=weights, samples=8_000, engine=engine)
    together = backbone(sounds)
    np.testing.assert_allclose(together, np.concatenate([backbone(sound[None]) for sound in sounds]), atol=1e-6)
    assert backbone(sounds[:0]).shape == (0, UNITS)


@pytest.mark.slow
def test_its_cached_graph_listens_without_tensorflow(weights):
    load_backbone("voice_encoder", weights=weights, samples=8_000)
    program = """
import sys, numpy
from audionet.models.backbones.backbone import load_backbone
backbone = load_backbone("voice_encoder", weights=sys.argv[1], samples=8_000, engine="openvino")
assert backbone(numpy.zeros((1, 8_000), numpy.float32)).shape == (1, 256)
assert not {"tensorflow", "keras"} & set(sys.modules)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    finished = run_python("-c", program, weights, env=environment)
    assert finished.returncode == 0, finished.stderr
