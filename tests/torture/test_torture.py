"""A short form of `make torture`, each part in a process of its own, since it forks."""

import os
import re

import pytest
from conftest import CHECKOUT, SCRIPTS, run_python

pytestmark = pytest.mark.slow


def assert_all_survive(part: str, *arguments: object) -> None:
    """Run a part, and expect that every trial was survived."""
    path = os.pathsep.join([str(SCRIPTS), str(CHECKOUT / "tests")])
    ended = run_python("-m", "torture", part, "--seed", 1, *arguments, env={**os.environ, "PYTHONPATH": path})
    assert ended.returncode == 0, ended.stderr[-3000:] + ended.stdout
    tallies = re.findall(rf"^ {part} .*?(\d+) +(\d+) +\d+ *$", ended.stdout, re.MULTILINE)
    assert tallies and all(0 < int(tried) == int(survived) for tried, survived in tallies), ended.stdout


def test_a_killed_command_leaves_nothing_that_the_next_run_does_not_mend():
    assert_all_survive("kills", "--cases", "^(data|saving|enrolment)$", "--scale", 0.1, "--points", 2, "--jobs", 2)


def test_a_command_that_had_no_room_says_where_and_finishes_when_there_is_some():
    assert_all_survive("disks", "--cases", "^(data|labelling to csv)$", "--every", 512, "--jobs", 2)


def test_readers_get_one_version_or_the_other_while_a_classifier_is_replaced():
    assert_all_survive("readers", "--times", 30)
