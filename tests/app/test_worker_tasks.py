import numpy as np
from app_client import predict
from conftest import tone, write_sound


def test_silence_is_refused(client, tmp_path):
    response = predict(client, write_sound(tmp_path / "quiet.wav", np.zeros(32_000, np.float32)))
    assert response.status_code == 422 and "quiet.wav is silent" in response.json()["detail"]


def test_a_recording_that_is_too_long_is_refused(client, tmp_path):
    response = predict(client, write_sound(tmp_path / "long.flac", tone(440, 21.0)))
    assert response.status_code == 413 and "longer than 20 s" in response.json()["detail"]
