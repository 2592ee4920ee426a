import importlib
import sys
import types

import numpy as np
import pytest
from conftest import RATE_HZ, voice, write_sound

from audionet.errors import InputError, RecordingError
from audionet.inference.audio_blocks import file_blocks, microphone_blocks


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.seconds = 100.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


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


class Stream:
    """Stands for sounddevice's: gives a list of (samples, clock, overflow), and then is unplugged."""

    recorded: tuple = ()

    def __init__(self, *, callback, finished_callback, **options):
        self.callback, self.finished, self.options = callback, finished_callback, options

    def __enter__(self):
        for samples, at, status in self.recorded:
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
    recorded = ((step, 50.0, None), (step, 50.11, None), (step, 51.2, "overflow"), (step, 51.3, None))
    monkeypatch.setattr(Stream, "recorded", recorded)
    source = microphone_blocks(sample_rate_hz=RATE_HZ)
    starts = [next(source).start_seconds for _ in range(4)]
    assert starts == pytest.approx([0, 0.1, 1.2, 1.3])
    with pytest.raises(RecordingError, match="The microphone stopped"):
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
    assert "needs the package sounddevice, which is not installed: pip install './scripts[microphone]'" in said
    assert "Listening" not in said and "decision" not in said


def test_without_portaudio_a_microphone_is_refused_in_a_sentence(monkeypatch, tmp_path):
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(InputError, match="needs PortAudio, which is not installed"):
        next(microphone_blocks(sample_rate_hz=RATE_HZ))
