from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import RATE_HZ, noise, voice, write_sound

from audionet.errors import ClassifierError, RecordingError
from audionet.models.classifier import Classifier
from audionet.models.openset import BY_LOGITS
from audionet.models.similarity import Similarity
from audionet.models.timelines.diarization import name_speakers
from audionet.models.timelines.speaker_clustering import PlacedChunks
from audionet.models.timelines.timeline import ScoredChunks

PAUSE = np.zeros(RATE_HZ, np.float32)


def hum(seconds: float, *, hertz: float) -> np.ndarray:
    """Return a sound that is like no voice: pulses without resonances."""
    moments = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    wave = np.sign(np.sin(2 * np.pi * hertz * moments + np.sin(5 * moments))) * (1 + 0.3 * np.sin(9 * moments))
    return (0.2 * wave).astype(np.float32)


@pytest.fixture(scope="module")
def classifier(saved, tmp_path_factory) -> Classifier:
    """A classifier that knows three voices, and compares sounds by how loud each frequency is."""
    loaded = Classifier.load(saved / "retrained_model")
    folder = tmp_path_factory.mktemp("sounds")
    sounds = (noise(4), hum(4, hertz=300), voice("alice", seed=7), voice("bob", seed=7))
    clips = [write_sound(folder / f"{number}.wav", sound) for number, sound in enumerate(sounds)]
    rows = np.concatenate([loaded.chunk_bottlenecks(clip)[1] for clip in clips]).astype(np.float32)
    no_direction = np.zeros((rows.shape[1], 1), np.float32)
    mean, scale = rows.mean(axis=0), np.ones(rows.shape[1], np.float32)
    loaded.similarity = Similarity(mean, scale, no_direction, np.zeros(1, np.float32), slope=20.0, offset=-10.0)
    lenient = np.full(len(loaded.open_set.chunk_counts), -12.0)
    loaded.open_set = replace(loaded.open_set, thresholds=lenient, scored_by=BY_LOGITS, prototypes=None)
    return loaded


def changed(classifier: Classifier, **changes) -> Classifier:
    """Return a classifier that differs in some of its parts."""
    parts = ("members", "about", "open_set", "similarity")
    return Classifier(**{"labels": classifier.labels, **{name: getattr(classifier, name) for name in parts}, **changes})


@pytest.fixture(scope="module")
def strange(tmp_path_factory) -> Path:
    """Two sounds in turn, ten seconds each, that the classifier does not know; a pause before the last."""
    turns = [noise(10, seed=1, level=0.2), hum(10, hertz=300), noise(10, seed=2, level=0.2), PAUSE, hum(10, hertz=300)]
    return write_sound(tmp_path_factory.mktemp("strange") / "strange.wav", np.concatenate(turns))


def of(timeline) -> list[tuple[str, str]]:
    return [(span.kind, span.label) for span in timeline.spans]


@pytest.mark.parametrize("asked", ["auto", 2])
def test_sounds_that_are_no_label_are_told_apart(classifier, strange, asked):
    found = classifier.timeline(strange, speakers=asked)
    assert of(found) == [
        ("speaker", "speaker 1"),
        ("speaker", "speaker 2"),
        ("speaker", "speaker 1"),
        ("silence", ""),
        ("speaker", "speaker 2"),
    ]
    assert [span.start_seconds for span in found.spans] == pytest.approx([0, 10, 20, 30, 31], abs=1)
    assert found.spans[-1].end_seconds == found.seconds == 41
    for span in found.non_silent_spans:
        assert 0.5 < span.probability <= 1 and span.nearest in classifier.labels and span.score is not None


def test_silence_is_where_it_is_without_speakers(classifier, strange):
    with_speakers, without = (classifier.timeline(strange, speakers=speakers).spans for speakers in (2, None))
    silences = [[span for span in spans if span.kind == "silence"] for spans in (with_speakers, without)]
    assert silences[0] == silences[1] != []


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Path:
    """Alice, a sound that is no label, and alice again."""
    turns = [voice("alice", seed=1, seconds=10), noise(10, seed=1, level=0.2), voice("alice", seed=2, seconds=10)]
    return write_sound(tmp_path_factory.mktemp("mixed") / "mixed.wav", np.concatenate(turns))


def test_who_is_trained_is_named(classifier, mixed):
    found = classifier.timeline(mixed, speakers="auto")
    assert of(found) == [("known", "alice"), ("speaker", "speaker 1"), ("known", "alice")]
    assert found.spans[0].probability > 0.5


def test_who_is_enrolled_is_named(classifier, mixed, hisses):
    extended = changed(classifier)
    extended.enroll("hiss", hisses[:2])
    assert of(extended.timeline(mixed, speakers="auto"))[1] == ("known", "hiss")


def test_without_a_detector_nobody_is_named(classifier, mixed):
    found = changed(classifier, open_set=None).timeline(mixed, speakers="auto")
    assert {(span.kind, span.score) for span in found.spans} == {("speaker", None)}


def test_a_label_called_like_a_speaker_is_not_given_twice(classifier, strange):
    odd = changed(classifier, labels=("speaker 1", "bob", "speaker 3"))
    names = {span.label for span in odd.timeline(strange, speakers=2).non_silent_spans}
    assert names == {"speaker 2", "speaker 4"}


@pytest.mark.parametrize("each_once", [True, False])
def test_speakers_with_one_name_are_one_unless_their_number_is_given(classifier, tmp_path, each_once):
    clips = [write_sound(tmp_path / f"{n}.wav", voice("alice", seed=n, seconds=2)) for n in range(6)]
    logits = np.concatenate([classifier.logits_of_bottlenecks(classifier.chunk_bottlenecks(clip)[1]) for clip in clips])
    hops = np.arange(6)
    scored = ScoredChunks(classifier.labels, logits, hops, np.zeros(6), 6, 1, 2.0, classifier.open_set)
    placed = PlacedChunks.of(scored, np.eye(6, dtype=np.float16), np.zeros(240, bool))
    speakers, states = name_speakers(scored, placed, np.array([0, 0, 1, 1, 0, 0]), each_once=each_once)
    if each_once:
        assert {speaker.label for speaker in speakers} == {"alice", "speaker 1"}
        assert states.tolist() == [0, 0, 1, 1, 0, 0]
        assert max(speakers, key=lambda one: one.score).label == "alice"
    else:
        assert [speaker.label for speaker in speakers] == ["alice"] and not states.any()


@pytest.mark.parametrize("asked", ["auto", 1, 3])
@pytest.mark.parametrize("seconds", [0.5, 1.0, 3.0])
def test_a_short_clip_has_a_timeline(classifier, tmp_path, asked, seconds):
    clip = write_sound(tmp_path / "a.wav", hum(seconds, hertz=200))
    spans = classifier.timeline(clip, speakers=asked).spans
    assert spans[0].start_seconds == 0 and spans[-1].end_seconds == pytest.approx(seconds, abs=0.01)
    if asked != 3:
        assert of(classifier.timeline(clip, speakers=asked)) == [("speaker", "speaker 1")]


def test_one_voice_is_one_speaker(classifier, tmp_path):
    clip = write_sound(tmp_path / "a.wav", voice("bob", seed=5, seconds=40))
    assert {span.label for span in classifier.timeline(clip, speakers="auto").spans} == {"bob"}


def test_a_silent_recording_is_refused(classifier, tmp_path):
    clip = write_sound(tmp_path / "a.wav", np.zeros(5 * RATE_HZ, np.float32))
    with pytest.raises(RecordingError, match=r"a\.wav is silent"):
        classifier.timeline(clip, speakers="auto")


@pytest.mark.parametrize("hop", [0.1, 1.0, 2.0, 5.0])
def test_any_hop_will_do(classifier, strange, hop):
    spans = classifier.timeline(strange, hop_seconds=hop, speakers=2).spans
    assert {span.label for span in spans} == {"speaker 1", "speaker 2", ""}
    assert spans[0].start_seconds == 0 and spans[-1].end_seconds == 41


def test_a_classifier_without_a_comparison_space_is_refused(saved_trusting, strange):
    with pytest.raises(ClassifierError, match="cannot compare clips"):
        Classifier.load(saved_trusting).timeline(strange, speakers=2)
