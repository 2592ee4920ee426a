import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import FakeBackbone

from audionet.data.dataset import read_dataset
from audionet.features.recipes import find_recipe
from audionet.tables import markdown, print_tables
from audionet.training.settings import HeadSettings, HoldoutSettings
from benchmarks.accuracy import accuracy_tables, benchmark
from benchmarks.accuracy.baselines import SPEAKER_ENCODER, Cepstra
from benchmarks.accuracy.feature_extractors import PictureFeatureExtractor, SoundFeatureExtractor
from benchmarks.accuracy.systems import NetworkSystem, RegressionSystem
from benchmarks.accuracy.test_conditions import (
    SUMMED_CONDITIONS,
)
from benchmarks.recording_holdout import split_by_name

RECIPE = find_recipe("default")
HOLDOUT = HoldoutSettings(views=2)


@pytest.fixture(scope="module")
def dataset(drawn):
    return read_dataset(drawn, drawn.parent / "bench.sqlite")


@pytest.fixture(scope="module")
def result(dataset, tmp_path_factory):
    """A benchmark of a small network and of cepstra."""
    with ThreadPoolExecutor(2) as pool:
        folder = tmp_path_factory.mktemp("bench")
        network = PictureFeatureExtractor(FakeBackbone(), folder, pool)
        cepstra = SoundFeatureExtractor(Cepstra(RECIPE), folder, pool)
        systems = [
            NetworkSystem("rows", network, 2, lambda **_: FakeBackbone(), ["rows"], HeadSettings("lda")),
            RegressionSystem(SPEAKER_ENCODER, cepstra, views=1, standardised=True),
        ]
        yield benchmark.measure(systems, [split_by_name(dataset, "^4")], holdout=HOLDOUT)


def test_every_system_is_scored_under_every_condition_on_all_that_is_held_out(result):
    assert (result["recordings"], result["chunks"]) == (3, 6)
    for system in result["systems"]:
        assert list(system["conditions"]) == result["conditions"]
        assert all(scores["chunk"]["n"] == 6 for scores in system["conditions"].values())


def test_voices_that_differ_are_classified_rightly_when_clean(result):
    assert [system["conditions"]["clean"]["recording"]["accuracy"] for system in result["systems"]] == [1, 1]


def test_errors_add_up_over_the_summed_conditions(result):
    for system in result["systems"]:
        wrong = sum(1 - system["conditions"][name]["chunk"]["accuracy"] for name in SUMMED_CONDITIONS)
        assert system["errors"] == pytest.approx(wrong)


def test_the_speaker_encoder_is_never_behind_itself(result):
    assert result["systems"][1]["behind"] == []


def test_the_choice_and_the_time_of_every_system_are_there(result):
    for system in result["systems"]:
        assert [choice["trainer"] for choice in system["choices"].values()] in (["lda"], ["regression"])
        names = ("training_seconds", "chunks_per_second", "single_chunks_per_second")
        assert all(system[name] > 0 for name in names)


def test_tables_name_every_system_and_every_condition(result, capsys):
    tables, introduction = accuracy_tables.tables(result), accuracy_tables.introduction(result)
    document = markdown(tables, introduction)
    print_tables(tables, introduction)
    screen = capsys.readouterr().out
    for name in [*result["conditions"], "rows", SPEAKER_ENCODER]:
        assert name in document and name in screen
    widths = {line.count("|") for line in document.splitlines() if line.startswith("| clean")}
    assert widths == {4}


def test_the_script_writes_tables_and_tells_what_it_left_out(speakers, tmp_path, monkeypatch, capsys):
    import bench

    def fake_systems(architectures, options, pool):
        cepstra = SoundFeatureExtractor(Cepstra(RECIPE), options.bottleneck_dir, pool)
        return [RegressionSystem(SPEAKER_ENCODER, cepstra, views=0, standardised=True)]

    monkeypatch.setattr(benchmark, "systems_of", fake_systems)
    audio_dir = shutil.copytree(speakers, tmp_path / "voices")
    (audio_dir / "bob" / "broken.mp3").write_bytes(b"no sound")
    arguments = ["accuracy", "--audio_dir", audio_dir, "--test", "^4", "--output_dir", tmp_path / "out"]
    status = bench.main([str(argument) for argument in arguments])
    assert status == 1 and "broken.mp3" in capsys.readouterr().err
    assert {"accuracy.json", "accuracy.md"} <= {path.name for path in (tmp_path / "out" / "voices").iterdir()}
