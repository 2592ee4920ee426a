"""The page without a browser: its settings, a client, and the real server in a process of its own."""

import contextlib
import dataclasses
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SCRIPTS, names_below, voice, write_sound

HOME = "http://127.0.0.1"


@pytest.fixture(scope="session")
def app_settings(saved, speakers, tmp_path_factory):
    """The settings of a page that serves `saved`."""
    from audionet.app.sandbox import Limits
    from audionet.app.state import AppSettings

    folder = tmp_path_factory.mktemp("page")
    return AppSettings(
        model=saved / "retrained_model",
        taught_dir=folder / "taught",
        examples_dir=speakers,
        runs_dir=folder / "runs",
        most_bytes=3_000_000,
        most_seconds=20.0,
        limits=Limits(seconds=20.0),
    )


def client_of(settings, *, address: str = HOME, **changed):
    """Return a client of a page of its own, to be used as a context manager."""
    from fastapi.testclient import TestClient

    from audionet.app.application import make_app

    return TestClient(make_app(dataclasses.replace(settings, **changed)), base_url=address)


@pytest.fixture(scope="session")
def client(app_settings):
    """A client of the page that most tests share."""
    with client_of(app_settings) as client:
        yield client


@pytest.fixture
def clip(tmp_path) -> Path:
    """Bob, who is among `speakers`."""
    return write_sound(tmp_path / "clip.wav", voice("bob", seed=101))


@contextlib.contextmanager
def another_user(client):
    """Another browser, with cookies of its own."""
    import httpx2 as httpx

    kept = client.cookies
    client.cookies = httpx.Cookies()
    client.get("/")
    try:
        yield client
    finally:
        client.cookies = kept


def predict(client, path: Path, *, name: str | None = None, **fields):
    """Send a file to be labelled."""
    with path.open("rb") as file:
        return client.post("/predict", files={"file": (name or path.name, file)}, data=fields)


def add_clip(client, label: str, path: Path):
    """Send a file to be kept as a clip of a label."""
    with path.open("rb") as file:
        return client.post("/teach/clips", files={"file": file}, data={"label": label})


def uploads(client) -> set[str]:
    """Return the uploads that lie on the disk."""
    return names_below(client.app.state.shared.uploads_dir)


@contextlib.contextmanager
def served(*options: object):
    """Run app.py in a process of its own, and yield its address and the process."""
    command = [sys.executable, str(SCRIPTS / "app.py"), "--port", "0", "--no_open_browser", *map(str, options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        said = process.stdout.readline()
        assert "http://" in said, process.stderr.read()
        yield re.search(r"(http://\S+?)/(\?\S+)? ", said)[1], process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0
