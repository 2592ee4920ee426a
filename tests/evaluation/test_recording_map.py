"""Where recordings lie on the map."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scored_examples import LABELS, scored

from audionet.evaluation.recording_map import map_recordings
from audionet.evaluation.scored_recording import ScoredRecording


def test_a_sure_recording_lies_at_its_label_and_a_doubtful_one_in_the_middle():
    recordings = [scored(f"{number}.mp3", label, sure=9.0) for label in LABELS for number in range(3)]
    recordings.append(ScoredRecording("radio/1.mp3", "radio", np.zeros((2, 3), np.float32)))
    found = map_recordings(recordings, LABELS)
    angles = {label: 2 * np.pi * place / 3 for place, label in enumerate(found["labels"])}
    for recording, (x, y) in zip(recordings[:-1], found["positions"][:-1], strict=True):
        angle = angles[recording.label]
        assert x * np.cos(angle) + y * np.sin(angle) > 0.7
    assert np.hypot(*found["positions"][-1]) < 0.01


def test_labels_that_are_taken_for_each_other_are_neighbours():
    labels = tuple("abcdef")
    rng = np.random.default_rng(0)
    recordings = []
    for number, label in enumerate(labels):
        for index in range(4):
            logits = rng.normal(0, 0.2, (3, 6))
            logits[:, [number, number ^ 1]] += 5  # a with b, c with d, e with f
            recordings.append(ScoredRecording(f"{label}/{index}", label, logits))
    order = map_recordings(recordings, labels)["labels"]
    for first, second in ("ab", "cd", "ef"):
        assert abs(order.index(first) - order.index(second)) in (1, 5)


def test_two_labels_and_too_many_have_no_map():
    two = [ScoredRecording("a/1", "a", np.zeros((1, 2)))]
    assert map_recordings(two, ("a", "b")) is None
    many = [ScoredRecording("a/1", "a", np.zeros((1, 31)))]
    assert map_recordings(many, tuple(map(str, range(31)))) is None


@settings(max_examples=30, deadline=None)
@given(
    st.integers(3, 30).flatmap(
        lambda labels: st.lists(
            st.lists(st.floats(-1e4, 1e4), min_size=labels, max_size=labels), min_size=1, max_size=6
        )
    )
)
def test_positions_are_finite_and_within_the_circle(rows):
    recordings = [ScoredRecording(f"a/{index}", "a", np.array([row])) for index, row in enumerate(rows)]
    found = map_recordings(recordings, tuple(map(str, range(len(rows[0])))))
    assert sorted(found["labels"], key=int) == [str(number) for number in range(len(rows[0]))]
    assert all(np.hypot(x, y) <= 1.001 for x, y in found["positions"])
