import io
import zipfile

import pytest
from app_client import add_clip, another_user
from conftest import tone, write_sound


@pytest.fixture
def taught(client, tmp_path):
    """The key of a classifier of a new user's, whose browser `client` is."""
    with another_user(client):
        add_clip(client, "dave", write_sound(tmp_path / "dave.wav", tone(3000, 4.0)))
        client.post("/teach/label", data={"label": "dave"})
        (key,) = [model["key"] for model in client.get("/models").json() if model["mine"]]
        yield key
        client.delete("/teach")


def test_the_classifier_in_use_is_told_after_a_label_was_added(client, taught):
    (in_use,) = [model for model in client.get("/models").json() if model["in_use"]]
    assert in_use["key"] == taught and in_use["labels"] == ["alice", "bob", "carol", "dave"]


def test_a_classifier_is_renamed_and_removed(client, taught):
    names = [model["name"] for model in client.post("/models/name", data={"model": taught, "name": "Ours"}).json()]
    assert "Ours" in names
    assert not any(model["mine"] for model in client.delete("/models", params={"model": taught}).json())
    assert client.get("/health").json()["labels"] == ["alice", "bob", "carol"]


def test_a_classifier_folder_is_downloaded_whole_by_its_owner_alone(client, taught, app_settings):
    response = client.get("/models/download", params={"model": taught})
    names = set(zipfile.ZipFile(io.BytesIO(response.content)).namelist())
    assert {"classifier.json", "backbone.pb", "head.npz", "enrolled.npz"} <= names
    assert not list(client.app.state.shared.uploads_dir.iterdir())
    with another_user(client):
        for key in (taught, "served", "mine/../../x"):
            assert client.get("/models/download", params={"model": key}).status_code == 404
            assert client.delete("/models", params={"model": key}).status_code == 404


def test_an_export_that_cannot_be_made_says_why(client, taught):
    response = client.get("/models/download", params={"model": taught, "format": "onnx"})
    assert response.status_code == 400 and response.json()["detail"].endswith(".")
    assert not list(client.app.state.shared.uploads_dir.iterdir())
