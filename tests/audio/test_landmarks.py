"""The same sound is found under another name, and other sound is not."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import soxr
from conftest import RATE_HZ, melody, noise, tone
from hypothesis import given
from hypothesis import strategies as st

from audionet.audio import landmarks
from audionet.audio.landmarks import LEAST_SHARED, find_matches, find_peaks, join_peaks, landmarks_of, landmarks_of_all

CHUNK = 2 * RATE_HZ


def peaks_of(samples: np.ndarray) -> np.ndarray:
    chunks = [samples[start : start + CHUNK] for start in range(0, len(samples), CHUNK)]
    return join_peaks([(2.0 * index, find_peaks(chunk, sample_rate_hz=RATE_HZ)) for index, chunk in enumerate(chunks)])


def found_between(first: np.ndarray, second: np.ndarray) -> list:
    return find_matches({"first": peaks_of(first), "second": peaks_of(second)})


def through_telephone(samples: np.ndarray) -> np.ndarray:
    narrow = scipy.signal.sosfilt(scipy.signal.butter(4, (300, 3300), "bandpass", fs=RATE_HZ, output="sos"), samples)
    coarse = np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256)
    rounded = np.round(coarse * 128) / 128
    return (np.sign(rounded) * (256 ** np.abs(rounded) - 1) / 255).astype(np.float32)


def test_a_peak_is_where_a_note_is():
    samples = np.zeros(CHUNK, np.float32)
    samples[RATE_HZ : RATE_HZ + 1600] = tone(1000, 0.1) * np.hanning(1600)
    loudest = find_peaks(samples, sample_rate_hz=RATE_HZ).astype(int)
    assert (np.abs(loudest - [round(1.05 * 62.5) - 2, 1000 / 15.625]) <= 3).all(axis=1).any()


def test_peaks_are_the_loudest_points_of_their_neighbourhoods():
    samples = noise(1.0).astype(np.float32)[: landmarks.RATE_HZ]
    levels = landmarks._levels(samples)
    highest = scipy.ndimage.maximum_filter(levels, landmarks.NEIGHBOURHOOD)
    frames, bins = np.nonzero(levels == highest)
    found = find_peaks(samples, sample_rate_hz=landmarks.RATE_HZ)
    assert 0 < len(found) <= landmarks.PEAKS_PER_SECOND
    assert set(map(tuple, found.tolist())) <= set(zip(frames, bins + landmarks.LOWEST_BIN, strict=True))


def test_peaks_do_not_depend_on_level():
    quiet, loud = (find_peaks(level * melody(0)[:CHUNK], sample_rate_hz=RATE_HZ) for level in (0.1, 1.0))
    assert np.array_equal(quiet, loud)


def test_silence_and_the_shortest_clips_have_no_peaks_to_trip_over():
    for count in (1, 100, 1000):
        assert find_peaks(np.zeros(count, np.float32), sample_rate_hz=RATE_HZ).shape[1] == 2
    assert find_matches({}) == []
    assert join_peaks([]).shape == (0, 2)


def test_a_landmark_is_two_peaks_and_the_frames_between_them():
    landmarks, starts = landmarks_of(np.array([[10, 50], [20, 60], [200, 60]]))
    assert len(landmarks) == 1 and starts.tolist() == [10]
    shifted, _ = landmarks_of(np.array([[110, 50], [120, 60]]))
    assert landmarks.tolist() == shifted.tolist()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda samples: 0.1 * samples, id="turned_down"),
        pytest.param(lambda samples: samples[round(0.7 * RATE_HZ) :], id="shifted"),
        pytest.param(lambda samples: samples[3 * RATE_HZ : 8 * RATE_HZ], id="cut_out"),
        pytest.param(through_telephone, id="telephone"),
        pytest.param(
            lambda samples: soxr.resample(soxr.resample(samples, RATE_HZ, 8000), 8000, RATE_HZ), id="resampled"
        ),
    ],
)
def test_the_same_sound_is_found_after_a_change(change):
    (match,) = found_between(melody(1), change(melody(1)))
    assert match.shared_landmarks >= LEAST_SHARED


def test_the_offset_says_where_the_first_begins_in_the_second():
    (match,) = found_between(melody(1), melody(1)[3 * RATE_HZ :])
    assert match.offset_seconds == pytest.approx(-3, abs=0.05)
    assert match.seconds == pytest.approx(9, abs=2)


def test_a_stretch_of_a_long_recording_is_found():
    long = np.concatenate([melody(seed) for seed in range(2, 12)])
    (match,) = found_between(long, melody(7)[: 6 * RATE_HZ])
    assert match.offset_seconds == pytest.approx(-60, abs=0.05)


def test_different_sounds_do_not_match():
    assert find_matches({str(seed): peaks_of(melody(seed)) for seed in range(12)}) == []


def test_a_hum_and_a_whistle_do_not_match_themselves():
    hums = {f"{seed}": peaks_of(tone(440, 20) + tone(880, 20) + noise(20, seed=seed, level=0.001)) for seed in range(4)}
    assert find_matches(hums) == []


def test_only_different_sides_are_compared_when_there_are_sides():
    peaks = {name: peaks_of(melody(1)) for name in "abc"}
    matches = find_matches(peaks, sides={"a": "training", "b": "training", "c": "testing"})
    assert {frozenset((match.first, match.second)) for match in matches} == {frozenset("ac"), frozenset("bc")}


def test_work_grows_with_the_amount_of_sound_and_not_with_its_square(monkeypatch):
    from audionet.audio import landmarks

    compared = []
    count = landmarks._cell
    monkeypatch.setattr(landmarks, "_cell", lambda *given: compared.append(len(given[0])) or count(*given))
    peaks = {str(seed): peaks_of(melody(seed)) for seed in range(24)}
    every = sum(len(landmarks_of(each)[0]) for each in peaks.values())
    find_matches(peaks)
    assert sum(compared) <= 2 * landmarks.COMMON * every


@given(st.lists(st.lists(st.tuples(st.integers(0, 200), st.integers(13, 218)), max_size=40), max_size=6))
def test_landmarks_of_many_recordings_are_those_of_each(recordings):
    every = [np.array(sorted(peaks), np.int64).reshape(-1, 2) for peaks in recordings]
    together = list(landmarks_of_all(every))
    assert len(together) == len(every)
    for peaks, found in zip(every, together, strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(landmarks_of(peaks), found, strict=True))
