import json

import pytest

from audionet.app.training_jobs import TrainingJob, check_trainable, outcome_in_words, split_arguments
from audionet.app.users import RefusedError


def test_bars_of_a_training_become_words_and_a_share():
    job = TrainingJob()
    seen = []
    for line in ("Drawing:  25%|##5  | 1/4", "Drawing: 100%|#####| 4/4", "Bottlenecks:   0%| | 0/9", "some words"):
        job.read_line(line)
        seen.append((job.words, job.share))
    looking = "Looking at the pictures"
    drawing = "Drawing pictures of the clips"
    assert seen == [(drawing, 0.25), (drawing, None), (looking, 0.0), (looking, 0.0)]
    job.read_line("Bottlenecks: 100%|####| 9/9")
    assert (job.words, job.share) == ("Training and measuring", None)


@pytest.mark.parametrize("labels", [{}, {"alice": ["001.wav"]}, {"alice": ["001.wav"], "_unknown_": ["001.wav"]}])
def test_one_label_is_nothing_to_tell_apart(labels):
    with pytest.raises(RefusedError, match="two labels or more"):
        check_trainable(labels)


@pytest.mark.parametrize(
    ("fewest", "options"),
    [(1, "--testing_percentage 0 --validation_percentage 0"), (2, "--testing_percentage 0"), (3, ""), (9, "")],
)
def test_few_clips_are_all_used_for_training(fewest, options):
    labels = {"alice": ["clip"] * fewest, "bob": ["clip"] * 9, "_unknown_": []}
    assert " ".join(split_arguments(labels)) == options


def test_an_outcome_is_told_with_its_doubt(tmp_path):
    metrics = tmp_path / "metrics.json"
    metrics.write_text("{}")
    assert "nobody knows how good it is" in outcome_in_words(tmp_path)
    metrics.write_text(json.dumps({"recording": {"accuracy": 0.75, "n": 4, "ci95": [0.3, 0.95]}}))
    words = outcome_in_words(tmp_path)
    assert "3 of 4 clips" in words and "between 30% and 95%" in words and "rough figure" in words
    metrics.write_text(json.dumps({"recording": {"accuracy": 0.9, "n": 100, "ci95": None}}))
    words = "Of clips that it had never heard: 90 of 100 clips right, without a threshold for unknown ones."
    assert outcome_in_words(tmp_path) == words
    scores = {"accuracy": 1.0, "n": 100, "ci95": None, "named_right": 0.9, "named_wrong": 0.02, "refused": 0.08}
    metrics.write_text(json.dumps({"recording": scores}))
    assert "90 of 100 clips named right, 2 wrong, 8 refused as unknown" in outcome_in_words(tmp_path)


def test_a_bar_tells_how_long_its_step_still_takes():
    job = TrainingJob()
    job.read_line("Bottlenecks:  25%|##5  | 1/4 [00:05<01:10,  2.5 pictures/s]")
    assert job.rest_seconds == 70
    job.read_line("Bottlenecks: 100%|#####| 4/4 [00:05<00:00,  2.5 pictures/s]")
    assert job.rest_seconds is None
