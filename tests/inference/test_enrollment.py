import importlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import RATE_HZ, noise, voice, write_sound

from audionet.errors import ClassifierError, InputError
from audionet.evaluation.evaluate_folder import evaluate_folder
from audionet.evaluation.test_set import find_audio
from audionet.inference import enrollment
from audionet.inference.streaming import AudioBlock, stream_predictions
from audionet.inference.timeline import make_timeline
from audionet.models.classifier import ENROLLED_NAME, Classifier, read_enrolled
from audionet.models.similarity import Similarity
from audionet.training.similarity_fitting import fit_similarity, fit_space


def call(script: str, *arguments: object) -> int:
    return importlib.import_module(script).main([str(argument) for argument in arguments])


def labelled(labels: int, *, rng: np.random.Generator, recordings: int = 3, chunks: int = 6, nuisance: float = 4.0):
    """Bottlenecks whose labels differ a little, and whose chunks differ much, always along the same few directions."""
    dimension = 24
    ways = rng.normal(size=(3, dimension))
    rows, numbers, names = [], [], []
    for label in range(labels):
        centre = rng.normal(size=dimension)
        for recording in range(recordings):
            spread = nuisance * rng.normal(size=(chunks, 3)) @ ways + 0.3 * rng.normal(size=(chunks, dimension))
            rows.append(centre + spread)
            numbers += [label] * chunks
            names += [f"{label}/{recording}"] * chunks
    return np.concatenate(rows).astype(np.float32), np.array(numbers), np.array(names)


@pytest.fixture(scope="module")
def space() -> Similarity:
    rows, numbers, names = labelled(8, rng=np.random.default_rng(0))
    fitted = fit_similarity(rows, numbers, recordings=names, views=np.zeros(len(rows), int))
    assert fitted is not None
    return fitted


# The space


def test_what_varies_within_every_label_counts_for_less():
    rng = np.random.default_rng(1)
    rows, numbers, _ = labelled(9, rng=rng)
    known, held = numbers < 6, numbers >= 6
    whitened = fit_space(rows, numbers, np.flatnonzero(known)).places(rows[held])
    plain = rows[held] - rows[known].mean(axis=0)
    plain /= np.linalg.norm(plain, axis=1, keepdims=True)

    def gap(places: np.ndarray) -> float:
        same = numbers[held][:, None] == numbers[held]
        cosines = places @ places.T
        return cosines[same & ~np.eye(len(same), dtype=bool)].mean() - cosines[~same].mean()

    assert gap(whitened) > gap(plain) + 0.2


def test_probabilities_tell_clips_of_strangers_to_the_space_apart(space):
    rows, _, names = labelled(8, rng=np.random.default_rng(0))
    one, other, stranger = (space.mean_place(rows[names == name]) for name in ("0/0", "0/1", "5/0"))
    assert space.probability(one, other) > 0.5 > space.probability(one, stranger)
    assert space.probability(one, other) == pytest.approx(space.probability(other, one))


def test_error_rates_are_those_of_labels_left_out(space):
    assert 0 <= space.equal_error_rate <= space.chunk_equal_error_rate < 0.35
    assert space.slope > 0 and space.trials > 100


@pytest.mark.parametrize(("labels", "recordings"), [(2, 3), (6, 1)])
def test_too_little_to_compare_gives_no_space(labels, recordings):
    rows, numbers, names = labelled(labels, rng=np.random.default_rng(0), recordings=recordings)
    assert fit_similarity(rows, numbers, recordings=names, views=np.zeros(len(rows), int)) is None


def test_a_space_comes_back_as_it_was_written(space):
    back = Similarity.from_json(json.loads(json.dumps(space.to_json())), space.arrays())
    rows, *_ = labelled(2, rng=np.random.default_rng(3))
    assert np.array_equal(back.places(rows), space.places(rows))
    assert back.to_json() == space.to_json()


# Enrolling


@pytest.fixture
def model(saved, tmp_path):
    """A copy of a classifier, which may be changed."""
    return shutil.copytree(saved / "retrained_model", tmp_path / "model")


@pytest.fixture
def hisses(tmp_path):
    """Recordings of noise, which is like none of the voices that the classifier was trained on."""
    return [write_sound(tmp_path / "hiss" / f"{number}.wav", noise(6.0, seed=number)) for number in range(3)]


def test_an_enrolled_label_is_answered_and_the_others_stay_as_they_are_to_each_other(model, hisses, speakers):
    before = Classifier.load(model)
    enrollment.enrol(model, before, "hiss", hisses[:2])
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
def taught(model, hisses):
    """A classifier that refuses noise, but for the hiss that it was taught."""
    before = Classifier.load(model)
    assert before.score(hisses[2]).label == "unknown"
    enrollment.enrol(model, before, "hiss", hisses[:2])
    return Classifier.load(model)


def test_a_timeline_hears_an_enrolled_label(taught, hisses):
    (span,) = make_timeline(taught, hisses[2]).spans
    assert (span.kind, span.label) == ("known", "hiss")


def test_an_enrolled_label_is_heard_while_the_sound_is_coming_in(taught):
    sound = noise(4.0, seed=2)
    step = RATE_HZ // 10
    blocks = [AudioBlock(sound[at : at + step], at / RATE_HZ, 0.0) for at in range(0, len(sound), step)]
    decisions = list(stream_predictions(taught, blocks, hop_seconds=0.5, now=lambda: 0.0))
    assert [one.label for one in decisions if one.end_seconds >= 2] == ["hiss"] * 5


def test_an_evaluation_accepts_and_refuses_as_the_classifier_does(taught, hisses, speakers):
    clips = find_audio(speakers)[:3] + [replace(one, label="hiss") for one in find_audio(hisses[2].parents[1])]
    result = evaluate_folder(taught, clips, jobs=1)
    answers = {Path(row["recording"]).name: row for row in result["recordings"] if row["label"] == "hiss"}
    assert set(answers) == {"0.wav", "1.wav", "2.wav"}
    for clip in hisses:
        answer, row = taught.score(clip), answers[clip.name]
        assert row["accepted"] == answer.is_known is True
        assert row["score"] == pytest.approx(answer.score, rel=1e-3)
    assert result["open_set"]["false_reject_rate"] == 0
    assert result["verification"]["n_target"] == 6


def test_removing_leaves_nothing_behind(model, hisses):
    before = Classifier.load(model)
    enrollment.enrol(model, before, "hiss", hisses)
    assert Classifier.load(model).fingerprint != before.fingerprint
    enrollment.remove(model, "hiss")
    assert not (model / ENROLLED_NAME).exists()
    assert Classifier.load(model).fingerprint == before.fingerprint


def test_labels_of_any_name_are_kept_to_the_letter(model, hisses):
    names = ['Ünï, "code"', "a/b", "line\nbreak"]
    for name in names:
        enrollment.enrol(model, Classifier.load(model), name, hisses[:1])
    assert list(read_enrolled(model)) == names
    assert Classifier.load(model).labels[3:] == tuple(names)


@pytest.mark.parametrize("label", ["alice", "unknown", "_unknown_", ""])
def test_names_that_mean_something_else_are_refused(model, hisses, label):
    with pytest.raises(InputError, match="expected a name of its own"):
        enrollment.enrol(model, Classifier.load(model), label, hisses)


def test_a_classifier_that_cannot_compare_says_so(trained, hisses, monkeypatch, tmp_path):
    monkeypatch.setattr(trained.classifier, "similarity", None)
    with pytest.raises(ClassifierError, match="cannot compare clips"):
        enrollment.enrol(tmp_path, trained.classifier, "hiss", hisses)


def test_a_damaged_file_is_named_with_what_to_do(model):
    (model / ENROLLED_NAME).write_bytes(b"PK damaged")
    with pytest.raises(ClassifierError, match=r"enrolled\.npz is damaged"):
        Classifier.load(model)


# The scripts


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


def test_two_clips_are_compared(model, hisses, speakers, capsys):
    assert call("verify", hisses[0], hisses[1], "--model", model) == 0
    assert capsys.readouterr().out.startswith("The same: ")
    assert call("verify", hisses[0], speakers / "bob" / "0.mp3", "--model", model) == 0
    assert capsys.readouterr().out.startswith("Not the same: ")
    assert call("verify", hisses[0], "nobody", "--model", model) == 2
    assert "nobody is neither a file nor an enrolled label" in capsys.readouterr().err


def test_what_sounds_most_alike_comes_first(model, hisses, speakers, tmp_path, capsys):
    options = ("--model", model, "--top_k", 2, "--cache_dir", tmp_path)
    assert call("similar", hisses[0], "--among", hisses[1], speakers / "bob", *options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].endswith("1.wav")


def test_what_was_heard_once_is_not_heard_again_until_it_changes(trained, hisses, speakers, tmp_path, monkeypatch):
    among = [Path(shutil.copy(hisses[1], tmp_path / "hiss.wav")), *sorted((speakers / "bob").iterdir())]
    heard = []
    listen = type(trained.classifier).chunk_bottlenecks
    monkeypatch.setattr(
        type(trained.classifier), "chunk_bottlenecks", lambda self, path: heard.append(path) or listen(self, path)
    )
    first = enrollment.similar(trained.classifier, hisses[0], among, cache_dir=tmp_path / "cache")
    assert heard == [hisses[0], *among]
    heard.clear()
    again = enrollment.similar(trained.classifier, hisses[0], among, cache_dir=tmp_path / "cache")
    assert heard == [hisses[0]]
    assert [one.path for one in again] == [one.path for one in first]
    assert [one.probability for one in again] == pytest.approx([one.probability for one in first], abs=1e-2)
    write_sound(among[0], voice("alice", seed=5, seconds=4.0))
    heard.clear()
    enrollment.similar(trained.classifier, hisses[0], among, cache_dir=tmp_path / "cache")
    assert heard == [hisses[0], among[0]]


@pytest.mark.parametrize("wishes", [[], ["--label", "a"], ["--list", "--remove", "a"], ["--list", "a.mp3"]])
def test_wishes_that_exclude_each_other_are_refused(wishes, capsys):
    assert call("enroll", *wishes) == 2
    assert "--label" in capsys.readouterr().err
