import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audionet.errors import InputError
from audionet.evaluation.detection_metrics import auroc, detection_curve
from audionet.models.openset import OpenSetDetector, Space
from audionet.training.fitting.openset_fitting import (
    FALSE_ACCEPT_RATE,
    FALSE_REJECT_RATE,
    FALSE_REJECTS_ALLOWED,
    LeftOutLabels,
    ScoredClips,
    fit_open_set,
    parts_to_leave_out,
)

LABELS = 8
DIMENSIONS = 20


def voices(seed: int, *, count: int) -> np.ndarray:
    """Return the places of some voices, far apart in a space of 20 dimensions."""
    return np.random.default_rng(seed).normal(0, 3, (count, DIMENSIONS))


def clips_of(
    places: np.ndarray, *, seed: int, recordings: int = 4, chunks: int = 10, known: bool = True, spread: float = 2.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return bottlenecks around places, with their recordings and the numbers of the places."""
    rng = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(len(places)), recordings * chunks)
    owners = np.repeat(np.arange(len(places) * recordings), chunks)
    bottlenecks = places[numbers] + rng.normal(0, spread, (len(numbers), DIMENSIONS))
    bottlenecks += rng.normal(0, 0.5, (len(places) * recordings, DIMENSIONS))[owners]  # recordings differ a little
    return bottlenecks, owners, numbers


def logits_of(bottlenecks: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The best head there is, for clouds as wide in every direction."""
    return bottlenecks @ places.T - np.square(places).sum(axis=1) / 2


def scored(logits: np.ndarray, recording_ids: np.ndarray, label_ids: np.ndarray | None = None) -> ScoredClips:
    """Return clips as they are; without label ids they are unknown."""
    nothing = np.zeros(len(logits), int)
    label_ids = nothing - 1 if label_ids is None else label_ids
    return ScoredClips(logits, recording_ids, label_ids, views=nothing, folds=recording_ids % 2)


@pytest.fixture(scope="module")
def places():
    return voices(0, count=LABELS)


@pytest.fixture(scope="module")
def known(places):
    bottlenecks, owners, label_ids = clips_of(places, seed=1)
    return scored(logits_of(bottlenecks, places), owners, label_ids)


@pytest.fixture(scope="module")
def unknown(places):
    bottlenecks, owners, _ = clips_of(voices(99, count=30), seed=2)
    return scored(logits_of(bottlenecks, places), owners)


@pytest.fixture(scope="module")
def left_out(places):
    bottlenecks, _, label_ids = clips_of(places, seed=1)
    parts = []
    for part in parts_to_leave_out(LABELS):
        kept = np.setdiff1d(np.arange(LABELS), part)
        parts.append(LeftOutLabels(part, logits_of(bottlenecks[np.isin(label_ids, part)], places[kept])))
    return parts


@pytest.fixture(scope="module")
def open_set(known, left_out):
    return fit_open_set(known, left_out=left_out)


def recordings_of(clips: ScoredClips) -> list[np.ndarray]:
    return [clips.logits[clips.recording_ids == recording] for recording in np.unique(clips.recording_ids)]


def varied(places: np.ndarray, *, seed: int, recordings: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return clips as `clips_of`, of recordings that differ more than their chunks' mean would."""
    bottlenecks, owners, label_ids = clips_of(places, seed=seed, recordings=recordings)
    shifts = np.random.default_rng(seed + 1).normal(0, 1.2, (owners[-1] + 1, DIMENSIONS))
    return bottlenecks + shifts[owners], owners, label_ids


def accepted_of_next(seed: int) -> tuple[float, float]:
    """Return the shares of next known and of unknown recordings accepted, by two recordings of each of four labels."""
    places = voices(seed, count=4)
    bottlenecks, owners, label_ids = varied(places, seed=seed + 100, recordings=2)
    left_out = []
    for part in parts_to_leave_out(4):
        kept = np.setdiff1d(np.arange(4), part)
        left_out.append(LeftOutLabels(part, logits_of(bottlenecks[np.isin(label_ids, part)], places[kept])))
    fitted = fit_open_set(scored(logits_of(bottlenecks, places), owners, label_ids), left_out=left_out)
    shares = []
    for of_whom in (places, voices(seed + 300, count=4)):
        bottlenecks, owners, _ = varied(of_whom, seed=seed + 200, recordings=4)
        clips = recordings_of(scored(logits_of(bottlenecks, places), owners))
        shares.append(float(np.mean([fitted.accepts(logits) for logits in clips])))
    return shares[0], shares[1]


def chunks_accepted_of_alike(seed: int) -> tuple[float, float]:
    """Return the shares of next known and of unknown chunks accepted, where labels are alike and views are noisy."""
    places = np.random.default_rng(seed).normal(0, 2, (12, DIMENSIONS))
    clean, owners, label_ids = clips_of(places, seed=seed + 1, spread=1.5)
    noise = np.random.default_rng(seed + 2).normal(0, 4, (2, *clean.shape))
    bottlenecks = np.concatenate([clean, *(clean + noise)])
    owners, label_ids, views = np.tile(owners, 3), np.tile(label_ids, 3), np.repeat(np.arange(3), len(clean))
    known = ScoredClips(logits_of(bottlenecks, places), owners, label_ids, views, owners % 2)
    left_out = []
    for part in parts_to_leave_out(len(places)):
        kept = np.setdiff1d(np.arange(len(places)), part)
        left_out.append(LeftOutLabels(part, logits_of(bottlenecks[np.isin(label_ids, part)], places[kept])))
    fitted = fit_open_set(known, left_out=left_out)
    shares = []
    for of_whom in (places, np.random.default_rng(seed + 50).normal(0, 2, (40, DIMENSIONS))):
        logits = logits_of(clips_of(of_whom, seed=seed + 60, spread=1.5)[0], places)
        shares.append(float((fitted.chunk_scores(logits) >= fitted.threshold(1)).mean()))
    return shares[0], shares[1]


class TestSpace:
    def test_clips_of_one_label_vary_by_about_one_in_every_direction(self, known):
        space = Space.fit(known.logits, known.label_ids)
        places = (known.logits - space.origin) @ space.projection - space.centres[known.label_ids]
        assert np.std(places, axis=0) == pytest.approx(np.ones(places.shape[1]), rel=0.35)

    def test_known_clips_score_above_unknown(self, known, unknown):
        space = Space.fit(known.logits, known.label_ids)
        curve = detection_curve(space.score(known.logits), space.score(unknown.logits))
        assert auroc(curve) > 0.95

    def test_it_tells_more_than_the_probability_of_the_answer(self, known, unknown):
        space = Space.fit(known.logits, known.label_ids)
        ours = detection_curve(space.score(known.logits), space.score(unknown.logits))
        likeliest = [
            (logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))).max(1)
            - logits.max(1)
            for logits in (known.logits, unknown.logits)
        ]
        assert auroc(ours) > auroc(detection_curve(*likeliest)) + 0.05

    def test_the_best_claim_is_the_score(self, known):
        space = Space.fit(known.logits, known.label_ids)
        claims = space.claims(known.logits)
        assert np.array_equal(claims.max(axis=1), space.score(known.logits))
        assert np.mean(claims.argmax(axis=1) == known.label_ids) > 0.99

    @given(st.floats(0.05, 20), st.floats(-50, 50))
    def test_a_temperature_changes_nothing(self, known, temperature, shift):
        plain = Space.fit(known.logits, known.label_ids).score(known.logits)
        scaled = known.logits / temperature + shift
        np.testing.assert_allclose(Space.fit(scaled, known.label_ids).score(scaled), plain, rtol=1e-2, atol=1e-2)

    @pytest.mark.parametrize("labels", [2, 3, 150])
    def test_works_for_few_labels_and_for_many(self, labels):
        places = voices(5, count=labels)
        bottlenecks, _, numbers = clips_of(places, seed=6, recordings=1, chunks=2)
        logits = logits_of(bottlenecks, places)
        space = Space.fit(logits, numbers)
        assert np.isfinite(space.score(logits)).all()
        assert space.centres.shape[1] <= 128

    def test_clips_that_are_all_alike_do_not_divide_by_nothing(self):
        assert np.isfinite(Space.fit(np.eye(3).repeat(2, axis=0), np.arange(6) // 2).score(np.eye(3))).all()


class TestThreshold:
    def test_lets_about_the_stated_share_of_unknown_pass(self, open_set, unknown):
        chunks = open_set.space.score(unknown.logits) >= open_set.threshold(1)
        assert chunks.mean() < 3 * FALSE_ACCEPT_RATE
        assert np.mean([open_set.accepts(logits) for logits in recordings_of(unknown)]) < 3 * FALSE_ACCEPT_RATE

    def test_accepts_known_recordings_that_it_has_not_met(self, open_set, places):
        bottlenecks, owners, _ = clips_of(places, seed=7)
        fresh = scored(logits_of(bottlenecks, places), owners)
        assert np.mean([open_set.accepts(logits) for logits in recordings_of(fresh)]) > 0.95

    def test_more_chunks_make_a_surer_answer(self, open_set, known, unknown):
        def mistakes(chunks: int) -> float:
            threshold = open_set.threshold(chunks)
            refused = np.mean(open_set.space.score(known.pooled(chunks)) < threshold)
            return refused + np.mean(open_set.space.score(unknown.pooled(chunks)) >= threshold)

        assert mistakes(8) <= mistakes(1)

    @pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
    def test_unknown_clips_are_used_when_there_are_any(self, known, unknown, rate):
        fitted = fit_open_set(known, unknown=unknown, false_accept_rate=rate)
        assert fitted.fitted_on == "impostors" and fitted.unknown_recordings == 120
        assert fitted.chunk_false_accept_rate <= rate
        assert fitted.stated_rate == rate

    def test_a_stricter_rate_refuses_more(self, known, unknown):
        strict, lax = (fit_open_set(known, unknown=unknown, false_accept_rate=rate) for rate in (0.01, 0.3))
        assert strict.threshold(1) > lax.threshold(1)

    def test_another_rate_gives_what_training_at_that_rate_would(self, known, unknown, left_out):
        for kinds in ({"unknown": unknown}, {"left_out": left_out}):
            usual = fit_open_set(known, **kinds)
            for rate in (0.01, 0.2):
                asked, trained = usual.at_rate(rate), fit_open_set(known, **kinds, false_accept_rate=rate)
                for field in dataclasses.fields(OpenSetDetector):
                    if field.name != "space":
                        assert np.array_equal(getattr(asked, field.name), getattr(trained, field.name)), field.name
            assert usual.at_rate(0.01).threshold(3) > usual.threshold(3) > usual.at_rate(0.2).threshold(3)

    def test_the_rate_that_it_was_trained_at_can_be_asked_for(self, known, unknown):
        fitted = fit_open_set(known, unknown=unknown, false_accept_rate=0.03)
        assert fitted.at_rate(0.03).threshold(1) == fitted.threshold(1)

    def test_a_rate_that_it_was_not_fitted_at_is_refused_with_those_that_it_was(self, open_set):
        with pytest.raises(InputError, match=r"--false_accept_rate: expected one of 0\.001, .*0\.5, received 0\.03"):
            open_set.at_rate(0.03)

    def test_known_recordings_alone_tell_no_rate(self):
        places = voices(3, count=2)
        bottlenecks, owners, label_ids = clips_of(places, seed=4)
        fitted = fit_open_set(scored(logits_of(bottlenecks, places), owners, label_ids))
        assert fitted.operating_points == ()
        with pytest.raises(InputError, match=r"--false_accept_rate: .*--negatives"):
            fitted.at_rate(0.05)

    def test_labels_are_left_out_where_there_is_nothing_unknown(self, open_set):
        assert open_set.fitted_on == "left-out labels" and open_set.unknown_recordings == LABELS * 4

    @pytest.mark.parametrize("labels", [3, LABELS, 150])
    def test_every_label_is_left_out_once(self, labels):
        assert sorted(np.concatenate(parts_to_leave_out(labels))) == list(range(labels))

    def test_of_two_labels_none_is_left_out(self):
        assert parts_to_leave_out(2) == []

    def test_with_two_labels_known_recordings_alone_decide_and_it_says_so(self):
        places = voices(3, count=2)
        bottlenecks, owners, label_ids = clips_of(places, seed=4)
        fitted = fit_open_set(scored(logits_of(bottlenecks, places), owners, label_ids))
        assert fitted.fitted_on == "known recordings alone" and fitted.false_accept_rate is None
        assert fitted.chunk_false_reject_rate == pytest.approx(FALSE_ACCEPT_RATE, abs=0.02)
        assert "cannot be told" in fitted.sentence()

    def test_a_label_without_a_clip_leaves_nothing_to_fit(self, known):
        some = known.label_ids != 3
        assert fit_open_set(known.take(some)) is None

    def test_short_recordings_have_no_thresholds_for_long_ones(self, known, unknown):
        one_chunk = unknown.take(np.arange(0, len(unknown.logits), 10))
        fitted = fit_open_set(known, unknown=one_chunk)
        assert list(fitted.chunk_counts) == [1]
        assert fitted.threshold(7) == fitted.threshold(1)

    @given(st.integers(1, 500))
    def test_a_threshold_lies_between_its_neighbours(self, open_set, chunks):
        assert open_set.thresholds.min() <= open_set.threshold(chunks) <= open_set.thresholds.max()

    def test_two_recordings_a_label_refuse_no_more_of_the_next_ones_than_stated(self):
        rates = np.array([accepted_of_next(seed) for seed in range(40)]).mean(axis=0)
        assert rates[0] > 1 - FALSE_REJECT_RATE - 0.02
        assert rates[1] < 0.5

    def test_unknown_chunks_pass_at_about_the_stated_rate_even_where_labels_are_alike(self):
        known, unknown = np.array([chunks_accepted_of_alike(seed) for seed in range(8)]).mean(axis=0)
        assert unknown < 2 * FALSE_ACCEPT_RATE  # of labels as alike as the unknown ones, where it was 0.24
        assert known > 1 - FALSE_REJECTS_ALLOWED

    def test_augmented_views_of_labels_left_out_say_nothing_of_unknown_clips(self, known, left_out):
        def with_views(clips: ScoredClips) -> ScoredClips:
            columns = {name: np.concatenate([column, column]) for name, column in vars(clips).items()}
            return ScoredClips(**{**columns, "views": np.repeat([0, 1], len(clips.logits))})

        of_parts = [
            LeftOutLabels(part.label_ids, np.concatenate([part.logits, np.zeros_like(part.logits)]))
            for part in left_out
        ]
        both = fit_open_set(with_views(known), left_out=of_parts)
        assert np.array_equal(both.thresholds, fit_open_set(known, left_out=left_out).thresholds)

    def test_what_rests_on_few_recordings_says_so(self, open_set):
        assert "few" not in open_set.sentence() and open_set.known_recordings == 32
        few = dataclasses.replace(open_set, known_recordings=8)
        assert "rests on 8 known recordings, which is few" in few.sentence()

    def test_the_sentence_has_the_figures(self, open_set):
        assert "left-out labels" in open_set.sentence() and "let 5% pass" in open_set.sentence()
        assert "let 0.5% pass" in dataclasses.replace(open_set, stated_rate=0.005).sentence()


class TestScoredClips:
    def test_are_pooled_in_a_row_and_never_across_recordings(self):
        clips = scored(np.arange(10.0)[:, None], np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1]))
        assert clips.pooled(2).ravel().tolist() == [0.5, 2.5, 5.5, 7.5]
        assert clips.pooled(6).shape == (0, 1)

    def test_views_of_a_recording_are_pooled_apart_and_left_out_where_it_is_measured(self):
        views = np.array([0, 1, 0, 1])
        clips = ScoredClips(np.arange(4.0)[:, None], np.zeros(4, int), np.zeros(4, int), views, np.zeros(4, int))
        assert [rows.ravel().tolist() for rows in clips.by_recording()] == [[0.0, 2.0], [1.0, 3.0]]
        assert clips.clean().logits.ravel().tolist() == [0.0, 2.0]

    def test_none_have_no_recordings(self):
        nothing = scored(np.empty((0, 3)), np.empty(0, int))
        assert nothing.by_recording() == [] and nothing.pooled(1).shape == (0, 3)


def test_what_is_saved_scores_the_same_when_loaded(open_set, unknown):
    loaded = OpenSetDetector.from_json(json.loads(json.dumps(open_set.to_json())), open_set.arrays())
    assert loaded.score(unknown.logits[:5]) == open_set.score(unknown.logits[:5])
    assert loaded.threshold(5) == open_set.threshold(5)
    assert loaded.at_rate(0.01).threshold(5) == open_set.at_rate(0.01).threshold(5)
    for field in dataclasses.fields(OpenSetDetector):
        if field.name not in ("space", "chunk_counts", "thresholds"):
            assert getattr(loaded, field.name) == getattr(open_set, field.name)
