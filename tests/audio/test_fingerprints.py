"""Recordings are known again by what they hold, whatever they are called."""

import numpy as np
import pytest
from conftest import RATE_HZ, chunk_stats_of, melody, noise

from audionet.audio.fingerprints import (
    fingerprint_of,
    pack_fingerprints,
    shared_across,
    shared_within,
    unpack_fingerprints,
)
from audionet.models.array_files import read_arrays


def fingerprint(samples: np.ndarray):
    return fingerprint_of(chunk_stats_of(samples))


def test_a_copy_is_identical_and_a_shifted_one_is_shared():
    found = shared_within(
        {"a": fingerprint(melody(0)), "copy": fingerprint(melody(0)), "late": fingerprint(melody(0)[RATE_HZ:])}
    )
    kinds = {(shared.first, shared.second): shared.is_identical for shared in found}
    assert kinds == {("a", "copy"): True, ("a", "late"): False, ("copy", "late"): False}


def test_copies_of_the_shortest_sounds_are_found_too():
    (shared,) = shared_within({name: fingerprint(noise(0.1)) for name in ("tick", "tock")})
    assert shared.is_identical and "sample by sample" in shared.sentence()


def test_different_sounds_share_nothing():
    assert shared_within({str(seed): fingerprint(melody(seed)) for seed in range(4)}) == ()


def test_two_sides_may_have_recordings_of_one_name():
    sides = {"training": {"alice/01.mp3": fingerprint(melody(0))}, "testing": {"alice/01.mp3": fingerprint(melody(0))}}
    (shared,) = shared_across(sides)
    assert (shared.first_side, shared.second_side) == ("training", "testing")


def test_a_sentence_names_both_recordings_and_the_shift():
    sides = {"training": {"a/1.mp3": fingerprint(melody(0))}, "testing": {"b/2.mp3": fingerprint(melody(0)[RATE_HZ:])}}
    (shared,) = shared_across(sides)
    assert "a/1.mp3 (training) shares" in shared.sentence()
    assert "b/2.mp3 (testing), 1.0 s apart" in shared.sentence()


def test_shared_sound_is_never_longer_than_the_shorter_recording():
    (shared,) = shared_within({"a": fingerprint(melody(0)), "b": fingerprint(melody(0)[: 5 * RATE_HZ])})
    assert 3 <= shared.seconds <= 5


@pytest.mark.parametrize("names", [[], ["ünï/<b>.mp3", "odd\udcff.mp3"]])
def test_packed_fingerprints_come_back_as_they_were(names):
    packed = {name: fingerprint(melody(seed)) for seed, name in enumerate(names)}
    unpacked = unpack_fingerprints(read_arrays(pack_fingerprints(packed)))
    assert list(unpacked) == names
    for name in names:
        assert np.array_equal(unpacked[name].peaks, packed[name].peaks)
        assert (unpacked[name].digests, unpacked[name].seconds) == (packed[name].digests, packed[name].seconds)


@pytest.mark.slow
def test_real_speech_is_found_through_codecs_and_cuts_and_other_speech_is_not(tmp_path):
    from conftest import SAMPLE_AUDIO

    from audionet.audio import decoding
    from audionet.audio.codecs import through_codec

    originals, changed = {}, {}
    for path in sorted(SAMPLE_AUDIO.glob("*/*.mp3")):
        samples = np.concatenate(list(decoding.read_blocks(path, sample_rate_hz=RATE_HZ)))
        name = f"{path.parent.name}/{path.name}"
        originals[name] = fingerprint(samples)
        late = samples[round(0.7 * RATE_HZ) :][: 12 * RATE_HZ]
        changed[name] = fingerprint(through_codec(late, sample_rate_hz=RATE_HZ, codec="gsm"))
    assert shared_within(originals) == ()
    found = shared_across({"original": originals, "changed": changed})
    assert all(shared.first == shared.second for shared in found)
    assert len(found) >= 0.9 * len(originals)
