import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import RATE_HZ, tone, write_sound
from hypothesis import given
from hypothesis import strategies as st

from audionet.audio.decoding import read_blocks
from audionet.errors import InputError
from audionet.features.recipes import find_recipe
from audionet.inference.timeline import Span, Timeline
from benchmarks.diarization import by_label, error_rates, plan_turns, with_strangers, write_conversation

RECIPE = find_recipe("default")
TRUTH = Timeline(
    Path("a.mp3"),
    30.0,
    (Span(0, 10, "known", "a", "a"), Span(10, 12, "silence"), Span(12, 30, "known", "b", "b")),
)


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
        heard = sound[middle - 500 : middle + 500]
        hertz = np.abs(np.fft.rfft(heard)).argmax() * RATE_HZ / 1000
        if span.kind == "silence":
            assert np.abs(heard).max() < 0.01
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


def test_strangers_are_unknown_in_the_truth():
    assert [(span.kind, span.label) for span in with_strangers(TRUTH, ["b"]).spans] == [
        ("known", "a"),
        ("silence", ""),
        ("unknown", "unknown"),
    ]


def test_recordings_are_grouped_by_label():
    assert by_label({"x/2": "x", "y/1": "y", "x/1": "x"}, Path("in")) == {
        "x": [Path("in/x/1"), Path("in/x/2")],
        "y": [Path("in/y/1")],
    }


def test_errors_are_told_apart():
    pytest.importorskip("pyannote.metrics", reason="pyannote.metrics is not installed")
    assert error_rates(TRUTH, TRUTH)["strict"]["error_rate"] == 0
    places = ((0, 11, "a"), (12, 26, "b"), (26, 29, "a"))
    found = replace(TRUTH, spans=tuple(Span(start, end, "known", label, label) for start, end, label in places))
    rates = error_rates(TRUTH, found)["strict"]
    assert rates["seconds"] == pytest.approx(28)
    assert rates["false_alarm"] == pytest.approx(1 / 28)
    assert rates["confusion"] == pytest.approx(3 / 28)
    assert rates["missed"] == pytest.approx(1 / 28)
    assert rates["error_rate"] == pytest.approx(5 / 28)
    forgiven = error_rates(TRUTH, replace(TRUTH, spans=(Span(0, 10.2, "known", "a", "a"), TRUTH.spans[-1])))
    assert forgiven["with_collar"]["error_rate"] == 0 < forgiven["strict"]["error_rate"]
