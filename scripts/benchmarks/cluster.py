"""What a cluster costs and gains: Ray beside processes, statistics that add up, and a plan for many hours of sound.

    measure: one core's seconds for an hour of sound, by stage; tasks a second that one driver hands out
    plan:    the slowest of cores, driver and store decides how long so many hours take on so many nodes

A plan takes tasks to be of equal length and cores to be alike, and adds one task's length for the last ones to end.
"""

import os
import resource
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audionet.audio.decoding import is_recording
from audionet.audio.writing import write_wav
from audionet.data.preprocessing import make_pictures
from audionet.distributed.cluster import connected
from audionet.features.extraction import NetworkInput, chunks_by_recipe, drawn_jpg
from audionet.features.image_io import decode_picture
from audionet.features.recipes import Recipe, find_recipe
from audionet.files import walk_files
from audionet.models.backbones.backbone import load_backbone
from audionet.models.bottleneck_cache import BATCH_SIZE, bottlenecks_of
from audionet.parallel import run_groups
from audionet.tables import Table
from audionet.training.fitting.closed_forms import SummedRows, lda_head
from audionet.training.fitting.moments import Moments
from benchmarks.options import ClusterOptions

NODES = (1, 10, 100, 1000)
SHARD_ROWS = 4096
LABELS = 10
DIMENSION = 512
EMPTY_TASKS = 2000
HOUR = 3600.0


@dataclass(frozen=True)
class Measured:
    """What was measured on this machine."""

    draw_seconds: float  # of one core, to decode, cut and draw an hour of sound
    embed_seconds: float  # of one core, for the bottlenecks of an hour of sound
    sound_bytes: float  # of recordings, for an hour of sound
    picture_bytes: float  # of pictures, for an hour of sound
    tasks_per_second: float  # that one driver hands out and takes back


@dataclass(frozen=True)
class Plan:
    """How some hours of sound would be done by some nodes."""

    nodes: int
    seconds: float
    efficiency: float  # the share of its time that a core works
    limit: str  # what decides the time: cores, driver or store
    core_hours: float
    picture_gigabytes: float
    requests: float  # to the store: a listing, a stamp before and after, and the recording itself
    cost: float  # of nodes and requests


def run(options: ClusterOptions) -> int:
    """Measure, plan, print and write the result."""
    recipe = find_recipe("default")
    processes, cluster_seconds, tasks_per_second = side_by_side(options.output_dir / "cluster", options.recordings)
    measured = measure(options.audio_dir, recipe, tasks_per_second=tasks_per_second)
    growth = [statistics_in_one_pass(chunks) for chunks in (options.chunks // 10, options.chunks)]
    plans = [plan(options, measured, nodes) for nodes in NODES]
    result = {
        "processes_seconds": processes,
        "cluster_seconds": cluster_seconds,
        "measured": asdict(measured),
        "statistics": growth,
        "plans": [asdict(one) for one in plans],
    }
    options.write(options.output_dir / "cluster.json", result, _tables(result, options, plans))
    return 0


def side_by_side(folder: Path, recordings: int) -> tuple[float, float, float]:
    """Return the seconds in which processes and a cluster of this machine draw, and tasks a second of the cluster."""
    shutil.rmtree(folder, ignore_errors=True)
    audio, recipe = folder / "audio", find_recipe("default")
    for number in range(recordings):
        samples = np.random.default_rng(number).normal(0, 0.1, 4 * 16_000).astype(np.float32)
        path = audio / str(number % 4) / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, samples, sample_rate_hz=16_000)
    start = time.perf_counter()
    make_pictures(audio, folder / "processes", recipe=recipe)
    processes = time.perf_counter() - start
    with connected("local"):
        list(run_groups(abs, [[number] for number in range(100)], jobs=None, in_order=False))  # workers start
        start = time.perf_counter()
        make_pictures(audio, folder / "cluster", recipe=recipe)
        on_cluster = time.perf_counter() - start
        start = time.perf_counter()
        for _ in run_groups(abs, [[number] for number in range(EMPTY_TASKS)], jobs=None, in_order=False):
            pass
        return processes, on_cluster, EMPTY_TASKS / (time.perf_counter() - start)


def measure(audio_dir: Path, recipe: Recipe, *, tasks_per_second: float) -> Measured:
    """Measure one core's seconds by stage on the recordings of a folder."""
    paths = [path for path in walk_files(audio_dir) if is_recording(path)]
    pictures: list[bytes] = []
    seconds = 0.0
    start = _processor_seconds()
    for path in paths:
        for chunk in chunks_by_recipe(path, recipe):
            pictures.append(drawn_jpg(chunk.samples, recipe))
            seconds += chunk.seconds
    drawing = _processor_seconds() - start
    backbone = load_backbone("efficientnet_lite0")
    given = NetworkInput(recipe, height=backbone.height, width=backbone.width)
    inputs = [given.of_picture(decode_picture(content)) for content in pictures[: 8 * BATCH_SIZE]]
    bottlenecks_of(backbone, np.stack(inputs[:1]))  # which opens the network
    start = _processor_seconds()
    bottlenecks_of(backbone, np.stack(inputs))
    embedding = (_processor_seconds() - start) * len(pictures) / len(inputs)
    hours = seconds / HOUR
    return Measured(
        draw_seconds=drawing / hours,
        embed_seconds=embedding / hours,
        sound_bytes=sum(path.stat().st_size for path in paths) / hours,
        picture_bytes=sum(map(len, pictures)) / hours,
        tasks_per_second=tasks_per_second,
    )


def _processor_seconds() -> float:
    """Return the seconds that this process and the decoders it started have computed."""
    return sum(os.times()[:4])


def statistics_in_one_pass(chunks: int) -> dict[str, Any]:
    """Train LDA on synthetic bottlenecks, shard by shard in one pass; return its time and the memory in use."""
    start = time.perf_counter()
    total = None
    for bottlenecks, label_ids in _synthetic_shards(chunks):
        origin = np.zeros(DIMENSION, np.float32)
        of_shard = Moments.of(bottlenecks, label_ids, LABELS, origin=origin, with_products=True)
        total = of_shard if total is None else total + of_shard
    assert total is not None  # there is a shard
    head = lda_head(SummedRows(total))
    bottlenecks, label_ids = next(_synthetic_shards(SHARD_ROWS))
    return {
        "chunks": chunks,
        "seconds": time.perf_counter() - start,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "accuracy": float((head.logits(bottlenecks).argmax(axis=1) == label_ids).mean()),
    }


def _synthetic_shards(chunks: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield bottlenecks, float16, shape (n, DIMENSION), and their label ids, a shard at a time."""
    centres = np.random.default_rng(0).normal(0, 0.3, (LABELS, DIMENSION)).astype(np.float32)
    for start in range(0, chunks, SHARD_ROWS):
        rng = np.random.default_rng(start + 1)
        label_ids = np.arange(min(SHARD_ROWS, chunks - start)) % LABELS
        rows = centres[label_ids] + rng.standard_normal((len(label_ids), DIMENSION), np.float32)
        yield rows.astype(np.float16), label_ids


def plan(options: ClusterOptions, measured: Measured, nodes: int) -> Plan:
    """Return how long the drawing and the bottlenecks of some hours of sound take, and what decides that."""
    cores, hours = nodes * options.cores, options.hours
    recordings = hours * HOUR / options.recording_seconds
    tasks = recordings / options.recordings_per_task
    core_seconds = hours * (measured.draw_seconds + measured.embed_seconds)
    times = {
        "cores": core_seconds / cores + core_seconds / tasks,
        "driver": tasks / measured.tasks_per_second,
        "store": hours * measured.sound_bytes / (options.store_gigabytes * 1e9),
    }
    limit = max(times, key=lambda name: times[name])
    requests = recordings * 3 + recordings / 1000
    return Plan(
        nodes=nodes,
        seconds=times[limit],
        efficiency=core_seconds / cores / times[limit],
        limit=limit,
        core_hours=core_seconds / HOUR,
        picture_gigabytes=hours * measured.picture_bytes / 1e9,
        requests=requests,
        cost=nodes * times[limit] / HOUR * options.node_price + requests / 1000 * options.request_price,
    )


def _tables(result: dict[str, Any], options: ClusterOptions, plans: Sequence[Plan]) -> dict[str, Table]:
    measured = result["measured"]
    return {
        f"{options.recordings} recordings of 4 s drawn on this machine": (
            ("by", "seconds"),
            [
                ("processes", f"{result['processes_seconds']:.1f}"),
                ("a cluster of this machine", f"{result['cluster_seconds']:.1f}"),
            ],
        ),
        "One core, an hour of sound": (
            ("stage", "seconds"),
            [
                ("draw", f"{measured['draw_seconds']:.0f}"),
                ("bottlenecks", f"{measured['embed_seconds']:.0f}"),
            ],
        ),
        "LDA on synthetic bottlenecks, in one pass": (
            ("chunks", "seconds", "peak MB", "accuracy"),
            [
                (
                    f"{one['chunks']:,}",
                    f"{one['seconds']:.1f}",
                    f"{one['peak_megabytes']:.0f}",
                    f"{one['accuracy']:.1%}",
                )
                for one in result["statistics"]
            ],
        ),
        f"{options.hours:,.0f} hours on nodes of {options.cores} cores; {measured['tasks_per_second']:.0f} tasks/s": (
            (
                "nodes",
                "hours",
                "efficiency",
                "limit",
                "core hours",
                "pictures GB",
                "requests",
                "cost",
            ),
            [
                (
                    str(one.nodes),
                    f"{one.seconds / HOUR:.2f}",
                    f"{one.efficiency:.0%}",
                    one.limit,
                    f"{one.core_hours:,.0f}",
                    f"{one.picture_gigabytes:,.0f}",
                    f"{one.requests:,.0f}",
                    f"{one.cost:,.0f}",
                )
                for one in plans
            ],
        ),
    }
