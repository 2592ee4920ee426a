"""Connections: how long a request's headers may take, how many connections there may be, and errors in JSON.

These checks come before the application and before any token. Where there are too many connections, of one address or
of all, the one that has waited longest for its request makes room; requests at work are never ended.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from audionet.app.access import CLOSE, HEADERS, problem

RETRY_SECONDS = 5
NO_HTTP = (
    "Expected an HTTP request with headers of 16 kB at most. Open the address in a browser, as http:// at its start."
)


@dataclass(frozen=True)
class ConnectionLimits:
    """What connections may take."""

    header_seconds: float = 10.0  # from the first byte of a request, or from the connection, to the end of its headers
    of_address: int = 128
    of_all: int = 512


class LimitedConfig(uvicorn.Config):
    """The settings of a server whose connections have limits; `options` are those of `uvicorn.Config`."""

    def __init__(self, app: ASGIApp, limits: ConnectionLimits, **options: Any):
        # h11 whatever else is installed, since the limits are built on it; nothing here needs WebSockets.
        super().__init__(app, http=LimitedProtocol, ws="none", **options)
        self.limits = limits


class LimitedProtocol(H11Protocol):
    """One connection."""

    def __init__(
        self,
        config: LimitedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ):
        super().__init__(config, server_state, app_state, _loop)
        self._limits = config.limits
        self._header_timer: asyncio.TimerHandle | None = None
        self.waiting_since: float | None = None  # for the headers of a request; None while one is at work
        self.address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection; where there are too many, end another or refuse what this one will ask for."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._wait_for_headers()
        crowd = self._crowd()
        if not crowd:
            return
        waiting = [one for one in crowd if one.waiting_since is not None and one is not self]
        if waiting:
            min(waiting, key=LimitedProtocol._waits_since).refuse(503, self._too_many())
        else:
            self.app = _Refusal(self._too_many())

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request, whose headers must end within their time."""
        if self._header_timer is None and self.conn.our_state is h11.IDLE:
            self._wait_for_headers()
        super().data_received(data)

    def handle_events(self) -> None:
        """Read what has arrived."""
        super().handle_events()
        if self.conn.our_state is not h11.IDLE:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Wait for the next request, whose headers have time from their first byte on."""
        self.waiting_since = time.monotonic()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self.refuse(400, NO_HTTP)

    def refuse(self, status: int, sentence: str) -> None:
        """Answer with an error, unless nothing was asked or an answer has begun, and close the connection."""
        self._stop_waiting()
        is_idle = self.cycle is not None and self.cycle.response_complete and not self.conn.trailing_data[0]
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # so that the application does not answer, too
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and not is_idle:
            retry = {"retry-after": str(RETRY_SECONDS)} if status == 503 else {}
            response = problem(status, sentence, {**HEADERS, **CLOSE, **retry})
            head = h11.Response(status_code=status, headers=response.raw_headers)
            for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _waits_since(self) -> float:
        assert self.waiting_since is not None
        return self.waiting_since

    def _crowd(self) -> list["LimitedProtocol"]:
        """Return the connections out of which one has to make room for this one; none where there is room."""
        open_ones = [
            one for one in self.connections if isinstance(one, LimitedProtocol) and not one.transport.is_closing()
        ]
        of_address = [one for one in open_ones if one.address == self.address]
        if len(of_address) > self._limits.of_address:
            return of_address
        if len(open_ones) > self._limits.of_all:
            largest = Counter(one.address for one in open_ones).most_common(1)[0][0]
            return [one for one in open_ones if one.address == largest]
        return []

    def _too_many(self) -> str:
        return (
            f"There are too many connections: {self._limits.of_address} connections of one address and "
            f"{self._limits.of_all} of all are the most. Come again in {RETRY_SECONDS} s."
        )

    def _wait_for_headers(self) -> None:
        self.waiting_since = time.monotonic()
        self._header_timer = self.loop.call_later(self._limits.header_seconds, self._headers_are_late)

    def _stop_waiting(self) -> None:
        self.waiting_since = None
        if self._header_timer:
            self._header_timer.cancel()
            self._header_timer = None

    def _headers_are_late(self) -> None:
        sentence = (
            f"The headers of this request did not arrive within {self._limits.header_seconds:g} s. Send it again."
        )
        self.refuse(408, sentence)


@dataclass(frozen=True)
class _Refusal:
    """Answers every request of a connection that came when there were too many."""

    sentence: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {**HEADERS, **CLOSE, "retry-after": str(RETRY_SECONDS)}
        await problem(503, self.sentence, headers)(scope, receive, send)
