"""Requests that no honest browser or program sends, by name, and what an answer to them may be."""

import json
import random
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from conftest import tone, write_sound

PATIENCE_SECONDS = 30.0
MOST_BYTES = 3_000_000

At = tuple[str, int]  # host and port


@dataclass(frozen=True)
class Exchange:
    """What came back."""

    status: int | None  # None where the connection was closed without an answer
    headers: Mapping[str, str]
    body: bytes
    aside: str = ""
    is_head: bool = False

    def fault(self, *, may_close: bool) -> str:
        """Return what is wrong with it: a server error, or an error without its reason as JSON."""
        if self.status is None:
            return "" if may_close else f"closed without an answer ({self.aside})"
        if self.status < 400:
            return ""
        if self.status >= 500 and self.status not in (503, 504):
            return f"{self.status}: {self.body[:200]!r}"
        if self.is_head:
            return ""
        try:
            detail = json.loads(self.body)["detail"]
        except (ValueError, KeyError, TypeError):
            return f"{self.status} without a reason as JSON: {self.body[:200]!r}"
        return "" if isinstance(detail, str) and "Traceback" not in detail else f"{self.status}: {detail!r}"


def exchange(at: At, *parts: bytes, is_head: bool = False, close_early: bool = False) -> Exchange:
    """Send bytes as they are and read the answer to its end."""
    with socket.create_connection(at, timeout=PATIENCE_SECONDS) as connection:
        received, aside = b"", ""
        try:
            for part in parts:
                connection.sendall(part)
            if close_early:
                connection.shutdown(socket.SHUT_WR)
            while not _is_whole(received, is_head=is_head) and (block := connection.recv(65_536)):
                received += block
        except OSError as error:
            aside = f"{type(error).__name__}: {error}"
        return parsed(received, aside=aside, is_head=is_head)


def _is_whole(received: bytes, *, is_head: bool) -> bool:
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return False
    lengths = [line.split(b":")[1] for line in head.lower().splitlines() if line.startswith(b"content-length:")]
    return is_head or (bool(lengths) and len(body) >= int(lengths[0])) or head.split(b" ")[1:2] == [b"304"]


def parsed(received: bytes, *, aside: str, is_head: bool) -> Exchange:
    """Return what an answer says."""
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) < 2 or not words[1].isdigit():
        return Exchange(None, {}, b"", aside or f"received {received[:60]!r}")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Exchange(int(words[1]), headers, body, aside, is_head)


def request(
    at: At, method: str, target: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Exchange:
    """Send a request with one connection."""
    given = {"Host": f"{at[0]}:{at[1]}", "Connection": "close", **(headers or {})}
    if body or method == "POST":
        given.setdefault("Content-Length", str(len(body)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value)
    head = f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("utf-8", "surrogateescape")
    return exchange(at, head, body, is_head=method == "HEAD")


def form(*parts: tuple[str, bytes], boundary: str = "x") -> bytes:
    """Return the body of a form: each part with its headers, as one text, and its content."""
    written = b"".join(
        f"--{boundary}\r\n{head}\r\n\r\n".encode("utf-8", "surrogateescape") + content + b"\r\n"
        for head, content in parts
    )
    return written + f"--{boundary}--\r\n".encode()


MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


def file_part(content: bytes, name: str = "a.wav") -> tuple[str, bytes]:
    """Return the part of a form that holds a file."""
    return f'Content-Disposition: form-data; name="file"; filename="{name}"', content


def field(name: str, value: str) -> tuple[str, bytes]:
    """Return the part of a form that holds a text."""
    return f'Content-Disposition: form-data; name="{name}"', value.encode("utf-8", "surrogateescape")


def post_form(at: At, target: str, *parts: tuple[str, bytes]) -> Exchange:
    """Send a form."""
    return request(at, "POST", target, body=form(*parts), headers=MULTIPART)


def broken_form(rng: random.Random, at: At, folder: Path) -> Exchange:
    """Send a form that is damaged."""
    whole = bytearray(form(file_part(b"RIFF" + bytes(100)), field("label", "alice")))
    for _ in range(rng.randint(1, 8)):
        whole[rng.randrange(len(whole))] = rng.randrange(256)
    cut = bytes(whole[: rng.randint(0, len(whole))]) if rng.random() < 0.5 else bytes(whole)
    return request(at, "POST", rng.choice(("/predict", "/teach/clips", "/explain")), body=cut, headers=MULTIPART)


def wrong_form(rng: random.Random, at: At, folder: Path) -> Exchange:
    """Send a form of another type, with other fields, with too many, or with none."""
    kinds: list[tuple[bytes, Mapping[str, str]]] = [
        (b"", {"Content-Type": "multipart/form-data"}),
        (b"--x--", {"Content-Type": "multipart/form-data; boundary=" + "y" * 300}),
        (b"[" * 100_000, {"Content-Type": "application/json"}),
        (b'{"a":' * 50_000, {"Content-Type": "application/json"}),
        (b"file=1&label=2", {"Content-Type": "application/x-www-form-urlencoded"}),
        (b"a=1&" * 20_000, {"Content-Type": "application/x-www-form-urlencoded"}),
        (form(*[field(f"f{number}", "1") for number in range(3_000)]), MULTIPART),
        (form(*[file_part(b"1") for _ in range(1_500)]), MULTIPART),
        (form(("Content-Disposition: form-data; name=" + "n" * 100_000, b"1")), MULTIPART),
        (form((r'Content-Disposition: form-data; name="file"; filename*=UTF-8' + "''%00%ff", b"1")), MULTIPART),
        (form(("X: " + "y" * 200_000, b"1")), MULTIPART),
        (form(field("file", "no file")), MULTIPART),
        (form(file_part(b"1", "\udcff\udcfe.wav")), MULTIPART),
        (bytes(1000), {"Content-Type": "text/plain; charset=utf-99"}),
    ]
    body, headers = rng.choice(kinds)
    return request(
        at, "POST", rng.choice(("/predict", "/teach/clips", "/teach/label", "/model")), body=body, headers=headers
    )


def other_site(rng: random.Random, at: At, folder: Path) -> Exchange:
    """Ask as another site would: by another host name, from another origin; it must be refused."""
    headers = rng.choice(
        (
            {"Host": "evil.example"},
            {"Host": f"127.0.0.1.evil.example:{at[1]}"},
            {"Host": "[::1"},
            {"Host": "127.0.0.1@evil.example"},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": f"http://127.0.0.1:{at[1] + 1}"},
            {"Origin": "http://[", "Referer": "http://evil.example"},
        )
    )
    found = post_form_with(at, "/teach/clips", headers, file_part(b"RIFF"), field("label", "owned"))
    if found.status is not None and found.status not in (400, 403):
        return Exchange(500, {}, f"let in by {headers}: {found.status}".encode())
    return found


def post_form_with(at: At, target: str, headers: Mapping[str, str], *parts: tuple[str, bytes]) -> Exchange:
    """Send a form with other headers."""
    return request(at, "POST", target, body=form(*parts), headers={**MULTIPART, **headers})


def huge_body(rng: random.Random, at: At, folder: Path) -> Exchange:
    """Announce or send more than may be sent."""
    head = f"POST /predict HTTP/1.1\r\nHost: {at[0]}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    if rng.random() < 0.5:
        body = form(file_part(bytes(MOST_BYTES + 500_000)))
        return exchange(at, f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode(), body)
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    return exchange(
        at, f"{head}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode(), *[chunk] * 8, b"0\r\n\r\n"
    )


def unfinished_body(rng: random.Random, at: At, folder: Path) -> Exchange:
    """Begin to send, and go away."""
    head = f"POST /predict HTTP/1.1\r\nHost: {at[0]}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    parts = f"{head}Content-Length: 100000\r\n\r\n".encode(), form(file_part(bytes(1000)))[: rng.randint(0, 900)]
    return exchange(at, *parts, close_early=True)


def odd_path(rng: random.Random, at: At, folder: Path) -> Exchange:
    """Ask for what lies elsewhere, or for numbers and names that are none."""
    target = rng.choice(
        (
            "/static/../../../../../../etc/passwd",
            "/static/..%2f..%2f..%2fetc%2fpasswd",
            "/static/%2e%2e/%2e%2e/app.py",
            "/static//etc/passwd",
            "/static/%00",
            "/static/\udcff",
            "/runs/..%2f..%2fetc%2fpasswd/report",
            "/runs/x/report",
            "/examples/-1",
            "/examples/99999999999999999999",
            "/examples/abc",
            "/examples/..%2f..",
            "/teach/clip?label=..&name=..",
            "/teach/clip?label=..%2F..%2F..&name=passwd",
            "/teach/clip?label=alice&name=..%2Fmodel.json",
            "/teach/clip?label=%00&name=%00",
            "/teach/clip?label=" + "x" * 5_000 + "&name=001.wav",
            "/teach/clip",
            "//",
            "/" + "a" * 10_000,
            "/%ff%fe",
            "http://evil.example/",
            "*",
            "/?token=" + "x" * 1_000,
            "/?" + "&".join(f"a{number}=1" for number in range(500)),
        )
    )
    found = request(at, rng.choice(("GET", "GET", "HEAD", "DELETE")), target)
    if found.body and b"root:" in found.body:
        return Exchange(500, {}, b"it gave a file of the machine away")
    return found


def odd_label(rng: random.Random, at: At, folder: Path) -> Exchange:
    """Teach or choose what names no label and no classifier."""
    name = rng.choice(
        ("", " ", ".", "..", "../x", "/etc", "a/b", "a\\b", "a:b", "\0", "\n", "x" * 300, "unknown", "\udcff")
    )
    clip = write_sound(folder / "hostile.wav", tone(440, 0.6)).read_bytes()
    if rng.random() < 0.5:
        return post_form(at, "/teach/clips", file_part(clip), field("label", name))
    target, key = rng.choice((("/teach/label", "label"), ("/model", "model")))
    return post_form(at, target, field(key, name or "mine/../../x"))


def odd_method(rng: random.Random, at: At, folder: Path) -> Exchange:
    """Ask by a method that nothing takes."""
    method = rng.choice(("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "BREW", "G\u00cbT"))
    return request(at, method, rng.choice(("/predict", "/", "/health", "/teach/clips", "/nothing")))


def odd_cookie(rng: random.Random, at: At, folder: Path) -> Exchange:
    """Come with a cookie that no page gave."""
    cookie = rng.choice(
        (
            "audionet_visitor=" + "../" * 20,
            "audionet_visitor=" + "x" * 8_000,
            "audionet_visitor=\udcff" + "\udcfe" * 40,
            "audionet_visitor=" + "%00" * 20,
            "audionet_token=x; audionet_visitor=;;;===",
            ";" * 2_000,
        )
    )
    return request(at, "GET", rng.choice(("/teach/clips", "/", "/health")), headers={"Cookie": cookie})


def no_http(rng: random.Random, at: At, folder: Path) -> Exchange:
    """Send what is no HTTP, or is ambiguous."""
    host = f"Host: {at[0]}\r\n"
    post = f"POST /predict HTTP/1.1\r\n{host}"
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x"
    content = rng.choice(
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
            rng.randbytes(200) + b"\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET\r\n\r\n",
            f"GET / HTTP/1.1\r\n{host}X: {'y' * 100_000}\r\n\r\n".encode(),
            f"GET / HTTP/1.1\r\n{host}{'X: y' * 5_000}\r\n\r\n".encode(),
            f"{post}Content-Length: -1\r\n\r\n".encode(),
            f"{post}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello".encode(),
            f"{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
            f"{post}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(),
            f"GET / HTTP/1.1\r\n{host}{upgrade}\r\n\r\n".encode(),
            f"GET / HTTP/1.1\r\n{host}Bad Header: x\r\n\r\n".encode(),
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.0\r\n\r\n",
        )
    )
    return exchange(at, content, close_early=True)


def no_sound(rng: random.Random, at: At, folder: Path) -> Exchange:
    """Send what is no sound and no picture, or lies about itself."""
    sound = write_sound(folder / "hostile.wav", tone(440, 0.6)).read_bytes()
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0) + bytes(20)
    content = rng.choice(
        (
            b"",
            rng.randbytes(2_000),
            sound[:20] + struct.pack("<I", rng.choice((0, 1, 7, 2**32 - 1))) * 2 + sound[28:],
            sound[: rng.randint(0, len(sound))],
            sound[:44],
            b"RIFF\xff\xff\xff\xffWAVEfmt " + rng.randbytes(60),
            b"fLaC" + rng.randbytes(300),
            b"OggS" + rng.randbytes(300),
            b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + rng.randbytes(500),
            b"#EXTM3U\nfile:///etc/passwd\n",
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
            b"PK\x03\x04" + rng.randbytes(100),
            png,
            bytes(500_000),
        )
    )
    names = ("a.wav", "a.mp3", "a.flac", "a.ogg", "a.jpg", "a.png", "a.m4a", "../../a.wav", "-o.wav", "a", "", "..")
    target = rng.choice(("/predict", "/predict", "/explain", "/sound", "/teach/clips"))
    return post_form(
        at, target, file_part(content, rng.choice(names)), field("label", "hostile"), field("look", "true")
    )


REQUESTS: Mapping[str, Callable[[random.Random, At, Path], Exchange]] = {
    one.__name__: one
    for one in (
        *(broken_form, wrong_form, other_site, huge_body, unfinished_body, odd_path, odd_label, odd_method),
        *(odd_cookie, no_http, no_sound),
    )
}

MAY_CLOSE = frozenset({"unfinished_body", "no_http"})
"""What need not be answered, since whoever sent it has gone or asked for nothing."""
