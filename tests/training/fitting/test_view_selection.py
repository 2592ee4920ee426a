"""Views that are optional are trained on where they help, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import FakeBackbone

from audionet.models.bottleneck_cache import Rows
from audionet.training.fitting.view_selection import with_useful_views
from audionet.training.settings import HeadSettings
from audionet.training.training_data import MemberNetwork

DIRECTIONS, OPTIONAL = 6, 1


@pytest.fixture
def data(gathered):
    """Pictures whose label shows in one direction alone, among others that vary from recording to recording."""
    rng = np.random.default_rng(0)
    samples = gathered.samples
    bottlenecks = rng.normal(0, 3, (len(samples), DIRECTIONS))[samples.recording_ids()]
    bottlenecks[:, 0] = samples.label_ids + rng.normal(0, 0.1, len(samples))
    shown = replace(samples, table=Rows(bottlenecks.astype(np.float16)), slices={"rows": (0, DIRECTIONS)})
    network = MemberNetwork.of("fake", FakeBackbone(), gathered.recipe, ("rows",))
    return replace(gathered, samples=shown, networks=(network,))


def with_views(data, change: np.ndarray):
    """Return data with two optional views of each picture, whose bottlenecks differ by `change` times noise."""
    samples, rng = data.samples, np.random.default_rng(1)
    pictures = np.flatnonzero(np.isin(samples.splits, ("training", "validation")) & ~samples.is_unknown)
    table = samples.table.take(pictures)
    for number in (OPTIONAL, OPTIONAL + 1):
        varied = np.asarray(table[:]) + change * rng.normal(0, 1, (len(pictures), DIRECTIONS))
        samples = samples.with_views(
            samples.example_ids[pictures], np.full(len(pictures), number), varied.astype(np.float16)
        )
    return replace(data, samples=samples, optional_views=(OPTIONAL, OPTIONAL + 1))


def chosen(data) -> list[int]:
    found = with_useful_views(data, bottlenecks=["rows"], settings=HeadSettings(head="lda"))
    assert found.optional_views == tuple(np.unique(found.samples.views)[1:])
    return list(found.optional_views)


def test_views_that_show_what_does_not_matter_are_trained_on(data):
    assert chosen(with_views(data, np.array([0, 9, 9, 9, 9, 9]))) == [1, 2]


def test_views_that_hide_what_matters_are_left_out(data):
    assert chosen(with_views(data, np.array([50, 0, 0, 0, 0, 0]))) == []


def test_data_without_such_views_are_left_as_they_are(gathered):
    assert with_useful_views(gathered, bottlenecks=["rows"], settings=HeadSettings()) is gathered


def test_one_label_alone_has_none(data):
    varied = replace(with_views(data, np.zeros(DIRECTIONS)), labels=data.labels[:1])
    assert chosen(varied) == []
