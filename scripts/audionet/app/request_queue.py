"""The queue in front of the sandboxed worker: requests are served in the order in which they came, up to a limit."""

import asyncio
import math
import time
from collections.abc import Callable

from audionet.app.sandbox import P, Result, SandboxedWorker
from audionet.errors import AudioNetError


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

    async def run(self, task: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Wait for a turn, run a task in the worker and return what it returns, as `SandboxedWorker.run` does.

        Raises:
            BusyError: the queue is full.
            AudioNetError: the task's own.
        """
        if self.waiting >= self._most_waiting:
            retry_after = max(1, math.ceil(self.waiting * self._mean_seconds))
            raise BusyError(f"{self.waiting} requests wait already. Come again in {retry_after} s.", retry_after)
        self.waiting += 1
        try:
            async with self._turn:
                begun = time.monotonic()
                try:
                    return await asyncio.shield(asyncio.to_thread(lambda: self._worker.run(task, *args, **kwargs)))
                finally:
                    self._mean_seconds = 0.8 * self._mean_seconds + 0.2 * (time.monotonic() - begun)
        finally:
            self.waiting -= 1
