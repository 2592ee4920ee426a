"""Ask for known vulnerabilities of every package in this environment, by pip-audit, and fail if there are any.

    make audit

Where the index of vulnerabilities cannot be reached, nothing is known, and that is said: the status is 0 then.
"""

import json
import subprocess
import sys
from typing import Any

from audionet.console import log
from audionet.tables import print_table

TIMEOUT_SECONDS = 600


def audit() -> int:
    """Run pip-audit, print what it found, and return the exit status: 1 if a package is vulnerable."""
    options = ["--format", "json", "--progress-spinner", "off", "--skip-editable", "--timeout", "15"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", *options], capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
        packages = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        log(f"Skipped: no answer from the index of vulnerabilities within {TIMEOUT_SECONDS} s.")
        return 0
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        log(f"Skipped: the index of vulnerabilities cannot be asked ({reason}).")
        return 0
    return report(packages)


def report(packages: list[dict[str, Any]]) -> int:
    """Print what is known about packages, as pip-audit lists them, and return 1 if one is vulnerable."""
    known = [one for one in packages if "skip_reason" not in one]
    rows = [
        (one["name"], one["version"], fault["id"], ", ".join(fault["fix_versions"]) or "none yet")
        for one in known
        for fault in one["vulns"]
    ]
    if rows:
        print_table(("package", "version", "vulnerability", "mended in"), rows)
    unknown = len(packages) - len(known)
    if packages and not known:
        log(f"Skipped: the index of vulnerabilities knows none of {unknown} packages; it cannot be reached from here.")
        return 0
    aside = f"; {unknown} are not in the index" if unknown else ""
    log(f"{len(known)} packages asked about, {len({row[0] for row in rows})} of them vulnerable{aside}.")
    return 1 if rows else 0


if __name__ == "__main__":
    sys.exit(audit())
