"""SavedModels as a user's own networks, which listen or look."""

import numpy as np
import pytest

from audionet.errors import InputError, WeightsError
from audionet.models.backbones.backbone import load_backbone

pytestmark = pytest.mark.slow

ENGINES = ("openvino", "tensorflow")
FRAME = 100
KERNEL = np.random.default_rng(0).normal(size=(FRAME, 6)).astype(np.float32)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIONET_CACHE", str(tmp_path / "cache"))


def some_sounds(count=5, samples=800):
    return np.random.default_rng(1).uniform(-1, 1, (count, samples)).astype(np.float32)


def expected_of(sounds):
    """Compute what the networks of these tests hear: the mean over frames, float32 [n, 6]."""
    return np.maximum(sounds.reshape(len(sounds), -1, FRAME) @ KERNEL, 0).mean(axis=1)


def heard(sounds):
    """Return what is heard in each frame of sounds [..., samples], [..., frames, 6]."""
    import tensorflow as tf

    shape = tf.concat([tf.shape(sounds)[:-1], [-1, FRAME]], axis=0)
    return tf.nn.relu(tf.matmul(tf.reshape(sounds, shape), KERNEL))


def spec(*shape, dtype="float32", name="sounds"):
    import tensorflow as tf

    return tf.TensorSpec(shape, dtype, name=name)


def saved(path, function, *specs, signature=None):
    """Save a module that is called as a function, or that has it as a signature only."""
    import tensorflow as tf

    class Called(tf.Module):
        __call__ = tf.function(lambda self, *inputs: function(*inputs), input_signature=specs)

    asked = tf.function(function, input_signature=specs)
    module = tf.Module() if signature else Called()
    tf.saved_model.save(module, str(path), signatures={signature: asked} if signature else None)
    return str(path)


def load(module, *, samples=800, **options):
    return load_backbone("tfhub", tfhub_module=module, samples=samples, **options)


def check_hears(backbone, samples=800):
    assert (backbone.listens, backbone.samples, backbone.dimension) == (True, samples, 6)
    np.testing.assert_allclose(
        backbone(some_sounds(samples=samples)), expected_of(some_sounds(samples=samples)), rtol=1e-4
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_module_that_takes_one_sound_and_returns_unnamed_outputs_is_read_at_the_widest(tmp_path, engine, capsys):
    def as_yamnet(waveform):
        frames = heard(waveform)
        return frames[:, :2], frames, frames[:, :3]

    module = saved(tmp_path / "yamnet", as_yamnet, spec(None, name="waveform"))
    check_hears(load(module, engine=engine))
    assert "no output of yamnet is called an embedding; the widest is read" in capsys.readouterr().err


@pytest.mark.parametrize("engine", ENGINES)
def test_a_module_that_takes_many_sounds_is_run_on_all_of_them(tmp_path, engine):
    def as_speech_embedding(default):
        return {"default": heard(default)[:, :, None]}

    module = saved(tmp_path / "speech", as_speech_embedding, spec(None, None, name="default"), signature="default")
    check_hears(load(module, engine=engine))


def test_a_module_is_given_the_sample_rate_that_it_asks_for(tmp_path):
    import tensorflow as tf

    def as_trill(samples, sample_rate):
        frames = heard(samples) * tf.cast(sample_rate, tf.float32) / 8_000
        return {"layer19": tf.tile(frames, (1, 1, 2)), "embedding": frames}

    specs = spec(None, None, name="samples"), spec(dtype="int32", name="sample_rate")
    module = saved(tmp_path / "trill", as_trill, *specs)
    check_hears(load(module, network_input="sound 8000"))
    assert load(module, network_input="sound 8000").sample_rate_hz == 8_000
    np.testing.assert_allclose(load(module)(some_sounds()), 2 * expected_of(some_sounds()), rtol=1e-4)


@pytest.mark.parametrize("batch", [(), (1,), (None, 1)])
def test_a_module_that_gives_one_vector_a_sound_is_read_as_it_is(tmp_path, batch):
    import tensorflow as tf

    def as_vggish(sounds):
        return tf.reshape(tf.reduce_mean(heard(sounds), axis=-2), (-1, 6))

    check_hears(load(saved(tmp_path / "module", as_vggish, spec(*batch, None))))


def test_a_length_that_a_module_was_not_made_for_is_refused_with_the_one_it_was(tmp_path):
    module = saved(tmp_path / "module", heard, spec(None, 400))
    check_hears(load(module, samples=400), samples=400)
    with pytest.raises(WeightsError, match=r"received module, which was made for 400.*--chunk_seconds 0\.025, or say"):
        load(module)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_module_that_fails_on_sounds_of_this_length_is_refused_at_once_and_in_one_line(tmp_path, engine):
    import tensorflow as tf

    module = saved(tmp_path / "module", lambda sounds: tf.reshape(sounds, (-1, 3, FRAME)), spec(None, None))
    with pytest.raises(WeightsError, match=r"^module cannot be used\. Expected .* inputs of shape \(800,\)") as caught:
        load(module, engine=engine)
    assert "\n" not in str(caught.value)


def test_a_module_that_gives_no_finite_numbers_is_refused(tmp_path):
    import tensorflow as tf

    module = saved(tmp_path / "module", lambda sounds: tf.math.log(-tf.abs(heard(sounds)) - 1), spec(None, None))
    with pytest.raises(WeightsError, match="finite numbers, received module, which gives others"):
        load(module)


@pytest.mark.parametrize(
    ("function", "specs", "taken"),
    [
        ("sum", [(None, 8), (None, 8)], r"float32 \(None, 8\), float32 \(None, 8\)"),
        ("sum", [(None, 64, 64)], r"float32 \(None, 64, 64\)"),
        ("text", [(None,)], r"string \(None,\)"),
    ],
)
def test_a_signature_that_fits_neither_is_refused_with_what_it_takes(tmp_path, function, specs, taken):
    import tensorflow as tf

    kinds = {"sum": (lambda *inputs: tf.add_n(inputs), "float32"), "text": (tf.strings.length, "string")}
    called, dtype = kinds[function]
    described = [spec(*shape, dtype=dtype, name=f"input_{number}") for number, shape in enumerate(specs)]
    with pytest.raises(WeightsError, match=rf"takes pictures or sounds.*module, whose functions take {taken}.*Choose"):
        load(saved(tmp_path / "module", called, *described))


def test_a_module_without_vectors_of_a_fixed_length_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"vectors of a fixed length, received module, which gives .*\[\?, \?\]"):
        load(saved(tmp_path / "module", lambda sounds: sounds[:, ::2], spec(None, None)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": None}, "module, which listens to sound, received ordinary pictures"),
        ({"image_size": 96}, "no --image_size for module, which listens"),
        ({"network_input": "picture"}, "takes pictures, float32"),
    ],
)
def test_options_that_do_not_fit_a_module_that_listens_are_refused(tmp_path, options, message):
    module = saved(tmp_path / "module", heard, spec(None, None))
    with pytest.raises((InputError, WeightsError), match=message):
        load(module, **options)


@pytest.mark.parametrize("said", [None, "picture -1..1", "picture imagenet", "picture 0..255"])
@pytest.mark.parametrize("shape", [(None, 32, 48, 3), (None, 3, 32, 48)])
def test_pictures_have_the_levels_that_are_said(tmp_path, said, shape):
    import tensorflow as tf

    def colours(pictures):
        return tf.reduce_mean(pictures, axis=(1, 2) if shape[3] == 3 else (2, 3))

    module = saved(tmp_path / "module", colours, spec(*shape, name="pictures"))
    backbone = load(module, network_input=said)
    assert (backbone.listens, backbone.height, backbone.width) == (False, 32, 48)
    levels = np.array([0, 51, 255]) / 255
    expected = {
        None: levels,
        "picture -1..1": 2 * levels - 1,
        "picture 0..255": 255 * levels,
        "picture imagenet": (levels - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225),
    }[said]
    pictures = np.full((2, 32, 48, 3), (0, 51, 255), np.uint8)
    np.testing.assert_allclose(backbone(pictures), [expected] * 2, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_keras_exports_looks(tmp_path, engine):
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 48, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(5, 3, activation="relu")(inputs))
    model.export(tmp_path / "exported", verbose=False)
    backbone = load(str(tmp_path / "exported"), network_input="picture 0..255", engine=engine)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), np.uint8)
    assert (backbone.height, backbone.width, backbone.dimension) == (32, 48, 5)
    expected = np.asarray(model(pictures.astype(np.float32))).mean(axis=(1, 2))
    np.testing.assert_allclose(backbone(pictures), expected, rtol=1e-4)


@pytest.mark.parametrize("length", [None, 800])
def test_what_keras_exports_listens(tmp_path, length):
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((length,))
    frames = keras.layers.Conv1D(6, FRAME, strides=FRAME)(keras.layers.Reshape((-1, 1))(inputs))
    model = keras.Model(inputs, {"scores": keras.layers.Dense(9)(frames), "embedding": frames})
    model.export(tmp_path / "exported", verbose=False)
    backbone = load(str(tmp_path / "exported"))
    expected = np.asarray(model(some_sounds())["embedding"]).mean(axis=1)
    assert backbone.listens and backbone.dimension == 6
    np.testing.assert_allclose(backbone(some_sounds()), expected, rtol=1e-3, atol=1e-5)


def test_a_module_is_told_to_look_or_listen_from_the_cache_too(tmp_path, monkeypatch):
    listens = saved(tmp_path / "ear", heard, spec(None, None))
    looks = saved(tmp_path / "eye", lambda pictures: pictures[:, 0, 0], spec(None, 32, 48, 3, name="pictures"))
    first = [load(module).digest for module in (listens, looks)]
    monkeypatch.delattr("audionet.models.backbones.backbone.freeze_own")
    assert [load(module).digest for module in (listens, looks)] == first
    assert [load(module).listens for module in (listens, looks)] == [True, False]
