"""What transfer learning is compared with: averaged cepstra, and a network that was trained to tell voices apart.

Each takes sounds of equal length and gives a vector for each, as a network that listens does, and has one bottleneck,
`classic`. A logistic regression classifies the vectors. It is a softmax layer too.
"""

import functools
import importlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft

from audionet.console import log
from audionet.errors import WeightsError
from audionet.features.extraction import NetworkInput
from audionet.features.recipes import Recipe
from audionet.features.spectrogram import QUIETEST_POWER, mel_filters, power_spectra
from audionet.models.backbones.architectures import find_architecture
from audionet.models.backbones.backbone import load_backbone
from audionet.models.head import Head
from audionet.training.fitting.head_trainers import mean_and_deviation
from audionet.training.training_data import MemberNetwork, TrainingData

SPEAKER_ENCODER = "Resemblyzer"
RESEMBLYZER_VERSION = "0.1.4"
QUIETEST_DBFS = -30  # Resemblyzer turns up what is quieter
CEPSTRA = 20
FRAME_SECONDS = 0.01


class _OneOutput:
    """A network that can be read at its output alone."""

    dimension: int

    @property
    def slices(self) -> dict[str, tuple[int, int]]:
        """First column and the one behind the last, by part of the vector."""
        return {"classic": (0, self.dimension)}


@dataclass(frozen=True)
class Cepstra(_OneOutput):
    """Mel-frequency cepstral coefficients, their mean and standard deviation over a chunk.

    Source: S. Davis and P. Mermelstein, IEEE Transactions on Acoustics, Speech, and Signal Processing 28 (1980).
    """

    recipe: Recipe
    architecture: str = "mfcc"
    digest: str = "1"
    dimension: int = 2 * CEPSTRA
    graph: bytes = b""  # it has no weights

    @property
    def sample_rate_hz(self) -> int:
        """The rate of the sounds that it takes."""
        return self.recipe.sample_rate_hz

    def __call__(self, sounds: np.ndarray) -> np.ndarray:
        """Map float32 sounds of shape (n, samples) to float32 vectors of shape (n, 40)."""
        return np.stack([self._of_one(sound) for sound in sounds])

    def _of_one(self, samples: np.ndarray) -> np.ndarray:
        recipe = self.recipe
        columns = round(len(samples) / recipe.sample_rate_hz / FRAME_SECONDS)
        power = power_spectra(samples, 512, columns)
        filters = mel_filters(
            sample_rate_hz=recipe.sample_rate_hz,
            fft_samples=512,
            bands=40,
            low_hz=recipe.low_hz,
            high_hz=recipe.high_hz,
        )
        levels = np.log(np.maximum(power @ filters, QUIETEST_POWER))
        cepstra = scipy.fft.dct(levels, norm="ortho", axis=1)[:, :CEPSTRA]
        return np.concatenate([cepstra.mean(axis=0), cepstra.std(axis=0)]).astype(np.float32)


@dataclass(frozen=True)
class Resemblyzer(_OneOutput):
    """The speaker encoder Resemblyzer, https://github.com/resemble-ai/Resemblyzer, as its `embed_utterance` runs it.

    A batch goes through the network together, which is faster than one by one and gives the same.
    """

    architecture: str = "resemblyzer"
    digest: str = RESEMBLYZER_VERSION
    dimension: int = 256
    sample_rate_hz: int = 16_000

    @property
    def graph(self) -> bytes:
        """The file of its weights."""
        return Path(_import_quietly("resemblyzer").__file__).with_name("pretrained.pt").read_bytes()

    def __call__(self, sounds: np.ndarray) -> np.ndarray:
        """Map float32 sounds at 16 kHz of shape (n, samples) to float32 vectors of shape (n, 256)."""
        encoder = _encoder()
        import torch
        from resemblyzer import audio

        slices, mel_slices = encoder.compute_partial_slices(sounds.shape[1], 1.3, 0.75)
        room = max(0, slices[-1].stop - sounds.shape[1])
        parts = []
        for sound in sounds:
            loud = audio.normalize_volume(sound, QUIETEST_DBFS, increase_only=True)
            mel = audio.wav_to_mel_spectrogram(np.pad(loud.astype(np.float32), (0, room)))
            parts += [mel[part] for part in mel_slices]
        with torch.no_grad():
            embedded = encoder(torch.from_numpy(np.array(parts))).numpy()
        means = embedded.reshape(len(sounds), len(mel_slices), -1).mean(axis=1)
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True))


def missing_encoder() -> str | None:
    """Return a sentence about what takes Resemblyzer's place, or None if it is installed."""
    try:
        _import_quietly("resemblyzer")
    except ImportError as error:
        return (
            f"Note: Resemblyzer is not installed ({error}). Its network as it is rebuilt here takes its place, which "
            "gives the same vectors, but faster. To time the package itself: pip install -r "
            "tests/requirements-bench.txt."
        )
    return None


def speaker_encoder(recipe: Recipe) -> MemberNetwork | None:
    """Return Resemblyzer, or where it is not installed its network as it is rebuilt here; None without its weights."""
    missing = missing_encoder()
    if missing is None:
        return baseline_network(Resemblyzer(), recipe)
    log(missing)
    row = find_architecture("voice_encoder")
    try:
        backbone = load_backbone(row.name, samples=round(recipe.chunk_seconds * row.sample_rate_hz))
    except WeightsError as error:
        log(f"Note: {SPEAKER_ENCODER} is left out. {error}")
        return None
    return MemberNetwork.of(row.name, backbone, recipe, ("classic",))


@functools.cache
def _encoder() -> Any:
    return _import_quietly("resemblyzer").VoiceEncoder("cpu", verbose=False).eval()


def _import_quietly(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its parts import what is deprecated
        return importlib.import_module(name)


def baseline_network(model: Any, recipe: Recipe) -> MemberNetwork:
    """Return cepstra or Resemblyzer as a network that listens to chunks by a recipe."""
    samples = round(recipe.chunk_seconds * model.sample_rate_hz)
    heard = NetworkInput(recipe, samples=samples, sample_rate_hz=model.sample_rate_hz)
    return MemberNetwork(model.architecture, model, heard)


def train_regression(training_data: TrainingData, *, bottleneck: str, standardised: bool) -> Head:
    """Train scikit-learn's logistic regression as it comes, on training and validation recordings.

    Columns are brought to one scale first if `standardised`; those of an embedding made for angles have theirs.
    """
    from sklearn.linear_model import LogisticRegression  # a second, which only this takes

    samples = training_data.select("training", "validation")
    rows = samples.bottlenecks(bottleneck)
    mean, scale = mean_and_deviation(rows) if standardised else (np.zeros(rows.shape[1]), np.ones(rows.shape[1]))
    model = LogisticRegression(max_iter=5000)
    model.fit((rows[:].astype(np.float32) - mean) / scale, samples.label_ids)
    weights, biases = model.coef_.T, model.intercept_
    if weights.shape[1] == 1:  # two labels: scikit-learn keeps the second's alone
        weights, biases = np.hstack([0 * weights, weights]), np.array([0, biases[0]])
    weights = weights / scale[:, None]
    return Head(weights.astype(np.float32), (biases - mean @ weights).astype(np.float32))
