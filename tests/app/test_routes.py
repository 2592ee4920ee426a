"""The page and its HTTP interface, without a browser."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from conftest import SCRIPTS, names_below, run_python, tone, voice, write_sound
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audionet.app.routes import make_app
from audionet.app.sandbox import Limits
from audionet.app.state import AppSettings, RequestQueue
from audionet.commands.app import AppOptions, main
from audionet.errors import InputError

HOME = "http://127.0.0.1"


@pytest.fixture(scope="module")
def page_settings(saved, speakers, tmp_path_factory) -> AppSettings:
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


@pytest.fixture(scope="module")
def client(page_settings):
    with TestClient(make_app(page_settings), base_url=HOME) as client:
        yield client


@pytest.fixture
def clip(tmp_path) -> Path:
    return write_sound(tmp_path / "clip.wav", voice("bob", seed=101))


def predict(client, path: Path, *, name: str | None = None, **fields):
    with path.open("rb") as file:
        return client.post("/predict", files={"file": (name or path.name, file)}, data=fields)


def uploads(client) -> set[str]:
    return names_below(client.app.state.page.uploads)


def test_a_recording_is_labelled(client, clip):
    response = predict(client, clip)
    answer = response.json()
    assert response.status_code == 200
    assert (answer["nearest"], answer["kind"], answer["file"]) == ("bob", "recording", "clip.wav")
    assert answer["probability"] == max(answer["labels"].values()) > 0.5
    assert set(answer["labels"]) == {"alice", "bob", "carol"}
    assert answer["seconds"] == pytest.approx(4.0)
    assert "spectrogram" not in answer


def test_the_answer_is_the_one_that_label_image_gives(client, clip, saved):
    said = run_python(SCRIPTS / "label_image.py", clip, "--model", saved / "retrained_model", "--json").stdout
    answer = predict(client, clip).json()
    assert {name: answer[name] for name in ("label", "score", "labels")} == {
        name: json.loads(said)[name] for name in ("label", "score", "labels")
    }


def test_a_picture_is_labelled(client, drawn):
    answer = predict(client, drawn / "alice" / "0_00000.jpg", look="true").json()
    assert (answer["label"], answer["kind"], answer["seconds"]) == ("alice", "picture", None)
    assert answer["picture"].startswith("data:image/jpeg;base64,")


def test_a_look_shows_the_whole_sound(client, clip):
    answer = predict(client, clip, look="true").json()
    assert answer["spectrogram"].startswith("data:image/png;base64,")
    assert 0.4 < max(answer["loudness"]) <= 1
    spans = answer["spans"]
    assert spans[0]["start_seconds"] == 0 and spans[-1]["end_seconds"] == pytest.approx(4.0)
    assert all(before["end_seconds"] == after["start_seconds"] for before, after in pairwise(spans))


def test_an_answer_is_explained(client, clip):
    with clip.open("rb") as file:
        reason = client.post("/explain", files={"file": (clip.name, file)}).json()
    assert reason["label"] == "bob" and "bob" in reason["sentence"]
    assert reason["picture"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    "name", ["clip", "clip.xyz", "../../clip.wav", "clip.mp3", "CLIP.WAV", "ü\u202e.wav", "-n.wav"]
)
def test_a_file_of_any_name_is_labelled(client, clip, name):
    assert predict(client, clip, name=name).json()["nearest"] == "bob"


def test_an_upload_is_removed_at_once(client, clip, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    for path in (clip, broken):
        predict(client, path)
        assert not uploads(client)


WRONG = {
    "empty.wav": (b"", 422),
    "text.mp3": (b"no sound at all", 422),
    "picture.jpg": (b"\xff\xd8\xff\xe0 no picture", 422),
    "playlist.m4a": (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/hostname.mp3\n#EXT-X-ENDLIST\n", 422),
    "list.mkv": (b"ffconcat version 1.0\nfile clip.wav\n", 422),
    "drawing.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", 422),
    "huge.png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\x01\0\0\0\x01\0\0\x08\x02\0\0\0", 422),
    "large.wav": (bytes(3_500_000), 413),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_cannot_be_used_is_refused_with_a_sentence(client, clip, tmp_path, name):
    content, status = WRONG[name]
    (tmp_path / name).write_bytes(content)
    response = predict(client, tmp_path / name)
    sentence = response.json()["detail"]
    assert response.status_code == status
    assert sentence.endswith(".") and len(sentence) > 30
    assert str(client.app.state.page.uploads) not in sentence and "Traceback" not in sentence
    assert predict(client, clip).status_code == 200


def test_silence_is_refused(client, tmp_path):
    response = predict(client, write_sound(tmp_path / "quiet.wav", np.zeros(32_000, np.float32)))
    assert response.status_code == 422 and "quiet.wav is silent" in response.json()["detail"]


def test_a_recording_that_is_too_long_is_refused(client, tmp_path):
    response = predict(client, write_sound(tmp_path / "long.flac", tone(440, 21.0)))
    assert response.status_code == 413 and "longer than 20 s" in response.json()["detail"]


def test_a_body_that_does_not_say_how_long_it_is_is_read_only_so_far(client):
    def body():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        for _ in range(50):
            yield bytes(100_000)

    response = client.post("/predict", content=body(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert response.status_code == 413 and "larger than 3 MB" in response.json()["detail"]


@given(st.binary(max_size=300), st.sampled_from([".wav", ".mp3", ".flac", ".jpg", ".gif", ".m4a", ""]))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_at_all_bring_the_page_down(client, content, suffix):
    response = client.post("/predict", files={"file": (f"any{suffix}", content)})
    assert response.status_code in (200, 413, 422) and not uploads(client)


@given(st.binary(max_size=200), st.sampled_from(["multipart/form-data; boundary=x", "application/json", "", "a/b"]))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_request_without_a_file_is_refused_whatever_it_holds(client, content, kind):
    response = client.post("/predict", content=content, headers={"content-type": kind})
    assert response.status_code == 400 and response.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/predict", 405), ("GET", "/nowhere", 404), ("GET", "/examples/99", 404), ("GET", "/examples/x", 400)],
)
def test_a_wrong_address_is_refused_with_a_sentence(client, method, path, status):
    response = client.request(method, path)
    assert response.status_code == status and isinstance(response.json()["detail"], str)


@pytest.mark.parametrize(
    "path", ["/static/../routes.py", "/static/%2e%2e/web.py", "/static//etc/passwd", "/runs/../x/report"]
)
def test_no_address_leads_out_of_the_folders_that_are_served(client, path):
    assert client.get(path).status_code == 404


def test_the_interface_describes_itself(client):
    schema = client.get("/openapi.json").json()
    operation = schema["paths"]["/predict"]["post"]
    assert {"200", "400", "401", "413", "422", "503", "504"} <= set(operation["responses"])
    assert {"label", "probability", "labels"} <= set(schema["components"]["schemas"]["Prediction"]["required"])
    assert "multipart/form-data" in operation["requestBody"]["content"]


def test_health_tells_the_labels(client, page_settings):
    health = client.get("/health").json()
    assert health["waiting"] in (0, 1)  # it may be loading the classifier still
    assert (health["status"], health["model"]) == ("ok", page_settings.model.name)
    assert health["labels"] == ["alice", "bob", "carol"]


@pytest.mark.parametrize("path", ["/", "/image", "/teach", "/runs", "/api"])
def test_every_page_asks_nobody_else_for_anything(client, path):
    response = client.get(path)
    assert response.status_code == 200
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    sources = re.findall(r"(?:src|href|action)=\"([^\"]+)\"", response.text)
    assert sources and all(source.startswith(("/", "#")) and not source.startswith("//") for source in sources)


def test_an_example_is_served_and_is_what_it_says(client, speakers):
    response = client.get("/examples/0")
    assert response.content == (speakers / "alice" / "0.mp3").read_bytes()


def test_a_sound_that_a_browser_cannot_play_comes_back_as_wav(client, tmp_path):
    path = write_sound(tmp_path / "a.aiff", tone(440))
    with path.open("rb") as file:
        response = client.post("/sound", files={"file": file})
    assert response.headers["content-type"] == "audio/wav" and response.content[:4] == b"RIFF"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "192.168.0.7:8000"])
def test_a_name_that_leads_here_from_elsewhere_is_turned_away(client, host):
    assert client.get("/health", headers={"host": host}).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999"])
def test_another_page_cannot_ask_in_the_visitors_name(client, clip, origin):
    with clip.open("rb") as file:
        response = client.post("/predict", files={"file": file}, headers={"origin": origin})
    assert response.status_code == 403


def test_our_own_page_may_ask(client, clip):
    with clip.open("rb") as file:
        assert client.post("/predict", files={"file": file}, headers={"origin": HOME}).status_code == 200


@pytest.fixture
def open_client(page_settings):
    """A page that is open to other machines."""
    rules = {**vars(page_settings), "host": "0.0.0.0", "token": "a-good-token"}
    with TestClient(make_app(AppSettings(**rules)), base_url="http://lab.example") as client:
        yield client


def test_other_machines_need_the_token(open_client, clip):
    assert open_client.get("/health").status_code == 200
    for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": "audionet_token=wrong"}):
        assert open_client.get("/", headers=headers).status_code == 401
        with clip.open("rb") as file:
            assert open_client.post("/predict", files={"file": file}, headers=headers).status_code == 401
    with clip.open("rb") as file:
        headers = {"authorization": "Bearer a-good-token"}
        assert open_client.post("/predict", files={"file": file}, headers=headers).json()["nearest"] == "bob"


def test_the_token_in_the_address_is_kept_in_a_cookie_and_taken_out_of_the_address(open_client):
    arrived = open_client.get("/teach?token=a-good-token")
    assert arrived.status_code == 200 and "token" not in str(arrived.url)
    assert open_client.get("/").status_code == 200


def test_nobody_is_led_to_another_site_by_the_token(open_client):
    answer = open_client.get("http://lab.example//evil.example/?token=a-good-token", follow_redirects=False)
    assert answer.headers["location"] == "/evil.example/"


@contextlib.contextmanager
def visiting(client):
    """Another browser, with a memory of its own."""
    kept = client.cookies
    client.cookies = httpx.Cookies()
    client.get("/")
    try:
        yield client
    finally:
        client.cookies = kept


def teach(client, label: str, path: Path):
    with path.open("rb") as file:
        return client.post("/teach/clips", files={"file": file}, data={"label": label})


def test_clips_are_kept_as_plain_sound_and_seen_by_their_owner_alone(client, tmp_path):
    path = write_sound(tmp_path / "mine.mp3", voice("alice", seed=5))
    with visiting(client):
        assert teach(client, "Zoë & <b>", path).json()["labels"] == {"Zoë & <b>": ["001.wav"]}
        place = {"label": "Zoë & <b>", "name": "001.wav"}
        assert client.get("/teach/clip", params=place).content[:4] == b"RIFF"
        with visiting(client):
            assert client.get("/teach/clips").json()["labels"] == {}
            assert client.get("/teach/clip", params=place).status_code == 404
            assert client.delete("/teach/clip", params=place).status_code == 404
        assert client.delete("/teach/clip", params=place).json()["labels"] == {}


@pytest.mark.parametrize("label", ["..", "../../x", "/etc", "a/b", "", "unknown", ".hidden"])
def test_a_label_cannot_escape_the_folder(client, clip, page_settings, label):
    with visiting(client):
        before = names_below(page_settings.taught_dir)
        assert teach(client, label, clip).status_code == 400
        assert names_below(page_settings.taught_dir) == before


def test_a_label_is_added_to_the_classifier_in_use_for_its_visitor_alone(client, page_settings, tmp_path):
    before = names_below(page_settings.model)
    with visiting(client):
        teach(client, "dave", write_sound(tmp_path / "dave.wav", tone(3000, 4.0)))
        assert client.post("/teach/label", data={"label": "dave"}).json()["labels"] == ["alice", "bob", "carol", "dave"]
        assert predict(client, write_sound(tmp_path / "again.wav", tone(3000, 3.0))).json()["nearest"] == "dave"
        with visiting(client):
            assert client.get("/health").json()["labels"] == ["alice", "bob", "carol"]
            assert client.post("/teach/label", data={"label": "dave"}).status_code == 404
        client.delete("/teach")
    assert names_below(page_settings.model) == before


def test_a_label_that_the_classifier_knows_is_not_added_again(client, clip):
    with visiting(client):
        teach(client, "bob", clip)
        response = client.post("/teach/label", data={"label": "bob"})
        assert response.status_code == 400 and "a name of its own" in response.json()["detail"]
        assert client.get("/health").json()["model"] == "retrained_model"
        client.delete("/teach")


def test_what_is_no_sound_is_not_kept_to_be_taught(client, tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    with visiting(client):
        assert teach(client, "alice", tmp_path / "text.wav").status_code == 422
        assert client.get("/teach/clips").json()["labels"] == {}


def test_one_label_is_too_few_to_train_on(client, clip):
    with visiting(client):
        teach(client, "alice", clip)
        response = client.post("/teach/train")
        assert response.status_code == 400 and "a second label" in response.json()["detail"]


def test_everything_of_a_visitor_can_be_removed(client, clip, page_settings):
    with visiting(client):
        before = names_below(page_settings.taught_dir)
        teach(client, "alice", clip)
        assert client.delete("/teach").json()["labels"] == {}
        assert names_below(page_settings.taught_dir) - {"audionet.json"} == before - {"audionet.json"}


def test_a_classifier_of_another_visitor_cannot_be_chosen(client, page_settings):
    with visiting(client):
        assert client.post("/model", data={"model": "served"}).json()["status"] == "ok"
        for key in ("mine/20260101-000000-000000", "../../x", "/etc"):
            assert client.post("/model", data={"model": key}).status_code == 404


def test_without_a_classifier_the_page_opens_and_says_what_to_do(page_settings, clip, tmp_path):
    rules = {**vars(page_settings), "model": tmp_path / "nothing"}
    with TestClient(make_app(AppSettings(**rules)), base_url=HOME) as client:
        assert "There is no classifier yet" in client.get("/").text
        response = predict(client, clip)
        assert response.status_code == 409 and "make train" in response.json()["detail"]
        assert client.get("/health").json()["status"] == "no model"


def test_the_classifier_of_an_earlier_run_can_be_chosen(page_settings, saved, tmp_path):
    for number, folder in enumerate((tmp_path / "gone", saved / "retrained_model")):
        run = {"format": 1, "started": f"2026-01-0{number + 1}", "arguments": {"output_model": str(folder)}}
        (tmp_path / f"{number}.json").write_text(json.dumps(run))
    rules = {**vars(page_settings), "model": tmp_path / "nothing", "runs_dir": tmp_path}
    with TestClient(make_app(AppSettings(**rules)), base_url=HOME) as client:
        assert client.get("/health").json()["labels"] == ["alice", "bob", "carol"]


def test_clips_that_arrive_together_are_all_kept(client, clip):
    with visiting(client), ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: teach(client, "alice", clip), range(8)))
        assert len(client.get("/teach/clips").json()["labels"]["alice"]) == 8
        client.delete("/teach")


def test_runs_are_listed_with_their_reports(client, page_settings, tmp_path):
    report = tmp_path / "report.html"
    report.write_text("<h1>How good it is</h1>")
    page_settings.runs_dir.mkdir(exist_ok=True)
    for number in (1, 2):
        run = {
            "id": f"20260101-00000{number}-aaaa",
            "format": 1,
            "started": f"2026-01-01T00:00:0{number}+00:00",
            "arguments": {"report": str(report)},
        }
        (page_settings.runs_dir / f"{run['id']}.json").write_text(json.dumps(run))
    listed = client.get("/runs").text
    assert listed.count("/report") == 1, "the second run has overwritten the report of the first"
    shown = client.get("/runs/20260101-000002-aaaa/report")
    assert "How good it is" in shown.text and shown.headers["content-security-policy"].startswith("sandbox")
    assert client.get("/runs/20260101-000001-aaaa/report").status_code == 404


class SlowApart:
    """Something that answers when it is told to."""

    def __init__(self):
        self.go = threading.Event()
        self.done = []

    def do(self, task, **arguments):
        self.go.wait(10)
        self.done.append(arguments["number"])
        return arguments["number"]


def test_those_who_wait_are_served_in_order_and_others_asked_to_come_again():
    async def story():
        apart = SlowApart()
        line = RequestQueue(apart, most=5)
        waiting = [asyncio.create_task(line.do("task", number=number)) for number in range(5)]
        await asyncio.sleep(0)
        late = await asyncio.gather(line.do("task", number=9), return_exceptions=True)
        apart.go.set()
        return await asyncio.gather(*waiting), apart.done, late[0], line.waiting

    answers, done, late, waiting = asyncio.run(story())
    assert answers == done == list(range(5))
    assert late.again_seconds >= 1 and "Come again" in str(late)
    assert waiting == 0


@contextlib.contextmanager
def served(*options: object):
    """The real thing: app.py in a process of its own; its address."""
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


def memory_of(process: int) -> int:
    """Return the bytes that a process and its descendants hold."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return pages * os.sysconf("SC_PAGESIZE") + sum(memory_of(int(child)) for child in children)


def test_fifty_at_once_are_all_answered_and_memory_stays_flat(saved, tmp_path):
    labels = ("alice", "bob", "carol")
    clips = [write_sound(tmp_path / f"{name}.wav", voice(name, seed=100 * place)) for place, name in enumerate(labels)]

    async def ask_all(address: str, count: int) -> list[str]:
        async with httpx.AsyncClient(base_url=address, timeout=120) as client:

            async def ask(number: int) -> str:
                clip = clips[number % 3]
                response = await client.post("/predict", files={"file": (clip.name, clip.read_bytes())})
                return response.json()["nearest"]

            return await asyncio.gather(*(ask(number) for number in range(count)))

    with served("--model", saved / "retrained_model", "--taught_dir", tmp_path / "taught") as (address, process):
        expected = [*labels] * 17
        assert asyncio.run(ask_all(address, 50)) == expected[:50]
        before = memory_of(process.pid)
        assert asyncio.run(ask_all(address, 50)) == expected[:50]
        assert memory_of(process.pid) < before + 20_000_000
        assert not names_below(tmp_path / "taught")


def test_more_than_may_wait_are_asked_to_come_again(page_settings, clip):
    with TestClient(make_app(AppSettings(**{**vars(page_settings), "most_waiting": 1})), base_url=HOME) as client:
        client.app.state.page.line.waiting = 1
        response = predict(client, clip)
        client.app.state.page.line.waiting = 0
    assert response.status_code == 503 and int(response.headers["retry-after"]) >= 1


def test_a_file_that_ends_the_process_ends_only_its_own_request(client, clip):
    apart = client.app.state.page.apart
    predict(client, clip)
    killer = threading.Timer(0.0, lambda: os.kill(apart.process_id, signal.SIGKILL))
    killer.start()
    killer.join()
    assert [predict(client, clip).status_code for _ in range(2)] == [422, 200]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": -1}, "--port: expected 0 to 65535"),
        ({"max_waiting": 0}, "--max_waiting: expected more than 0"),
        ({"token": "short"}, "--token: expected 8"),
    ],
)
def test_an_option_that_cannot_work_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        AppOptions(**options)


def test_a_missing_package_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "audionet.app.server", raising=False)
    assert main(["--port", "0"]) == 2
    assert "needs the package uvicorn" in capsys.readouterr().err


def test_a_port_that_is_taken_is_explained(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["--port", str(taken.getsockname()[1])]) == 2
    assert "this address cannot be had" in capsys.readouterr().err


def test_opening_the_page_to_others_warns_and_makes_up_a_token(saved, tmp_path):
    options = ("--host", "0.0.0.0", "--model", saved / "retrained_model", "--taught_dir", tmp_path)
    with served(*options) as (address, process):
        port = address.rpartition(":")[2]
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 401
        assert "Warning: --host 0.0.0.0 lets other machines in" in process.stderr.readline()
