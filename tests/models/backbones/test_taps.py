import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audionet.errors import InputError
from audionet.models.backbones.architectures import ARCHITECTURES
from audionet.models.backbones.taps import parse_bottleneck, segment_weights

LITE0 = ARCHITECTURES["efficientnet_lite0"]


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_every_default_and_candidate_can_be_read(architecture):
    for text in (architecture.default_bottleneck, *architecture.candidate_bottlenecks):
        assert parse_bottleneck(text, architecture).text == text
    assert architecture.default_bottleneck in architecture.candidate_bottlenecks


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("block3@1", "block3"),
        ("top@mean", "classic"),
        ("block3 + classic", "block3+classic"),
        ("block3@4+block3@mean", "block3@4+block3@mean"),
    ],
)
def test_a_bottleneck_has_one_canonical_text(text, canonical):
    assert parse_bottleneck(text, LITE0).text == canonical


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(LITE0.taps)), st.one_of(st.none(), st.just("mean"), st.integers(1, 999))),
        min_size=1,
        max_size=4,
        unique_by=lambda part: (part[0], 1 if part[1] is None else part[1]),
    )
)
def test_a_canonical_text_is_read_as_itself(parts):
    text = "+".join(tap if pooling is None else f"{tap}@{pooling}" for tap, pooling in parts)
    canonical = parse_bottleneck(text, LITE0)
    assert parse_bottleneck(canonical.text, LITE0) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "block9", "block3@", "block3@0", "block3@-1", "block3@max", "block3+", "BLOCK3", "classic@2", "block3@٣"],
)
def test_a_bottleneck_that_cannot_be_read_is_refused(text):
    with pytest.raises(InputError, match="Expected"):
        parse_bottleneck(text, LITE0)


def test_an_unknown_tap_lists_the_known_ones():
    with pytest.raises(InputError, match=r"classic, mixed0, mixed1, .*mixed10.*'block3'"):
        parse_bottleneck("block3", ARCHITECTURES["inception_v3"])


def test_the_same_part_twice_is_refused():
    with pytest.raises(InputError, match="classic twice"):
        parse_bottleneck("classic+top@mean", LITE0)


@given(width=st.integers(1, 60), segments=st.integers(1, 60))
def test_segments_are_equal_averages_that_use_every_column_alike(width, segments):
    weights = segment_weights(width, segments)
    np.testing.assert_allclose(weights.sum(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=1), segments / width, rtol=1e-5)
