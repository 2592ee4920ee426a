import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audionet.errors import AudioNetError
from benchmarks.speed.timing import Competitor, job, ratios, run_timed, spread, take_turns

SPEEDS = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=9)


def program(text: str, *arguments: object) -> tuple[str, ...]:
    return (sys.executable, "-c", text, *map(str, arguments))


@given(SPEEDS, st.floats(0.1, 1000))
def test_who_is_always_so_many_times_as_fast_has_that_ratio(speeds, times):
    found = ratios([times * speed for speed in speeds], speeds)
    assert all(np.isclose(value, times) for value in found.values())


@given(SPEEDS)
def test_the_median_lies_between_the_lowest_and_the_highest(values):
    found = spread(values)
    assert found["low"] <= found["median"] <= found["high"] and {found["low"], found["high"]} <= set(values)


def test_ratios_are_taken_round_by_round():
    # Ours was slow when theirs was: on a machine that was busy for a while, the ratio stands.
    assert ratios([10, 1, 10], [5, 0.5, 5]) == {"median": 2, "low": 2, "high": 2}


def test_competitors_take_turns(tmp_path):
    log = tmp_path / "log"
    write = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"
    competitors = [Competitor(name, 1, program(write, log, name)) for name in ("a", "b")]
    timings = take_turns(competitors, rounds=3)
    assert log.read_text() == "ababab"
    assert all(len(of_one) == 3 and min(timing.seconds for timing in of_one) > 0 for of_one in timings.values())


def test_a_job_tells_its_own_time():
    timing = run_timed(Competitor("ours", 1, job(spread, values=[3.5]), has_clock=False))
    assert timing.seconds > 0
    own = run_timed(Competitor("ours", 1, program("print('chatter'); print(0.125)"), has_clock=True))
    assert own.seconds == 0.125


def test_a_competitor_that_fails_is_reported_with_its_last_words():
    with pytest.raises(AudioNetError, match=r"(?s)classic failed with status 1:.*no such thing"):
        run_timed(Competitor("classic", 1, program("raise ValueError('no such thing')")))


def test_the_memory_of_a_process_counts_with_that_of_its_children():
    hold = "import time; held = b'x' * 60_000_000; time.sleep(0.6)"
    parent = f"import subprocess, sys; held = b'x' * 60_000_000; subprocess.run([sys.executable, '-c', {hold!r}])"
    timing = run_timed(Competitor("ours", 1, program(parent)), watch_memory=True)
    assert 120_000_000 < timing.peak_bytes < 240_000_000


def test_memory_that_files_are_mapped_to_does_not_count(tmp_path):
    np.save(tmp_path / "large.npy", np.ones(10_000_000))
    read = "import sys, time, numpy; numpy.load(sys.argv[1], mmap_mode='r').sum(); time.sleep(0.3)"
    timing = run_timed(Competitor("ours", 1, program(read, tmp_path / "large.npy")), watch_memory=True)
    assert 0 < timing.peak_bytes < 80_000_000
