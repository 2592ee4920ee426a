"""Splits of chunks by chance beside splits of recordings: a leak is claimed where there is one."""

from pathlib import Path

import numpy as np
import pytest

from audionet.data.dataset import Example
from audionet.evaluation.leakage import SplitComparison
from audionet.models.bottleneck_cache import Rows
from audionet.training import leak_audit
from audionet.training.fitting.closed_forms import Standardisation
from audionet.training.fitting.head_trainers import TrainingSet, train_lda
from audionet.training.leak_audit import compare_splits, inner_products, lda_scores
from audionet.training.settings import HeadSettings
from audionet.training.training_data import Samples

DIMENSION = 30


def audited(samples: Samples) -> SplitComparison | None:
    """Return the comparison for one member."""
    samples = samples.clean()
    return compare_splits(samples, [samples.bottlenecks("rows")])


def samples_of(
    *, labels: int = 4, recordings: int = 4, chunks: int = 6, memory: float, seed: int = 0, group_of=lambda name: name
) -> Samples:
    """Return chunks around the centre of their label, moved by as much as recordings differ, and by noise of 1."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 0.2, (labels, DIMENSION))
    examples, rows = [], []
    for label in range(labels):
        for number in range(recordings):
            middle = centres[label] + rng.normal(0, memory, DIMENSION) if memory else centres[label]
            name = f"{label}/{number}"
            examples += [Example(Path(f"{name}_{n}.jpg"), str(label), name, 0.0, "", group=group_of(name))
                         for n in range(chunks)]  # fmt: skip
            rows += list(middle + rng.normal(0, 1, (chunks, DIMENSION)))
    return Samples.of_pictures(
        examples,
        labels=[str(label) for label in range(labels)],
        splits=["training"] * len(examples),
        folds=[0] * len(examples),
        table=Rows(np.array(rows, np.float16)),
        slices={"rows": (0, DIMENSION)},
    )


def compared(**data) -> SplitComparison:
    found = audited(samples_of(**data))
    assert found is not None
    return found


def test_what_chunks_of_a_recording_tell_of_each_other_is_a_leak():
    found = compared(memory=1.0)
    assert found.is_leak and found.by_chance - found.by_group > 0.3
    assert "would have been a leak" in found.sentence() and "over 16 recordings" in found.sentence()


def test_where_recordings_do_not_differ_no_leak_is_claimed():
    """The fault that this replaces: one draw of 193 short recordings claimed a difference of 16 points."""
    found = [compared(memory=0, seed=seed) for seed in range(12)]
    assert sum(one.is_leak for one in found) <= 2  # one in forty is expected
    assert np.mean([one.by_chance - one.by_group for one in found]) == pytest.approx(0, abs=0.02)
    quiet = next(one for one in found if not one.is_leak)
    assert quiet.sentence().endswith("so that no leak can be told.")


def test_the_leak_of_a_group_is_seen_by_group():
    data = {"labels": 3, "recordings": 8, "chunks": 1, "memory": 0}
    of_sessions = samples_of(**data, group_of=lambda name: name[:-1] + str(int(name[-1]) // 2))
    moved = of_sessions.table[:].astype(np.float32)
    moved += np.repeat(np.random.default_rng(1).normal(0, 2, (12, DIMENSION)), 2, axis=0)
    leaking = Samples.of_pictures(
        of_sessions.examples,
        labels="012",
        splits=of_sessions.splits,
        folds=of_sessions.folds,
        table=Rows(moved.astype(np.float16)),
        slices=of_sessions.slices,
    )
    found = audited(leaking)
    assert (found.recordings, found.groups) == (24, 12)
    assert "whole groups are held out" in found.sentence() and "over 12 groups" in found.sentence()
    assert found.is_leak


def test_the_same_seed_gives_the_same_comparison():
    assert compared(memory=0.3) == compared(memory=0.3)


def test_a_label_of_one_recording_cannot_be_compared():
    assert audited(samples_of(recordings=1, memory=0)) is None


def test_groups_of_several_labels_that_leave_nothing_to_train_on_are_not_compared():
    samples = samples_of(recordings=2, memory=0, group_of=lambda name: "0" if name[0] != "1" else name)
    assert audited(samples) is None


def test_heads_answer_as_those_of_training_do():
    samples = samples_of(memory=0.5)
    bottlenecks = np.asarray(samples.bottlenecks("rows")[:], np.float32)
    bottlenecks = (bottlenecks - bottlenecks.mean(axis=0)) / bottlenecks.std(axis=0)
    training = np.arange(len(samples)) % 3 > 0
    training_set = TrainingSet(bottlenecks[training], samples.label_ids[training], 4)
    plain = Standardisation(np.zeros(DIMENSION, np.float32), np.ones(DIMENSION, np.float32))
    training_set.__dict__["standardisation"] = plain
    theirs = train_lda(training_set, HeadSettings()).logits(bottlenecks).argmax(axis=1)
    ours = lda_scores(inner_products(bottlenecks), samples.label_ids, training, dimension=DIMENSION).argmax(axis=1)
    assert np.array_equal(ours, theirs)


def test_both_ways_train_and_test_as_many_chunks_of_each_label():
    samples = samples_of(recordings=5, memory=0)
    rng = np.random.default_rng(0)
    folds = leak_audit.folds_of_groups(samples.label_ids, samples.group_ids(), 3, rng)
    dealt = leak_audit._dealt_by_chance(samples.label_ids, folds, rng)
    for label in range(4):
        of_label = samples.label_ids == label
        assert sorted(folds[of_label]) == sorted(dealt[of_label])
        assert all(len(set(folds[samples.group_ids() == group])) == 1 for group in samples.group_ids()[of_label])


@pytest.mark.parametrize(("labels", "recordings", "chunks"), [(3, 3, 2_000), (3, 900, 3), (300, 3, 4)])
def test_of_many_chunks_some_of_each_of_many_groups_are_taken(labels, recordings, chunks):
    label_ids = np.repeat(np.arange(labels), recordings * chunks)
    groups = np.repeat(np.arange(labels * recordings), chunks)
    kept = leak_audit.thinned(label_ids, groups, np.random.default_rng(0), most=leak_audit.MOST_CHUNKS)
    assert len(kept) <= leak_audit.MOST_CHUNKS and len(np.unique(kept)) == len(kept)
    assert len(np.unique(label_ids[kept])) == min(labels, leak_audit.MOST_LABELS)
    counts = np.bincount(groups[kept])
    assert counts[counts > 0].min() >= 2
    assert np.bincount(np.unique(label_ids[kept] * 10_000 + groups[kept]) // 10_000).max() >= 3
