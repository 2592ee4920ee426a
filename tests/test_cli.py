import errno
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from conftest import run_python

from audionet.cli import OmitArgPrefixes, Positional, parse_options, run_command
from audionet.errors import ClassifierError, InputError, RecordingError, check
from audionet.ranges import between


@dataclass(frozen=True)
class Wishes:
    """What a script may be asked for."""

    files: Positional[tuple[Path, ...]] = ()
    """Files to work on."""
    top_k: int = 5
    """How many to show."""
    keep_wav: bool = True
    """Keep the sound."""
    chunk_seconds: float | None = None
    """How long."""


def parsed(*argv: str) -> Wishes:
    return parse_options(Wishes, "Does things.", list(argv))


def run(work) -> int:
    return run_command(work, Wishes, "Does things.", [])


def raising(error: BaseException):
    def work(_: Wishes) -> int:
        raise error

    return work


@pytest.mark.parametrize("flag", ["--top_k", "--top-k"])
@pytest.mark.parametrize("arguments", ["{flag} 3", "{flag}=3"])
def test_underscores_and_dashes_mean_the_same(flag, arguments):
    assert parsed(*arguments.format(flag=flag).split()).top_k == 3


@pytest.mark.parametrize("flag", ["--no_keep_wav", "--no-keep-wav", "--no-keep_wav"])
def test_a_switch_is_turned_off_in_any_spelling(flag):
    assert parsed(flag).keep_wav is False


def test_without_arguments_every_option_has_its_default():
    assert parsed() == Wishes()


@pytest.mark.parametrize("name", ["it's.mp3", "a b.mp3", "line\nbreak.mp3", "\udcff.mp3", "日本語.mp3"])
def test_a_file_of_any_name_can_be_given(name):
    assert parsed(name).files == (Path(name),)


def test_a_file_whose_name_begins_with_a_dash_can_be_given():
    assert parsed("./-x.mp3").files == (Path("-x.mp3"),)


@pytest.mark.parametrize("argv", [["--top_k", "many"], ["--nonsense", "1"], ["--top_k"]])
def test_a_wrong_argument_ends_with_status_2_and_a_message_on_stderr(argv, capsys):
    with pytest.raises(SystemExit) as exit_status:
        parsed(*argv)
    assert exit_status.value.code == 2
    assert capsys.readouterr().err


def test_help_shows_every_option_with_its_default_and_goes_to_stdout(capsys):
    with pytest.raises(SystemExit) as exit_status:
        parsed("--help")
    shown = capsys.readouterr().out
    assert exit_status.value.code == 0
    assert "Does things." in shown and "--top_k" in shown and "How many to show" in shown and "default: 5" in shown


@pytest.mark.parametrize("status", [0, 1])
def test_a_script_ends_with_the_status_of_its_work(status):
    assert run(lambda _: status) == status


@pytest.mark.parametrize(
    ("error", "status"), [(InputError("bad"), 2), (RecordingError("bad"), 1), (ClassifierError("bad"), 1)]
)
def test_a_fault_is_one_sentence_on_stderr_and_a_status(error, status, capsys):
    assert run(raising(error)) == status
    assert capsys.readouterr() == ("", "Error: bad\n")


def test_an_option_that_cannot_work_ends_with_status_2(capsys):
    @dataclass(frozen=True)
    class Picky:
        """Never content."""

        def __post_init__(self) -> None:
            check(False, "--jobs: expected 1 or more, received 0.")

    assert run_command(lambda _: 0, Picky, "Does things.", []) == 2
    assert "--jobs: expected 1 or more, received 0." in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_explained(number, capsys):
    assert run(raising(OSError(number, "No space left on device", "a.jpg"))) == 1
    assert "no room left on the disk for a.jpg. What was finished is kept" in capsys.readouterr().err


def test_a_fault_that_nobody_foresaw_is_not_hidden():
    for error in (OSError(errno.EIO, "broken"), ZeroDivisionError("bug")):
        with pytest.raises(type(error)):
            run(raising(error))


def test_an_interruption_is_acknowledged(capsys):
    assert run(raising(KeyboardInterrupt())) == 130
    assert "Interrupted. What was finished is kept" in capsys.readouterr().err


PRINT_FOR_EVER = """
import sys
from dataclasses import dataclass, field
from audionet.cli import run_command

@dataclass(frozen=True)
class Nothing:
    pass

def work(_):
    while True:
        print("result")

sys.exit(run_command(work, Nothing, "", []))
"""


def test_a_reader_that_goes_away_ends_the_script_quietly():
    script = subprocess.Popen([sys.executable, "-c", PRINT_FOR_EVER], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    script.stdout.readline()
    script.stdout.close()
    assert script.wait(60) == 141
    assert script.stderr.read() == b""
    script.stderr.close()


def test_a_message_comes_out_whatever_the_terminal_can_show():
    program = PRINT_FOR_EVER.replace("while True:", "if True:").replace('"result"', '"\\u65e5 \\udcff"')
    done = run_python("-c", program.replace("sys.exit(", "(").replace("print(", "return print(") + "\n")
    assert done.stderr == ""
    assert "\\udcff" in done.stdout


# Options that need not be given


@dataclass(frozen=True)
class Group:
    """A group of options."""

    weight: Annotated[float | None, between(0, 1)] = None
    """How heavy."""
    height: float | None = None
    """How high."""


@dataclass(frozen=True)
class Unset:
    """Options with and without defaults."""

    clips: Positional[tuple[Path, ...]] = ()
    """Files."""
    output: Path | None = None
    """Where to."""
    compare: tuple[str, str] | None = None
    """Two things."""
    layers: int | Literal["all"] | None = None
    """How many."""
    top_k: int = 5
    """How many to show."""
    group: OmitArgPrefixes[Group] = field(default_factory=Group)


def parsed_unset(*argv: str, default: Unset | None = None) -> Unset:
    return parse_options(Unset, "Does things.", list(argv), default=default)


def helped(capsys, **default) -> str:
    with pytest.raises(SystemExit):
        parsed_unset("--help", **default)
    return re.sub(r"[\s│]+", " ", capsys.readouterr().out)


def test_help_shows_what_they_take_and_no_default(capsys):
    shown = helped(capsys)
    assert "None" not in shown and "default: )" not in shown
    assert "--output PATH Where to. --compare STR STR Two things. --layers INT|{all} How many." in shown
    assert "--weight FLOAT How heavy. (0 to 1)" in shown and "--height FLOAT How high." in shown
    assert "(default: 5)" in shown


def test_help_shows_a_default_that_a_recipe_gives(capsys):
    assert "Where to. (default: there)" in helped(capsys, default=Unset(output=Path("there")))


def test_they_are_none_unless_given_and_then_what_was_typed():
    assert parsed_unset() == Unset()
    typed = parsed_unset("--output", "None", "--compare", "a", "b", "--layers", "all", "--height", "2")
    assert typed == Unset(output=Path("None"), compare=("a", "b"), layers="all", group=Group(height=2.0))
    assert parsed_unset("--layers", "3").layers == 3


def test_a_wrong_value_ends_with_status_2(capsys):
    with pytest.raises(SystemExit) as ended:
        parsed_unset("--layers", "some")
    assert ended.value.code == 2 and "--layers" in capsys.readouterr().err
