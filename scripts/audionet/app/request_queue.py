"""The queue in front of the sandboxed worker: requests are served in the order in which they came, up to a limit."""

import asyncio
import math
import time
from collections.abc import Callable

from starlette.requests import Request

from audionet.app.sandbox import P, Result, SandboxedWorker
from audionet.errors import AudioNetError

LOOK_SECONDS = 0.5  # between two looks at whether the client is still there
GRACE_SECONDS = 2.0  # for what nobody waits for any more: starting the worker again would take as long


class GoneError(AudioNetError):
    """The client has closed the connection."""


class BusyError(AudioNetError):
    """The queue is full."""

    def __init__(self, message: str, retry_after_seconds: int):
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class RequestQueue:
    """Requests that wait for the one worker, first come, first served: `waiting` of them, the one at work included."""

    def __init__(self, worker: SandboxedWorker, most_waiting: int):
        self._worker = worker
        self._most_waiting = most_waiting
        self._turn = asyncio.Lock()
        self._mean_seconds = 0.5
        self.waiting = 0
        self.ticket = ""  # of the request at work, if it has one

    async def run_watched(
        self, request: Request, ticket: str, task: Callable[P, Result], *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        """Do as `run` does, but end the work when the client goes; `progress` tells meanwhile how far a ticket is."""
        work = asyncio.create_task(self._run(ticket, task, *args, **kwargs))
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=LOOK_SECONDS)
                if not work.done() and await request.is_disconnected():
                    raise GoneError("Nobody waits for this answer any more.")
        finally:
            work.cancel()
            await asyncio.wait({work})
        return work.result()

    def progress(self, ticket: str) -> float | None:
        """Return how much of the work on a ticket is done, 0..1; None where it is not at work."""
        return self._worker.progress if ticket and ticket == self.ticket else None

    async def run(self, task: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Wait for a turn, run a task in the worker and return what it returns, as `SandboxedWorker.run` does.

        Raises:
            BusyError: the queue is full.
            AudioNetError: the task's own.
        """
        return await self._run("", task, *args, **kwargs)

    async def _run(self, ticket: str, task: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        if self.waiting >= self._most_waiting:
            retry_after = max(1, math.ceil(self.waiting * self._mean_seconds))
            raise BusyError(f"{self.waiting} requests wait already. Come again in {retry_after} s.", retry_after)
        self.waiting += 1
        try:
            async with self._turn:
                begun, self.ticket = time.monotonic(), ticket
                at_work = asyncio.ensure_future(asyncio.to_thread(lambda: self._worker.run(task, *args, **kwargs)))
                try:
                    return await asyncio.shield(at_work)
                except asyncio.CancelledError:
                    await asyncio.wait({at_work}, timeout=GRACE_SECONDS)
                    if not at_work.done():
                        self._worker.interrupt()
                        await asyncio.wait({at_work})
                    at_work.exception()  # which nobody waits for any more
                    raise
                finally:
                    self.ticket = ""
                    self._mean_seconds = 0.8 * self._mean_seconds + 0.2 * (time.monotonic() - begun)
        finally:
            self.waiting -= 1
