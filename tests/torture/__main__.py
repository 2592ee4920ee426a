"""Torture the commands: see which promises hold, and print how many trials were survived.

python -m torture all
python -m torture readers --times 100
"""

import sys
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import OmitSubcommandPrefixes, subcommand

from audionet.cli import EXIT_FAILED, OmitArgPrefixes, run_command
from audionet.console import log
from torture.options import (
    AllOptions,
    DiskOptions,
    FuzzOptions,
    KillOptions,
    PageOptions,
    PartOptions,
    ReaderOptions,
    TeachingOptions,
)

PARTS: dict[type[PartOptions], str] = {
    KillOptions: "kills",
    TeachingOptions: "teaching",
    DiskOptions: "disks",
    ReaderOptions: "readers",
    FuzzOptions: "fuzz",
    PageOptions: "page",
}
"""The module of each part, in the order in which `all` runs them."""

Part = (
    Annotated[AllOptions, subcommand("all")]
    | Annotated[KillOptions, subcommand("kills")]
    | Annotated[TeachingOptions, subcommand("teaching")]
    | Annotated[DiskOptions, subcommand("disks")]
    | Annotated[ReaderOptions, subcommand("readers")]
    | Annotated[FuzzOptions, subcommand("fuzz")]
    | Annotated[PageOptions, subcommand("page")]
)


@dataclass(frozen=True)
class TortureOptions:
    """The command line of python -m torture."""

    part: OmitArgPrefixes[OmitSubcommandPrefixes[Part]]


def torture(options: TortureOptions) -> int:
    """Run a part, or all, print the tallies, and return 1 if any trial was not survived."""
    import importlib  # and NumPy with the parts, which --help should not wait for

    from torture.tally import print_tallies

    wanted = options.part
    every = [kind(seed=wanted.seed, cases=wanted.cases) for kind in PARTS]
    parts = every if isinstance(wanted, AllOptions) else [wanted]
    log(f"Seed {wanted.seed}.")
    tallies = [one for part in parts for one in importlib.import_module(f"torture.{PARTS[type(part)]}").run(part)]
    print_tallies(tallies)
    return EXIT_FAILED if any(one.failed for one in tallies) else 0


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(torture, TortureOptions, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
