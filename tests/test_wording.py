import pytest

from audionet.wording import clock


@pytest.mark.parametrize(("seconds", "shown"), [(7, "0:07"), (750.4, "12:30"), (3723, "1:02:03"), (59.96, "1:00")])
def test_a_clock_shows_minutes_and_hours(seconds, shown):
    assert clock(seconds) == shown
