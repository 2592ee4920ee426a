import importlib
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
from conftest import RATE_HZ, voice, write_sound

from audionet.errors import InputError, RecordingError
from audionet.inference import streaming
from audionet.inference.streaming import AudioBlock, file_blocks, latency_summary, microphone_blocks, stream_predictions
from audionet.models.classifier import Classifier


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.seconds = 100.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


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


def test_a_change_of_voice_is_followed_within_a_chunk(classifier):
    sound = np.concatenate([voice("alice", seed=1, seconds=5), voice("bob", seed=1, seconds=5)])
    decisions = decide(classifier, blocks_of(sound))
    assert {one.label for one in decisions if 2 <= one.end_seconds <= 5} == {"alice"}
    assert {one.label for one in decisions if one.end_seconds >= 7.5} == {"bob"}


def test_a_full_chunk_is_decided_upon_as_in_a_recording(classifier, tmp_path):
    sound = voice("carol", seed=2, seconds=2)
    of_file = classifier.score(write_sound(tmp_path / "a.wav", sound))
    decision = decide(classifier, blocks_of(sound))[-1]
    assert decision.probability == pytest.approx(of_file.probability, abs=0.02)


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
def test_a_gap_in_the_clock_is_said_and_no_chunk_spans_it(classifier, jump):
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


# A paced file


def test_a_paced_file_comes_in_at_its_own_speed(tmp_path):
    clock = Clock()
    clip = write_sound(tmp_path / "a.wav", voice("bob", seed=1, seconds=1.25))
    blocks = [
        (clock.now(), block) for block in file_blocks(clip, sample_rate_hz=RATE_HZ, now=clock.now, sleep=clock.sleep)
    ]
    assert [at for at, _ in blocks] == pytest.approx([100 + 0.1 * n for n in range(1, 13)] + [101.25])
    assert [block.start_seconds for _, block in blocks] == pytest.approx([0.1 * n for n in range(13)])
    assert sum(len(block.samples) for _, block in blocks) == 1.25 * RATE_HZ


def test_a_slow_machine_does_not_slow_the_clock_of_the_source(tmp_path):
    clock = Clock()
    clip = write_sound(tmp_path / "a.wav", voice("bob", seed=1, seconds=1))
    received_at = []
    for block in file_blocks(clip, sample_rate_hz=RATE_HZ, now=clock.now, sleep=clock.sleep):
        received_at.append(block.received_at)
        clock.sleep(0.3)
    assert received_at[-1] == pytest.approx(101)


def test_a_file_is_followed_from_the_command_line(saved_trusting, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(streaming.time, "sleep", lambda _: None)
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


# A microphone


class Stream:
    """Stands for sounddevice's: hears a list of (samples, clock, overflow), and then is unplugged."""

    heard: tuple = ()

    def __init__(self, *, callback, finished_callback, **options):
        self.callback, self.finished, self.options = callback, finished_callback, options

    def __enter__(self):
        for samples, at, status in self.heard:
            times = types.SimpleNamespace(inputBufferAdcTime=at)
            self.callback(samples[:, None], len(samples), times, status)
        self.finished()

    def __exit__(self, *_):
        pass


@pytest.fixture
def sounddevice(monkeypatch):
    module = types.SimpleNamespace(InputStream=Stream, PortAudioError=OSError)
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return module


def test_a_microphone_that_lost_sound_jumps_by_its_clock(sounddevice, monkeypatch):
    step = np.ones(1600, np.float32)
    heard = ((step, 50.0, None), (step, 50.11, None), (step, 51.2, "overflow"), (step, 51.3, None))
    monkeypatch.setattr(Stream, "heard", heard)
    source = microphone_blocks(sample_rate_hz=RATE_HZ)
    starts = [next(source).start_seconds for _ in range(4)]
    assert starts == pytest.approx([0, 0.1, 1.2, 1.3])
    with pytest.raises(RecordingError, match="the device stopped"):
        next(source)


def test_a_microphone_that_is_not_there_is_named(sounddevice, monkeypatch):
    def refuse(**_):
        raise ValueError("No input device matching 'x'")

    monkeypatch.setattr(sounddevice, "InputStream", refuse)
    with pytest.raises(InputError, match=r"No input device matching 'x'.*--device"):
        next(microphone_blocks(sample_rate_hz=RATE_HZ, device="x"))


def test_without_sounddevice_a_microphone_is_refused_in_a_sentence(saved_trusting, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert importlib.import_module("listen").main(["--model", str(saved_trusting)]) == 2
    said = capsys.readouterr().err
    assert "--microphone needs sounddevice: pip install sounddevice" in said and "decision" not in said


def test_without_portaudio_a_microphone_is_refused_in_a_sentence(monkeypatch, tmp_path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(InputError, match="needs PortAudio, which is not installed"):
        next(microphone_blocks(sample_rate_hz=RATE_HZ))


def test_latencies_are_summed_up():
    assert latency_summary([0.01, 0.05, 0.02]) == "latency 20 ms in the middle, 50 ms at most, of 3 decisions"
