"""What routes ask for by their parameters, and the statuses that any of them may answer with."""

from typing import Annotated, Any

from fastapi import Depends, File, Request, UploadFile

from audionet.app.access import SHORTEST_SECRET, USER_COOKIE
from audionet.app.schemas import Health, Problem
from audionet.app.state import AppState
from audionet.app.users import Model, RefusedError, TotalQuota, User

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


# Coroutines, though they wait for nothing: others would run in threads, in which a later request overtakes an earlier.
async def state_of(request: Request) -> AppState:
    """Return what all routes share."""
    state: AppState = request.app.state.shared
    return state


async def user_of(request: Request, state: Annotated[AppState, Depends(state_of)]) -> User:
    """Return the user whose cookie came with the request."""
    return User(
        request.state.user_secret,
        taught_dir=state.settings.taught_dir,
        total_quota=TotalQuota(bytes=state.settings.most_kept_bytes),
    )


async def known_user_of(request: Request, user: Annotated[User, Depends(user_of)]) -> User:
    """Return the user, whose cookie must have come with the request, or nobody would find again what is kept.

    Raises:
        RefusedError: it came without one.
    """
    if request.state.user_is_new:
        raise RefusedError(
            f"Nothing is kept for a request without the cookie {USER_COOKIE}. Open the page in a browser; or send a "
            f"cookie of your own, {SHORTEST_SECRET} random characters or more, with each request."
        )
    return user


StateDep = Annotated[AppState, Depends(state_of)]
UserDep = Annotated[User, Depends(user_of)]
KnownUserDep = Annotated[User, Depends(known_user_of)]
FileField = Annotated[UploadFile, File(description="A recording or a picture, in any usual format.")]


def health_of(model: Model, state: AppState) -> Health:
    """Return whether the page works, and with which classifier."""
    labels = model.labels()
    return Health(
        status="ok" if labels else "no model",
        model=model.name,
        labels=labels,
        networks=model.networks(),
        waiting=state.queue.waiting,
    )
