import csv
from pathlib import Path

import pytest
from rttm_reader import read_rttm

from audionet.features.recipes import find_recipe
from audionet.inference.timelines.timeline_formats import audacity_labels, raven_table, rttm, srt, write_labels
from audionet.models.timelines.timeline import Span, Timeline

RECIPE = find_recipe("default")
TIMELINE = Timeline(
    Path("my meeting.mp3"),
    3700.0,
    (
        Span(0.0, 1.25, "known", "alice b", "alice b", 0.9, 1.5),
        Span(1.25, 3.0, "silence"),
        Span(3.0, 3661.5004, "unknown", "unknown", "bob", 0.4, -2.0),
    ),
)


def test_audacity_reads_three_columns():
    assert audacity_labels(TIMELINE, RECIPE).splitlines() == [
        "0.000000\t1.250000\talice b",
        "3.000000\t3661.500400\tunknown",
    ]


def test_raven_reads_a_table():
    first, second = csv.DictReader(raven_table(TIMELINE, RECIPE).splitlines(), delimiter="\t")
    assert (first["Selection"], first["Begin Time (s)"], first["Label"]) == ("1", "0.000", "alice b")
    assert (second["End Time (s)"], second["High Freq (Hz)"], second["Score"]) == ("3661.500", "7800.0", "-2.000")


def test_rttm_has_ten_fields_a_line_and_no_space_within_one():
    lines = rttm(TIMELINE).splitlines()
    assert lines[0] == "SPEAKER my_meeting 1 0.000 1.250 <NA> <NA> alice_b 0.900 <NA>"
    assert all(len(line.split()) == 10 for line in lines)


def test_rttm_can_be_read_back():
    spans = list(read_rttm(rttm(TIMELINE)))
    assert [(span.start_seconds, span.label) for span in spans] == [(0.0, "alice_b"), (3.0, "unknown")]


def test_rttm_is_read_by_its_usual_reader(tmp_path):
    util = pytest.importorskip("pyannote.database.util", reason="pyannote is not installed")
    (tmp_path / "a.rttm").write_text(rttm(TIMELINE))
    (annotation,) = util.load_rttm(tmp_path / "a.rttm").values()
    assert annotation.labels() == ["alice_b", "unknown"]


def test_subtitles_are_numbered_and_have_clocks():
    assert srt(TIMELINE, RECIPE) == (
        "1\n00:00:00,000 --> 00:00:01,250\nalice b\n\n2\n00:00:03,000 --> 01:01:01,500\nunknown\n"
    )


def test_a_label_stays_on_its_line_whatever_it_is():
    odd = Timeline(Path("a\nb.wav"), 1.0, (Span(0.0, 1.0, "known", "x\ty\n\nz", "x", 1.0),))
    assert len(audacity_labels(odd, RECIPE).splitlines()) == len(rttm(odd).splitlines()) == 1
    assert len(raven_table(odd, RECIPE).splitlines()) == 2
    assert len(srt(odd, RECIPE).splitlines()) == 3


def test_files_are_named_after_the_recording(tmp_path):
    written = write_labels(TIMELINE, tmp_path / "a.b", ["audacity", "raven", "rttm", "srt"], recipe=RECIPE)
    assert [path.name for path in written] == ["a.b.txt", "a.b.selections.txt", "a.b.rttm", "a.b.srt"]
    assert all(path.stat().st_size for path in written)
