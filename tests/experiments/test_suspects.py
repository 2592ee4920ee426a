import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from conftest import FakeBackbone

from audionet.audio.fingerprints import Fingerprint
from audionet.data.verdicts import Verdict
from audionet.experiments.suspects import Suspect, confident_alternatives, csv_of, find_suspects
from audionet.training.training_data import MemberNetwork


@pytest.fixture
def labelled(gathered):
    """Return training data with other labels for some recordings, as `find_suspects` takes them."""
    network = MemberNetwork.of("fake", FakeBackbone(), gathered.recipe, ("rows",))

    def labelled(**labels: str):
        changed = {name.replace("_", "/") + ".mp3": label for name, label in labels.items()}
        examples = tuple(replace(one, label=changed.get(one.recording, one.label)) for one in gathered.samples.examples)
        label_ids = np.array([gathered.labels.index(examples[row].label) for row in gathered.samples.example_ids])
        samples = replace(gathered.samples, examples=examples, label_ids=label_ids)
        return replace(gathered, samples=samples, networks=(network,))

    return labelled


def test_a_recording_under_another_label_is_the_first_suspect(labelled):
    suspects = find_suspects(labelled(alice_0="bob"))
    first = suspects[0]
    assert (first.recording, first.label, first.suggested) == ("alice/0.mp3", "bob", "alice")
    assert first.score > 0.5 and first.is_likely and first.why == "another label fits better"
    scores = [one.score for one in suspects]
    assert len(suspects) == 15 and scores == sorted(scores, reverse=True)


def test_where_all_labels_are_right_nothing_is_suspect(labelled):
    assert not [one for one in find_suspects(labelled()) if one.is_likely]


def test_two_swapped_recordings_are_the_first_two(labelled):
    suspects = find_suspects(labelled(alice_0="bob", carol_3="alice"))
    assert {one.recording: one.suggested for one in suspects[:2]} == {"alice/0.mp3": "alice", "carol/3.mp3": "carol"}


def test_the_same_sound_under_two_labels_is_suspect(labelled):
    peaks = np.zeros((0, 2), int)
    copy = Fingerprint(peaks, ("same",), 4.0)
    prints = {"alice/1.mp3": copy, "bob/2.mp3": copy, "bob/3.mp3": Fingerprint(peaks, ("other",), 4.0)}
    suspects = find_suspects(labelled(), fingerprints=prints)
    assert {one.recording: one.why for one in suspects[:2]} == {
        "alice/1.mp3": "the same sound as bob/2.mp3",
        "bob/2.mp3": "the same sound as alice/1.mp3",
    }


def test_a_label_with_one_recording_is_not_judged(labelled):
    suspects = find_suspects(labelled(**{f"bob_{number}": "alice" for number in range(1, 5)}))
    assert {one.label for one in suspects} == {"alice", "carol"} and len(suspects) == 14


def test_probabilities_count_relative_to_what_is_usual_for_their_label():
    probabilities = np.array([[0.5, 0.5], [0.6, 0.4], [0.1, 0.9], [0.02, 0.98]])
    suggested, scores = confident_alternatives(probabilities, np.array([0, 0, 1, 1]))
    assert suggested.tolist() == [1, 1, 0, 0]
    assert (scores < 0.5).all() and scores[0] > scores[1] > scores[2] > scores[3]


def test_the_list_has_the_verdicts_that_there_are():
    suspects = [Suspect("a/1,\n.mp3", "a", "b", 0.91234, "x"), Suspect("a/2.mp3", "a", "b", 0.2, "y")]
    rows = list(csv.DictReader(io.StringIO(csv_of(suspects, {"a/2.mp3": Verdict("a/2.mp3", "relabel", "c")}))))
    assert [row["recording"] for row in rows] == ["a/1,\n.mp3", "a/2.mp3"]
    assert [(row["suggested"], row["score"], row["verdict"]) for row in rows] == [
        ("b", "0.9123", ""),
        ("c", "0.2000", "relabel"),
    ]
