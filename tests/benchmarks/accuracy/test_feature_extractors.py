from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from conftest import FakeBackbone

from audionet.data.dataset import read_dataset
from audionet.features.recipes import find_recipe
from audionet.training.settings import HoldoutSettings
from benchmarks.accuracy.baselines import Cepstra
from benchmarks.accuracy.feature_extractors import PictureFeatureExtractor, SoundFeatureExtractor, chunk_files
from benchmarks.accuracy.test_conditions import (
    apply_condition,
)
from benchmarks.recording_holdout import split_by_name

RECIPE = find_recipe("default")
HOLDOUT = HoldoutSettings(views=2)


@pytest.fixture(scope="module")
def dataset(drawn):
    return read_dataset(drawn, drawn.parent / "bench.sqlite")


def test_pictures_and_sounds_are_split_alike(dataset, tmp_path):
    split = split_by_name(dataset, "^4")
    holdout = replace(HOLDOUT, testing_percentage=0)
    with ThreadPoolExecutor(2) as pool:
        of_pictures = PictureFeatureExtractor(FakeBackbone(), tmp_path, pool).gather(split, holdout)
        of_sounds = SoundFeatureExtractor(Cepstra(RECIPE), tmp_path, pool).gather(split, holdout)
    for name in ("label_ids", "example_ids", "views", "splits"):
        assert np.array_equal(getattr(of_pictures.samples, name), getattr(of_sounds.samples, name))


def test_a_second_run_computes_nothing_again(dataset, tmp_path):
    items = apply_condition(chunk_files(dataset.examples[:4]), "clean", seed=0, recipe=RECIPE)
    backbone = FakeBackbone()
    with ThreadPoolExecutor(2) as pool:
        first = PictureFeatureExtractor(backbone, tmp_path, pool).vectors(items)
        again = PictureFeatureExtractor(backbone, tmp_path, pool).vectors(items)
    assert backbone.pictures_seen == 4 and np.array_equal(first, again)
