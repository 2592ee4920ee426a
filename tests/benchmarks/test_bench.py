"""The command line of bench.py."""

import contextlib
import dataclasses
import typing

import pytest
from conftest import SCRIPTS, run_python

import bench
from audionet.cli import parse_options
from audionet.errors import InputError

OPTIONS = {typing.get_args(each)[1].name: typing.get_args(each)[0] for each in typing.get_args(bench.Benchmark)}
FLAGS = [(name, field.name) for name, options in OPTIONS.items() for field in dataclasses.fields(options)]


@pytest.mark.parametrize("subcommand", OPTIONS)
def test_help_of_a_subcommand_comes_without_numpy(subcommand):
    program = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import bench\n"
        f"try: bench.main([{subcommand!r}, '--help'])\n"
        "except SystemExit: assert not {'numpy', 'tensorflow', 'soundfile'} & set(sys.modules)\n"
    )
    done = run_python("-c", program)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{subcommand} [-h]" in done.stdout


def is_recognised(subcommand: str, flag: str, capsys) -> bool:
    """Tell whether a flag, for all that its value may lack, is one that a subcommand knows."""
    with contextlib.suppress(SystemExit, InputError):
        parse_options(OPTIONS[subcommand], "", [flag])
    return "Unrecognized" not in capsys.readouterr().err


@pytest.mark.parametrize(("subcommand", "name"), FLAGS)
def test_every_option_of_a_subcommand_works_with_underscores_and_with_dashes(subcommand, name, capsys):
    assert is_recognised(subcommand, f"--{name}", capsys)
    assert is_recognised(subcommand, f"--{name.replace('_', '-')}", capsys)
    assert not is_recognised(subcommand, f"--{name}-nonsense", capsys)


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["accuracy", "--no_peers"], "baselines", False),
        (["verification", "--no-peers"], "baselines", False),
        (["diarization", "--strangers", "3"], "held_out", 3),
        (["speed", "--no-growth"], "scaling", False),
        (["speed", "--growth_rounds", "2"], "scaling_rounds", 2),
    ],
)
def test_options_work_by_their_former_names(arguments, field, value):
    options = parse_options(bench.BenchOptions, "", arguments)
    assert getattr(options.benchmark, field) == value
