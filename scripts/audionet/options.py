"""Dataclass fields become command-line options; the one place that catches and prints errors.

A script declares its options once, as a frozen dataclass: the field gives the flag, its annotation the check, its value
the default and the string below it the help. Flags work with underscores and dashes alike.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from audionet.errors import AudioNetError, InputError
from audionet.files import disk_is_full
from audionet.screen import say

__all__ = ["EXIT_FAILED", "OmitArgPrefixes", "Positional", "check", "parse_options", "run_script"]

Options = TypeVar("Options")

EXIT_FAILED = 1  # the work was begun and something failed
EXIT_USAGE = 2  # the work could not begin: options or folders
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_PIPE_CLOSED = 128 + signal.SIGPIPE


def run_script(
    work: Callable[[Options], int], options_class: type[Options], description: str, argv: Sequence[str] | None = None
) -> int:
    """Parse `argv` into `options_class`, do `work`, and turn a fault into a sentence and an exit status.

    Args:
        work: takes the options and returns the exit status.
        options_class: a frozen dataclass that raises InputError for values that cannot work.
        description: the script's docstring, shown by `--help`.
        argv: the arguments, by default those of the process.

    Returns:
        int: 0 for success, 1 when something failed, 2 when the work could not begin, 130 when interrupted.
    """
    # File names need not be valid in the terminal's encoding; a message must come out all the same.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        return work(parse_options(options_class, description, argv))
    except InputError as error:
        say(f"Error: {error}")
        return EXIT_USAGE
    except AudioNetError as error:
        say(f"Error: {error}")
        return EXIT_FAILED
    except BrokenPipeError:
        # Whoever read our output has gone; what is still buffered for it must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE_CLOSED
    except OSError as error:
        if not disk_is_full(error):
            raise
        place = f" for {error.filename}" if error.filename else ""
        say(
            f"Error: no room left on the disk{place}. What was finished is kept; free some space and type the same "
            "command again to go on."
        )
        return EXIT_FAILED
    except KeyboardInterrupt:
        say("Interrupted. What was finished is kept; the same command goes on from there.")
        return EXIT_INTERRUPTED


def parse_options(options_class: type[Options], description: str, argv: Sequence[str] | None) -> Options:
    """Build `options_class` from command-line arguments; a wrong argument ends the process with status 2."""
    return tyro.cli(options_class, args=argv, description=description, use_underscores=True)


def check(condition: bool, message: str) -> None:
    """Raise InputError with `message` unless `condition` holds.

    Raises:
        InputError: the condition does not hold.
    """
    if not condition:
        raise InputError(message)
