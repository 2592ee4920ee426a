import importlib
from dataclasses import replace

import numpy as np
import pytest
from conftest import RATE_HZ, voice, write_sound

from audionet.inference import audio_blocks
from audionet.inference.audio_blocks import AudioBlock
from audionet.inference.streaming import latency_summary, stream_predictions
from audionet.models.classifier import Classifier


@pytest.fixture(scope="module")
def classifier(saved_trusting) -> Classifier:
    return Classifier.load(saved_trusting)


def blocks_of(sound: np.ndarray, *, start: float = 0.0) -> list[AudioBlock]:
    step = RATE_HZ // 10
    return [
        AudioBlock(sound[place : place + step], start + place / RATE_HZ, 100 + start + (place + step) / RATE_HZ)
        for place in range(0, len(sound), step)
    ]


def decide(classifier, blocks, *, hop: float = 0.5):
    return list(stream_predictions(classifier, blocks, hop_seconds=hop, now=lambda: 0.0))


# Decisions


def test_a_decision_is_made_every_hop_about_the_last_chunk(classifier):
    decisions = decide(classifier, blocks_of(voice("alice", seed=1, seconds=4)))
    assert [one.end_seconds for one in decisions] == pytest.approx([0.5 * n for n in range(1, 9)])
    assert [one.end_seconds - one.start_seconds for one in decisions] == pytest.approx([0.5, 1, 1.5, 2, 2, 2, 2, 2])
    assert {one.label for one in decisions[2:]} == {"alice"}


def test_a_change_of_voice_is_predicted_within_a_chunk(classifier):
    sound = np.concatenate([voice("alice", seed=1, seconds=5), voice("bob", seed=1, seconds=5)])
    decisions = decide(classifier, blocks_of(sound))
    assert {one.label for one in decisions if 2 <= one.end_seconds <= 5} == {"alice"}
    assert {one.label for one in decisions if one.end_seconds >= 7.5} == {"bob"}


def test_a_full_chunk_is_decided_upon_as_in_a_recording(classifier, tmp_path):
    sound = voice("carol", seed=2, seconds=2)
    of_file = classifier.score(write_sound(tmp_path / "a.wav", sound))
    decision = decide(classifier, blocks_of(sound))[-1]
    assert decision.probability == pytest.approx(of_file.probability, abs=0.02)


@pytest.mark.parametrize("speaker", ["alice", "bob"])
def test_the_verdict_on_one_sound_is_that_of_its_clip(saved, tmp_path, speaker):
    classifier = Classifier.load(saved / "retrained_model")
    sound = voice(speaker, seed=5, seconds=12)
    answer = classifier.score(write_sound(tmp_path / "a.wav", sound))
    for of_chunk, of_clip in ((-1e3, answer.score + 0.5), (1e3, answer.score - 0.5)):
        counts, thresholds = np.array([1, 3]), np.array([of_chunk, of_clip])  # chunks say the contrary of the whole
        classifier.open_set = replace(classifier.open_set, chunk_counts=counts, thresholds=thresholds)
        last = decide(classifier, blocks_of(sound))[-1]
        assert last.label == classifier.score(tmp_path / "a.wav").label


def test_a_stream_that_ends_within_a_chunk_is_decided_upon_once_more(classifier):
    decisions = decide(classifier, blocks_of(voice("bob", seed=1, seconds=2.75)), hop=1.0)
    assert [one.end_seconds for one in decisions] == pytest.approx([1, 2, 2.75])
    assert decisions[-1].start_seconds == pytest.approx(0.75)


@pytest.mark.parametrize("seconds", [0.0, 0.01])
def test_a_stream_of_nothing_has_no_decision(classifier, seconds):
    assert decide(classifier, blocks_of(voice("bob", seed=1, seconds=1)[: round(seconds * RATE_HZ)])) == []


def test_silence_is_no_label(classifier):
    assert {one.label for one in decide(classifier, blocks_of(np.zeros(2 * RATE_HZ, np.float32)))} == {""}


@pytest.mark.parametrize("jump", [3.0, -1.5])
def test_a_gap_in_the_clock_is_reported_and_no_chunk_spans_it(classifier, jump):
    sound = voice("alice", seed=1, seconds=2)
    decisions = decide(classifier, [*blocks_of(sound), *blocks_of(sound, start=2 + jump)])
    assert [one.lost_seconds for one in decisions if one.lost_seconds] == pytest.approx([abs(jump)])
    after = next(one for one in decisions if one.lost_seconds)
    assert (after.start_seconds, after.end_seconds) == pytest.approx((2 + jump, 2.5 + jump))


def test_what_is_late_is_passed_over_and_not_queued_for_ever(classifier):
    late = [replace(block, received_at=-10.0) for block in blocks_of(voice("bob", seed=1, seconds=3))]
    on_time = [replace(block, received_at=-0.1) for block in blocks_of(voice("bob", seed=1, seconds=1), start=3)]
    decisions = decide(classifier, [*late, *on_time])
    assert [one.end_seconds for one in decisions] == pytest.approx([3.5, 4.0])
    assert all(one.latency_seconds == pytest.approx(0.1) for one in decisions)


# From the command line


def test_a_file_is_predicted_as_it_comes_in(saved_trusting, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(audio_blocks.time, "sleep", lambda _: None)
    clip = write_sound(tmp_path / "a.wav", voice("bob", seed=1, seconds=3))
    script = importlib.import_module("listen")
    assert script.main(["--model", str(saved_trusting), str(clip), "--hop", "1"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1].startswith("0:03.0  bob") and out.splitlines()[-1].endswith("ms)")
    assert "Listening to" in err and "latency" in err and "of 3 decisions" in err


def test_a_bad_file_is_set_aside(saved_trusting, tmp_path, capsys):
    (tmp_path / "a.mp3").write_text("no sound")
    script = importlib.import_module("listen")
    assert script.main(["--model", str(saved_trusting), str(tmp_path / "a.mp3")]) == 1
    assert "a.mp3 cannot be decoded" in capsys.readouterr().err


def test_latencies_are_summed_up():
    assert latency_summary([0.01, 0.05, 0.02]) == "latency 20 ms in the middle, 50 ms at most, of 3 decisions"
