"""The classic way and ours agree where they should."""

import json
import subprocess
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import SCRIPTS, names_below, tiny_graph, voice, write_sound

from audionet.data.preprocessing import make_pictures
from audionet.features.image_io import encode_jpg, read_picture
from audionet.features.recipes import find_recipe
from audionet.models.graph_classifier import GraphClassifier
from benchmarks.speed import (
    tutorial_pipeline,
)
from benchmarks.speed.timing import Competitor, job, run_timed


def said(command: tuple[str, ...]) -> Any:
    """Return what a job prints, which runs in a process of its own, as in a benchmark."""
    return json.loads(subprocess.run(command, capture_output=True, check=True, cwd=SCRIPTS).stdout)


def test_both_ways_cut_a_recording_into_the_same_chunks(tmp_path):
    write_sound(tmp_path / "audio" / "alice" / "a.wav", voice("alice", seed=0, seconds=6.0), subtype="PCM_16")
    folders = {"audio_dir": tmp_path / "audio", "image_dir": tmp_path / "classic"}
    assert said(job(tutorial_pipeline.draw_recordings, **folders, chunk_seconds=2)) == 3
    make_pictures(tmp_path / "audio", tmp_path / "ours", recipe=find_recipe("default"))
    names = {name for name in names_below(tmp_path / "ours") if name.startswith("alice")}
    assert names == names_below(tmp_path / "classic")
    for name in (name for name in names if name.endswith(".wav")):
        both = [soundfile.read(tmp_path / way / name, dtype="int16")[0].astype(int) for way in ("classic", "ours")]
        assert np.abs(both[0] - both[1]).max() <= 1


@pytest.mark.slow
def test_both_ways_give_the_same_bottlenecks(tmp_path, backbone):
    ramp = np.arange(32, dtype=np.uint8)
    # Smooth, because decoders of jpgs differ in how they round what is rough.
    for number in range(3):
        picture = np.repeat(np.add.outer((number + 1) * ramp, 4 * ramp)[:, :, None], 3, axis=2)
        (tmp_path / "image" / "a").mkdir(parents=True, exist_ok=True)
        (tmp_path / "image" / "a" / f"{number}.jpg").write_bytes(encode_jpg(picture, quality=95))
    (tmp_path / "graph.pb").write_bytes(tiny_graph(32, 32))
    arguments = {"image_dir": tmp_path / "image", "graph": tmp_path / "graph.pb", "bottleneck_dir": tmp_path / "texts"}
    run_timed(Competitor("classic", 3, job(tutorial_pipeline.write_bottlenecks, **arguments, side=32), has_clock=True))
    for number in range(3):
        mine = backbone(read_picture(tmp_path / "image" / "a" / f"{number}.jpg")[None])[0]
        theirs = tutorial_pipeline.read_vector(tmp_path / "texts" / "a" / f"{number}.jpg.txt")
        assert np.allclose(mine, theirs, atol=2)  # of 255: their decoder of jpgs takes short cuts


@pytest.mark.slow
def test_classic_training_learns_what_ours_learns(tmp_path):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2, 8))
    for number, label in enumerate(("a", "b")):
        for index in range(10):
            tutorial_pipeline.write_vector(
                tmp_path / "texts" / label / f"{index}.txt", centres[number] + rng.normal(0, 0.1, 8)
            )
    command = job(
        tutorial_pipeline.train,
        bottleneck_dir=tmp_path / "texts",
        head=tmp_path / "head.json",
        steps=200,
        batch_size=10,
        learning_rate=0.1,
    )
    run_timed(Competitor("classic", 200, command, has_clock=True))
    head = json.loads((tmp_path / "head.json").read_text())
    answers = (centres @ head["weights"] + head["biases"]).argmax(axis=1)
    assert [head["labels"][answer] for answer in answers] == ["a", "b"]


@pytest.mark.slow
def test_both_ways_label_a_picture_alike(saved, drawn):
    picture = drawn / "bob" / "0_00000.jpg"
    command = job(
        tutorial_pipeline.label_picture, picture=picture, graph=saved / "graph.pb", labels=saved / "labels.txt"
    )
    theirs = said(command)
    mine = GraphClassifier.load(saved / "graph.pb", saved / "labels.txt").score(picture)
    assert max(theirs, key=theirs.get) == mine.label and sum(theirs.values()) == pytest.approx(1, abs=1e-4)
