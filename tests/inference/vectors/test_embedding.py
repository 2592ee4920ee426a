import csv
import sys

import numpy as np
import pytest
from conftest import FakeBackbone, noise, run_audionet, write_sound

from audionet.commands import similar
from audionet.features.recipes import find_recipe
from audionet.inference.vectors import vector_source
from audionet.inference.vectors.refreshing import refresh
from audionet.inference.vectors.vector_files import write_vectors
from audionet.inference.vectors.vector_source import untrained_source
from audionet.models.backbones.settings import BackboneSettings
from audionet.models.background import SHIPPED, NetworkKey, read_background, write_background
from audionet.models.bottleneck_cache import Rows
from audionet.training.fitting.background_fitting import fit_background
from audionet.training.fitting.similarity_fitting import space_of_backgrounds


@pytest.fixture
def untrained(monkeypatch):
    """Vectors of a network that nobody trained."""
    monkeypatch.setattr(vector_source, "loader_of", lambda *_, **__: lambda bottleneck: FakeBackbone())
    return untrained_source(BackboneSettings(), find_recipe("default"))


def table_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_vectors_of_chunks_have_their_places_beside_them(untrained, hisses, tmp_path):
    found = refresh(tmp_path / "index", untrained, hisses[::-1], option="--index")
    assert write_vectors(tmp_path / "v.npy", found, by="chunk") == 9
    vectors, rows = np.load(tmp_path / "v.npy"), table_of(tmp_path / "v.csv")
    assert vectors.dtype == np.float32 and vectors.shape == (9, 96)
    assert [row["file"] for row in rows] == [str(path) for path in hisses[::-1] for _ in range(3)]
    assert [(row["start_seconds"], row["end_seconds"]) for row in rows[:3]] == [("0", "2"), ("2", "4"), ("4", "6")]
    expected = untrained.embedder.chunk_bottlenecks(hisses[2])[1]
    assert np.array_equal(vectors[:3], expected.astype(np.float32))


def test_vectors_of_recordings_are_the_same_in_every_format(untrained, hisses, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    found = refresh(tmp_path / "index", untrained, hisses, option="--index")
    for suffix in ("npy", "csv", "parquet"):
        assert write_vectors(tmp_path / suffix / f"v.{suffix}", found, by="recording") == 3
    vectors, rows = np.load(tmp_path / "npy" / "v.npy"), table_of(tmp_path / "csv" / "v.csv")
    table = parquet.read_table(tmp_path / "parquet" / "v.parquet").to_pydict()
    assert np.allclose([[float(row[f"v{column}"]) for column in range(96)] for row in rows], vectors, rtol=1e-5)
    assert np.array_equal(np.array(table["vector"], np.float32), vectors)
    assert table["file"] == [row["file"] for row in rows] == [str(path) for path in hisses]
    assert table["end_seconds"] == [6.0] * 3


def test_a_run_that_was_stopped_goes_on_where_it_was(untrained, hisses, tmp_path, monkeypatch):
    embedded = []
    embed = type(untrained.embedder).embed

    def stopped(self, path):
        embedded.append(path)
        if len(embedded) == 3:
            raise KeyboardInterrupt
        return embed(self, path)

    monkeypatch.setattr("audionet.inference.vectors.refreshing.CHUNKS_AT_ONCE", 1)
    monkeypatch.setattr(type(untrained.embedder), "embed", stopped)
    with pytest.raises(KeyboardInterrupt):
        refresh(tmp_path / "index", untrained, hisses, option="--index", jobs=1)
    found = refresh(tmp_path / "index", untrained, hisses, option="--index", jobs=1)
    assert embedded == [*hisses, hisses[2]]
    assert [found.paths[int(row)] for row in found.rows] == hisses


def test_a_classifier_gives_places_or_bottlenecks(model, trained, hisses, tmp_path, capsys):
    options = (*hisses, "--model", model, "--cache_dir", tmp_path / "cache", "--output")
    assert run_audionet("embed", *options, tmp_path / "places.npy") == 0
    assert "9 vectors of 96 numbers, of 3 files (fake at rows, in a comparison space)." in capsys.readouterr().out
    assert run_audionet("embed", *options, tmp_path / "raw.npy", "--bottlenecks") == 0
    raw, places = np.load(tmp_path / "raw.npy"), np.load(tmp_path / "places.npy")
    assert np.allclose(trained.classifier.comparison_space().places(raw), places, atol=1e-3)
    assert np.allclose(np.linalg.norm(places, axis=1), 1, atol=1e-3)


def test_a_recording_shorter_than_a_chunk_ends_where_its_sound_does(untrained, tmp_path):
    clip = write_sound(tmp_path / "short.wav", noise(0.5))
    write_vectors(tmp_path / "v.csv", refresh(tmp_path / "index", untrained, [clip], option="--index"), by="chunk")
    (row,) = table_of(tmp_path / "v.csv")
    assert (row["start_seconds"], row["end_seconds"]) == ("0", "0.5")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "v.npy"], "Expected a recording"),
        (["a.wav", "--output", "v.txt"], "expected a name that ends in .npy, .csv, .parquet"),
        (["a.wav", "--output", "v.npy", "--bottlenecks"], "--bottlenecks goes with --model"),
        (["a.wav", "--output", "v.npy", "--model", "m", "--architecture", "inception_v3"], "has its own networks"),
        (["a.wav", "--output", "v.npy", "--recipe", "none"], "none"),
        (["no.wav", "--output", "v.npy"], "no.wav: expected a recording"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_audionet("embed", *arguments) == 2
    assert message in capsys.readouterr().err


def test_parquet_without_its_library_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run_audionet("embed", "a.wav", "--output", tmp_path / "v.parquet") == 2
    assert "Parquet needs pyarrow" in capsys.readouterr().err


def test_vectors_lie_in_the_space_of_a_background_by_one_network_or_two():
    spaces = read_background(SHIPPED)
    rng = np.random.default_rng(0)
    tables = [space.mean + space.scale * rng.normal(size=(5, len(space.mean))).astype(np.float32) for space in spaces]
    for count in (1, 2):
        found = space_of_backgrounds([space.at("+".join(space.slices)) for space in spaces[:count]])
        places = found.places(np.concatenate(tables[:count], axis=1))
        assert np.allclose(np.linalg.norm(places, axis=1), 1, atol=1e-3)
        assert found.is_of_background and found.slope > 0


def test_a_background_of_another_network_is_refused_with_what_it_is_for(untrained, hisses, tmp_path, capsys):
    arguments = (*hisses, "--background", "auto", "--cache_dir", tmp_path, "--output", tmp_path / "v.npy")
    assert run_audionet("embed", *arguments) == 2
    message = capsys.readouterr().err
    assert "--background: expected one for fake" in message and "is for efficientnet_lite0" in message


@pytest.fixture
def own_background(untrained, tmp_path):
    """A file of a background for the network that nobody trained, of labels made by chance."""
    rng = np.random.default_rng(0)
    (network,) = untrained.embedder.networks
    numbers = np.repeat(np.arange(8), 12)
    rows = 5 * rng.normal(size=(8, network.dimension))[numbers] + rng.normal(size=(len(numbers), network.dimension))
    space = fit_background(
        Rows(rows.astype(np.float32)),
        numbers,
        recordings=np.arange(len(numbers)) // 4,
        views=np.zeros(len(numbers), int),
        slices={network.backbone["bottleneck"]: (0, network.dimension)},
        key=NetworkKey.of(network.backbone, network.recipe),
        origin="eight labels",
        licence="CC0",
    )
    write_background(tmp_path / "background.npz", [space])
    return tmp_path / "background.npz"


def test_similar_clips_are_found_without_a_classifier(untrained, own_background, speakers, tmp_path, capsys):
    options = ("--background", own_background, "--cache_dir", tmp_path / "cache")
    assert run_audionet("embed", speakers, *options, "--output", tmp_path / "v.npy") == 0
    kept = {path.name for path in (tmp_path / "cache").iterdir()}
    capsys.readouterr()
    assert run_audionet("similar", speakers / "alice" / "0.mp3", "--among", speakers, *options, "--top_k", 4) == 0
    said = capsys.readouterr()
    assert [line.split("/")[-2] for line in said.out.splitlines()] == ["alice"] * 4
    assert "Compared without a classifier: fake at" in said.err
    assert {path.name for path in (tmp_path / "cache").iterdir()} == kept  # what embed computed is searched


def test_where_there_is_no_classifier_the_background_of_voices_is_taken(monkeypatch, tmp_path, hisses, capsys):
    monkeypatch.setattr(similar, "DEFAULT_MODEL", tmp_path / "none")
    assert run_audionet("similar", hisses[0]) == 2
    assert "name what to look among by --among" in capsys.readouterr().err
    monkeypatch.setattr(vector_source, "loader_of", lambda *_, **__: lambda bottleneck: FakeBackbone())
    assert run_audionet("similar", hisses[0], "--among", *hisses) == 2
    assert "--background: expected one for fake" in capsys.readouterr().err


def test_a_classifier_has_a_space_of_its_own(hisses, tmp_path, capsys):
    options = ("--model", tmp_path, "--background", "auto")
    assert run_audionet("similar", hisses[0], *options) == 2
    assert "--model: a classifier has its own networks" in capsys.readouterr().err
