import json
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import soundfile
from conftest import RATE_HZ, SCRIPTS, names_below, run_python, tiny_graph, tone, voice, write_sound
from hypothesis import given
from hypothesis import strategies as st

from audionet.data.preprocessing import make_pictures
from audionet.errors import AudioNetError
from audionet.features.image_io import encode_jpg, read_picture
from audionet.features.recipes import find_recipe
from audionet.models.bottleneck_cache import BottleneckCache
from audionet.models.graph_classifier import GraphClassifier
from audionet.tables import markdown
from benchmarks.speed import library_pipeline, pipeline_steps, scaling, synthetic_data, tables, tutorial_pipeline
from benchmarks.speed import steps as steps_module
from benchmarks.speed.timing import Contestant, Step, Timing, job, ratios, run_timed, spread, take_turns
from benchmarks.speed.workload import QUICK_SIZES, Workshop

SPEEDS = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=9)
TINY_SIZES = {
    "long_minutes": 0.1,
    "short_recordings": 8,
    "pictures": 4,
    "cached_pictures": 400,
    "training_steps": 3,
    "labelled_pictures": 4,
    "labelled_minutes": 0.1,
    "classic_pictures": 4,
}
ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the classic way decodes mp3 by FFmpeg")


def program(text: str, *arguments: object) -> tuple[str, ...]:
    return (sys.executable, "-c", text, *map(str, arguments))


def said(command: tuple[str, ...]) -> Any:
    """Return what a job prints, which runs in a process of its own, as in a benchmark."""
    return json.loads(subprocess.run(command, capture_output=True, check=True, cwd=SCRIPTS).stdout)


# Timing


@given(SPEEDS, st.floats(0.1, 1000))
def test_who_is_always_so_many_times_as_fast_has_that_ratio(speeds, times):
    found = ratios([times * speed for speed in speeds], speeds)
    assert all(np.isclose(value, times) for value in found.values())


@given(SPEEDS)
def test_the_median_lies_between_the_lowest_and_the_highest(values):
    found = spread(values)
    assert found["low"] <= found["median"] <= found["high"] and {found["low"], found["high"]} <= set(values)


def test_ratios_are_taken_round_by_round():
    # Ours was slow when theirs was: on a machine that was busy for a while, the ratio stands.
    assert ratios([10, 1, 10], [5, 0.5, 5]) == {"median": 2, "low": 2, "high": 2}


def test_contestants_take_turns(tmp_path):
    log = tmp_path / "log"
    write = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"
    contestants = [Contestant(name, 1, program(write, log, name)) for name in ("a", "b")]
    timings = take_turns(contestants, rounds=3)
    assert log.read_text() == "ababab"
    assert all(len(of_one) == 3 and min(timing.seconds for timing in of_one) > 0 for of_one in timings.values())


def test_a_job_tells_its_own_time():
    timing = run_timed(Contestant("ours", 1, job(spread, values=[3.5]), has_clock=False))
    assert timing.seconds > 0
    own = run_timed(Contestant("ours", 1, program("print('chatter'); print(0.125)"), has_clock=True))
    assert own.seconds == 0.125


def test_a_contestant_that_fails_is_reported_with_its_last_words():
    with pytest.raises(AudioNetError, match=r"(?s)classic failed with status 1:.*no such thing"):
        run_timed(Contestant("classic", 1, program("raise ValueError('no such thing')")))


def test_the_memory_of_a_process_counts_with_that_of_its_children():
    hold = "import time; held = b'x' * 60_000_000; time.sleep(0.6)"
    parent = f"import subprocess, sys; held = b'x' * 60_000_000; subprocess.run([sys.executable, '-c', {hold!r}])"
    timing = run_timed(Contestant("ours", 1, program(parent)), watch_memory=True)
    assert 120_000_000 < timing.peak_bytes < 240_000_000


def test_memory_that_files_are_mapped_to_does_not_count(tmp_path):
    np.save(tmp_path / "large.npy", np.ones(10_000_000))
    read = "import sys, time, numpy; numpy.load(sys.argv[1], mmap_mode='r').sum(); time.sleep(0.3)"
    timing = run_timed(Contestant("ours", 1, program(read, tmp_path / "large.npy")), watch_memory=True)
    assert 0 < timing.peak_bytes < 80_000_000


def test_a_step_is_measured_in_units_a_second(monkeypatch):
    rounds = {"ours": [Timing(2.0), Timing(4.0), Timing(4.0)], "classic": [Timing(1.0), Timing(1.0), Timing(2.0)]}
    monkeypatch.setattr(steps_module, "take_turns", lambda contestants, **_: rounds)
    step = Step("pictures", (Contestant("ours", 100, ()), Contestant("classic", 5, ())))
    measured = steps_module.measure("draw", step, rounds=3)
    assert measured["ways"]["ours"]["speed"] == {"median": 25, "low": 25, "high": 50}
    assert measured["ratios"] == {"classic": {"median": 10, "low": 5, "high": 10}}


# Growth


@given(st.floats(0, 2), st.floats(1e-3, 1e3))
def test_the_exponent_of_a_power_is_found(power, factor):
    sizes = [10, 100, 1000]
    found = scaling.fitted(sizes, [factor * size**power for size in sizes])
    assert np.allclose(list(found.values()), power)


def test_start_up_weighs_less_on_the_last_tenfold():
    found = scaling.fitted([1, 10, 100], [1 + size for size in (1, 10, 100)])
    assert found["exponent"] < found["last_exponent"] < 1


# What is measured on


def test_recordings_are_made_once_and_are_all_different(tmp_path):
    synthetic_data.make_recordings(tmp_path / "made", count=6, seconds=0.5, suffix=".wav")
    wavs = sorted((tmp_path / "made").rglob("*.wav"))
    times = [path.stat().st_mtime_ns for path in wavs]
    synthetic_data.make_recordings(tmp_path / "made", count=6, seconds=0.5, suffix=".wav")
    assert [path.stat().st_mtime_ns for path in wavs] == times
    assert len({path.read_bytes() for path in wavs}) == 6 and soundfile.info(wavs[0]).duration == 0.5
    synthetic_data.make_recordings(tmp_path / "made", count=2, seconds=0.5, suffix=".wav")
    assert len(list((tmp_path / "made").rglob("*.wav"))) == 2


def test_made_bottlenecks_come_from_the_cache_the_second_time(tmp_path, monkeypatch):
    synthetic_data.make_pictures(tmp_path / "pictures", count=40)
    assert pipeline_steps.read_bottlenecks(str(tmp_path / "pictures"), str(tmp_path / "cache"), 8) > 0
    monkeypatch.setattr(BottleneckCache, "_fill", None)
    assert pipeline_steps.read_bottlenecks(str(tmp_path / "pictures"), str(tmp_path / "cache"), 8) > 0


def test_a_part_has_some_of_every_label(tmp_path):
    workshop = Workshop(tmp_path, sizes=None)
    part = workshop.part(workshop.recordings("short", 16, seconds=0.1, suffix=".wav"), 4)
    assert workshop.count(part) == 4 and {path.name for path in part.iterdir()} == set(synthetic_data.LABELS)


# The classic way and ours agree where they should


def test_both_ways_cut_a_recording_into_the_same_chunks(tmp_path):
    write_sound(tmp_path / "audio" / "alice" / "a.wav", voice("alice", seed=0, seconds=6.0), subtype="PCM_16")
    folders = {"audio_dir": tmp_path / "audio", "image_dir": tmp_path / "classic"}
    assert said(job(tutorial_pipeline.draw_recordings, **folders, chunk_seconds=2)) == 3
    make_pictures(tmp_path / "audio", tmp_path / "ours", recipe=find_recipe("default"))
    names = {name for name in names_below(tmp_path / "ours") if name.startswith("alice")}
    assert names == names_below(tmp_path / "classic")
    for name in (name for name in names if name.endswith(".wav")):
        both = [soundfile.read(tmp_path / way / name, dtype="int16")[0].astype(int) for way in ("classic", "ours")]
        assert np.abs(both[0] - both[1]).max() <= 1


def test_bare_libraries_draw_as_many_pictures_of_the_same_size(tmp_path):
    write_sound(tmp_path / "audio" / "alice" / "a.wav", tone(1000, 6.0))
    assert library_pipeline.draw_recordings(str(tmp_path / "audio"), str(tmp_path / "bare"), 2) == 3
    picture = library_pipeline.draw(tone(1000, 2.0))
    assert picture.shape == (224, 224, 3) and len(names_below(tmp_path / "bare")) == 3
    assert abs(picture[:, :, 0].mean(axis=1).argmax() - (1 - 1000 / (RATE_HZ / 2)) * 223) < 2


@pytest.mark.slow
def test_both_ways_give_the_same_bottlenecks(tmp_path, backbone):
    ramp = np.arange(32, dtype=np.uint8)
    # Smooth, because decoders of jpgs differ in how they round what is rough.
    for number in range(3):
        picture = np.repeat(np.add.outer((number + 1) * ramp, 4 * ramp)[:, :, None], 3, axis=2)
        (tmp_path / "image" / "a").mkdir(parents=True, exist_ok=True)
        (tmp_path / "image" / "a" / f"{number}.jpg").write_bytes(encode_jpg(picture, quality=95))
    (tmp_path / "graph.pb").write_bytes(tiny_graph(32, 32))
    arguments = {"image_dir": tmp_path / "image", "graph": tmp_path / "graph.pb", "bottleneck_dir": tmp_path / "texts"}
    run_timed(Contestant("classic", 3, job(tutorial_pipeline.write_bottlenecks, **arguments, side=32), has_clock=True))
    for number in range(3):
        mine = backbone(read_picture(tmp_path / "image" / "a" / f"{number}.jpg")[None])[0]
        theirs = tutorial_pipeline.read_vector(tmp_path / "texts" / "a" / f"{number}.jpg.txt")
        assert np.allclose(mine, theirs, atol=2)  # of 255: their decoder of jpgs takes short cuts


@pytest.mark.slow
def test_classic_training_learns_what_ours_learns(tmp_path):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2, 8))
    for number, label in enumerate(("a", "b")):
        for index in range(10):
            tutorial_pipeline.write_vector(
                tmp_path / "texts" / label / f"{index}.txt", centres[number] + rng.normal(0, 0.1, 8)
            )
    command = job(
        tutorial_pipeline.train,
        bottleneck_dir=tmp_path / "texts",
        head=tmp_path / "head.json",
        steps=200,
        batch_size=10,
        learning_rate=0.1,
    )
    run_timed(Contestant("classic", 200, command, has_clock=True))
    head = json.loads((tmp_path / "head.json").read_text())
    answers = (centres @ head["weights"] + head["biases"]).argmax(axis=1)
    assert [head["labels"][answer] for answer in answers] == ["a", "b"]


@pytest.mark.slow
def test_both_ways_label_a_picture_alike(saved, drawn):
    picture = drawn / "bob" / "0_00000.jpg"
    command = job(
        tutorial_pipeline.label_picture, picture=picture, graph=saved / "graph.pb", labels=saved / "labels.txt"
    )
    theirs = said(command)
    mine = GraphClassifier.load(saved / "graph.pb", saved / "labels.txt").score(picture)
    assert max(theirs, key=theirs.get) == mine.label and sum(theirs.values()) == pytest.approx(1, abs=1e-4)


# The whole


def outcome(names, workshop):
    steps = [steps_module.measure(name, steps_module.BENCHES[name](workshop), rounds=1) for name in names]
    return {"machine": tables.machine(), "rounds": 1, "steps": steps, "growth": []}


@ffmpeg
@pytest.mark.slow
def test_labelling_is_measured_both_ways(saved, tmp_path, monkeypatch):
    workshop = Workshop(tmp_path, QUICK_SIZES.changed(TINY_SIZES))
    monkeypatch.setattr(Workshop, "classifier", lambda *_: saved)
    result = outcome(["label pictures", "label recordings"], workshop)
    assert all(step["ways"].keys() == {"ours", "classic"} for step in result["steps"])
    assert "| label recordings | seconds of sound |" in markdown(tables.tables(result), tables.introduction(result))


@ffmpeg
@pytest.mark.slow
def test_the_script_measures_tiny_sizes(tmp_path):
    sizes = [part for name, value in TINY_SIZES.items() for part in (f"--{name}", value)]
    common = ("--rounds", 1, "--output_dir", tmp_path, *sizes)
    done = run_python("scripts/bench.py", *common, "--steps", "wavs|warm")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "speed.json").read_text())
    assert len(result["steps"]) == 2 and len(result["growth"]) == 2
    assert (tmp_path / "speed.png").stat().st_size > 10_000
    for row in (*result["steps"], *result["growth"]):
        assert row["name"] in done.stdout and row["name"] in (tmp_path / "speed.md").read_text()


@ffmpeg
@pytest.mark.slow
def test_the_script_takes_recordings_of_the_user(audio_dir, tmp_path):
    (audio_dir / "bob" / "broken.mp3").write_bytes(b"no sound")
    done = run_python(
        *("scripts/bench.py", "--audio_dir", audio_dir, "--output_dir", tmp_path / "out", "--rounds", 1),
        *("--classic_pictures", 4, "--no-growth", "--steps", "long"),
    )
    assert done.returncode == 0, done.stderr
    assert "broken.mp3" in done.stderr
    (first, _) = json.loads((tmp_path / "out" / "speed.json").read_text())["steps"]
    assert first["ways"]["ours"]["units"] == 8


def test_a_pattern_that_matches_no_step_is_refused(tmp_path, capsys):
    import bench

    assert bench.main(["--steps", "nothing of the kind", "--output_dir", str(tmp_path)]) == 2
    assert "matches none of" in capsys.readouterr().err
