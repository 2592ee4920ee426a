from types import SimpleNamespace

import numpy as np
import pytest
from conftest import FakeBackbone

from audionet.export.frozen_graph import frozen_graph, write_graph, write_labels
from audionet.models.bottleneck_cache import bottlenecks_of

tf = pytest.importorskip("tensorflow", reason="exports need tensorflow", exc_type=ImportError)


def run(graph: bytes, fed: dict[str, np.ndarray], read: str = "final_result:0") -> np.ndarray:
    with tf.Graph().as_default() as imported:
        tf.graph_util.import_graph_def(tf.compat.v1.GraphDef.FromString(graph), name="")
        with tf.compat.v1.Session(graph=imported) as session:
            return session.run(read, fed)


@pytest.fixture(scope="module")
def graph(trained) -> bytes:
    return frozen_graph(trained.classifier)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """Three pictures of the network's own size, as bytes."""
    return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)


def test_the_graph_gives_the_probabilities_of_the_classifier(graph, trained, pictures):
    expected = trained.classifier.members[0].head.probabilities(bottlenecks_of(FakeBackbone(), pictures))
    assert run(graph, {"input:0": pictures / np.float32(255)}) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["input:0", "Mul:0"])
def test_the_clients_of_2015_and_of_2017_feed_what_they_know(graph, pictures, name):
    assert run(graph, {name: pictures[:1] / np.float32(255)}) == pytest.approx(
        run(graph, {"input:0": pictures[:1] / np.float32(255)})
    )


@pytest.mark.parametrize("size", [(299, 299), (224, 224), (32, 32), (100, 50)])
def test_a_picture_of_any_size_can_be_fed(graph, size):
    probabilities = run(graph, {"input:0": np.random.default_rng(0).random((2, *size, 3), np.float32)})
    assert probabilities.shape == (2, 3)
    assert probabilities.sum(axis=1) == pytest.approx(1)


def test_a_picture_scores_the_same_alone_and_among_others(graph, pictures):
    together = run(graph, {"input:0": pictures / np.float32(255)})
    alone = run(graph, {"input:0": pictures[1:2] / np.float32(255)})
    assert alone[0] == pytest.approx(together[1], abs=1e-6)


def test_numbers_outside_the_range_do_no_harm(graph):
    fed = np.stack([np.full((32, 32, 3), 1e9), np.full((32, 32, 3), -1e9)]).astype(np.float32)
    assert np.isfinite(run(graph, {"input:0": fed})).all()


def test_the_graph_holds_no_variable_that_a_checkpoint_would_have_to_bring(graph):
    operations = {node.op for node in tf.compat.v1.GraphDef.FromString(graph).node}
    assert not {operation for operation in operations if "Variable" in operation or "PartitionedCall" in operation}


def test_exporting_twice_gives_the_same_file(trained, tmp_path):
    for name in ("a.pb", "b.pb"):
        write_graph(trained.classifier, tmp_path / name)
    assert (tmp_path / "a.pb").read_bytes() == (tmp_path / "b.pb").read_bytes()


def test_labels_are_written_one_a_line_in_the_order_of_the_outputs(tmp_path):
    write_labels(SimpleNamespace(labels=("Ünïcode", "a b", "a_b", "line\nbreak", "\udcff")), tmp_path / "labels.txt")
    lines = (tmp_path / "labels.txt").read_text("utf-8").splitlines()
    assert lines == ["Ünïcode", "a b", "a_b", r"line\nbreak", r"\udcff"]
