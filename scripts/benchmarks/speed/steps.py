"""The steps that speed is measured at: how each is done by AudioNet, in the classic way and by bare libraries alone.

Every competitor is a command in a process of its own. The classic way, that of the tutorials, is given less to do, one
picture at a time, so that what it takes grows in proportion; where there are few, what it takes to start weighs on it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from audionet.files import walk_files
from audionet.models.backbones.architectures import find_architecture
from benchmarks.speed import library_pipeline, pipeline_steps, tutorial_pipeline
from benchmarks.speed.timing import Competitor, Step, job, ratios, script, spread, take_turns
from benchmarks.speed.workload import DIMENSION, Workload

OURS, CLASSIC, BARE, COLD, NETWORK = "ours", "classic", "bare libraries", "cold", "the network alone"
BATCH_SIZE = 100  # of training, in the tutorial and by our default
CLASSIC_RATE = 0.01  # of gradient descent, likewise
CLASSIC_CLIP_SECONDS = 6.0
DRAWERS = {CLASSIC: tutorial_pipeline.draw_recordings, BARE: library_pipeline.draw_recordings}


def draw_long(workload: Workload, chunk_seconds: float, recipe: str) -> Step:
    """Draw long recordings, counted in seconds of sound."""
    source = workload.long_recordings
    seconds = workload.seconds_of(source)
    clip, clip_seconds = workload.clip(workload.sizes.classic_pictures * chunk_seconds)
    return Step(
        "seconds of sound",
        (
            draw(workload, source, seconds, "--recipe", recipe),
            _rival_draw(workload, CLASSIC, clip, clip_seconds, chunk_seconds),
            _rival_draw(workload, BARE, source, seconds, chunk_seconds),
        ),
    )


def draw_short(workload: Workload) -> Step:
    """Draw wavs of one second, counted in recordings."""
    source, count = workload.short_recordings, workload.sizes.short_recordings
    return Step(
        "recordings",
        (draw(workload, source, count), _classic_draw_short(workload), _rival_draw(workload, BARE, source, count, 2)),
    )


def draw_nothing(workload: Workload) -> Step:
    """Draw wavs of one second again, where nothing has changed; the classic way draws them all again."""
    return Step("recordings", (draw_again(workload, workload.short_recordings), _classic_draw_short(workload)))


def bottlenecks(workload: Workload, architecture: str, bottleneck: str | None) -> Step:
    """Compute bottlenecks, counted in pictures; the classic way always reads the classic layer."""
    source = workload.part(workload.pictures, workload.sizes.pictures)
    few = workload.part(source, workload.sizes.classic_pictures)
    texts = workload.output("texts")
    classic_way = job(
        tutorial_pipeline.write_bottlenecks,
        image_dir=few,
        graph=workload.graph(architecture),
        bottleneck_dir=texts,
        side=find_architecture(architecture).image_size,
    )
    alone = job(pipeline_steps.run_network, image_dir=source, **_network(workload, architecture, bottleneck))
    return Step(
        "pictures",
        (
            compute_bottlenecks(workload, source, architecture, bottleneck),
            Competitor(CLASSIC, workload.count(few), classic_way, has_clock=True, output=texts),
            Competitor(NETWORK, workload.count(source), alone, has_clock=True),
        ),
    )


def warm_cache(workload: Workload) -> Step:
    """List pictures that are known and read their bottlenecks, counted in pictures; beside it computing them."""
    count = workload.sizes.cached_pictures
    source = workload.part(workload.pictures, workload.sizes.pictures)
    read = job(library_pipeline.read_vectors, bottleneck_dir=workload.cached(count)[1])
    return Step(
        "pictures",
        (
            read_bottlenecks(workload, count),
            Competitor(BARE, count, read, has_clock=True),
            compute_bottlenecks(workload, source, "efficientnet_lite0", None, name=COLD),
        ),
    )


def train_softmax(workload: Workload) -> Step:
    """Train a softmax layer on cached bottlenecks, counted in steps."""
    steps = workload.sizes.training_steps
    command = job(
        tutorial_pipeline.train,
        bottleneck_dir=workload.texts,
        head=workload.output("head.json"),
        steps=steps,
        batch_size=BATCH_SIZE,
        learning_rate=CLASSIC_RATE,
    )
    ours = train(workload, workload.sizes.cached_pictures, "softmax")
    return Step("steps", (ours, Competitor(CLASSIC, steps, command, has_clock=True)))


def label_one(workload: Workload) -> Step:
    """Label one picture, from the start of the process to its end."""
    picture = next(path for path in walk_files(workload.pictures) if path.suffix == ".jpg")
    return Step("pictures", (label(workload, picture, 1), _classic_label(workload, picture)))


def label_pictures(workload: Workload) -> Step:
    """Label a folder of pictures; the classic way starts anew for each."""
    source = workload.part(workload.pictures, workload.sizes.labelled_pictures)
    picture = next(walk_files(source))
    return Step("pictures", (label(workload, source, workload.count(source)), _classic_label(workload, picture)))


def label_sound(workload: Workload) -> Step:
    """Label recordings, counted in seconds of sound."""
    if workload.audio_dir:
        source = workload.long_recordings
        seconds = workload.seconds_of(source)
    else:
        seconds = 60 * workload.sizes.labelled_minutes
        source = workload.recordings("hour", 1, seconds=seconds, suffix=".mp3")
    clip, clip_seconds = workload.clip(CLASSIC_CLIP_SECONDS)
    scratch = workload.output("scratch")
    command = job(
        tutorial_pipeline.label_recordings,
        audio_dir=clip,
        scratch=scratch,
        chunk_seconds=2,
        **workload.classic_classifier,
    )
    classic_way = Competitor(CLASSIC, clip_seconds, command, output=scratch)
    return Step("seconds of sound", (label(workload, source, seconds), classic_way))


def ask_for_help(workload: Workload) -> Step:
    """Ask every script for help; counted by the slowest."""
    return Step("scripts", (Competitor(OURS, 1, job(pipeline_steps.ask_for_help), has_clock=True),))


STEPS: Mapping[str, Callable[[Workload], Step]] = {
    "draw long recordings, 2 s chunks": partial(draw_long, chunk_seconds=2, recipe="default"),
    "draw long recordings, 20 s chunks": partial(draw_long, chunk_seconds=20, recipe="audionet"),
    "draw wavs of 1 s": draw_short,
    "draw with nothing to do": draw_nothing,
    "bottlenecks InceptionV3, classic layer": partial(bottlenecks, architecture="inception_v3", bottleneck="classic"),
    "bottlenecks InceptionV3, default tap": partial(bottlenecks, architecture="inception_v3", bottleneck=None),
    "bottlenecks EfficientNetB0, default tap": partial(bottlenecks, architecture="efficientnet_b0", bottleneck=None),
    "bottlenecks EfficientNet-Lite0, default tap": partial(
        bottlenecks, architecture="efficientnet_lite0", bottleneck=None
    ),
    "bottlenecks from a warm cache": warm_cache,
    "train": train_softmax,
    "label one picture": label_one,
    "label pictures": label_pictures,
    "label recordings": label_sound,
    "--help of the slowest script": ask_for_help,
}
"""By name, in the order in which a user would do them."""


def measure(name: str, step: Step, *, rounds: int) -> dict[str, Any]:
    """Measure a step, its competitors in turn.

    Returns:
        dict: `name`, `unit`; `ways`, by competitor: its `units`, and `seconds` and `speed`, in units a second, as
        `spread` gives them; and `ratios`, by rival: how many times as fast ours is, round by round, as `spread` too.
    """
    timings = take_turns(step.competitors, rounds=rounds)
    speeds = {each.name: [each.units / timing.seconds for timing in timings[each.name]] for each in step.competitors}
    ways = {
        each.name: {
            "units": each.units,
            "seconds": spread([timing.seconds for timing in timings[each.name]]),
            "speed": spread(speeds[each.name]),
        }
        for each in step.competitors
    }
    return {
        "name": name,
        "unit": step.unit,
        "ways": ways,
        "ratios": {rival: ratios(speeds[OURS], speeds[rival]) for rival in ways if rival != OURS},
    }


def draw(workload: Workload, source: Path, units: float, *options: object) -> Competitor:
    """Draw a folder of recordings into a new folder."""
    image_dir = workload.output("ours")
    command = script("data_maker.py", "--audio_dir", source, "--image_dir", image_dir, *options)
    return Competitor(OURS, units, command, output=image_dir)


def draw_again(workload: Workload, source: Path) -> Competitor:
    """Draw a folder of recordings that are drawn already."""
    image_dir, result = workload.drawn(source)
    command = script("data_maker.py", "--audio_dir", source, "--image_dir", image_dir, "--no-keep_wav")
    return Competitor(OURS, sum(result.recordings.values()), command)


def compute_bottlenecks(
    workload: Workload, source: Path, architecture: str, bottleneck: str | None, *, name: str = OURS
) -> Competitor:
    """Compute the bottlenecks of a folder of pictures into a new cache."""
    cache = workload.output("bottlenecks")
    network = _network(workload, architecture, bottleneck)
    command = job(pipeline_steps.write_bottlenecks, image_dir=source, bottleneck_dir=cache, **network)
    return Competitor(name, workload.count(source), command, has_clock=True, output=cache)


def read_bottlenecks(workload: Workload, count: int) -> Competitor:
    """Read the bottlenecks of some pictures from the cache."""
    pictures, cache = workload.cached(count)
    command = job(pipeline_steps.read_bottlenecks, image_dir=pictures, bottleneck_dir=cache, dimension=DIMENSION)
    return Competitor(OURS, count, command, has_clock=True)


def train(workload: Workload, count: int, trainer: str) -> Competitor:
    """Train a head on the cached bottlenecks of some pictures, counted in steps."""
    pictures, cache = workload.cached(count)
    steps = workload.sizes.training_steps
    command = job(
        pipeline_steps.train,
        image_dir=pictures,
        bottleneck_dir=cache,
        dimension=DIMENSION,
        trainer=trainer,
        steps=steps,
        batch_size=BATCH_SIZE,
    )
    return Competitor(OURS, steps, command, has_clock=True)


def label(workload: Workload, source: Path, units: float) -> Competitor:
    """Label a file or a folder."""
    model = workload.classifier("auto", "lda") / "retrained_model"
    return Competitor(OURS, units, script("label_image.py", "--model", model, source))


def _network(workload: Workload, architecture: str, bottleneck: str | None) -> dict[str, Any]:
    """Return which network is read, where and at which size: by default as for sound, else as in the classic way."""
    row = find_architecture(architecture)
    return {
        "architecture": architecture,
        "bottleneck": bottleneck or row.default_bottleneck,
        "image_size": row.sound_size if bottleneck is None else row.image_size,
        "engine": workload.engine,
    }


def _rival_draw(workload: Workload, name: str, source: Path, units: float, chunk_seconds: float) -> Competitor:
    image_dir = workload.output(name)
    arguments = {"audio_dir": source, "image_dir": image_dir, "chunk_seconds": chunk_seconds}
    return Competitor(name, units, job(DRAWERS[name], **arguments), output=image_dir)


def _classic_draw_short(workload: Workload) -> Competitor:
    few = workload.part(workload.short_recordings, workload.sizes.classic_pictures)
    return _rival_draw(workload, CLASSIC, few, workload.count(few), 1)


def _classic_label(workload: Workload, picture: Path) -> Competitor:
    command = job(tutorial_pipeline.label_picture, picture=picture, **workload.classic_classifier)
    return Competitor(CLASSIC, 1, command)
