import base64
import io
import os
import pickle
import struct
import sys
import tarfile
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audionet.errors import WeightsError
from audionet.models.backbones.checkpoints import read_tfjs, read_torch


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
    with pytest.raises(WeightsError, match=r"model\.pth.*only tensors are admitted, and it asks for .*mkdir"):
        read_torch(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["builtins.eval", "torch.load", "numpy.load", "collections.namedtuple"])
def test_nothing_but_tensors_is_admitted(tmp_path, name):
    module, _, function = name.partition(".")
    (tmp_path / "model.pth").write_bytes(b"\x80\x02c" + f"{module}\n{function}\n".encode() + b".")
    with pytest.raises(WeightsError, match=f"only tensors are admitted, and it asks for {name}"):
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


def test_a_torch_file_of_a_few_bytes_cannot_fill_the_memory(tmp_path):
    storage = Storage("0", np.zeros(1 << 20, np.float32))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", torch_pickle({"zeros": Tensor(storage, (1 << 20,), (1,))}))
        archive.writestr("model/data/0", storage.values.tobytes())
    (tmp_path / "packed.pth").write_bytes(stream.getvalue())
    with pytest.raises(WeightsError, match="in it is compressed"):
        read_torch(tmp_path / "packed.pth")
    shared = Storage("0", np.zeros(1000, np.float32))
    (tmp_path / "shared.pth").write_bytes(
        zip_file({str(n): Tensor(shared, (1000,), (1,)) for n in range(1000)}, [shared])
    )
    with pytest.raises(WeightsError, match="more numbers than it holds"):
        read_torch(tmp_path / "shared.pth")
    (tmp_path / "numbered.pth").write_bytes(b"\x80\x02}r" + struct.pack("<I", 2**31 - 1) + b".")
    with pytest.raises(WeightsError, match="numbers more values than it has"):
        read_torch(tmp_path / "numbered.pth")


def test_what_a_torch_file_asks_for_does_not_reach_the_terminal_as_it_is(tmp_path):
    (tmp_path / "model.pth").write_bytes(b"\x80\x02c\x1b[2J" + b"x" * 10_000 + b"\neval\n.")
    with pytest.raises(WeightsError, match="only tensors are admitted") as caught:
        read_torch(tmp_path / "model.pth")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1000


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


def training_checkpoint() -> tuple[dict, list[Storage]]:
    """What training keeps to go on: the state, and beside it an optimiser with tensors and plain values."""
    state, storages = small_state()
    moments = Storage("2", np.array([3, 4, 5], np.float32))
    groups = [{"lr": 1e-4, "betas": (0.9, 0.999), "params": [0]}]
    optimiser = {"state": {0: {"step": 7, "exp_avg": Tensor(moments, (3,), (1,))}}, "param_groups": groups}
    return {"step": 7, "model_state": state, "optimizer_state": optimiser}, [*storages, moments]


@both_formats
@pytest.mark.parametrize("name", ["model_state", "model_state_dict", "state_dict"])
def test_the_state_dict_is_read_out_of_a_training_checkpoint(tmp_path, write, name):
    checkpoint, storages = training_checkpoint()
    checkpoint[name] = checkpoint.pop("model_state")
    (tmp_path / "model.pt").write_bytes(write(checkpoint, storages))
    arrays = read_torch(tmp_path / "model.pt")
    assert list(arrays) == ["kernel", "transposed", "bias"]
    np.testing.assert_array_equal(arrays["bias"], [8])


@both_formats
def test_a_training_checkpoint_that_would_run_something_is_refused(tmp_path, write):
    checkpoint, storages = training_checkpoint()
    checkpoint["optimizer_state"] = Malicious(tmp_path / "made")
    (tmp_path / "model.pt").write_bytes(write(checkpoint, storages))
    with pytest.raises(WeightsError, match=r"only tensors are admitted, and it asks for .*mkdir"):
        read_torch(tmp_path / "model.pt")
    assert not (tmp_path / "made").exists()


@both_formats
def test_a_checkpoint_within_itself_is_refused(tmp_path, write):
    checkpoint, storages = training_checkpoint()
    checkpoint["optimizer_state"]["state"] = checkpoint
    checkpoint["model_state"] = checkpoint
    (tmp_path / "model.pt").write_bytes(write(checkpoint, storages))
    with pytest.raises(WeightsError, match=r"model\.pt"):
        read_torch(tmp_path / "model.pt")


def test_a_training_checkpoint_cut_short_is_refused_by_name(tmp_path):
    path = tmp_path / "model.pt"
    whole = legacy_file(*training_checkpoint())
    for length in range(0, len(whole), 5):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"model\.pt"):
            read_torch(path)
