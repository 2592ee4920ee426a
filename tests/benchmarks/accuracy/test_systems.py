from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from conftest import FakeBackbone

from audionet.data.dataset import read_dataset
from audionet.features.recipes import find_recipe
from audionet.models.backbones.settings import BackboneSettings
from audionet.training.settings import HeadSettings, HoldoutSettings
from audionet.training.trainer import CandidateMember
from audionet.training.training_data import MemberNetwork
from benchmarks.accuracy import systems
from benchmarks.accuracy.baselines import Cepstra, baseline_network
from benchmarks.accuracy.feature_extractors import FeatureExtractor, chunk_files
from benchmarks.accuracy.systems import NetworkSystem, network_systems, with_views
from benchmarks.accuracy.test_conditions import apply_condition
from benchmarks.options import AccuracyOptions
from benchmarks.recording_holdout import split_by_name

RECIPE = find_recipe("default")
HOLDOUT = HoldoutSettings(views=2, testing_percentage=0)


@pytest.fixture(scope="module")
def dataset(drawn):
    return read_dataset(drawn, drawn.parent / "bench.sqlite")


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    networks = (
        baseline_network(Cepstra(RECIPE), RECIPE),
        MemberNetwork.of("looker", FakeBackbone(), RECIPE, ("rows",)),
    )
    with ThreadPoolExecutor(2) as pool:
        yield FeatureExtractor(networks, tmp_path_factory.mktemp("cache"), pool)


@pytest.fixture(scope="module")
def split(dataset):
    return split_by_name(dataset, "^4")


@pytest.fixture(scope="module")
def data(extractor, split):
    return extractor.gather(split, HOLDOUT)


def committee(extractor, *, views):
    """Both networks as members, that which looks first."""
    members = [CandidateMember(network, lambda bottleneck: None) for network in extractor.networks[::-1]]
    return NetworkSystem.of("both", members, views=views, settings=HeadSettings("lda"))


def test_a_system_is_trained_on_as_many_views_as_it_should_be(data, split):
    for count in (0, 1, 2):
        few = with_views(data, count)
        assert np.count_nonzero(few.samples.views) == count * len(split.dataset.examples)
        assert [len(table) for table in few.others] == [len(few.samples)]


def test_a_committee_is_trained_on_the_vectors_of_its_own_networks(data, extractor):
    own = systems.data_of(data, committee(extractor, views=2).networks)
    assert [network.name for network in own.networks] == ["looker", "mfcc"]
    assert list(own.samples.slices) == ["rows"]
    assert np.array_equal(own.samples.table[:], data.others[0][:])
    assert np.array_equal(own.others[0][:], data.samples.table[:])


def test_a_committee_scores_by_the_weighted_sum_of_its_members(data, extractor, split):
    trained = committee(extractor, views=2).train(data)
    members = tuple(replace(trained.selected.members[0], number=number, weight=weight) for number, weight in [(0, 0.5)])
    only = replace(trained, selected=replace(trained.selected, members=members))
    vectors = extractor.vectors(apply_condition(chunk_files(split.tested), "clean", seed=0, recipe=RECIPE))
    looker = trained.selected.members[0]
    assert np.allclose(only.logits(only.networks, vectors), 0.5 * looker.head.logits(vectors["looker"]), atol=1e-4)


def test_the_members_of_a_committee_are_scored_alone_too_and_none_twice(dataset, monkeypatch):
    def members_by_settings(dataset, settings):
        names = {"single": ["looker"], "pair": ["looker", "mfcc"], "mfcc": ["mfcc"]}[settings.backbone.members]
        made = {"looker": MemberNetwork.of("looker", FakeBackbone(), RECIPE, ("rows",))}
        made["mfcc"] = baseline_network(Cepstra(RECIPE), RECIPE)
        return tuple(CandidateMember(made[name], lambda bottleneck: None) for name in names)

    monkeypatch.setattr(systems, "candidate_members", members_by_settings)
    options = AccuracyOptions(committees="single; pair ;mfcc")
    found = network_systems(options, dataset)
    assert {system.name: [network.name for network in system.networks] for system in found} == {
        "pair": ["looker", "mfcc"],
        "looker": ["looker"],
        "mfcc": ["mfcc"],
    }
    assert found[0].networks[0] is found[1].networks[0]  # loaded once


def test_committees_are_named_as_training_names_members():
    assert AccuracyOptions().committee_texts == [BackboneSettings().members]
    assert AccuracyOptions(committees="").committee_texts == []
