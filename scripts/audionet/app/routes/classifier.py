"""What programs use: labels and explanations of files, the health of the page, sounds as wav and examples.

The docstrings of routes are their descriptions at /api and in /openapi.json.
"""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import FileResponse, Response

from audionet.app import worker_tasks
from audionet.app.routes.dependencies import FileField, StateDep, UserDep, health_of
from audionet.app.schemas import Health, LiveAnswer, Prediction, Progress, Reason
from audionet.app.uploads import saved_upload
from audionet.app.users import MissingError
from audionet.files import printable

CLIP_SECONDS = 600.0  # of a recording that is converted or kept
ModelField = Annotated[str, Form(description="Which classifier; by default the one in use.")]

router = APIRouter()


@router.post("/predict", tags=["classifier"], response_model_exclude_unset=True)
async def predict(
    request: Request,
    state: StateDep,
    user: UserDep,
    file: FileField,
    model: ModelField = "",
    look: Annotated[bool, Form(description="Whether to say what the file looks like, too.")] = False,
    ticket: Annotated[str, Form(description="Any text, to ask `GET /progress` about.", max_length=100)] = "",
) -> Prediction:
    """Say what is heard in a recording or seen in a picture. The work ends where the client closes the connection."""
    folder = state.folder_to_ask(user, model)
    async with saved_upload(file, state.uploads_dir) as path:
        return await state.queue.run_watched(
            request,
            ticket,
            worker_tasks.predict,
            model=folder,
            path=path,
            name=printable(file.filename or ""),
            most_seconds=state.settings.most_seconds,
            look=look,
        )


@router.get("/progress", tags=["classifier"])
async def progress(state: StateDep, ticket: str) -> Progress:
    """Say how far the work on a request is, by the ticket that it was sent with."""
    return Progress(share=state.queue.progress(ticket), waiting=state.queue.waiting)


@router.post("/live", tags=["page"])
async def live(
    state: StateDep,
    user: UserDep,
    file: FileField,
    session: Annotated[str, Form(description="Any text, the same for all windows of a stream.", max_length=100)],
    model: ModelField = "",
) -> LiveAnswer:
    """Say what is heard in the last seconds of a stream, by the rule of `audionet listen`."""
    folder = state.folder_to_ask(user, model)
    async with saved_upload(file, state.uploads_dir) as path:
        return await state.queue.run(
            worker_tasks.live_answer, model=folder, path=path, session=f"{user.folder.name}/{session}"
        )


@router.post("/explain", tags=["classifier"])
async def explain(state: StateDep, user: UserDep, file: FileField, model: ModelField = "") -> Reason:
    """Say and show which part of a recording or a picture speaks for its answer."""
    folder = state.folder_to_ask(user, model)
    async with saved_upload(file, state.uploads_dir) as path:
        return await state.queue.run(
            worker_tasks.explain_answer,
            model=folder,
            path=path,
            name=file.filename or path.name,
            most_seconds=state.settings.most_seconds,
        )


@router.get("/health", tags=["classifier"])
async def health(state: StateDep, user: UserDep) -> Health:
    """Say whether the page is at work, and with which classifier."""
    return health_of(state.model(user), state)


@router.post("/sound", tags=["page"], response_class=Response)
async def sound(state: StateDep, file: FileField) -> Response:
    """Return the sound of a recording as wav, which every browser plays."""
    async with saved_upload(file, state.uploads_dir) as path:
        wav = path.with_name("plain.wav")
        await state.queue.run(worker_tasks.convert_to_wav, path=path, target=wav, most_seconds=CLIP_SECONDS)
        return Response(await asyncio.to_thread(wav.read_bytes), media_type="audio/wav")


@router.get("/examples/{number}", tags=["page"], response_class=FileResponse)
async def example(state: StateDep, number: int) -> FileResponse:
    """Return a recording to try."""
    if not 0 <= number < len(state.examples):
        raise MissingError("There is no such example.")
    return FileResponse(state.examples[number], filename=state.examples[number].name)
