"""Model selection: what is tried, what is chosen, and what takes no part in it."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import FakeBackbone, names_below, training_run_of

from audionet.console import WATCHED
from audionet.evaluation.metrics import balanced_accuracy
from audionet.files import read_mark
from audionet.models.bottleneck_cache import Rows
from audionet.training import model_selection
from audionet.training.final_evaluation import score_held_out
from audionet.training.fitting.head_trainers import TRAINERS
from audionet.training.model_selection import Candidate, select_model
from audionet.training.progress import ValidationScore
from audionet.training.settings import HeadSettings
from audionet.training.trainer import TrainedModel

SETTINGS = HeadSettings(how_many_training_steps=20)


def train(data, *, trainer="lda", **options):
    selected = select_model(data, bottlenecks=["rows"], settings=replace(SETTINGS, head=trainer), **options)
    return training_run_of(TrainedModel(data, selected, (FakeBackbone(),)))


def with_columns(data, **columns):
    """Return training data with other columns in its table of samples."""
    return replace(data, samples=replace(data.samples, **columns))


def test_what_was_held_out_takes_no_part_in_training(gathered):
    spoilt = gathered.samples.table[:]
    spoilt[gathered.samples.splits == "testing"] = 1000
    first, second = train(gathered), train(with_columns(gathered, table=Rows(spoilt)))
    assert np.array_equal(first.classifier.members[0].head.weights, second.classifier.members[0].head.weights)
    assert first.metrics["chunk"] != second.metrics["chunk"]


def test_labels_that_mean_nothing_score_like_guessing(gathered):
    label_ids = np.random.default_rng(0).permutation(gathered.samples.label_ids)
    nothing = np.random.default_rng(1).normal(size=gathered.samples.table.shape).astype(np.float16)
    metrics = train(with_columns(gathered, label_ids=label_ids, table=Rows(nothing))).metrics
    assert metrics["chunk"]["accuracy"] < 0.8
    assert metrics["training"]["temperature"] > 1


def test_auto_tries_every_trainer_and_keeps_the_first_unless_another_is_surely_better(gathered):
    metrics = train(gathered, trainer="auto").metrics
    tried = {attempt["trainer"]: attempt["validation_accuracy"] for attempt in metrics["training"]["attempts"]}
    assert set(tried) == set(TRAINERS)
    assert tried[metrics["training"]["trainer"]] >= tried[next(iter(TRAINERS))]


def test_the_threshold_is_fitted_at_the_rate_of_false_accepts_that_the_settings_state(gathered):
    selected = [
        select_model(gathered, bottlenecks=["rows"], settings=replace(SETTINGS, head="lda", false_accept_rate=rate))
        for rate in (0.01, 0.4)
    ]
    assert [one.open_set.stated_rate for one in selected] == [0.01, 0.4]
    assert selected[0].open_set.threshold(1) > selected[1].open_set.threshold(1)


def tried(*accuracies):
    return model_selection._Tried(Candidate("rows", "lda", 0.0, 1, sum(accuracies), {}), np.array(accuracies))


@pytest.mark.parametrize(
    ("first", "second", "is_better"),
    [
        ((0.2, 0.2, 0.2), (0.2, 0.2, 0.2), False),  # the same
        ((0.2, 0.2, 0.2), (0.2, 0.2, 0.3), False),  # one group alone speaks for it
        ((0.2, 0.2, 0.2), (0.1, 0.3, 0.25), False),  # groups do not agree
        ((0.2, 0.2, 0.2), (0.25, 0.25, 0.2), True),
        ((0.2, 0.2, 0.2), (0.3, 0.3, 0.1), False),
    ],
)
def test_another_way_is_chosen_where_groups_of_recordings_agree_on_it(first, second, is_better):
    assert tried(*second).is_surely_better(tried(*first)) == is_better


def test_the_accuracy_on_validation_is_the_mean_over_clean_pictures_and_views(gathered):
    head = train(gathered).classifier.members[0].head
    samples = gathered.samples
    views = np.random.default_rng(0).permutation(samples.table[:])
    validation = samples.with_views(samples.example_ids, np.ones(len(samples), int), views).select("validation")
    expected = []
    for is_view in (False, True):
        kind = validation.take((validation.views > 0) == is_view)
        expected.append(balanced_accuracy(kind.label_ids, head.logits(kind.bottlenecks("rows")).argmax(axis=1)))
    assert expected[1] < 0.9
    assert model_selection._group_accuracies(validation, head, "rows").sum() == pytest.approx(np.mean(expected))


def test_the_best_of_several_bottlenecks_is_chosen(gathered):
    rng = np.random.default_rng(0)
    junk = rng.normal(size=gathered.samples.table.shape).astype(np.float16)
    width = junk.shape[1]
    both = with_columns(
        gathered,
        table=Rows(np.concatenate([junk, gathered.samples.table[:]], axis=1)),
        slices={"junk": (0, width), "rows": (width, 2 * width)},
    )
    settings = replace(SETTINGS, head="lda")
    assert select_model(both, bottlenecks=["junk", "rows"], settings=settings).best.bottleneck == "rows"


@pytest.mark.parametrize("emptied", ["validation", "testing"])
def test_a_split_may_be_empty(gathered, emptied):
    splits = gathered.samples.splits
    run = train(gathered.with_splits(np.where(splits == emptied, "training", splits)))
    assert ("recording" in run.metrics) == (emptied != "testing")
    assert run.metrics["training"]["temperature"] > 0


def test_voices_of_recordings_not_trained_on_are_accepted_and_what_is_unlike_them_is_refused(gathered, selected):
    for one in score_held_out(selected, gathered):
        assert one.is_accepted
        of_others = np.delete(one.evidence, gathered.labels.index(one.label), axis=1).max(axis=1, keepdims=True)
        is_of_none = np.repeat(of_others, len(gathered.labels), axis=1)
        assert not one.open_set.accepts(is_of_none)


def test_without_a_background_known_ones_are_told_by_their_logits(selected):
    assert selected.similarity is not None and selected.open_set.scored_by == "logits"


def test_learning_curves_are_written_for_tensorboard(gathered, tmp_path):
    train(gathered, summaries_dir=tmp_path / "summaries")
    events = [name for name in names_below(tmp_path / "summaries") if "tfevents" in name]
    assert {name.split("/")[-2] for name in events} == {"training", "validation"}
    assert read_mark(tmp_path / "summaries")["kind"] == "summaries"


def test_a_program_that_watches_is_told_how_each_head_does_on_validation(gathered, monkeypatch, capsys):
    monkeypatch.setenv(WATCHED, "1")
    selected = select_model(gathered, bottlenecks=["rows"], settings=replace(SETTINGS, l2=0.01))
    said = [score for line in capsys.readouterr().err.split("\r") if (score := ValidationScore.of_bar(line))]
    for candidate in selected.candidates:
        name = candidate.learning_curve()["name"]
        steps = {score.step: (score.accuracy, score.log_loss) for score in said if score.name == name}
        assert list(steps) == candidate.curve["steps"] == ([10, 20] if candidate.trainer == "softmax" else [1])
        expected = zip(candidate.curve["accuracy"], candidate.curve["log_loss"], strict=True)
        assert list(steps.values()) == [pytest.approx(pair, abs=0.0006) for pair in expected]
