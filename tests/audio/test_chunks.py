import itertools
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import RATE_HZ, noise, run_python, tone, write_sound
from hypothesis import given
from hypothesis import strategies as st

from audionet.audio.chunks import Chunk, cut, read_chunks
from audionet.errors import RecordingError


def chunks_of(path: Path, chunk_seconds: float = 1.0) -> list[Chunk]:
    return list(read_chunks(path, sample_rate_hz=RATE_HZ, chunk_seconds=chunk_seconds))


@pytest.mark.parametrize("suffix", ["mp3", "wav"])
def test_a_silent_recording_is_refused(tmp_path, suffix):
    path = write_sound(tmp_path / f"a.{suffix}", np.zeros(3 * RATE_HZ, np.float32))
    with pytest.raises(RecordingError, match="is silent"):
        chunks_of(path)


@pytest.mark.parametrize("count", [0, 1, 100])
def test_a_recording_of_hardly_any_samples_is_refused(tmp_path, count):
    path = write_sound(tmp_path / "a.wav", tone(1000)[:count])
    with pytest.raises(RecordingError, match=r"holds 0\.0\d+ s of sound; expected at least 0\.02 s"):
        chunks_of(path)


blocks_of_samples = st.lists(st.integers(0, 40), max_size=8)


@given(blocks_of_samples, st.integers(1, 30))
def test_chunks_are_the_recording_in_order(sizes, chunk_samples):
    samples = np.arange(sum(sizes), dtype=np.float32)
    chunks = list(cut(np.split(samples, np.cumsum(sizes)[:-1]), chunk_samples))
    joined = np.concatenate([*chunks, samples[:0]])
    assert np.array_equal(joined, samples[: len(joined)])
    assert all(len(chunk) == chunk_samples for chunk in chunks[:-1])


@given(blocks_of_samples, st.integers(1, 30))
def test_chunks_do_not_depend_on_how_the_recording_came(sizes, chunk_samples):
    samples = np.arange(sum(sizes), dtype=np.float32)
    in_blocks = list(cut(np.split(samples, np.cumsum(sizes)[:-1]), chunk_samples))
    at_once = list(cut([samples], chunk_samples))
    assert [chunk.tolist() for chunk in in_blocks] == [chunk.tolist() for chunk in at_once]


@given(st.integers(1, 200), st.integers(1, 30))
def test_a_last_chunk_of_less_than_half_is_dropped_unless_it_is_the_only_one(count, chunk_samples):
    lengths = [len(chunk) for chunk in cut([np.zeros(count, np.float32)], chunk_samples)]
    rest = count % chunk_samples
    kept = rest > 0 and (2 * rest >= chunk_samples or count < chunk_samples)
    assert lengths == [chunk_samples] * (count // chunk_samples) + [rest] * kept


def test_a_short_recording_gives_one_chunk_in_which_it_is_repeated(tmp_path):
    (chunk,) = chunks_of(write_sound(tmp_path / "a.wav", noise(0.6)))
    assert chunk.seconds == pytest.approx(0.6)
    once = round(0.6 * RATE_HZ)
    assert np.array_equal(chunk.sound, chunk.samples[:once])
    assert np.array_equal(chunk.samples[once:], chunk.samples[: RATE_HZ - once])


def test_a_click_is_repeated_no_more_than_twice_a_second(tmp_path):
    (chunk,) = chunks_of(write_sound(tmp_path / "a.wav", noise(0.1)))
    half = RATE_HZ // 2
    assert np.array_equal(chunk.samples[:half], chunk.samples[half:])
    assert not chunk.samples[round(0.1 * RATE_HZ) : half].any()
    assert len(chunk.sound) == round(0.1 * RATE_HZ)


def test_chunks_have_the_place_where_they_were(tmp_path):
    chunks = chunks_of(write_sound(tmp_path / "a.wav", tone(1000, 3.6)))
    assert [(chunk.index, chunk.offset_seconds) for chunk in chunks] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert [chunk.seconds for chunk in chunks] == pytest.approx([1, 1, 1, 0.6])


def test_silent_chunks_are_left_out_and_the_others_keep_their_place(tmp_path):
    silence = np.zeros(RATE_HZ, np.float32)
    path = write_sound(tmp_path / "a.wav", np.concatenate([tone(1000), silence, tone(500)]))
    assert [chunk.index for chunk in chunks_of(path)] == [0, 2]


PEAK_OF_READING = """
import resource, sys
from pathlib import Path
from audionet.audio.chunks import read_chunks

chunks = 0
for chunk in read_chunks(Path(sys.argv[1]), sample_rate_hz=16_000, chunk_seconds=2.0):
    chunks += 1
print(chunks, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def chunks_and_peak_kilobytes(path: Path) -> tuple[int, int]:
    done = run_python("-c", PEAK_OF_READING, path)
    assert done.returncode == 0, done.stderr
    chunks, kilobytes = map(int, done.stdout.split())
    return chunks, kilobytes


@pytest.fixture
def minute_and_two_hours(tmp_path, request):
    """The same recording of one minute, once and 120 times."""
    minute, hours = (tmp_path / f"{name}.{request.param}" for name in ("minute", "hours"))
    if request.param == "mp3":
        # Frames may be strung together as they are, but for the first, which says how many there are.
        soundfile.write(minute, noise(60.0), RATE_HZ, format="MP3", bitrate_mode="CONSTANT")
        frames = minute.read_bytes()
        hours.write_bytes(frames[frames.index(frames[:2], 4) :] * 120)
    else:
        write_sound(minute, noise(60.0))
        with soundfile.SoundFile(hours, "w", RATE_HZ, 1) as sound:
            for block in itertools.repeat(noise(60.0), 120):
                sound.write(block)
    return minute, hours


@pytest.mark.slow
@pytest.mark.parametrize("minute_and_two_hours", ["wav", "mp3"], indirect=True)
def test_memory_stays_flat_over_two_hours(minute_and_two_hours):
    (_, small), (chunks, large) = map(chunks_and_peak_kilobytes, minute_and_two_hours)
    assert chunks == pytest.approx(3600, abs=120)
    assert large < small + 50_000  # two hours of float32 are 460,800 KB


@given(st.integers(1, 300), st.integers(1, 40), st.data())
def test_overlapping_slices_begin_every_hop_and_cover_what_there_is(count, length, data):
    hop = data.draw(st.integers(1, length))
    samples = np.arange(1, count + 1, dtype=np.float32)
    borders = sorted(data.draw(st.lists(st.integers(0, count), max_size=5)))
    slices = list(cut(np.split(samples, borders), length, hop))
    for number, one in enumerate(slices):
        assert np.array_equal(one, samples[number * hop : number * hop + length])
    assert all(2 * len(one) >= length for one in slices[1:])
    last = (len(slices) - 1) * hop
    assert last + hop >= count or 2 * (count - last - hop) < length
