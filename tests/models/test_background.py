import dataclasses

import numpy as np
import pytest

from audionet.errors import InputError
from audionet.features.recipes import find_recipe
from audionet.models.background import (
    BackgroundSpace,
    Comparisons,
    NetworkKey,
    find_space,
    read_background,
    rounded,
    write_background,
)

KEY = NetworkKey("fake", "a" * 64, height=32, width=32, recipe="default", digest="1" * 16)


def some_space(key: NetworkKey = KEY, *, seed: int = 0) -> BackgroundSpace:
    rng = np.random.default_rng(seed)
    compared = Comparisons(rng.uniform(-1, 1, 40).astype(np.float32), np.arange(40) < 20, np.arange(40) // 4, 0.5)
    return BackgroundSpace(
        key=key,
        slices={"low": (0, 4), "high": (4, 10)},
        mean=rng.normal(size=10).astype(np.float32),
        scale=rng.uniform(1, 2, 10).astype(np.float32),
        rows=rng.normal(size=(6, 10)).astype(np.float32),
        rest=rng.uniform(0, 1, 10).astype(np.float32),
        centres=rng.normal(size=(7, 10)).astype(np.float32),
        comparisons={name: compared for name in ("low+high", "low", "high")},
        labels=7,
        recordings=14,
        origin="seven people",
        licence="CC-BY-4.0",
    )


def same(one: BackgroundSpace, other: BackgroundSpace) -> bool:
    arrays = ("mean", "scale", "rows", "rest", "centres")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays) and (
        one.key,
        one.slices,
        one.sentence(),
    ) == (other.key, other.slices, other.sentence())


def test_several_spaces_come_back_from_a_file_at_its_precision(tmp_path):
    heard = NetworkKey("listener", "b" * 64, samples=32_000, sample_rate_hz=16_000)
    spaces = [rounded(some_space()), rounded(some_space(heard, seed=1))]
    write_background(tmp_path / "b.npz", spaces)
    back = read_background(tmp_path / "b.npz")
    assert all(same(one, other) for one, other in zip(spaces, back, strict=True))
    covariance = some_space().rows.T @ some_space().rows
    assert np.abs(back[0].rows.T @ back[0].rows - covariance).max() < 0.02 * covariance.max()
    write_background(tmp_path / "c.npz", back)
    assert (tmp_path / "b.npz").read_bytes() == (tmp_path / "c.npz").read_bytes()


def test_parts_of_the_bottleneck_are_taken_in_the_order_asked_for():
    space = some_space()
    turned = space.at("high+low")
    assert turned is not None
    order = [4, 5, 6, 7, 8, 9, 0, 1, 2, 3]
    assert np.array_equal(turned.rows, space.rows[:, order]) and np.array_equal(turned.scale, space.scale[order])
    assert turned.slices == {"high": (0, 6), "low": (6, 10)}
    alone = space.at("high")
    assert alone is not None
    whole = space.rows.T @ space.rows
    assert alone.rows.T @ alone.rows == pytest.approx(whole[4:, 4:], rel=1e-5)
    assert space.at("high+top") is None


def test_a_space_is_found_by_its_network_and_what_the_network_is_given():
    backbone = {"architecture": "fake", "fingerprint": "0", "height": 32, "width": 32, "weights": {"sha256": "a" * 64}}
    recipe = find_recipe("default")
    key = NetworkKey.of(backbone, recipe)
    spaces = [some_space(key)]
    assert find_space(spaces, NetworkKey.of(backbone, dataclasses.replace(recipe, name="mine")), "low") is not None
    others = [
        NetworkKey.of({**backbone, "architecture": "other"}, recipe),
        NetworkKey.of({**backbone, "weights": {"sha256": "c" * 64}}, recipe),
        NetworkKey.of({**backbone, "height": 64}, recipe),
        NetworkKey.of(backbone, find_recipe("audionet")),
        NetworkKey.of(backbone, None),
    ]
    assert all(find_space(spaces, other, "low") is None for other in others)
    assert len({other.words() for other in others}) == len(others)


def test_a_file_that_is_missing_damaged_or_something_else_is_refused(tmp_path):
    path = tmp_path / "b.npz"
    with pytest.raises(InputError, match=r"--background: .*b\.npz cannot be read"):
        read_background(path)
    write_background(path, [some_space()])
    whole = path.read_bytes()
    for content in (b"", b"no npz", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"expected a file that audionet background wrote, but .*b\.npz"):
            read_background(path)
    np.savez(path, weights=np.zeros(3))
    with pytest.raises(InputError, match="about is missing"):
        read_background(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": np.zeros(10, np.float32)},
        {"mean": np.zeros(9, np.float32)},
        {"slices": {"low": (0, 4), "high": (5, 10)}},
        {"centres": np.full((7, 10), np.nan, np.float32)},
        {"rest": np.full(10, -1, np.float32)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_numbers_that_do_not_fit_together_are_refused(tmp_path, changes):
    write_background(tmp_path / "b.npz", [dataclasses.replace(some_space(), **changes)])
    with pytest.raises(InputError, match="is damaged or something else"):
        read_background(tmp_path / "b.npz")
