"""Frozen graphs: the same network gives the same bytes, whatever the process did before and in every process."""

import os

import numpy as np
import pytest
from conftest import SCRIPTS, names_below, run_python

from audionet.files import sha256_of
from audionet.models.backbones.engines import open_graph
from audionet.models.backbones.freezing import frozen

TEN_CONVOLUTIONS = 10  # so that Keras' own numbering of layers passes from one digit to two

FREEZE = """
import hashlib, sys
from audionet.models.backbones.backbone import load_backbone
print(hashlib.sha256(load_backbone("efficientnet_lite0", image_size=96).graph).hexdigest())
"""


def small_network():
    """Return the function from pictures to vectors of a network whose layers are named by Keras."""
    import keras

    pictures = maps = keras.Input((16, 16, 3))
    for _ in range(TEN_CONVOLUTIONS):
        maps = keras.layers.Conv2D(2, 3, padding="same", kernel_initializer="ones", activation="relu")(maps)
        maps = keras.layers.BatchNormalization()(maps)
    network = keras.Model(pictures, keras.layers.GlobalAveragePooling2D()(maps))
    return lambda fed: [network(fed, training=False)]


def test_a_network_built_again_freezes_to_the_same_bytes():
    first, *others = [frozen(small_network(), (16, 16, 3)) for _ in range(3)]
    assert all(other == first for other in others)


def test_renamed_nodes_still_compute_what_the_network_does():
    network, pictures = small_network(), np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    graph, dimensions = frozen(network, (16, 16, 3))
    (expected,) = network(pictures.astype(np.float32))
    assert dimensions == [2]
    for engine in ("openvino", "tensorflow"):
        assert open_graph(graph, engine=engine)(pictures) == pytest.approx(np.asarray(expected), rel=1e-4)


def test_nodes_bear_the_names_of_the_layers_without_counters():
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef.FromString(frozen(small_network(), (16, 16, 3))[0])
    names = [node.name for node in graph.node]
    assert names[0] == "pictures"
    assert names[-1] == "bottlenecks"
    assert len(set(names)) == len(names)
    assert {f"functional/conv2d{suffix}/convolution" for suffix in ("", "_1", "_9")} < set(names)


@pytest.mark.slow
def test_a_pretrained_network_freezes_to_the_same_bytes_in_every_process(tmp_path):
    digests = []
    for number in range(2):
        finished = run_python("-c", FREEZE, env=os.environ | {"AUDIONET_CACHE": str(tmp_path / str(number))})
        assert finished.returncode == 0, finished.stderr
        digests.append(finished.stdout.split()[-1])
    assert digests[0] == digests[1]


@pytest.mark.slow
def test_two_training_runs_from_empty_caches_write_the_same_files(drawn, tmp_path):
    digests = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        written = [("model", "model"), ("graph", "graph.pb"), ("labels", "labels.txt")]
        outputs = [text for name, path in written for text in (f"--output_{name}", folder / "out" / path)]
        trained = run_python(
            *(SCRIPTS / "retrain.py", "--image_dir", drawn, "--head", "lda", *outputs),
            *("--report", folder / "out" / "report.html", "--bottleneck_dir", folder / "bottlenecks"),
            *("--runs_dir", folder / "runs", "--summaries_dir", folder / "summaries"),
            env=os.environ | {"AUDIONET_CACHE": str(folder / "cache")},
        )
        assert trained.returncode == 0, trained.stderr
        names = sorted(names_below(folder / "out"))
        assert {"graph.pb", "labels.txt", "model/backbone.pb", "model/classifier.json", "model/head.npz"} < set(names)
        digests.append({name: sha256_of((folder / "out" / name).read_bytes()) for name in names})
    assert digests[0] == digests[1]
