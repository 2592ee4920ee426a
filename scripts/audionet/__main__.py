"""The command `audionet`, with a subcommand for each module of audionet/commands; also `python -m audionet`."""

import ast
import importlib
import shlex
import sys
from pathlib import Path

from audionet import __version__

COMMANDS = (
    *("demo", "data", "train", "label", "timeline", "listen", "explain", "evaluate", "export", "enroll", "verify"),
    *("similar", "embed", "background", "inspect", "runs", "experiment", "suspects", "review", "cache", "doctor"),
    *("recipes", "app"),
)


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand and return its exit status."""
    command, *arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if command in COMMANDS:
        sys.argv = [f"{_program()} {command}", *arguments]  # the first is the program's name in help and messages
        return int(importlib.import_module(f"audionet.commands.{command}").main())
    if command in ("-h", "--help"):
        print(_overview())
        return 0
    if command == "--version":
        print(f"audionet {__version__}")
        return 0
    print(f"Error: audionet has no command {command!r}. Expected one of {', '.join(COMMANDS)}.", file=sys.stderr)
    return 2


def _program() -> str:
    """Return how this program can be typed: by its name if it is on the PATH, else by its path."""
    from audionet.cli import is_on_path, short_path  # and tyro, which the overview should not wait for

    if is_on_path("audionet"):
        return "audionet"
    if Path(sys.argv[0]).name == "__main__.py":
        return f"{shlex.quote(short_path(Path(sys.executable)))} -m audionet"
    return shlex.quote(short_path(Path(sys.argv[0])))


def _overview() -> str:
    lines = [f"  {command:<11}{_summary(command)}" for command in COMMANDS]
    return "\n".join(
        [
            "usage: audionet COMMAND [OPTIONS]\n",
            "Transfer learning for sound: from folders of recordings to a classifier.\n",
            *lines,
            "\naudionet COMMAND --help explains a command, audionet --version tells the version.",
        ]
    )


def _summary(command: str) -> str:
    """Return the first line of a command's docstring; to import the command would take too long for a list."""
    source = (Path(__file__).parent / "commands" / f"{command}.py").read_text("utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
