"""Everything that tests start from is generated here: sounds, folders of recordings, pictures and a small network."""

import contextlib
import functools
import importlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import scipy.signal
import soundfile

CHECKOUT = Path(__file__).resolve().parent.parent
SCRIPTS = CHECKOUT / "scripts"
SAMPLE_AUDIO = CHECKOUT / "tf_files" / "sample_audio"
RATE_HZ = 16_000

# Processes that tests start, and the processes that those start, find the package as the tests do.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH")]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

pytest_plugins = ["app_client"]

hypothesis.settings.register_profile("suite", deadline=None, database=None, max_examples=50, derandomize=True)
hypothesis.settings.load_profile("suite")

# Pitch and two resonances of the vocal tract: what tells these three apart is heard, and seen in a spectrogram.
SPEAKERS = {"alice": (210, 900, 2800), "bob": (105, 500, 1500), "carol": (150, 700, 2100)}

needs_sox = pytest.mark.skipif(shutil.which("sox") is None, reason="the sox program is not installed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the documents, whose examples are the longest test by far: others run beside it."""
    items.sort(key=lambda item: item.path.name != "test_documents.py")


def tone(hertz: float, seconds: float = 1.0, *, rate_hz: int = RATE_HZ, level: float = 0.5) -> np.ndarray:
    """Return a sine."""
    moments = np.arange(round(seconds * rate_hz)) / rate_hz
    return (level * np.sin(2 * np.pi * hertz * moments)).astype(np.float32)


def noise(seconds: float = 1.0, *, seed: int = 0, level: float = 0.1) -> np.ndarray:
    """Return white noise."""
    return np.random.default_rng(seed).normal(0, level, round(seconds * RATE_HZ)).astype(np.float32)


def babbling(seed: int = 0, count: int = RATE_HZ) -> np.ndarray:
    """Return noise in bursts, as uneven as speech."""
    rng = np.random.default_rng(seed)
    loudness = np.repeat(rng.uniform(0, 0.2, count // 800 + 1), 800)[:count]
    return (rng.standard_normal(count) * loudness).clip(-1, 1).astype(np.float32)


def melody(seed: int, seconds: float = 12.0) -> np.ndarray:
    """Return something with as many events as speech: short notes, three at a time, over a little noise."""
    rng = np.random.default_rng(seed)
    sound = noise(seconds, seed=seed, level=0.002)
    for begin in rng.integers(0, len(sound) - 4000, round(12 * seconds)):
        note = tone(rng.uniform(250, 3300), 0.2, level=rng.uniform(0.05, 0.3))
        sound[begin : begin + len(note)] += note * np.hanning(len(note)).astype(np.float32)
    return sound


def chunk_stats_of(samples: np.ndarray) -> list[dict]:
    """Return what preprocessing measures of a recording's chunks of two seconds."""
    from audionet.audio.chunks import Chunk
    from audionet.audio.measurements import measure_chunk

    starts = range(0, len(samples), 2 * RATE_HZ)
    chunks = [samples[start : start + 2 * RATE_HZ] for start in starts]
    seconds = [len(chunk) / RATE_HZ for chunk in chunks]
    return [measure_chunk(Chunk(i, 2.0 * i, chunks[i], seconds[i], RATE_HZ))[0] for i in range(len(chunks))]


def voice(speaker: str, *, seed: int, seconds: float = 4.0) -> np.ndarray:
    """Return something voiced: pulses at a wandering pitch, coloured by the resonances of a speaker."""
    pitch_hz, *resonances_hz = SPEAKERS[speaker]
    rng = np.random.default_rng(seed)
    count = round(seconds * RATE_HZ)
    wander = 1 + 0.05 * np.sin(2 * np.pi * np.arange(count) / RATE_HZ * rng.uniform(1, 3) + rng.uniform(0, 6))
    pulses = np.diff(np.floor(np.cumsum(pitch_hz * wander) / RATE_HZ), prepend=0)
    sound = pulses + rng.normal(0, 0.01, count)
    for hertz in resonances_hz:
        sound += 2 * scipy.signal.lfilter(*scipy.signal.iirpeak(hertz, Q=5, fs=RATE_HZ), sound)
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def write_sound(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ, *, subtype: str | None = None) -> Path:
    """Write a recording in the format of its suffix; the name may be any that the file system takes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {"OGG": "OGG", "OPUS": "OGG"}.get(path.suffix[1:].upper(), path.suffix[1:].upper())
    soundfile.write(os.fsencode(path), samples, rate_hz, format=kind, subtype=subtype)
    return path


def write_speakers(folder: Path, *, speakers=tuple(SPEAKERS), recordings: int = 5, seconds: float = 4.0) -> Path:
    """Write folder/<speaker>/<n>.mp3, as a user of this project would have them."""
    for number, speaker in enumerate(speakers):
        for index in range(recordings):
            samples = voice(speaker, seed=100 * number + index, seconds=seconds)
            write_sound(folder / speaker / f"{index}.mp3", samples)
    return folder


IRREGULAR = ("pipe", "socket", "device")
"""What may lie in a folder and would be read for ever."""


def irregular_file(path: Path, kind: str) -> Path:
    """Make a pipe, a socket or a symbolic link to a device."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    else:
        path.symlink_to("/dev/zero")
    return path


def names_below(folder: Path) -> set[str]:
    """Return every file below a folder, by its path from there."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def run_audionet(command: str, *arguments: object) -> int:
    """Run a command of audionet within this process, and return its exit status."""
    return importlib.import_module(f"audionet.commands.{command}").main([str(argument) for argument in arguments])


def run_python(*arguments: object, cwd: Path = CHECKOUT, **options) -> subprocess.CompletedProcess:
    """Run Python on `arguments` in a process of its own and return what it said."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, **options)


@functools.cache
def tiny_graph(height: int, width: int) -> bytes:
    """Return a frozen graph that does what FakeBackbone does."""
    import tensorflow as tf  # seconds, which only some tests need

    with tf.Graph().as_default() as graph:
        pictures = tf.compat.v1.placeholder(tf.uint8, [None, height, width, 3], name="pictures")
        means = tf.reduce_mean(tf.cast(pictures, tf.float32), axis=2)
        tf.reshape(means, [-1, height * 3], name="bottlenecks")
    return graph.as_graph_def().SerializeToString()


@dataclass
class FakeBackbone:
    """A backbone without weights: the mean colour of each row, which is the mean loudness of each frequency.

    A mean of 32 whole numbers is exact in float32, so however it is computed, it is the same.
    """

    architecture: str = "fake"
    bottleneck: str = "rows"
    digest: str = "0123456789abcdef"
    height: int = 32
    width: int = 32
    pictures_seen: int = field(default=0, compare=False)

    @property
    def dimension(self) -> int:
        return self.height * 3

    @property
    def slices(self) -> dict[str, tuple[int, int]]:
        return {self.bottleneck: (0, self.dimension)}

    @property
    def graph(self) -> bytes:
        return tiny_graph(self.height, self.width)

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        assert pictures.dtype == np.uint8 and pictures.shape[1:] == (self.height, self.width, 3)
        self.pictures_seen += len(pictures)
        return pictures.mean(axis=2, dtype=np.float32).reshape(len(pictures), -1)

    def sentence(self) -> str:
        return "Backbone fake: made for tests."

    listens = False

    def describe(self) -> dict:
        names = ("architecture", "bottleneck", "height", "width", "dimension")
        return {**{name: getattr(self, name) for name in names}, "fingerprint": self.digest}


@functools.cache
def tiny_listening_graph(samples: int, bands: int) -> bytes:
    """Return a frozen graph that does what FakeListener does."""
    import tensorflow as tf  # seconds, which only some tests need

    with tf.Graph().as_default() as graph:
        sounds = tf.compat.v1.placeholder(tf.float32, [None, samples], name="sounds")
        powers = tf.matmul(sounds, tf.constant(_tones(samples, bands)))
        tf.abs(powers, name="bottlenecks")
    return graph.as_graph_def().SerializeToString()


@functools.cache
def _tones(samples: int, bands: int) -> np.ndarray:
    times = np.arange(samples) / RATE_HZ
    hertz = np.geomspace(100, 6000, bands)
    return (np.cos(2 * np.pi * times[:, None] * hertz) / np.sqrt(samples)).astype(np.float32)


@dataclass
class FakeListener:
    """A backbone without weights that listens: how much of some tones there is in a sound."""

    samples: int = 32_000
    sample_rate_hz: int = RATE_HZ
    dimension: int = 24
    architecture: str = "fake_listener"
    bottleneck: str = "classic"
    digest: str = "fedcba9876543210"
    height: int = 0
    width: int = 0
    sounds_heard: int = field(default=0, compare=False)

    listens = True

    @property
    def slices(self) -> dict[str, tuple[int, int]]:
        return {"classic": (0, self.dimension)}

    @property
    def graph(self) -> bytes:
        return tiny_listening_graph(self.samples, self.dimension)

    def __call__(self, sounds: np.ndarray) -> np.ndarray:
        assert sounds.dtype == np.float32 and sounds.shape[1:] == (self.samples,)
        self.sounds_heard += len(sounds)
        return np.abs(sounds @ _tones(self.samples, self.dimension))

    def sentence(self) -> str:
        return "Backbone fake_listener: made for tests."

    def describe(self) -> dict:
        names = ("architecture", "bottleneck", "height", "width", "samples", "sample_rate_hz", "dimension")
        return {**{name: getattr(self, name) for name in names}, "fingerprint": self.digest}


def load_fake(architecture: str, **_: object) -> FakeBackbone:
    """Stand for `load_backbone` where a test is about networks that look: no other can be had."""
    from audionet.errors import WeightsError
    from audionet.models.backbones.architectures import find_architecture

    if find_architecture(architecture).listens:
        raise WeightsError(f"There are no weights of {architecture} in a test.")
    return FakeBackbone()


def member_of(backbone, head, *, recipe=None, **more):
    """Return a member of a classifier."""
    from audionet.models.member import Member

    described = {"name": backbone.architecture, "backbone": backbone.describe(), "graph": backbone.graph}
    return Member(**{**described, "head": head, "recipe": recipe, **more})


def training_run_of(model, *, final=None):
    """Return the training run of a model, tested on what was held out, or as `final` says."""
    from audionet.training.final_evaluation import evaluate_held_out
    from audionet.training.training_run import TrainingRun, build_classifier

    return TrainingRun.of(model, build_classifier(model, {}), final or evaluate_held_out(model, {}))


@pytest.fixture
def backbone() -> FakeBackbone:
    return FakeBackbone()


@pytest.fixture
def audio_dir(tmp_path) -> Path:
    """Two labels, two short recordings each."""
    for number, label in enumerate(("alice", "bob")):
        for index in range(2):
            write_sound(tmp_path / "audio" / label / f"{index}.wav", tone(400 + 500 * number + 50 * index, 2.0))
    return tmp_path / "audio"


@pytest.fixture(scope="session")
def speakers(tmp_path_factory) -> Path:
    """Three labels, five recordings each; not to be changed, so copy it first."""
    return write_speakers(tmp_path_factory.mktemp("speakers") / "data_audio")


@pytest.fixture(scope="session")
def spoken(tmp_path_factory) -> Path:
    """Two recordings a speaker that no other fixture has; not to be changed, so copy it first."""
    folder = tmp_path_factory.mktemp("spoken") / "audio"
    for speaker in SPEAKERS:
        for number in range(2):
            write_sound(folder / speaker / f"{number}.mp3", voice(speaker, seed=1_000 + number, seconds=6.0))
    return folder


@pytest.fixture(scope="session")
def drawn(speakers) -> Path:
    """The pictures of `speakers`; not to be changed."""
    from audionet.data.preprocessing import make_pictures
    from audionet.features.recipes import find_recipe

    image_dir = speakers.parent / "data_image"
    make_pictures(speakers, image_dir, recipe=find_recipe("default"))
    return image_dir


@pytest.fixture(scope="session")
def gathered(drawn):
    """The training data of `drawn`."""
    from audionet.data.dataset import read_dataset
    from audionet.training.settings import HoldoutSettings
    from audionet.training.training_data import gather_training_data

    bottleneck_dir = drawn.parent / "bottlenecks"
    dataset = read_dataset(drawn, bottleneck_dir / "pictures.sqlite")
    return gather_training_data(
        dataset, FakeBackbone(), bottleneck_dir=bottleneck_dir, holdout=HoldoutSettings(views=0)
    )


@pytest.fixture(scope="session")
def selected(gathered):
    """The head selected and trained on `speakers`."""
    from audionet.training.model_selection import select_model
    from audionet.training.settings import HeadSettings

    return select_model(gathered, bottlenecks=["rows"], settings=HeadSettings(head="lda"))


@pytest.fixture(scope="session")
def trained(gathered, selected):
    """A training run on `speakers`; nothing of it is saved."""
    from audionet.training.trainer import TrainedModel

    return training_run_of(TrainedModel(gathered, selected, (FakeBackbone(),)))


@pytest.fixture(scope="session")
def saved(trained, tmp_path_factory) -> Path:
    """A folder with `retrained_model`, `graph.pb` and `labels.txt` of `trained`; not to be changed."""
    from audionet.export.frozen_graph import write_graph, write_labels

    folder = tmp_path_factory.mktemp("saved")
    trained.save(folder / "retrained_model")
    write_graph(trained.classifier, folder / "graph.pb")
    write_labels(trained.classifier, folder / "labels.txt")
    return folder


@pytest.fixture(scope="session")
def saved_pair(trained, tmp_path_factory) -> Path:
    """The classifier of `trained`, saved as if a second network answered with it, which is the same by another name."""
    from audionet.models.classifier import Classifier

    known = trained.classifier
    (member,) = known.members
    shares = {"alone": {"accuracy": 0.9, "log_loss": 0.3}, "without": {"accuracy": 0.8, "log_loss": 0.4}}
    together = {"with": {"accuracy": 0.95, "log_loss": 0.2}}
    by_logits = known.open_set and replace(known.open_set, scored_by="logits", prototypes=None)  # it has no space
    names = (member.name, "twin")
    worth = [{"name": name, "weight": 0.5, **shares, **together} for name in names]
    folder = tmp_path_factory.mktemp("pair")
    Classifier(
        labels=known.labels,
        members=tuple(replace(member, name=name, weight=0.5, open_set=by_logits) for name in names),
        about={**known.about, "training": {**known.about["training"], "members": worth}},
        open_set=by_logits,
    ).save(folder)
    return folder


@pytest.fixture(scope="session")
def saved_trusting(trained, tmp_path_factory) -> Path:
    """The classifier of `trained`, saved without what tells unknown clips: to it, everything is of a label."""
    from audionet.models.classifier import Classifier

    known = trained.classifier
    folder = tmp_path_factory.mktemp("trusting")
    Classifier(labels=known.labels, members=known.members, about=known.about).save(folder)
    return folder


@pytest.fixture(scope="session")
def parity_clips(trained, speakers):
    """What exports of the classifier of `trained` are compared on."""
    from audionet.evaluation.test_set import find_audio
    from audionet.export.parity import find_parity_clips

    return find_parity_clips(trained.classifier, find_audio(speakers))


@pytest.fixture
def export(trained, parity_clips, tmp_path):
    """The function that exports the classifier of `trained` to `voices` with the suffix of the format."""
    from audionet.export.export import export_classifier
    from audionet.export.formats import FORMATS

    def export(name: str, input_kind="waveform", **changes):
        return export_classifier(
            trained.classifier,
            tmp_path / f"voices{FORMATS[name].suffix}",
            format_name=name,
            input_kind=input_kind,
            clips=replace(parity_clips, **changes),
        )

    return export


@pytest.fixture
def without_sox(monkeypatch):
    """A machine on which no sox program is installed."""
    from audionet.audio import decoding, sox_ffmpeg, writing

    for module in (sox_ffmpeg, decoding, writing):
        monkeypatch.setattr(module, "has_sox", lambda: False)


@pytest.fixture
def tiny_disk(tmp_path):
    """A folder on a disk of 256 KB; only root may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def as_nobody():
    """A block in which this process is a user who may write to one folder, and may not read another."""
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")
    nobody = 65534

    @contextlib.contextmanager
    def as_nobody(writable: Path, *, unreadable: Path):
        opened = [*writable.rglob("*"), writable]
        for path in opened:
            os.chown(path, nobody, nobody)
        for above in [*writable.parents, *unreadable.parents]:
            if above.is_relative_to(tempfile.gettempdir()) and not above.stat().st_mode & 0o001:
                above.chmod(0o755)
        unreadable.chmod(0)
        os.seteuid(nobody)
        try:
            yield
        finally:
            os.seteuid(0)
            unreadable.chmod(0o755)

    return as_nobody


@pytest.fixture
def model(saved, tmp_path):
    """A copy of a classifier, which may be changed."""
    return shutil.copytree(saved / "retrained_model", tmp_path / "model")


@pytest.fixture
def hisses(tmp_path):
    """Recordings of noise, which is like none of the voices that the classifier was trained on."""
    return [write_sound(tmp_path / "hiss" / f"{number}.wav", noise(6.0, seed=number)) for number in range(3)]
