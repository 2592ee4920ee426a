from concurrent.futures import ThreadPoolExecutor

import pytest
from app_client import add_clip, another_user, client_of, predict
from conftest import names_below, tone, voice, write_sound

from audionet.app.access import USER_COOKIE


def test_clips_are_kept_as_plain_sound_and_seen_by_their_owner_alone(client, tmp_path):
    path = write_sound(tmp_path / "mine.mp3", voice("alice", seed=5))
    with another_user(client):
        assert add_clip(client, "Zoë & <b>", path).json()["labels"] == {"Zoë & <b>": ["001.wav"]}
        place = {"label": "Zoë & <b>", "name": "001.wav"}
        assert client.get("/teach/clip", params=place).content[:4] == b"RIFF"
        with another_user(client):
            assert client.get("/teach/clips").json()["labels"] == {}
            assert client.get("/teach/clip", params=place).status_code == 404
            assert client.delete("/teach/clip", params=place).status_code == 404
        assert client.delete("/teach/clip", params=place).json()["labels"] == {}


@pytest.mark.parametrize("label", ["..", "../../x", "/etc", "a/b", "", "unknown", ".hidden"])
def test_a_label_cannot_escape_the_folder(client, clip, app_settings, label):
    with another_user(client):
        before = names_below(app_settings.taught_dir)
        assert add_clip(client, label, clip).status_code == 400
        assert names_below(app_settings.taught_dir) == before


def test_a_label_is_added_to_the_classifier_in_use_for_its_user_alone(client, app_settings, tmp_path):
    before = names_below(app_settings.model)
    with another_user(client):
        add_clip(client, "dave", write_sound(tmp_path / "dave.wav", tone(3000, 4.0)))
        assert client.post("/teach/label", data={"label": "dave"}).json()["labels"] == ["alice", "bob", "carol", "dave"]
        assert predict(client, write_sound(tmp_path / "again.wav", tone(3000, 3.0))).json()["nearest"] == "dave"
        with another_user(client):
            assert client.get("/health").json()["labels"] == ["alice", "bob", "carol"]
            assert client.post("/teach/label", data={"label": "dave"}).status_code == 404
        client.delete("/teach")
    assert names_below(app_settings.model) == before


def test_a_label_that_the_classifier_knows_is_not_added_again(client, clip):
    with another_user(client):
        add_clip(client, "bob", clip)
        response = client.post("/teach/label", data={"label": "bob"})
        assert response.status_code == 400 and "a name of its own" in response.json()["detail"]
        assert client.get("/health").json()["model"] == "retrained_model"
        client.delete("/teach")


def test_what_is_no_sound_is_not_kept_to_be_taught(client, tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    with another_user(client):
        assert add_clip(client, "alice", tmp_path / "text.wav").status_code == 422
        assert client.get("/teach/clips").json()["labels"] == {}


def test_one_label_is_too_few_to_train_on(client, clip):
    with another_user(client):
        add_clip(client, "alice", clip)
        response = client.post("/teach/train")
        assert response.status_code == 400 and "a second label" in response.json()["detail"]


def test_everything_of_a_user_can_be_removed(client, clip, app_settings):
    with another_user(client):
        before = names_below(app_settings.taught_dir)
        add_clip(client, "alice", clip)
        assert client.delete("/teach").json()["labels"] == {}
        assert names_below(app_settings.taught_dir) - {"audionet.json"} == before - {"audionet.json"}


def test_clips_that_arrive_together_are_all_kept(client, clip):
    with another_user(client), ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: add_clip(client, "alice", clip), range(8)))
        assert len(client.get("/teach/clips").json()["labels"]["alice"]) == 8
        client.delete("/teach")


def test_nothing_is_kept_for_who_could_not_find_it_again(app_settings, clip):
    with client_of(app_settings) as nobody:
        before = names_below(app_settings.taught_dir)
        for response in (
            add_clip(nobody, "alice", clip),
            nobody.post("/teach/train"),
            nobody.post("/model", data={"model": "served"}),
        ):
            assert response.status_code == 400 and "cookie" in response.json()["detail"]
        assert names_below(app_settings.taught_dir) == before
        headers = {"cookie": f"{USER_COOKIE}={'x' * 40}"}
        with clip.open("rb") as file:
            kept = nobody.post("/teach/clips", files={"file": file}, data={"label": "alice"}, headers=headers)
        assert kept.json()["labels"] == {"alice": ["001.wav"]}
        nobody.delete("/teach", headers=headers)


def test_a_training_is_cancelled(client, tmp_path):
    with another_user(client):
        assert client.post("/teach/cancel").status_code == 400
        for name in ("alice", "bob"):
            add_clip(client, name, write_sound(tmp_path / f"{name}.wav", voice(name, seed=7)))
        client.post("/teach/train")
        lesson = client.post("/teach/cancel").json()["lesson"]
        assert lesson["state"] == "cancelled" and "Clips are kept" in lesson["words"]
        assert not any(model["mine"] for model in client.get("/models").json())
        assert client.delete("/teach").json()["labels"] == {}
