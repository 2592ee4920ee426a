"""Every numeric option of every command has a range, and what is outside is refused in a sentence that names it."""

import dataclasses
import typing

import pytest
from command_options import NEEDED, options_class, parts_of
from conftest import run_python

from audionet.__main__ import COMMANDS
from audionet.cli import run_command
from audionet.errors import InputError
from audionet.ranges import Range, check_ranges, range_of

EXTREMES = ("-1e20", "-1", "0", "1", "nan", "inf", "-inf", "1e30", "1e-300", "9" * 30, "-" + "9" * 30, "9" * 5_000)


def numeric_fields(options: type) -> list[dataclasses.Field]:
    found = []
    for field in dataclasses.fields(options):
        if dataclasses.is_dataclass(field.default_factory):
            found += numeric_fields(field.default_factory)
        elif {int, float} & parts_of(field.type):
            found.append(field)
    return found


# Within the range of the option, and refused beside the defaults of others: one part is no part, and a band ends above
# where it begins.
REFUSED_BESIDE_OTHERS = {("folds", "1"), ("high_hz", "0"), ("high_hz", "1"), ("high_hz", "1e-300")}

NUMBERS = [(command, field) for command in COMMANDS for field in numeric_fields(options_class(command))]


def name_of(value: object) -> str:
    return value.name if isinstance(value, dataclasses.Field) else str(value)


def test_there_are_numbers_to_check():
    assert len(NUMBERS) > 30


@pytest.mark.parametrize(("command", "field"), NUMBERS, ids=name_of)
def test_every_number_declares_its_range_and_help_shows_it(command, field, capsys):
    assert range_of(field) is not None
    with pytest.raises(SystemExit):
        run_command(lambda _: 0, options_class(command), "", ["--help"])
    shown = "".join(part for part in capsys.readouterr().out if part not in " \n│")
    hint = f"({range_of(field)}".replace(" ", "")
    assert f"{hint};default:" in shown or (f"{hint})" in shown and field.default is None)


def status_of(command: str, arguments: list[str]) -> int:
    """Return the status of a command that would begin to work and ends there."""
    try:
        return run_command(lambda _: 0, options_class(command), "", [*NEEDED.get(command, []), *arguments])
    except SystemExit as wrong:  # what is no number at all
        return int(wrong.code or 0)


@pytest.mark.parametrize("value", EXTREMES, ids=lambda value: value[:12])
@pytest.mark.parametrize(("command", "field"), NUMBERS, ids=name_of)
def test_a_number_outside_its_range_is_refused_by_name(command, field, value, capsys):
    is_whole = float not in parts_of(field.type)
    try:
        is_allowed = (int(value) if is_whole else float(value)) in range_of(field)
    except ValueError:
        is_allowed = False
    status = status_of(command, [f"--{field.name}", value])
    message = capsys.readouterr().err
    if is_allowed and (field.name, value) not in REFUSED_BESIDE_OTHERS:
        assert (status, message) == (0, "")
    else:
        assert status == 2
        name = field.name if is_allowed else f"--{field.name}"  # what recipes refuse goes by the name of the setting
        assert name in message and "Traceback" not in message


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1, 6, 10**400])
def test_a_number_outside_is_refused_when_a_program_gives_it(number):
    from audionet.ranges import between

    @dataclasses.dataclass(frozen=True)
    class Wishes:
        count: typing.Annotated[float | None, between(0, 5)] = None

    check_ranges(Wishes())
    check_ranges(Wishes(5))
    with pytest.raises(InputError, match="--count: expected 0 to 5, received"):
        check_ranges(Wishes(number))


def test_a_range_is_worded_as_it_is_typed():
    assert [str(Range(0, 1_000)), str(Range(1e-9, 0.5))] == ["0 to 1000", "1e-09 to 0.5"]


@pytest.mark.parametrize("option", ["--image_size=1000000", "--random_seed=-1e20", "--learning_rate=1e30"])
def test_training_does_not_begin_with_what_cannot_work(option):
    done = run_python("scripts/retrain.py", option)
    assert done.returncode == 2
    assert option.partition("=")[0] in done.stderr and "Traceback" not in done.stderr
