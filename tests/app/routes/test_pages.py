import json
import re

import pytest
from app_client import another_user, client_of, predict

from audionet.evaluation.runs import Stopwatch, write_run


@pytest.mark.parametrize("path", ["/", "/image", "/teach", "/runs", "/api"])
def test_every_page_asks_nobody_else_for_anything(client, path):
    response = client.get(path)
    assert response.status_code == 200
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    sources = re.findall(r"(?:src|href|action)=\"([^\"]+)\"", response.text)
    assert sources and all(source.startswith(("/", "#")) and not source.startswith("//") for source in sources)


def test_a_classifier_of_another_user_cannot_be_chosen(client, app_settings):
    with another_user(client):
        assert client.post("/model", data={"model": "served"}).json()["status"] == "ok"
        for key in ("mine/20260101-000000-000000", "../../x", "/etc"):
            assert client.post("/model", data={"model": key}).status_code == 404


def test_runs_are_listed_with_their_reports(client, app_settings, tmp_path):
    report = tmp_path / "report.html"
    report.write_text("<h1>How good it is</h1>")
    app_settings.runs_dir.mkdir(exist_ok=True)
    for number in (1, 2):
        run = {
            "id": f"20260101-00000{number}-aaaa",
            "format": 1,
            "started": f"2026-01-01T00:00:0{number}+00:00",
            "arguments": {"report": str(report)},
        }
        (app_settings.runs_dir / f"{run['id']}.json").write_text(json.dumps(run))
    listed = client.get("/runs").text
    assert listed.count("/report") == 1, "the second run has overwritten the report of the first"
    shown = client.get("/runs/20260101-000002-aaaa/report")
    assert "How good it is" in shown.text and shown.headers["content-security-policy"].startswith("sandbox")
    assert client.get("/runs/20260101-000001-aaaa/report").status_code == 404


def test_a_run_shows_the_report_that_it_keeps(client, app_settings):
    for number in (1, 2):
        write_run(
            app_settings.runs_dir,
            script="retrain.py",
            options={"report": "/nowhere/report.html"},
            watch=Stopwatch(),
            seed=0,
            data={},
            classifier={},
            scores={},
            report=f"<h1>Report {number}</h1>",
        )
    names = re.findall(r'href="/runs/([^/"]+)/report"', client.get("/runs").text)
    assert {client.get(f"/runs/{name}/report").text for name in names} >= {"<h1>Report 1</h1>", "<h1>Report 2</h1>"}


def test_networks_that_answer_together_are_shown_with_what_they_are_worth(app_settings, saved_pair, client):
    with client_of(app_settings, model=saved_pair) as of_two:
        page = of_two.get("/runs").text
        assert re.search(r'<a id="networks"[^>]*\+ twin">2 networks</a>', page)
        assert "Together 95% of chunks right; " in page and "; twin alone 90%." in page
        assert [len(model["networks"]) for model in of_two.get("/models").json()] == [2]
    assert re.search(r'<a id="networks"[^>]* hidden>', client.get("/runs").text)


def test_without_a_classifier_the_page_opens_and_says_what_to_do(app_settings, clip, tmp_path):
    with client_of(app_settings, model=tmp_path / "nothing") as client:
        assert "There is no classifier yet" in client.get("/").text
        response = predict(client, clip)
        assert response.status_code == 409
        assert response.json()["detail"].startswith("There is no classifier yet. Teach one on the page Teach")
        assert client.get("/health").json()["status"] == "no model"
        assert "✓ in use" not in client.get("/runs").text
        assert "(not trained yet)</option>" in client.get("/").text
