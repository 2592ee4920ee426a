"""Open a page in the browser to try, train and compare classifiers, and serve programs over HTTP.

    audionet app
    audionet app --model voices/ --port 8080
    audionet app --host 0.0.0.0 --token "$(openssl rand -hex 16)"

The page is for this machine alone unless --host says otherwise, and then it wants a token. It works offline: nothing
leaves the machine. Programs send a file to POST /predict; /api describes the rest.
"""

import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from audionet.cli import TF_FILES, run_command
from audionet.console import log
from audionet.errors import InputError, check
from audionet.outputs import check_outputs
from audionet.ranges import between, check_ranges


@dataclass(frozen=True)
class AppOptions:
    """The command line of audionet app."""

    model: Path = TF_FILES / "retrained_model"
    """Classifier folder. Without one, the page can train one."""
    host: str = "127.0.0.1"
    """Address to serve at. Any but the default opens the page to other machines, which need the token."""
    port: Annotated[int, between(0, 65_535)] = 8000
    """Port to serve at; 0 for any that is free."""
    token: str | None = None
    """What other machines must know to come in. By default made up and printed, where --host lets them."""
    max_megabytes: Annotated[float, between(0.001, 100_000)] = 50
    """Largest file taken."""
    max_seconds: Annotated[float, between(0.1, 1_000_000)] = 3600
    """Longest recording taken."""
    max_waiting: Annotated[int, between(1, 100_000)] = 64
    """Requests that may wait; others are asked to come again."""
    timeout_seconds: Annotated[float, between(0.1, 86_400)] = 120
    """Longest that one request may take."""
    max_kept_megabytes: Annotated[float, between(1, 100_000_000)] = 5000
    """What all visitors together may keep on the page Teach."""
    open_browser: bool = True
    """Open the page in the browser, where there is one."""
    taught_dir: Path = TF_FILES / "taught"
    """Folder for what is taught on the page."""
    examples_dir: Path = TF_FILES / "sample_audio"
    """Folder of recordings to try, one subfolder a label."""
    runs_dir: Path = TF_FILES / "runs"
    """Folder of records of runs."""

    def __post_init__(self) -> None:
        check_ranges(self)
        check(
            self.token is None or re.fullmatch(r"[\w.~-]{8,}", self.token, re.ASCII) is not None,
            "--token: expected 8 or more letters, digits and any of _ - . ~",
        )


def serve(options: AppOptions) -> int:
    """Serve until interrupted."""
    try:  # the web server and what it needs, which --help should not wait for
        from audionet.app import server
        from audionet.app.access import is_loopback
        from audionet.app.sandbox import Limits
        from audionet.app.state import AppSettings
    except ModuleNotFoundError as error:
        raise InputError(
            f"The page needs the package {error.name}, which is not installed: pip install './scripts[app]'."
        ) from error

    check_outputs(folders={"taught_dir": options.taught_dir})
    token = options.token
    if not is_loopback(options.host):
        token = token or secrets.token_urlsafe(16)
        log(
            f"Warning: --host {options.host} lets other machines in. Whoever has the address below can use the page; "
            "what they send goes over the network as plain text."
        )
    settings = AppSettings(
        model=options.model,
        taught_dir=options.taught_dir,
        examples_dir=options.examples_dir,
        runs_dir=options.runs_dir,
        host=options.host,
        token=token,
        most_bytes=round(options.max_megabytes * 1e6),
        most_seconds=options.max_seconds,
        most_waiting=options.max_waiting,
        most_kept_bytes=round(options.max_kept_megabytes * 1e6),
        limits=Limits(seconds=options.timeout_seconds),
    )
    return server.serve(settings, port=options.port, open_browser=options.open_browser)


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run_command(serve, AppOptions, __doc__, argv)
