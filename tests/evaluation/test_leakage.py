"""What was trained on and tested on too, and what a split by chance would have claimed."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audionet.audio.fingerprints import SharedSound
from audionet.evaluation.leakage import LeakAudit, chance_split, content_key, content_keys
from audionet.features.image_io import encode_jpg


class TestContentKeys:
    PICTURE = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)

    def test_a_picture_is_the_same_whatever_it_is_said_to_be_of(self):
        about = {"recipe": {}, "recording": "alice/monday.mp3"}
        one, two = (encode_jpg(self.PICTURE, quality=95, about=words) for words in (about, None))
        assert one != two and content_key(one) == content_key(two)

    def test_another_picture_is_another(self):
        keys = {content_key(encode_jpg(picture, quality=95)) for picture in (self.PICTURE, 255 - self.PICTURE)}
        assert len(keys) == 2

    @given(st.binary(max_size=50))
    def test_whatever_follows_a_jpg_marker_has_a_key(self, content):
        assert content_key(b"\xff\xd8" + content) >= 0

    def test_keys_are_sorted_and_each_is_there_once(self, tmp_path):
        paths = [tmp_path / f"{number}.png" for number in range(5)]
        for number, path in enumerate(paths):
            path.write_bytes(bytes([number // 2]))
        keys = content_keys(paths)
        assert keys.dtype == np.uint64 and len(keys) == 3 and (np.diff(keys.astype(object)) > 0).all()


def leak_audit(**changes) -> LeakAudit:
    return LeakAudit(
        **{
            "held_out_accuracy": 0.84,
            "chance_split_accuracy": 0.98,
            "chunks": 100,
            "shared": (),
            "compared": 9,
            **changes,
        }
    )


def test_a_split_by_chance_claims_what_a_memory_of_recordings_is_worth():
    recordings = np.repeat(np.arange(40), 10)
    numbers = np.random.default_rng(0).integers(0, 4, 40)[recordings]

    training, testing = chance_split(len(numbers), tested=100, rng=np.random.default_rng(1))
    known = dict(zip(recordings[training], numbers[training], strict=True))
    answers = np.array([known.get(recording, -1) for recording in recordings[testing]])
    assert np.mean(answers == numbers[testing]) > 0.98


def test_rows_of_a_split_by_chance_are_tested_once_and_never_trained_on():
    training, testing = chance_split(50, tested=20, rng=np.random.default_rng(0))
    assert len(testing) == 20
    assert sorted([*training, *testing]) == list(range(50))


def test_the_leak_audit_sets_both_scores_side_by_side():
    honest, claimed = leak_audit().score_sentences()
    assert "84.0% of 100 chunks" in honest
    assert "98.0%" in claimed and "14.0 points" in claimed


def test_the_leak_audit_says_what_it_could_not_compare():
    assert "no honest score" in leak_audit(held_out_accuracy=None).sentences()[0]
    assert "no sound to compare" in leak_audit(compared=0).sound_sentence()


def test_shared_sound_is_named_pair_by_pair():
    shared = [SharedSound(f"a/{n}", f"b/{n}", "testing", "training", 4.0, 1.0, False) for n in range(7)]
    sentences = leak_audit(shared=tuple(shared)).sentences()
    assert "7 pairs" in sentences[2]
    assert sentences[3].strip() == "a/0 (testing) shares 4 s of sound with b/0 (training), 1.0 s apart."
    assert sentences[-1].strip() == "… and 2 more."


def test_a_leak_audit_comes_back_from_json_as_it_was():
    shared = SharedSound("a/1", "a/2", "testing", "training", 4.0, 1.0, False)
    leaks = leak_audit(shared=(shared,))
    assert {"honest_accuracy", "claimed_accuracy"} < set(leaks.to_json())
    assert LeakAudit.from_json(json.loads(json.dumps(leaks.to_json()))) == leaks
