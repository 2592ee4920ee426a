import json
import shutil

import pytest
from conftest import run_python

from audionet.tables import markdown
from benchmarks.speed import (
    speed_tables,
    steps,
)
from benchmarks.speed.workload import Sizes, Workload

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


def measured(names, workload):
    found = [steps.measure(name, steps.STEPS[name](workload), rounds=1) for name in names]
    return {"machine": speed_tables.machine(), "rounds": 1, "steps": found, "growth": []}


@ffmpeg
@pytest.mark.slow
def test_labelling_is_measured_both_ways(saved, tmp_path, monkeypatch):
    workload = Workload(tmp_path, Sizes(**TINY_SIZES))
    monkeypatch.setattr(Workload, "classifier", lambda *_: saved)
    result = measured(["label pictures", "label recordings"], workload)
    assert all(step["ways"].keys() == {"ours", "classic"} for step in result["steps"])
    assert "| label recordings | seconds of sound |" in markdown(
        speed_tables.tables(result), speed_tables.introduction(result)
    )


@ffmpeg
@pytest.mark.slow
def test_the_script_measures_tiny_sizes(tmp_path):
    sizes = [part for name, value in TINY_SIZES.items() for part in (f"--{name}", value)]
    common = ("--rounds", 1, "--output_dir", tmp_path, *sizes)
    done = run_python("scripts/bench.py", "speed", *common, "--steps", "wavs|warm")
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
        *("scripts/bench.py", "speed", "--audio_dir", audio_dir, "--output_dir", tmp_path / "out", "--rounds", 1),
        *("--classic_pictures", 4, "--no-growth", "--steps", "long"),
    )
    assert done.returncode == 0, done.stderr
    assert "broken.mp3" in done.stderr
    (first, _) = json.loads((tmp_path / "out" / "speed.json").read_text())["steps"]
    assert first["ways"]["ours"]["units"] == 8


def test_a_pattern_that_matches_no_step_is_refused(tmp_path, capsys):
    import bench

    assert bench.main(["speed", "--steps", "nothing of the kind", "--output_dir", str(tmp_path)]) == 2
    assert "matches none of" in capsys.readouterr().err
