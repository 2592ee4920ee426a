from dataclasses import replace

import numpy as np
import pytest
from conftest import FakeBackbone, names_below

from audionet.evaluation.metrics import balanced_accuracy
from audionet.files import read_mark
from audionet.training import model_selection
from audionet.training.cross_validation import score_held_out
from audionet.training.head_trainers import TRAINERS
from audionet.training.model_selection import Attempt, select_model
from audionet.training.settings import HeadSettings
from audionet.training.training_run import finish

SETTINGS = HeadSettings(how_many_training_steps=20)


def train(material, *, trainer="lda", **options):
    settings = replace(SETTINGS, head=trainer)
    return finish(material, select_model(material, candidates=["rows"], settings=settings, **options), FakeBackbone())


def test_what_was_held_out_takes_no_part_in_training(gathered):
    spoilt = gathered.bottlenecks.copy()
    spoilt[gathered.rows["testing"]] = 1000
    first, second = train(gathered), train(replace(gathered, bottlenecks=spoilt))
    assert np.array_equal(first.classifier.head.weights, second.classifier.head.weights)
    assert first.metrics["chunk"] != second.metrics["chunk"]


def test_labels_that_mean_nothing_score_like_guessing(gathered):
    numbers = np.random.default_rng(0).permutation(gathered.numbers)
    nothing = np.random.default_rng(1).normal(size=gathered.bottlenecks.shape).astype(np.float16)
    metrics = train(replace(gathered, numbers=numbers, bottlenecks=nothing)).metrics
    assert metrics["chunk"]["accuracy"] < 0.8
    assert metrics["training"]["temperature"] > 1


def test_auto_tries_every_trainer_and_keeps_the_first_unless_another_is_surely_better(gathered):
    metrics = train(gathered, trainer="auto").metrics
    tried = {attempt["trainer"]: attempt["validation_accuracy"] for attempt in metrics["training"]["attempts"]}
    assert set(tried) == set(TRAINERS)
    assert tried[metrics["training"]["trainer"]] >= tried[next(iter(TRAINERS))]


def scored(*shares):
    return model_selection._Scored(Attempt("rows", "lda", 0.0, 1, sum(shares), {}), np.array(shares))


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
    assert scored(*second).is_surely_better(scored(*first)) == is_better


def test_the_accuracy_on_validation_is_the_mean_over_clean_pictures_and_views(gathered):
    head = train(gathered).classifier.head
    count = len(gathered.examples)
    material = replace(
        gathered,
        views=np.random.default_rng(0).permutation(gathered.bottlenecks),
        view_rows=np.arange(count),
        view_numbers=np.zeros(count, int),
    )
    expected = []
    for is_view in (False, True):
        rows, numbers = material.take(("validation",), bottleneck="rows", clean=not is_view, views=is_view)
        expected.append(balanced_accuracy(numbers, head.logits(rows).argmax(axis=1)))
    assert expected[1] < 0.9
    assert model_selection._validation_shares(material, head, "rows").sum() == pytest.approx(np.mean(expected))


def test_the_best_of_several_bottlenecks_is_chosen(gathered):
    rng = np.random.default_rng(0)
    junk = rng.normal(size=gathered.bottlenecks.shape).astype(np.float16)
    width = junk.shape[1]
    both = replace(
        gathered,
        bottlenecks=np.concatenate([junk, gathered.bottlenecks], axis=1),
        views=np.empty((0, 2 * width), np.float16),
        slices={"junk": (0, width), "rows": (width, 2 * width)},
    )
    settings = replace(SETTINGS, head="lda")
    assert select_model(both, candidates=["junk", "rows"], settings=settings).best.bottleneck == "rows"


@pytest.mark.parametrize("emptied", ["validation", "testing"])
def test_a_side_may_be_done_without(gathered, emptied):
    rows = gathered.rows | {
        emptied: np.empty(0, int),
        "training": np.concatenate([gathered.rows["training"], gathered.rows[emptied]]),
    }
    run = train(replace(gathered, rows=rows))
    assert ("recording" in run.metrics) == (emptied != "testing")
    assert run.metrics["training"]["temperature"] > 0


def test_voices_never_heard_are_refused_and_those_trained_on_are_not(trained, gathered, chosen):
    open_set = trained.classifier.open_set
    for one in score_held_out(chosen, gathered):
        assert open_set.accepts(one.logits)
    assert not open_set.accepts(-one.logits * 3)


def test_learning_curves_are_written_for_tensorboard(gathered, tmp_path):
    train(gathered, summaries_dir=tmp_path / "summaries")
    events = [name for name in names_below(tmp_path / "summaries") if "tfevents" in name]
    assert {name.split("/")[-2] for name in events} == {"training", "validation"}
    assert read_mark(tmp_path / "summaries")["kind"] == "summaries"
