import importlib
import os
import signal
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

from audionet import parallel
from audionet.parallel import CRASHED, PRELOADED, importing_context, run_groups, side_by_side


def upper_but_crash_on_three(task: str) -> str:
    if task == "3":
        os._exit(1)
    return task.upper()


def sleep_and_return(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def note_and_sleep(path: Path) -> None:
    if path.name == "early":
        path.touch()
        time.sleep(600)
        path.with_name("woken").touch()
    while not path.with_name("early").exists():
        time.sleep(0.01)
    raise OSError(28, "No space left on device")


def fail_on_two(task: int) -> int:
    if task == 2:
        raise OSError(28, "No space left on device")
    return task


@pytest.mark.parametrize("module", PRELOADED)
def test_what_workers_preload_can_be_imported(module):
    importlib.import_module(module)


def read_variable(name: str) -> str | None:
    return os.environ.get(name)


def test_workers_have_the_environment_of_the_moment(monkeypatch):
    """Keys of a bucket that a notebook sets after its first pictures were drawn reach the workers of the next."""
    for value in ("first", "second", None):
        monkeypatch.setenv("SECRET_OF_A_BUCKET", value) if value else monkeypatch.delenv("SECRET_OF_A_BUCKET")
        ((_, found),) = side_by_side(read_variable, ["SECRET_OF_A_BUCKET"], description="", jobs=1)
        assert found == value


def test_a_crash_costs_one_task_and_leaves_the_order(monkeypatch):
    monkeypatch.setattr(parallel, "GROUPS_AHEAD", 2)
    tasks = [str(number) for number in range(20)]
    done = list(side_by_side(upper_but_crash_on_three, tasks, description="Crashing", jobs=2))
    assert [task for task, _ in done] == tasks
    assert dict(done) == {task: CRASHED if task == "3" else task.upper() for task in tasks}


def test_a_crash_within_a_group_costs_one_task_of_it():
    groups = [["1", "2"], ["3", "4"], ["5"]]
    done = [pair for group in run_groups(upper_but_crash_on_three, groups, jobs=1, in_order=False) for pair in group]
    assert sorted(done) == [("1", "1"), ("2", "2"), ("3", CRASHED), ("4", "4"), ("5", "5")]


def test_groups_come_in_their_order_or_as_they_are_done():
    groups = [[1.0], [0.0], [0.01]]
    in_order = run_groups(sleep_and_return, groups, jobs=2, in_order=True)
    assert [group[0][1] for group in in_order] == [1.0, 0.0, 0.01]
    as_done = run_groups(sleep_and_return, groups, jobs=2, in_order=False)
    assert next(as_done) == [(0.0, 0.0)]
    as_done.close()


def test_an_error_of_the_work_ends_it():
    with pytest.raises(OSError, match="No space"):
        list(run_groups(fail_on_two, [[number] for number in range(50)], jobs=1, in_order=True))


def test_an_error_ends_the_work_that_is_under_way_at_once(tmp_path):
    groups = run_groups(note_and_sleep, [[tmp_path / "early"], [tmp_path / "late"]], jobs=2, in_order=False)
    with pytest.raises(OSError, match="No space"):
        next(groups)
    assert not (tmp_path / "woken").exists()


def test_groups_are_asked_for_shortly_before_they_are_done():
    asked = []
    groups = ([asked.append(number) or number + 10] for number in range(100))
    done = run_groups(fail_on_two, groups, jobs=1, in_order=True)
    assert next(done) == [(10, 10)]
    assert len(asked) == parallel.GROUPS_AHEAD
    done.close()


def test_no_task_starts_no_process(monkeypatch):
    monkeypatch.setattr(parallel, "process_pool", None)
    assert list(side_by_side(fail_on_two, [], description="Nothing", jobs=None)) == []


def test_work_goes_on_when_what_starts_processes_is_killed():
    context = importing_context()
    if context.get_start_method() != "forkserver":
        pytest.skip("here nothing but the parent starts processes")

    def groups():
        yield [1]
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
        yield from ([number] for number in range(2, 6))

    done = [task for group in run_groups(abs, groups(), jobs=2, in_order=True) for task in group]
    assert done == [(number, number) for number in range(1, 6)]
