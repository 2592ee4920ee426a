"""Access: the checks that every request passes before a route reads it.

    loopback   by default the page is for this machine alone; requests under another host name are refused (403)
    origin     pages of other sites in the same browser may not send requests (403)
    token      where the page is open to other machines, requests need the token (401)
    size       a body that is larger than it may be (413) or takes too long to arrive (408) is not read to its end

Every answer tells the browser to load nothing from elsewhere. HEAD is answered as GET is, without the body.
"""

import contextlib
import ipaddress
import secrets
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_COOKIE = "audionet_token"
USER_COOKIE = "audionet_visitor"
YEAR_SECONDS = 365 * 24 * 3600
SHORTEST_SECRET = 32  # characters
DRAIN_SECONDS = 10.0  # for what a client goes on sending although it will be refused
CLOSE = {"connection": "close"}
OPEN_PATHS = frozenset({"/health"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; worker-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class AccessRules:
    """Which requests are let in."""

    host: str  # that the page is served at
    token: str | None  # what a user must know; None where everybody on this machine may use the page
    most_bytes: int  # of a body
    body_seconds: float = 120.0  # that a body may take to arrive


class AccessMiddleware:
    """The checks, as a layer around the application."""

    def __init__(self, app: ASGIApp, rules: AccessRules):
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request or pass it on, with the user's secret in its state: that of the cookie, or a new one."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        refusal = self._refusal(request)
        secret = request.cookies.get(USER_COOKIE, "")
        is_new = len(secret) < SHORTEST_SECRET
        secret = secrets.token_urlsafe(32) if is_new else secret
        scope.setdefault("state", {}).update(user_secret=secret, user_is_new=is_new)
        body = _Body(receive, self._rules)
        new_cookie = cookie_text(USER_COOKIE, secret) if is_new and refusal is None else None
        answer = _Answer(send, body, is_head=scope["method"] == "HEAD", new_cookie=new_cookie)
        if refusal is not None:
            await refusal(scope, receive, answer.send)
            return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, body.receive, answer.send)

    def _refusal(self, request: HTTPConnection) -> Response | None:
        """Return the answer to a request that is refused, or None."""
        rules, scope, headers, query = self._rules, request.scope, request.headers, request.query_params
        if is_loopback(rules.host) and host_name(headers.get("host", "")) not in LOOPBACK_NAMES:
            return problem(403, "This page is for this machine alone. Open it at http://127.0.0.1 with its port.")
        if not _is_own_page(request):
            return problem(403, "This request comes from another page. Open AudioNet's own page, or use a program.")
        announced = headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > rules.most_bytes:
            return problem(413, _too_large(rules.most_bytes), CLOSE)
        if rules.token is None or scope["path"] in OPEN_PATHS:
            return None
        given = headers.get("authorization", "").removeprefix("Bearer ").strip()
        if "token" in query and _is_same(query["token"], rules.token):
            return _redirect_with_cookie(scope, rules.token)
        if _is_same(given, rules.token) or _is_same(request.cookies.get(TOKEN_COOKIE, ""), rules.token):
            return None
        return problem(
            401,
            "This page wants its token. Open the address that audionet app printed, or send the header Authorization: "
            "Bearer TOKEN.",
            {"www-authenticate": "Bearer"},
        )


@dataclass(frozen=True)
class _Answer:
    """Sends an answer with the headers that every answer has; to HEAD, without a body."""

    downstream: Send
    body: "_Body"  # of the request
    is_head: bool
    new_cookie: str | None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] >= 400:
                await self.body.drain()
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if self.new_cookie and headers.get("content-type", "").startswith("text/html"):
                headers.append("set-cookie", self.new_cookie)
        elif self.is_head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self.downstream(message)


class _Body:
    """A request's body, read up to a size and a moment."""

    def __init__(self, receive: Receive, rules: AccessRules):
        self._receive = receive
        self._rules = rules
        self._bytes = 0
        self._is_whole = False
        self._deadline = time.monotonic() + rules.body_seconds

    async def receive(self) -> Message:
        if self._is_whole:
            return await self._receive()
        message = await self._next()
        if self._bytes > self._rules.most_bytes:
            raise HTTPException(413, _too_large(self._rules.most_bytes), CLOSE)
        return message

    async def _next(self) -> Message:
        try:
            with anyio.fail_after(max(0.0, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(
                408, f"The file did not arrive within {self._rules.body_seconds:.0f} s. Send it again."
            ) from None
        self._bytes += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        return message

    async def drain(self) -> None:
        """Read and drop what follows, so that a client that sends everything before it reads gets the answer."""
        with contextlib.suppress(HTTPException, TimeoutError), anyio.fail_after(DRAIN_SECONDS):
            while not self._is_whole:
                if (await self._next())["type"] == "http.disconnect":
                    return


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the answer to a request that cannot be met: a JSON object whose `detail` says why and what to do."""
    return JSONResponse({"detail": detail}, status, headers)


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def host_name(header: str) -> str:
    """Return the name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def cookie_text(name: str, value: str) -> str:
    """Return a cookie that scripts cannot read and other sites do not send."""
    return f"{name}={value}; Path=/; Max-Age={YEAR_SECONDS}; HttpOnly; SameSite=Strict"


def _is_own_page(request: HTTPConnection) -> bool:
    """Tell whether a request reads only, or was sent by a program or by our own page."""
    origin = request.headers.get("origin")
    is_read = request.scope["method"] in ("GET", "HEAD")
    try:
        return is_read or origin is None or urlsplit(origin).netloc == request.headers.get("host", "")
    except ValueError:  # such as http://[
        return False


def _is_same(given: str, token: str) -> bool:
    return secrets.compare_digest(given.encode(), token.encode())


def _redirect_with_cookie(scope: Scope, token: str) -> Response:
    """Put the token into a cookie and take it out of the address, where others could read it."""
    response = RedirectResponse("/" + scope["path"].lstrip("/"), 303)
    response.headers.append("set-cookie", cookie_text(TOKEN_COOKIE, token))
    return response


def _too_large(most_bytes: int) -> str:
    return (
        f"This is larger than {most_bytes / 1e6:.0f} MB, which is the most. Cut it, convert it to mp3, or start the "
        "page with a higher --max_megabytes."
    )
