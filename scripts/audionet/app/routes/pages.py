"""The pages that people look at."""

import asyncio
import base64
import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from audionet.app.routes.dependencies import StateDep, UserDep
from audionet.app.state import AppState
from audionet.app.users import MissingError, User
from audionet.audio.decoding import SUFFIXES
from audionet.evaluation import runs
from audionet.files import UNKNOWN_LABEL, printable

# A report has its style, its pictures, its sounds and one script inside; shown here it is held to that, and apart from
# the page: its script can neither see the page's cookies nor send requests.
REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'sha256-{script}'; style-src 'unsafe-inline'; "
    "img-src data:; media-src data:"
)
TEMPLATES = Jinja2Templates(Path(__file__).parent.parent / "templates")
TEMPLATES.env.filters["printable"] = printable

router = APIRouter()


@dataclass(frozen=True)
class ListedRun:
    """A run on the page Runs."""

    record: Mapping[str, Any]  # as `runs.write_run` wrote it
    report: Path | None  # None where it is gone

    @property
    def texts(self) -> tuple[str, ...]:
        """Its row of the table, as long as `runs.WIDE_COLUMNS`."""
        return runs.rows_of([self.record], wide=True)[0]


@router.get("/", include_in_schema=False)
async def listen(request: Request, state: StateDep, user: UserDep) -> HTMLResponse:
    """Show the page Listen."""
    names = [f"{path.parent.name} {path.stem}" for path in state.examples]
    return _page(request, state, user, "listen", examples=names, sounds=sorted(SUFFIXES))


@router.get("/image", include_in_schema=False)
async def image(request: Request, state: StateDep, user: UserDep) -> HTMLResponse:
    """Show the page Image."""
    return _page(request, state, user, "image")


@router.get("/teach", include_in_schema=False)
async def teach(request: Request, state: StateDep, user: UserDep) -> HTMLResponse:
    """Show the page Teach."""
    return _page(request, state, user, "teach", unknown_label=UNKNOWN_LABEL, sounds=sorted(SUFFIXES))


@router.get("/runs", include_in_schema=False)
async def list_runs(request: Request, state: StateDep, user: UserDep) -> HTMLResponse:
    """Show the page Runs."""
    return _page(request, state, user, "runs", columns=runs.WIDE_COLUMNS, runs=list(runs_of(user, state)))


@router.get("/runs/{run}/report", include_in_schema=False)
async def report(state: StateDep, user: UserDep, run: str) -> HTMLResponse:
    """Show the report of a run."""
    for listed in runs_of(user, state):
        if listed.record.get("id") == run and listed.report:
            headers = {"content-security-policy": REPORT_POLICY.format(script=_report_script_digest())}
            return HTMLResponse(await asyncio.to_thread(listed.report.read_text, "utf-8"), headers=headers)
    raise MissingError("There is no report of such a run.")


@router.get("/api", include_in_schema=False)
async def api(request: Request, state: StateDep, user: UserDep) -> HTMLResponse:
    """Show the page API."""
    address = str(request.base_url).rstrip("/")
    return _page(request, state, user, "api", schema=request.app.openapi(), address=address)


@functools.cache
def _report_script_digest() -> str:
    """Return the digest of the only script that reports have, as a policy names it."""
    script = (resources.files("audionet.reports") / "static" / "report.js").read_bytes()
    return base64.b64encode(hashlib.sha256(script).digest()).decode()


def runs_of(user: User, state: AppState) -> Iterator[ListedRun]:
    """Yield the runs that a user may see, the newest first."""
    seen: set[str] = set()
    for runs_dir in (user.runs_dir, state.settings.runs_dir):
        for record in reversed(runs.read_runs(runs_dir)[0]):
            place = str((record.get("arguments") or {}).get("report") or "")
            is_latest = place not in seen  # a later run has overwritten what an earlier one wrote to the same place
            seen.add(place)
            latest = Path(place) if place and is_latest and Path(place).is_file() else None
            yield ListedRun(record, runs.report_of(runs_dir, record) or latest)


def _page(request: Request, state: AppState, user: User, name: str, **more: Any) -> HTMLResponse:
    model = state.model(user)
    common = {
        "here": name,
        "model": model,
        "models": state.models(user),
        "labels": model.labels(),
        "networks": model.networks(),
        "settings": state.settings,
    }
    return TEMPLATES.TemplateResponse(request, f"{name}.html.j2", {**common, **more})
