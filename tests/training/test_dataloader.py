"""What whole networks are trained on: pictures and their augmented views."""

from dataclasses import replace

import numpy as np
import pytest

from audionet.training.dataloader import DataLoader
from audionet.training.settings import HoldoutSettings


def test_a_picture_that_vanishes_during_training_counts_for_nothing(gathered, tmp_path):
    loader = DataLoader.of(gathered, HoldoutSettings(views=0), height=16, width=16, views_dir=tmp_path / "views")
    _, *others = loader.training.paths
    split = replace(loader.training, paths=(tmp_path / "gone.png", *others))
    ((pictures, label_ids, weights),) = loader.pipeline(split, batch_size=len(split.paths))
    assert (weights.numpy() > 0).tolist() == [False] + [True] * len(others)
    assert pictures.shape == (len(split.paths), 16, 16, 3) and label_ids.shape == weights.shape


def test_labels_weigh_alike_and_a_picture_as_much_as_its_views(drawn, gathered, tmp_path):
    loader = DataLoader.of(gathered, HoldoutSettings(views=2), height=32, width=32, views_dir=tmp_path / "views")
    split = loader.training
    count = len(gathered.select("training"))
    assert len(split.paths) == 3 * count
    totals = np.bincount(split.label_ids, split.sample_weight)
    assert totals == pytest.approx(np.full(3, totals.mean()))
    assert split.sample_weight[:count].sum() == pytest.approx(split.sample_weight[count:].sum())
    assert len(list((tmp_path / "views").rglob("*.png"))) == 2 * len(gathered.select("training", "validation"))
