import dataclasses
import json

import numpy as np
import pytest

from audionet.models.background import NetworkKey
from audionet.models.bottleneck_cache import Rows
from audionet.models.fused_similarity import FusedSimilarity
from audionet.models.similarity import Similarity
from audionet.training.fitting.background_fitting import fit_background
from audionet.training.fitting.similarity_fitting import ComparedSamples, fit_similarity, fit_space


def labelled(labels: int, *, rng: np.random.Generator, recordings: int = 3, chunks: int = 6, nuisance: float = 4.0):
    """Bottlenecks whose labels differ a little, and whose chunks differ much, always along the same few directions."""
    dimension = 24
    ways = rng.normal(size=(3, dimension))
    rows, numbers, names = [], [], []
    for label in range(labels):
        centre = rng.normal(size=dimension)
        for recording in range(recordings):
            spread = nuisance * rng.normal(size=(chunks, 3)) @ ways + 0.3 * rng.normal(size=(chunks, dimension))
            rows.append(centre + spread)
            numbers += [label] * chunks
            names += [f"{label}/{recording}"] * chunks
    return np.concatenate(rows).astype(np.float32), np.array(numbers), np.array(names)


@pytest.fixture(scope="module")
def space() -> Similarity:
    rows, numbers, names = labelled(8, rng=np.random.default_rng(0))
    fitted = fit_similarity(ComparedSamples((rows,), numbers, names, np.zeros(len(rows), int), (None,)))
    assert fitted is not None
    return fitted


def test_what_varies_within_every_label_counts_for_less():
    rng = np.random.default_rng(1)
    rows, numbers, _ = labelled(9, rng=rng)
    known, held = numbers < 6, numbers >= 6
    whitened = fit_space(rows, numbers, np.flatnonzero(known)).places(rows[held])
    plain = rows[held] - rows[known].mean(axis=0)
    plain /= np.linalg.norm(plain, axis=1, keepdims=True)

    def gap(places: np.ndarray) -> float:
        same = numbers[held][:, None] == numbers[held]
        cosines = places @ places.T
        return cosines[same & ~np.eye(len(same), dtype=bool)].mean() - cosines[~same].mean()

    assert gap(whitened) > gap(plain) + 0.2


def gap(places: np.ndarray, numbers: np.ndarray) -> float:
    """How many deviations lie between cosines of the same and of others."""
    same = (numbers[:, None] == numbers)[~np.eye(len(numbers), dtype=bool)]
    cosines = (places @ places.T)[~np.eye(len(numbers), dtype=bool)]
    spread = np.sqrt((cosines[same].var() + cosines[~same].var()) / 2)
    return float((cosines[same].mean() - cosines[~same].mean()) / spread)


def test_many_ways_to_vary_within_a_label_all_count_for_less():
    rng = np.random.default_rng(0)
    ways = 0.15 * rng.normal(size=(190, 400))
    centres = np.repeat(rng.normal(size=(40, 400)), 40, axis=0)
    numbers = np.repeat(np.arange(40), 40)
    rows = (centres + rng.normal(size=(1600, 190)) @ ways + 0.3 * rng.normal(size=(1600, 400))).astype(np.float32)
    held = numbers >= 34
    whitened = fit_space(rows, numbers, np.flatnonzero(~held)).places(rows[held])
    assert gap(whitened, numbers[held]) > 6.5


def test_what_tells_labels_apart_counts_for_more(monkeypatch):
    rng = np.random.default_rng(0)
    apart = rng.normal(size=(6, 100))
    numbers = np.repeat(np.arange(30), 20)
    rows = ((rng.normal(size=(30, 6)) @ apart)[numbers] + 3 * rng.normal(size=(600, 100))).astype(np.float32)
    held = numbers >= 24
    with_gain = fit_space(rows, numbers, np.flatnonzero(~held)).places(rows[held])
    monkeypatch.setattr("audionet.training.fitting.scatter.GAIN", 1.0)
    only_whitened = fit_space(rows, numbers, np.flatnonzero(~held)).places(rows[held])
    assert gap(with_gain, numbers[held]) > gap(only_whitened, numbers[held]) + 0.1


def test_probabilities_tell_clips_of_labels_outside_of_the_space_apart(space):
    rows, _, names = labelled(8, rng=np.random.default_rng(0))
    one, other, stranger = (space.mean_place(rows[names == name]) for name in ("0/0", "0/1", "5/0"))
    assert space.probability(one, other) > 0.5 > space.probability(one, stranger)
    assert space.probability(one, other) == pytest.approx(space.probability(other, one))


def test_odds_do_not_grow_with_the_number_of_chunks_enrolled(space):
    rng = np.random.default_rng(0)
    rows, _, names = labelled(8, rng=rng, recordings=2, chunks=60)
    long = [rows[names == f"{label}/0"] for label in range(8)]
    short = [clip[:1] for clip in long]
    tested = [rows[names == f"{label}/1"] for label in range(8)]

    def prototype(clip: np.ndarray) -> np.ndarray:
        return space.prototype(clip)[None]

    of_short, of_long = (
        np.mean([space.log_odds(*pair).mean() for pair in zip(tested, map(prototype, enrolled), strict=True)])
        for enrolled in (short, long)
    )
    assert of_short == pytest.approx(of_long, abs=1.5)


def test_two_long_clips_are_surer_than_two_short_ones(space):
    rng = np.random.default_rng(0)
    rows, _, names = labelled(8, rng=rng, recordings=2, chunks=60)
    odds = {}
    for chunks in (1, 60):
        clips = [
            np.stack([space.mean_place(rows[names == f"{label}/{n}"][:chunks]) for label in range(8)]) for n in (0, 1)
        ]
        found = space.clip_log_odds(*clips)
        odds[chunks] = np.diag(found).mean(), found[~np.eye(8, dtype=bool)].mean()
        counts = space.chunks_behind(clips[0])
        assert counts == pytest.approx(np.full(8, chunks), rel=0.01)
    assert odds[60][0] > odds[1][0] + 1 and odds[60][1] < odds[1][1] - 1


def test_a_classifier_of_an_earlier_version_compares_by_cosines(space):
    rows, _, names = labelled(3, rng=np.random.default_rng(0))
    clips = [rows[names == name] for name in ("0/0", "0/1")]
    values = space.to_json()
    for name in ("agreement", "is_of_background", "background", "clip_slope", "clip_offset"):
        del values[name]
    old = Similarity.from_json(values, space.arrays())
    first, second = (old.mean_place(clip) for clip in clips)
    assert np.linalg.norm(old.prototype(clips[0])) == pytest.approx(1)
    lengths = [np.linalg.norm(place) for place in (first, second)]
    cosine = first @ second * (1 / lengths[0] + 1 / lengths[1]) / 2
    assert old.clip_log_odds(first[None], second[None])[0, 0] == pytest.approx(
        old.slope * cosine + old.offset, rel=1e-3
    )


def test_the_odds_of_many_pairs_are_those_of_each(space):
    rows, _, names = labelled(8, rng=np.random.default_rng(0))
    first, second = (
        np.stack([space.mean_place(rows[names == name]) for name in some])
        for some in (("0/0", "1/0"), ("0/1", "2/0", "1/2"))
    )
    odds = space.clip_log_odds(first, second)
    assert odds.shape == (2, 3)
    for row, column in np.ndindex(2, 3):
        assert 1 / (1 + np.exp(-odds[row, column])) == pytest.approx(
            space.probability(first[row], second[column]), rel=1e-4
        )


@pytest.mark.parametrize("agreement", [0.0, 0.3])
def test_the_odds_of_pairs_of_several_members_rest_on_the_sum_of_their_scores(space, agreement):
    space = dataclasses.replace(space, agreement=agreement)
    curves = {name: getattr(space, name) for name in ("slope", "offset", "clip_slope", "clip_offset")}
    fused = FusedSimilarity((space, space), (0.25, 0.75), **curves)
    rows, _, names = labelled(8, rng=np.random.default_rng(0))
    one, other = (rows[names == name] for name in ("0/0", "3/1"))
    odds = space.clip_log_odds(space.mean_place(one)[None], space.mean_place(other)[None])
    both = [np.hstack([clip, clip]) for clip in (one, other)]
    fused_odds = fused.clip_log_odds(*(fused.mean_place(clip)[None] for clip in both))
    assert fused_odds == pytest.approx(odds, abs=1e-4)
    assert fused.probability(*map(fused.mean_place, both)) == pytest.approx(1 / (1 + np.exp(-odds[0, 0])), abs=1e-4)


def test_error_rates_are_those_of_labels_left_out(space):
    assert 0 <= space.equal_error_rate <= space.chunk_equal_error_rate < 0.35
    assert space.slope > 0 and space.trials > 100


@pytest.mark.parametrize(("labels", "recordings"), [(2, 3), (6, 1)])
def test_too_little_to_compare_gives_no_space(labels, recordings):
    rows, numbers, names = labelled(labels, rng=np.random.default_rng(0), recordings=recordings)
    assert fit_similarity(ComparedSamples((rows,), numbers, names, np.zeros(len(rows), int), (None,))) is None


@pytest.mark.parametrize("own", [1, 2, 4])
def test_few_labels_compare_clips_of_others_by_a_background(own):
    """All vary along the same directions, which one label alone shows by three recordings, a background by thirty."""
    rows, numbers, names = labelled(24, rng=np.random.default_rng(0))
    of_background, of_own = numbers < 10, (numbers >= 10) & (numbers < 10 + own)
    background = fit_background(
        Rows(rows[of_background]),
        numbers[of_background],
        recordings=np.unique(names, return_inverse=True)[1][of_background],
        views=np.zeros(of_background.sum(), int),
        slices={"rows": (0, rows.shape[1])},
        key=NetworkKey("fake", "a" * 64),
        origin="ten labels",
        licence="CC0",
    ).at("rows")
    own_samples = ComparedSamples(
        (rows[of_own],), numbers[of_own], names[of_own], np.zeros(of_own.sum(), int), (background,)
    )
    space = fit_similarity(own_samples)
    assert space is not None and space.is_of_background and "ten labels (CC0)" in space.background
    assert space.equal_error_rate < 0.1 and "of the background" in space.sentence()
    first, second = (
        np.stack([space.mean_place(rows[names == f"{label}/{recording}"]) for label in range(14, 24)])
        for recording in (0, 1)
    )
    odds = space.clip_log_odds(first, second)
    is_same = np.eye(10, dtype=bool)
    assert (odds[is_same] > 0).mean() > 0.9 and (odds[~is_same] < 0).mean() > 0.9


def test_a_space_comes_back_as_it_was_written(space):
    back = Similarity.from_json(json.loads(json.dumps(space.to_json())), space.arrays())
    rows, *_ = labelled(2, rng=np.random.default_rng(3))
    assert np.array_equal(back.places(rows), space.places(rows))
    assert back.to_json() == space.to_json()
