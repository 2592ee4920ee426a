from dataclasses import replace
from pathlib import Path

import pytest

from audionet.models.timeline import Span, Timeline
from benchmarks.diarization import by_label, error_rates, with_unknown

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
