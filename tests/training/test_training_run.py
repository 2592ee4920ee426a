"""What a training run leaves behind."""

import json

import numpy as np
import pytest
from conftest import SPEAKERS

from audionet.errors import InputError
from audionet.files import mark_folder
from audionet.training.training_run import check_replaceable


def test_voices_that_differ_are_told_apart_on_recordings_held_out(trained):
    assert trained.metrics["recording"]["accuracy"] == 1
    assert trained.metrics["recording"]["n"] == len(SPEAKERS)


def test_chunks_and_recordings_of_each_split_are_counted(trained):
    splits = trained.metrics["training"]["sides"]
    assert {split: counts["recordings"] for split, counts in splits.items()} == {
        "training": 9,
        "validation": 3,
        "testing": 3,
    }
    assert sum(counts["chunks"] for counts in splits.values()) == 30


def test_confusion_counts_the_recordings_held_out(trained):
    assert np.sum(trained.metrics["confusion"]) == trained.metrics["recording"]["n"]


def test_a_run_is_saved_with_its_scores_and_its_split(saved, trained):
    folder = saved / "retrained_model"
    assert json.loads((folder / "metrics.json").read_text()) == json.loads(json.dumps(trained.metrics))
    assert json.loads((folder / "split.json").read_text()) == trained.splits
    assert (saved / "labels.txt").read_text() == "alice\nbob\ncarol\n"


def test_saving_again_replaces_the_folder(trained, tmp_path):
    for _ in range(2):
        trained.save(tmp_path / "model")
    assert {path.name for path in tmp_path.iterdir()} == {"model"}


def test_the_clip_named_next_was_never_seen(trained, speakers):
    assert trained.splits[str(trained.example_clip.relative_to(speakers))] == "testing"


def test_a_new_an_empty_and_an_earlier_folder_may_be_replaced(tmp_path):
    (tmp_path / "empty").mkdir()
    mark_folder(tmp_path / "earlier", "classifier")
    for name in ("new", "empty", "earlier"):
        check_replaceable(tmp_path / name)


def test_a_folder_or_file_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").touch()
    mark_folder(tmp_path / "pictures", "pictures")
    for name in ("precious", "pictures", "precious/thesis.txt"):
        with pytest.raises(InputError, match="--output_model: expected a new folder or an earlier classifier"):
            check_replaceable(tmp_path / name)
