"""Heads that were trained before on the same samples, so that what several ways to train share is done once."""

import hashlib
import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audionet.models.bottleneck_cache import Rows

MOST_KEPT = 4_096


@dataclass(eq=False)
class _Store:
    found: dict[Hashable, tuple[Any, float]] = field(default_factory=dict)  # what was found, and in how many seconds
    spared_seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class HeadMemory:
    """What was found for the bottlenecks of one network; those of several networks share one store."""

    table: str = ""  # what stands for the table of bottlenecks that rows are of
    _store: _Store = field(default_factory=_Store)

    def of_table(self, table: Rows) -> "HeadMemory":
        """Return the memory for another table, with the same store."""
        digest = hashlib.sha256()
        for part in table.tables:
            digest.update(repr(part.shape).encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        return HeadMemory(digest.hexdigest(), self._store)

    def key(self, rows: Rows, *columns: np.ndarray) -> str:
        """Return what stands for some rows of the table with what else is known of each, such as its label."""
        digest = hashlib.sha256(self.table.encode())
        for column in (*rows.places, *columns):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()

    def clock(self) -> float:
        """Return the seconds of a clock that goes on as if nothing had been taken from memory."""
        return time.monotonic() + self._store.spared_seconds

    def get(self, key: Hashable) -> Any:
        """Return what was kept, or None."""
        value, seconds = self._store.found.get(key, (None, 0.0))
        self._store.spared_seconds += seconds
        return value

    def keep(self, key: Hashable, value: Any, *, since: float) -> None:
        """Keep what was begun at a time of the `clock`; where there is too much, what was kept first goes."""
        found = self._store.found
        found[key] = value, self.clock() - since
        if len(found) > MOST_KEPT:
            del found[next(iter(found))]
