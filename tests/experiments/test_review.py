"""What to listen to next: picks that are unsure, typical and unlike each other."""

from pathlib import Path

import numpy as np
import pytest

from audionet.data.dataset import Example
from audionet.experiments.review import Recordings, doubt_of, pick
from audionet.models.bottleneck_cache import Rows
from audionet.training.training_data import Samples
from benchmarks import review as simulation

LABELS, ALIKE, DIMENSION = 6, 8, 10


def samples_of_labels(*, chunks: int = 3, crowd: int = 30) -> Samples:
    """Return chunks of recordings of six labels, the first of which has most of them."""
    rng = np.random.default_rng(0)
    label_of = np.concatenate([np.repeat(np.arange(LABELS), ALIKE), np.zeros(crowd, int)])
    vectors, examples = [], []
    for number, label in enumerate(label_of):
        middle = 4 * np.eye(LABELS, DIMENSION)[label] + rng.normal(0, 0.4, DIMENSION)
        for chunk in range(chunks):
            vectors.append(middle + rng.normal(0, 0.4, DIMENSION))
            examples.append(
                Example(Path(f"{number}_{chunk}.jpg"), str(label), f"{label}/{number:03d}", 2.0 * chunk, "")
            )
    return Samples.of_pictures(
        examples,
        labels=[str(label) for label in range(LABELS)],
        splits=["training"] * len(examples),
        folds=[0] * len(examples),
        table=Rows(np.array(vectors, np.float16)),
        slices={"rows": (0, DIMENSION)},
    )


@pytest.fixture(scope="module")
def recordings() -> Recordings:
    return Recordings.of([samples_of_labels()], ["rows"])


@pytest.fixture(scope="module")
def label_ids(recordings) -> np.ndarray:
    return np.array([int(name.partition("/")[0]) for name in recordings.rows])


def test_the_first_picks_are_unlike_each_other(recordings, label_ids):
    everything = np.ones(len(label_ids), bool)
    picked = pick(
        recordings.vectors, is_labelled=~everything, doubt=doubt_of(None, 78), is_open=everything, count=LABELS
    )
    assert set(label_ids[picked].tolist()) == set(range(LABELS))


def test_what_is_like_a_labelled_recording_is_not_picked_first(recordings, label_ids):
    is_labelled = np.isin(np.arange(len(label_ids)), [0, 8, 16])  # one of each of three labels
    doubt = doubt_of(recordings.probabilities(np.where(is_labelled, label_ids, -1)), len(label_ids))
    picked = pick(recordings.vectors, is_labelled=is_labelled, doubt=doubt, is_open=~is_labelled, count=3)
    assert set(label_ids[picked].tolist()) == {3, 4, 5}
    assert not set(picked) & {0, 8, 16}


def test_no_more_is_picked_than_there_is_and_nothing_twice(recordings, label_ids):
    is_open = np.arange(len(label_ids)) < 5
    options = {"is_labelled": ~is_open, "doubt": doubt_of(None, len(label_ids)), "is_open": is_open}
    assert sorted(pick(recordings.vectors, count=9, **options)) == [0, 1, 2, 3, 4]
    assert pick(recordings.vectors, count=3, **options) == pick(recordings.vectors, count=3, **options)
    assert pick(recordings.vectors, count=3, **{**options, "is_open": is_open & False}) == []


def test_without_two_labels_nothing_tells_how_likely_one_is(recordings, label_ids):
    assert recordings.probabilities(np.full(len(label_ids), -1)) is None
    assert recordings.probabilities(np.where(label_ids == 2, 2, -1)) is None
    found = recordings.probabilities(np.where(np.arange(len(label_ids)) % 2, label_ids, -1))
    assert found is not None and found.argmax(axis=1).tolist() == label_ids.tolist()
    assert found.sum(axis=1) == pytest.approx(1)


def test_picks_need_fewer_labels_than_chance(recordings, label_ids):
    curves = {}
    is_tested = simulation.tested(label_ids, np.random.default_rng(0))
    for way in ("picked", "chance"):
        runs = [simulation.simulate(recordings, label_ids, is_tested, way=way, step=2, seed=seed) for seed in range(4)]
        curves[way] = np.mean([accuracies for _, accuracies in runs], axis=0).tolist()
    result = {"sizes": runs[0][0], **curves, "trials": 4, "pool": runs[0][0][-1]}
    assert simulation.needed(result, "picked") < simulation.needed(result, "chance") / 2
    assert simulation.table_of(result)[1][0][1] == str(int((~is_tested).sum()))


def test_recordings_that_are_there_twice_are_picked_once_each_and_without_a_warning(recordings):
    twice = np.repeat(recordings.vectors[:4], 2, axis=0)
    every = np.ones(8, bool)
    picked = pick(twice, is_labelled=~every, doubt=doubt_of(None, 8), is_open=every, count=8)
    assert sorted(picked) == list(range(8))
    assert len({number // 2 for number in picked[:4]}) == 4
