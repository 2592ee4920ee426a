"""The same as `audionet label`; audionet/commands/label.py has its options.

Timelines, live sound and explanations were options of this script before they became commands. These go on working.
"""

import sys
from importlib import import_module

from audionet.commands import label

COMMAND_OF_OPTION = {
    "--timeline": "timeline",
    "--timeline_dir": "timeline",
    "--export_clips": "timeline",
    "--microphone": "listen",
    "--live": "listen",
    "--explain": "explain",
}
SWITCHES = ("--timeline", "--microphone", "--live")  # which the commands do not need


def main(argv: list[str] | None = None) -> int:
    """Run the command that the options ask for, and return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    for option, command in COMMAND_OF_OPTION.items():
        if option in map(_option_of, arguments):
            kept = [argument for argument in arguments if _option_of(argument) not in SWITCHES]
            renamed = [argument.replace("--explain", "--output", 1) for argument in kept]
            return int(import_module(f"audionet.commands.{command}").main(renamed))
    return label.main(argv)


def _option_of(argument: str) -> str:
    """Return `--timeline_dir` of `--timeline-dir=folder`."""
    return "--" + argument[2:].partition("=")[0].replace("-", "_") if argument.startswith("--") else ""


if __name__ == "__main__":
    sys.exit(main())
