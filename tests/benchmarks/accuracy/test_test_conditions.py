import numpy as np
import pytest
from conftest import RATE_HZ, tone, voice

from audionet.audio.writing import write_wav
from audionet.data.augmentation import ChunkFile
from audionet.data.dataset import read_dataset
from audionet.errors import PictureError
from audionet.features.recipes import find_recipe
from benchmarks.accuracy.test_conditions import (
    BABBLE,
    CONDITIONS,
    apply_condition,
    as_sound,
    available_conditions,
)

RECIPE = find_recipe("default")


def chunk(folder, name, samples, *, label="alice", seconds=2.0):
    write_wav(folder / f"{name}.wav", samples, sample_rate_hz=RATE_HZ)
    return ChunkFile(folder / f"{name}.wav", seconds, f"{len(name):064x}", label)


def altered(chunks, condition, *, seed=0, recipe=RECIPE):
    return np.stack([as_sound(item) for item in apply_condition(chunks, condition, seed=seed, recipe=recipe)])


@pytest.fixture
def chunks(tmp_path):
    """Two chunks of each of two labels."""
    voices = [voice(label, seed=seed, seconds=2.0) for label in ("alice", "bob") for seed in range(2)]
    return [
        chunk(tmp_path, "x" * number, samples, label="alice" if number < 3 else "bob")
        for number, samples in enumerate(voices, start=1)
    ]


@pytest.fixture(scope="module")
def dataset(drawn):
    return read_dataset(drawn, drawn.parent / "bench.sqlite")


def test_a_clean_chunk_is_left_as_it_is(tmp_path):
    sound = tone(440, 2.0)
    assert np.abs(altered([chunk(tmp_path, "a", sound)], "clean")[0] - sound).max() < 1e-4


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_comes_out_the_same_again_and_changes_the_sound(chunks, condition):
    if condition not in available_conditions()[0]:
        pytest.skip("this machine lacks the codec")
    first = altered(chunks, condition)
    assert np.array_equal(first, altered(chunks, condition))
    assert first.shape == (4, RECIPE.chunk_samples) and np.isfinite(first).all()
    assert (condition == "clean") == np.array_equal(first, altered(chunks, "clean"))


@pytest.mark.parametrize("condition", ["white noise 10 dB", "random EQ ±8 dB", "room 0.6 s"])
def test_what_is_random_depends_on_the_seed_and_not_on_how_it_is_drawn(chunks, condition):
    first = altered(chunks, condition)
    assert not np.allclose(first, altered(chunks, condition, seed=1))
    assert np.array_equal(first, altered(chunks, condition, recipe=find_recipe("audionet", chunk_seconds=2.0)))


def test_noise_does_not_depend_on_the_other_chunks(chunks):
    alone, together = altered(chunks[:1], "white noise 10 dB"), altered(chunks, "white noise 10 dB")
    assert np.array_equal(alone[0], together[0])


def test_babble_is_of_other_labels(chunks):
    for item in apply_condition(chunks, BABBLE, seed=0, recipe=RECIPE):
        assert {other.label for other in item.others} == {"alice", "bob"} - {item.chunk.label}


def test_keys_of_other_conditions_seeds_and_chunks_differ(chunks):
    items = [
        item
        for condition in CONDITIONS
        for seed in (0, 1)
        for item in apply_condition(chunks, condition, seed=seed, recipe=RECIPE)
    ]
    assert len({item.key for item in items}) == len(items)


def test_a_short_sound_is_altered_before_it_is_repeated(tmp_path):
    sound = np.resize(tone(440, 0.5), RECIPE.chunk_samples)
    (noisy,) = altered([chunk(tmp_path, "a", sound, seconds=0.5)], "white noise 10 dB")
    assert np.array_equal(noisy[:8000], noisy[8000:16000])


def test_a_chunk_that_is_gone_is_named(tmp_path):
    gone = ChunkFile(tmp_path / "gone.wav", 2.0, "0" * 64, "alice")
    with pytest.raises(PictureError, match=r"gone\.wav"):
        altered([gone], "clean")


def test_a_codec_that_is_missing_leaves_its_condition_out(monkeypatch):
    monkeypatch.setattr("benchmarks.accuracy.test_conditions.missing_codecs", lambda: {"gsm": "not here"})
    conditions, skipped = available_conditions()
    assert set(CONDITIONS) - set(conditions) == {"GSM"} == set(skipped)
