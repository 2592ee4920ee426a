"""What the page Teach uses: the user's clips, training on them, and labels added without training.

Users see and change only what is theirs. The docstrings of routes are their descriptions at /api and in /openapi.json.
"""

import asyncio
import shutil
import time
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import FileResponse

from audionet.app import worker_tasks
from audionet.app.routes.classifier import CLIP_SECONDS
from audionet.app.routes.dependencies import FileField, KnownUserDep, StateDep, UserDep, health_of
from audionet.app.schemas import Health, Taught
from audionet.app.state import AppState
from audionet.app.uploads import saved_upload
from audionet.app.users import MINE, MissingError, RefusedError, User
from audionet.errors import AudioNetError
from audionet.files import printable

router = APIRouter(prefix="/teach", tags=["teach"])


@router.get("/clips")
async def clips(state: StateDep, user: UserDep) -> Taught:
    """List the visitor's labels and clips, and how the training is getting on."""
    return taught_by(user, state)


@router.post("/clips")
async def add_clip(state: StateDep, user: KnownUserDep, file: FileField, label: Annotated[str, Form()]) -> Taught:
    """Keep a clip of a label, until the visitor removes it."""
    async with saved_upload(file, state.uploads_dir) as path:
        wav = path.with_name("plain.wav")
        await state.queue.run(worker_tasks.convert_to_wav, path=path, target=wav, most_seconds=CLIP_SECONDS)
        user.add_clip(label, wav)  # without a thread, lest another clip takes its number
    return taught_by(user, state)


@router.get("/clip", response_class=FileResponse)
async def clip(user: UserDep, label: str, name: str) -> FileResponse:
    """Return a clip of the visitor's."""
    return FileResponse(user.clip(label, name), media_type="audio/wav")


@router.delete("/clip")
async def remove_clip(state: StateDep, user: KnownUserDep, label: str, name: str) -> Taught:
    """Remove a clip of the visitor's, and its label with the last one."""
    user.remove_clip(label, name)
    return taught_by(user, state)


@router.post("/train")
async def train(state: StateDep, user: KnownUserDep) -> Taught:
    """Train on the visitor's clips; `GET /teach/clips` tells how it is getting on."""
    state.training.start(user)
    return taught_by(user, state)


@router.post("/cancel")
async def cancel(state: StateDep, user: KnownUserDep) -> Taught:
    """End the visitor's training; clips are kept."""
    await state.training.cancel(user)
    return taught_by(user, state)


@router.post("/label")
async def add_label(state: StateDep, user: KnownUserDep, label: Annotated[str, Form()]) -> Health:
    """Add a label of the visitor's to a copy of the classifier in use, without training, and use that."""
    names = user.clips_by_label().get(label)
    if not names:
        raise MissingError(f"There is no clip of {printable(label)} yet. Add some first.")
    model = state.folder_to_ask(user)
    place = user.new_model()
    try:
        await state.queue.run(
            worker_tasks.add_label,
            model=model,
            target=place / "retrained_model",
            label=label,
            clips=[user.clip(label, name) for name in names],
        )
    except AudioNetError:
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        raise
    user.choose_model(f"{MINE}{place.name}")
    return health_of(state.model(user), state)


@router.delete("")
async def forget(state: StateDep, user: UserDep) -> Taught:
    """Remove every clip, classifier and record of the visitor's."""
    job = state.training.job_of(user)
    if job and not job.is_over:
        raise RefusedError("A training of yours runs. Wait for its end, then remove everything.")
    state.training.remove_job(user)
    await asyncio.to_thread(user.remove_all)
    return taught_by(user, state)


def taught_by(user: User, state: AppState) -> Taught:
    """Return the user's labels and clips, and the training that runs or was the last to run."""
    job = state.training.job_of(user)
    lesson = asdict(job) if job else None
    if lesson:
        lesson["seconds"] = round(time.monotonic() - lesson.pop("begun_at"), 1)
    return Taught(labels=user.clips_by_label(), lesson=lesson)
