import json

from app_client import client_of, predict
from conftest import IRREGULAR, irregular_file, tone, write_sound

from audionet.app.state import examples_in


def test_the_classifier_of_an_earlier_run_can_be_chosen(app_settings, saved, tmp_path):
    for number, folder in enumerate((tmp_path / "gone", saved / "retrained_model")):
        run = {"format": 1, "started": f"2026-01-0{number + 1}", "arguments": {"output_model": str(folder)}}
        (tmp_path / f"{number}.json").write_text(json.dumps(run))
    with client_of(app_settings, model=tmp_path / "nothing", runs_dir=tmp_path) as client:
        assert client.get("/health").json()["labels"] == ["alice", "bob", "carol"]


def test_without_another_the_classifier_of_the_demonstration_answers(app_settings, saved, tmp_path, clip):
    (tmp_path / "demo").symlink_to(saved)
    with client_of(app_settings, model=tmp_path / "retrained_model", runs_dir=tmp_path / "runs") as client:
        assert [model["name"] for model in client.get("/models").json()] == ["Demonstration"]
        assert predict(client, clip).json()["nearest"] == "bob"


def test_examples_are_files(tmp_path):
    recording = write_sound(tmp_path / "alice" / "a.wav", tone(440))
    for kind in IRREGULAR:
        irregular_file(tmp_path / "alice" / f"{kind}.wav", kind)
    assert examples_in(tmp_path) == [recording]
