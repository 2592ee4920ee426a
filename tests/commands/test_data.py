import shutil

import pytest
from conftest import (
    RATE_HZ,
    names_below,
    run_audionet,
    write_speakers,
)

from audionet.audio.decoding import read_wav


def test_bad_recordings_are_named_on_stderr_and_the_status_tells(audio_dir, tmp_path, capsys):
    (audio_dir / "bob" / "line\nbreak.mp3").write_text("no sound")
    assert run_audionet("data", "--audio_dir", audio_dir, "--image_dir", tmp_path / "images") == 1
    out, err = capsys.readouterr()
    assert r"Set aside: bob/line\nbreak.mp3: " in err
    assert "4 recordings drawn, 0 unchanged, 1 failed, 0 old pictures removed" in out
    assert "Set aside" not in out


def test_the_second_run_says_that_nothing_had_to_be_done(audio_dir, tmp_path, capsys):
    for _ in range(2):
        assert run_audionet("data", "--audio_dir", audio_dir, "--image_dir", tmp_path / "images") == 0
    assert "0 recordings drawn, 4 unchanged, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "wavelets"], "--recipe: expected one of default,"),
        (["--chunk_seconds", "0"], "chunk_seconds: expected"),
        (["--jobs", "0"], "--jobs: expected 1 to 1024, received 0"),
        (["--audio_dir", "/nowhere"], "--audio_dir: expected a folder"),
    ],
)
def test_what_cannot_work_is_said_before_any_work(tmp_path, capsys, arguments, message):
    image_dir = tmp_path / "images"
    assert run_audionet("data", "--image_dir", image_dir, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not image_dir.exists()


def test_long_recordings_are_cropped_and_short_ones_padded_by_option(tmp_path):
    audio_dir = write_speakers(tmp_path / "audio", recordings=1)
    options = ("--audio_dir", audio_dir, "--image_dir", tmp_path / "images")
    assert run_audionet("data", *options, "--chunk_seconds", 1) == 0
    whole = len(list((tmp_path / "images").rglob("*.jpg")))
    assert run_audionet("data", *options, "--chunk_seconds", 1, "--long_clips", "crop") == 0
    assert len(list((tmp_path / "images").rglob("*.jpg"))) == 3 < whole
    assert run_audionet("data", *options, "--chunk_seconds", 60, "--padding", "zeros") == 0
    wavs = list((tmp_path / "images").rglob("*.wav"))
    assert len(wavs) == 3
    for samples in map(read_wav, wavs):
        assert len(samples) == 60 * RATE_HZ and not samples[-RATE_HZ:].any()


def test_a_full_disk_is_explained_and_what_was_finished_is_used_again(tmp_path, tiny_disk, capsys):
    audio_dir = write_speakers(tmp_path / "audio", recordings=4)
    arguments = ("--audio_dir", audio_dir, "--image_dir", tiny_disk / "images", "--jobs", 1)
    assert run_audionet("data", *arguments) == 1
    assert "no room left on the disk" in capsys.readouterr().err
    finished = names_below(tiny_disk / "images")
    shutil.copytree(tiny_disk / "images", tmp_path / "roomy")
    run_audionet("data", "--audio_dir", audio_dir, "--image_dir", tmp_path / "roomy")
    assert finished <= names_below(tmp_path / "roomy") | {"ledger.sqlite-wal", "ledger.sqlite-shm"}
