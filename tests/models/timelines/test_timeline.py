import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from conftest import RATE_HZ, SPEAKERS, noise, voice, write_sound
from hypothesis import given
from hypothesis import strategies as st

from audionet.errors import InputError, RecordingError
from audionet.models.classifier import Classifier
from audionet.models.openset import OpenSetDetector
from audionet.models.timelines.timeline import (
    JudgedHops,
    LevelMeter,
    ScoredChunks,
    Span,
    find_spans,
    likeliest_path,
    over_hops,
    runs,
    short_between_known,
    silent_steps,
    without_short_runs,
)
from audionet.training.fitting.openset_fitting import ScoredClips, fit_open_set

PAUSE = np.zeros(RATE_HZ, np.float32)


@pytest.fixture(scope="module")
def classifier(saved_trusting) -> Classifier:
    return Classifier.load(saved_trusting)


@pytest.fixture(scope="module")
def dialogue(tmp_path_factory) -> Path:
    """Six seconds of alice, a pause of one, eight of bob, and at once six of carol."""
    turns = [voice(speaker, seed=1, seconds=seconds) for speaker, seconds in (("alice", 6), ("bob", 8), ("carol", 6))]
    turns.insert(1, PAUSE)
    return write_sound(tmp_path_factory.mktemp("dialogue") / "dialogue.wav", np.concatenate(turns))


# The whole way


def test_who_speaks_when_is_found(classifier, dialogue):
    found = classifier.timeline(dialogue)
    assert [(span.kind, span.label) for span in found.spans] == [
        ("known", "alice"),
        ("silence", ""),
        ("known", "bob"),
        ("known", "carol"),
    ]
    starts = [span.start_seconds for span in found.spans]
    assert starts == pytest.approx([0, 6, 7, 15], abs=0.5)
    assert found.seconds == 21


@pytest.mark.parametrize("hop", [0.25, 0.5, 1.0, 2.0, 5.0])
def test_spans_follow_each_other_without_gaps_at_any_hop(classifier, dialogue, hop):
    found = classifier.timeline(dialogue, hop_seconds=hop)
    assert found.spans[0].start_seconds == 0 and found.spans[-1].end_seconds == found.seconds
    assert all(one.end_seconds == other.start_seconds for one, other in itertools.pairwise(found.spans))


def test_what_is_of_no_label_is_unknown_and_silence_is_not(saved, tmp_path):
    clip = write_sound(tmp_path / "a.wav", np.concatenate([noise(6, level=0.3), PAUSE, noise(6, level=0.3, seed=1)]))
    found = Classifier.load(saved / "retrained_model").timeline(clip)
    assert [span.kind for span in found.spans] == ["unknown", "silence", "unknown"]
    assert found.spans[-1].label == "unknown" and found.spans[-1].nearest in SPEAKERS


@pytest.mark.parametrize("speaker", SPEAKERS)
@pytest.mark.parametrize("seconds", [5, 20])
def test_a_recording_of_one_sound_gets_the_verdict_that_its_clip_gets(saved, tmp_path, speaker, seconds):
    strict = Classifier.load(saved / "retrained_model")
    clip = write_sound(tmp_path / "a.wav", voice(speaker, seed=5, seconds=seconds))
    answer = strict.score(clip)
    for threshold in (answer.score - 0.1, answer.score + 0.1):
        thresholds = np.full(len(strict.open_set.chunk_counts), threshold)
        strict.open_set = dataclasses.replace(strict.open_set, thresholds=thresholds)
        spans = strict.timeline(clip).non_silent_spans
        assert {span.label for span in spans} == {strict.score(clip).label}
        assert spans[0].score == pytest.approx(answer.score)


# The verdicts: four voices in a plane, of which chunks tell little

PLACES = np.array([[4.0, 0.0], [0.0, 4.0], [-4.0, 0.0], [0.0, -4.0]])
FOUR = ("a", "b", "c", "d")


def scored_sound(places: np.ndarray, *, seed: int) -> np.ndarray:
    """Return the logits of one chunk every hop of half a second, four of which overlap, around a place each."""
    noise = np.random.default_rng(seed).normal(scale=3, size=(len(places) + 3, 2))
    spread = np.stack([noise[start : start + len(places)] for start in range(4)]).mean(axis=0)
    return np.asarray((places + spread) @ PLACES.T - np.square(PLACES).sum(axis=1) / 2, np.float32)


@pytest.fixture(scope="module")
def detector() -> OpenSetDetector:
    def clips(centres: np.ndarray, seed: int) -> ScoredClips:
        rows = np.repeat(np.arange(len(centres)), 160)
        logits = scored_sound(centres[rows], seed=seed)[::4]
        recordings, nothing = np.arange(len(logits)) // 20, np.zeros(len(logits), int)
        return ScoredClips(logits, recordings, rows[::4], nothing, recordings % 2)

    return fit_open_set(clips(PLACES, 1), unknown=clips(PLACES / 3, 2))


def spans_of(places: np.ndarray, detector: OpenSetDetector | None, *, seed: int = 3) -> list[Span]:
    chunks = ScoredChunks(
        FOUR,
        scored_sound(places, seed=seed),
        np.arange(len(places)),
        np.zeros(len(places)),
        hops=len(places),
        hops_a_chunk=4,
        hop_seconds=0.5,
        open_set=detector,
    )
    return find_spans(JudgedHops.of(chunks), np.zeros(10 * len(places), bool), seconds=len(places) / 2)


def seconds_by_label(spans: list[Span]) -> dict[str, float]:
    return {label: sum(span.seconds for span in spans if span.label == label) for label in (*FOUR, "unknown")}


@pytest.mark.parametrize("stranger", [PLACES[0] / 3, PLACES[1] / 4, np.zeros(2), PLACES[2] / 3])
def test_somebody_unknown_gets_no_name_though_single_chunks_would_pass(detector, stranger):
    sound = np.tile(stranger, (80, 1))
    passed = detector.chunk_scores(scored_sound(sound, seed=3)) >= detector.threshold(1)
    assert passed.mean() > 0.03  # one in thirty, spread over the whole
    assert seconds_by_label(spans_of(sound, detector))["unknown"] == 40


def test_known_voices_that_take_turns_keep_their_names_though_they_are_unknown_as_a_whole(detector):
    sound = PLACES[np.repeat([0, 1, 2, 3], 60)]
    assert not detector.accepts(scored_sound(sound, seed=3)[::4])
    assert [span.label for span in spans_of(sound, detector)] == list(FOUR)


def test_somebody_unknown_who_is_nearest_to_the_one_who_spoke_before_is_told_from_them(detector):
    sound = np.concatenate([np.tile(place, (60, 1)) for place in (PLACES[0], PLACES[0] / 3, PLACES[0])])
    found = spans_of(sound, detector)
    assert [span.label for span in found] == ["a", "unknown", "a"]
    assert [span.start_seconds for span in found[1:]] == pytest.approx([30, 60], abs=8)
    assert found[1].nearest == "a" and found[1].score < found[0].score


@pytest.mark.parametrize(
    ("refused", "spared"),
    [
        ([False, True, False], [1]),  # surrounded by known ones
        ([True, False, True], [0, 2]),  # at either end
        ([False, True, True], []),  # beside another one that is refused
        ([True], []),  # all there is
        ([False, False], []),
    ],
)
def test_short_stretches_are_not_refused_where_known_ones_surround_them(refused, spared):
    stretches = [(8 * place, 8 * place + 7) for place in range(len(refused))]
    assert short_between_known(stretches, refused, least_hops=8) == [stretches[place] for place in spared]
    assert short_between_known(stretches, refused, least_hops=7) == []


def test_without_a_detector_nothing_is_unknown():
    found = spans_of(np.tile(PLACES[0] / 3, (80, 1)), None)
    assert {span.kind for span in found} == {"known"} and found[0].score is None


def test_what_is_shorter_than_a_chunk_is_judged_with_what_surrounds_it(detector):
    chunks = ScoredChunks(
        FOUR,
        scored_sound(np.repeat(PLACES[:1], 40, axis=0), seed=3),
        np.arange(40),
        np.zeros(40),
        hops=40,
        hops_a_chunk=4,
        hop_seconds=0.5,
        open_set=detector,
    )
    assert chunks.judge(10, 12, detector) == chunks.judge(9, 13, detector)


def test_a_recording_shorter_than_a_hop_is_one_span(classifier, tmp_path):
    found = classifier.timeline(write_sound(tmp_path / "a.wav", voice("bob", seed=1, seconds=0.4)), min_seconds=0)
    assert [span.seconds for span in found.spans if span.kind != "silence"] == pytest.approx([0.4])


def test_what_makes_no_timeline_is_named(classifier, trained, tmp_path):
    silent = write_sound(tmp_path / "silent.wav", np.zeros(5 * RATE_HZ, np.float32))
    with pytest.raises(RecordingError, match=r"silent\.wav is silent"):
        classifier.timeline(silent)
    short = write_sound(tmp_path / "short.wav", voice("bob", seed=1, seconds=0.4))
    with pytest.raises(RecordingError, match="nothing longer than 2 s; lower --min_seconds"):
        classifier.timeline(short, min_seconds=2)
    known = trained.classifier
    members = (dataclasses.replace(known.members[0], recipe=None),)
    of_pictures = Classifier(labels=known.labels, members=members, about=known.about)
    with pytest.raises(InputError, match="trained on ordinary pictures"):
        of_pictures.timeline(short)


def test_progress_goes_up_to_the_end(classifier, dialogue):
    seconds: list[float] = []
    classifier.timeline(dialogue, on_seconds=seconds.append)
    assert seconds == sorted(seconds) and seconds[-1] == pytest.approx(21, abs=1)


# The path


def brute_force(weights: np.ndarray, cost: float) -> float:
    paths = itertools.product(range(weights.shape[1]), repeat=len(weights))
    return max(worth(weights, np.array(path), cost) for path in paths)


def worth(weights: np.ndarray, path: np.ndarray, cost: float) -> float:
    return weights[np.arange(len(path)), path].sum() - cost * np.count_nonzero(np.diff(path))


@given(st.integers(1, 6), st.integers(1, 3), st.floats(0, 5), st.integers(0, 10_000))
def test_no_path_is_likelier_than_the_likeliest(moments, states, cost, seed):
    weights = np.random.default_rng(seed).normal(size=(moments, states))
    path = likeliest_path(weights, switch_cost=cost)
    assert worth(weights, path, cost) == pytest.approx(brute_force(weights, cost))


def test_without_a_cost_each_moment_has_its_own_best():
    weights = np.random.default_rng(0).normal(size=(50, 4))
    assert np.array_equal(likeliest_path(weights, switch_cost=0), weights.argmax(axis=1))


def test_one_odd_moment_makes_no_turn_of_its_own():
    weights = np.log(np.array([[0.9, 0.1]] * 5 + [[0.1, 0.9]] + [[0.9, 0.1]] * 5))
    assert not likeliest_path(weights, switch_cost=4).any()


# From chunks to hops


def test_a_hop_has_the_mean_of_the_chunks_that_cover_it():
    logits, numbers = np.array([[1.0], [2.0], [5.0]]), np.array([0, 1, 4])
    sums = over_hops(np.add, logits, numbers, hops=6, hops_a_chunk=2)
    assert sums[:, 0].tolist() == [1, 3, 2, 0, 5, 5]


# Silence and short runs


def test_pauses_are_told_by_level_whatever_the_gain():
    levels = np.array([-20.0] * 40 + [-80.0] * 20 + [-20.0] * 40 + [-80.0] * 5 + [-20.0] * 40)
    for gain in (0, -25):
        silent = silent_steps(levels + gain)
        assert np.flatnonzero(silent).tolist() == list(range(40, 60))


@given(st.lists(st.integers(-1, 2), min_size=1, max_size=60), st.integers(0, 8))
def test_no_short_run_is_left_and_no_silence_is_lost(states, steps):
    before = np.array(states)
    after = without_short_runs(before, steps)
    assert len(after) == len(before)
    assert all(after[start] == -1 or end - start >= steps for start, end in runs(after))
    assert np.all(after[before == -1] == -1)


def test_a_short_run_goes_to_its_longer_neighbour():
    states = np.repeat([0, 1, 2, -1, 1, -1], [5, 2, 9, 9, 2, 9])
    assert runs(without_short_runs(states, 3)) == [(0, 5), (5, 16), (16, 36)]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_runs_cover_everything_once(values):
    found = runs(np.array(values))
    assert [value for start, end in found for value in values[start:end]] == values
    assert all(len(set(values[start:end])) == 1 for start, end in found)


def test_a_level_meter_passes_everything_on_and_knows_its_levels():
    sound = np.concatenate([np.full(RATE_HZ, 0.1, np.float32), np.zeros(RATE_HZ + 100, np.float32)])
    level_meter = LevelMeter(np.split(sound, [100, 5000, 5001]), sample_rate_hz=RATE_HZ)
    assert np.array_equal(np.concatenate(list(level_meter)), sound)
    assert level_meter.seconds == len(sound) / RATE_HZ
    assert level_meter.levels[:20] == pytest.approx(-20, abs=0.01) and np.all(level_meter.levels[20:] < -119)
    assert len(level_meter.levels) == 41


# With real weights


@pytest.mark.slow
def test_turns_of_real_voices_are_told_apart(tmp_path):
    pytest.importorskip("pyannote.metrics", reason="pyannote.metrics is not installed")
    from conftest import SAMPLE_AUDIO

    from audionet.data.dataset import read_dataset
    from audionet.data.preprocessing import make_pictures
    from audionet.features.recipes import find_recipe
    from audionet.models.backbones.backbone import load_backbone
    from audionet.models.background import SHIPPED, read_background
    from audionet.training.model_selection import select_model
    from audionet.training.settings import HeadSettings, HoldoutSettings
    from audionet.training.trainer import TrainedModel
    from audionet.training.training_data import gather_training_data
    from audionet.training.training_run import build_classifier
    from benchmarks.diarization import error_rates
    from benchmarks.synthetic_conversation import write_conversation

    labels = sorted(folder.name for folder in SAMPLE_AUDIO.iterdir() if folder.is_dir())
    for label in labels:
        (tmp_path / "audio" / label).mkdir(parents=True)
        for name in ("01.mp3", "02.mp3"):
            (tmp_path / "audio" / label / name).symlink_to(SAMPLE_AUDIO / label / name)
    make_pictures(tmp_path / "audio", tmp_path / "images", recipe=find_recipe("default"))
    backbone = load_backbone("efficientnet_lite0", bottleneck="block3")
    gathered = gather_training_data(
        read_dataset(tmp_path / "images", tmp_path / "pictures.sqlite"),
        backbone,
        bottleneck_dir=tmp_path / "bottlenecks",
        holdout=HoldoutSettings(views=0, testing_percentage=0),
    )
    spaces = read_background(SHIPPED)  # as for voices by default
    choice = select_model(gathered, bottlenecks=["block3"], settings=HeadSettings(head="lda"), spaces=spaces)
    classifier = build_classifier(TrainedModel(gathered, choice, (backbone,)), {})
    held_out = {label: [SAMPLE_AUDIO / label / "03.mp3"] for label in labels}
    truth = write_conversation(tmp_path / "talk.mp3", held_out, seconds=120, seed=0, recipe=classifier.recipe)
    rates = error_rates(truth, classifier.timeline(truth.path))
    assert rates["strict"]["error_rate"] < 0.12
    assert rates["with_collar"]["error_rate"] < rates["strict"]["error_rate"]
