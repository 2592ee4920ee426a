import base64
import csv
import io
import json
import os
import signal
from itertools import pairwise

import numpy as np
import pytest
from app_client import client_of, predict, uploads
from conftest import SCRIPTS, run_python, tone, voice, write_sound
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from audionet.audio.decoding import read_blocks
from audionet.inference.streaming import StreamSmoother
from audionet.models.classifier import Classifier


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


def test_networks_that_could_not_take_a_picture_are_named(app_settings, saved_pair, drawn, clip):
    with client_of(app_settings, model=saved_pair) as client:
        assert predict(client, drawn / "alice" / "0_00000.jpg").json()["left_out"] == ["twin"]
        assert "left_out" not in predict(client, clip).json()


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
    assert str(client.app.state.shared.uploads_dir) not in sentence and "Traceback" not in sentence
    assert predict(client, clip).status_code == 200


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


def test_health_tells_the_labels(client, app_settings):
    health = client.get("/health").json()
    assert health["waiting"] in (0, 1)  # it may be loading the classifier still
    assert (health["status"], health["model"]) == ("ok", app_settings.model.name)
    assert health["labels"] == ["alice", "bob", "carol"] and len(health["networks"]) == 1


def test_an_example_is_served_and_is_what_it_says(client, speakers):
    response = client.get("/examples/0")
    assert response.content == (speakers / "alice" / "0.mp3").read_bytes()


def test_a_sound_that_a_browser_cannot_play_comes_back_as_wav(client, tmp_path):
    path = write_sound(tmp_path / "a.aiff", tone(440))
    with path.open("rb") as file:
        response = client.post("/sound", files={"file": file})
    assert response.headers["content-type"] == "audio/wav" and response.content[:4] == b"RIFF"


def test_a_file_that_ends_the_process_ends_only_its_own_request(client, clip):
    predict(client, clip)
    os.kill(client.app.state.shared.worker.run(os.getpid), signal.SIGKILL)
    assert [predict(client, clip).status_code for _ in range(2)] == [422, 200]


def test_a_look_comes_with_the_timeline_as_other_programs_read_it(client, clip):
    answer = predict(client, clip, name="my clip.wav", look="true").json()
    tables = answer["tables"]
    assert set(tables) == {"csv", "audacity", "raven", "rttm", "srt"}
    spans = [span for span in answer["spans"] if span["kind"] != "silence"]
    assert len(tables["audacity"].splitlines()) == len(tables["rttm"].splitlines()) == len(spans)
    assert tables["rttm"].startswith("SPEAKER my_clip 1 ")
    rows = list(csv.DictReader(io.StringIO(tables["csv"])))
    assert [(row["label"], row["file"]) for row in rows if row["label"]] == [
        (span["label"], "my clip.wav") for span in spans
    ]


def test_frequencies_are_marked_where_they_are_brightest(client, tmp_path):
    answer = predict(client, write_sound(tmp_path / "tone.wav", tone(1000, 4.0)), look="true").json()
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["spectrogram"].partition(",")[2]))))
    brightest = picture.astype(int).sum(axis=1).argmax()
    assert 1 - (brightest + 0.5) / len(picture) == pytest.approx(answer["hertz"]["1000"], abs=0.03)


def live(client, path, *, session="one"):
    """Send the last seconds of a stream."""
    with path.open("rb") as file:
        return client.post("/live", files={"file": file}, data={"session": session})


def test_a_stream_is_answered_window_by_window_as_in_the_terminal(client, saved, tmp_path):
    classifier = Classifier.load(saved / "retrained_model")
    rate_hz, seconds = classifier.recipe.sample_rate_hz, classifier.recipe.chunk_seconds
    smoother = StreamSmoother(classifier, hop_seconds=0.5)
    sound = np.concatenate([voice("alice", seed=101), voice("bob", seed=102)])
    for start in range(0, len(sound) - round(seconds * 16_000), 8_000):
        path = write_sound(tmp_path / "window.wav", sound[start : start + round(seconds * 16_000)])
        samples = np.concatenate(list(read_blocks(path, sample_rate_hz=rate_hz)))
        label, nearest, probability = smoother.answer(samples[-classifier.recipe.chunk_samples :])
        answer = live(client, path).json()
        assert (answer["label"], answer["nearest"]) == (label, nearest)
        assert answer["probability"] == pytest.approx(probability, abs=1e-3)
        assert answer["seconds"] == seconds


def test_silence_in_a_stream_is_no_label(client, tmp_path):
    path = write_sound(tmp_path / "silence.wav", np.zeros(32_000, np.float32))
    assert live(client, path, session="two").json()["label"] == ""


def test_how_far_a_request_is_can_be_asked(client, clip):
    predict(client, clip, ticket="mine")
    assert client.get("/progress", params={"ticket": "mine"}).json() == {"share": None, "waiting": 0}
