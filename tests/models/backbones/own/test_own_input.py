"""What a user's own network takes and gives."""

import pytest

from audionet.errors import InputError
from audionet.models.backbones.member_names import parse_members
from audionet.models.backbones.own.own_input import (
    Given,
    OwnInput,
    averaged_axes,
    chosen_output,
    parse_network_input,
    taken_by,
    vector_axis,
)
from audionet.models.backbones.settings import BackboneSettings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, OwnInput()),
        ("sound", OwnInput("sound")),
        (" sound  8000 ", OwnInput("sound", sample_rate_hz=8_000)),
        ("picture", OwnInput("picture")),
        ("picture -1..1", OwnInput("picture", "-1..1")),
    ],
)
def test_an_input_is_said_in_a_few_words(text, expected):
    assert parse_network_input(text) == expected


@pytest.mark.parametrize(
    "text", ["", "noise", "sound fast", "sound 16000 2", "sound ١٦٠٠٠", "picture 0..2", "picture 224", "sound -1"]
)
def test_other_words_are_refused_where_settings_are_made(text):
    with pytest.raises(InputError, match=r"--network_input: expected sound or picture, .* Write, for example"):
        BackboneSettings(network_input=text)


@pytest.mark.parametrize("rate", ["0", "999", "192001", "999999999"])
def test_a_sample_rate_out_of_range_is_refused(rate):
    with pytest.raises(InputError, match=f"--network_input: expected a sample rate of 1000 to 192000 Hz, .*{rate}"):
        BackboneSettings(network_input=f"sound {rate}")


SOUND, PICTURE = OwnInput("sound"), OwnInput("picture")


@pytest.mark.parametrize("shape", [(None,), (None, None), (1, 16_000), (None, 1, None), (16_000,)])
def test_sounds_are_told_by_their_shape(shape):
    taken = taken_by(shape, OwnInput())
    assert taken and taken.listens and taken == taken_by(shape, SOUND) and taken_by(shape, PICTURE) is None


@pytest.mark.parametrize("shape", [(None, None, None, 3), (1, 3, 224, 224), (None, 64, 96, 3)])
def test_pictures_are_told_by_their_shape(shape):
    taken = taken_by(shape, OwnInput())
    assert taken and not taken.listens and taken == taken_by(shape, PICTURE) and taken_by(shape, SOUND) is None


@pytest.mark.parametrize("shape", [(), (None, 64, 96), (2, 16_000), (None, None, None, 4), (8, 3, 64, 64), (None,) * 5])
def test_other_shapes_are_neither(shape):
    assert taken_by(shape, OwnInput()) is None


@pytest.mark.parametrize(
    ("of_input", "of_output", "axis", "averaged"),
    [
        ((None, None), (None, 256), 1, []),
        ((None, None), (None, None, 256), 2, [1]),
        ((None, None), (None, 256, None), 1, [2]),
        ((None, None), (None, None, 1, 96), 3, [1, 2]),
        ((None,), (256,), 0, []),
        ((None,), (None, 1024), 1, [0]),
        ((1, None), (1, 256), 1, [0]),
        ((1, None), (49, 256), 1, [0]),
        ((None, 224, 224, 3), (None, 7, 7, 1280), 3, [1, 2]),
        ((None, 3, 224, 224), (None, 512, 7, 7), 1, [2, 3]),
        ((None, 3, 224, 224), (None, 512, 1, 1), 1, [2, 3]),
        ((None, 3, 224, 224), (None, 512), 1, []),
        ((None, None), (None, 256, 1), 1, [2]),
        ((None, None), (None, None), None, [1]),
    ],
)
def test_frames_and_places_are_averaged_and_vectors_left(of_input, of_output, axis, averaged):
    taken = taken_by(of_input, OwnInput())
    assert taken and (vector_axis(of_output, taken), averaged_axes(of_output, taken)) == (axis, averaged)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("scores", "embeddings", "log_mel"), 1),
        (("scores", "embedding_frames", "Embedding"), 2),
        (("audio_embed", "logits", "x"), 0),
        (("output_0", "output_1", "output_2"), 1),
    ],
)
def test_the_output_is_found_by_name_or_else_is_the_widest(names, expected, capsys):
    taken = taken_by((None,), OwnInput())
    assert taken
    shapes = [(None, 521), (None, 1024), (None, 64)]
    outputs = [Given(name, shape) for name, shape in zip(names, shapes, strict=True)]
    assert chosen_output(outputs, taken, name="own") == expected
    is_guessed = not any("embed" in name.lower() for name in names)
    assert ("the widest is read, output_1, with 1024 numbers" in capsys.readouterr().err) == is_guessed


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"members": "efficientnet_lite0 + tfhub"}, "tfhub needs --tfhub_module. Give it"),
        ({"architecture": "onnx"}, "onnx needs --onnx_file. Give it"),
        ({"tfhub_module": "folder"}, "--tfhub_module: expected --architecture tfhub, or tfhub among --members"),
        (
            {"members": "efficientnet_lite0 + onnx", "onnx_file": "a.onnx", "tfhub_module": "b"},
            "--tfhub_module: expected",
        ),
        ({"network_input": "sound 8000"}, "--network_input: expected tfhub or onnx as a network"),
    ],
)
def test_options_and_own_networks_belong_together(settings, message):
    with pytest.raises(InputError, match=message):
        parse_members(BackboneSettings(**settings))


def test_members_are_each_given_what_was_said_of_them():
    said = {"weights": "lite0.pth", "tfhub_module": "folder", "onnx_file": "own.onnx", "network_input": "sound"}
    settings = BackboneSettings(members="efficientnet_lite0 + tfhub + onnx", engine="openvino", image_size=96, **said)
    names = [name.architecture for name in parse_members(settings)]
    first, second, third = (settings.of_member(name) for name in names)
    assert (first.weights, first.image_size, first.tfhub_module, first.onnx_file) == ("lite0.pth", 96, None, None)
    assert (second.weights, second.image_size, second.tfhub_module, second.onnx_file) == (None, None, "folder", None)
    assert (third.tfhub_module, third.onnx_file, third.network_input, third.engine) == (
        None,
        "own.onnx",
        "sound",
        "openvino",
    )
    assert first.network_input is None
