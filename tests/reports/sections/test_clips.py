"""Which mistakes a report shows."""

from audionet.reports.sections.clips import pick_mistakes


def test_the_worst_mistakes_take_turns():
    row = {"right": False, "known": True, "accepted": None}
    rows = [{**row, "label": "a", "answer": "b", "probability": 0.9 - index / 100} for index in range(5)]
    rows.append({**row, "label": "c", "answer": "d", "probability": 0.5})
    rows.append({**row, "label": "e", "answer": "e", "probability": 0.99, "right": True})
    assert [picked["label"] for picked in pick_mistakes(rows, most=3)] == ["a", "c", "a"]


def test_an_accepted_unknown_recording_is_a_mistake():
    row = {"label": "radio", "answer": "alice", "probability": 0.9, "right": None, "known": False}
    assert pick_mistakes([{**row, "accepted": True}, {**row, "accepted": False}]) == [{**row, "accepted": True}]
