from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audionet.data.dataset import Example
from audionet.models.bottleneck_cache import Rows
from audionet.training.learning_curve import learning_curve, power_law
from audionet.training.training_data import Samples


def samples_of(*, labels: int, recordings: int, chunks: int = 4, spread: float = 3.0, seed: int = 0) -> Samples:
    """Return samples whose recordings lie round their label's centre, and chunks round their recording's."""
    rng = np.random.default_rng(seed)
    examples, vectors = [], []
    for label in range(labels):
        centre = rng.normal(0, 1, 12)
        for recording in range(recordings):
            place = centre + rng.normal(0, spread, 12) / 4
            for chunk in range(chunks):
                name = f"{label}/{recording}"
                examples.append(Example(Path(f"{name}_{chunk}.jpg"), str(label), name, 2.0 * chunk, f"{name}_{chunk}"))
                vectors.append(place + rng.normal(0, spread, 12) / 6)
    return Samples.of_pictures(
        examples,
        labels=[str(label) for label in range(labels)],
        splits=["training"] * len(examples),
        folds=[0] * len(examples),
        table=Rows(np.array(vectors, np.float16)),
        slices={"rows": (0, 12)},
    )


def curve_of(samples: Samples) -> dict | None:
    return learning_curve(samples, [samples.bottlenecks("rows")])


def test_more_recordings_give_a_better_score_and_intervals_hold_it():
    curve = curve_of(samples_of(labels=6, recordings=16))
    points = curve["recordings"]
    assert [point["size"] for point in points] == [1, 2, 4, 8, 12] and curve["groups"] == 12
    assert points[-1]["chunk"]["accuracy"] > points[0]["chunk"]["accuracy"] + 0.1
    for point in points:
        for level in ("chunk", "recording"):
            low, high = point[level]["ci95"]
            assert 0 <= low <= point[level]["accuracy"] <= high <= 1
    forecast = curve["forecast"]["chunk"]
    assert forecast["size"] == 24 and forecast["accuracy"] >= points[-1]["chunk"]["accuracy"]
    assert forecast["ci95"][0] <= forecast["accuracy"] <= forecast["ci95"][1]


def test_more_labels_are_harder_to_tell_apart():
    points = curve_of(samples_of(labels=8, recordings=8, spread=4.0))["labels"]
    assert [point["size"] for point in points] == [2, 4, 8]
    assert points[0]["chunk"]["accuracy"] > points[-1]["chunk"]["accuracy"]


def test_the_forecast_from_half_of_the_recordings_holds_what_all_of_them_give():
    held = 0
    for seed in range(4):
        samples = samples_of(labels=6, recordings=20, spread=4.0, seed=seed)
        half = samples.take(np.array([int(example.recording.partition("/")[2]) < 10 for example in samples.pictures()]))
        low, high = curve_of(half)["forecast"]["chunk"]["ci95"]
        held += low <= curve_of(samples)["recordings"][-1]["chunk"]["accuracy"] <= high
    assert held >= 3


def test_where_nothing_is_wrong_the_forecast_leaves_room_for_doubt():
    forecast = curve_of(samples_of(labels=3, recordings=4, spread=0.1))["forecast"]["recording"]
    assert forecast["accuracy"] == pytest.approx(1, abs=0.01) and forecast["ci95"][0] < 0.95


def test_one_recording_a_label_or_one_label_gives_no_curve_and_two_recordings_no_forecast():
    assert curve_of(samples_of(labels=3, recordings=1)) is None
    assert curve_of(samples_of(labels=1, recordings=8)) is None
    assert curve_of(samples_of(labels=3, recordings=2))["forecast"] == {"chunk": None, "recording": None}


def test_groups_that_several_labels_share_may_leave_one_untrained():
    samples = samples_of(labels=4, recordings=6)
    shared = [
        replace(one, group=one.recording.partition("/")[2] if one.label < "2" else "0") for one in samples.examples
    ]
    curve = curve_of(replace(samples, examples=tuple(shared)))
    assert curve is None or all(0 <= point["chunk"]["accuracy"] <= 1 for point in curve["recordings"])
    some = [replace(one, group=str(int(one.recording.partition("/")[2]) % 2)) for one in samples.examples]
    assert curve_of(replace(samples, examples=tuple(some)))["recordings"][0]["size"] == 1


@pytest.mark.parametrize("exponent", [0.2, 0.5, 1.0])
def test_a_power_law_is_found_again(exponent):
    sizes = np.array([1, 2, 4, 8])
    errors = 0.4 * sizes**-exponent
    assert power_law(sizes, errors, tested=10_000, at=16) == pytest.approx(0.4 * 16**-exponent, rel=0.02)


def test_more_data_are_never_said_to_make_it_worse():
    assert power_law(np.array([1, 2, 4]), np.array([0.1, 0.2, 0.3]), tested=100, at=8) <= 0.3
