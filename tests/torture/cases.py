"""The commands that are killed, each with the inputs and settings that change between its runs.

A case runs in a folder of its own: its inputs are put there, and its command writes there.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from conftest import tone, voice, write_sound
from PIL import Image

from torture.workplace import TRAINING_OUTPUTS, write_recordings

PICTURES = 100  # several batches of the bottleneck cache


@dataclass(frozen=True)
class State:
    """Inputs and settings of a run."""

    name: str
    inputs: Mapping[str, str]  # template by the folder's name
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """A command whose runs are killed."""

    name: str
    command: tuple[str, ...]
    states: tuple[State, ...]
    kept: Mapping[str, str] | None = None  # template by name of what is there before the first run, and is written to
    model: str | None = None  # the classifier's folder that there must be at every moment
    trials: int = 20  # at random, with one to three kills each
    forked: bool = True  # else it runs in an interpreter of its own, with the network as it is


TRAIN = ("train", *(part for name, place in TRAINING_OUTPUTS.items() for part in (f"--{name}", place)))
LDA = ("--head", "lda", "--views", "0")
RIDGE = ("--head", "ridge", "--views", "0")
LABEL = ("label", "--model", "retrained_model", "clips", "--resume")
MODEL = {"retrained_model": "model"}
CLIPS = {"clips": "clips"}

CASES = (
    Case(
        "data",
        ("data", "--audio_dir", "audio", "--image_dir", "images"),
        (
            State("plain", {"audio": "audio"}),
            State("pcen", {"audio": "audio"}, ("--picture", "pcen")),
            State("shorter chunks", {"audio": "audio"}, ("--chunk_seconds", "1")),
            State("a recording replaced", {"audio": "audio_replaced"}),
            State("a label more", {"audio": "audio_more"}),
            State("no wavs", {"audio": "audio"}, ("--no_keep_wav",)),
        ),
        trials=35,
    ),
    Case(
        "bottlenecks",
        (*TRAIN, "--image_dir", "photos", *RIDGE),
        (State("photos", {"photos": "photos"}), State("other photos", {"photos": "photos_replaced"})),
        trials=10,
    ),
    Case(
        "training",
        (*TRAIN, "--image_dir", "images"),
        (
            State("lda", {"images": "images"}, LDA),
            State("ridge", {"images": "images"}, RIDGE),
            State("pcen", {"images": "images_pcen"}, LDA),
        ),
        trials=15,
    ),
    Case(
        "recordings to classifier",
        (*TRAIN, "--image_dir", "data_audio", *LDA),
        (State("plain", {"data_audio": "audio"}), State("a recording replaced", {"data_audio": "audio_replaced"})),
        trials=8,
    ),
    Case(
        "default network",
        (*TRAIN, "--image_dir", "data_audio", "--head", "lda", "--views", "1"),
        (State("plain", {"data_audio": "audio"}), State("a recording replaced", {"data_audio": "audio_replaced"})),
        trials=3,
        forked=False,
    ),
    Case(
        "saving",
        (*TRAIN, "--image_dir", "images", *LDA),
        (State("lda", {"images": "images"}), State("ridge", {"images": "images"}, RIDGE)),
        kept=MODEL,
        model="retrained_model",
        trials=10,
    ),
    *(
        Case(
            f"labelling to {suffix}",
            (*LABEL, "--output", f"answers.{suffix}"),
            (State("clips", {**MODEL, **CLIPS}),),
            trials=10,
        )
        for suffix in ("csv", "jsonl", "parquet")
    ),
    Case(
        "evaluation",
        (
            *("evaluate", "--model", "retrained_model", "--audio_dir", "clips"),
            *("--json", "scores.json", "--report", "test.html", "--runs_dir", "runs"),
        ),
        (State("clips", {**MODEL, **CLIPS}), State("recordings", {**MODEL, "clips": "audio_replaced"})),
        trials=8,
    ),
    Case(
        "enrolment",
        ("enroll", "--model", "retrained_model"),
        (
            State("dave", CLIPS, ("--label", "dave", "clips/dave")),
            State("dave by others", CLIPS, ("--label", "dave", "clips/erin")),
        ),
        kept=MODEL,
        model="retrained_model",
        trials=12,
    ),
    Case(
        "export to a folder",
        ("export", "--model", "retrained_model", "--audio_dir", "audio", "--format", "openvino", "--output", "export"),
        (
            State("waveform", {**MODEL, "audio": "audio"}),
            State("picture", {**MODEL, "audio": "audio"}, ("--input", "picture")),
        ),
        trials=8,
    ),
    Case(
        "export to a file",
        ("export", "--model", "retrained_model", "--audio_dir", "audio", "--format", "graph", "--output", "export.pb"),
        (
            State("waveform", {**MODEL, "audio": "audio"}),
            State("picture", {**MODEL, "audio": "audio"}, ("--input", "picture")),
        ),
        trials=4,
    ),
)


def put_inputs(inputs: Mapping[str, str], folder: Path, templates: Path) -> None:
    """Bring a case's inputs into its folder, with the times that the templates have."""
    for name, template in inputs.items():
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(templates / template, folder / name)


def write_templates(folder: Path) -> None:
    """Write the inputs of all cases but those that commands make of others."""
    audio = write_recordings(folder / "audio")
    write_sound(audio / "alice" / "long.wav", voice("alice", seed=50, seconds=7.0))
    shutil.copytree(audio, folder / "audio_replaced")
    write_sound(folder / "audio_replaced" / "alice" / "0.mp3", voice("bob", seed=51, seconds=5.0))
    shutil.copytree(audio, folder / "audio_more")
    for number in range(3):
        write_sound(folder / "audio_more" / "dave" / f"{number}.wav", tone(2000 + 100 * number, 3.0))
    for number in range(4):
        for label in ("alice", "bob"):
            write_sound(folder / "clips" / label / f"{number}.wav", voice(label, seed=60 + number, seconds=3.0))
    write_sound(folder / "clips" / "dave" / "0.wav", tone(3000, 4.0))
    write_sound(folder / "clips" / "erin" / "0.wav", tone(1500, 6.0))
    for name, seed in (("photos", 0), ("photos_replaced", 1)):
        _write_photos(folder / name, count=PICTURES, seed=seed)


def _write_photos(folder: Path, *, count: int, seed: int) -> None:
    """Write pictures of two labels, a third of which depend on the seed."""
    rng = np.random.default_rng(7)
    other = np.random.default_rng(seed)
    for number in range(count):
        chosen = other if number % 3 == 0 else rng
        pixels = chosen.integers(0, 128, (32, 32, 3)) + 100 * (number % 2) * (np.arange(3) == 0)
        path = folder / ("red" if number % 2 else "grey") / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)


# Templates that commands make of others, in this order: what to run, and which of the folders it leaves become which.
MADE_TEMPLATES: Sequence[tuple[tuple[str, ...], Mapping[str, str], Mapping[str, str]]] = (
    (("data", "--audio_dir", "audio", "--image_dir", "images"), {"audio": "audio"}, {"images": "images"}),
    (
        ("data", "--audio_dir", "audio", "--image_dir", "images", "--picture", "pcen"),
        {"audio": "audio"},
        {"images": "images_pcen"},
    ),
    (
        (*TRAIN, "--image_dir", "images", *LDA, "--random_seed", "3"),
        {"images": "images"},
        {"retrained_model": "model"},
    ),
)
