"""The application: the routes behind the access checks, and an answer in JSON to every error."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from audionet.app import worker_tasks
from audionet.app.access import HEADERS, AccessMiddleware, AccessRules, problem
from audionet.app.request_queue import BusyError, GoneError
from audionet.app.routes import classifier, models, pages, teach
from audionet.app.routes.dependencies import PROBLEMS
from audionet.app.sandbox import CrashError, OvertimeError
from audionet.app.state import AppSettings, AppState
from audionet.app.users import MissingError, RefusedError
from audionet.console import log
from audionet.errors import AudioNetError, ClassifierError, PictureError, RecordingError
from audionet.files import printable

STATUS_OF = {
    RecordingError: 422,
    PictureError: 422,
    CrashError: 422,
    worker_tasks.TooLongError: 413,
    RefusedError: 400,
    MissingError: 404,
    ClassifierError: 409,
    OvertimeError: 504,
    GoneError: 499,  # as nginx has it; nobody reads it
}
# Whatever the environment says, nothing is sent anywhere; versions without this setting have nothing to stop.
NO_TELEMETRY: Any = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


def make_app(settings: AppSettings) -> FastAPI:
    """Return the application, ready to be served."""
    app = FastAPI(
        title="AudioNet",
        description="Name what is heard in a recording or seen in a picture. Nothing that is sent is kept, but for "
        "clips that are sent to be taught.",
        version="1",
        lifespan=_lifespan,
        docs_url=None,  # it would load scripts from elsewhere; /api says the same
        redoc_url=None,
        responses=PROBLEMS,
        telemetry=NO_TELEMETRY,
    )
    app.state.settings = settings
    static = StaticFiles(directory=Path(__file__).parent / "static", packages=[("audionet.reports", "static")])
    app.mount("/static", static, name="static")
    for routes in (classifier, teach, models, pages):
        app.include_router(routes.router)
    app.add_exception_handler(AudioNetError, _on_error)
    app.add_exception_handler(BusyError, _on_busy)
    app.add_exception_handler(RequestValidationError, _on_wrong_fields)
    app.add_exception_handler(HTTPException, _on_status)
    app.add_exception_handler(RuntimeError, _on_bug)  # of a worker's task
    app.add_exception_handler(Exception, _on_bug)
    app.add_middleware(AccessMiddleware, rules=AccessRules(settings.host, settings.token, settings.most_bytes))
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.shared = state = AppState(app.state.settings)
    warming_up = asyncio.create_task(state.warm_up())
    yield
    await state.close()
    await warming_up


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    return problem(next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), 400), str(error))


async def _on_busy(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BusyError)
    return problem(503, str(error), {"Retry-After": str(error.retry_after_seconds)})


async def _on_wrong_fields(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    wrong = ", ".join(sorted({str(one["loc"][-1]) for one in error.errors()}))
    return problem(400, f"Expected a form with the right fields; check {printable(wrong)}. /api lists them.")


async def _on_status(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), dict(error.headers or {}))


async def _on_bug(request: Request, error: Exception) -> JSONResponse:
    log(str(error))
    # With the headers, since what nobody expects is answered outside the access checks, which add them otherwise.
    return problem(500, "A fault of this program, not of yours. The window that it runs in says more.", HEADERS)
