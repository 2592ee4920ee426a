import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeBackbone, run_audionet, write_speakers

from audionet.data.dataset import read_dataset
from audionet.data.preprocessing import make_pictures
from audionet.features.recipes import find_recipe
from audionet.models.bottleneck_cache import BottleneckCache


@pytest.fixture
def cache(tmp_path) -> Path:
    """A cache with pictures of two folders of recordings, and the bottlenecks of each by a network of its own."""
    folder = tmp_path / "cache"
    for number, (name, architecture) in enumerate((("one", "first"), ("other", "second")), 1):
        audio_dir = write_speakers(tmp_path / name, recordings=number)
        drawn = folder / "pictures" / name
        make_pictures(audio_dir, drawn, recipe=find_recipe("default"))
        examples = read_dataset(drawn, folder / "pictures.sqlite").examples[-number:]
        network = FakeBackbone()
        network.architecture = architecture
        store = BottleneckCache(folder, network)
        vectors = np.ones((len(examples), network.dimension), np.float16)
        store.store([bytes.fromhex(example.sha256) for example in examples], vectors)
    return folder


def parts(cache: Path, capsys, *arguments: str) -> tuple[int, dict[str, dict]]:
    capsys.readouterr()
    status = run_audionet("cache", f"--bottleneck_dir={cache}", "--json", *arguments)
    found = map(json.loads, capsys.readouterr().out.splitlines())
    return status, {Path(part["path"]).name.partition("-")[0]: part for part in found}


def test_what_the_cache_holds_and_who_needs_it_is_listed(cache, capsys):
    status, found = parts(cache, capsys, "--verify")
    assert status == 0 and set(found) == {"one", "other", "first", "second", "pictures.sqlite"}
    assert all(part["needed_by"] and part["size_bytes"] > 0 and not part["damaged"] for part in found.values())
    assert run_audionet("cache", f"--bottleneck_dir={cache}", "--verify") == 0
    printed = capsys.readouterr().out
    assert "bottlenecks of first" in printed and "Everything is as it was written." in printed


def test_what_is_of_recordings_that_are_gone_is_pruned_and_the_rest_stays(cache, capsys, tmp_path):
    shutil.rmtree(tmp_path / "other")
    _, before = parts(cache, capsys)
    assert [name for name, part in before.items() if not part["needed_by"]] == ["other", "second"]
    assert run_audionet("cache", f"--bottleneck_dir={cache}", "--prune") == 0
    assert "2 parts that nothing needs removed" in capsys.readouterr().out
    _, after = parts(cache, capsys)
    assert set(after) == {"one", "first", "pictures.sqlite"}
    assert after["first"]["size_bytes"] == before["first"]["size_bytes"]


def test_what_is_damaged_is_named_and_removed_when_pruned(cache, capsys):
    (shard,) = next(cache.glob("first-*")).glob("*.npy")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert parts(cache, capsys)[0] == 0  # it takes reading all to see
    status, found = parts(cache, capsys, "--verify")
    assert status == 1 and found["first"]["damaged"] == [str(shard)]
    assert run_audionet("cache", f"--bottleneck_dir={cache}", "--prune") == 0
    assert not shard.exists()


def test_without_knowledge_of_pictures_no_bottleneck_is_pruned(cache, capsys):
    (cache / "pictures.sqlite").unlink()
    assert run_audionet("cache", f"--bottleneck_dir={cache}", "--prune") == 0
    assert set(parts(cache, capsys)[1]) == {"one", "other", "first", "second"}


def test_a_folder_that_is_no_cache_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert run_audionet("cache", f"--bottleneck_dir={tmp_path / 'mine'}", "--prune") == 2
    assert "expected a folder that audionet train keeps its cache in" in capsys.readouterr().err
    assert (tmp_path / "mine" / "letter.txt").exists()
