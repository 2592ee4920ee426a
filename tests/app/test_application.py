import pytest


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
