"""What an export is compared on, and how the differences are counted."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from conftest import write_sound

from audionet.errors import InputError
from audionet.evaluation.test_set import find_audio, find_pictures
from audionet.export.formats import Tolerance
from audionet.export.parity import RightAnswers, compare, find_parity_clips

pytest.importorskip("tensorflow", reason="exports need tensorflow", exc_type=ImportError)


def test_what_was_trained_on_is_told_by_its_sound_whatever_it_is_called(trained, speakers, tmp_path):
    for name, split in trained.splits.items():
        if split != "validation":
            target = tmp_path / Path(name).parts[0] / f"{split}-{Path(name).name}"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes((speakers / name).read_bytes())
    found = find_parity_clips(trained.classifier, find_audio(tmp_path))
    assert {Path(clip.recording).name.partition("-")[0] for clip in found.held_out} == {"testing"}
    assert {Path(clip.recording).name.partition("-")[0] for clip in found.trained_on} == {"training"}


def test_pictures_can_be_compared_on_instead(export, trained, drawn):
    found = find_parity_clips(trained.classifier, find_pictures(drawn))
    held_out = found.held_out
    assert held_out and found.trained_on and held_out[0].samples is None
    assert export("graph", "picture", held_out=held_out).agreeing == len(held_out)
    with pytest.raises(InputError, match="compared on recordings; name --audio_dir"):
        export("graph", held_out=held_out)


def test_recordings_of_other_labels_are_no_basis_to_compare_on(trained, tmp_path):
    write_sound(tmp_path / "unknown" / "1.wav", np.zeros(16_000) + 0.1)
    with pytest.raises(InputError, match="none is of a label that this classifier knows"):
        find_parity_clips(trained.classifier, find_audio(tmp_path))


def test_drift_and_disagreement_are_counted(trained, parity_clips):
    held_out = parity_clips.held_out
    inputs = [np.zeros((1, 1), np.float32)] * len(held_out)
    parity = compare(
        trained.classifier, held_out, inputs, lambda _: np.array([[0, 0, 1]], np.float32), Tolerance(0.01, 0.01)
    )
    carol = sum(clip.label == "carol" for clip in held_out)
    assert (parity.classifier_right.chunks, parity.export_right.chunks) == (len(held_out), carol)
    assert parity.agreeing == carol
    assert 0.6 < parity.drift < parity.largest_drift <= 1 + 1e-6


def test_gaps_count_as_little_for_a_recording_as_they_do_in_scoring(trained, parity_clips):
    one = [clip for clip in parity_clips.held_out if clip.label == "alice"]
    alice, gap = np.float32([[0.9, 0.1, 0]]), np.float32([[0, 0, 1]])
    recording = [one[0], *(dataclasses.replace(one[0], level_dbfs=one[0].level_dbfs - 60) for _ in range(3))]
    answers = iter([alice, alice, gap, gap, gap])  # the first one warms up
    inputs = [np.zeros((1, 1), np.float32)] * 4
    parity = compare(trained.classifier, recording, inputs, lambda _: next(answers), Tolerance(0.01, 0.01))
    assert parity.classifier_right == RightAnswers(4, 1)
    assert parity.export_right == RightAnswers(1, 1)
