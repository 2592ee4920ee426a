from benchmarks.speed import (
    synthetic_data,
)
from benchmarks.speed.workload import Workload


def test_a_part_has_some_of_every_label(tmp_path):
    workload = Workload(tmp_path, sizes=None)
    part = workload.part(workload.recordings("short", 16, seconds=0.1, suffix=".wav"), 4)
    assert workload.count(part) == 4 and {path.name for path in part.iterdir()} == set(synthetic_data.LABELS)
