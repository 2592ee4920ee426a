import contextlib
import dataclasses
import json
import os
import socket
import threading
import time

import pytest

from audionet.app.connections import ConnectionLimits
from audionet.app.server import make_server

HALF_SENT = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "
WHOLE = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@contextlib.contextmanager
def running(settings, limits: ConnectionLimits):
    """Serve the page from a thread, and yield the address to connect to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = make_server(settings, limits)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield listening.getsockname()
        finally:
            server.should_exit = True
            thread.join()


def connect(address, content: bytes = b"", *, source: str = "127.0.0.1") -> socket.socket:
    connection = socket.create_connection(address, timeout=30, source_address=(source, 0))
    connection.sendall(content)
    return connection


def answer_to(connection: socket.socket) -> tuple[int, dict]:
    """Read an answer until the server closes, and return its status and its JSON."""
    with connection:
        content = b"".join(iter(lambda: connection.recv(4096), b""))
    head, _, body = content.partition(b"\r\n\r\n")
    assert b"application/json" in head and b"default-src 'none'" in head, content
    return int(head.split()[1]), json.loads(body)


@pytest.fixture
def settings(app_settings, tmp_path):
    return dataclasses.replace(app_settings, model=tmp_path / "nothing")


def test_headers_that_do_not_arrive_in_time_end_the_connection(settings):
    with running(settings, ConnectionLimits(header_seconds=0.3)) as address:
        half = connect(address, HALF_SENT)
        status, answer = answer_to(half)
        assert status == 408 and "0.3 s" in answer["detail"]


def test_headers_that_drip_in_are_not_waited_for_longer(settings):
    with running(settings, ConnectionLimits(header_seconds=0.5)) as address, connect(address, HALF_SENT) as slow:
        was_closed = False
        for _ in range(200):
            try:
                slow.sendall(b"x")
            except OSError:
                was_closed = True
                break
            time.sleep(0.05)
        assert was_closed, "the server went on reading"


def test_a_second_request_on_a_connection_has_to_arrive_in_time_too(settings):
    with running(settings, ConnectionLimits(header_seconds=0.3)) as address:
        twice = connect(address, WHOLE.replace(b"Connection: close\r\n", b""))
        assert b"200 OK" in b"".join(iter(lambda: twice.recv(1), b"}"))
        twice.sendall(HALF_SENT)
        assert answer_to(twice)[0] == 408


def test_four_hundred_half_sent_requests_keep_nobody_out(settings):
    with running(settings, ConnectionLimits(of_address=100, of_all=120)) as address:
        half_sent = [connect(address, HALF_SENT) for _ in range(400)]
        for source in ("127.0.0.1", "127.0.0.2"):
            status, answer = answer_to(connect(address, WHOLE, source=source))
            assert (status, answer["status"]) == (200, "no model")
        for connection in half_sent:
            connection.close()


def test_one_address_cannot_take_the_connections_of_another(settings):
    with running(settings, ConnectionLimits(of_address=20, of_all=24)) as address:
        others = [connect(address, HALF_SENT, source="127.0.0.3") for _ in range(3)]
        many = [connect(address, HALF_SENT) for _ in range(60)]
        for other in others:
            other.sendall(b"fast\r\nConnection: close\r\n\r\n")
            assert answer_to(other)[0] == 200
        for connection in many:
            connection.close()


def test_who_has_to_make_room_is_told_so(settings):
    with running(settings, ConnectionLimits(of_address=2)) as address:
        first, second = (connect(address, HALF_SENT) for _ in range(2))
        time.sleep(0.5)
        third = connect(address, HALF_SENT)
        status, answer = answer_to(first)
        assert status == 503 and "2 connections" in answer["detail"]
        second.close(), third.close()


def test_a_request_beyond_those_at_work_is_told_to_come_again(settings):
    begun = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    begun += b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    with running(settings, ConnectionLimits(of_address=2)) as address:
        at_work = [connect(address, begun) for _ in range(2)]
        assert all(b"100 Continue" in connection.recv(4096) for connection in at_work)
        status, answer = answer_to(connect(address, WHOLE))
        assert status == 503 and "2 connections" in answer["detail"]
        for connection in at_work:
            connection.close()


@pytest.mark.parametrize(
    "content",
    [
        b"no http\r\n\r\n",
        b"GET / HTTP/1.1\r\nno header\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600),
        b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000,
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nnot-a-length\r\n",
    ],
)
def test_what_is_no_http_is_answered_with_a_sentence_and_the_server_goes_on(settings, content, caplog):
    with running(settings, ConnectionLimits()) as address:
        with contextlib.suppress(ConnectionResetError):  # where it answered before everything had arrived
            status, answer = answer_to(connect(address, content))
            assert status == 400 and answer["detail"].endswith(".")
        assert answer_to(connect(address, WHOLE))[0] == 200
    assert not [record for record in caplog.records if record.exc_info]


def test_random_bytes_never_bring_the_server_down(settings, caplog):
    with running(settings, ConnectionLimits(header_seconds=2)) as address:
        for length in (1, 10, 100, 1000):
            with connect(address, os.urandom(length)):
                pass
        assert answer_to(connect(address, WHOLE))[0] == 200
    assert not [record for record in caplog.records if record.exc_info]


def test_websockets_are_not_spoken(settings):
    upgrade = WHOLE.replace(b"Connection: close", b"Connection: Upgrade, close\r\nUpgrade: websocket")
    with running(settings, ConnectionLimits()) as address:
        assert answer_to(connect(address, upgrade))[0] == 200
