import itertools

import numpy as np
import pytest
from conftest import RATE_HZ, tone, write_sound
from hypothesis import given
from hypothesis import strategies as st

from audionet.audio.decoding import read_blocks
from audionet.errors import InputError
from audionet.features.recipes import find_recipe
from benchmarks.synthetic_conversation import plan_turns, write_conversation

RECIPE = find_recipe("default")


@given(st.floats(1, 300), st.integers(0, 100))
def test_turns_fill_a_conversation_and_nobody_has_two_in_a_row(seconds, seed):
    lengths = {"a": 40 * RATE_HZ, "b": 5 * RATE_HZ, "c": 40 * RATE_HZ}
    rng = np.random.default_rng(seed)
    turns = list(plan_turns(lengths, seconds=seconds, sample_rate_hz=RATE_HZ, rng=rng))
    assert sum(turn.samples for turn in turns) == round(seconds * RATE_HZ)
    spoken = [turn for turn in turns if turn.label]
    assert all(one.label != other.label for one, other in itertools.pairwise(spoken))
    assert all(turn.start + turn.samples <= lengths[turn.label] for turn in spoken)


def test_a_conversation_is_what_its_truth_says(tmp_path):
    recordings = {
        "low": [write_sound(tmp_path / "low.wav", tone(300, 20))],
        "high": [write_sound(tmp_path / "high.wav", tone(3000, 20))],
    }
    truth = write_conversation(tmp_path / "talk.mp3", recordings, seconds=60, seed=1, recipe=RECIPE)
    sound = np.concatenate(list(read_blocks(truth.path, sample_rate_hz=RATE_HZ)))
    assert truth.seconds == 60 and len(sound) / RATE_HZ == pytest.approx(60, abs=0.2)
    for span in truth.spans:
        middle = round((span.start_seconds + span.end_seconds) / 2 * RATE_HZ)
        middle_of_span = sound[middle - 500 : middle + 500]
        hertz = np.abs(np.fft.rfft(middle_of_span)).argmax() * RATE_HZ / 1000
        if span.kind == "silence":
            assert np.abs(middle_of_span).max() < 0.01
        else:
            assert hertz == pytest.approx({"low": 300, "high": 3000}[span.label], abs=20)


def test_the_same_seed_makes_the_same_conversation(tmp_path):
    recordings = {name: [write_sound(tmp_path / f"{name}.wav", tone(300, 20))] for name in "ab"}
    first, same, other = (
        write_conversation(tmp_path / "talk.mp3", recordings, seconds=60, seed=seed, recipe=RECIPE).spans
        for seed in (1, 1, 2)
    )
    assert first == same != other


def test_one_voice_makes_no_conversation(tmp_path):
    with pytest.raises(InputError, match="takes two labels at least, received 1"):
        write_conversation(tmp_path / "talk.mp3", {"a": []}, seconds=60, seed=1, recipe=RECIPE)
