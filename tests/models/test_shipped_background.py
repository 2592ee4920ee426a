"""The background of voices that comes with the package, and the demonstration's classifier, which rests on it."""

from itertools import combinations
from pathlib import Path

import pytest
from conftest import SAMPLE_AUDIO

from audionet import api
from audionet.features.recipes import find_recipe
from audionet.models.backbones.architectures import ARCHITECTURES
from audionet.models.background import SHIPPED, read_background
from audionet.models.classifier import Classifier


def test_the_file_is_small_is_of_the_default_recipe_and_says_whose_voices_it_rests_on():
    assert SHIPPED.stat().st_size < 2_000_000
    looks, listens = read_background(SHIPPED)
    assert (looks.key.architecture, looks.key.digest) == ("efficientnet_lite0", find_recipe("default").digest)
    assert listens.key.architecture == "voice_encoder"
    assert all("asterisk-core-sounds" in space.origin and "CC-BY" in space.licence for space in (looks, listens))
    architecture = ARCHITECTURES["efficientnet_lite0"]
    for bottleneck in architecture.candidate_bottlenecks:
        assert looks.at(bottleneck) is not None


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory) -> Classifier:
    folder = tmp_path_factory.mktemp("demonstration")
    api.train(SAMPLE_AUDIO, bottleneck_dir=folder / "cache", output_model=folder / "model")
    return Classifier.load(folder / "model")


@pytest.mark.slow
def test_the_demonstration_tells_every_pair_of_its_recordings_apart(demonstration):
    space = demonstration.comparison_space()
    assert "asterisk-core-sounds" in space.background and "of the background" in space.sentence()
    recordings = sorted(SAMPLE_AUDIO.glob("*/*.mp3"))
    places = {path: space.mean_place(demonstration.chunk_bottlenecks(path)[1]) for path in recordings}
    for one, other in combinations(recordings, 2):
        probability = space.probability(places[one], places[other])
        assert (probability >= 0.5) == (one.parent == other.parent), (one, other, probability)


@pytest.mark.slow
@pytest.mark.parametrize("name", [path.name for path in sorted(SAMPLE_AUDIO.iterdir()) if path.is_dir()])
def test_a_voice_that_is_enrolled_by_one_recording_is_verified_by_others_alone(demonstration, name):
    space = demonstration.comparison_space()
    first, *others = sorted((SAMPLE_AUDIO / name).glob("*.mp3"))
    prototype = space.prototype(demonstration.chunk_bottlenecks(first)[1])[None]

    def odds(path: Path) -> float:
        return float(space.log_odds(demonstration.chunk_bottlenecks(path)[1], prototype).mean())

    assert all(odds(path) > 0 for path in others)
    assert all(odds(path) < 0 for path in SAMPLE_AUDIO.glob("*/*.mp3") if path.parent.name != name)
