from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audionet.data.dataset import Example
from audionet.errors import InputError
from audionet.models.bottleneck_cache import Rows
from audionet.training import head_fitting
from audionet.training.fitting.head_memory import HeadMemory
from audionet.training.head_fitting import HeadFitter, Refits
from audionet.training.settings import HeadSettings
from audionet.training.training_data import Samples

LABELS, DIMENSION = 4, 12


def samples_with_views(*, pictures: int = 120) -> Samples:
    """Return pictures of four labels with two augmented views each, but for a few whose views failed."""
    rng = np.random.default_rng(0)
    label_ids = np.arange(pictures) % LABELS
    vectors = 2 * np.eye(LABELS, DIMENSION)[label_ids] + rng.normal(0, 1, (pictures, DIMENSION)) + 5
    examples = [
        Example(Path(f"{row}.jpg"), str(label), f"{label}/{row}", 0.0, "") for row, label in enumerate(label_ids)
    ]
    samples = Samples.of_pictures(
        examples,
        labels=[str(label) for label in range(LABELS)],
        splits=["training"] * pictures,
        folds=[0] * pictures,
        table=Rows(vectors.astype(np.float16)),
        slices={"rows": (0, DIMENSION)},
    )
    of = np.repeat(np.arange(7, pictures), 2)
    views = (vectors[of] + rng.normal(0, 0.5, (len(of), DIMENSION))).astype(np.float16)
    return samples.with_views(of, np.tile([1, 2], len(of) // 2), views)


@pytest.mark.parametrize("trainer", ["lda", "ridge", "prototypes"])
@pytest.mark.parametrize("left_out", ["a fold", "a label"])
def test_a_head_without_some_samples_is_the_head_that_is_trained_on_the_others(trainer, left_out):
    samples = samples_with_views()
    is_out = samples.example_ids % 3 == 1 if left_out == "a fold" else samples.label_ids == 2
    fitter = HeadFitter("rows", trainer, HeadSettings(), 0)
    kept = samples.take(~is_out)
    logits = Refits(fitter, samples).head_without(is_out).logits(samples.bottlenecks("rows"))
    expected = fitter.fit(kept).logits(samples.bottlenecks("rows"))
    assert logits.shape == expected.shape
    assert logits == pytest.approx(expected, abs=1e-4 * float(np.ptp(expected)))


def test_what_is_left_in_is_not_read_again_for_a_fold(monkeypatch):
    samples = samples_with_views()
    refits = Refits(HeadFitter("rows", "lda", HeadSettings(), 0), samples)
    refits.head_without(np.arange(len(samples)) == 0)
    read = []
    blocks = head_fitting.Moments.of.__func__

    def noting(cls, bottlenecks, *arguments, **options):
        read.append(len(bottlenecks))
        return blocks(cls, bottlenecks, *arguments, **options)

    monkeypatch.setattr(head_fitting.Moments, "of", classmethod(noting))
    refits.head_without(samples.example_ids % 3 == 1)
    assert sum(read) == (samples.example_ids % 3 == 1).sum()


@pytest.mark.parametrize("trainer", ["lda", "ridge", "prototypes"])
def test_a_head_from_memory_is_the_one_that_was_trained_and_no_other(trainer, monkeypatch):
    samples = samples_with_views()
    memory = HeadMemory().of_table(samples.table)
    remembering, fitter = replace(samples, memory=memory), HeadFitter("rows", trainer, HeadSettings(), 0)
    first = fitter.fit(remembering)
    assert fitter.fit(remembering) is first
    assert np.array_equal(first.weights, fitter.fit(samples).weights)
    is_out = samples.label_ids == 1
    without = Refits(fitter, remembering).head_without(is_out)
    assert Refits(fitter, remembering).head_without(is_out) is without
    assert np.array_equal(without.weights, Refits(fitter, samples).head_without(is_out).weights)
    other = replace(samples, label_ids=(samples.label_ids + 1) % LABELS, memory=memory)
    assert np.array_equal(fitter.fit(other).weights, fitter.fit(replace(other, memory=None)).weights)
    heavier = replace(
        samples, examples=tuple(replace(one, weight=2.0 + place) for place, one in enumerate(samples.examples))
    )
    assert fitter.fit(replace(heavier, memory=memory)) is not first
    half = remembering.take(np.arange(len(samples)) % 2 == 0)
    assert np.array_equal(fitter.fit(half).weights, fitter.fit(replace(half, memory=None)).weights)


def test_the_clock_of_a_memory_counts_what_was_spared():
    samples = samples_with_views()
    memory = HeadMemory().of_table(samples.table)
    memory.keep("head", 1, since=memory.clock() - 100)
    before = memory.clock()
    assert memory.get("head") == 1 and memory.get("another") is None
    assert memory.clock() - before > 99


@pytest.mark.parametrize("trainer", ["lda", "ridge"])
def test_samples_that_a_table_says_count_more_do(trainer):
    samples = samples_with_views()
    heavy = [replace(one, weight=50.0 if row < LABELS else 1.0) for row, one in enumerate(samples.examples)]
    weighted = replace(samples, examples=tuple(heavy))
    fitter = HeadFitter("rows", trainer, HeadSettings(), seed=0)
    first = samples.bottlenecks("rows")[np.arange(LABELS)]
    usual, heavier = (fitter.fit(one).logits(first) for one in (samples, weighted))
    assert np.diag(heavier - heavier.mean(axis=1)[:, None]).mean() > np.diag(usual - usual.mean(axis=1)[:, None]).mean()
    is_out = np.arange(len(weighted)) >= 100
    without, alone = Refits(fitter, weighted).head_without(is_out), fitter.fit(weighted.take(~is_out))
    assert np.array_equal(without.logits(first), alone.logits(first))


@pytest.mark.parametrize("trainer", ["lda", "ridge"])
def test_labels_count_as_much_as_their_weights_say(trainer):
    samples = samples_with_views()
    logits = {}
    for weights in ("balanced", "none", "1=4"):
        fitter = HeadFitter("rows", trainer, HeadSettings(label_weights=weights), 0)
        logits[weights] = fitter.fit(samples).logits(samples.bottlenecks("rows"))
        is_out = samples.example_ids % 3 == 1
        alone = fitter.fit(samples.take(~is_out)).logits(samples.bottlenecks("rows"))
        assert Refits(fitter, samples).head_without(is_out).logits(samples.bottlenecks("rows")) == pytest.approx(
            alone, abs=1e-4 * float(np.ptp(alone))
        )
    margin = {name: float((one[:, 1] - one[:, 2]).mean()) for name, one in logits.items()}
    if trainer == "lda":
        assert margin["1=4"] == pytest.approx(margin["balanced"] + np.log(4), rel=1e-3)
    few = samples.take(~((samples.label_ids == 2) & (samples.example_ids % 5 > 0)))
    by_count, alike = (
        HeadFitter("rows", trainer, HeadSettings(label_weights=weights), 0).fit(few).logits(few.bottlenecks("rows"))
        for weights in ("none", "balanced")
    )
    assert not np.array_equal(by_count, alike)
    assert trainer == "ridge" or (by_count[:, 2] < alike[:, 2]).all()


@pytest.mark.parametrize("text", ["equal", "alice", "alice=", "=2", "alice=0", "alice=-1", "a=1e9", "a=2,b"])
def test_weights_that_cannot_be_are_named(text):
    with pytest.raises(InputError, match="--label_weights: expected balanced, none, or labels with weights"):
        HeadSettings(label_weights=text)
