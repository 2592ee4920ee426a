import os
from pathlib import Path

import pytest
from conftest import names_below
from hypothesis import given
from hypothesis import strategies as st

from audionet.app.users import Allowance, MissingError, RefusedError, User, checked_label


@pytest.fixture
def visitor(tmp_path) -> User:
    return User("secret of one", taught_dir=tmp_path / "taught", allowance=Allowance(clips=4, labels=2, models=2))


def add_clip(visitor: User, label: str) -> Path:
    sound = visitor.folder.parent.parent / "sound.wav"
    sound.write_bytes(b"sound")
    return visitor.audio_dir / label / visitor.keep_clip(label, sound)


def test_clips_are_kept_by_label(visitor):
    for label in ("alice", "bob", "alice"):
        add_clip(visitor, label)
    assert visitor.labels() == {"alice": ["001.wav", "002.wav"], "bob": ["001.wav"]}
    assert visitor.clip("alice", "002.wav").read_bytes() == b"sound"


def test_a_label_goes_with_its_last_clip(visitor):
    add_clip(visitor, "alice")
    visitor.remove_clip("alice", "001.wav")
    assert visitor.labels() == {}


def test_nobody_finds_what_is_anothers(visitor, tmp_path):
    add_clip(visitor, "alice")
    other = User("secret of another", taught_dir=tmp_path / "taught")
    assert other.labels() == {} and not list(other.models())
    for work in (other.clip, other.remove_clip):
        with pytest.raises(MissingError):
            work("alice", "001.wav")
    assert visitor.labels() == {"alice": ["001.wav"]}


def test_the_folder_does_not_tell_the_secret(visitor):
    assert "secret" not in str(visitor.folder.name)


@pytest.mark.parametrize("name", ["../001.wav", "001.wav/..", "/etc/passwd", "001.mp3", "", "audionet.json"])
def test_a_clip_outside_the_folder_cannot_be_named(visitor, name):
    add_clip(visitor, "alice")
    for label in ("alice", "..", ".", "", "/"):
        with pytest.raises(MissingError):
            visitor.clip(label, name)


def test_there_is_an_end_to_what_a_visitor_may_keep(visitor):
    for label in ("alice", "bob"):
        add_clip(visitor, label)
    with pytest.raises(RefusedError, match="labels, which is the most"):
        add_clip(visitor, "carol")
    add_clip(visitor, "alice"), add_clip(visitor, "alice")
    with pytest.raises(RefusedError, match="clips, which is the most"):
        add_clip(visitor, "alice")


def test_only_the_newest_classifiers_are_kept(visitor):
    places = []
    for _ in range(4):
        place = visitor.new_model()
        (place / "retrained_model").mkdir()
        (place / "retrained_model" / "classifier.json").write_text('{"labels": ["a"]}')
        places.append(place)
    assert [model.folder.parent.name for model in visitor.models()] == [places[3].name, places[2].name]
    assert next(visitor.models()).labels() == ["a"]


def test_a_choice_is_remembered(visitor):
    assert visitor.chosen_model() == ""
    visitor.choose_model("served")
    assert visitor.chosen_model() == "served"


def test_a_visitor_who_asks_to_be_forgotten_is(visitor, tmp_path):
    add_clip(visitor, "alice")
    visitor.choose_model("served")
    visitor.forget()
    assert names_below(tmp_path / "taught") == {"audionet.json"}


@pytest.mark.parametrize(
    "label",
    ["", "  ", ".", "..", ".hidden", "a/b", "a\\b", "..\\..", "/etc", "a\nb", "a\0b", "c:", "x" * 201, "unknown"],
)
def test_what_could_not_be_a_label_is_refused_with_a_sentence(label):
    with pytest.raises(RefusedError, match=r"\. .*\."):
        checked_label(label)


@given(st.text(max_size=60))
def test_any_label_that_is_accepted_is_one_name_of_a_folder(text):
    try:
        label = checked_label(text)
    except RefusedError:
        return
    assert Path("/kept", label).parent == Path("/kept")
    assert os.path.normpath(f"/kept/{label}") == f"/kept/{label}"
