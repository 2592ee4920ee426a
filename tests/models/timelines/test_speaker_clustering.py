import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audionet.models.timelines import speaker_clustering
from audionet.models.timelines.speaker_clustering import PlacedChunks, Projection, agreements, find_speakers, linked

OVERLAP = 4  # chunks that cover a hop


def voices(count: int, *, seed: int = 0, dimension: int = 400) -> np.ndarray:
    """Return what the chunks of each of some voices have in common, of length one half, some of them alike."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(count, dimension)) + 0.5 * rng.normal(size=dimension)
    return 0.5 * drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def conversation(spoken: list[tuple[int, int]], *, seed: int = 1, known: np.ndarray | None = None):
    """Return the chunks of turns, (voice, hops) each, one chunk every hop, and who speaks in each hop."""
    truth = np.repeat([voice for voice, _ in spoken], [hops for _, hops in spoken])
    of_voices = voices(truth.max() + 1) if known is None else known
    noise = np.random.default_rng(seed).normal(size=(len(truth), of_voices.shape[1])) / np.sqrt(of_voices.shape[1])
    hops = of_voices[truth] + np.sqrt(0.75 * OVERLAP) * noise
    places = np.stack([hops[start : start + OVERLAP].mean(axis=0) for start in range(len(truth) - OVERLAP + 1)])
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    clean = np.ones(len(places), bool)
    chunks = PlacedChunks(places.astype(np.float16), np.arange(len(places)), clean, len(truth), OVERLAP, 0.5)
    return chunks, truth


def share_wrong(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of hops that are not of the speaker who has most of their voice."""
    return float(np.mean([found[i] != np.bincount(found[truth == truth[i]]).argmax() for i in range(len(truth))]))


def random_turns(count: int, *, turns: int, seed: int) -> list[tuple[int, int]]:
    rng = np.random.default_rng(seed)
    order = [number % count for number in range(turns)]
    rng.shuffle(order)
    return [(voice, int(rng.integers(8, 60))) for voice in order]


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_speakers_are_counted_and_told_apart(count):
    chunks, truth = conversation(random_turns(count, turns=6 * count, seed=count))
    found = find_speakers(chunks, speakers=None)
    assert found.shape == truth.shape and len(np.unique(found)) == count
    assert share_wrong(found, truth) < 0.03


def test_speakers_are_numbered_in_the_order_in_which_they_begin():
    chunks, _ = conversation([(2, 30), (0, 30), (1, 30), (0, 30), (2, 30), (1, 30)])
    found = find_speakers(chunks, speakers=3)
    starts = np.flatnonzero(np.diff(found, prepend=-1))
    assert list(dict.fromkeys(found[starts])) == [0, 1, 2]


@pytest.mark.parametrize("asked", [1, 2, 3, 5])
def test_there_are_as_many_speakers_as_are_asked_for(asked):
    chunks, _ = conversation(random_turns(4, turns=24, seed=7))
    assert len(np.unique(find_speakers(chunks, speakers=asked))) == asked


def test_more_speakers_than_turns_are_not_made_up():
    chunks, _ = conversation([(0, 40), (1, 40)])
    assert len(np.unique(find_speakers(chunks, speakers=30))) <= 8


@given(st.integers(1, 12), st.sampled_from([None, 1, 2, 9]), st.integers(0, 3))
def test_a_few_chunks_are_enough(count, asked, seed):
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(count, 16)).astype(np.float16)
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    first_hops = np.sort(rng.permutation(3 * count)[:count])
    chunks = PlacedChunks(places, first_hops, rng.random(count) < 0.5, 3 * count + 1, OVERLAP, 0.5)
    if not chunks.is_clean.any():
        chunks.is_clean[0] = True
    found = find_speakers(chunks, speakers=asked)
    assert found.shape == (3 * count + 1,) and set(found) == set(range(found.max() + 1))


def test_chunks_with_a_pause_are_no_speaker_of_their_own():
    chunks, truth = conversation([(0, 40), (1, 40)] * 4)
    paused = np.zeros(len(chunks.places), bool)
    for change in range(40, 300, 40):
        paused[change - 3 : change + 3] = True
    silence = voices(3)[2] * 2
    places = chunks.places.copy()
    places[paused] = silence + 0.1 * chunks.places[paused]
    mixed = PlacedChunks(places, chunks.first_hops, ~paused, chunks.hops, OVERLAP, 0.5)
    assert len(np.unique(find_speakers(mixed, speakers=None))) == 2
    assert share_wrong(find_speakers(mixed, speakers=None), truth) < 0.05


def test_long_recordings_are_clustered_part_by_part(monkeypatch):
    chunks, truth = conversation(random_turns(3, turns=40, seed=3))
    monkeypatch.setattr(speaker_clustering, "MOST_TURNS", 9)
    monkeypatch.setattr(speaker_clustering, "ROWS_AT_ONCE", 100)
    found = find_speakers(chunks, speakers=None)
    assert len(np.unique(found)) == 3 and share_wrong(found, truth) < 0.03


def test_agreement_does_not_depend_on_how_much_of_a_voice_there_is():
    rng = np.random.default_rng(0)
    of_voices = voices(2)
    for count in (5, 20, 80):
        noise = rng.normal(size=(3, count, 400)) * np.sqrt(0.75 / 400)
        groups = of_voices[[0, 0, 1]][:, None] + noise
        groups /= np.linalg.norm(groups, axis=2, keepdims=True)
        found = agreements(groups.mean(axis=1), np.full(3, float(count)), doubt=0.0)
        assert found[0, 1] == pytest.approx(1, abs=0.25) and found[0, 2] < 0.6


def test_little_sound_leaves_doubt_which_speaks_for_joining():
    means = voices(2)
    little, much = (agreements(means, np.full(2, worth), doubt=0.2)[0, 1] for worth in (1.0, 100.0))
    assert little > much + 0.2


def test_linkage_respects_the_least_and_the_most():
    agreement = np.array([[1.0, 0.9, 0.1], [0.9, 1.0, 0.1], [0.1, 0.1, 1.0]])
    assert linked(agreement, 0.5).tolist() in ([0, 0, 1], [1, 1, 0])
    assert len(set(linked(agreement, 0.5, least=3))) == 3
    assert len(set(linked(agreement, 0.5, most=1))) == 1
    assert linked(np.ones((1, 1)), 0.5, least=4).tolist() == [0]


def test_a_projection_keeps_angles_and_is_the_same_each_time():
    rng = np.random.default_rng(0)
    places = rng.normal(size=(6, 5_000)) + 2 * rng.normal(size=5_000)
    places = (places / np.linalg.norm(places, axis=1, keepdims=True)).astype(np.float32)
    projected = Projection()(places)
    assert projected.shape == (6, speaker_clustering.PROJECTED) and projected.dtype == np.float16
    assert np.array_equal(projected, Projection()(places))
    kept = projected.astype(np.float32)
    assert np.abs(kept @ kept.T - places @ places.T).max() < 0.15
    assert Projection()(places[:, :100]).shape == (6, 100)
