import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import noise, run_audionet, voice, write_sound

from audionet.inference.vectors.clip_index import ClipIndex
from audionet.inference.vectors.refreshing import refresh
from audionet.inference.vectors.similar_clips import ClipSearch
from audionet.inference.vectors.vector_source import trained_source
from audionet.models.embedder import Embedder


@pytest.fixture
def source(trained):
    return trained_source(trained.classifier)


@pytest.fixture
def computed(monkeypatch):
    """The files whose vectors are computed."""
    found: list[Path] = []
    embed = Embedder.embed
    monkeypatch.setattr(Embedder, "embed", lambda self, path: found.append(path) or embed(self, path))
    return found


def similar_files(source, clip, among, folder):
    found = refresh(folder, source, among, option="--index", jobs=1)
    return ClipSearch.of(found.index, source, clip, rows=found.rows).similar_files(20, paths=found.paths)


def test_what_sounds_most_alike_comes_first(model, hisses, speakers, tmp_path, capsys):
    options = ("--model", model, "--top_k", 2, "--cache_dir", tmp_path)
    arguments = [hisses[0], "--among", hisses[1], speakers / "bob", *options]
    assert importlib.import_module("similar").main(list(map(str, arguments))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].endswith("1.wav")


def test_a_file_is_computed_once_until_it_changes(source, computed, hisses, speakers, tmp_path):
    among = [Path(shutil.copy(hisses[1], tmp_path / "hiss.wav")), *sorted((speakers / "bob").iterdir())]
    first = similar_files(source, hisses[0], among, tmp_path / "index")
    assert computed == [*among, hisses[0]]
    computed.clear()
    again = similar_files(source, hisses[0], among, tmp_path / "index")
    assert computed == [hisses[0]] and again == first
    write_sound(among[0], voice("alice", seed=5, seconds=4.0))
    computed.clear()
    changed = similar_files(source, hisses[0], among, tmp_path / "index")
    assert computed == [among[0], hisses[0]]
    assert first[0].path == changed[-1].path == among[0] or changed[0].probability < first[0].probability
    assert len(changed) == len(among)


def test_files_that_are_gone_are_found_no_more(source, hisses, tmp_path):
    similar_files(source, hisses[0], hisses, tmp_path / "index")
    hisses[1].unlink()
    found = similar_files(source, hisses[0], [hisses[0], hisses[2]], tmp_path / "index")
    assert [one.path for one in found] == [hisses[2]]
    index = ClipIndex.open(tmp_path / "index", source)
    assert sorted(index.rows_by_path()) == [str(hisses[0]), str(hisses[2])]


def test_the_probability_is_that_of_verifying(source, trained, hisses, speakers, tmp_path):
    among = [hisses[1], speakers / "bob" / "0.mp3"]
    space = trained.classifier.comparison_space()
    asked = space.mean_place(trained.classifier.chunk_bottlenecks(hisses[0])[1])
    for one in similar_files(source, hisses[0], among, tmp_path / "index"):
        expected = space.probability(asked, space.mean_place(trained.classifier.chunk_bottlenecks(one.path)[1]))
        assert one.probability == pytest.approx(expected, abs=1e-2)


def test_the_clip_itself_is_passed_over_by_any_name(source, hisses, tmp_path):
    (tmp_path / "link.wav").hardlink_to(hisses[0])
    found = similar_files(source, hisses[0], [*hisses, tmp_path / "link.wav"], tmp_path / "index")
    assert {one.path for one in found} == set(hisses[1:])


def test_places_are_found_within_files(source, tmp_path):
    turns = [voice("alice", seed=1, seconds=8.0), noise(6.0, seed=2), voice("alice", seed=3, seconds=8.0)]
    mixed = write_sound(tmp_path / "mixed.wav", np.concatenate(turns))
    clip = write_sound(tmp_path / "hiss.wav", noise(6.0, seed=9))
    found = refresh(tmp_path / "index", source, [mixed], option="--index")
    places = ClipSearch.of(found.index, source, clip).similar_places(3)
    assert places[0].path == mixed and (places[0].start_seconds, places[0].end_seconds) == (8.0, 14.0)
    assert [one.probability for one in places] == sorted((one.probability for one in places), reverse=True)
    assert all(one.start_seconds >= 14 or one.end_seconds <= 8 for one in places[1:])


def test_an_index_is_searched_as_it_is_where_no_files_are_named(model, hisses, tmp_path, capsys):
    options = (hisses[0], "--model", model, "--index", tmp_path / "index", "--cache_dir", tmp_path)
    assert run_audionet("similar", *options) == 2
    assert "holds no index. Name the folders to search by --among" in capsys.readouterr().err
    assert run_audionet("similar", *options, "--among", *hisses[:2]) == 0
    first = capsys.readouterr().out
    hisses[1].rename(tmp_path / "moved.wav")
    assert run_audionet("similar", *options, "--places") == 0
    assert run_audionet("similar", *options) == 0
    places, files = capsys.readouterr().out.splitlines()[:-1], capsys.readouterr().out
    assert first.endswith("1.wav\n") and "0:00.0-0:06.0" in places[0] and files == ""


def test_vectors_of_another_kind_are_refused_with_what_they_are(model, hisses, tmp_path, capsys):
    options = ("--model", model, "--index", tmp_path / "index", "--cache_dir", tmp_path)
    assert run_audionet("embed", hisses[1], *options, "--bottlenecks", "--output", tmp_path / "v.npy") == 0
    for among in ((), ("--among", hisses[1])):
        assert run_audionet("similar", hisses[0], *options, *among) == 2
        message = capsys.readouterr().err
        assert "--index: " in message and "another network or another training (fake at rows, as the" in message


def test_files_that_cannot_be_read_are_named_and_the_rest_go_on(source, hisses, tmp_path, capsys):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    found = refresh(tmp_path / "index", source, [broken, *hisses, hisses[0], tmp_path / "no.wav"], option="--index")
    assert found.failed == 2 and [found.paths[int(row)] for row in found.rows] == hisses
    message = capsys.readouterr().err
    assert "Set aside: " in message and "broken.wav" in message and "no.wav cannot be read" in message
