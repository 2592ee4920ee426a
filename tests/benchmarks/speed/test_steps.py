from benchmarks.speed import (
    steps,
)
from benchmarks.speed.timing import Competitor, Step, Timing


def test_a_step_is_measured_in_units_a_second(monkeypatch):
    rounds = {"ours": [Timing(2.0), Timing(4.0), Timing(4.0)], "classic": [Timing(1.0), Timing(1.0), Timing(2.0)]}
    monkeypatch.setattr(steps, "take_turns", lambda competitors, **_: rounds)
    step = Step("pictures", (Competitor("ours", 100, ()), Competitor("classic", 5, ())))
    measured = steps.measure("draw", step, rounds=3)
    assert measured["ways"]["ours"]["speed"] == {"median": 25, "low": 25, "high": 50}
    assert measured["ratios"] == {"classic": {"median": 10, "low": 5, "high": 10}}
