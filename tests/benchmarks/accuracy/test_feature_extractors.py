from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from conftest import FakeBackbone

from audionet.data.dataset import read_dataset
from audionet.features.image_io import read_picture
from audionet.features.recipes import find_recipe, redrawn
from audionet.training.training_data import MemberNetwork
from benchmarks.accuracy.baselines import Cepstra, baseline_network
from benchmarks.accuracy.feature_extractors import FeatureExtractor, chunk_files
from benchmarks.accuracy.test_conditions import apply_condition

RECIPE = find_recipe("default")


@pytest.fixture(scope="module")
def dataset(drawn):
    return read_dataset(drawn, drawn.parent / "bench.sqlite")


@pytest.fixture
def networks():
    """One network that looks at two drawings of a chunk, and one that listens to it."""
    backbone = FakeBackbone()
    coloured = MemberNetwork.of("coloured", backbone, redrawn(RECIPE, "log_mel_3"), ("rows",))
    return (
        MemberNetwork.of("grey", backbone, RECIPE, ("rows",)),
        coloured,
        baseline_network(Cepstra(RECIPE), RECIPE),
    )


def test_each_network_is_given_what_it_takes(dataset, networks, tmp_path):
    example = dataset.examples[0]
    items = apply_condition(chunk_files([example]), "clean", seed=0, recipe=RECIPE)
    with ThreadPoolExecutor(2) as pool:
        vectors = FeatureExtractor(networks, tmp_path, pool).vectors(items)
    drawn = networks[0].input.of_picture(read_picture(example.path)).mean(axis=1).ravel()
    assert np.abs(vectors["grey"][0] - drawn).mean() < 0.5
    assert np.abs(vectors["coloured"][0] - drawn).mean() > 5
    assert vectors["mfcc"].shape == (1, 40)


def test_together_networks_give_what_they_give_alone_with_a_cache_and_without(dataset, networks, tmp_path):
    items = apply_condition(chunk_files(dataset.examples[:3]), "white noise 10 dB", seed=0, recipe=RECIPE)
    with ThreadPoolExecutor(2) as pool:
        together = FeatureExtractor(networks, tmp_path / "together", pool)
        vectors = together.vectors(items)
        for network in networks:
            alone = replace(together, networks=(network,), bottleneck_dir=tmp_path / "alone")
            assert np.array_equal(alone.vectors(items)[network.name], vectors[network.name])
        for in_parallel in (True, False):
            computed = together.compute(items, in_parallel=in_parallel)
            assert all(np.array_equal(computed[name], vectors[name]) for name in vectors)


def test_a_second_run_computes_nothing_again(dataset, networks, tmp_path):
    items = apply_condition(chunk_files(dataset.examples[:4]), "clean", seed=0, recipe=RECIPE)
    with ThreadPoolExecutor(2) as pool:
        first = FeatureExtractor(networks, tmp_path, pool).vectors(items)
        again = FeatureExtractor(networks, tmp_path, pool).vectors(items)
    assert networks[0].backbone.pictures_seen == 8  # four of each drawing
    assert all(np.array_equal(first[name], again[name]) for name in first)
