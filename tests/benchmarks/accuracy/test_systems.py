from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from conftest import FakeBackbone

from audionet.data.dataset import read_dataset
from audionet.training.settings import HoldoutSettings
from benchmarks.accuracy.feature_extractors import PictureFeatureExtractor
from benchmarks.accuracy.systems import with_views
from benchmarks.recording_holdout import split_by_name

HOLDOUT = HoldoutSettings(views=2)


@pytest.fixture(scope="module")
def dataset(drawn):
    return read_dataset(drawn, drawn.parent / "bench.sqlite")


def test_a_system_is_trained_on_as_many_views_as_it_should_be(dataset, tmp_path):
    split = split_by_name(dataset, "^4")
    with ThreadPoolExecutor(2) as pool:
        training_data = PictureFeatureExtractor(FakeBackbone(), tmp_path, pool).gather(
            split, replace(HOLDOUT, testing_percentage=0)
        )
    for count in (0, 1, 2):
        assert np.count_nonzero(with_views(training_data, count).samples.views) == count * len(split.dataset.examples)
