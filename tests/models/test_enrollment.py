import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import RATE_HZ, noise

from audionet.errors import ClassifierError, InputError
from audionet.evaluation.evaluate import evaluate_folder
from audionet.evaluation.test_set import find_audio
from audionet.inference.streaming import AudioBlock, stream_predictions
from audionet.models.classifier import Classifier
from audionet.models.classifier_folder import ENROLLED_NAME, read_enrolled, remove_enrolled


def call(script: str, *arguments: object) -> int:
    return importlib.import_module(script).main([str(argument) for argument in arguments])


def test_an_enrolled_label_is_answered_and_the_others_stay_as_they_are_to_each_other(model, hisses, speakers):
    before = Classifier.load(model)
    Classifier.load(model).enroll("hiss", hisses[:2])
    after = Classifier.load(model)
    assert after.labels == (*before.labels, "hiss")
    assert after.score(hisses[2]).label == "hiss"
    for name in ("alice", "bob", "carol"):
        clip = speakers / name / "1.mp3"
        old, new = before.score(clip), after.score(clip)
        assert new.label == old.label == name
        among_trained = new.probabilities[:3] / new.probabilities[:3].sum()
        assert among_trained == pytest.approx(old.probabilities, abs=1e-4)
        assert (new.score, new.threshold) == (old.score, old.threshold)


@pytest.fixture
def enrolled(model, hisses):
    """A classifier that refuses noise, but for the hiss that was enrolled."""
    before = Classifier.load(model)
    assert before.score(hisses[2]).label == "unknown"
    Classifier.load(model).enroll("hiss", hisses[:2])
    return Classifier.load(model)


def test_a_timeline_has_an_enrolled_label(enrolled, hisses):
    (span,) = enrolled.timeline(hisses[2]).spans
    assert (span.kind, span.label) == ("known", "hiss")


def test_a_stream_predicts_an_enrolled_label(enrolled):
    sound = noise(4.0, seed=2)
    step = RATE_HZ // 10
    blocks = [AudioBlock(sound[at : at + step], at / RATE_HZ, 0.0) for at in range(0, len(sound), step)]
    decisions = list(stream_predictions(enrolled, blocks, hop_seconds=0.5, now=lambda: 0.0))
    assert [one.label for one in decisions if one.end_seconds >= 2] == ["hiss"] * 5


def test_an_evaluation_accepts_and_refuses_as_the_classifier_does(enrolled, hisses, speakers):
    clips = find_audio(speakers)[:3] + [replace(one, label="hiss") for one in find_audio(hisses[2].parents[1])]
    result = evaluate_folder(enrolled, clips, jobs=1)
    answers = {Path(row["recording"]).name: row for row in result["recordings"] if row["label"] == "hiss"}
    assert set(answers) == {"0.wav", "1.wav", "2.wav"}
    for clip in hisses:
        answer, row = enrolled.score(clip), answers[clip.name]
        assert row["accepted"] == answer.is_known is True
        assert row["score"] == pytest.approx(answer.score, rel=1e-3)
    assert result["open_set"]["false_reject_rate"] == 0
    assert result["verification"]["n_target"] == 6


def test_the_classifier_at_hand_answers_an_enrolled_label_as_one_loaded_does(model, hisses):
    classifier = Classifier.load(model)
    before = classifier.fingerprint
    assert classifier.enroll("hiss", hisses[:2]) == 6
    loaded = Classifier.load(model)
    assert (classifier.labels, classifier.fingerprint) == (loaded.labels, loaded.fingerprint)
    assert classifier.fingerprint != before
    assert classifier.score(hisses[2]).label == loaded.score(hisses[2]).label == "hiss"


def test_removing_leaves_nothing_behind(model, hisses):
    before = Classifier.load(model)
    Classifier.load(model).enroll("hiss", hisses)
    assert Classifier.load(model).fingerprint != before.fingerprint
    remove_enrolled(model, "hiss")
    assert not (model / ENROLLED_NAME).exists()
    assert Classifier.load(model).fingerprint == before.fingerprint


def test_labels_of_any_name_are_kept_to_the_letter(model, hisses):
    names = ['Ünï, "code"', "a b", "line\nbreak"]
    for name in names:
        Classifier.load(model).enroll(name, hisses[:1])
    assert list(read_enrolled(model)) == names
    assert Classifier.load(model).labels[3:] == tuple(names)


@pytest.mark.parametrize("label", ["alice", "unknown", "_unknown_", ""])
def test_names_that_mean_something_else_are_refused(model, hisses, label):
    with pytest.raises(InputError, match="expected a name of its own"):
        Classifier.load(model).enroll(label, hisses)


@pytest.mark.parametrize("label", ["../x", "a/b", "..", ".hidden", "a\0b"])
def test_names_that_no_folder_of_a_label_could_have_are_refused(model, hisses, label):
    with pytest.raises(InputError, match="expected a name that the folder of a label could have"):
        Classifier.load(model).enroll(label, hisses[:1])


def test_a_classifier_that_cannot_compare_says_so(trained, hisses, monkeypatch, tmp_path):
    monkeypatch.setattr(trained.classifier, "similarity", None)
    with pytest.raises(ClassifierError, match="cannot compare clips"):
        trained.classifier.enroll("hiss", hisses)


def test_a_damaged_file_is_named_with_what_to_do(model):
    (model / ENROLLED_NAME).write_bytes(b"PK damaged")
    with pytest.raises(ClassifierError, match=r"enrolled\.npz is damaged"):
        Classifier.load(model)


def test_a_label_is_enrolled_listed_verified_and_removed(model, hisses, speakers, capsys):
    options = ("--model", model)
    assert call("enroll", "--label", "hiss", *hisses[:2], *options) == 0
    assert "Enrolled hiss by 6 chunks" in capsys.readouterr().out
    assert call("enroll", "--list", *options) == 0
    assert capsys.readouterr().out == "hiss\n"
    assert call("verify", hisses[2], "hiss", *options) == 0
    assert capsys.readouterr().out.startswith("The same: ")
    assert call("verify", speakers / "bob" / "0.mp3", "hiss", "--json", *options) == 0
    assert json.loads(capsys.readouterr().out)["same"] is False
    assert call("label_image", hisses[2], *options) == 0
    assert "hiss" in capsys.readouterr().out
    assert call("enroll", "--remove", "hiss", *options) == 0
    assert call("enroll", "--remove", "hiss", *options) == 2
    assert "hiss is not enrolled (none is)" in capsys.readouterr().err


@pytest.mark.parametrize("actions", [[], ["--label", "a"], ["--list", "--remove", "a"], ["--list", "a.mp3"]])
def test_actions_that_exclude_each_other_are_refused(actions, capsys):
    assert call("enroll", *actions) == 2
    assert "--label" in capsys.readouterr().err
