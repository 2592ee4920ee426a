"""A compiled graph is kept, read again, and never trusted to be whole."""

from pathlib import Path

import numpy as np
import pytest
from conftest import run_python

from audionet.models.backbones import openvino_graphs
from audionet.models.backbones.engines import Runner, open_graph
from audionet.models.backbones.openvino_graphs import pack_graph

INPUTS = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("AUDIONET_CACHE", str(tmp_path))
    return tmp_path / "compiled"


def graph_times(factor: float) -> bytes:
    import openvino
    from openvino import opset13

    inputs = opset13.parameter([-1, 3], np.float32)
    return pack_graph(openvino.Model([opset13.multiply(inputs, opset13.constant(np.float32(factor)))], [inputs]))


def opened(graph: bytes) -> Runner:
    return open_graph(graph, engine="openvino", input_name="inputs", is_kept=True)


def test_a_graph_that_was_compiled_before_is_read_from_the_cache(cache, monkeypatch):
    graph = graph_times(2)
    first = opened(graph)(INPUTS)
    monkeypatch.setattr(openvino_graphs, "read_graph", lambda *_: pytest.fail("it was compiled again"))
    assert np.array_equal(opened(graph)(INPUTS), first)
    assert np.array_equal(first, 2 * INPUTS)


def test_another_graph_is_another_one(cache):
    assert np.array_equal(opened(graph_times(2))(INPUTS), 2 * INPUTS)
    assert np.array_equal(opened(graph_times(3))(INPUTS), 3 * INPUTS)


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: b"", lambda content: content[::-1]])
def test_what_is_damaged_in_the_cache_is_compiled_again(cache, damage):
    graph = graph_times(2)
    opened(graph)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    assert np.array_equal(opened(graph)(INPUTS), 2 * INPUTS)
    assert len(kept.read_bytes()) == len(whole)


def test_a_cache_that_cannot_be_written_is_done_without(cache):
    cache.write_text("a file where a folder belongs")
    assert np.array_equal(opened(graph_times(2))(INPUTS), 2 * INPUTS)


def test_those_used_last_are_kept(cache, monkeypatch):
    monkeypatch.setattr(openvino_graphs, "MOST_COMPILED", 2)
    for factor in (1, 2, 3):
        opened(graph_times(factor))
    assert len(list(cache.iterdir())) == 2


def test_openvino_is_imported_without_its_converter_which_may_still_be_imported():
    done = run_python(
        "-c",
        "import sys\n"
        "from audionet.models.backbones.openvino_graphs import imported_openvino\n"
        "imported_openvino().Core()\n"
        "assert 'openvino.tools.ovc' not in sys.modules\n"
        "from openvino.tools.ovc import convert_model\n",
    )
    assert done.returncode == 0, done.stderr


def test_networks_are_compiled_without_a_trace_unless_they_are_to_be_kept(cache):
    open_graph(graph_times(2), engine="openvino", input_name="inputs")
    assert not cache.exists()
