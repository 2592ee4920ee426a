import pytest
from conftest import needs_sox

from audionet.audio.sox_ffmpeg import changes_time, check_effects
from audionet.errors import InputError


@needs_sox
@pytest.mark.parametrize("effects", ["normm -3", "trim backwards", "silence"])
def test_effects_that_sox_does_not_know_are_refused_at_the_start(effects):
    with pytest.raises(InputError, match="--sox_effects: SoX does not accept"):
        check_effects(effects)


@needs_sox
@pytest.mark.parametrize("effects", ["", "norm -3", "norm -3 silence 1 0.1 1%", "highpass 100"])
def test_effects_that_sox_knows_are_accepted(effects):
    check_effects(effects)


def test_effects_without_sox_say_how_to_install_it(without_sox):
    with pytest.raises(InputError, match="apt-get install sox"):
        check_effects("norm -3")


@pytest.mark.parametrize(("effects", "moves"), [("", False), ("norm -3", False), ("norm -3 silence 1 0.1 1%", True)])
def test_effects_that_move_sounds_are_known(effects, moves):
    assert changes_time(effects) is moves
