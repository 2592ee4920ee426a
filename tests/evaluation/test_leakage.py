"""What was trained on and tested on too, and what a split by chance would have claimed."""

import json
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audionet.audio.fingerprints import SharedSound
from audionet.evaluation.leakage import LeakAudit, SplitComparison, content_key, content_keys
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


COMPARISON = SplitComparison(0.98, 0.82, (0.09, 0.21), draws=5, recordings=12, groups=12)


def leak_audit(**changes) -> LeakAudit:
    return LeakAudit(
        **{
            "held_out_accuracy": 0.84,
            "comparison": COMPARISON,
            "chunks": 100,
            "shared": (),
            "compared": 9,
            **changes,
        }
    )


def test_the_leak_audit_sets_both_scores_side_by_side():
    honest, compared = leak_audit().score_sentences()
    assert "84.0% of 100 chunks" in honest
    assert (
        "98.0%" in compared and "+16.0 points (95 % interval +9.0 to +21.0 over 12 recordings) would have" in compared
    )


def test_a_difference_that_may_be_chance_is_no_leak():
    unsure = replace(COMPARISON, by_chance=0.84, difference_ci95=(-0.01, 0.05))
    assert leak_audit(comparison=unsure).score_sentences()[1].endswith("so that no leak can be told.")
    assert not replace(unsure, difference_ci95=None).is_leak


def test_the_leak_audit_says_what_it_could_not_compare():
    assert "no honest score" in leak_audit(held_out_accuracy=None).sentences()[0]
    assert len(leak_audit(comparison=None).score_sentences()) == 1
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
    assert LeakAudit.from_json(leak_audit(comparison=None).to_json()).comparison is None
    assert LeakAudit.from_json(json.loads(json.dumps(leaks.to_json()))) == leaks


def test_what_earlier_versions_claimed_by_one_draw_is_left_out():
    before = {"honest_accuracy": 0.382, "claimed_accuracy": 0.217, "chunks": 90, "shared": [], "compared": 9}
    assert LeakAudit.from_json(before) == leak_audit(
        held_out_accuracy=0.382, comparison=None, chunks=90, shared=(), compared=9
    )
