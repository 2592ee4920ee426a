import importlib
import re

import numpy as np
import pytest
from conftest import names_below, tone, voice, write_sound
from PIL import Image

from audionet.features.recipes import DRAWINGS, RECIPES, Recipe, find_recipe
from audionet.features.spectrogram import draw
from audionet.inference.explain import Explanation, evidence_of, explain, write_explanation
from audionet.models.classifier import Classifier
from audionet.models.head import Head
from audionet.models.member import Member


@pytest.fixture(scope="module")
def classifier(saved) -> Classifier:
    return Classifier.load(saved / "retrained_model")


class Corner(Member):
    """A member to which one corner alone matters: the brighter it is, the surer the second label."""

    def bottlenecks(self, inputs):
        return np.array([[picture[:40, :40].mean()] for picture in inputs])


def bright() -> Classifier:
    member = Corner(
        name="corner",
        recipe=find_recipe("default"),
        backbone={"height": 224, "width": 224, "dimension": 1},
        graph=b"",
        head=Head(np.array([[0, 1 / 20]]), np.zeros(2)),
    )
    return Classifier(labels=("dark", "bright"), members=(member,), about={})


def test_what_alone_matters_has_all_the_evidence():
    picture = np.full((224, 224, 3), 100, np.uint8)
    evidence, probability = evidence_of(bright(), picture, 1)
    assert evidence[:30, :30].min() > 0.1 and np.abs(evidence[80:, 80:]).max() < 1e-5
    assert probability == pytest.approx(1 / (1 + np.exp(-5)))
    against, _ = evidence_of(bright(), picture, 0)
    assert against == pytest.approx(-evidence, abs=1e-5)


@pytest.mark.parametrize("size", [(224, 224), (50, 99), (9, 8), (3, 5)])
def test_every_point_of_any_picture_is_looked_at(size):
    evidence, _ = evidence_of(bright(), np.full((*size, 3), 100, np.uint8), 1)
    assert evidence.shape == size and np.all(np.isfinite(evidence))


def test_a_recording_is_explained_by_its_clearest_chunk(classifier, speakers):
    clip = speakers / "bob" / "0.mp3"
    explanation = explain(classifier, clip)
    answer = classifier.score(clip)
    best = answer.chunk_probabilities[:, answer.labels.index(answer.nearest_label)].argmax()
    assert explanation.label == answer.nearest_label
    assert explanation.offset_seconds == answer.chunk_offsets_seconds[best]
    assert explanation.probability == pytest.approx(answer.chunk_probabilities[best].max(), abs=1e-3)
    assert "most telling is" in explanation.sentence() and " Hz." in explanation.sentence()


def explanation_of_a_tone(hertz: float, recipe: Recipe) -> Explanation:
    """Return an explanation by which the row that a tone is drawn in is all that matters."""
    picture = draw(tone(hertz, 1.0, rate_hz=recipe.sample_rate_hz), recipe)
    evidence = np.zeros(picture.shape[:2], np.float32)
    evidence[picture.astype(int).sum(axis=(1, 2)).argmax()] = 1
    return Explanation("bob", 0.9, picture, evidence, 0.0, recipe)


ON_FREQUENCIES = {
    **{f"recipe-{name}": recipe for name, recipe in RECIPES.items() if recipe.drawing != "chromagram"},
    **{name: find_recipe("default", picture=name) for name in DRAWINGS if name != "chromagram"},
}


@pytest.mark.parametrize("recipe", ON_FREQUENCIES.values(), ids=ON_FREQUENCIES)
@pytest.mark.parametrize("hertz", [500, 1000, 4000, 7000])
def test_frequencies_are_named_where_they_are_drawn(recipe, hertz):
    sentence = explanation_of_a_tone(hertz, recipe).sentence()
    low, high = map(float, re.search(r"(\d+) to (\d+) Hz\.$", sentence).groups())
    row_hz = recipe.sample_rate_hz / 2 / recipe.picture_height
    assert low == high == pytest.approx(hertz, rel=0.06, abs=1.5 * row_hz)


@pytest.mark.parametrize(("hertz", "pitch"), [(261.6, "C"), (440, "A"), (880, "A"), (987.8, "B")])
def test_a_chromagram_names_pitches_and_no_frequencies(hertz, pitch):
    sentence = explanation_of_a_tone(hertz, find_recipe("default", picture="chromagram")).sentence()
    assert sentence.endswith(f", pitch classes {pitch} to {pitch}.")


def test_an_explanation_of_a_chromagram_is_written(tmp_path):
    explanation = explanation_of_a_tone(440, find_recipe("default", picture="chromagram"))
    write_explanation(tmp_path / "why.png", explanation, name="a.wav")
    with Image.open(tmp_path / "why.png") as picture:
        assert picture.width > 800


def test_pictures_of_explanations_are_written(saved, speakers, drawn, tmp_path, capsys):
    script = importlib.import_module("explain")
    model = ["--model", str(saved / "retrained_model")]
    assert script.main([*model, str(speakers / "bob" / "0.mp3"), "--output", str(tmp_path / "why.png")]) == 0
    assert "most telling" in capsys.readouterr().out
    with Image.open(tmp_path / "why.png") as picture:
        assert picture.width > 800
    clips = [str(drawn / "bob" / f"0_0000{number}.jpg") for number in range(2)]
    assert script.main([*model, *clips, str(tmp_path / "why.png"), "--output", str(tmp_path / "out")]) == 0
    assert names_below(tmp_path / "out") == {"0_00000.png", "0_00001.png", "why.png"}


def test_several_clips_do_not_fit_into_one_picture(saved, speakers, tmp_path, capsys):
    script = importlib.import_module("explain")
    model = ["--model", str(saved / "retrained_model")]
    assert script.main([*model, str(speakers / "bob"), "--output", str(tmp_path / "why.png")]) == 2
    assert "for several clips name a folder" in capsys.readouterr().err


def test_a_bad_clip_stops_no_other_explanation(saved, tmp_path, capsys):
    (tmp_path / "bad.mp3").write_text("no sound")
    good = write_sound(tmp_path / "good.wav", voice("alice", seed=1, seconds=2))
    script = importlib.import_module("explain")
    arguments = ["--model", str(saved / "retrained_model"), str(tmp_path / "bad.mp3"), str(good)]
    assert script.main([*arguments, "--output", str(tmp_path / "out")]) == 1
    assert names_below(tmp_path / "out") == {"good.png"}
