import asyncio
import http.client
import ipaddress
import json
import os
import socket
import sys
from contextlib import closing
from pathlib import Path

import httpx2 as httpx
import pytest
from app_client import served
from conftest import names_below, voice, write_sound

from audionet.commands.app import main


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


def test_who_sends_all_before_reading_learns_why_it_was_refused(tmp_path):
    # A form is refused at its first byte; closing the connection while the rest arrives would reset it.
    options = ("--model", tmp_path / "none", "--taught_dir", tmp_path / "taught", "--runs_dir", tmp_path / "runs")
    with served(*options) as (address, _):
        headers = {"Content-Type": "multipart/form-data; boundary=x", "Transfer-Encoding": "chunked"}
        body = iter([bytes(1 << 20)] * 8)
        with closing(http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)) as connection:
            connection.request("POST", "/predict", body=body, headers=headers, encode_chunked=True)
            response = connection.getresponse()
            assert response.status == 400 and json.loads(response.read())["detail"]


def test_what_a_killed_page_left_is_removed_by_the_next(tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    options = ("--model", tmp_path / "none", "--taught_dir", tmp_path / "taught", "--runs_dir", tmp_path / "runs")
    with pytest.raises(AssertionError), served(*options) as (address, process):
        assert httpx.get(f"{address}/health").status_code == 200
        process.kill()
        process.wait()
    left = set(scratch.glob("audionet-*"))
    with served(*options) as (address, _):
        assert httpx.get(f"{address}/health").status_code == 200
        assert left and not left & set(scratch.glob("audionet-*"))
    assert not set(scratch.glob("audionet-*"))


def test_a_missing_package_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "audionet.app.server", raising=False)
    monkeypatch.delattr("audionet.app.server", raising=False)  # where another test has imported it
    assert main(["--port", "0"]) == 2
    assert "needs the package uvicorn" in capsys.readouterr().err


def test_a_port_that_is_taken_is_explained(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["--port", str(taken.getsockname()[1])]) == 2
    assert "this address cannot be had" in capsys.readouterr().err


def test_the_address_that_is_printed_for_others_is_a_number_that_reaches_this_machine(saved, tmp_path):
    options = ("--host", "0.0.0.0", "--model", saved / "retrained_model", "--taught_dir", tmp_path)
    with served(*options) as (address, _):
        host = address.removeprefix("http://").partition(":")[0]
        assert host == socket.gethostname() or ipaddress.ip_address(host)
        assert httpx.head(address).status_code == 401, "it is reached, and wants its token"


def test_opening_the_page_to_others_warns_and_makes_up_a_token(saved, tmp_path):
    options = ("--host", "0.0.0.0", "--model", saved / "retrained_model", "--taught_dir", tmp_path)
    with served(*options) as (address, process):
        port = address.rpartition(":")[2]
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 401
        assert "Warning: --host 0.0.0.0 lets other machines in" in process.stderr.readline()
