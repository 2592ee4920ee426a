import dataclasses

import pytest
from app_client import HOME
from fastapi.testclient import TestClient

from audionet.app.access import USER_COOKIE
from audionet.app.application import make_app


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/predict", 405), ("GET", "/nowhere", 404), ("GET", "/examples/99", 404), ("GET", "/examples/x", 400)],
)
def test_a_wrong_address_is_refused_with_a_sentence(client, method, path, status):
    response = client.request(method, path)
    assert response.status_code == status and isinstance(response.json()["detail"], str)


@pytest.mark.parametrize(
    "path", ["/static/../access.py", "/static/%2e%2e/access.py", "/static//etc/passwd", "/runs/../x/report"]
)
def test_no_address_leads_out_of_the_folders_that_are_served(client, path):
    assert client.get(path).status_code == 404


def test_the_interface_describes_itself(client):
    schema = client.get("/openapi.json").json()
    operation = schema["paths"]["/predict"]["post"]
    assert {"200", "400", "401", "413", "422", "503", "504"} <= set(operation["responses"])
    assert {"label", "probability", "labels"} <= set(schema["components"]["schemas"]["Prediction"]["required"])
    assert "multipart/form-data" in operation["requestBody"]["content"]


def test_a_fault_of_the_program_is_answered_in_json_too(app_settings, tmp_path, capsys):
    (tmp_path / "file").write_text("where a folder should be")
    app = make_app(dataclasses.replace(app_settings, taught_dir=tmp_path / "file"))
    with TestClient(app, base_url=HOME, raise_server_exceptions=False) as client:
        response = client.post("/model", data={"model": "served"}, headers={"cookie": f"{USER_COOKIE}={'x' * 40}"})
    assert response.status_code == 500 and "fault of this program" in response.json()["detail"]
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert str(tmp_path) in capsys.readouterr().err and str(tmp_path) not in response.text
