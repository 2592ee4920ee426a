"""Google's speech embedding gives what the original gives, wherever in its chunk a sound begins."""

import dataclasses

import numpy as np
import pytest
import soundfile
from conftest import SAMPLE_AUDIO

from audionet.errors import WeightsError
from audionet.models.backbones.architectures import ARCHITECTURES
from audionet.models.backbones.engines import open_graph
from audionet.models.backbones.freezing import frozen
from audionet.models.backbones.mel_frames import mel_filters
from audionet.models.backbones.speech_embedding import (
    LEAD_SAMPLES,
    SpeechEmbedding,
    _shapes,
    from_onset,
    speech_embedding,
)
from audionet.models.backbones.weights import Weights, find_weights


def random_weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.uniform(0.01, 0.1, shape).astype(np.float32) for name, shape in _shapes().items()}


def clicks(*starts: int, samples: int = 16_000) -> np.ndarray:
    """A burst of noise from each start on, in one sound each."""
    burst = np.random.default_rng(1).uniform(-0.5, 0.5, 4_000)
    sounds = np.zeros((len(starts), samples), np.float32)
    for sound, start in zip(sounds, starts, strict=True):
        sound[start : start + 4_000] = burst[: samples - start]
    return sounds


@pytest.mark.parametrize(("samples", "steps"), [(1_600, 1), (8_000, 2), (16_000, 8), (32_000, 16), (320_000, 16)])
@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
def test_sounds_of_any_length_have_a_vector(samples, steps, engine):
    network = SpeechEmbedding(random_weights(), samples)
    graph, dimensions = frozen(lambda fed: [network(fed)], (samples,))
    sounds = np.random.default_rng(2).uniform(-0.5, 0.5, (3, samples)).astype(np.float32)
    vectors = open_graph(graph, engine=engine, input_name="sounds")(sounds)
    assert dimensions == [96 * steps] and vectors.shape == (3, 96 * steps)
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(vectors, np.asarray(network(sounds)), rtol=1e-3, atol=1e-3)


def test_a_sound_is_moved_to_where_it_begins():
    moved = np.asarray(from_onset(clicks(0, 1_600, 9_600), 16_000))
    assert moved.shape == (3, 22_400)
    assert np.abs(moved[:, :LEAD_SAMPLES]).max() == 0
    first = np.array([np.flatnonzero(np.abs(sound) > 0.01)[0] for sound in moved]) - LEAD_SAMPLES
    assert first[0] <= 1 and abs(first[1] - first[2]) <= 1 and 800 <= first[1] <= 960 + 1
    np.testing.assert_array_equal(moved[1], moved[2])


def test_silence_stays_silent():
    assert not np.asarray(from_onset(np.zeros((2, 16_000), np.float32), 16_000)).any()


def test_the_mel_filters_are_librosas():
    """Some of `librosa.filters.mel(sr=16000, n_fft=512, n_mels=32, fmin=60, fmax=3800)`."""
    filters = mel_filters(fft_samples=512, bands=32, low_hz=60, high_hz=3_800)
    peaks = filters.max(axis=0)[[0, 1, 15, 31]]
    np.testing.assert_allclose(peaks, [0.0141767105, 0.013039843, 0.011847771, 0.0038275283], rtol=1e-6)


@pytest.mark.parametrize("content", [b"", b"no network", b"\x3a\x00"])
def test_files_of_something_else_are_refused(tmp_path, content):
    file = tmp_path / "other.onnx"
    file.write_bytes(content)
    weights = Weights(path=file, format="onnx", origin="", sha256="", licence="", note="")
    with pytest.raises(WeightsError, match=r"other\.onnx"):
        speech_embedding(weights, samples=16_000)
    with pytest.raises(WeightsError, match="Expected an ONNX file"):
        speech_embedding(dataclasses.replace(weights, format="torch"), samples=16_000)


@pytest.mark.slow
def test_real_speech_gets_the_vectors_of_the_original():
    import openvino

    weights = find_weights("speech_embedding", ARCHITECTURES["speech_embedding"].sources)
    network = speech_embedding(weights, samples=16_000)
    recording = sorted(SAMPLE_AUDIO.rglob("*.mp3"))[0]
    speech, rate = soundfile.read(recording, frames=44_100 * 3, dtype="float32", always_2d=True)
    frames = np.random.default_rng(0).uniform(-2, 8, (1, 137, 32)).astype(np.float32)
    ours = np.asarray(network.embed(frames))[0]
    core = openvino.Core()
    original = core.compile_model(core.read_model(weights.path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    windows = np.stack([frames[0, start : start + 76, :, None] for start in range(0, 62, 8)])
    np.testing.assert_allclose(ours, original([windows])[0].reshape(8, 96), atol=1e-3)
    sound = np.resize(speech[:: max(1, rate // 16_000), 0], (1, 16_000)).astype(np.float32)
    assert np.asarray(network(sound)).shape == (1, 768)
