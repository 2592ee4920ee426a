import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import SPEAKERS, FakeBackbone, names_below

from audionet.errors import InputError
from audionet.files import mark_folder, read_mark
from audionet.head import TRAINERS
from audionet.settings import HeadSettings
from audionet.training import check_replaceable, choose, finish, score_held_out

SETTINGS = HeadSettings(how_many_training_steps=20)


def train(material, *, trainer="lda", **options):
    settings = replace(SETTINGS, head=trainer)
    return finish(material, choose(material, candidates=["rows"], settings=settings, **options), FakeBackbone())


def test_voices_that_differ_are_told_apart_on_recordings_held_out(trained):
    assert trained.metrics["recording"]["accuracy"] == 1
    assert trained.metrics["recording"]["n"] == len(SPEAKERS)


def test_chunks_and_recordings_of_each_side_are_counted(trained):
    sides = trained.metrics["training"]["sides"]
    assert {side: counts["recordings"] for side, counts in sides.items()} == {
        "training": 9,
        "validation": 3,
        "testing": 3,
    }
    assert sum(counts["chunks"] for counts in sides.values()) == 30


def test_confusion_counts_the_recordings_held_out(trained):
    assert np.sum(trained.metrics["confusion"]) == trained.metrics["recording"]["n"]


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


def test_auto_tries_every_trainer_and_keeps_the_best(gathered):
    metrics = train(gathered, trainer="auto").metrics
    tried = {attempt["trainer"]: attempt["validation_accuracy"] for attempt in metrics["training"]["attempts"]}
    assert set(tried) == set(TRAINERS)
    assert tried[metrics["training"]["trainer"]] == max(tried.values())


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
    assert choose(both, candidates=["junk", "rows"], settings=settings).best.bottleneck == "rows"


@pytest.mark.parametrize("emptied", ["validation", "testing"])
def test_a_side_may_be_done_without(gathered, emptied):
    rows = gathered.rows | {
        emptied: np.empty(0, int),
        "training": np.concatenate([gathered.rows["training"], gathered.rows[emptied]]),
    }
    run = train(replace(gathered, rows=rows))
    assert ("recording" in run.metrics) == (emptied != "testing")
    assert run.metrics["training"]["temperature"] > 0


def test_a_score_is_that_of_the_head_on_the_testing_side(gathered, trained):
    scored = score_held_out(trained.classifier.head, gathered, "rows")
    assert {one.recording for one in scored} == {name for name, side in trained.sides.items() if side == "testing"}
    answers = [trained.classifier.labels[one.logits.mean(axis=0).argmax()] for one in scored]
    assert answers == [one.label for one in scored]


def test_voices_never_heard_are_refused_and_those_trained_on_are_not(trained, gathered):
    open_set = trained.classifier.open_set
    for one in score_held_out(trained.classifier.head, gathered, "rows"):
        assert open_set.accepts(one.logits)
    assert not open_set.accepts(-one.logits * 3)


def test_learning_curves_are_written_for_tensorboard(gathered, tmp_path):
    train(gathered, summaries_dir=tmp_path / "summaries")
    events = [name for name in names_below(tmp_path / "summaries") if "tfevents" in name]
    assert {name.split("/")[-2] for name in events} == {"training", "validation"}
    assert read_mark(tmp_path / "summaries")["kind"] == "summaries"


def test_a_run_is_saved_with_its_scores_and_its_split(saved, trained):
    folder = saved / "retrained_model"
    assert json.loads((folder / "metrics.json").read_text()) == json.loads(json.dumps(trained.metrics))
    assert json.loads((folder / "split.json").read_text()) == trained.sides
    assert (saved / "labels.txt").read_text() == "alice\nbob\ncarol\n"


def test_saving_again_replaces_the_folder(trained, tmp_path):
    for _ in range(2):
        trained.save(tmp_path / "model", graph=tmp_path / "graph.pb", labels=tmp_path / "labels.txt")
    assert {path.name for path in tmp_path.iterdir()} == {"model", "graph.pb", "labels.txt"}


def test_the_report_tells_the_score_and_what_to_type_next(trained, tmp_path, speakers):
    score, claimed, _, refusal, where, command = trained.closing_lines(tmp_path / "my model")
    assert score.startswith("On recordings that training never saw: 3 of 3 recordings right")
    assert "Guessing would get 33%" in score
    assert "would have claimed" in claimed
    assert "Unknown clips are refused" in refusal
    assert str(tmp_path / "my model") in where
    assert f"--model '{tmp_path}/my model' {speakers}" in command


def test_the_clip_named_next_was_never_seen(trained, speakers):
    assert trained.sides[str(trained.example_clip.relative_to(speakers))] == "testing"


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
