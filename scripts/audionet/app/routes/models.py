"""Classifiers that a visitor may choose: list them, choose one, and rename, download or remove one's own.

The docstrings of routes are their descriptions at /api and in /openapi.json.
"""

import asyncio
import shutil
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Form
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from audionet.app.routes.dependencies import KnownUserDep, StateDep, UserDep, health_of
from audionet.app.schemas import Health, ListedModel
from audionet.app.state import AppState
from audionet.app.training_jobs import run_export
from audionet.app.users import RefusedError, User
from audionet.scratch import ScratchFolder

KeyField = Annotated[str, Form(description="Key of the classifier.")]
Format = Literal["folder", "onnx", "tflite"]

router = APIRouter(tags=["page"])


@router.get("/models")
async def list_models(state: StateDep, user: UserDep) -> list[ListedModel]:
    """List the classifiers that the visitor may choose."""
    return listed_models(user, state)


@router.post("/model")
async def use_model(state: StateDep, user: KnownUserDep, model: KeyField) -> Health:
    """Choose the classifier that answers this visitor from now on."""
    chosen = state.model(user, model)
    user.choose_model(chosen.key)
    return health_of(chosen, state)


@router.post("/models/name")
async def rename_model(
    state: StateDep, user: KnownUserDep, model: KeyField, name: Annotated[str, Form()]
) -> list[ListedModel]:
    """Give a classifier of the visitor's another name."""
    user.rename_model(model, name)
    return listed_models(user, state)


@router.delete("/models")
async def remove_model(state: StateDep, user: KnownUserDep, model: str) -> list[ListedModel]:
    """Remove a classifier of the visitor's."""
    job = state.training.job_of(user)
    if job and not job.is_over:
        raise RefusedError("A training of yours runs. Wait for its end or cancel it, then remove classifiers.")
    await asyncio.to_thread(user.remove_model, model)
    return listed_models(user, state)


@router.get("/models/download", response_class=FileResponse)
async def download_model(state: StateDep, user: UserDep, model: str, format: Format = "folder") -> FileResponse:
    """Return a classifier of the visitor's: its folder as zip, or exported and compared, as ONNX or TFLite."""
    folder = user.own_model(model).folder
    scratch = ScratchFolder(state.uploads_dir, prefix="download-")
    try:
        if format == "folder":
            packed = await asyncio.to_thread(shutil.make_archive, str(scratch.path / "classifier"), "zip", folder)
            path = Path(packed)
        else:
            path = scratch.path / f"classifier.{format}"
            async with state.training.turn:
                await run_export(folder, path, export_format=format, audio_dir=user.audio_dir)
    except BaseException:
        scratch.remove()
        raise
    return FileResponse(path, filename=path.name, background=BackgroundTask(scratch.remove))


def listed_models(user: User, state: AppState) -> list[ListedModel]:
    """Return the classifiers that a user may choose, and which of them is in use."""
    in_use = state.model(user).key
    return [
        ListedModel(
            key=one.key,
            name=one.name,
            labels=one.labels(),
            networks=one.networks(),
            mine=one.is_mine,
            in_use=one.key == in_use,
        )
        for one in state.models(user)
    ]
