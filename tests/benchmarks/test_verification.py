"""The benchmark of comparisons, with a small network."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from conftest import FakeBackbone, load_fake, voice, write_sound

from audionet.data.dataset import read_dataset
from audionet.data.preprocessing import make_pictures
from audionet.errors import InputError
from audionet.features.recipes import find_recipe
from audionet.training.fitting.comparisons import by_recording, compare_recordings
from audionet.training.trainer import CandidateMember
from audionet.training.training_data import MemberNetwork
from benchmarks import verification
from benchmarks.label_holdout import Draw
from benchmarks.options import VerificationOptions

LABELS = ("alice", "bob", "carol", "dave", "erin")


def five_speakers(speakers, audio_dir):
    """Three voices under five names: dave is carol, and erin is alice."""
    shutil.copytree(speakers, audio_dir)
    shutil.copytree(audio_dir / "carol", audio_dir / "dave")
    shutil.copytree(audio_dir / "alice", audio_dir / "erin")
    return audio_dir


@pytest.fixture(scope="module")
def dataset(speakers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("five")
    make_pictures(five_speakers(speakers, folder / "audio"), folder / "images", recipe=find_recipe("default"))
    return read_dataset(folder / "images", folder / "pictures.sqlite")


@pytest.fixture(scope="module")
def members(dataset):
    network = MemberNetwork.of("fake", FakeBackbone(), dataset.recipe, ("rows",))
    return [CandidateMember(network, lambda **_: FakeBackbone())]


@pytest.fixture(scope="module")
def gathered(dataset, members, tmp_path_factory):
    """What is trained on and what is tested, of all labels."""
    folder = tmp_path_factory.mktemp("bench")
    options = VerificationOptions(output_dir=folder, own="3", baselines=False)
    return options, verification.gather(dataset, members, options), verification.tested_clips(dataset, members, options)


@pytest.fixture
def measure(gathered, members):
    def measure(*held_out: tuple[str, ...], encoded=None, **changes):
        options, data, clips = gathered
        draws = [Draw(unknown, tuple(label for label in LABELS if label not in unknown)) for unknown in held_out]
        clips = dataclasses.replace(clips, encoded=encoded or {})
        options = dataclasses.replace(options, **changes)
        return verification.measure(data, draws, clips, members, others=None, options=options)

    return measure


def test_no_recording_is_compared_with_itself():
    places, recordings = np.eye(4, dtype=np.float32), np.array(["a/1", "a/1", "a/2", "b/1"])
    compared = compare_recordings(places, np.array(["a", "a", "a", "b"]), recordings)
    assert set(compared.scores) == {0.0}
    assert (compared.is_same.sum(), (~compared.is_same).sum()) == (3, 5)
    _, are_same = by_recording(compared)
    assert (are_same.sum(), (~are_same).sum()) == (2, 4)


def test_different_voices_are_another_label_and_one_voice_under_two_names_is_not(measure):
    apart, alike = measure(("alice", "bob"), ("carol", "dave"))["draws"]
    rates = [draw["systems"]["3 own"]["clean"] for draw in (apart, alike)]
    assert rates[0]["eer"]["recording"] < 0.1 and rates[1]["eer"]["recording"] > 0.3


def test_an_encoder_is_given_the_same_chunks(measure, gathered):
    is_alice = gathered[2].labels == "alice"
    oracle = np.stack([is_alice, ~is_alice], axis=1).astype(np.float32)
    result = measure(("alice", "bob"), encoded={"clean": oracle, "telephone": oracle[::-1]})
    rates = result["mean"][verification.ENCODER]
    assert rates["clean"]["eer"] == {"chunk": 0, "recording": 0}
    assert rates["telephone"]["eer"]["chunk"] > 0
    assert json.loads(json.dumps(result)) == result


def test_means_are_those_of_the_draws(measure):
    result = measure(("alice", "bob"), ("carol", "dave"))
    rates = [draw["systems"]["3 own"]["clean"]["false_reject_rate"] for draw in result["draws"]]
    assert result["mean"]["3 own"]["clean"]["false_reject_rate"] == pytest.approx(np.mean(rates))


def test_no_background_rests_on_labels_that_are_tested_or_own(measure, monkeypatch):
    fitted = []
    monkeypatch.setattr(verification, "FEWEST_LABELS", 1)
    monkeypatch.setattr(verification.BackgroundSource, "_fit", lambda self, labels: fitted.append(labels))
    result = measure(("alice", "bob"), own="1,2,3")
    own = result["draws"][0]["own"]
    left = [set(LABELS) - {"alice", "bob", *own[count]} for count in "12"]
    assert [set(labels) for labels in fitted] == left


def test_few_own_labels_are_compared_by_a_background_alone(tmp_path, measure, gathered, members):
    for seed in range(6):
        for number in range(2):
            write_sound(tmp_path / "others" / str(seed) / f"{number}.wav", voice("bob", seed=9 * seed + number))
    make_pictures(tmp_path / "others", tmp_path / "images", recipe=find_recipe("default"))
    options, data, clips = gathered
    options = dataclasses.replace(options, own="1,3")
    others = verification.gather(read_dataset(tmp_path / "images", tmp_path / "p.sqlite"), members, options)
    draw = Draw(("alice", "bob"), ("carol", "dave", "erin"))
    result = verification.measure(data, [draw], clips, members, others=others, options=options)
    assert list(result["mean"]) == ["1 own and a background", "3 own", "3 own and a background"]


def test_one_label_alone_has_nothing_to_be_compared_with(measure):
    with pytest.raises(InputError, match="Hold out two labels or more"):
        measure(("alice",))


def test_the_script_prints_and_writes_what_was_measured(speakers, tmp_path, monkeypatch, capsys):
    import bench

    monkeypatch.setattr("audionet.models.backbones.backbone.load_backbone", load_fake)
    monkeypatch.setattr("audionet.training.trainer.candidate_bottlenecks", lambda *_, **__: ("rows",))
    audio_dir = five_speakers(speakers, tmp_path / "voices")
    (audio_dir / "bob" / "broken.mp3").write_text("no sound")
    options = ["--audio_dir", audio_dir, "--output_dir", tmp_path / "out", "--no_peers"]
    arguments = ["verification", *options, "--draws", "1", "--own", "3"]
    assert bench.main([str(argument) for argument in arguments]) == 1
    printed = capsys.readouterr()
    assert "means over 1 draws of 2 of 5 labels" in printed.out and "3 own" in printed.out
    assert "broken.mp3" in printed.err
    assert len(json.loads((tmp_path / "out" / "voices" / "verify.json").read_text())["draws"]) == 1
    assert (
        bench.main(
            ["verification", "--audio_dir", str(audio_dir), "--own", "4", "--draws", "1", *map(str, options[2:])]
        )
        == 2
    )
    assert "--own: expected 3 at most" in capsys.readouterr().err
