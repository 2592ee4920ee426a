import dataclasses

import numpy as np
import pytest
from conftest import noise, tone, voice
from hypothesis import given, settings
from hypothesis import strategies as st

from audionet.errors import InputError
from audionet.features.extraction import served_picture
from audionet.features.image_io import fit_pictures
from audionet.features.recipes import DRAWINGS, RECIPES, Recipe, find_recipe

tf = pytest.importorskip("tensorflow", reason="exports need tensorflow", exc_type=ImportError)
spectrogram_graph = pytest.importorskip("audionet.export.spectrogram_graph")

OF_OTHER_SIZES = dataclasses.replace(
    RECIPES["three_windows"], picture_height=101, picture_width=93, mel_bands=64, jpg_quality=75, chunk_seconds=1.0
)


def drawn(chunks: list[np.ndarray], recipe: Recipe) -> np.ndarray:
    return spectrogram_graph.picture_of(tf.constant(np.stack(chunks)), recipe).numpy()


@pytest.mark.parametrize(
    "recipe",
    [
        *(find_recipe("default", picture=name) for name in spectrogram_graph.DRAWERS),
        find_recipe("audionet", chunk_seconds=7.0),
        OF_OTHER_SIZES,
        find_recipe("default", sample_rate_hz=2_000),
        find_recipe("default", sample_rate_hz=48_000, low_hz=200.0, high_hz=15_000.0, range_db=70.0),
        find_recipe("default", picture="linear", sample_rate_hz=384_000, high_hz=120_000.0, chunk_seconds=0.1),
    ],
    ids=lambda recipe: f"{recipe.name}-{recipe.drawing}-{recipe.picture_height}-{recipe.sample_rate_hz}",
)
def test_what_a_graph_draws_is_what_is_served(recipe):
    chunks = [
        np.resize(sound, recipe.chunk_samples) for sound in (voice("bob", seed=1), noise(1.0), tone(700, level=1e-3))
    ]
    difference = np.abs(drawn(chunks, recipe) - np.stack([served_picture(chunk, recipe) for chunk in chunks]))
    assert (difference == 0).mean() > 0.95
    assert difference.mean() < 0.1


def test_whatever_a_graph_draws_is_a_drawing_of_the_one_table():
    assert set(spectrogram_graph.DRAWERS) == set(DRAWINGS) - {"spectrogram", "magnitude"}


def test_silence_is_drawn_without_a_fault():
    recipe = find_recipe("default")
    silence = np.zeros(recipe.chunk_samples, np.float32)
    assert drawn([silence], recipe) == pytest.approx(served_picture(silence, recipe)[None].astype(float))


def test_a_chunk_is_drawn_the_same_alone_and_among_others():
    recipe = find_recipe("default")
    chunks = [np.resize(voice(name, seed=2), recipe.chunk_samples) for name in ("alice", "bob")]
    assert np.array_equal(drawn(chunks, recipe)[1], drawn(chunks[1:], recipe)[0])


def test_a_drawing_that_graphs_lack_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.delitem(spectrogram_graph.DRAWERS, "log_mel")
    with pytest.raises(InputError, match=r"is log_mel\. Export it with --input picture"):
        drawn([noise(2.0)], find_recipe("default"))


@given(size=st.tuples(st.integers(8, 60), st.integers(8, 60)), target=st.tuples(st.integers(8, 60), st.integers(8, 60)))
@settings(max_examples=10)
def test_pictures_are_brought_to_size_as_in_scoring(size, target):
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    resized = spectrogram_graph.resized(
        tf.constant(picture[None], tf.float32), height=target[0], width=target[1]
    ).numpy()
    expected = fit_pictures([picture], height=target[0], width=target[1]).astype(float)
    assert np.abs(resized - expected).max() <= 1  # where a level lies half way between two
