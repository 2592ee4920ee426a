import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import FakeBackbone

from audionet.data.dataset import read_dataset
from audionet.features.recipes import find_recipe
from audionet.tables import markdown, print_tables
from audionet.training.settings import HeadSettings, HoldoutSettings
from audionet.training.trainer import CandidateMember
from audionet.training.training_data import MemberNetwork
from benchmarks.accuracy import accuracy_tables, benchmark
from benchmarks.accuracy.baselines import SPEAKER_ENCODER, Cepstra, baseline_network
from benchmarks.accuracy.feature_extractors import FeatureExtractor
from benchmarks.accuracy.systems import NetworkSystem, RegressionSystem, networks_of
from benchmarks.accuracy.test_conditions import SUMMED_CONDITIONS
from benchmarks.recording_holdout import split_by_name

RECIPE = find_recipe("default")
HOLDOUT = HoldoutSettings(views=2)


@pytest.fixture(scope="module")
def dataset(drawn):
    return read_dataset(drawn, drawn.parent / "bench.sqlite")


def cepstra(recipe):
    """Stands for any network that listens."""
    return baseline_network(Cepstra(recipe), recipe)


@pytest.fixture(scope="module")
def members():
    """A small network that looks at pictures, and one that listens."""
    networks = (MemberNetwork.of("looker", FakeBackbone(), RECIPE, ("rows",)), cepstra(RECIPE))
    return [CandidateMember(network, lambda bottleneck, network=network: network.backbone) for network in networks]


@pytest.fixture(scope="module")
def result(dataset, members, tmp_path_factory):
    """A benchmark of a small network, of cepstra, and of both together."""
    head = HeadSettings("lda")
    systems = [
        NetworkSystem.of("both", members, views=2, settings=head),
        NetworkSystem.of("looker", members[:1], views=2, settings=head),
        RegressionSystem(SPEAKER_ENCODER, (cepstra(RECIPE),), 1, standardised=True),
    ]
    with ThreadPoolExecutor(2) as pool:
        extractor = FeatureExtractor(networks_of(systems), tmp_path_factory.mktemp("bench"), pool)
        yield benchmark.measure(systems, extractor, [split_by_name(dataset, "^4")], holdout=HOLDOUT)


def test_every_system_is_scored_under_every_condition_on_all_that_is_held_out(result):
    assert (result["recordings"], result["chunks"]) == (3, 6)
    for system in result["systems"]:
        assert list(system["conditions"]) == result["conditions"]
        assert all(scores["chunk"]["n"] == 6 for scores in system["conditions"].values())


def test_voices_that_differ_are_classified_rightly_when_clean(result):
    assert [system["conditions"]["clean"]["recording"]["accuracy"] for system in result["systems"]] == [1, 1, 1]


def test_errors_add_up_over_the_summed_conditions(result):
    for system in result["systems"]:
        wrong = sum(1 - system["conditions"][name]["chunk"]["accuracy"] for name in SUMMED_CONDITIONS)
        assert system["errors"] == pytest.approx(wrong)


def test_the_speaker_encoder_is_never_behind_itself(result):
    assert result["systems"][2]["behind"] == {SPEAKER_ENCODER: []}


def test_the_choice_the_time_and_the_size_of_every_system_are_there(result):
    for system in result["systems"]:
        (choice,) = system["choices"].values()
        assert {member["trainer"] for member in choice["members"]} in ({"lda"}, {"regression"})
        names = ("training_seconds", "views_per_second", "chunks_per_second", "single_chunks_per_second", "megabytes")
        assert all(system[name] > 0 for name in names)


def test_what_each_network_is_worth_is_there_for_systems_of_several(result):
    both, *others = (next(iter(system["choices"].values()))["worth"] for system in result["systems"])
    assert [one["name"] for one in both] == ["looker", "mfcc"]
    assert others == [[], []]


def test_tables_name_every_system_every_condition_and_every_network(result, capsys):
    tables, introduction = accuracy_tables.tables(result), accuracy_tables.introduction(result)
    document = markdown(tables, introduction)
    print_tables(tables, introduction)
    screen = capsys.readouterr().out
    for name in [*result["conditions"], "both", "looker", "mfcc", SPEAKER_ENCODER]:
        assert name in document and name in screen
    widths = {line.count("|") for line in document.splitlines() if line.startswith("| clean")}
    assert widths == {5}


def test_the_script_writes_tables_and_tells_what_it_left_out(speakers, tmp_path, monkeypatch, capsys):
    import bench

    def fake_systems(options, dataset):
        return [RegressionSystem(SPEAKER_ENCODER, (cepstra(dataset.recipe),), 0, standardised=True)]

    monkeypatch.setattr(benchmark, "systems_of", fake_systems)
    audio_dir = shutil.copytree(speakers, tmp_path / "voices")
    (audio_dir / "bob" / "broken.mp3").write_bytes(b"no sound")
    arguments = ["accuracy", "--audio_dir", audio_dir, "--test", "^4", "--output_dir", tmp_path / "out"]
    arguments += ["--chunk_seconds", 1]
    status = bench.main([str(argument) for argument in arguments])
    assert status == 1 and "broken.mp3" in capsys.readouterr().err
    assert {"accuracy.json", "accuracy.md"} <= {path.name for path in (tmp_path / "out" / "voices_1s").iterdir()}
