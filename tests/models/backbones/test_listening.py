"""Networks that listen: sounds in, bottlenecks out."""

import json

import numpy as np
import pytest

from audionet.errors import InputError
from audionet.models.backbones import architectures
from audionet.models.backbones.architectures import ARCHITECTURES, Architecture
from audionet.models.backbones.backbone import load_backbone, loader_of, trainable_network
from audionet.models.backbones.settings import BackboneSettings
from audionet.models.backbones.taps import candidate_bottlenecks

RATE = 1000
PARTS = 5


def mean_powers(weights, *, samples):
    """A network that gives the mean power of each of five equal parts of a sound."""
    import tensorflow as tf

    def network(sounds):
        return tf.reduce_mean(tf.square(tf.reshape(sounds, (-1, PARTS, samples // PARTS))), axis=2)

    return network


@pytest.fixture(autouse=True)
def ear(tmp_path, monkeypatch):
    """An architecture that listens, and a cache of its own."""
    row = Architecture(
        name="ear",
        description="mean powers",
        input="sound",
        sample_rate_hz=RATE,
        taps={},
        classic_tap="output",
        default_bottleneck="classic",
        candidate_bottlenecks=("classic",),
        sources=(),
        build=mean_powers,
    )
    monkeypatch.setenv("AUDIONET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(architectures.ARCHITECTURES, "ear", row)
    (tmp_path / "weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    return row


@pytest.fixture
def load(tmp_path):
    def load(samples=500, **options):
        return load_backbone("ear", weights=tmp_path / "weights.h5", samples=samples, **options)

    return load


def some_sounds(count: int, samples: int = 500) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, samples)).astype(np.float32)


@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
def test_sounds_become_the_networks_vectors_whatever_is_in_the_batch(load, engine):
    backbone, sounds = load(engine=engine), some_sounds(40)
    vectors = backbone(sounds)
    expected = np.square(sounds.reshape(40, PARTS, -1)).mean(axis=2)
    assert vectors.dtype == np.float32 and backbone.listens
    np.testing.assert_allclose(vectors, expected, rtol=1e-5)
    np.testing.assert_array_equal(backbone(sounds[7:8])[0], vectors[7])
    assert backbone(sounds[:0]).shape == (0, PARTS)


def test_a_listening_network_describes_its_sounds(load):
    described = json.loads(json.dumps(load().describe()))
    assert (described["samples"], described["sample_rate_hz"], described["dimension"]) == (500, RATE, PARTS)
    assert (described["height"], described["width"], described["slices"]) == (0, 0, {"classic": [0, PARTS]})


def test_a_listening_network_is_frozen_once_for_each_length(load):
    assert load() == load()
    assert load(samples=600).digest != load().digest


@pytest.mark.parametrize(
    "sounds", [np.zeros((1, 499), np.float32), np.zeros((1, 500), np.int16), np.zeros(500, np.float32)]
)
def test_sounds_of_another_length_or_type_are_refused(load, sounds):
    with pytest.raises(InputError, match=r"sounds as float32 \[n, 500\] at 1000 Hz"):
        load()(sounds)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": None}, "samples for ear, which listens, received none; pictures alone need"),
        ({"samples": 99}, r"at least 0\.1 s for ear, 100 samples at 1000 Hz, received 99; choose longer chunks"),
        ({"image_size": 224}, "no image size for ear, which listens"),
        ({"bottleneck": "block3"}, r"bottleneck of ear out of classic .*received 'block3'"),
        ({"tfhub_module": "folder"}, "Expected no --tfhub_module"),
    ],
)
def test_options_that_do_not_fit_a_listening_network_are_refused(load, options, message):
    with pytest.raises(InputError, match=message):
        load(**options)


def test_a_network_that_looks_takes_no_samples():
    with pytest.raises(InputError, match="efficientnet_lite0, which looks at pictures, received 500"):
        load_backbone("efficientnet_lite0", samples=500)


@pytest.mark.parametrize("of_sound", [True, False])
def test_a_listening_network_has_one_bottleneck_and_its_loader_passes_the_length_on(ear, tmp_path, of_sound):
    settings = BackboneSettings(architecture="ear", weights=tmp_path / "weights.h5")
    load = loader_of(ear, settings, of_sound=of_sound, chunk_seconds=0.5)
    assert candidate_bottlenecks(ear, of_sound=of_sound) == ("classic",)
    assert load(bottleneck="classic").samples == 500


def test_a_listening_network_is_not_trained_end_to_end():
    with pytest.raises(InputError, match="received ear, which can only be read") as caught:
        trainable_network("ear", bottleneck="classic", height=96, width=96, keeps_statistics=True)
    assert "ear," not in str(caught.value).partition("received")[0]
    assert "ear" in ARCHITECTURES
