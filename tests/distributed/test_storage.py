"""Recordings in a real S3 server on loopback: what is drawn of them, and what happens when the store fails."""

import http.client
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import names_below, run_audionet, voice, write_sound, write_speakers

from audionet.data.preprocessing import make_pictures
from audionet.distributed import storage
from audionet.distributed.storage import RemotePath, find_files, local_copy, named
from audionet.errors import InputError
from audionet.features.recipes import find_recipe
from audionet.inference.batch_scoring import find_clips, side_by_side

pytest.importorskip("moto")
s3fs = pytest.importorskip("s3fs")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # warnings of others' packages
]

RECIPE = find_recipe("default")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Proxy(http.server.ThreadingHTTPServer):
    """Passes requests on to a server, or answers 503 to as many of the next ones as it is told."""

    request_queue_size = 64  # several processes ask at once
    daemon_threads = True

    def __init__(self, target_port: int):
        super().__init__(("127.0.0.1", 0), _Passing)
        self.target_port, self.refusals, self.fetched = target_port, 0, []


class _Passing(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.refusals:
            self.server.refusals -= 1
            self._answer(503, {}, b"")
            return
        self.server.fetched.append(f"{self.command} {self.path}")
        onward = http.client.HTTPConnection("127.0.0.1", self.server.target_port, timeout=20)
        onward.request(self.command, self.path, body, dict(self.headers))
        answer = onward.getresponse()
        self._answer(answer.status, dict(answer.getheaders()), answer.read())
        onward.close()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - as http.server calls them

    def _answer(self, status: int, headers: dict, content: bytes):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        length = headers.get("Content-Length", len(content)) if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def store():
    """Start a server of S3 with a bucket `season` behind a proxy, and yield the proxy."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        proxy = Proxy(port)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        variables = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.server_port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        os.environ.update(variables)
        s3fs.S3FileSystem().mkdir("season")
        yield proxy
        for name in variables:
            del os.environ[name]
        proxy.shutdown()
        proxy.server_close()
        server.kill()


@pytest.fixture
def bucket(store, tmp_path):
    """A folder of recordings, and the same in the bucket; yield both."""
    folder = write_speakers(tmp_path / "voices", recordings=2, seconds=5)
    write_sound(folder / "bob" / "old tapes" / "é.wav", voice("bob", seed=9))
    store.refusals = 0
    fs = s3fs.S3FileSystem(skip_instance_cache=True)
    fs.put(str(folder), f"season/{tmp_path.name}", recursive=True)
    storage._store.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()
    store.fetched.clear()
    return folder, Path(f"s3://season/{tmp_path.name}")


def contents_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names_below(folder) if name.endswith((".jpg", ".wav"))}


def fetched(store) -> list[str]:
    """Return the recordings that were read since the bucket was filled."""
    return [
        line for line in store.fetched if line.startswith("GET") and line.partition("?")[0].endswith(("mp3", "wav"))
    ]


def test_a_url_stays_one_though_it_is_taken_for_a_path():
    path = named(Path("s3://bucket/voices"))
    assert str(path / "alice" / "a b.mp3") == "s3://bucket/voices/alice/a b.mp3"
    assert (path.resolve(), str(path.parent)) == (path, "s3://bucket")
    assert not isinstance(named(Path("recordings/s3:/x")), RemotePath)


def test_pictures_of_a_bucket_are_those_of_a_folder_byte_for_byte(bucket, tmp_path, store):
    folder, url = bucket
    from_bucket = make_pictures(url, tmp_path / "there", recipe=RECIPE)
    make_pictures(folder, tmp_path / "here", recipe=RECIPE)
    assert contents_of(tmp_path / "there") == contents_of(tmp_path / "here") != {}
    assert from_bucket.recordings_made == 7
    assert len(fetched(store)) == 7


def test_only_what_is_new_or_changed_in_a_bucket_is_fetched_again(bucket, tmp_path, store):
    _, url = bucket
    make_pictures(url, tmp_path / "there", recipe=RECIPE)
    fs = s3fs.S3FileSystem(skip_instance_cache=True)
    changed = write_sound(tmp_path / "new.mp3", voice("alice", seed=77))
    fs.put(str(changed), f"{str(named(url))[5:]}/alice/0.mp3")
    fs.rm(f"{str(named(url))[5:]}/carol/1.mp3")
    storage._store.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()
    store.fetched.clear()
    again = make_pictures(url, tmp_path / "there", recipe=RECIPE)
    assert (again.recordings_made, again.recordings_kept, again.pictures_removed > 0) == (1, 5, True)
    assert {line[-11:] for line in fetched(store)} == {"alice/0.mp3"}


def test_a_store_that_answers_503_for_a_while_is_asked_again(bucket, tmp_path, store, monkeypatch):
    monkeypatch.setattr(storage, "WAITS_SECONDS", (0, 0, 0, 0, 0))
    _, url = bucket
    store.refusals = 7  # more than the library retries by itself
    assert len(find_files(named(url), option="--audio_dir")) == 7
    store.refusals = 7  # more than the library retries by itself
    with local_copy(named(url) / "alice" / "0.mp3") as copy:
        assert copy.stat().st_size > 1000
    assert not copy.exists()


def test_a_broken_recording_in_a_bucket_is_named_by_its_url(bucket, tmp_path):
    _, url = bucket
    fs = s3fs.S3FileSystem(skip_instance_cache=True)
    fs.pipe(f"{str(named(url))[5:]}/bob/broken.wav", b"no sound")
    s3fs.S3FileSystem.clear_instance_cache()
    storage._store.cache_clear()
    result = make_pictures(url, tmp_path / "there", recipe=RECIPE)
    assert result.recordings_made == 7
    assert str(named(url) / "bob" / "broken.wav") in result.failures["bob/broken.wav"]


def test_clips_of_a_bucket_are_scored_under_their_urls(bucket):
    _, url = bucket
    found = side_by_side(lambda path: path.stat().st_size, find_clips([url]), recipe=None, description="", jobs=2)
    sizes = {str(clip): size for clip, size in found}
    assert len(sizes) == 7
    assert sizes[str(named(url) / "bob" / "old tapes" / "é.wav")] > 1000


@pytest.mark.parametrize("url", ["s3://no-such-bucket/voices", "s3://season/nothing"])
def test_a_bucket_that_is_not_there_is_named(store, url, tmp_path):
    with pytest.raises(InputError, match=f"--audio_dir: {url} holds no file"):
        make_pictures(Path(url), tmp_path / "there", recipe=RECIPE)
    assert not (tmp_path / "there").exists()


def test_a_store_without_its_package_says_what_to_install(tmp_path, capsys):
    assert run_audionet("data", "--audio_dir", "gs://bucket/voices", "--image_dir", tmp_path / "there") == 2
    assert "pip install './scripts[storage]' gcsfs" in capsys.readouterr().err
