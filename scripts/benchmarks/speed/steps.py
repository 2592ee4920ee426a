"""The steps that speed is measured at: how each is done by us, in the classic way and by bare libraries alone.

Every contestant is a command in a process of its own. The classic way is given less to do, one picture at a time, so
that what it takes grows in proportion; where there are few, what it takes to start weighs on it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from audionet.files import walk_files
from audionet.models.backbones.architectures import find_architecture
from benchmarks.speed import library_pipeline, pipeline_steps, tutorial_pipeline
from benchmarks.speed.timing import Contestant, Step, job, ratios, script, spread, take_turns
from benchmarks.speed.workload import DIMENSION, Workshop, emptied

OURS, CLASSIC, BARE, COLD, NETWORK = "ours", "classic", "bare libraries", "cold", "the network alone"
BATCH_SIZE = 100  # of training, in the tutorial and by our default
CLASSIC_RATE = 0.01  # of gradient descent, likewise
CLASSIC_CLIP_SECONDS = 6.0

Bench = Callable[[Workshop], Step]


def draw_long(workshop: Workshop, chunk_seconds: float, recipe: str) -> Step:
    """Draw long recordings, counted in seconds of sound."""
    source = workshop.long_recordings
    seconds = workshop.seconds_of(source)
    wanted = workshop.sizes.classic_pictures * chunk_seconds
    if workshop.audio_dir:
        clip, clip_seconds = workshop.shortest(source, wanted)
    else:
        clip, clip_seconds = workshop.recordings("clip", 1, seconds=wanted, suffix=".mp3"), wanted
    ours_dir, classic_dir, bare_dir = (workshop.output(name) for name in ("ours", "classic", "bare"))
    draw = job(tutorial_pipeline.draw_recordings, audio_dir=clip, image_dir=classic_dir, chunk_seconds=chunk_seconds)
    draw_bare = job(library_pipeline.draw_recordings, audio_dir=source, image_dir=bare_dir, chunk_seconds=chunk_seconds)
    return Step(
        "seconds of sound",
        (
            drawing(source, ours_dir, seconds, "--recipe", recipe),
            Contestant(CLASSIC, clip_seconds, draw, prepare=partial(emptied, classic_dir)),
            Contestant(BARE, seconds, draw_bare, prepare=partial(emptied, bare_dir)),
        ),
    )


def drawing(source: Path, image_dir: Path, units: float, *options: object) -> Contestant:
    """Draw a folder of recordings in our way, into a new folder."""
    command = script("data_maker.py", "--audio_dir", source, "--image_dir", image_dir, *options)
    return Contestant(OURS, units, command, prepare=partial(emptied, image_dir))


def draw_short(workshop: Workshop) -> Step:
    """Draw wavs of one second, counted in recordings."""
    source, count = workshop.short_recordings, workshop.sizes.short_recordings
    bare_dir = workshop.output("bare")
    draw = job(library_pipeline.draw_recordings, audio_dir=source, image_dir=bare_dir, chunk_seconds=2)
    return Step(
        "recordings",
        (
            drawing(source, workshop.output("ours"), count),
            _classic_short(workshop),
            Contestant(BARE, count, draw, prepare=partial(emptied, bare_dir)),
        ),
    )


def draw_nothing(workshop: Workshop) -> Step:
    """Draw wavs of one second again, where nothing has changed; the classic way draws them all again."""
    image_dir = workshop.drawn(workshop.short_recordings)[0]
    command = script(
        "data_maker.py", "--audio_dir", workshop.short_recordings, "--image_dir", image_dir, "--no-keep_wav"
    )
    count = workshop.sizes.short_recordings
    return Step("recordings", (Contestant(OURS, count, command), _classic_short(workshop)))


def bottlenecks(workshop: Workshop, architecture: str, bottleneck: str | None) -> Step:
    """Compute bottlenecks, counted in pictures; the classic way always reads the classic layer."""
    source = workshop.part(workshop.pictures, workshop.sizes.pictures)
    few = workshop.part(source, workshop.sizes.classic_pictures)
    texts = workshop.output("texts")
    classic_way = job(
        tutorial_pipeline.write_bottlenecks,
        image_dir=few,
        graph=workshop.graph(architecture),
        bottleneck_dir=texts,
        side=find_architecture(architecture).image_size,
    )
    few_count = workshop.count(few)
    ours_way = cold(workshop, source, architecture, bottleneck, name=OURS)
    alone = job(pipeline_steps.run_network, image_dir=source, **_network(workshop, architecture, bottleneck))
    return Step(
        "pictures",
        (
            ours_way,
            Contestant(CLASSIC, few_count, classic_way, has_clock=True, prepare=partial(emptied, texts)),
            Contestant(NETWORK, ours_way.units, alone, has_clock=True),
        ),
    )


def cold(workshop: Workshop, source: Path, architecture: str, bottleneck: str | None, *, name: str) -> Contestant:
    """Compute the bottlenecks of a folder of pictures into a new cache."""
    cache = workshop.output("bottlenecks")
    network = _network(workshop, architecture, bottleneck)
    command = job(pipeline_steps.write_bottlenecks, image_dir=source, bottleneck_dir=cache, **network)
    return Contestant(name, workshop.count(source), command, has_clock=True, prepare=partial(emptied, cache))


def warm_cache(workshop: Workshop) -> Step:
    """List pictures that are known and read their bottlenecks, counted in pictures; beside it computing them."""
    count = workshop.sizes.cached_pictures
    source = workshop.part(workshop.pictures, workshop.sizes.pictures)
    read = job(library_pipeline.read_vectors, bottleneck_dir=workshop.cached(count)[1])
    return Step(
        "pictures",
        (
            warm(workshop, count),
            Contestant(BARE, count, read, has_clock=True),
            cold(workshop, source, "efficientnet_lite0", None, name=COLD),
        ),
    )


def warm(workshop: Workshop, count: int) -> Contestant:
    """Read the bottlenecks of some pictures from the cache."""
    pictures, cache = workshop.cached(count)
    command = job(pipeline_steps.read_bottlenecks, image_dir=pictures, bottleneck_dir=cache, dimension=DIMENSION)
    return Contestant(OURS, count, command, has_clock=True)


def train(workshop: Workshop) -> Step:
    """Train a softmax layer on cached bottlenecks, counted in steps."""
    steps = workshop.sizes.training_steps
    command = job(
        tutorial_pipeline.train,
        bottleneck_dir=workshop.texts,
        head=workshop.output("head.json"),
        steps=steps,
        batch_size=BATCH_SIZE,
        learning_rate=CLASSIC_RATE,
    )
    trained = training(workshop, workshop.sizes.cached_pictures, "softmax")
    return Step("steps", (trained, Contestant(CLASSIC, steps, command, has_clock=True)))


def training(workshop: Workshop, count: int, trainer: str) -> Contestant:
    """Train a head on the cached bottlenecks of some pictures."""
    pictures, cache = workshop.cached(count)
    steps = workshop.sizes.training_steps
    command = job(
        pipeline_steps.train,
        image_dir=pictures,
        bottleneck_dir=cache,
        dimension=DIMENSION,
        trainer=trainer,
        steps=steps,
        batch_size=BATCH_SIZE,
    )
    return Contestant(OURS, steps, command, has_clock=True)


def label_one(workshop: Workshop) -> Step:
    """Label one picture, from the start of the process to its end."""
    picture = next(path for path in walk_files(workshop.pictures) if path.suffix == ".jpg")
    return Step("pictures", (labelling(workshop, picture, 1), _classic_label(workshop, picture)))


def label_pictures(workshop: Workshop) -> Step:
    """Label a folder of pictures; the classic way starts anew for each."""
    source = workshop.part(workshop.pictures, workshop.sizes.labelled_pictures)
    picture = next(walk_files(source))
    return Step("pictures", (labelling(workshop, source, workshop.count(source)), _classic_label(workshop, picture)))


def label_sound(workshop: Workshop) -> Step:
    """Label recordings, counted in seconds of sound."""
    if workshop.audio_dir:
        source = workshop.long_recordings
        clip, clip_seconds = workshop.shortest(source, CLASSIC_CLIP_SECONDS)
        seconds = workshop.seconds_of(source)
    else:
        seconds, clip_seconds = 60 * workshop.sizes.labelled_minutes, CLASSIC_CLIP_SECONDS
        source, clip = (
            workshop.recordings("hour", 1, seconds=length, suffix=".mp3") for length in (seconds, clip_seconds)
        )
    tutorial = workshop.classifier("classic", "softmax")
    scratch = workshop.output("scratch")
    command = job(
        tutorial_pipeline.label_recordings,
        audio_dir=clip,
        graph=tutorial / "graph.pb",
        labels=tutorial / "labels.txt",
        scratch=scratch,
        chunk_seconds=2,
    )
    classic_way = Contestant(CLASSIC, clip_seconds, command, prepare=partial(emptied, scratch))
    return Step("seconds of sound", (labelling(workshop, source, seconds), classic_way))


def labelling(workshop: Workshop, source: Path, units: float) -> Contestant:
    """Label a file or a folder in our way."""
    model = workshop.classifier("auto", "lda") / "retrained_model"
    return Contestant(OURS, units, script("label_image.py", "--model", model, source))


def ask_for_help(workshop: Workshop) -> Step:
    """Ask every script for help; counted by the slowest."""
    return Step("scripts", (Contestant(OURS, 1, job(pipeline_steps.ask_for_help), has_clock=True),))


BENCHES: Mapping[str, Bench] = {
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
    "train": train,
    "label one picture": label_one,
    "label pictures": label_pictures,
    "label recordings": label_sound,
    "--help of the slowest script": ask_for_help,
}
"""By name, in the order in which a user would do them."""


def measure(name: str, step: Step, *, rounds: int) -> dict[str, Any]:
    """Measure a step, its contestants in turn.

    Returns:
        dict: `name`, `unit`; `ways`, by contestant: its `units`, and `seconds` and `speed`, in units a second, as
        `spread` gives them; and `ratios`, by rival: how many times as fast ours is, round by round, as `spread` too.
    """
    timings = take_turns(step.contestants, rounds=rounds)
    speeds = {each.name: [each.units / timing.seconds for timing in timings[each.name]] for each in step.contestants}
    ways = {
        each.name: {
            "units": each.units,
            "seconds": spread([timing.seconds for timing in timings[each.name]]),
            "speed": spread(speeds[each.name]),
        }
        for each in step.contestants
    }
    rivals = [each.name for each in step.contestants if each.name != OURS]
    return {
        "name": name,
        "unit": step.unit,
        "ways": ways,
        "ratios": {rival: ratios(speeds[OURS], speeds[rival]) for rival in rivals},
    }


def _network(workshop: Workshop, architecture: str, bottleneck: str | None) -> dict[str, Any]:
    """Return which network is read, where and at which size: by default as for sound, else as in the classic way."""
    row = find_architecture(architecture)
    return {
        "architecture": architecture,
        "bottleneck": bottleneck or row.default_bottleneck,
        "image_size": row.sound_size if bottleneck is None else row.image_size,
        "engine": workshop.engine,
    }


def _classic_short(workshop: Workshop) -> Contestant:
    few = workshop.part(workshop.short_recordings, workshop.sizes.classic_pictures)
    output = workshop.output("classic")
    command = job(tutorial_pipeline.draw_recordings, audio_dir=few, image_dir=output, chunk_seconds=1)
    return Contestant(CLASSIC, workshop.count(few), command, prepare=partial(emptied, output))


def _classic_label(workshop: Workshop, picture: Path) -> Contestant:
    tutorial = workshop.classifier("classic", "softmax")
    arguments = {"picture": picture, "graph": tutorial / "graph.pb", "labels": tutorial / "labels.txt"}
    return Contestant(CLASSIC, 1, job(tutorial_pipeline.label_picture, **arguments))
