"""Which networks a text names."""

import pytest

from audionet.models.backbones.member_names import parse_members
from audionet.models.backbones.settings import BackboneSettings


def names_of(settings: BackboneSettings, **about: float) -> list[str]:
    return [str(name) for name in parse_members(settings, **about)]


def test_short_chunks_are_listened_to_for_words_too():
    pair = ["efficientnet_lite0", "voice_encoder"]
    assert names_of(BackboneSettings(), chunk_seconds=1.0) == [*pair, "speech_embedding"]
    assert names_of(BackboneSettings(), chunk_seconds=2.0) == names_of(BackboneSettings()) == pair
    assert names_of(BackboneSettings(members="pair"), chunk_seconds=1.0) == pair


@pytest.mark.parametrize("architecture", ["voice_encoder", "speech_embedding"])
def test_a_network_that_is_named_is_not_taken_twice_by_itself(architecture):
    names = names_of(BackboneSettings(architecture), chunk_seconds=1.0)
    assert names[0] == architecture and len(set(names)) == len(names)
