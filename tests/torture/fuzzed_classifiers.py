"""Classifier folders, as the fuzzer makes and reads them, and frozen graphs."""

import functools
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from conftest import FakeBackbone, member_of
from hypothesis import strategies as st

from audionet.audio.fingerprints import Fingerprint
from audionet.features.recipes import find_recipe
from audionet.models.array_files import read_arrays
from audionet.models.classifier import Classifier
from audionet.models.classifier_folder import ABOUT_NAME, read_labels, read_metrics
from audionet.models.classifier_schema import digest_of_about
from audionet.models.graph_classifier import GraphClassifier
from audionet.models.head import Head
from audionet.models.openset import OpenSetDetector, Space
from audionet.models.similarity import Similarity
from torture.fuzzed_media import PICTURE, picture_file
from torture.mutations import altered_json, as_json, damaged, json_files, npz_files
from torture.reader import Files, Reader

LABELS = ("alice", "bob", "carol")
ENROLLED = ("dora",)
ARRAY_FILES = ("head.npz", "fingerprints.npz", "enrolled.npz")


@functools.cache
def valid_files() -> Files:
    """Return the files of a classifier that has everything a classifier may have."""
    rng = np.random.default_rng(0)
    backbone = FakeBackbone()
    size = backbone.dimension
    label_ids = np.arange(30) % len(LABELS)
    logits = (rng.normal(size=(30, 3)) + 3 * np.eye(3)[label_ids]).astype(np.float32)
    open_set = OpenSetDetector(
        Space.fit(logits, label_ids),
        np.array([1, 2, 4]),
        np.array([-5.0, -5.0, -5.0]),
        0.05,
        "left-out labels",
        3,
        0.1,
        0.1,
        0.1,
        0.1,
    )
    directions = np.linalg.qr(rng.normal(size=(size, 2)))[0].astype(np.float32)
    similarity = Similarity(
        np.zeros(size, np.float32), np.ones(size, np.float32), directions, np.ones(2, np.float32), 5.0, -1.0, 20
    )
    head = Head(rng.normal(size=(size, 3)).astype(np.float32), np.zeros(3, np.float32))
    classifier = Classifier(
        labels=LABELS,
        members=(member_of(backbone, head, recipe=find_recipe("default")),),
        about={"backbone": backbone.describe(), "training": {"trainer": "lda"}},
        open_set=open_set,
        training_keys=np.arange(5, dtype=np.uint64),
        fingerprints={"alice/0.wav": Fingerprint(np.array([[1, 2], [3, 4]]), ("0" * 16,), 2.0)},
        similarity=similarity,
    )
    scores = {level: {"accuracy": 0.9, "n": 10, "ci95": [0.8, 1.0]} for level in ("chunk", "recording")}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        classifier.save(folder, beside={"metrics.json": scores})
        (folder / "clip.png").write_bytes(picture_file("PNG"))
        Classifier.load(folder).enroll(ENROLLED[0], [folder / "clip.png"])
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".png"}


@st.composite
def folders(draw: st.DrawFn) -> Files:
    """Draw classifier folders, one file of which is altered, with checksums that are right again or not."""
    files = dict(valid_files())
    name = draw(st.sampled_from((ABOUT_NAME, ABOUT_NAME, "head.npz", "head.npz", *sorted(files))))
    if name == ABOUT_NAME:
        about = draw(altered_json(json.loads(files[name])))
        files[name] = as_json(about)
        if draw(st.integers(0, 5)) == 0:
            files[name] = draw(json_files(about))
    elif name in ARRAY_FILES:
        files[name] = draw(npz_files(read_arrays(files[name])))
    elif name.endswith(".json"):
        files[name] = draw(json_files(json.loads(files[name])))
    elif draw(st.booleans()):
        files[name] = draw(damaged(files[name]))
    else:
        del files[name]
    return with_checksums(files) if draw(st.integers(0, 4)) else files


def with_checksums(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return files with the checksums that they have now, as far as `classifier.json` has any."""
    try:
        about: Any = json.loads(files[ABOUT_NAME])
        checksums = about["sha256"]
        for name in set(checksums) & set(files):
            checksums[name] = hashlib.sha256(files[name]).hexdigest()
        checksums[ABOUT_NAME] = digest_of_about(about)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return files
    return files | {ABOUT_NAME: as_json(about)}


def load_and_score(folder: Path) -> None:
    """Load a classifier, let it answer, and look at all that it says."""
    read_labels(folder)
    read_metrics(folder)
    classifier = Classifier.load(folder)
    assert isinstance(classifier.fingerprint, str) and isinstance(dict(classifier.fingerprints), dict), "no fingerprint"
    height, width = classifier.about["backbone"]["height"], classifier.about["backbone"]["width"]
    assert height * width <= 1 << 28, "a picture beyond all sizes"
    bottlenecks = np.asarray(FakeBackbone()(PICTURE[None, :, :32]), np.float16)
    logits = classifier.member_logits(bottlenecks)[0]  # whether the network runs is asked elsewhere
    assert logits.shape == (1, len(classifier.trained_labels)), "other outputs than labels"
    assert np.isfinite(logits).all(), "logits that are no numbers"
    if classifier.open_set:
        assert np.isfinite(classifier.open_set.score(logits)), "a score that is no number"
        classifier.open_set.accepts(logits)
        assert classifier.open_set.sentence().isprintable(), "a sentence with control characters"
    if classifier.similarity:
        odds = classifier.similarity.log_odds(bottlenecks, classifier.similarity.places(bottlenecks))
        assert np.isfinite(odds).all(), "odds that are no number"
        assert classifier.similarity.sentence().isprintable(), "a sentence with control characters"


def make_folder() -> Reader:
    """Return the reader of classifier folders."""
    return Reader("classifier_folder", valid_files(), folders(), load_and_score)


@st.composite
def graphs(draw: st.DrawFn) -> Files:
    """Draw damaged graphs and lists of labels."""
    files = graph_files()
    return {
        "graph.pb": draw(damaged(files["graph.pb"])),
        "labels.txt": draw(damaged(files["labels.txt"])) if draw(st.booleans()) else files["labels.txt"],
        "clip.png": files["clip.png"],
    }


@functools.cache
def graph_files() -> Files:
    """Return a frozen graph with a list of labels, and a picture."""
    import tensorflow as tf  # seconds

    with tf.Graph().as_default() as graph:
        pictures = tf.compat.v1.placeholder(tf.float32, [None, 32, 48, 3], name="input")
        tf.nn.softmax(tf.reduce_mean(pictures, axis=(1, 2)), name="final_result")
    content = graph.as_graph_def().SerializeToString()
    return {"graph.pb": content, "labels.txt": b"alice\nbob\ncarol\n", "clip.png": picture_file("PNG")}


def score_by_graph(folder: Path) -> None:
    """Load a graph and let it answer."""
    classifier = GraphClassifier.load(folder / "graph.pb", folder / "labels.txt", engine="openvino")
    answer = classifier.score(folder / "clip.png")
    assert len(answer.probabilities) == len(classifier.labels), "other outputs than labels"


def make_graph() -> Reader:
    """Return the reader of frozen graphs."""
    return Reader("frozen_graph", graph_files(), graphs(), score_by_graph)
