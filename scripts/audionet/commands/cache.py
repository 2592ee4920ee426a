"""Show what the cache holds and costs, verify it, and remove what nothing needs any more.

    audionet cache
    audionet cache --verify
    audionet cache --prune

Pictures are needed while the recordings that they were drawn of are there, and bottlenecks while one of their pictures
is. What was removed is computed again when it is needed again.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from audionet.cli import EXIT_FAILED, TF_FILES, run_command
from audionet.console import log
from audionet.errors import check
from audionet.files import printable
from audionet.outputs import check_outputs


@dataclass(frozen=True)
class CacheOptions:
    """The command line of audionet cache."""

    bottleneck_dir: Path = TF_FILES / "bottlenecks"
    """Folder of the cache."""
    verify: bool = False
    """Read all of it, and name what is not as it was written."""
    prune: bool = False
    """Remove what nothing needs, and what is damaged."""
    json: bool = False
    """Print one JSON object a line instead of a table."""

    def __post_init__(self) -> None:
        check(not (self.verify and self.prune), "--prune verifies too; leave --verify away.")


def cache(options: CacheOptions) -> int:
    """Show, verify or prune; return 1 if something is damaged and stays."""
    from audionet.experiments.caches import prune, read_cache  # NumPy, which --help should not wait for
    from audionet.tables import print_table
    from audionet.wording import counted

    check_outputs(folders={"bottleneck_dir": options.bottleneck_dir})
    if options.prune:
        removed = prune(options.bottleneck_dir)
        for part in removed:
            print(f"Removed: {part.holds}, {_megabytes(part.size_bytes)} MB: {printable(part.path)}")
        freed = _megabytes(sum(part.size_bytes for part in removed))
        print(f"{counted(len(removed), 'part')} that nothing needs removed, {freed} MB.")
    parts = read_cache(options.bottleneck_dir, verify=options.verify)
    damaged = [path for part in parts for path in part.damaged]
    if options.json:
        for part in parts:
            fields = {**asdict(part), "path": str(part.path), "damaged": list(map(str, part.damaged))}
            print(json.dumps(fields))
    else:
        rows = [
            (
                printable(part.holds),
                str(part.files),
                _megabytes(part.size_bytes),
                datetime.fromtimestamp(part.used).strftime("%Y-%m-%d"),
                printable(part.needed_by) or "nothing",
            )
            for part in parts
        ]
        print_table(("what", "files", "MB", "written", "needed by"), rows, numbers=("files", "MB"))
        idle = sum(part.size_bytes for part in parts if not part.needed_by)
        advice = f", of which nothing needs {_megabytes(idle)}: --prune removes them" if idle else ""
        print(f"{_megabytes(sum(part.size_bytes for part in parts))} MB in all{advice}.")
    for path in damaged:
        log(f"Damaged: {printable(path)}. What it held is computed again when it is needed; --prune removes it.")
    if options.verify and not damaged and not options.json:
        print("Everything is as it was written.")
    return EXIT_FAILED if damaged else 0


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f}"


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(cache, CacheOptions, __doc__, argv)
