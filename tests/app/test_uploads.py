from app_client import predict, uploads


def test_an_upload_is_removed_at_once(client, clip, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    for path in (clip, broken):
        predict(client, path)
        assert not uploads(client)
