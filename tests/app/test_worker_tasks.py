import numpy as np
import soundfile
from app_client import predict
from conftest import tone, write_sound

from audionet.app.worker_tasks import convert_to_wav


def test_silence_is_refused(client, tmp_path):
    response = predict(client, write_sound(tmp_path / "quiet.wav", np.zeros(32_000, np.float32)))
    assert response.status_code == 422 and "quiet.wav is silent" in response.json()["detail"]


def test_a_recording_that_is_too_long_is_refused(client, tmp_path):
    response = predict(client, write_sound(tmp_path / "long.flac", tone(440, 21.0)))
    assert response.status_code == 413 and "longer than 20 s" in response.json()["detail"]


def test_a_clip_above_what_people_hear_is_kept_as_it_is(tmp_path):
    clip = write_sound(tmp_path / "bat.flac", tone(30_000, rate_hz=192_000), 192_000)
    convert_to_wav(path=clip, target=tmp_path / "kept.wav", most_seconds=5)
    samples, rate_hz = soundfile.read(tmp_path / "kept.wav")
    assert rate_hz == 192_000 and np.abs(np.fft.rfft(samples)).argmax() == 30_000
