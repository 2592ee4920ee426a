"""A member of a classifier: a network, what it is given of a chunk, and a head of its own.

The members of a classifier answer together: their logits are added up, each with its weight. A member's head is
calibrated to answer alone too, where its input is all that there is.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audionet.errors import WeightsError
from audionet.features.extraction import NetworkInput
from audionet.features.recipes import Recipe
from audionet.models.backbones.engines import Runner, open_graph
from audionet.models.backbones.openvino_graphs import is_openvino_graph
from audionet.models.backbones.settings import Engine
from audionet.models.bottleneck_cache import bottlenecks_of
from audionet.models.head import Head
from audionet.models.openset import OpenSetDetector
from audionet.models.similarity import Similarity


@dataclass(frozen=True, eq=False, kw_only=True)
class Network:
    """A frozen network and what it is given of a chunk, ready to give bottlenecks: a member without its head."""

    name: str  # such as `efficientnet_lite0:log_mel`
    recipe: Recipe | None  # how sound becomes its pictures, or what it hears; None for ordinary pictures
    backbone: dict[str, Any]  # as `Backbone.describe` gives it
    graph: bytes = field(repr=False)  # the frozen backbone: pictures or sound in, bottlenecks out
    engine: Engine = "auto"

    @property
    def dimension(self) -> int:
        """The length of its bottlenecks."""
        return int(self.backbone["dimension"])

    @property
    def is_exportable(self) -> bool:
        """Whether other runtimes can run its network: one out of an ONNX file is in OpenVINO's own form."""
        return not is_openvino_graph(self.graph)

    @functools.cached_property
    def input(self) -> NetworkInput:
        """What its network is given of a chunk."""
        sizes = {name: self.backbone.get(name, 0) for name in ("height", "width", "samples", "sample_rate_hz")}
        return NetworkInput(self.recipe, **sizes)

    @functools.cached_property
    def _network(self) -> Runner:
        name = "sounds" if self.input.is_sound else "pictures"
        return open_graph(self.graph, engine=self.engine, input_name=name, is_kept=True)

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process makes the same member of, which opens the graph itself."""
        return {name: value for name, value in vars(self).items() if name != "_network"}

    def bottlenecks(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Map what `NetworkInput` gives, at least one, to float16 bottlenecks, shape (n, dimension).

        Raises:
            WeightsError: the graph is damaged.
        """
        found = bottlenecks_of(self._network, np.stack(inputs))
        if found.shape[1] != self.dimension or not np.isfinite(found).all():
            raise WeightsError(
                f"Expected {self.dimension} finite numbers a {'sound' if self.input.is_sound else 'picture'}, received "
                f"{found.shape[1]}, or others."
            )
        return found


@dataclass(frozen=True, eq=False, kw_only=True)
class Member(Network):
    """A member of a classifier, ready to score."""

    head: Head
    weight: float = 1.0  # of its logits in the sum of all members'
    open_set: OpenSetDetector | None = None  # of its logits alone; None, as for `similarity`, if none could be fitted
    similarity: Similarity | None = None  # the space in which its bottlenecks are compared
