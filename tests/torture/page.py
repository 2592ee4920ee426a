"""The page under hostile requests and kills: what was taught stays, the honest are answered right, errors are JSON.

A third of the requests are hostile. In between the server is killed, at times while a clip is being sent, and started
again in the same folders. In the end it is interrupted, after which no process and no temporary file of it is left.
"""

import contextlib
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
import psutil
from conftest import SCRIPTS, tone, voice, write_sound

from audionet.models.classifier import Classifier
from torture import hostile_requests
from torture.hostile_requests import Exchange
from torture.options import PageOptions
from torture.readers import train_two
from torture.tally import Tally
from torture.workplace import import_everything

SPEAKERS = ("alice", "bob", "carol")
REQUESTS_A_KILL = 60
PATIENCE_SECONDS = 60.0
MOST_MEGABYTES = 3


@dataclass
class Visitor:
    """A browser, and what it taught."""

    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)
    taught: dict[str, dict[str, bytes]] = field(default_factory=dict)  # content of each clip by name, by label


@dataclass
class Place:
    """The folders of a page, and files to send to it with their right answers."""

    folder: Path
    clips: dict[Path, dict[str, object]]

    @property
    def scratch(self) -> Path:
        """The folder for its temporary files."""
        return self.folder / "tmp"


def run(options: PageOptions) -> list[Tally]:
    """Send `requests` requests, and return how many were answered as they should."""
    import_everything()
    folder = Path(tempfile.mkdtemp(prefix="audionet-page-"))
    try:
        return Trial(prepared(folder), options).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prepared(folder: Path) -> Place:
    """Train a classifier, and let it answer for some clips."""
    train_two(folder)[0].save(folder / "model")
    (folder / "tmp").mkdir()
    classifier = Classifier.load(folder / "model")
    clips = {}
    for number, speaker in enumerate(SPEAKERS):
        path = write_sound(folder / f"{speaker}.wav", voice(speaker, seed=100 * number + 7, seconds=2.5))
        clips[path] = classifier.score(path).to_json()
    return Place(folder, clips)


class Trial:
    """One run of the page, from the first request to the end."""

    def __init__(self, place: Place, options: PageOptions):
        self._place = place
        self._requests = options.requests
        self._names = [name for name in hostile_requests.REQUESTS if options.wants(name)]
        self._rng = random.Random(options.seed)
        self._visitors = [Visitor(), Visitor()]
        self._honest = Tally("page", "honest requests")
        self._hostile = Tally("page", "hostile requests")
        self._kills = Tally("page", "kills")
        self._process: subprocess.Popen[str] | None = None
        self._address = ""

    def run(self) -> list[Tally]:
        """Send requests, kill the server now and then, and return the tallies."""
        self._start()
        try:
            for number in range(1, self._requests + 1):
                if self._rng.random() < 1 / 3:
                    self._count(self._hostile, self._fault_of_hostile)
                else:
                    self._count(self._honest, self._fault_of_honest)
                if number % REQUESTS_A_KILL == 0:
                    self._count(self._kills, self._fault_after_kill)
            self._count(self._kills, self._fault_after_end)
        finally:
            self._kill()
        return [self._honest, self._hostile, self._kills]

    def _count(self, tally: Tally, trial: Callable[[], str]) -> None:
        begun = time.monotonic()
        fault = trial()
        tally.count(fault, seconds=time.monotonic() - begun)

    def _start(self) -> None:
        place = self._place
        paths = {"model": "model", "taught_dir": "taught", "runs_dir": "runs", "examples_dir": "audio"}
        command = [sys.executable, str(SCRIPTS / "app.py"), "--port", "0", "--no_open_browser"]
        command += [part for name, at in paths.items() for part in (f"--{name}", str(place.folder / at))]
        command += ["--max_megabytes", str(MOST_MEGABYTES), "--max_seconds", "20", "--timeout_seconds", "30"]
        environment = {**os.environ, "TMPDIR": str(place.scratch), "PYTHONDONTWRITEBYTECODE": "1"}
        with (place.folder / "log.txt").open("a") as said:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment)
        assert self._process.stdout is not None  # it is a pipe
        with self._process.stdout as told:  # it says nothing more
            found = re.search(r"(http://\S+?)/ ", told.readline())
        assert found, (place.folder / "log.txt").read_text()
        self._address = found[1]

    def _kill(self) -> list[psutil.Process]:
        """Kill the server alone, without its children, and return these."""
        assert self._process is not None
        children: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        self._process.wait()
        return children

    @contextlib.contextmanager
    def _client(self, visitor: Visitor) -> Iterator[httpx.Client]:
        """Yield a client with the cookies of a visitor, who gets one at the first page."""
        with httpx.Client(base_url=self._address, timeout=PATIENCE_SECONDS, cookies=visitor.cookies) as client:
            if not visitor.cookies:
                client.get("/")
                visitor.cookies = client.cookies
            yield client

    def _fault_of_honest(self) -> str:
        """Send an honest request, and return what is wrong with the answer."""
        visitor = self._rng.choice(self._visitors)
        ask = self._rng.choice((self._predict, self._predict, self._teach, self._teach, self._forget, self._look))
        try:
            with self._client(visitor) as client:
                return ask(client, visitor) or self._fault_of_taught(client, visitor)
        except httpx.HTTPError as error:
            return f"{ask.__name__}: {type(error).__name__}: {error}"

    def _predict(self, client: httpx.Client, visitor: Visitor) -> str:
        path = self._rng.choice(sorted(self._place.clips))
        response = client.post("/predict", files={"file": (path.name, path.read_bytes())})
        if response.status_code != 200:
            return f"predict: {response.status_code} {response.text[:200]}"
        expected, received = self._place.clips[path], response.json()
        differing = [name for name, value in expected.items() if received.get(name) != value]
        return f"predict: another answer than the classifier's: {differing}" if differing else ""

    def _teach(self, client: httpx.Client, visitor: Visitor) -> str:
        label, clip = self._rng.choice(SPEAKERS), self._new_clip()
        response = client.post("/teach/clips", files={"file": ("clip.wav", clip)}, data={"label": label})
        if response.status_code != 200:
            return f"teach: {response.status_code} {response.text[:200]}"
        return self._take_up(client, visitor, response.json()["labels"], label)

    def _new_clip(self) -> bytes:
        path = write_sound(self._place.folder / "new.wav", tone(self._rng.uniform(200, 3000), 0.6))
        return path.read_bytes()

    def _take_up(self, client: httpx.Client, visitor: Visitor, listed: dict[str, list[str]], label: str) -> str:
        """Note the clip that was added, as the page gives it back."""
        known = visitor.taught.setdefault(label, {})
        new = set(listed.get(label, ())) - set(known)
        if len(new) != 1:
            return f"teach: {len(new)} clips are new"
        name = new.pop()
        known[name] = client.get("/teach/clip", params={"label": label, "name": name}).content
        return "" if known[name].startswith(b"RIFF") else "teach: the clip is no wav"

    def _forget(self, client: httpx.Client, visitor: Visitor) -> str:
        taught = [(label, name) for label, clips in visitor.taught.items() for name in clips]
        if not taught:
            return ""
        label, name = self._rng.choice(taught)
        response = client.delete("/teach/clip", params={"label": label, "name": name})
        del visitor.taught[label][name]
        return "" if response.status_code == 200 else f"remove: {response.status_code} {response.text[:200]}"

    def _look(self, client: httpx.Client, visitor: Visitor) -> str:
        path = self._rng.choice(("/", "/teach", "/runs", "/api", "/health", "/image", "/openapi.json", "/examples/0"))
        response = client.get(path)
        return "" if response.status_code == 200 else f"GET {path}: {response.status_code} {response.text[:200]}"

    def _fault_of_taught(self, client: httpx.Client, visitor: Visitor) -> str:
        """Return what differs between what a visitor taught and what the page has of it."""
        listed = client.get("/teach/clips").json()["labels"]
        expected = {label: sorted(clips) for label, clips in visitor.taught.items() if clips}
        if listed != expected:
            return f"taught: {listed} instead of {expected}"
        if not expected:
            return ""
        label = self._rng.choice(sorted(expected))
        name = self._rng.choice(expected[label])
        content = client.get("/teach/clip", params={"label": label, "name": name}).content
        same = hashlib.sha256(content).digest() == hashlib.sha256(visitor.taught[label][name]).digest()
        return "" if same else f"taught: {label}/{name} holds something else"

    def _fault_of_hostile(self) -> str:
        """Send a hostile request, and return what is wrong with the answer."""
        name = self._rng.choice(self._names)
        at = urlsplit(self._address)
        assert at.hostname and at.port
        try:
            exchange = hostile_requests.REQUESTS[name](self._rng, (at.hostname, at.port), self._place.folder)
        except (OSError, httpx.HTTPError) as error:
            exchange = Exchange(None, {}, b"", f"{type(error).__name__}: {error}")
        fault = exchange.fault(may_close=name in hostile_requests.MAY_CLOSE)
        assert self._process is not None
        if self._process.poll() is not None:
            fault = f"the server ended with {self._process.returncode}"
            self._start()
        return f"{name}: {fault}" if fault else ""

    def _fault_after_kill(self) -> str:
        """Kill the server, half of the time while a clip is being sent, start it again, and return what is wrong."""
        visitor = self._rng.choice(self._visitors)
        sender = None
        if self._rng.random() < 0.5:
            with self._client(visitor):  # so that it has its cookie
                pass
            sender = threading.Thread(target=self._send_and_forget, args=(visitor, self._new_clip()))
            sender.start()
            time.sleep(self._rng.uniform(0, 0.3))
        children = self._kill()
        if sender:
            sender.join()
        left = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)[1]
        self._start()
        if left:
            return f"{len(left)} processes outlived the server: {[one.name() for one in left]}"
        with self._client(visitor) as client:
            if sender:  # nobody was told whether this one was kept
                listed = client.get("/teach/clips").json()["labels"].get("alice", [])
                if len(set(listed) - set(visitor.taught.get("alice", {}))) == 1:
                    self._take_up(client, visitor, {"alice": listed}, "alice")
            return self._fault_of_taught(client, visitor)

    def _send_and_forget(self, visitor: Visitor, clip: bytes) -> None:
        with contextlib.suppress(httpx.HTTPError), httpx.Client(base_url=self._address, timeout=10) as client:
            client.cookies = visitor.cookies
            client.post("/teach/clips", files={"file": ("clip.wav", clip)}, data={"label": "alice"})

    def _fault_after_end(self) -> str:
        """Interrupt the server, and return what it leaves behind."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(signal.SIGINT)
        try:
            status = self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            return "it does not end when it is interrupted"
        left = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)[1]
        # Python's own folder for the socket of its fork server stays behind a process that was killed.
        files = sorted(path.name for path in self._place.scratch.iterdir() if not path.name.startswith("pymp-"))
        hidden = [str(path) for path in (self._place.folder / "taught").rglob(".*")]
        said = (self._place.folder / "log.txt").read_text()
        traceback = said[max(0, said.find("Traceback") - 500) :][:4000]
        faults = [
            f"it ended with {status}" * (status != 0),
            f"{len(left)} processes are left" * bool(left),
            f"temporary files are left: {files}" * bool(files),
            f"hidden files are left: {hidden}" * bool(hidden),
            f"it wrote a traceback: {traceback}" * ("Traceback" in said),
        ]
        return "; ".join(filter(None, faults))
