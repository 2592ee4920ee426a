import importlib.util

import pytest

from audionet.errors import InputError, WeightsError
from audionet.models.backbones.engines import open_graph


def test_an_engine_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install openvino"):
        open_graph(b"", engine="openvino")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openvino", "tensorflow"])
@pytest.mark.parametrize("graph", [b"", b"no graph at all"])
def test_a_damaged_graph_is_refused(engine, graph):
    with pytest.raises(WeightsError, match="whole frozen graph"):
        open_graph(graph, engine=engine)
