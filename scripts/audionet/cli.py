"""Dataclass fields become command-line options; the one place that catches and prints errors.

A command declares its options once, as a frozen dataclass: the field gives the flag, its annotation the check, its
value the default and the string below it the help. Flags work with underscores and dashes alike.
"""

import dataclasses
import functools
import operator
import os
import re
import shlex
import shutil
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar, Union, get_args, get_origin

import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    UnsupportedTypeAnnotationError,
)

from audionet.console import ENDS_WITH_STDIN, log
from audionet.errors import AudioNetError, InputError, check
from audionet.files import disk_is_full
from audionet.ranges import default_hint

__all__ = [
    "EXIT_BELOW_LIMIT",
    "EXIT_FAILED",
    "TF_FILES",
    "FlagOrWords",
    "OmitArgPrefixes",
    "Paths",
    "Positional",
    "changed",
    "check",
    "package_environment",
    "parse_options",
    "run_command",
    "short_path",
    "typed_command",
]

Options = TypeVar("Options")

FlagOrWords = Annotated[
    bool | tuple[str, ...],
    PrimitiveConstructorSpec(
        nargs="*",
        metavar="[PATH]",
        instance_from_str=lambda words: tuple(words) or True,
        is_instance=lambda value: isinstance(value, bool | tuple),
        str_from_instance=lambda value: list(value) if isinstance(value, tuple) else [],
    ),
    arg(help_behavior_hint=default_hint),
]
"""The type of an option that is given alone, which is True, or with a file; behind it, positional ones may follow."""

if TYPE_CHECKING:
    Paths = tuple[Path, ...]
else:  # as a plain type, since tyro imports a library for others, which takes a tenth of labelling one picture
    Paths = Annotated[
        tuple,
        PrimitiveConstructorSpec(
            nargs="*",
            metavar="[PATH [PATH ...]]",
            instance_from_str=lambda words: tuple(map(Path, words)),
            is_instance=lambda value: isinstance(value, tuple),
            str_from_instance=lambda value: list(map(str, value)),
        ),
    ]
"""The type of an option that takes any number of files."""

_CHECKOUT = Path(__file__).resolve().parents[2]
TF_FILES = _CHECKOUT / "tf_files" if (_CHECKOUT / "scripts" / "retrain.py").is_file() else Path("tf_files")
"""Where commands look for files and put them: in the checkout, or else below the folder that the user stands in."""

SCRIPT_NAMES = {"data": "data_maker", "inspect": "inspect_model", "label": "label_image", "train": "retrain"}
"""Scripts that are not called as their commands are."""

EXIT_FAILED = 1  # the work was begun and something failed
EXIT_USAGE = 2  # the work could not begin: options or folders
EXIT_BELOW_LIMIT = 3  # the work was done, and a number that it found is below a limit that was set
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_PIPE_CLOSED = 128 + signal.SIGPIPE
EXIT_TERMINATED = 128 + signal.SIGTERM


def run_command(
    work: Callable[[Options], int],
    options_class: type[Options],
    description: str,
    argv: Sequence[str] | None = None,
    *,
    defaults: Callable[[Options], Options] | None = None,
) -> int:
    """Parse `argv` into `options_class`, do `work`, and turn a fault into a sentence and an exit status.

    Args:
        work: takes the options and returns the exit status.
        options_class: a frozen dataclass that raises InputError for values that cannot work.
        description: the command's docstring, shown by `--help`, with commands as `audionet train`.
        argv: the arguments, by default those of the process.
        defaults: given what was typed, returns what holds for the options that were not; by default their own defaults.

    Returns:
        int: 0 for success, 1 when something failed, 2 when the work could not begin, 130 when interrupted, 143 at
            SIGTERM.
    """
    # File names need not be valid in the terminal's encoding; a message must come out all the same.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        description = as_typed(description)
        options = parse_options(options_class, description, argv)
        if defaults:
            options = parse_options(options_class, description, argv, default=defaults(options))
        if os.environ.pop(ENDS_WITH_STDIN, "") == "1":
            from audionet.worker_process import end_with  # which few commands are started for

            end_with(0)
        with _terminated_by_an_error():
            return work(options)
    except InputError as error:
        log(f"Error: {as_typed(str(error))}")
        return EXIT_USAGE
    except AudioNetError as error:
        log(f"Error: {as_typed(str(error))}")
        return EXIT_FAILED
    except BrokenPipeError:
        # Whoever read our output has gone; what is still buffered for it must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE_CLOSED
    except OSError as error:
        if not disk_is_full(error):
            raise
        place = f" for {error.filename}" if error.filename else ""
        log(
            f"Error: no room left on the disk{place}. What was finished is kept; free some space and type the same "
            "command again to go on."
        )
        return EXIT_FAILED
    except KeyboardInterrupt as error:
        is_sigterm = isinstance(error, _TerminatedError)
        how = "Ended by SIGTERM" if is_sigterm else "Interrupted"
        log(f"{how}. What was finished is kept; the same command goes on from there.")
        return EXIT_TERMINATED if is_sigterm else EXIT_INTERRUPTED


class _TerminatedError(KeyboardInterrupt):
    """Somebody has sent SIGTERM; the work ends as it does at Ctrl-C."""


@contextmanager
def _terminated_by_an_error() -> Iterator[None]:
    """Let SIGTERM raise an error in the block, so that what was begun is ended and cleared away."""
    if threading.current_thread() is not threading.main_thread():  # others cannot take signals
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise_terminated(number: int, frame: object) -> NoReturn:
    raise _TerminatedError


def typed_command(command: str) -> str:
    """Return how to type a command: `audionet train`, or for who runs the scripts, `python scripts/retrain.py`.

    Where another `python` or none is on the PATH, the path of this one takes its place.
    """
    program = sys.argv[0].rpartition(" ")[0]
    if program.endswith("audionet"):  # audionet/__main__.py put it there
        return f"{program} {command}"
    script = Path(sys.argv[0]).with_name(f"{SCRIPT_NAMES.get(command, command)}.py")
    is_script = script.with_name("retrain.py").is_file() and script.is_file()
    if not is_script:
        return f"audionet {command}"
    python = "python" if is_on_path("python") else short_path(Path(sys.executable))
    return f"{shlex.quote(python)} {shlex.quote(str(script))}"


def is_on_path(program: str) -> bool:
    """Tell whether a program that is typed without its folder is the one that belongs to this Python."""
    found = shutil.which(program)
    return found is not None and Path(found).parent == Path(sys.executable).parent


def short_path(path: Path) -> str:
    """Return a path as it is best typed: relative to where the user stands, if it is below."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def as_typed(text: str) -> str:
    """Return a help text or a message with its commands as `typed_command` has them."""
    return re.sub(r"\baudionet ([a-z]+)\b", lambda found: typed_command(found[1]), text)


def package_environment() -> dict[str, str]:
    """Return environment variables with which `python -m audionet` finds this package, installed or not.

    What lies in the folder that the user stands in is not imported, whatever it is called.
    """
    folders = [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders)), "PYTHONSAFEPATH": "1"}


def parse_options(
    options_class: type[Options], description: str, argv: Sequence[str] | None, *, default: Options | None = None
) -> Options:
    """Build `options_class` from command-line arguments; a wrong argument ends the process with status 2.

    Args:
        options_class: a frozen dataclass.
        description: shown by `--help`.
        argv: the arguments, by default those of the process.
        default: what options are that are not among the arguments; by default the defaults of their fields.
    """
    given = tyro.MISSING_NONPROP if default is None else default
    _prepare(options_class)
    with _REGISTRY:
        return tyro.cli(options_class, args=argv, description=description, use_underscores=True, default=given)


def changed(options: Options, changes: Mapping[str, object]) -> Options:
    """Return options with some of them changed, whichever of their groups they are in.

    Args:
        options: an instance of a dataclass, some of whose fields may be dataclasses of options themselves.
        changes: value by name.

    Raises:
        InputError: a value is outside its range.
        KeyError: there is no option of that name.
    """
    assert dataclasses.is_dataclass(options) and not isinstance(options, type)
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    left = dict(changes)
    own = {name: left.pop(name) for name in values if name in left and not dataclasses.is_dataclass(values[name])}
    for name, group in values.items():
        if dataclasses.is_dataclass(group):
            of_group = {field.name: left.pop(field.name) for field in dataclasses.fields(group) if field.name in left}
            own[name] = changed(group, of_group) if of_group else group
    if left:
        raise KeyError(", ".join(left))
    return dataclasses.replace(options, **own)


_REGISTRY = ConstructorRegistry()
"""Within it, an option that may be None takes what else it may be; `None` typed is a word, or a file of that name."""


@_REGISTRY.primitive_rule
def _optional_rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    kinds = get_args(info.type)
    if get_origin(info.type) not in (Union, types.UnionType) or type(None) not in kinds:
        return None
    others: Any = functools.reduce(operator.or_, (kind for kind in kinds if kind is not type(None)))
    rest = PrimitiveTypeInfo.make(others, set(info.markers))
    spec = ConstructorRegistry.get_primitive_spec(rest)
    if isinstance(spec, UnsupportedTypeAnnotationError):
        return None

    def is_instance(value: object) -> bool:
        return value is None or bool(spec.is_instance(value))

    def words_of(value: Any) -> list[str]:
        return [] if value is None else spec.str_from_instance(value)

    return dataclasses.replace(spec, is_instance=is_instance, str_from_instance=words_of)


def _prepare(options_class: type) -> None:
    """Let --help say nothing of a default that is None or empty, and tyro do without what is slow to import.

    That is a library that tells `X | None`, but not `Optional[X]`, and takes a tenth of labelling one picture. Groups
    of options within are prepared, too.
    """
    for field in dataclasses.fields(options_class):
        kind = get_args(field.type)[0] if get_origin(field.type) is Annotated else field.type
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            _prepare(kind)
            continue
        annotation = options_class.__annotations__.get(field.name, field.type)  # which may be of a class above
        if get_origin(kind) is types.UnionType:
            optional: Any = operator.getitem(Union, get_args(kind))
            annotation = _annotated(optional, getattr(annotation, "__metadata__", ()))
        if (field.default is None or field.default == ()) and not _has_hint(annotation):
            annotation = _annotated(annotation, (arg(help_behavior_hint=default_hint),))
        options_class.__annotations__[field.name] = annotation


def _annotated(annotation: Any, more: Sequence[object]) -> Any:
    for one in more:
        annotation = Annotated[annotation, one]
    return annotation


def _has_hint(annotation: Any) -> bool:
    return any(getattr(one, "help_behavior_hint", None) for one in getattr(annotation, "__metadata__", ()))
