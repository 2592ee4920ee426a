from dataclasses import replace

import pytest

from benchmarks.cluster import HOUR, LABELS, Measured, plan, statistics_in_one_pass
from benchmarks.options import ClusterOptions

MEASURED = Measured(draw_seconds=10, embed_seconds=20, sound_bytes=1e8, picture_bytes=2e7, tasks_per_second=500)
OPTIONS = ClusterOptions(hours=1_000_000, recording_seconds=60, recordings_per_task=8, cores=16, store_gigabytes=10)


def test_where_cores_decide_ten_times_the_nodes_take_a_tenth_of_the_time_and_cost_the_same():
    few, many = plan(OPTIONS, MEASURED, 1), plan(OPTIONS, MEASURED, 10)
    assert (few.limit, many.limit) == ("cores", "cores")
    assert few.seconds == pytest.approx(10 * many.seconds, rel=1e-3)
    assert few.seconds == pytest.approx(1_000_000 * 30 / 16, rel=1e-3)
    assert few.cost == pytest.approx(many.cost, rel=1e-3)


def test_a_thousand_nodes_wait_for_the_driver_and_larger_tasks_help_until_the_store_decides():
    small = plan(OPTIONS, MEASURED, 1000)
    large = plan(replace(OPTIONS, recordings_per_task=64), MEASURED, 1000)
    assert (small.limit, large.limit) == ("driver", "store")
    assert small.seconds == pytest.approx(1_000_000 * HOUR / 60 / 8 / 500)
    assert large.seconds == pytest.approx(1_000_000 * 1e8 / 10e9)
    assert small.efficiency < large.efficiency < 1


def test_a_head_is_trained_in_one_pass_over_shards():
    found = statistics_in_one_pass(3 * 4096 + 7)
    assert found["accuracy"] > 2 / LABELS
    assert found["chunks"] == 3 * 4096 + 7
