"""What became of recordings, and in which order a report shows them."""

from audionet.reports.sections.recordings import outcome_of, worst_first

ROW = {"right": False, "known": True, "accepted": None}


def test_the_worst_mistakes_take_turns():
    rows = [{**ROW, "label": "a", "answer": "b", "probability": 0.9 - index / 100} for index in range(5)]
    rows.append({**ROW, "label": "c", "answer": "d", "probability": 0.5})
    rows.append({**ROW, "label": "e", "answer": "e", "probability": 0.99, "right": True})
    assert [row["label"] for row in worst_first(rows)] == ["a", "c", "a", "a", "a", "a", "e"]


def test_the_least_sure_of_the_right_ones_come_first():
    rows = [{**ROW, "label": "a", "answer": "a", "right": True, "probability": each} for each in (0.9, 0.4, 0.7)]
    assert [row["probability"] for row in worst_first(rows)] == [0.4, 0.7, 0.9]


def test_an_outcome_is_what_a_user_gets():
    known = {"known": True, "right": True, "accepted": True}
    unknown = {"known": False, "right": None, "accepted": True}
    assert outcome_of(known) == "named right"
    assert outcome_of({**known, "right": False}) == "named wrong"
    assert outcome_of({**known, "accepted": False}) == "refused as unknown"
    assert outcome_of({**known, "accepted": None}) == "named right"
    assert outcome_of(unknown) == "unknown, but named"
    assert outcome_of({**unknown, "accepted": False}) == "unknown, and refused"
