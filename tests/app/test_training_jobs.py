import asyncio

import pytest

from audionet.app.training_jobs import TrainingJob, check_trainable, follow, outcome_in_words, split_arguments
from audionet.app.users import RefusedError


def test_bars_of_a_training_become_words_and_a_share():
    job = TrainingJob()
    seen = []
    for line in ("Drawing:  25%|##5  | 1/4", "Drawing: 100%|#####| 4/4", "Bottlenecks:   0%| | 0/9", "some words"):
        job.read_line(line)
        seen.append((job.words, job.share))
    looking = "Running the networks"
    drawing = "Drawing pictures of the clips"
    assert seen == [(drawing, 0.25), (drawing, None), (looking, 0.0), (looking, 0.0)]
    job.read_line("Bottlenecks:  88%|####| 8/9 [00:01<00:01]")
    job.read_line("                    ")
    assert (job.words, job.share, job.rest_seconds) == (looking, None, None)
    job.read_line("Packing:  50%|####| 1/2")
    assert (job.words, job.share) == ("Training and measuring", 0.5)


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


def test_an_outcome_is_told_with_its_doubt():
    assert "nobody knows how good it is" in outcome_in_words({})
    words = outcome_in_words({"recording": {"accuracy": 0.75, "n": 4, "ci95": [0.3, 0.95]}})
    assert "3 of 4 clips" in words and "between 30% and 95%" in words and "rough figure" in words
    words = "Of clips that it had never heard: 90 of 100 clips right, without a threshold for unknown ones."
    assert outcome_in_words({"recording": {"accuracy": 0.9, "n": 100, "ci95": None}}) == words
    scores = {"accuracy": 1.0, "n": 100, "ci95": None, "named_right": 0.9, "named_wrong": 0.02, "refused": 0.08}
    words = outcome_in_words({"recording": scores})
    assert "90 of 100 clips named right, 2 wrong, 8 refused as unknown" in words


def test_a_bar_tells_how_long_its_step_still_takes():
    job = TrainingJob()
    job.read_line("Bottlenecks:  25%|##5  | 1/4 [00:05<01:10,  2.5 pictures/s]")
    assert job.rest_seconds == 70
    job.read_line("Bottlenecks: 100%|#####| 4/4 [00:05<00:00,  2.5 pictures/s]")
    assert job.rest_seconds is None


def told(*pieces: str) -> tuple[TrainingJob, str]:
    """Return a job after a training has written these pieces, and its last line but for bars."""

    async def read() -> tuple[TrainingJob, str]:
        stderr = asyncio.StreamReader()
        job = TrainingJob()
        following = asyncio.create_task(follow(stderr, job))
        for piece in pieces:
            stderr.feed_data(piece.encode())
            await asyncio.sleep(0)
        shown = (job.words, job.share)
        stderr.feed_eof()
        last_line = await following
        assert (job.words, job.share) == shown
        return job, last_line

    return asyncio.run(read())


def test_a_bar_counts_as_soon_as_it_is_written_though_its_line_is_not_over():
    job, last_line = told("Something to say.\n", "\rChoosing:  25%|##5  | 1/4 [00:05<00:", "15,  5.00s/ heads]")
    assert (job.words, job.share, job.rest_seconds) == ("Trying ways to tell the labels apart", 0.25, 15)
    assert last_line == "Something to say."


def test_scores_on_validation_become_a_curve_in_which_each_step_of_a_head_is_once():
    by_lda = "accuracy 95.0 %, log loss 0.213 after step 1 of lda on a+b"
    by_softmax = "accuracy 90.0 %, log loss 1.250 after step 20 of softmax, L2 0.01, on a"
    bars = [
        "\rChoosing:   0%|     | 0/3 [00:00<?, ? heads/s]",
        f"\rChoosing:   0%|     | 0/3 [00:00<?, ? heads/s, {by_lda}]",
        f"\rChoosing:  33%|###  | 1/3 [00:01<00:02,  1.00 heads/s, {by_lda}]",
        f"\rChoosing:  33%|###  | 1/3 [00:01<00:02,  1.00 heads/s, {by_softmax}]",
    ]
    job, _ = told(*bars)
    assert [(score.name, score.step, score.accuracy, score.log_loss) for score in job.curve] == [
        ("lda on a+b", 1, 0.95, 0.213),
        ("softmax, L2 0.01, on a", 20, 0.9, 1.25),
    ]
    assert job.rest_seconds == 2
