from dataclasses import replace

import numpy as np
import pytest
from conftest import SPEAKERS, tone, voice

from audionet.features.recipes import find_recipe
from benchmarks.accuracy import baselines
from benchmarks.accuracy.baselines import Cepstra, Resemblyzer, train_regression

RECIPE = find_recipe("default")


def test_cepstra_differ_by_pitch_and_only_the_first_by_loudness():
    cepstra = Cepstra(RECIPE)
    low, high, loud = cepstra(np.stack([tone(300), tone(3000), 2 * tone(300)]))
    assert low.shape == (cepstra.dimension,)
    assert np.abs(low - high).max() > 1
    assert np.abs(low - loud)[1:20].max() < 0.01 < np.abs(low - loud)[0]


@pytest.mark.parametrize("labels", [2, 3])
def test_a_regression_classifies_what_can_be_separated(gathered, labels):
    samples = gathered.samples.take(gathered.samples.label_ids < labels)
    training_data = replace(gathered, samples=samples, labels=gathered.labels[:labels])
    head = train_regression(training_data, bottleneck="rows", standardised=True)
    tested = training_data.select("testing")
    assert head.biases.shape == (labels,)
    assert (head.logits(tested.bottlenecks("rows")).argmax(axis=1) == tested.label_ids).all()


def test_without_the_speaker_encoder_a_sentence_says_how_to_install_it(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(baselines, "_import_quietly", missing)
    assert "pip install -r" in baselines.missing_encoder()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_speaker_encoder_gives_in_a_batch_what_it_gives_one_by_one():
    if baselines.missing_encoder():
        pytest.skip("Resemblyzer is not installed")
    from resemblyzer import VoiceEncoder

    sounds = np.stack([voice(speaker, seed=0, seconds=2.0) for speaker in SPEAKERS])
    encoder = VoiceEncoder("cpu", verbose=False)
    assert np.allclose(Resemblyzer()(sounds), [encoder.embed_utterance(one) for one in sounds], atol=1e-5)
