import os
from pathlib import Path

import numpy as np
import pytest
from conftest import names_below
from hypothesis import given
from hypothesis import strategies as st

from audionet.app.users import MissingError, Model, Quota, RefusedError, TotalQuota, User, checked_label
from audionet.models.classifier_folder import changing_enrolled


@pytest.fixture
def user(tmp_path) -> User:
    return User("secret of one", taught_dir=tmp_path / "taught", quota=Quota(clips=4, labels=2, models=2))


def add_clip(user: User, label: str) -> Path:
    sound = user.folder.parent.parent / "sound.wav"
    sound.write_bytes(b"sound")
    return user.audio_dir / label / user.add_clip(label, sound)


def test_clips_are_kept_by_label(user):
    for label in ("alice", "bob", "alice"):
        add_clip(user, label)
    assert user.clips_by_label() == {"alice": ["001.wav", "002.wav"], "bob": ["001.wav"]}
    assert user.clip("alice", "002.wav").read_bytes() == b"sound"


def test_a_label_goes_with_its_last_clip(user):
    add_clip(user, "alice")
    user.remove_clip("alice", "001.wav")
    assert user.clips_by_label() == {}


def test_nobody_finds_what_is_anothers(user, tmp_path):
    add_clip(user, "alice")
    other = User("secret of another", taught_dir=tmp_path / "taught")
    assert other.clips_by_label() == {} and not list(other.models())
    for work in (other.clip, other.remove_clip):
        with pytest.raises(MissingError):
            work("alice", "001.wav")
    assert user.clips_by_label() == {"alice": ["001.wav"]}


def test_the_folder_does_not_tell_the_secret(user):
    assert "secret" not in str(user.folder.name)


@pytest.mark.parametrize("name", ["../001.wav", "001.wav/..", "/etc/passwd", "001.mp3", "", "audionet.json"])
def test_a_clip_outside_the_folder_cannot_be_named(user, name):
    add_clip(user, "alice")
    for label in ("alice", "..", ".", "", "/"):
        with pytest.raises(MissingError):
            user.clip(label, name)


def test_there_is_an_end_to_what_a_user_may_keep(user):
    for label in ("alice", "bob"):
        add_clip(user, label)
    with pytest.raises(RefusedError, match="labels, which is the most"):
        add_clip(user, "carol")
    add_clip(user, "alice"), add_clip(user, "alice")
    with pytest.raises(RefusedError, match="clips, which is the most"):
        add_clip(user, "alice")


def test_there_is_an_end_to_what_all_users_together_may_keep(user, tmp_path):
    add_clip(user, "alice")
    full = User("secret of one", taught_dir=tmp_path / "taught", total_quota=TotalQuota(bytes=100))
    with pytest.raises(RefusedError, match="All visitors together"):
        add_clip(full, "alice"), [add_clip(full, "alice") for _ in range(20)]
    another = User("secret of another", taught_dir=tmp_path / "taught", total_quota=TotalQuota(users=1))
    with pytest.raises(RefusedError, match="1 visitors keep"):
        add_clip(another, "alice")
    assert not another.folder.exists()


def add_model(user: User) -> str:
    place = user.new_model()
    (place / "retrained_model").mkdir()
    (place / "retrained_model" / "classifier.json").write_text('{"labels": ["a"]}')
    return f"mine/{place.name}"


def test_a_classifier_can_be_named_and_removed_by_its_owner_alone(user, tmp_path):
    key = add_model(user)
    user.rename_model(key, " My <voices> ")
    assert [model.name for model in user.models()] == ["My <voices>"]
    other = User("secret of another", taught_dir=tmp_path / "taught")
    for refused in (lambda: other.rename_model(key, "mine"), lambda: other.remove_model(key)):
        with pytest.raises(MissingError):
            refused()
    for name in ("", "  ", "a\nb", "x" * 81):
        with pytest.raises(RefusedError, match="Expected a name"):
            user.rename_model(key, name)
    for key_of_none in ("mine/../..", "mine/", "served", "../x"):
        with pytest.raises(MissingError):
            user.remove_model(key_of_none)
    user.remove_model(key)
    assert not list(user.models())


def test_only_the_newest_classifiers_are_kept(user):
    places = []
    for _ in range(4):
        place = user.new_model()
        (place / "retrained_model").mkdir()
        (place / "retrained_model" / "classifier.json").write_text('{"labels": ["a"]}')
        places.append(place)
    assert [model.folder.parent.name for model in user.models()] == [places[3].name, places[2].name]
    assert next(user.models()).labels() == []  # nothing but the name of a classifier


def test_labels_are_the_trained_and_the_enrolled_ones(model):
    with changing_enrolled(model) as enrolled:
        enrolled["hiss"] = np.ones(96, np.float32)
    assert Model("mine", "Mine", model).labels() == ["alice", "bob", "carol", "hiss"]


def test_a_choice_is_remembered(user):
    assert user.chosen_model() == ""
    user.choose_model("served")
    assert user.chosen_model() == "served"


def test_a_user_who_asks_to_be_forgotten_is(user, tmp_path):
    add_clip(user, "alice")
    user.choose_model("served")
    user.remove_all()
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
