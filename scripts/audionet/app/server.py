"""The web server around the page: it takes a port, says where the page is, and ends when it is interrupted."""

import contextlib
import socket
import sys
import webbrowser

import uvicorn

from audionet.app.application import make_app
from audionet.app.connections import ConnectionLimits, LimitedConfig
from audionet.app.state import AppSettings
from audionet.errors import InputError

IDLE_SECONDS = 30
MORE_CONNECTIONS = 64  # of an address than requests may wait: for pages, pictures and those who are told to come again
ADDRESSES = 4  # that may have as many connections as one may at the same time


def serve(settings: AppSettings, *, port: int, open_browser: bool) -> int:
    """Serve the page until interrupted, and return the exit status; at port 0, at any that is free.

    Raises:
        InputError: the address cannot be had.
    """
    taken = _take(settings.host, port)
    address = _address(settings, taken.getsockname()[1])
    print(f"The page is at {address}  (Ctrl-C ends it)", flush=True)
    most = settings.most_waiting + MORE_CONNECTIONS
    server = make_server(settings, ConnectionLimits(of_address=most, of_all=ADDRESSES * most))
    if open_browser and sys.stdout.isatty():
        webbrowser.open(address)
    with taken, contextlib.suppress(KeyboardInterrupt):  # that is how it is meant to end
        server.run(sockets=[taken])
    return 0


def make_server(settings: AppSettings, limits: ConnectionLimits) -> uvicorn.Server:
    """Return the server of the page, ready to run."""
    config = LimitedConfig(
        make_app(settings),
        limits,
        log_level="error",  # what comes from outside is answered, and fills no log
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=3,
        server_header=False,
    )
    return uvicorn.Server(config)


def _take(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise InputError(
            f"--host {host} --port {port}: this address cannot be had ({error.strerror}). Choose another port, such as "
            f"--port {port % 65_535 + 1}, or 0 for any that is free."
        ) from error


def _address(settings: AppSettings, port: int) -> str:
    host = _reachable_host() if settings.host in ("0.0.0.0", "::") else settings.host
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={settings.token}" if settings.token else "")


def _reachable_host() -> str:
    """Return this machine's address in its network, which a phone can open, where its name may mean nothing.

    Nothing is sent: to connect a socket of datagrams only chooses the network interface.
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # an address of RFC 5737, which no machine has
        return str(probe.getsockname()[0])
    return socket.gethostname()
