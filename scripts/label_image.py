"""The same as `audionet label`; audionet/commands/label.py has its options.

Timelines, live sound and explanations were options of this script before they became commands. These go on working.
"""

import sys
from collections.abc import Iterator, Sequence
from importlib import import_module

from audionet.commands import label

MODE_OF_OPTION = {
    "--timeline": "--timeline",
    "--timeline_dir": "--timeline",
    "--export_clips": "--timeline",
    "--microphone": "--microphone",
    "--live": "--live",
    "--explain": "--explain",
}
COMMAND_OF_MODE = {"--timeline": "timeline", "--microphone": "listen", "--live": "listen", "--explain": "explain"}
SWITCHES = ("--timeline", "--microphone", "--live")  # which the commands do not need
WITHOUT_EFFECT = ("--jobs", "--top_k")  # in any mode, as before


def main(argv: list[str] | None = None) -> int:
    """Run the command that the options ask for, and return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    modes = {MODE_OF_OPTION[option] for option in map(_option_of, arguments) if option in MODE_OF_OPTION}
    if not modes:
        return label.main(argv)
    if len(modes) > 1:
        print(f"Error: {', '.join(sorted(modes))}: expected one of them.", file=sys.stderr)
        return 2
    renamed = [argument.replace("--explain", "--output", 1) for argument in _with_effect(arguments)]
    return int(import_module(f"audionet.commands.{COMMAND_OF_MODE[modes.pop()]}").main(renamed))


def _with_effect(arguments: Sequence[str]) -> Iterator[str]:
    waiting = iter(arguments)
    for argument in waiting:
        option = _option_of(argument)
        if option in WITHOUT_EFFECT and "=" not in argument:
            next(waiting, None)  # its value
        elif option not in (*WITHOUT_EFFECT, *SWITCHES):
            yield argument


def _option_of(argument: str) -> str:
    """Return `--timeline_dir` of `--timeline-dir=folder`."""
    return "--" + argument[2:].partition("=")[0].replace("-", "_") if argument.startswith("--") else ""


if __name__ == "__main__":
    sys.exit(main())
