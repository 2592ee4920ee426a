"""Enrolling a folder of labels at once: what is taken, what is set aside, and what is said."""

import shutil

import pytest
from conftest import SPEAKERS, irregular_file, noise, run_audionet, tone, voice, write_sound

from audionet.models.classifier import Classifier
from audionet.models.classifier_folder import read_enrolled

VOICES = {"dora": 11, "emil": 12}


@pytest.fixture
def newcomers(tmp_path):
    """Two labels that the classifier was not trained on, two recordings each."""
    folder = tmp_path / "newcomers"
    for label, seed in VOICES.items():
        for number in range(2):
            sound = voice("alice", seed=seed + number) if label == "dora" else tone(300 + 40 * number, 4.0)
            write_sound(folder / label / f"{number}.wav", sound + noise(4.0, seed=seed, level=0.01))
    return folder


def enroll(folder, model, *more: object) -> int:
    return run_audionet("enroll", "--audio_dir", folder, "--model", model, *more)


def test_each_subfolder_becomes_a_label_as_if_it_had_been_enrolled_alone(newcomers, model, tmp_path, capsys):
    alone = shutil.copytree(model, tmp_path / "alone")
    for label in VOICES:
        assert run_audionet("enroll", "--label", label, *sorted((newcomers / label).iterdir()), "--model", alone) == 0
    capsys.readouterr()
    assert enroll(newcomers, model) == 0
    said = capsys.readouterr().out
    assert "Enrolled dora by 4 chunks of 2 clips." in said and "Enrolled emil by 4 chunks of 2 clips." in said
    assert Classifier.load(model).labels == (*SPEAKERS, *VOICES)
    one, other = read_enrolled(model), read_enrolled(alone)
    assert all((one[label] == other[label]).all() for label in VOICES)


def test_a_trained_name_is_refused_and_stops_no_other(newcomers, model, capsys):
    (newcomers / "dora").rename(newcomers / "alice")
    assert enroll(newcomers, model) == 1
    out, reasons = capsys.readouterr()
    assert "newcomers/alice: expected a name of its own, received 'alice'" in reasons
    assert "Enrolled emil" in out and list(read_enrolled(model)) == ["emil"]


def test_recordings_that_cannot_be_read_are_named_and_the_others_of_their_label_count(newcomers, model, capsys):
    irregular_file(newcomers / "dora" / "pipe.wav", "pipe")
    (newcomers / "emil" / "0.wav").write_bytes(b"")
    (newcomers / "emil" / "1.wav").write_text("no sound")
    (newcomers / "empty").mkdir()
    assert enroll(newcomers, model) == 1
    out, reasons = capsys.readouterr()
    assert "Enrolled dora by 4 chunks of 2 clips." in out and "emil" not in out
    assert "pipe.wav cannot be read (it is a pipe)" in reasons and "emil/0.wav" in reasons and "emil/1.wav" in reasons
    assert "no clip of emil can be read" in reasons
    assert "empty holds neither a recording nor a picture" in reasons
    assert list(read_enrolled(model)) == ["dora"]


def test_the_same_sound_twice_counts_once_and_is_said(newcomers, model, tmp_path, capsys):
    once = shutil.copytree(model, tmp_path / "once")
    assert enroll(newcomers, once) == 0
    shutil.copy(newcomers / "dora" / "0.wav", newcomers / "dora" / "copy.wav")
    capsys.readouterr()
    assert enroll(newcomers, model) == 0
    out, said = capsys.readouterr()
    assert "dora/copy.wav has the same sound as" in said and "dora/1.wav" not in said
    assert "Enrolled dora by 4 chunks of 2 clips." in out
    assert (read_enrolled(model)["dora"] == read_enrolled(once)["dora"]).all()


def test_a_clip_that_is_named_twice_counts_once_and_is_said(newcomers, model, capsys):
    clip = newcomers / "dora" / "0.wav"
    assert run_audionet("enroll", "--label", "dora", clip, clip, "--model", model) == 0
    out, said = capsys.readouterr()
    assert "Enrolled dora by 2 chunks of 1 clip." in out and "count as one" in said


def test_the_same_sound_under_two_labels_is_said(newcomers, model, capsys):
    shutil.copy(newcomers / "dora" / "0.wav", newcomers / "emil" / "copy.wav")
    assert enroll(newcomers, model) == 0
    out, said = capsys.readouterr()
    assert "emil/copy.wav has the same sound as" in said and "another label" in said
    assert "Enrolled emil by 6 chunks of 3 clips." in out


def test_a_clip_of_half_a_second_is_enrolled_with_a_warning(model, tmp_path, capsys):
    write_sound(tmp_path / "voices" / "dora" / "short.wav", voice("alice", seed=3, seconds=0.5))
    assert enroll(tmp_path / "voices", model) == 0
    out, said = capsys.readouterr()
    assert "Enrolled dora by 1 chunk of 1 clip." in out
    assert "short.wav is 0.5 s long" in said and "repeated" in said
    assert "Few chunks" in said and "dora" in said


@pytest.mark.parametrize("kind", ["none", "file", "no labels"])
def test_a_folder_without_labels_is_refused(kind, tmp_path, model, capsys):
    folder = tmp_path / "voices"
    if kind == "file":
        folder.write_text("")
    if kind == "no labels":
        write_sound(folder / "a.wav", tone(440))
    assert enroll(folder, model) == 2
    assert "--audio_dir" in capsys.readouterr().err


def test_where_no_label_can_be_enrolled_nothing_changes(spoken, model, capsys):
    assert enroll(spoken, model) == 2
    assert "no label of" in capsys.readouterr().err and not read_enrolled(model)


@pytest.mark.parametrize("more", [["--label", "x"], ["--list"], ["--remove", "x"], ["a.wav"]])
def test_a_folder_goes_with_no_other_action(more, tmp_path, model, capsys):
    assert enroll(tmp_path, model, *more) == 2
    assert "--audio_dir" in capsys.readouterr().err
