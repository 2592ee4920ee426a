"""The page and its HTTP interface: what is asked of a classifier comes in here, waits its turn, and goes out as JSON.

    POST /predict     a file in, its labels out
    GET  /health      whether it is at work
    GET  /openapi.json, /api    the whole interface, for programs and for people

Requests are served in the order in which they came. So many may wait; beyond that they are asked to come again later.
"""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException

from audionet.app import worker_tasks
from audionet.app.access import AccessMiddleware, AccessRules, problem
from audionet.app.sandbox import CrashError, OvertimeError
from audionet.app.schemas import Health, Prediction, Problem, Reason, Taught
from audionet.app.state import AppSettings, AppState, BusyError
from audionet.app.users import STRANGERS, MissingError, Model, RefusedError
from audionet.console import log
from audionet.errors import AudioNetError, ClassifierError, PictureError, RecordingError
from audionet.evaluation import runs
from audionet.files import printable

HERE = Path(__file__).parent
KEPT_SECONDS = 600.0  # of a clip that is taught or converted
# A report has its style, its pictures and its sounds inside, and no script; shown here it is held to that.
REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"
STATUS_OF = {
    RecordingError: 422,
    PictureError: 422,
    CrashError: 422,
    worker_tasks.TooLongError: 413,
    RefusedError: 400,
    MissingError: 404,
    ClassifierError: 409,
    OvertimeError: 504,
}


def page_of(request: Request) -> AppState:
    """Return what the routes share."""
    return request.app.state.page


# Whatever the environment says, nothing is sent anywhere; versions without this setting have nothing to stop.
NO_TELEMETRY: Any = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
PageDep = Annotated[AppState, Depends(page_of)]
FileField = Annotated[UploadFile, File(description="A recording or a picture, in any usual format.")]
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The request lacks something or has something wrong"},
    401: {"model": Problem, "description": "The token is missing or wrong"},
    403: {"model": Problem, "description": "It came from another page or by another name"},
    404: {"model": Problem, "description": "There is no such thing, or it is not yours"},
    408: {"model": Problem, "description": "The file took too long to arrive"},
    409: {"model": Problem, "description": "There is no classifier yet"},
    413: {"model": Problem, "description": "The file is too large or the recording too long"},
    422: {"model": Problem, "description": "The file cannot be read or is silent"},
    503: {"model": Problem, "description": "Too many wait; `Retry-After` says when to come again"},
    504: {"model": Problem, "description": "It took too long"},
}


def make_app(settings: AppSettings) -> FastAPI:
    """Return the application, ready to be served.

    Args:
        settings: what it works with and what it lets in.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.page = page = AppState(settings)
        warming_up = asyncio.create_task(page.warm_up())
        yield
        await page.close()
        await warming_up

    app = FastAPI(
        title="AudioNet",
        description="Name what is heard in a recording or seen in a picture. Nothing that is sent is kept, but for "
        "clips that are sent to be taught.",
        version="1",
        lifespan=lifespan,
        docs_url=None,  # it would load scripts from elsewhere; /api says the same
        redoc_url=None,
        responses=PROBLEMS,
        telemetry=NO_TELEMETRY,
    )
    app.mount(
        "/static", StaticFiles(directory=HERE / "static", packages=[("audionet.reports", "static")]), name="static"
    )
    app.include_router(_router())
    app.add_exception_handler(AudioNetError, _explain)
    app.add_exception_handler(RequestValidationError, _explain_request)
    app.add_exception_handler(HTTPException, _explain_status)
    app.add_exception_handler(BusyError, _send_away)
    app.add_exception_handler(RuntimeError, _confess)
    app.add_middleware(AccessMiddleware, rules=AccessRules(settings.host, settings.token, settings.most_bytes))
    return app


async def _explain(request: Request, error: Exception) -> JSONResponse:
    return problem(next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), 400), str(error))


async def _explain_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    wrong = ", ".join(sorted({str(one["loc"][-1]) for one in error.errors()}))
    return problem(400, f"Expected a form with the right fields; check {printable(wrong)}. /api lists them.")


async def _explain_status(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail), dict(error.headers or {}))


async def _confess(request: Request, error: Exception) -> JSONResponse:
    log(str(error))
    return problem(500, "A fault of this program, not of yours. The window that it runs in says more.")


async def _send_away(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BusyError)
    return problem(503, str(error), {"Retry-After": str(error.again_seconds)})


def _router() -> APIRouter:
    router = APIRouter()
    for add in (_add_interface, _add_teaching, _add_pages):
        add(router)
    return router


def _add_interface(router: APIRouter) -> None:
    """Add what programs use."""

    @router.post("/predict", tags=["classifier"], response_model_exclude_unset=True)
    async def predict(
        request: Request,
        page: PageDep,
        file: FileField,
        model: Annotated[str, Form(description="Which classifier; by default the one in use.")] = "",
        look: Annotated[bool, Form(description="Whether to say what the file looks like, too.")] = False,
    ) -> Prediction:
        """Say what is heard in a recording or seen in a picture."""
        folder = page.model(request, model).folder
        async with page.kept(file) as path:
            found = await page.line.do(
                "predict",
                model=str(folder),
                path=str(path),
                most_seconds=page.settings.most_seconds,
                with_look=look,
            )
        return Prediction(**found, file=printable(file.filename or ""))

    @router.post("/explain", tags=["classifier"])
    async def explain(
        request: Request,
        page: PageDep,
        file: FileField,
        model: Annotated[str, Form(description="Which classifier; by default the one in use.")] = "",
    ) -> Reason:
        """Say and show which part of a recording or a picture speaks for its answer."""
        folder = page.model(request, model).folder
        async with page.kept(file) as path:
            found = await page.line.do(
                "explain",
                model=str(folder),
                path=str(path),
                name=file.filename or path.name,
                most_seconds=page.settings.most_seconds,
            )
        return Reason(**found)

    @router.get("/health", tags=["classifier"])
    async def health(request: Request, page: PageDep) -> Health:
        """Say whether the page is at work, and with which classifier."""
        return health_of(page.model(request), page)

    @router.post("/sound", tags=["page"], response_class=Response)
    async def sound(page: PageDep, file: FileField) -> Response:
        """Return the sound of a recording as wav, which every browser plays."""
        async with page.kept(file) as path:
            wav = path.with_name("sound.wav") if path.suffix != ".wav" else path.with_name("plain.wav")
            await page.line.do("keep_sound", path=str(path), target=str(wav), most_seconds=KEPT_SECONDS)
            return Response(await asyncio.to_thread(wav.read_bytes), media_type="audio/wav")

    @router.get("/examples/{number}", tags=["page"], response_class=FileResponse)
    async def example(page: PageDep, number: int) -> FileResponse:
        """Return a recording to try."""
        if not 0 <= number < len(page.examples):
            raise MissingError("There is no such example.")
        return FileResponse(page.examples[number], filename=page.examples[number].name)


def _add_teaching(router: APIRouter) -> None:
    """Add what the page Teach uses; each visitor sees and changes only what is theirs."""

    @router.get("/teach/clips", tags=["teach"])
    async def clips(request: Request, page: PageDep) -> Taught:
        """List the visitor's labels and clips, and how the training is getting on."""
        return taught_by(request, page)

    @router.post("/teach/clips", tags=["teach"])
    async def add_clip(request: Request, page: PageDep, file: FileField, label: Annotated[str, Form()]) -> Taught:
        """Keep a clip of a label, until the visitor removes it."""
        visitor = page.visitor(request)
        async with page.kept(file) as path:
            plain = path.with_name("plain.wav")
            await page.line.do("keep_sound", path=str(path), target=str(plain), most_seconds=KEPT_SECONDS)
            visitor.keep_clip(label, plain)  # on the spot, lest another clip takes its number
        return taught_by(request, page)

    @router.get("/teach/clip", tags=["teach"], response_class=FileResponse)
    async def clip(request: Request, page: PageDep, label: str, name: str) -> FileResponse:
        """Return a clip of the visitor's."""
        return FileResponse(page.visitor(request).clip(label, name), media_type="audio/wav")

    @router.delete("/teach/clip", tags=["teach"])
    async def remove_clip(request: Request, page: PageDep, label: str, name: str) -> Taught:
        """Remove a clip of the visitor's, and its label with the last one."""
        page.visitor(request).remove_clip(label, name)
        return taught_by(request, page)

    @router.post("/teach/train", tags=["teach"])
    async def train(request: Request, page: PageDep) -> Taught:
        """Train on the visitor's clips; `GET /teach/clips` tells how it is getting on."""
        page.school.begin(page.visitor(request))
        return taught_by(request, page)

    @router.post("/teach/label", tags=["teach"])
    async def add_label(request: Request, page: PageDep, label: Annotated[str, Form()]) -> Health:
        """Add a label of the visitor's to a copy of the classifier in use, without training, and use that."""
        visitor = page.visitor(request)
        clips = visitor.labels().get(label)
        if not clips:
            raise MissingError(f"There is no clip of {printable(label)} yet. Add some first.")
        place = visitor.new_model()
        try:
            await page.line.do(
                "add_label",
                model=str(page.model(request).folder),
                target=str(place / "retrained_model"),
                label=label,
                clips=[str(visitor.clip(label, name)) for name in clips],
            )
        except AudioNetError:
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
            raise
        visitor.choose_model(f"mine/{place.name}")
        return health_of(page.model(request), page)

    @router.delete("/teach", tags=["teach"])
    async def forget(request: Request, page: PageDep) -> Taught:
        """Remove every clip, classifier and record of the visitor's."""
        visitor = page.visitor(request)
        lesson = page.school.lesson_of(visitor)
        if lesson and not lesson.is_over:
            raise RefusedError("A training of yours runs. Wait for its end, then remove everything.")
        page.school.forget(visitor)
        await asyncio.to_thread(visitor.forget)
        return taught_by(request, page)


def _add_pages(router: APIRouter) -> None:
    """Add what people look at."""
    templates = Jinja2Templates(HERE / "templates")
    templates.env.filters["printable"] = printable

    def show(request: Request, page: AppState, name: str, **more: Any) -> HTMLResponse:
        model = page.model(request)
        common = {
            "here": name,
            "model": model,
            "models": page.models(request),
            "labels": model.labels(),
            "settings": page.settings,
        }
        return templates.TemplateResponse(request, f"{name}.html.j2", {**common, **more})

    @router.get("/", include_in_schema=False)
    async def listen(request: Request, page: PageDep) -> HTMLResponse:
        names = [f"{path.parent.name} {path.stem}" for path in page.examples]
        return show(request, page, "listen", examples=names)

    @router.get("/image", include_in_schema=False)
    async def image(request: Request, page: PageDep) -> HTMLResponse:
        return show(request, page, "image")

    @router.get("/teach", include_in_schema=False)
    async def teach(request: Request, page: PageDep) -> HTMLResponse:
        return show(request, page, "teach", strangers=STRANGERS)

    @router.get("/runs", include_in_schema=False)
    async def list_runs(request: Request, page: PageDep) -> HTMLResponse:
        return show(request, page, "runs", columns=runs.COLUMNS, rows=run_rows(request, page))

    @router.get("/runs/{run}/report", include_in_schema=False)
    async def report(request: Request, page: PageDep, run: str) -> HTMLResponse:
        for record, path in reports(request, page):
            if record.get("id") == run and path:
                headers = {"content-security-policy": REPORT_POLICY}
                return HTMLResponse(await asyncio.to_thread(path.read_text, "utf-8"), headers=headers)
        raise MissingError("There is no report of such a run.")

    @router.get("/api", include_in_schema=False)
    async def api(request: Request, page: PageDep) -> HTMLResponse:
        return show(request, page, "api", schema=request.app.openapi(), address=str(request.base_url).rstrip("/"))

    @router.post("/model", tags=["page"])
    async def use_model(request: Request, page: PageDep, model: Annotated[str, Form()]) -> Health:
        """Choose the classifier that answers this visitor from now on."""
        chosen = page.model(request, model)
        page.visitor(request).choose_model(chosen.key)
        return health_of(chosen, page)


def health_of(model: Model, page: AppState) -> Health:
    """Return how the page is doing with a classifier."""
    labels = model.labels()
    return Health(status="ok" if labels else "no model", model=model.name, labels=labels, waiting=page.line.waiting)


def taught_by(request: Request, page: AppState) -> Taught:
    """Return the visitor's labels and clips, and the training that runs or was the last to run."""
    visitor = page.visitor(request)
    lesson = page.school.lesson_of(visitor)
    return Taught(labels=visitor.labels(), lesson=asdict(lesson) if lesson else None)


def reports(request: Request, page: AppState) -> Iterator[tuple[Mapping, Path | None]]:
    """Yield each record of a run that the visitor may see, the newest first, with its report if that is still there."""
    seen: set[str] = set()
    for runs_dir in (page.visitor(request).runs_dir, page.settings.runs_dir):
        for record in reversed(runs.read_runs(runs_dir)[0]):
            place = str((record.get("arguments") or {}).get("report") or "")
            is_latest = place not in seen  # a later run has overwritten what an earlier one wrote to the same place
            seen.add(place)
            yield record, Path(place) if place and is_latest and Path(place).is_file() else None


def run_rows(request: Request, page: AppState) -> list[dict[str, Any]]:
    """Return the table of runs: of each the texts of its row, its id, and whether it has a report."""
    return [
        {"texts": runs.rows_of([record])[0], "id": record.get("id"), "has_report": path is not None}
        for record, path in reports(request, page)
    ]
