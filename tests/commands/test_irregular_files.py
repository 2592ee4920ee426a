"""What is neither a file nor a folder lies among the recordings: it is named, the rest go on, nothing waits for it."""

import itertools
import shutil

import pytest
from conftest import IRREGULAR, irregular_file, run_audionet, tone, write_sound

KINDS = [(suffix, kind) for suffix in ("wav", "mp3", "jpg") for kind in IRREGULAR]


@pytest.fixture
def mixed(spoken, drawn, tmp_path):
    """A label folder with a recording, a picture and pipes, sockets and devices of their names."""
    folder = tmp_path / "mixed" / "alice"
    folder.mkdir(parents=True)
    shutil.copy(spoken / "alice" / "0.mp3", folder / "good.mp3")
    for suffix, kind in KINDS:
        irregular_file(folder / f"{suffix}_{kind}.{suffix}", kind)
    shutil.copy(next((drawn / "alice").glob("*.jpg")), folder / "shown.jpg")
    return folder


def all_named(text: str, suffixes=("wav", "mp3", "jpg")) -> bool:
    return all(f"{suffix}_{kind}.{suffix}" in text for kind, suffix in itertools.product(IRREGULAR, suffixes))


def test_label_sets_them_aside(mixed, model, capsys):
    assert run_audionet("label", mixed, "--model", model) == 1
    answers, reasons = capsys.readouterr()
    assert "good.mp3" in answers and "shown.jpg" in answers
    assert all_named(reasons) and "it is a pipe" in reasons and "it is a socket" in reasons


@pytest.mark.parametrize(("suffix", "kind"), KINDS)
def test_label_refuses_one_by_name(tmp_path, model, capsys, suffix, kind):
    assert run_audionet("label", irregular_file(tmp_path / f"a.{suffix}", kind), "--model", model) == 1
    assert f"a.{suffix} cannot be read (it is a {kind})" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["timeline", "listen"])
def test_timeline_and_listen_set_them_aside(command, mixed, model, capsys):
    for picture in mixed.glob("*.jpg"):
        picture.unlink()
    assert run_audionet(command, mixed, "--model", model) == 1
    answers, reasons = capsys.readouterr()
    assert "alice" in answers
    assert all_named(reasons, ("wav", "mp3"))


def test_explain_sets_them_aside(mixed, model, tmp_path, capsys):
    assert run_audionet("explain", mixed, "--model", model, "--output", tmp_path / "why") == 1
    assert all_named(capsys.readouterr().err)
    assert {path.name for path in (tmp_path / "why").iterdir()} == {"good.png", "shown.png"}


def test_evaluate_sets_them_aside_among_recordings(mixed, model, tmp_path, capsys):
    for kind in ("pipe", "socket"):
        irregular_file(tmp_path / "others" / f"wav_{kind}.wav", kind)
    arguments = ("--audio_dir", mixed.parent, "--negatives", tmp_path / "others", "--model", model)
    assert run_audionet("evaluate", *arguments, "--runs_dir", tmp_path / "runs", "--jobs", 1) == 1
    assert all_named("".join(capsys.readouterr()), ("wav", "mp3"))


def test_evaluate_sets_them_aside_among_pictures(mixed, model, tmp_path, capsys):
    arguments = ("--image_dir", mixed.parent, "--model", model, "--runs_dir", tmp_path / "runs", "--jobs", 1)
    assert run_audionet("evaluate", *arguments) == 1
    assert all_named("".join(capsys.readouterr()), ("jpg",))


def test_similar_sets_them_aside(mixed, model, spoken, tmp_path, capsys):
    among = [mixed, *mixed.glob("*.jpg"), mixed / "gone.wav"]
    (mixed / "gone.wav").symlink_to(tmp_path / "nowhere")
    arguments = (spoken / "bob" / "0.mp3", "--model", model, "--cache_dir", tmp_path / "cache")
    assert run_audionet("similar", *arguments, "--among", *among[:-1]) == 1
    answers, reasons = capsys.readouterr()
    assert "good.mp3" in answers and "shown.jpg" in answers
    assert all_named(reasons) and "gone.wav" in reasons


def test_enroll_sets_them_aside(mixed, model, capsys):
    assert run_audionet("enroll", "--label", "dora", *mixed.iterdir(), "--model", model) == 1
    answers, reasons = capsys.readouterr()
    assert "Enrolled dora" in answers
    assert all_named(reasons)


def test_enroll_refuses_a_label_of_which_nothing_can_be_read(tmp_path, model, capsys):
    pipe = irregular_file(tmp_path / "a.wav", "pipe")
    assert run_audionet("enroll", "--label", "dora", pipe, "--model", model) == 2
    assert "no clip of dora can be read" in capsys.readouterr().err


@pytest.mark.parametrize(("suffix", "kind"), KINDS)
def test_verify_refuses_one(tmp_path, model, spoken, capsys, suffix, kind):
    path, voice = irregular_file(tmp_path / f"a.{suffix}", kind), spoken / "bob" / "0.mp3"
    for clips in ((path, voice), (voice, path)):
        assert run_audionet("verify", *clips, "--model", model) == 1
        assert f"a.{suffix} cannot be read (it is a {kind})" in capsys.readouterr().err


def test_data_sets_them_aside(mixed, tmp_path, capsys):
    write_sound(mixed.parent / "bob" / "a.wav", tone(440, 3.0))
    arguments = ("--audio_dir", mixed.parent, "--image_dir", tmp_path / "pictures", "--jobs", 1)
    assert run_audionet("data", *arguments) == 1
    assert all_named(capsys.readouterr().err, ("wav", "mp3"))
    assert list((tmp_path / "pictures" / "alice").glob("good_*.jpg"))


def test_training_data_sets_them_aside(drawn, tmp_path):
    from audionet.data.dataset import read_dataset

    pictures = shutil.copytree(drawn, tmp_path / "pictures")
    for kind in IRREGULAR:
        irregular_file(pictures / "alice" / f"jpg_{kind}.jpg", kind)
    found = read_dataset(pictures, tmp_path / "pictures.sqlite")
    assert all_named(" ".join(found.failures), ("jpg",))


@pytest.mark.parametrize("is_sound", [True, False])
def test_an_export_is_compared_on_the_others(is_sound, mixed, trained, capsys):
    from audionet.evaluation.test_set import find_audio, find_pictures
    from audionet.export.parity import find_parity_clips

    shutil.copy(mixed / "shown.jpg", mixed / "second_nohash_0.jpg")
    sources = (find_audio if is_sound else find_pictures)(mixed.parent)
    found = find_parity_clips(trained.classifier, sources)
    assert found.failed == (6 if is_sound else 3)
    assert found.held_out or found.trained_on


def test_runs_name_what_is_no_record(tmp_path, capsys):
    for kind in IRREGULAR:
        irregular_file(tmp_path / f"json_{kind}.json", kind)
    assert run_audionet("runs", "--runs_dir", tmp_path) == 1
    assert all_named(capsys.readouterr().err, ("json",))


def test_a_pipe_in_place_of_the_mark_of_a_folder_is_not_waited_for(mixed, model, capsys):
    irregular_file(mixed / "old" / "audionet.json", "pipe")
    assert run_audionet("label", mixed / "good.mp3", mixed, "--model", model) == 1
    assert "good.mp3" in capsys.readouterr().out
