"""The page's teaching, killed: clips that were taken are never lost, and training them again gives what it would have.

A trial starts the page, sends clips of two labels, trains on them, and kills the page, one of its processes or all
somewhere between. Then it starts the page again, sends what is missing, trains, and compares clips and classifier with
those of a page that nobody killed. The network is the default one, since the page trains in a process of its own.
"""

import random
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx
from conftest import voice, write_sound

from audionet.app.access import USER_COOKIE
from audionet.console import log
from torture.options import TeachingOptions
from torture.processes import CommandRun, Target, in_processes
from torture.tally import Tally
from torture.trees import Tree, differences, snapshot
from torture.trial_folder import GRACE_SECONDS, LAST_CHARACTERS, LONGEST_SECONDS
from torture.workplace import import_everything

CASE = "teaching"
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
TARGETS: tuple[Target, ...] = ("main", "worker", "group")
CLIPS = tuple((label, number) for number in range(3) for label in ("alice", "bob"))
USER = {"cookie": f"{USER_COOKIE}={'torture' * 6}"}  # a browser keeps it when the page is started again
SECONDS = 20.0  # in which the page is killed: about what it takes to send the clips and to train


@dataclass
class Page:
    """The page in a folder, started and started again, and what its one user did."""

    folder: Path
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=LONGEST_SECONDS, headers=USER))
    taken: set[tuple[str, str]] = field(default_factory=set)  # label and name of each clip that the page has confirmed

    def start(self) -> None:
        """Start the page and wait until it answers."""
        options = (
            "--port",
            "0",
            "--no_open_browser",
            "--model",
            "none",
            "--taught_dir",
            "taught",
            "--runs_dir",
            "runs",
        )
        messages = self.folder.parent / "messages"
        messages.unlink(missing_ok=True)
        environment = {"TMPDIR": str(self.folder / "tmp")}
        self.process = CommandRun(("app", *options), self.folder, messages, environment).start()
        deadline = time.monotonic() + LONGEST_SECONDS
        while not (found := re.search(r"http://\S+", messages.read_text() if messages.exists() else "")):
            assert self.process.status(within=0.05) is None, messages.read_text()
            assert time.monotonic() < deadline, "the page does not start"
        self.client.base_url = found[0]
        self.client.get("/teach/clips")

    def said(self) -> str:
        """Return what the page wrote to its window."""
        return (self.folder.parent / "messages").read_text(errors="replace")

    def clips(self) -> set[tuple[str, str]]:
        """Return label and name of each clip that the page lists."""
        labels = self.client.get("/teach/clips").raise_for_status().json()["labels"]
        return {(label, name) for label, names in labels.items() for name in names}

    def send_missing(self, sounds: Path) -> None:
        """Send the clips that the page does not list, in order."""
        for label, number in CLIPS:
            name = f"{number + 1:03}.wav"
            if (label, name) in self.clips():
                continue
            with (sounds / label / f"{number}.wav").open("rb") as file:
                answer = self.client.post("/teach/clips", files={"file": file}, data={"label": label})
            answer.raise_for_status()
            self.taken.add((label, name))

    def train(self) -> str:
        """Train on the clips, wait for its end, and return how it ended."""
        self.client.post("/teach/train").raise_for_status()
        deadline = time.monotonic() + LONGEST_SECONDS
        while (job := self.client.get("/teach/clips").raise_for_status().json()["lesson"])["state"] in (
            "waiting",
            "running",
        ):
            if time.monotonic() > deadline:
                return f"after {LONGEST_SECONDS:.0f} s it still trains"
            time.sleep(0.2)
        return "" if job["state"] == "done" else f"training failed: {job['words']}"

    def stop(self) -> None:
        """End the page as Ctrl-C does."""
        self.process.kill("main", signal.SIGINT)
        self.process.status(within=LONGEST_SECONDS)

    def tree(self) -> dict[str, str]:
        """Return the user's clips and classifiers, those of the same moment of training by the same name."""
        for left in (self.folder / "tmp").glob("pymp-*"):
            shutil.rmtree(left)
        for user in (self.folder / "taught").glob("*/"):
            for number, place in enumerate(sorted((user / "models").glob("*/"))):
                shutil.move(place, place.with_name(f"model {number}"))
        tree = snapshot(self.folder)
        return {
            name: value
            for name, value in tree.items()
            if re.search(r"^taught/\w+/(data_audio|models/model \d+($|/retrained_model))|/\.|^tmp", name)
        }


@contextmanager
def page_in(place: Path) -> Iterator[Page]:
    """Yield a page that was not started, in a folder of its own; what is left of it is ended."""
    (place / "here" / "tmp").mkdir(parents=True)
    page = Page(place / "here")
    try:
        yield page
    finally:
        page.client.close()
        page.process.kill("group", signal.SIGKILL)


def run(options: TeachingOptions) -> list[Tally]:
    """Kill the page so often, and return the tally."""
    if not options.wants(CASE):
        return []
    import_everything()
    tally = Tally("teaching", CASE)
    place = Path(tempfile.mkdtemp(prefix="torture-teaching-"))
    try:
        for label in ("alice", "bob"):
            for number in range(3):
                sound = voice(label, seed=number, seconds=2.5)
                write_sound(place / "sounds" / label / f"{number}.wav", sound)
        ((_, reference),) = in_processes(MakeReference(place), [0], jobs=1)
        numbers = [number for number in range(options.kills) if options.trial in ("", str(number))]
        work = DoTrial(place, reference, options.seed)
        for number, (fault, seconds) in in_processes(work, numbers, jobs=options.jobs):
            repeat = f'make torture TORTURE="teaching --seed {options.seed} --trial {number}"'
            tally.count(fault, seconds=seconds, repeat=repeat)
    finally:
        if options.keep:
            log(f"Kept: {place}")
        else:
            shutil.rmtree(place)
    return [tally]


@dataclass(frozen=True)
class MakeReference:
    """Teaches a page that nobody kills."""

    place: Path

    def __call__(self, number: int) -> Tree:
        """Return what it holds then."""
        with page_in(self.place / "reference") as page:
            page.start()
            page.send_missing(self.place / "sounds")
            fault = page.train()
            assert not fault, fault
            page.stop()
            return page.tree()


@dataclass(frozen=True)
class DoTrial:
    """Does trials, by number."""

    place: Path
    reference: Tree
    seed: int

    def __call__(self, number: int) -> tuple[str, float]:
        """Return what was wrong, if anything, and how many seconds it took."""
        rng = random.Random(f"{self.seed} {number}")
        target, sent, moment = rng.choice(TARGETS), rng.choice(SIGNALS), rng.random()
        begun = time.monotonic()
        with page_in(self.place / f"trial{number}") as page:
            fault = self._fault_of(page, target, sent, moment, rng.randrange(100))
        told = f"trial {number} ({sent.name} to {target} after {moment * SECONDS:.1f} s): {fault}" if fault else ""
        return told, time.monotonic() - begun

    def _fault_of(self, page: Page, target: Target, sent: signal.Signals, moment: float, choice: int) -> str:
        page.start()
        timer = threading.Timer(moment * SECONDS, page.process.kill, (target, sent), {"choice": choice})
        timer.start()
        try:
            page.send_missing(self.place / "sounds")
            page.train()
        except httpx.HTTPStatusError:
            pass  # a worker was killed, which the page said
        except httpx.TransportError as error:
            if target == "worker":
                return f"the page itself went away: {error!r}: {page.said()[-LAST_CHARACTERS:]}"
        finally:
            timer.cancel()
            timer.join()
        page.process.kill(target, sent, choice=choice)  # if it was quicker
        if target == "worker":
            page.stop()
        if page.process.status(within=LONGEST_SECONDS) is None:
            return "the page does not end"
        if left := page.process.left_after(GRACE_SECONDS):
            return f"processes are left after {GRACE_SECONDS:.0f} s: {'; '.join(left)}"
        if "Traceback" in page.said():
            return f"a traceback: {page.said()[-LAST_CHARACTERS:]}"
        return self._fault_of_next(page)

    def _fault_of_next(self, page: Page) -> str:
        page.start()
        if lost := page.taken - page.clips():
            return f"clips were lost: {lost}"
        page.send_missing(self.place / "sounds")
        if fault := page.train():
            return fault
        page.stop()
        tree = page.tree()
        told = differences(one_model(tree), self.reference)
        return f"{len(told)} differences: {'; '.join(told[:6])}" if told else ""


def one_model(tree: Tree) -> dict[str, str]:
    """Return a tree with only the last of the classifiers, as the first one: an earlier one may have been finished."""
    last = max(name for name in tree if re.search(r"models/model \d+$", name)).rpartition("/")[2]
    return {
        name.replace(f"/{last}", "/model 0"): value
        for name, value in tree.items()
        if "models/model " not in name or f"/{last}" in name
    }
