from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import voice, write_sound

from audionet.models.classifier import Classifier
from audionet.models.timelines.timeline import Span, Timeline
from benchmarks.diarization import by_label, error_rates, held_out_labels, naming_rates, vetoed, with_unknown
from benchmarks.options import DiarizationOptions

TRUTH = Timeline(
    Path("a.mp3"),
    30.0,
    (Span(0, 10, "known", "a", "a"), Span(10, 12, "silence"), Span(12, 30, "known", "b", "b")),
)


def test_labels_held_out_are_unknown_in_the_truth():
    assert [(span.kind, span.label) for span in with_unknown(TRUTH, ["b"]).spans] == [
        ("known", "a"),
        ("silence", ""),
        ("unknown", "unknown"),
    ]


def test_recordings_are_grouped_by_label():
    assert by_label({"x/2": "x", "y/1": "y", "x/1": "x"}, Path("in")) == {
        "x": [Path("in/x/1"), Path("in/x/2")],
        "y": [Path("in/y/1")],
    }


def test_kinds_of_errors_are_counted_separately():
    pytest.importorskip("pyannote.metrics", reason="pyannote.metrics is not installed")
    assert error_rates(TRUTH, TRUTH)["strict"]["error_rate"] == 0
    places = ((0, 11, "a"), (12, 26, "b"), (26, 29, "a"))
    found = replace(TRUTH, spans=tuple(Span(start, end, "known", label, label) for start, end, label in places))
    rates = error_rates(TRUTH, found)["strict"]
    assert rates["seconds"] == pytest.approx(28)
    assert rates["false_alarm"] == pytest.approx(1 / 28)
    assert rates["confusion"] == pytest.approx(3 / 28)
    assert rates["missed"] == pytest.approx(1 / 28)
    assert rates["error_rate"] == pytest.approx(5 / 28)
    forgiven = error_rates(TRUTH, replace(TRUTH, spans=(Span(0, 10.2, "known", "a", "a"), TRUTH.spans[-1])))
    assert forgiven["with_collar"]["error_rate"] == 0 < forgiven["strict"]["error_rate"]


def test_shares_of_time_that_is_named_or_refused_wrongly():
    truth = with_unknown(TRUTH, ["b"])
    places = ((0, 4, "known", "a"), (4, 6, "known", "b"), (6, 15, "unknown", "unknown"), (15, 30, "known", "a"))
    found = replace(TRUTH, spans=tuple(Span(start, end, kind, label, "a") for start, end, kind, label in places))
    assert naming_rates([(truth, found)]) == {
        "unknown_named": pytest.approx(15 / 18),
        "known_refused": pytest.approx(4 / 10),
        "known_misnamed": pytest.approx(2 / 10),
        "unknown_seconds": 18,
        "known_seconds": 10,
    }
    assert naming_rates([(truth, truth)])["unknown_named"] == 0


def test_without_unknown_time_no_share_of_it_is_claimed():
    rates = naming_rates([(TRUTH, TRUTH), (TRUTH, TRUTH)])
    assert rates["unknown_named"] is None and rates["known_seconds"] == 56


def test_the_rival_calls_all_of_a_recording_what_the_whole_is(saved, tmp_path):
    classifier = Classifier.load(saved / "retrained_model")
    clip = write_sound(tmp_path / "a.wav", voice("alice", seed=9, seconds=6))
    for threshold, kind, label in ((-1e3, "known", "alice"), (1e3, "unknown", "unknown")):
        thresholds = np.full(len(classifier.open_set.chunk_counts), threshold)
        classifier.open_set = replace(classifier.open_set, thresholds=thresholds)
        timeline = replace(
            TRUTH, path=clip, spans=(Span(0, 3, "known", "bob", "bob"), Span(3, 6, "unknown", "unknown", "bob"))
        )
        assert {(span.kind, span.label) for span in vetoed(timeline, classifier).spans} == {(kind, label)}


def test_held_out_labels_are_chosen_by_the_seed():
    options = [DiarizationOptions(held_out=2, random_seed=seed) for seed in (0, 0, 1)]
    chosen = [tuple(held_out_labels("abcdefgh", one)) for one in options]
    assert chosen[0] == chosen[1] != chosen[2] and len(set(chosen[0])) == 2
    assert list(held_out_labels("abc", DiarizationOptions())) == []


def test_speakers_stand_for_the_voices_that_make_the_error_least():
    pytest.importorskip("pyannote.metrics", reason="pyannote.metrics is not installed")
    places = ((0, 10, "speaker 2"), (12, 27, "speaker 1"), (27, 30, "speaker 3"))
    found = replace(TRUTH, spans=tuple(Span(start, end, "speaker", name) for start, end, name in places))
    rates = error_rates(TRUTH, found, by_name=False)["strict"]
    assert rates["confusion"] == rates["error_rate"] == pytest.approx(3 / 28)
    assert error_rates(TRUTH, found)["strict"]["confusion"] == 1
